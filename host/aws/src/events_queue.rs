//! Core's event queue on a standard SQS queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::ports::{EventQueue, Received};
use serde_json::json;

use crate::dead_letters::DeadLetters;
use crate::error::{of_read, of_write};

/// Most messages that SQS gives at once.
const BATCH: i32 = 10;

/// Longest that SQS waits for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The queue that EventBridge delivers to.
#[derive(Debug)]
pub struct SqsEvents {
    client: Client,
    url: String,
    dead: DeadLetters,
}

impl SqsEvents {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let url = url.into();
        Self { dead: DeadLetters::of(client.clone(), url.as_str()), client, url }
    }
}

#[async_trait]
impl EventQueue for SqsEvents {
    async fn receive(&self, wait: Duration) -> Result<Vec<Received<String>>, AwsError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(wait.min(LONGEST_WAIT).as_secs() as i32)
            .send()
            .await
            // A message whose answer was lost is seen again after its visibility timeout.
            .map_err(|error| of_read("ReceiveMessage", error))?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| Received {
                body: message.body.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
            })
            .collect())
    }

    async fn delete(&self, receipt: &str) -> Result<(), AwsError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .send()
            .await
            .map_err(|error| of_write("DeleteMessage", error))?;
        Ok(())
    }

    async fn reject(&self, event: &Received<String>, reason: &str) -> Result<(), AwsError> {
        // Told twice rather than lost, if this ends between the two calls.
        let body = json!({ "unreadable": event.body, "reason": reason });
        self.dead.put("unreadable", body.to_string()).await?;
        self.delete(&event.receipt).await
    }
}
