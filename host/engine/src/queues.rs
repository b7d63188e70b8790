//! The queues: what is put into them, and what is done about what comes out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use groundcrew_core::aws_error::AwsError;
use groundcrew_core::envelope;
use groundcrew_core::event::{Event, Wake};
use groundcrew_core::ports::{Alert, Delivery, Hint, Received};
use groundcrew_core::scheduler::Observation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::Engine;
use crate::Notice;
use crate::alerts::{shown, unreadable};
use crate::onboarding::HandledOutcome;
use crate::run::Done;

/// How long a call waits for messages: the longest that SQS allows, since waiting costs
/// nothing.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The same for a tick, where waiting costs.
const SHORT_POLL: Duration = Duration::from_secs(1);
/// After the events queue could not be read.
const EVENTS_RETRY: Duration = Duration::from_secs(10);
/// Most messages that come at once: SQS gives no more.
const BATCH: u16 = 10;
/// Most notifications that are seen to at once, those that wait for the turn of their notifier
/// included, so that one that hangs delays no other.
pub(crate) const TELLING: usize = 400;
/// Most events that are handled at once.
pub(crate) const HANDLING: usize = 100;

impl Engine {
    /// Hands over hints.
    pub(crate) async fn enqueue(&self, hints: Vec<Hint>) -> Done {
        let accounts = hints.iter().map(|hint| hint.account.clone());
        let observations = match self.ports.updates.send(&hints).await {
            Err(error) => {
                let (accounts, reason) = (accounts.collect(), error.to_string());
                vec![Observation::NotQueued { accounts, reason }]
            }
            Ok(refused) => {
                let queued = accounts
                    .filter(|id| !refused.iter().any(|(account, _)| account == id))
                    .collect();
                let mut observations = vec![Observation::Queued(queued)];
                observations.extend(refused.iter().map(|(account, reason)| {
                    let accounts = vec![account.clone()];
                    Observation::NotQueued { accounts, reason: reason.clone() }
                }));
                observations
            }
        };
        Done::Observed(observations)
    }

    /// Receives hints.
    pub(crate) async fn receive(&self, max: usize) -> Observation {
        let poll = if self.ticks.load(Ordering::Relaxed) { SHORT_POLL } else { LONG_POLL };
        let messages = match self.ports.updates.receive(max, poll).await {
            Ok(messages) => messages,
            Err(error) => {
                return Observation::NotReceived { reason: error.to_string() };
            }
        };
        let mut received = Vec::new();
        for message in messages {
            match message {
                Ok(message) => received.push(message),
                Err(message) => {
                    if self.try_alert(&unreadable("updates", &message)).await
                        && let Err(error) = self.ports.updates.reject(&message).await
                    {
                        self.unmoved("updates", &error).await;
                    }
                }
            }
        }
        if received.is_empty() {
            match self.ports.updates.is_empty().await {
                Ok(true) => return Observation::NothingQueued,
                Ok(false) => {}
                // It only takes longer then until messages that are lost are sent again.
                Err(error) => {
                    tracing::debug!(%error, "could not count the messages of the updates queue")
                }
            }
        }
        Observation::Received(received)
    }

    /// Receives as soon as there is room for as many as come at once; `None` when it is to stop.
    async fn with_room<T>(
        &self,
        room: &Arc<Semaphore>,
        receive: impl Future<Output = T>,
    ) -> Option<(OwnedSemaphorePermit, T)> {
        let room = Arc::clone(room).acquire_many_owned(BATCH.into());
        // It is never closed.
        let room = self.unless_stopped(room).await?.ok()?;
        Some((room, self.unless_stopped(receive).await?))
    }

    /// Waits for events, once, as soon as there is room for as many as come at once.
    pub(crate) fn listen(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        if *self.stopping.borrow() {
            return;
        }
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            let receive = engine.ports.events.receive(LONG_POLL);
            let Some((mut room, received)) = engine.with_room(&engine.handling, receive).await
            else {
                return Done::Nothing;
            };
            match engine.queue_read("events", received).await {
                Some(events) => Done::Events(
                    events.into_iter().filter_map(|event| Some((event, room.split(1)?))).collect(),
                ),
                None => {
                    engine.unless_stopped(tokio::time::sleep(EVENTS_RETRY)).await;
                    Done::NoEvents
                }
            }
        });
    }

    /// Sees to a message of the events queue: an event, or what carries events. It is deleted once
    /// each is understood and whoever has to be told of an account was told; to the update engine
    /// it is only a wake-up, and lost ones are made good by sweeps.
    pub(crate) async fn event(&self, message: &Received<String>) {
        let (mut again, mut wrong) = (false, Vec::new());
        for event in envelope::open(&message.body) {
            match self.one_event(&event).await {
                Seen::Done => {}
                Seen::Again => again = true,
                Seen::Malformed(reason) => wrong.push(reason),
            }
        }
        // Left in the queue it comes again, and what was done is found done.
        if again {
            return;
        }
        if !wrong.is_empty() {
            self.reject(message, &wrong.join("; ")).await;
        } else if let Err(error) = self.ports.events.delete(&message.receipt).await {
            tracing::warn!(%error, "could not delete an event; it comes again");
        }
    }

    async fn one_event(&self, text: &str) -> Seen {
        if let Err(error) = Event::parse(text) {
            let reason = error.to_string();
            let alert = Alert {
                subject: "An event can't be read".into(),
                message: format!(
                    "It goes to the dead-letter queue.\nReason: {reason}\nEvent: {}",
                    shown(text)
                ),
            };
            // What fails here is done when the event comes again: nothing else waits.
            return match self.try_alert(&alert).await {
                true => Seen::Malformed(reason),
                false => Seen::Again,
            };
        }
        let Some(onboarding) = &self.ports.onboarding else { return Seen::Done };
        let handled = onboarding.handle(text, None).await;
        self.ports.witness.see(self.now(), Notice::Handled(&handled));
        self.witness_onboarding(&handled);
        match handled.outcome {
            HandledOutcome::Failed if handled.malformed => {
                Seen::Malformed(handled.reason.unwrap_or_default())
            }
            HandledOutcome::Failed => Seen::Again,
            _ => Seen::Done,
        }
    }

    async fn reject(&self, message: &Received<String>, reason: &str) {
        if let Err(error) = self.ports.events.reject(message, reason).await {
            self.unmoved("events", &error).await;
        }
    }

    /// Waits for notifications, once, as soon as there is room for as many as come at once.
    pub(crate) fn deliver(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        if *self.stopping.borrow() {
            return;
        }
        let Some(queue) = self.ports.onboarding.as_ref().and_then(|one| one.queue()).cloned()
        else {
            return;
        };
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            let receive = queue.receive(LONG_POLL);
            let Some((mut room, received)) = engine.with_room(&engine.telling, receive).await
            else {
                return Done::Nothing;
            };
            let Some(deliveries) = engine.queue_read("notifications", received).await else {
                engine.unless_stopped(tokio::time::sleep(EVENTS_RETRY)).await;
                return Done::Delivered(Vec::new());
            };
            let mut delivered = Vec::new();
            for delivery in deliveries {
                match delivery {
                    Ok(delivery) => delivered.extend(room.split(1).map(|one| (delivery, one))),
                    Err(message) => {
                        if engine.try_alert(&unreadable("notifications", &message)).await
                            && let Err(error) = queue.reject(&message).await
                        {
                            engine.unmoved("notifications", &error).await;
                        }
                    }
                }
            }
            Done::Delivered(delivered)
        });
    }

    /// Tells what came out of the queue.
    pub(crate) async fn tell(&self, delivery: Delivery, permit: OwnedSemaphorePermit) -> Done {
        if let Some(onboarding) = &self.ports.onboarding
            && let Some(queue) = onboarding.queue()
        {
            let stop = async { self.stopped().await };
            if let Some(taken) = onboarding.take_unless(queue.as_ref(), &delivery, stop).await {
                self.witness_onboarding(&taken.handled);
            }
        }
        drop(permit);
        Done::Nothing
    }

    /// A message that nothing can be done with stays in its queue and comes again and again.
    async fn unmoved(&self, queue: &str, error: &AwsError) {
        tracing::error!(%error, "could not move a message of the {queue} queue to its dead-letter queue");
        let alert = Alert {
            subject: format!("The dead-letter queue of the {queue} queue can't be written"),
            message: format!(
                "What can't be handled stays in the {queue} queue, and its alert repeats.\n\
                 Error: {error}"
            ),
        };
        self.alert_once(&format!("unmoved: {queue}"), &alert).await;
    }

    /// A queue could, or could not, be read.
    async fn queue_read<T>(&self, queue: &str, read: Result<T, AwsError>) -> Option<T> {
        let means = "Nothing in it is lost, but nothing is done about it either.";
        self.read_again(read, &format!("The {queue} queue can't be read"), means).await
    }
}

/// What became of one event of a message.
enum Seen {
    Done,
    /// It has to come again.
    Again,
    /// It is wrong, for this reason, and somebody knows.
    Malformed(String),
}

/// What an event, or each of those that something carries, means to the scheduler.
pub(crate) fn wakes(text: &str) -> Vec<Observation> {
    let events = envelope::open(text);
    let wake = |event: &String| match Event::parse(event).ok()?.wake() {
        Wake::Sweep => Some(Observation::Woken),
        Wake::Account(account) => Some(Observation::AccountWoken(account)),
        Wake::None => None,
    };
    events.iter().filter_map(wake).collect()
}
