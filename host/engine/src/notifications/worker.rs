//! The notifications of a host on their way: out of their queue, and of accounts whose event was lost.

use std::sync::Arc;

use groundcrew_core::ports::{Clock, Delivery, NotificationQueue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::Notifications;
use crate::Witness;
use crate::alerter::Alerter;
use crate::alerts::unreadable;
use crate::queues::{LONG_POLL, QUEUE_RETRY, with_room};
use crate::retry::joined;
use crate::stop::Stop;

/// Most notifications that are seen to at once, those that wait for the turn of their notifier
/// included, so that one that hangs delays no other.
const TELLING: usize = 400;

/// What seeing to a notification takes.
pub(crate) struct Worker {
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) alerter: Arc<Alerter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) witness: Arc<dyn Witness>,
    pub(crate) stop: Stop,
}

/// Notifications that came out of their queue, each with the right to be told now.
type Batch = Vec<(Delivery, OwnedSemaphorePermit)>;

/// The notifications of a host on their way.
pub(crate) struct NotificationLoop {
    worker: Arc<Worker>,
    /// The right to see to a notification now.
    room: Arc<Semaphore>,
    receives: JoinSet<Option<Batch>>,
    told: JoinSet<()>,
    /// At most one looks for accounts whose event was lost.
    sweeps: JoinSet<()>,
}

impl NotificationLoop {
    /// Takes what is in the queue from now on.
    pub(crate) fn new(worker: Worker) -> Self {
        let mut this = Self {
            worker: Arc::new(worker),
            room: Arc::new(Semaphore::new(TELLING)),
            receives: JoinSet::new(),
            told: JoinSet::new(),
            sweeps: JoinSet::new(),
        };
        this.receive();
        this
    }

    /// Whether no account whose event was lost is looked for. What is in the queue stays there.
    pub(crate) fn is_idle(&self) -> bool {
        self.sweeps.is_empty()
    }

    /// Waits for notifications, once, as soon as there is room for as many as come at once.
    fn receive(&mut self) {
        if self.worker.stop.is_set() {
            return;
        }
        let Some(queue) = self.worker.notifications.queue().cloned() else { return };
        let (worker, room) = (Arc::clone(&self.worker), Arc::clone(&self.room));
        self.receives.spawn(async move {
            let receive = queue.receive(LONG_POLL);
            let (mut room, received) = with_room(&worker.stop, &room, receive).await?;
            let Some(deliveries) = worker.alerter.queue_read("notifications", received).await
            else {
                worker.stop.unless_stopped(tokio::time::sleep(QUEUE_RETRY)).await;
                return Some(Vec::new());
            };
            let mut delivered = Vec::new();
            for delivery in deliveries {
                match delivery {
                    Ok(delivery) => delivered.extend(room.split(1).map(|one| (delivery, one))),
                    Err(message) => {
                        if worker.alerter.try_alert(&unreadable("notifications", &message)).await
                            && let Err(error) = queue.reject(&message).await
                        {
                            worker.alerter.unmoved("notifications", &error).await;
                        }
                    }
                }
            }
            Some(delivered)
        });
    }

    /// Ends when something has come of the queue, or of a notification; `None` when nothing is under
    /// way.
    pub(crate) async fn next(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            Some(received) = self.receives.join_next() => {
                // Nothing more comes once the host is to stop.
                if let Some(batch) = joined(received).flatten() {
                    batch.into_iter().for_each(|(delivery, permit)| self.tell(delivery, permit));
                    self.receive();
                }
                Some(())
            }
            Some(done) = self.told.join_next() => joined(done).or(Some(())),
            Some(done) = self.sweeps.join_next() => joined(done).or(Some(())),
            else => None,
        }
    }

    /// Tells what came out of the queue.
    fn tell(&mut self, delivery: Delivery, permit: OwnedSemaphorePermit) {
        let worker = Arc::clone(&self.worker);
        self.told.spawn(async move {
            if let Some(queue) = worker.notifications.queue() {
                worker.tell(queue.as_ref(), &delivery).await;
            }
            drop(permit);
        });
    }

    /// Looks for accounts whose event was lost, beside everything else.
    pub(crate) fn make_up(&mut self) {
        // One that still goes on looks at the same accounts.
        if !self.sweeps.is_empty() {
            return;
        }
        let worker = Arc::clone(&self.worker);
        self.sweeps.spawn(async move {
            let handled = worker.notifications.make_up().await;
            handled.show(&*worker.witness, worker.clock.now());
        });
    }

    /// Lets what is being told end, and shows what waits for its turn to other hosts.
    pub(crate) async fn finish(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Cuts off whatever is under way, as a crash would.
    pub(crate) async fn cut_off(&mut self) {
        self.receives.shutdown().await;
        self.told.shutdown().await;
        self.sweeps.shutdown().await;
    }
}

impl Worker {
    async fn tell(&self, queue: &dyn NotificationQueue, delivery: &Delivery) {
        let taken = self.notifications.take_unless(queue, delivery, self.stop.ordered()).await;
        if let Some(taken) = taken {
            taken.handled.show(&*self.witness, self.clock.now());
        }
    }
}
