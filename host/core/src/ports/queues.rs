//! The queues: of accounts to update, of events and of notifications. A message is never more
//! than a hint, or has its claim in the ledger.

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
    /// What it says.
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

/// A message of the updates queue: a hint that an account may be started. Dropping one
/// is harmless, since the next sweep finds the account again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedUpdate {
    /// The account; also the message group.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// The lane it was decided into.
    pub lane: String,
    /// 1 for the first try of this target.
    pub attempt: u32,
    /// Another number each time that the account is handed over. SQS remembers the
    /// deduplication ids of deleted messages for five minutes: without it, an account that is
    /// handed over again within them would be swallowed.
    pub serial: u32,
}

/// Something that could not be done, kept where an operator finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The account.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact it was to be updated to.
    pub target: ArtifactId,
    /// The lane it was in.
    pub lane: String,
    /// The true AWS error.
    pub reason: String,
    /// How many updates of the account to this target have failed.
    pub attempts: u32,
    /// How often it was redriven before. SQS swallows a letter that it had within five minutes.
    #[serde(default)]
    pub redriven: u32,
}

/// How many messages are in a queue, about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDepth {
    /// To be received now, or once their delay is over.
    pub waiting: usize,
    /// Received: they are being worked on, or hidden until they are tried again.
    pub hidden: usize,
    /// In its dead-letter queue.
    pub dead_letters: usize,
}

/// What became of taking dead letters out of their queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedDeadLetters {
    /// Letters that were taken out.
    pub removed: usize,
    /// Letters of the same kind that came after that had begun, and were left.
    pub arrived_since: usize,
}

/// The updates queue (SQS FIFO) and its dead-letter queue.
#[async_trait]
pub trait UpdateQueue: Send + Sync {
    /// Hands over hints. Repeats within SQS's deduplication window are swallowed by it.
    /// Answers the accounts whose hint SQS refused, with its reason.
    async fn send(
        &self,
        queued_updates: &[QueuedUpdate],
    ) -> Result<Vec<(AccountId, String)>, AwsError>;

    /// Waits up to `wait` (at most 20 s) for up to `max` (at most 10) hints. A message
    /// that can't be read is answered as an error, to be rejected once somebody knows of it.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedMessage<QueuedUpdate>, UnreadableMessage>>, AwsError>;

    /// Moves a message that can't be read to the dead-letter queue.
    async fn reject(&self, message: &UnreadableMessage) -> Result<(), AwsError>;

    /// Removes a message. Again it does nothing.
    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError>;

    /// Hides a message for so long (at most 11 h); then it is received again.
    async fn postpone(&self, receipt_handle: &str, delay: Duration) -> Result<(), AwsError>;

    /// Whether SQS counts no message in it, visible, delayed or hidden. Its counts may lag by a
    /// minute.
    async fn is_empty(&self) -> Result<bool, AwsError>;

    /// Puts a dead letter where an operator finds it.
    async fn dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), AwsError>;

    /// Removes the dead letters of these accounts that were there at `began`, since they are
    /// redriven. Others stay where they are.
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

    /// Removes an event. Again it does nothing.
    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError>;

    /// Moves an event that can't be read to the dead-letter queue, with the reason.
    async fn reject(&self, event: &ReceivedMessage<String>, reason: &str) -> Result<(), AwsError>;
}

/// A notification that came out of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedNotification {
    /// What is to be told.
    pub notification: QueuedNotification,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt_handle: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
}

/// The notifications queue (SQS FIFO).
#[async_trait]
pub trait NotificationQueue: Send + Sync {
    /// Hands over one notification. Its group is notifier and account, so that a system that
    /// is down delays no other. A repeat within SQS's deduplication window is swallowed.
    async fn send(&self, notification: &QueuedNotification) -> Result<(), AwsError>;

    /// Waits up to `wait` (at most 20 s) for notifications, at most 10. A message that can't be
    /// read is answered as an error, to be rejected once somebody knows of it.
    async fn receive(
        &self,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedNotification, UnreadableMessage>>, AwsError>;

    /// Moves a message that can't be read to the dead-letter queue.
    async fn reject(&self, message: &UnreadableMessage) -> Result<(), AwsError>;

    /// Removes a message. Again it does nothing.
    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError>;

    /// Hides a message for so long (at most 11 h), and with it whatever follows in its group.
    async fn postpone(&self, receipt_handle: &str, delay: Duration) -> Result<(), AwsError>;

    /// Puts a notification that can't be told where an operator finds it, with the reason.
    async fn dead_letter(
        &self,
        notification: &QueuedNotification,
        reason: &str,
    ) -> Result<(), AwsError>;

    /// Hands over again what lay in the dead-letter queue for this notifier at `began`, each once.
    async fn redrive(
        &self,
        notifier: &str,
        began: Timestamp,
    ) -> Result<RemovedDeadLetters, AwsError>;
}
