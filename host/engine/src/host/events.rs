//! The events queue: its events trigger updates, and notifiers are notified of them.

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

/// The most events that are handled at once.
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

/// Messages from the events queue, each with its permit; `None` when the queue could not be read.
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

/// The events of a host that are under way.
pub(super) struct EventLoop {
    events: Arc<EventHandler>,
    /// The permits for handling events.
    permits: Arc<Semaphore>,
    receives: JoinSet<Option<Batch>>,
    handled: JoinSet<()>,
    /// Whether the queue holds no event that may need a notification, as of the last receive.
    is_drained: bool,
}

impl EventLoop {
    /// Receives from the queue from now on.
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

    /// Whether no event is pending: the queue held none at the last receive, and none is being
    /// handled.
    pub(super) fn is_idle(&self) -> bool {
        self.is_drained && self.handled.is_empty()
    }

    /// Receives once, as soon as there are permits for a full batch.
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

    /// The observations for the updates from the next receive or event that ends; `None` when
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
        // Once the host stops, nothing more is received.
        let Some(batch) = received else { return Vec::new() };
        let notifies = self.events.notifications.is_some();
        self.is_drained = !notifies || batch.as_ref().is_some_and(Vec::is_empty);
        let batch = batch.unwrap_or_default();
        // The updates observe the events without waiting for the notifications.
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

    /// Waits for the events that are being handled.
    pub(super) async fn finish(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Cancels everything under way, as a crash would.
    pub(super) async fn abort(&mut self) {
        self.receives.shutdown().await;
        self.handled.shutdown().await;
    }
}

impl EventHandler {
    /// Handles a message of the events queue: an event, or an envelope of events. It is deleted
    /// once every event in it is parsed and its notifications are delivered or queued. For the
    /// updates an event is only a trigger, and sweeps compensate for lost ones.
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
        // If it stays in the queue, it comes again, and the parts that are done are not repeated.
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

    /// Publishes an alert about a text that is no event.
    async fn reject(&self, wrong: &InvalidEvent) -> EventDisposition {
        let reason = wrong.to_string();
        let alert = Alert {
            subject: "An event can't be read".into(),
            message: format!(
                "It goes to the dead-letter queue.\nReason: {reason}\nEvent: {}",
                excerpt(&wrong.text)
            ),
        };
        // A failure here is retried when the event comes again: nothing else waits for it.
        match self.alerter.try_publish(&alert).await {
            true => EventDisposition::Malformed(reason),
            false => EventDisposition::Retry,
        }
    }

    /// Delivers the notifications of an event.
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

/// The result of one event of a message.
enum EventDisposition {
    Done,
    /// It has to come again.
    Retry,
    /// It is malformed, for this reason, and the alert is published.
    Malformed(String),
}

/// The observations for the updates from the events in a text.
pub(super) fn observations_in(text: &str) -> Vec<Observation> {
    envelope::events(text).iter().flatten().filter_map(observation_for).collect()
}

/// The observation for the updates from an event.
fn observation_for(event: &Event) -> Option<Observation> {
    match event.update_trigger() {
        UpdateTrigger::Sweep => Some(Observation::SweepRequested),
        UpdateTrigger::Account(account) => Some(Observation::OperationEnded(account)),
        UpdateTrigger::None => None,
    }
}
