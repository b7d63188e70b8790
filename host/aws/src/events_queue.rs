//! Core's event queue on an SQS queue, a standard one or a FIFO one and its dead-letter queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::ports::{EventQueue, ReceivedMessage};

use crate::dead_letters::DeadLetters;
use crate::sqs::{BATCH, Queue};

/// The queue that EventBridge delivers to.
#[derive(Debug)]
pub struct SqsEvents {
    queue: Queue,
    dead: DeadLetters,
}

impl SqsEvents {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let queue = Queue { client, url: url.into() };
        Self { dead: DeadLetters::of(queue.clone()), queue }
    }
}

#[async_trait]
impl EventQueue for SqsEvents {
    async fn receive(&self, wait: Duration) -> Result<Vec<ReceivedMessage<String>>, AwsError> {
        let messages = self.queue.receive(BATCH, wait).await?.into_iter();
        Ok(messages
            .map(|message| ReceivedMessage {
                body: message.body,
                receipt_handle: message.receipt_handle,
            })
            .collect())
    }

    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError> {
        self.queue.delete(receipt_handle).await
    }

    async fn reject(&self, event: &ReceivedMessage<String>, reason: &str) -> Result<(), AwsError> {
        self.dead.take(&event.body, reason, &event.receipt_handle).await
    }
}
