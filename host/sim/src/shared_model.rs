//! The model with its clock, shared by its callers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::Clock;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout_at};

use crate::faults::{Fault, Rejection, RoundTrip};
use crate::model::{Model, ModelResponse};
use crate::protocol::{Request, Response};
use crate::state;
use crate::time::SimClock;
use crate::web::{WebRequest, WebResponse};

/// Longer than any caller waits for a response.
const HANG_DURATION: Duration = Duration::from_secs(600);

/// The model with its clock, shared by every client.
#[derive(Debug)]
pub(crate) struct SharedModel {
    model: Mutex<Model>,
    pub(crate) clock: SimClock,
    changed: Notify,
    /// Whether the model may have changed since the state was last taken.
    dirty: AtomicBool,
}

/// How a request ended for its caller.
#[derive(Debug)]
pub(crate) enum ExchangeOutcome {
    Answered(Response),
    /// The request never reached the service.
    NotConnected,
    /// The request may have reached the service, but no response came back.
    Broken,
}

impl SharedModel {
    pub(crate) fn new(model: Model, clock: SimClock) -> Self {
        Self {
            model: Mutex::new(model),
            clock,
            changed: Notify::new(),
            dirty: AtomicBool::new(true),
        }
    }

    /// Locks the model for the time of the call. Wakes long polls if the change may concern them.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.lock();
        self.dirty.store(true, Ordering::Relaxed);
        let before = model.change_count();
        let result = act(&mut model);
        if model.change_count() != before {
            self.changed.notify_waiters();
        }
        result
    }

    /// The state as text, if anything may have changed since the last call. Scheduled events need
    /// no save: they follow from the saved state.
    pub(crate) fn take_changed_state(&self) -> Option<Result<String, serde_json::Error>> {
        let mut model = self.lock();
        if !self.dirty.swap(false, Ordering::Relaxed) {
            return None;
        }
        model.advance(self.clock.now());
        Some(state::write(&model))
    }

    /// Has the state saved again, because the last save failed.
    pub(crate) fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }

    /// A panic with the lock held would be a defect of the model itself. Its state is still usable.
    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request on this round trip, with its latency and its fault.
    pub(crate) async fn exchange(&self, request: &Request<'_>, trip: RoundTrip) -> ExchangeOutcome {
        sleep(trip.request_latency).await;
        let response = match trip.fault {
            None => self.answer(request).await,
            Some(Fault::Rejected(refusal)) => {
                self.with(|model| model.rejection_response(request, refusal))
            }
            Some(Fault::ConnectionFailed) => return ExchangeOutcome::NotConnected,
            Some(Fault::ResponseLost) => {
                self.answer(request).await;
                sleep(trip.response_latency).await;
                return ExchangeOutcome::Broken;
            }
            Some(Fault::Hung { takes_effect }) => {
                if takes_effect {
                    self.answer(request).await;
                }
                sleep(HANG_DURATION).await;
                return ExchangeOutcome::Broken;
            }
            Some(Fault::MalformedResponse { status, takes_effect }) => {
                if takes_effect {
                    self.answer(request).await;
                }
                Response::html(status)
            }
        };
        sleep(trip.response_latency).await;
        ExchangeOutcome::Answered(response)
    }

    /// Sends a request to a system other than AWS, with a random or injected fault. `None`: no
    /// response comes back.
    pub(crate) async fn web(&self, request: &WebRequest) -> Option<WebResponse> {
        let trip = self.with(|model| model.draw_web_round_trip());
        sleep(trip.request_latency).await;
        let answer = || self.with(|model| model.web().handle(request));
        let refused = |status, headers| WebResponse { status, headers, body: String::new() };
        let response = match trip.fault {
            None => Some(answer()),
            Some(Fault::Rejected(Rejection::Throttled)) => {
                Some(refused(429, vec![("retry-after", "2".to_owned())]))
            }
            Some(Fault::Rejected(Rejection::ServerError)) => Some(refused(503, Vec::new())),
            Some(Fault::Rejected(Rejection::Denied)) => Some(refused(403, Vec::new())),
            Some(Fault::MalformedResponse { .. }) => Some(refused(502, Vec::new())),
            Some(Fault::ConnectionFailed) => None,
            Some(Fault::ResponseLost) => {
                answer();
                None
            }
            Some(Fault::Hung { takes_effect }) => {
                if takes_effect {
                    answer();
                }
                sleep(HANG_DURATION).await;
                None
            }
        };
        sleep(trip.response_latency).await;
        response
    }

    async fn answer(&self, request: &Request<'_>) -> Response {
        let mut changed = self.changed.notified();
        let mut answer = self.with(|model| model.handle(self.clock.now(), request));
        loop {
            let poll = match answer {
                ModelResponse::Ready(response) => return response,
                ModelResponse::Wait(poll) => poll,
            };
            // An early, late or needless wake-up is harmless: the model is called again.
            let _ = timeout_at(self.clock.instant(poll.wake_at), changed).await;
            changed = self.changed.notified();
            answer = self.with(|model| model.resume(self.clock.now(), poll));
        }
    }
}
