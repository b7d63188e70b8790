//! Core's updates queue on an SQS FIFO queue and its dead-letter queue.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::ports::{Cleared, DeadLetter, Hint, Received, Unreadable, UpdateQueue};
use jiff::Timestamp;
use serde::Serialize;

use crate::dead_letters::{DeadLetters, hash};
use crate::error::{of_write, unexpected};
use crate::queue_depth::counts;
use crate::sqs::{BATCH, Message, Queue};

/// The updates queue.
#[derive(Debug)]
pub struct SqsUpdates {
    queue: Queue,
    dead: DeadLetters,
}

impl SqsUpdates {
    /// The queue with this URL. Its redrive policy names its dead-letter queue.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let queue = Queue { client, url: url.into() };
        Self { dead: DeadLetters::of(queue.clone()), queue }
    }
}

#[async_trait]
impl UpdateQueue for SqsUpdates {
    async fn send(&self, hints: &[Hint]) -> Result<Vec<(AccountId, String)>, AwsError> {
        const OPERATION: &str = "SendMessageBatch";
        let mut refused = Vec::new();
        for batch in hints.chunks(BATCH) {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(index, hint)| entry(index, hint))
                .collect::<Result<Vec<_>, _>>()?;
            let answer = self
                .queue
                .client
                .send_message_batch()
                .queue_url(&self.queue.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| of_write(OPERATION, error))?;
            for failed in answer.failed {
                let hint = failed.id.parse().ok().and_then(|index: usize| batch.get(index));
                if let Some(hint) = hint {
                    let reason = failed.message.unwrap_or_default();
                    refused.push((hint.account.clone(), format!("{}: {reason}", failed.code)));
                }
            }
        }
        Ok(refused)
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Result<Received<Hint>, Unreadable>>, AwsError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let messages = self.queue.receive(max, wait).await?.into_iter();
        Ok(messages
            .map(|Message { body, receipt, .. }| match serde_json::from_str(&body) {
                Ok(hint) => Ok(Received { body: hint, receipt }),
                Err(error) => {
                    let reason = format!("not a message of groundcrew's updates queue: {error}");
                    Err(Unreadable { reason, body, receipt })
                }
            })
            .collect())
    }

    async fn reject(&self, message: &Unreadable) -> Result<(), AwsError> {
        self.dead.take(&message.body, &message.reason, &message.receipt).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), AwsError> {
        self.queue.delete(receipt).await
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<(), AwsError> {
        self.queue.hide(receipt, delay).await
    }

    async fn is_empty(&self) -> Result<bool, AwsError> {
        Ok(counts(&self.queue).await? == [0; 3])
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), AwsError> {
        let body = text("SendMessage", letter)?;
        self.dead.put(letter.account.as_str(), body).await
    }

    async fn remove_letters(
        &self,
        accounts: &BTreeSet<AccountId>,
        began: Timestamp,
    ) -> Result<Cleared, AwsError> {
        let is_one = |body: &str| {
            serde_json::from_str::<DeadLetter>(body)
                .is_ok_and(|letter| accounts.contains(&letter.account))
        };
        self.dead.clear(began, &is_one, |_| Box::pin(async { Ok(()) })).await
    }
}

fn entry(index: usize, hint: &Hint) -> Result<SendMessageBatchRequestEntry, AwsError> {
    const OPERATION: &str = "SendMessageBatch";
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_group_id(hint.account.as_str())
        .message_deduplication_id(deduplication_id(hint))
        .message_body(text(OPERATION, hint)?)
        .build()
        .map_err(|error| unexpected(OPERATION, Class::Permanent, error.to_string()))
}

/// SQS remembers it for five minutes, even of deleted messages: another attempt, and
/// another handing over, needs another one.
fn deduplication_id(hint: &Hint) -> String {
    let (attempt, serial) = (hint.attempt.to_string(), hint.serial.to_string());
    hash(&[hint.provisioned_product.as_str(), hint.target.as_str(), &attempt, &serial])
}

fn text(operation: &'static str, message: &impl Serialize) -> Result<String, AwsError> {
    serde_json::to_string(message)
        .map_err(|error| unexpected(operation, Class::Permanent, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};

    fn hint(attempt: u32) -> Hint {
        Hint {
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
        let id = deduplication_id(&hint(1));
        assert_eq!(id, deduplication_id(&hint(1)));
        assert_ne!(id, deduplication_id(&hint(2)));
        assert_ne!(id, deduplication_id(&Hint { serial: 2, ..hint(1) }));
        // SQS takes up to 128 characters.
        assert_eq!(id.len(), 64);
    }

    #[test]
    fn the_lane_is_no_part_of_what_a_message_repeats() {
        let other = Hint { lane: "others".into(), ..hint(1) };
        assert_eq!(deduplication_id(&other), deduplication_id(&hint(1)));
    }
}
