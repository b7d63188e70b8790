//! The events queue: what comes out of it wakes the updates, and notifiers are told of it.

use std::sync::Arc;

use groundcrew_core::envelope;
use groundcrew_core::event::{Event, NotAnEvent, Wake};
use groundcrew_core::ports::{Alert, Clock, EventQueue, Received};
use groundcrew_core::scheduler::Observation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::alerter::Alerter;
use crate::alerts::shown;
use crate::notifications::{HandledOutcome, Notifications};
use crate::queues::{LONG_POLL, QUEUE_RETRY, with_room};
use crate::retry::joined;
use crate::stop::Stop;
use crate::{Notice, Witness};

/// Most events that are handled at once.
const HANDLING: usize = 100;

/// What handling an event takes.
pub(super) struct Events {
    pub(super) queue: Arc<dyn EventQueue>,
    pub(super) notifications: Option<Arc<Notifications>>,
    pub(super) alerter: Arc<Alerter>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) witness: Arc<dyn Witness>,
    pub(super) stop: Stop,
}

/// Events that came out of their queue, each with the right to be handled now; `None` when the queue
/// could not be read.
type Batch = Option<Vec<(Message, OwnedSemaphorePermit)>>;

/// A message of the events queue, and the events in it.
struct Message {
    received: Received<String>,
    events: Vec<Result<Arc<Event>, NotAnEvent>>,
}

impl Message {
    fn of(received: Received<String>) -> Self {
        let events = envelope::events(&received.body).into_iter();
        Self { events: events.map(|event| event.map(Arc::new)).collect(), received }
    }
}

/// The events of a host on their way.
pub(super) struct EventLoop {
    events: Arc<Events>,
    /// The right to handle an event now.
    room: Arc<Semaphore>,
    receives: JoinSet<Option<Batch>>,
    handled: JoinSet<()>,
    /// Whether no event may wait in the queue that somebody has to be told of.
    quiet: bool,
}

impl EventLoop {
    /// Listens from now on.
    pub(super) fn new(events: Events) -> Self {
        let quiet = events.notifications.is_none();
        let mut this = Self {
            events: Arc::new(events),
            room: Arc::new(Semaphore::new(HANDLING)),
            receives: JoinSet::new(),
            handled: JoinSet::new(),
            quiet,
        };
        this.listen();
        this
    }

    /// Whether nobody waits to be told: the queue holds no event as far as is known, and none is
    /// being handled.
    pub(super) fn is_idle(&self) -> bool {
        self.quiet && self.handled.is_empty()
    }

    /// Waits for events, once, as soon as there is room for as many as come at once.
    fn listen(&mut self) {
        if self.events.stop.is_set() {
            return;
        }
        let (events, room) = (Arc::clone(&self.events), Arc::clone(&self.room));
        self.receives.spawn(async move {
            let receive = events.queue.receive(LONG_POLL);
            let (mut room, received) = with_room(&events.stop, &room, receive).await?;
            let Some(received) = events.alerter.queue_read("events", received).await else {
                events.stop.unless_stopped(tokio::time::sleep(QUEUE_RETRY)).await;
                return Some(None);
            };
            let with_room = |one| Some((Message::of(one), room.split(1)?));
            Some(Some(received.into_iter().filter_map(with_room).collect()))
        });
    }

    /// What has come of the queue, or of an event: what that means to the updates. `None` when
    /// nothing is under way.
    pub(super) async fn next(&mut self) -> Option<Vec<Observation>> {
        tokio::select! {
            biased;
            Some(received) = self.receives.join_next() => {
                Some(self.received(joined(received).flatten()))
            }
            Some(handled) = self.handled.join_next() => {
                joined(handled);
                Some(Vec::new())
            }
            else => None,
        }
    }

    fn received(&mut self, received: Option<Batch>) -> Vec<Observation> {
        // Nothing more comes once the host is to stop.
        let Some(batch) = received else { return Vec::new() };
        let untold = self.events.notifications.is_some();
        self.quiet = !untold || batch.as_ref().is_some_and(Vec::is_empty);
        let batch = batch.unwrap_or_default();
        // What it means to the updates doesn't wait for anybody to be told.
        let understood = batch.iter().flat_map(|(message, _)| &message.events);
        let wakes = understood.flatten().filter_map(|event| wake(event)).collect();
        for (message, permit) in batch {
            let events = Arc::clone(&self.events);
            self.handled.spawn(async move {
                events.handle(&message).await;
                drop(permit);
            });
        }
        self.listen();
        wakes
    }

    /// Lets what is being handled end.
    pub(super) async fn finish(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Cuts off whatever is under way, as a crash would.
    pub(super) async fn cut_off(&mut self) {
        self.receives.shutdown().await;
        self.handled.shutdown().await;
    }
}

impl Events {
    /// Sees to a message of the events queue: an event, or what carries events. It is deleted once
    /// each is understood and whoever has to be told of an account was told; to the updates
    /// it is only a wake-up, and lost ones are made good by sweeps.
    async fn handle(&self, Message { received, events }: &Message) {
        let (mut again, mut wrong) = (false, Vec::new());
        for event in events {
            let seen = match event {
                Ok(event) => self.tell(event).await,
                Err(wrong) => self.refuse(wrong).await,
            };
            match seen {
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
            if let Err(error) = self.queue.reject(received, &wrong.join("; ")).await {
                self.alerter.unmoved("events", &error).await;
            }
        } else if let Err(error) = self.queue.delete(&received.receipt).await {
            tracing::warn!(%error, "could not delete an event; it comes again");
        }
    }

    /// Tells people of what is no event.
    async fn refuse(&self, wrong: &NotAnEvent) -> Seen {
        let reason = wrong.to_string();
        let alert = Alert {
            subject: "An event can't be read".into(),
            message: format!(
                "It goes to the dead-letter queue.\nReason: {reason}\nEvent: {}",
                shown(&wrong.text)
            ),
        };
        // What fails here is done when the event comes again: nothing else waits.
        match self.alerter.try_alert(&alert).await {
            true => Seen::Malformed(reason),
            false => Seen::Again,
        }
    }

    /// Tells notifiers of an event.
    async fn tell(&self, event: &Arc<Event>) -> Seen {
        let Some(notifications) = &self.notifications else { return Seen::Done };
        let handled = notifications.handle(event, None).await;
        let now = self.clock.now();
        self.witness.see(now, Notice::Handled(&handled));
        handled.show(&*self.witness, now);
        match handled.outcome {
            HandledOutcome::Failed if handled.malformed => {
                Seen::Malformed(handled.reason.unwrap_or_default())
            }
            HandledOutcome::Failed => Seen::Again,
            _ => Seen::Done,
        }
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

/// What each event in a text means to the updates.
pub(super) fn wakes(text: &str) -> Vec<Observation> {
    envelope::events(text).iter().flatten().filter_map(wake).collect()
}

/// What an event means to the updates.
fn wake(event: &Event) -> Option<Observation> {
    match event.wake() {
        Wake::Sweep => Some(Observation::Woken),
        Wake::Account(account) => Some(Observation::AccountWoken(account)),
        Wake::None => None,
    }
}
