//! Core's updates queue on an SQS FIFO queue and its dead-letter queue.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::ports::{
    DeadLetter, QueuedUpdate, ReceivedMessage, RemovedDeadLetters, UnreadableMessage, UpdateQueue,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::dead_letter_queue::{DeadLetterQueue, content_hash};
use crate::error::{unexpected, write_error};
use crate::queue_depth::message_counts;
use crate::sqs::{MAX_BATCH_SIZE, Message, Queue};

/// The updates queue.
#[derive(Debug)]
pub struct SqsUpdateQueue {
    queue: Queue,
    dead_letter_queue: DeadLetterQueue,
}

impl SqsUpdateQueue {
    /// The queue with this URL. Its redrive policy names its dead-letter queue.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let queue = Queue { client, url: url.into() };
        Self { dead_letter_queue: DeadLetterQueue::for_source(queue.clone()), queue }
    }
}

#[async_trait]
impl UpdateQueue for SqsUpdateQueue {
    async fn send(
        &self,
        queued_updates: &[QueuedUpdate],
    ) -> Result<Vec<(AccountId, String)>, AwsError> {
        const OPERATION: &str = "SendMessageBatch";
        let mut refused = Vec::new();
        for batch in queued_updates.chunks(MAX_BATCH_SIZE) {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(index, queued_update)| batch_entry(index, queued_update))
                .collect::<Result<Vec<_>, _>>()?;
            let answer = self
                .queue
                .client
                .send_message_batch()
                .queue_url(&self.queue.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| write_error(OPERATION, error))?;
            for failed in answer.failed {
                let queued_update =
                    failed.id.parse().ok().and_then(|index: usize| batch.get(index));
                if let Some(queued_update) = queued_update {
                    let reason = failed.message.unwrap_or_default();
                    refused.push((
                        queued_update.account.clone(),
                        format!("{}: {reason}", failed.code),
                    ));
                }
            }
        }
        Ok(refused)
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedMessage<QueuedUpdate>, UnreadableMessage>>, AwsError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let messages = self.queue.receive(max, wait).await?.into_iter();
        Ok(messages
            .map(|Message { body, receipt_handle, .. }| match serde_json::from_str(&body) {
                Ok(queued_update) => Ok(ReceivedMessage { body: queued_update, receipt_handle }),
                Err(error) => {
                    let reason = format!("not a message of groundcrew's updates queue: {error}");
                    Err(UnreadableMessage { reason, body, receipt_handle })
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

    async fn is_empty(&self) -> Result<bool, AwsError> {
        Ok(message_counts(&self.queue).await? == [0; 3])
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), AwsError> {
        let body = to_json("SendMessage", letter)?;
        self.dead_letter_queue.send(letter.account.as_str(), body).await
    }

    async fn remove_dead_letters(
        &self,
        accounts: &BTreeSet<AccountId>,
        began: Timestamp,
    ) -> Result<RemovedDeadLetters, AwsError> {
        let is_one = |body: &str| {
            serde_json::from_str::<DeadLetter>(body)
                .is_ok_and(|letter| accounts.contains(&letter.account))
        };
        self.dead_letter_queue.drain(began, &is_one, |_| Box::pin(async { Ok(()) })).await
    }
}

fn batch_entry(
    index: usize,
    queued_update: &QueuedUpdate,
) -> Result<SendMessageBatchRequestEntry, AwsError> {
    const OPERATION: &str = "SendMessageBatch";
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_group_id(queued_update.account.as_str())
        .message_deduplication_id(deduplication_id(queued_update))
        .message_body(to_json(OPERATION, queued_update)?)
        .build()
        .map_err(|error| unexpected(OPERATION, ErrorClass::Permanent, error.to_string()))
}

/// SQS keeps this id for five minutes, even after the message is deleted. Another attempt needs
/// another id, and so does an account that is queued again.
fn deduplication_id(queued_update: &QueuedUpdate) -> String {
    let (attempt, serial) = (queued_update.attempt.to_string(), queued_update.serial.to_string());
    content_hash(&[
        queued_update.provisioned_product.as_str(),
        queued_update.target.as_str(),
        &attempt,
        &serial,
    ])
}

fn to_json(operation: &'static str, message: &impl Serialize) -> Result<String, AwsError> {
    serde_json::to_string(message)
        .map_err(|error| unexpected(operation, ErrorClass::Permanent, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};

    fn queued_update(attempt: u32) -> QueuedUpdate {
        QueuedUpdate {
            account: "111122223333".parse().unwrap(),
            provisioned_product: ProvisionedProductId::new("pp-1"),
            target: ArtifactId::new("pa-1"),
            lane: "tagged".into(),
            attempt,
            serial: 1,
        }
    }

    #[test]
    fn another_attempt_is_another_message() {
        let id = deduplication_id(&queued_update(1));
        assert_eq!(id, deduplication_id(&queued_update(1)));
        assert_ne!(id, deduplication_id(&queued_update(2)));
        assert_ne!(id, deduplication_id(&QueuedUpdate { serial: 2, ..queued_update(1) }));
        // SQS takes up to 128 characters.
        assert_eq!(id.len(), 64);
    }

    #[test]
    fn the_lane_is_no_part_of_what_a_message_repeats() {
        let other = QueuedUpdate { lane: "others".into(), ..queued_update(1) };
        assert_eq!(deduplication_id(&other), deduplication_id(&queued_update(1)));
    }
}
