//! Core's notifications queue on an SQS FIFO queue.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::onboarding::QueuedNotification;
use groundcrew_core::ports::NotificationQueue;

use crate::dead_letters::hash;
use crate::error::{of_write, unexpected};

/// The notifications queue.
#[derive(Debug)]
pub struct SqsNotifications {
    client: Client,
    url: String,
}

impl SqsNotifications {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }
}

#[async_trait]
impl NotificationQueue for SqsNotifications {
    async fn send(&self, notification: &QueuedNotification) -> Result<(), AwsError> {
        const OPERATION: &str = "SendMessage";
        let body = serde_json::to_string(notification)
            .map_err(|error| unexpected(OPERATION, Class::Permanent, error.to_string()))?;
        // SQS takes ids of at most 128 letters, digits and punctuation: a hash always fits.
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(hash(&[&notification.notifier, notification.account.as_str()]))
            .message_deduplication_id(hash(&[notification.key.as_str(), &notification.event]))
            .message_body(body)
            .send()
            .await
            .map_err(|error| of_write(OPERATION, error))?;
        Ok(())
    }
}
