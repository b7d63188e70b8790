//! The updates queue: sends queued updates, and receives them when there is room for a start.

use std::time::Duration;

use groundcrew_core::ports::{HostKind, QueuedUpdate};
use groundcrew_core::scheduler::Observation;

use super::Updates;
use crate::alerts::unreadable_message_alert;
use crate::queues::{LONG_POLL, SHORT_POLL};

impl Updates {
    /// Sends queued updates.
    pub(super) async fn enqueue(&self, queued_updates: Vec<QueuedUpdate>) -> Vec<Observation> {
        let accounts = queued_updates.iter().map(|queued_update| queued_update.account.clone());
        match self.ports.queue.send(&queued_updates).await {
            Err(error) => {
                let (accounts, reason) = (accounts.collect(), error.to_string());
                vec![Observation::EnqueueFailed { accounts, reason }]
            }
            Ok(refused) => {
                let queued = accounts
                    .filter(|id| !refused.iter().any(|(account, _)| account == id))
                    .collect();
                let mut observations = vec![Observation::Queued(queued)];
                observations.extend(refused.iter().map(|(account, reason)| {
                    let accounts = vec![account.clone()];
                    Observation::EnqueueFailed { accounts, reason: reason.clone() }
                }));
                observations
            }
        }
    }

    /// Receives queued updates.
    pub(super) async fn receive(&self, max: usize) -> Observation {
        let poll = match self.kind {
            HostKind::Service => LONG_POLL,
            HostKind::Lambda => SHORT_POLL,
        };
        let messages = match self.ports.queue.receive(max, poll).await {
            Ok(messages) => messages,
            Err(error) => {
                return Observation::ReceiveFailed { reason: error.to_string() };
            }
        };
        let mut received = Vec::new();
        for message in messages {
            match message {
                Ok(message) => received.push(message),
                Err(message) => {
                    if self
                        .alerter
                        .try_publish(&unreadable_message_alert("updates", &message))
                        .await
                        && let Err(error) = self.ports.queue.reject(&message).await
                    {
                        self.alerter.alert_unmoved("updates", &error).await;
                    }
                }
            }
        }
        if received.is_empty() {
            match self.ports.queue.is_empty().await {
                Ok(true) => return Observation::QueueEmpty,
                Ok(false) => {}
                // The only effect is that lost messages are sent again later.
                Err(error) => {
                    tracing::debug!(%error, "could not count the messages of the updates queue")
                }
            }
        }
        Observation::Received(received)
    }

    /// Deletes a queued update that is obsolete. If that fails, it comes again and is deleted then.
    pub(super) async fn delete_message(&self, receipt_handle: &str) {
        if let Err(error) = self.ports.queue.delete(receipt_handle).await {
            tracing::warn!(%error, "could not delete a message");
        }
    }

    /// Hides a queued update for this time.
    pub(super) async fn postpone_message(&self, receipt_handle: &str, delay: Duration) {
        if let Err(error) = self.ports.queue.postpone(receipt_handle, delay).await {
            tracing::warn!(%error, "could not postpone a message");
        }
    }
}
