//! Core's event queue on an SQS queue, standard or FIFO, and its dead-letter queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::ports::{EventQueue, ReceivedMessage};

use crate::dead_letter_queue::DeadLetterQueue;
use crate::sqs::{MAX_BATCH_SIZE, Queue};

/// The queue that EventBridge delivers to.
#[derive(Debug)]
pub struct SqsEventQueue {
    queue: Queue,
    dead_letter_queue: DeadLetterQueue,
}

impl SqsEventQueue {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let queue = Queue { client, url: url.into() };
        Self { dead_letter_queue: DeadLetterQueue::for_source(queue.clone()), queue }
    }
}

#[async_trait]
impl EventQueue for SqsEventQueue {
    async fn receive(&self, wait: Duration) -> Result<Vec<ReceivedMessage<String>>, AwsError> {
        let messages = self.queue.receive(MAX_BATCH_SIZE, wait).await?.into_iter();
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
        self.dead_letter_queue.move_unreadable(&event.body, reason, &event.receipt_handle).await
    }
}
