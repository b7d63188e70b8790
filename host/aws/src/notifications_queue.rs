//! Core's notifications queue on an SQS FIFO queue and its dead-letter queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::onboarding::{NotificationLetter, QueuedNotification};
use groundcrew_core::ports::{Delivery, NotificationQueue, Unreadable};
use serde_json::json;

use crate::dead_letters::{DeadLetters, hash};
use crate::error::{of_read, of_write, unexpected};
use crate::updates_queue::{BATCH, LONGEST_VISIBILITY, LONGEST_WAIT, worthless};

/// The notifications queue.
#[derive(Debug)]
pub struct SqsNotifications {
    client: Client,
    url: String,
    dead: DeadLetters,
}

impl SqsNotifications {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let url = url.into();
        Self { dead: DeadLetters::of(client.clone(), url.as_str()), client, url }
    }

    async fn send_as(
        &self,
        notification: &QueuedNotification,
        deduplication_id: String,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "SendMessage";
        let body = serde_json::to_string(notification)
            .map_err(|error| unexpected(OPERATION, Class::Permanent, error.to_string()))?;
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group(notification))
            .message_deduplication_id(deduplication_id)
            .message_body(body)
            .send()
            .await
            .map_err(|error| of_write(OPERATION, error))?;
        Ok(())
    }
}

/// A system that is down delays no other, and of one account nothing overtakes what was before.
/// SQS takes ids of at most 128 letters, digits and punctuation: a hash always fits.
fn group(notification: &QueuedNotification) -> String {
    match &notification.account {
        Some(account) => hash(&[&notification.notifier, account.as_str()]),
        // What is about no account waits for nothing else.
        None => hash(&[&notification.notifier, notification.key.as_str()]),
    }
}

/// SQS remembers it for five minutes, even of deleted messages: what is redriven needs another.
fn deduplication_id(notification: &QueuedNotification) -> String {
    let QueuedNotification { key, event, redriven, .. } = notification;
    let event = event.as_deref().unwrap_or("swept");
    match redriven {
        0 => hash(&[key.as_str(), event]),
        times => hash(&[key.as_str(), event, &times.to_string()]),
    }
}

#[async_trait]
impl NotificationQueue for SqsNotifications {
    async fn send(&self, notification: &QueuedNotification) -> Result<(), AwsError> {
        self.send_as(notification, deduplication_id(notification)).await
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<Result<Delivery, Unreadable>>, AwsError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH as i32)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .wait_time_seconds(wait.min(LONGEST_WAIT).as_secs() as i32)
            .send()
            .await
            .map_err(|error| of_read("ReceiveMessage", error))?;
        let mut received = Vec::new();
        for message in answer.messages.unwrap_or_default() {
            let count = MessageSystemAttributeName::ApproximateReceiveCount;
            let times = message
                .attributes
                .as_ref()
                .and_then(|attributes| attributes.get(&count)?.parse().ok())
                .unwrap_or(1);
            let body = message.body.unwrap_or_default();
            let receipt = message.receipt_handle.unwrap_or_default();
            received.push(match serde_json::from_str(&body) {
                Ok(notification) => Ok(Delivery { notification, receipt, times }),
                Err(error) => {
                    let reason = format!("not a message of the notifications queue: {error}");
                    Err(Unreadable { reason, body, receipt })
                }
            });
        }
        Ok(received)
    }

    async fn reject(&self, message: &Unreadable) -> Result<(), AwsError> {
        // There twice rather than lost, if this ends between the two calls.
        let body = json!({ "unreadable": message.body, "reason": message.reason });
        self.dead.put("unreadable", body.to_string()).await?;
        self.delete(&message.receipt).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), AwsError> {
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt);
        delete.send().await.map_err(|error| worthless(of_write("DeleteMessage", error)))?;
        Ok(())
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<(), AwsError> {
        let seconds = delay.min(LONGEST_VISIBILITY).as_secs() as i32;
        let hide = self.client.change_message_visibility().queue_url(&self.url);
        let hide = hide.receipt_handle(receipt).visibility_timeout(seconds);
        hide.send().await.map_err(|error| worthless(of_write("ChangeMessageVisibility", error)))?;
        Ok(())
    }

    async fn dead_letter(
        &self,
        notification: &QueuedNotification,
        reason: &str,
    ) -> Result<(), AwsError> {
        let letter =
            NotificationLetter { notification: notification.clone(), reason: reason.to_owned() };
        let body = serde_json::to_string(&letter)
            .map_err(|error| unexpected("SendMessage", Class::Permanent, error.to_string()))?;
        self.dead.put(&group(notification), body).await
    }

    async fn redrive(&self, notifier: &str) -> Result<usize, AwsError> {
        // A letter of groundcrew's, or the message as it was when SQS itself moved it there.
        let notification = |body: &str| {
            let letter = serde_json::from_str::<QueuedNotification>(body).ok()?;
            (letter.notifier == notifier).then_some(letter)
        };
        let mut again = 0;
        loop {
            let letters = self.dead.matching(&|body: &str| notification(body).is_some()).await?;
            // What follows in the group of a letter is seen once that is removed.
            if letters.is_empty() {
                return Ok(again);
            }
            for letter in letters {
                let Some(mut notification) = notification(&letter.body) else { continue };
                notification.redriven += 1;
                // Under an id of its own: SQS may still remember that of the first time.
                let id = deduplication_id(&notification);
                self.send_as(&notification, id).await?;
                self.dead.remove(letter).await?;
                again += 1;
            }
        }
    }
}
