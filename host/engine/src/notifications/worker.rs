//! The notifications of a host on their way: out of their queue, and of accounts whose event was lost.

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

/// Most notifications that are seen to at once, those that wait for the turn of their notifier
/// included, so that one that hangs delays no other.
const MAX_CONCURRENT_DELIVERIES: usize = 400;

/// What seeing to a notification takes.
pub(crate) struct DeliveryWorker {
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) alerter: Arc<Alerter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: StopSignal,
}

/// Notifications that came out of their queue, each with the right to be told now.
type Batch = Vec<(ReceivedNotification, OwnedSemaphorePermit)>;

/// The notifications of a host on their way.
pub(crate) struct NotificationLoop {
    worker: Arc<DeliveryWorker>,
    /// The right to see to a notification now.
    permits: Arc<Semaphore>,
    receives: JoinSet<Option<Batch>>,
    deliveries: JoinSet<()>,
    /// At most one looks for accounts whose event was lost.
    backfills: JoinSet<()>,
}

impl NotificationLoop {
    /// Takes what is in the queue from now on.
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

    /// Whether no account whose event was lost is looked for. What is in the queue stays there.
    pub(crate) fn is_idle(&self) -> bool {
        self.backfills.is_empty()
    }

    /// Waits for notifications, once, as soon as there is room for as many as come at once.
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

    /// Ends when something has come of the queue, or of a notification; `None` when nothing is under
    /// way.
    pub(crate) async fn next(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            Some(received) = self.receives.join_next() => {
                // Nothing more comes once the host is to stop.
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

    /// Tells what came out of the queue.
    fn deliver(&mut self, message: ReceivedNotification, permit: OwnedSemaphorePermit) {
        let worker = Arc::clone(&self.worker);
        self.deliveries.spawn(async move {
            if let Some(queue) = worker.notifications.queue() {
                worker.deliver(queue.as_ref(), &message).await;
            }
            drop(permit);
        });
    }

    /// Looks for accounts whose event was lost, beside everything else.
    pub(crate) fn start_backfill(&mut self) {
        // One that still goes on looks at the same accounts.
        if !self.backfills.is_empty() {
            return;
        }
        let worker = Arc::clone(&self.worker);
        self.backfills.spawn(async move {
            let handled = worker.notifications.backfill().await;
            handled.report_to(&*worker.observer, worker.clock.now());
        });
    }

    /// Lets what is being told end, and shows what waits for its turn to other hosts.
    pub(crate) async fn finish(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Cuts off whatever is under way, as a crash would.
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
