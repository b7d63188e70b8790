//! Core's notifications queue on an SQS FIFO queue and its dead-letter queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::onboarding::{NotificationDeadLetter, QueuedNotification};
use groundcrew_core::ports::{
    NotificationQueue, ReceivedNotification, RemovedDeadLetters, UnreadableMessage,
};
use jiff::Timestamp;

use crate::dead_letter_queue::{DeadLetterHandler, DeadLetterQueue, content_hash};
use crate::error::{unexpected, write_error};
use crate::sqs::{MAX_BATCH_SIZE, Message, Queue};

/// The notifications queue.
#[derive(Debug)]
pub struct SqsNotificationQueue {
    queue: Queue,
    dead_letter_queue: DeadLetterQueue,
}

impl SqsNotificationQueue {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let queue = Queue { client, url: url.into() };
        Self { dead_letter_queue: DeadLetterQueue::for_source(queue.clone()), queue }
    }
}

/// The group: a system that is down delays no other system, and the notifications of one account
/// keep their order. SQS takes ids of at most 128 letters, digits and punctuation marks, and a hash
/// always fits.
fn message_group_id(notification: &QueuedNotification) -> String {
    match &notification.account {
        Some(account) => content_hash(&[&notification.notifier, account.as_str()]),
        // A notification without an account waits for no other.
        None => content_hash(&[&notification.notifier, notification.key.as_str()]),
    }
}

/// SQS keeps this id for five minutes, even after the message is deleted. A redriven notification
/// needs another id.
fn deduplication_id(notification: &QueuedNotification) -> String {
    let QueuedNotification { key, event, redriven, .. } = notification;
    let event = event.as_deref().unwrap_or("swept");
    match redriven {
        0 => content_hash(&[key.as_str(), event]),
        receive_count => content_hash(&[key.as_str(), event, &receive_count.to_string()]),
    }
}

#[async_trait]
impl NotificationQueue for SqsNotificationQueue {
    async fn send(&self, notification: &QueuedNotification) -> Result<(), AwsError> {
        const OPERATION: &str = "SendMessage";
        let body = serde_json::to_string(notification)
            .map_err(|error| unexpected(OPERATION, ErrorClass::Permanent, error.to_string()))?;
        let Queue { client, url } = &self.queue;
        client
            .send_message()
            .queue_url(url)
            .message_group_id(message_group_id(notification))
            .message_deduplication_id(deduplication_id(notification))
            .message_body(body)
            .send()
            .await
            .map_err(|error| write_error(OPERATION, error))?;
        Ok(())
    }

    async fn receive(
        &self,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedNotification, UnreadableMessage>>, AwsError> {
        let messages = self.queue.receive(MAX_BATCH_SIZE, wait).await?.into_iter();
        Ok(messages
            .map(|Message { body, receipt_handle, receive_count, .. }| {
                match serde_json::from_str(&body) {
                    Ok(notification) => {
                        Ok(ReceivedNotification { notification, receipt_handle, receive_count })
                    }
                    Err(error) => {
                        let reason = format!("not a message of the notifications queue: {error}");
                        Err(UnreadableMessage { reason, body, receipt_handle })
                    }
                }
            })
            .collect())
    }

    async fn reject(&self, message: &UnreadableMessage) -> Result<(), AwsError> {
        self.dead_letter_queue
            .move_unreadable(&message.body, &message.reason, &message.receipt_handle)
            .await
    }

    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError> {
        self.queue.delete(receipt_handle).await
    }

    async fn postpone(&self, receipt_handle: &str, delay: Duration) -> Result<(), AwsError> {
        self.queue.change_visibility(receipt_handle, delay).await
    }

    async fn dead_letter(
        &self,
        notification: &QueuedNotification,
        reason: &str,
    ) -> Result<(), AwsError> {
        let letter = NotificationDeadLetter {
            notification: notification.clone(),
            reason: reason.to_owned(),
        };
        let body = serde_json::to_string(&letter)
            .map_err(|error| unexpected("SendMessage", ErrorClass::Permanent, error.to_string()))?;
        self.dead_letter_queue.send(&message_group_id(notification), body).await
    }

    async fn redrive(
        &self,
        notifier: &str,
        began: Timestamp,
    ) -> Result<RemovedDeadLetters, AwsError> {
        // A dead letter of groundcrew, or the original message if SQS itself moved it there.
        let notification = |body: &str| {
            let letter = serde_json::from_str::<QueuedNotification>(body).ok()?;
            (letter.notifier == notifier).then_some(letter)
        };
        let again = |body: &str| -> DeadLetterHandler<'_> {
            let letter = notification(body);
            Box::pin(async move {
                let Some(mut notification) = letter else { return Ok(()) };
                // A new id for the message, because SQS may still have the first one.
                notification.redriven += 1;
                self.send(&notification).await
            })
        };
        self.dead_letter_queue.drain(began, &|body: &str| notification(body).is_some(), again).await
    }
}
