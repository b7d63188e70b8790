//! The loop of a host that delivers notifications from their queue and runs the backfill.

use std::sync::Arc;

use groundcrew_core::ports::{Clock, NotificationQueue, ReceivedNotification};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::Notifications;
use crate::Observer;
use crate::alerter::Alerter;
use crate::alerts::unreadable_message_alert;
use crate::queues::{LONG_POLL, QUEUE_RETRY, receive_with_permits};
use crate::retry::task_result;
use crate::stop::StopSignal;

/// The most notifications that are handled at once, including those that wait for their notifier's
/// turn, so that a notifier that hangs delays no other.
const MAX_CONCURRENT_DELIVERIES: usize = 400;

/// What handling a notification takes.
pub(crate) struct DeliveryWorker {
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) alerter: Arc<Alerter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: StopSignal,
}

/// Notifications from the queue, each with its permit.
type Batch = Vec<(ReceivedNotification, OwnedSemaphorePermit)>;

/// The notifications of a host that are under way.
pub(crate) struct NotificationLoop {
    worker: Arc<DeliveryWorker>,
    /// The permits for handling notifications.
    permits: Arc<Semaphore>,
    receives: JoinSet<Option<Batch>>,
    deliveries: JoinSet<()>,
    /// The backfill under way, at most one.
    backfills: JoinSet<()>,
}

impl NotificationLoop {
    /// Receives from the queue from now on.
    pub(crate) fn new(worker: DeliveryWorker) -> Self {
        let mut this = Self {
            worker: Arc::new(worker),
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_DELIVERIES)),
            receives: JoinSet::new(),
            deliveries: JoinSet::new(),
            backfills: JoinSet::new(),
        };
        this.receive();
        this
    }

    /// Whether no backfill runs. Notifications in the queue don't count: they stay there.
    pub(crate) fn is_idle(&self) -> bool {
        self.backfills.is_empty()
    }

    /// Receives once, as soon as there are permits for a full batch.
    fn receive(&mut self) {
        if self.worker.stop.is_set() {
            return;
        }
        let Some(queue) = self.worker.notifications.queue().cloned() else { return };
        let (worker, permits) = (Arc::clone(&self.worker), Arc::clone(&self.permits));
        self.receives.spawn(async move {
            let receive = queue.receive(LONG_POLL);
            let (mut permits, received) =
                receive_with_permits(&worker.stop, &permits, receive).await?;
            let Some(messages) = worker.alerter.track_queue_read("notifications", received).await
            else {
                worker.stop.unless_stopped(tokio::time::sleep(QUEUE_RETRY)).await;
                return Some(Vec::new());
            };
            let mut delivered = Vec::new();
            for message in messages {
                match message {
                    Ok(message) => delivered.extend(permits.split(1).map(|one| (message, one))),
                    Err(message) => {
                        if worker
                            .alerter
                            .try_publish(&unreadable_message_alert("notifications", &message))
                            .await
                            && let Err(error) = queue.reject(&message).await
                        {
                            worker.alerter.alert_unmoved("notifications", &error).await;
                        }
                    }
                }
            }
            Some(delivered)
        });
    }

    /// Ends when a receive, a delivery or the backfill has ended; `None` when nothing is under way.
    pub(crate) async fn next(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            Some(received) = self.receives.join_next() => {
                // Once the host stops, nothing more is received.
                if let Some(batch) = task_result(received).flatten() {
                    batch.into_iter().for_each(|(message, permit)| self.deliver(message, permit));
                    self.receive();
                }
                Some(())
            }
            Some(done) = self.deliveries.join_next() => task_result(done).or(Some(())),
            Some(done) = self.backfills.join_next() => task_result(done).or(Some(())),
            else => None,
        }
    }

    /// Delivers a notification from the queue.
    fn deliver(&mut self, message: ReceivedNotification, permit: OwnedSemaphorePermit) {
        let worker = Arc::clone(&self.worker);
        self.deliveries.spawn(async move {
            if let Some(queue) = worker.notifications.queue() {
                worker.deliver(queue.as_ref(), &message).await;
            }
            drop(permit);
        });
    }

    /// Starts a backfill in a task of its own.
    pub(crate) fn start_backfill(&mut self) {
        // A backfill that still runs covers the same accounts.
        if !self.backfills.is_empty() {
            return;
        }
        let worker = Arc::clone(&self.worker);
        self.backfills.spawn(async move {
            let handled = worker.notifications.backfill().await;
            handled.report_to(&*worker.observer, worker.clock.now());
        });
    }

    /// Waits for the deliveries under way, and makes the messages that wait for their turn visible
    /// to other hosts.
    pub(crate) async fn finish(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Cancels everything under way, as a crash would.
    pub(crate) async fn abort(&mut self) {
        self.receives.shutdown().await;
        self.deliveries.shutdown().await;
        self.backfills.shutdown().await;
    }
}

impl DeliveryWorker {
    async fn deliver(&self, queue: &dyn NotificationQueue, message: &ReceivedNotification) {
        let outcome =
            self.notifications.process_message_unless(queue, message, self.stop.requested()).await;
        if let Some(outcome) = outcome {
            outcome.handled.report_to(&*self.observer, self.clock.now());
        }
    }
}
