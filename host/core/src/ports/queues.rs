//! The queues of updates, events and notifications. A message is never the only record: Service
//! Catalog shows which accounts are due, and the ledger has the claim of each notification.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::aws_error::AwsError;
use crate::catalog::{ArtifactId, ProvisionedProductId};
use crate::onboarding::QueuedNotification;

/// A received message, to be deleted or postponed by its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage<T> {
    /// Its content.
    pub body: T,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt_handle: String,
}

/// A message that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableMessage {
    /// What is wrong with it.
    pub reason: String,
    /// Its body.
    pub body: String,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt_handle: String,
}

/// A message of the updates queue: an account that waits for a slot. Losing one does no harm,
/// because the next sweep finds the account again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedUpdate {
    /// The account; also the message group.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// The lane that was decided for it.
    pub lane: String,
    /// 1 for the first try of this target.
    pub attempt: u32,
    /// Another number each time that the account is queued. SQS remembers the deduplication ids of
    /// deleted messages for five minutes: without the number, SQS would drop an account that is
    /// queued again within them.
    pub serial: u32,
}

/// An update that failed for good, kept in the dead-letter queue for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The account.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact that it should have been updated to.
    pub target: ArtifactId,
    /// The lane it was in.
    pub lane: String,
    /// The true AWS error.
    pub reason: String,
    /// How many updates of the account to this target have failed.
    pub attempts: u32,
    /// How often it was redriven before. SQS drops a message that is the same as one of the last
    /// five minutes.
    #[serde(default)]
    pub redriven: u32,
}

/// The approximate number of messages in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDepth {
    /// Can be received now, or after their delay.
    pub waiting: usize,
    /// Received: in progress, or hidden until the next try.
    pub hidden: usize,
    /// In its dead-letter queue.
    pub dead_letters: usize,
}

/// Result of removing dead letters from their queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedDeadLetters {
    /// The number of dead letters that were removed.
    pub removed: usize,
    /// Dead letters of the same kind that arrived after the operation began, and were not removed.
    pub arrived_since: usize,
}

/// The updates queue (SQS FIFO) and its dead-letter queue.
#[async_trait]
pub trait UpdateQueue: Send + Sync {
    /// Queues updates. SQS drops repeats within its deduplication window. Returns the accounts
    /// whose message SQS refused, with its reason.
    async fn send(
        &self,
        queued_updates: &[QueuedUpdate],
    ) -> Result<Vec<(AccountId, String)>, AwsError>;

    /// Waits up to `wait` (at most 20 s) for up to `max` (at most 10) queued updates. A message
    /// that can't be read is returned as an error. The caller rejects it once it has reported it.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedMessage<QueuedUpdate>, UnreadableMessage>>, AwsError>;

    /// Moves a message that can't be read to the dead-letter queue.
    async fn reject(&self, message: &UnreadableMessage) -> Result<(), AwsError>;

    /// Removes a message. A repeat does nothing.
    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError>;

    /// Hides a message for `delay` (at most 11 h); then it is received again.
    async fn postpone(&self, receipt_handle: &str, delay: Duration) -> Result<(), AwsError>;

    /// Whether SQS counts no message in the queue, visible, delayed or hidden. Its counts may lag
    /// by a minute.
    async fn is_empty(&self) -> Result<bool, AwsError>;

    /// Sends a dead letter to the dead-letter queue.
    async fn dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), AwsError>;

    /// Removes the dead letters of these accounts that were there at `began`, because the accounts
    /// are redriven. Others stay where they are.
    async fn remove_dead_letters(
        &self,
        accounts: &BTreeSet<AccountId>,
        began: Timestamp,
    ) -> Result<RemovedDeadLetters, AwsError>;
}

/// The queue of EventBridge events (SQS standard).
#[async_trait]
pub trait EventQueue: Send + Sync {
    /// Waits up to `wait` (at most 20 s) for events, at most 10.
    async fn receive(&self, wait: Duration) -> Result<Vec<ReceivedMessage<String>>, AwsError>;

    /// Removes an event. A repeat does nothing.
    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError>;

    /// Moves an event that can't be read to the dead-letter queue, with the reason.
    async fn reject(&self, event: &ReceivedMessage<String>, reason: &str) -> Result<(), AwsError>;
}

/// A notification that was received from the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedNotification {
    /// The notification to deliver.
    pub notification: QueuedNotification,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt_handle: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
}

/// The notifications queue (SQS FIFO).
#[async_trait]
pub trait NotificationQueue: Send + Sync {
    /// Queues one notification. Its message group is notifier and account, so that a system that is
    /// down delays no other. SQS drops a repeat within its deduplication window.
    async fn send(&self, notification: &QueuedNotification) -> Result<(), AwsError>;

    /// Waits up to `wait` (at most 20 s) for notifications, at most 10. A message that can't be
    /// read is returned as an error. The caller rejects it once it has reported it.
    async fn receive(
        &self,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedNotification, UnreadableMessage>>, AwsError>;

    /// Moves a message that can't be read to the dead-letter queue.
    async fn reject(&self, message: &UnreadableMessage) -> Result<(), AwsError>;

    /// Removes a message. A repeat does nothing.
    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError>;

    /// Hides a message for `delay` (at most 11 h), and with it the messages that follow in its
    /// group.
    async fn postpone(&self, receipt_handle: &str, delay: Duration) -> Result<(), AwsError>;

    /// Sends a notification that can't be delivered to the dead-letter queue, with the reason.
    async fn dead_letter(
        &self,
        notification: &QueuedNotification,
        reason: &str,
    ) -> Result<(), AwsError>;

    /// Queues again the notifications that were in the dead-letter queue for this notifier at
    /// `began`, each once.
    async fn redrive(
        &self,
        notifier: &str,
        began: Timestamp,
    ) -> Result<RemovedDeadLetters, AwsError>;
}
