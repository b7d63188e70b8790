//! The events queue: what comes out of it wakes the updates, and notifiers are told of it.

use std::sync::Arc;

use groundcrew_core::envelope;
use groundcrew_core::event::{Event, InvalidEvent, UpdateTrigger};
use groundcrew_core::ports::{Alert, Clock, EventQueue, ReceivedMessage};
use groundcrew_core::scheduler::Observation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::alerter::Alerter;
use crate::alerts::excerpt;
use crate::notifications::{EventOutcome, Notifications};
use crate::queues::{LONG_POLL, QUEUE_RETRY, receive_with_permits};
use crate::retry::task_result;
use crate::stop::StopSignal;
use crate::{EngineEvent, Observer};

/// Most events that are handled at once.
const MAX_CONCURRENT_EVENTS: usize = 100;

/// What handling an event takes.
pub(super) struct EventHandler {
    pub(super) queue: Arc<dyn EventQueue>,
    pub(super) notifications: Option<Arc<Notifications>>,
    pub(super) alerter: Arc<Alerter>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) stop: StopSignal,
}

/// Events that came out of their queue, each with the right to be handled now; `None` when the queue
/// could not be read.
type Batch = Option<Vec<(EventMessage, OwnedSemaphorePermit)>>;

/// A message of the events queue, and the events in it.
struct EventMessage {
    received: ReceivedMessage<String>,
    events: Vec<Result<Arc<Event>, InvalidEvent>>,
}

impl EventMessage {
    fn from_received(received: ReceivedMessage<String>) -> Self {
        let events = envelope::events(&received.body).into_iter();
        Self { events: events.map(|event| event.map(Arc::new)).collect(), received }
    }
}

/// The events of a host on their way.
pub(super) struct EventLoop {
    events: Arc<EventHandler>,
    /// The right to handle an event now.
    permits: Arc<Semaphore>,
    receives: JoinSet<Option<Batch>>,
    handled: JoinSet<()>,
    /// Whether no event may wait in the queue that somebody has to be told of.
    is_drained: bool,
}

impl EventLoop {
    /// Listens from now on.
    pub(super) fn new(events: EventHandler) -> Self {
        let is_drained = events.notifications.is_none();
        let mut this = Self {
            events: Arc::new(events),
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_EVENTS)),
            receives: JoinSet::new(),
            handled: JoinSet::new(),
            is_drained,
        };
        this.receive_next();
        this
    }

    /// Whether nobody waits to be told: the queue holds no event as far as is known, and none is
    /// being handled.
    pub(super) fn is_idle(&self) -> bool {
        self.is_drained && self.handled.is_empty()
    }

    /// Waits for events, once, as soon as there is room for as many as come at once.
    fn receive_next(&mut self) {
        if self.events.stop.is_set() {
            return;
        }
        let (events, permits) = (Arc::clone(&self.events), Arc::clone(&self.permits));
        self.receives.spawn(async move {
            let receive = events.queue.receive(LONG_POLL);
            let (mut permits, received) =
                receive_with_permits(&events.stop, &permits, receive).await?;
            let Some(received) = events.alerter.track_queue_read("events", received).await else {
                events.stop.unless_stopped(tokio::time::sleep(QUEUE_RETRY)).await;
                return Some(None);
            };
            let with_permit = |one| Some((EventMessage::from_received(one), permits.split(1)?));
            Some(Some(received.into_iter().filter_map(with_permit).collect()))
        });
    }

    /// What has come of the queue, or of an event: what that means to the updates. `None` when
    /// nothing is under way.
    pub(super) async fn next(&mut self) -> Option<Vec<Observation>> {
        tokio::select! {
            biased;
            Some(received) = self.receives.join_next() => {
                Some(self.handle_received(task_result(received).flatten()))
            }
            Some(handled) = self.handled.join_next() => {
                task_result(handled);
                Some(Vec::new())
            }
            else => None,
        }
    }

    fn handle_received(&mut self, received: Option<Batch>) -> Vec<Observation> {
        // Nothing more comes once the host is to stop.
        let Some(batch) = received else { return Vec::new() };
        let notifies = self.events.notifications.is_some();
        self.is_drained = !notifies || batch.as_ref().is_some_and(Vec::is_empty);
        let batch = batch.unwrap_or_default();
        // What it means to the updates doesn't wait for anybody to be told.
        let understood = batch.iter().flat_map(|(message, _)| &message.events);
        let observations =
            understood.flatten().filter_map(|event| observation_for(event)).collect();
        for (message, permit) in batch {
            let events = Arc::clone(&self.events);
            self.handled.spawn(async move {
                events.handle(&message).await;
                drop(permit);
            });
        }
        self.receive_next();
        observations
    }

    /// Lets what is being handled end.
    pub(super) async fn finish(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Cuts off whatever is under way, as a crash would.
    pub(super) async fn abort(&mut self) {
        self.receives.shutdown().await;
        self.handled.shutdown().await;
    }
}

impl EventHandler {
    /// Sees to a message of the events queue: an event, or what carries events. It is deleted once
    /// each is understood and whoever has to be told of an account was told; to the updates
    /// it is only a wake-up, and lost ones are made good by sweeps.
    async fn handle(&self, EventMessage { received, events }: &EventMessage) {
        let (mut retry, mut wrong) = (false, Vec::new());
        for event in events {
            let disposition = match event {
                Ok(event) => self.deliver(event).await,
                Err(wrong) => self.reject(wrong).await,
            };
            match disposition {
                EventDisposition::Done => {}
                EventDisposition::Retry => retry = true,
                EventDisposition::Malformed(reason) => wrong.push(reason),
            }
        }
        // Left in the queue it comes again, and what was done is found done.
        if retry {
            return;
        }
        if !wrong.is_empty() {
            if let Err(error) = self.queue.reject(received, &wrong.join("; ")).await {
                self.alerter.alert_unmoved("events", &error).await;
            }
        } else if let Err(error) = self.queue.delete(&received.receipt_handle).await {
            tracing::warn!(%error, "could not delete an event; it comes again");
        }
    }

    /// Tells people of what is no event.
    async fn reject(&self, wrong: &InvalidEvent) -> EventDisposition {
        let reason = wrong.to_string();
        let alert = Alert {
            subject: "An event can't be read".into(),
            message: format!(
                "It goes to the dead-letter queue.\nReason: {reason}\nEvent: {}",
                excerpt(&wrong.text)
            ),
        };
        // What fails here is done when the event comes again: nothing else waits.
        match self.alerter.try_publish(&alert).await {
            true => EventDisposition::Malformed(reason),
            false => EventDisposition::Retry,
        }
    }

    /// Tells notifiers of an event.
    async fn deliver(&self, event: &Arc<Event>) -> EventDisposition {
        let Some(notifications) = &self.notifications else { return EventDisposition::Done };
        let handled = notifications.handle(event, None).await;
        let now = self.clock.now();
        self.observer.observe(now, EngineEvent::EventHandled(&handled));
        handled.report_to(&*self.observer, now);
        match handled.outcome {
            EventOutcome::Failed if handled.malformed => {
                EventDisposition::Malformed(handled.reason.unwrap_or_default())
            }
            EventOutcome::Failed => EventDisposition::Retry,
            _ => EventDisposition::Done,
        }
    }
}

/// What became of one event of a message.
enum EventDisposition {
    Done,
    /// It has to come again.
    Retry,
    /// It is wrong, for this reason, and somebody knows.
    Malformed(String),
}

/// What each event in a text means to the updates.
pub(super) fn observations_in(text: &str) -> Vec<Observation> {
    envelope::events(text).iter().flatten().filter_map(observation_for).collect()
}

/// What an event means to the updates.
fn observation_for(event: &Event) -> Option<Observation> {
    match event.update_trigger() {
        UpdateTrigger::Sweep => Some(Observation::SweepRequested),
        UpdateTrigger::Account(account) => Some(Observation::OperationEnded(account)),
        UpdateTrigger::None => None,
    }
}
