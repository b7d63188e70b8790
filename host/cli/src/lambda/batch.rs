//! Batches of the notifications queue, which Lambda takes out of SQS and deletes from it, but for
//! what the answer names as failed ("Reporting batch item failures for Lambda functions with an
//! Amazon SQS trigger").
//!
//! What is to be tried again was hidden until then, as everywhere; named as failed it stays in
//! the queue. Of a FIFO queue whatever follows it in its group must be named as well: otherwise
//! Lambda would delete it untold.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use groundcrew_core::ports::{Alerts, Delivery, NotificationQueue, Unreadable};
use groundcrew_engine::onboarding::Onboarding;
use groundcrew_engine::unreadable;
use serde::Deserialize;
use serde_json::{Value, json};

/// A batch as Lambda hands it over.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    attributes: Attributes,
    event_source: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    message_group_id: Option<String>,
    approximate_receive_count: Option<String>,
}

/// The batch, if the payload is one of SQS.
pub fn read(payload: &str) -> Option<Batch> {
    let batch: Batch = serde_json::from_str(payload).ok()?;
    let of_sqs = |record: &Record| record.event_source == "aws:sqs";
    (!batch.records.is_empty() && batch.records.iter().all(of_sqs)).then_some(batch)
}

/// Tells what is in a batch, and answers what is to stay in the queue.
pub async fn take(
    batch: Batch,
    onboarding: &Onboarding,
    queue: &dyn NotificationQueue,
    alerts: &dyn Alerts,
) -> Value {
    let mut groups: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in batch.records {
        // Without a group, as of a standard queue, each is on its own.
        let group = record.attributes.message_group_id.clone();
        groups.entry(group.unwrap_or_else(|| record.message_id.clone())).or_default().push(record);
    }
    let stay = groups.into_values().map(async |group| {
        let mut stay = Vec::new();
        for record in group {
            // In their order: what follows waits for what was before it.
            if !stay.is_empty() || stays(&record, onboarding, queue, alerts).await {
                stay.push(json!({ "itemIdentifier": record.message_id }));
            }
        }
        stay
    });
    let stay: Vec<Value> = join_all(stay).await.into_iter().flatten().collect();
    json!({ "batchItemFailures": stay })
}

/// Sees to one message, and answers whether it is to stay in the queue.
async fn stays(
    record: &Record,
    onboarding: &Onboarding,
    queue: &dyn NotificationQueue,
    alerts: &dyn Alerts,
) -> bool {
    let times = record.attributes.approximate_receive_count.as_deref();
    match serde_json::from_str(&record.body) {
        Ok(notification) => {
            let receipt = record.receipt_handle.clone();
            let times = times.and_then(|times| times.parse().ok()).unwrap_or(1);
            let delivery = Delivery { notification, receipt, times };
            onboarding.take(queue, &delivery).await.stays
        }
        Err(error) => {
            let message = Unreadable {
                reason: format!("not a message of the notifications queue: {error}"),
                body: record.body.clone(),
                receipt: record.receipt_handle.clone(),
            };
            let put_away = match alerts.publish(&unreadable("notifications", &message)).await {
                Ok(()) => queue.reject(&message).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &put_away {
                tracing::error!(%error, "could not put away a message that can't be read");
            }
            put_away.is_err()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::batch(
        r#"{"Records":[{"messageId":"1","receiptHandle":"r","body":"b","eventSource":"aws:sqs",
            "attributes":{"MessageGroupId":"g","ApproximateReceiveCount":"3","SentTimestamp":"1"}}]}"#,
        Some(("g", "3"))
    )]
    #[case::event(r#"{"source":"aws.controltower","detail":{"eventName":"X"}}"#, None)]
    #[case::empty(r#"{"Records":[]}"#, None)]
    #[case::of_another(
        r#"{"Records":[{"messageId":"1","receiptHandle":"r","eventSource":"aws:s3"}]}"#,
        None
    )]
    fn batches_are_told_from_events(#[case] payload: &str, #[case] expected: Option<(&str, &str)>) {
        let batch = read(payload);
        let first = batch.as_ref().map(|batch| {
            let attributes = &batch.records[0].attributes;
            (
                attributes.message_group_id.as_deref().unwrap(),
                attributes.approximate_receive_count.as_deref().unwrap(),
            )
        });
        assert_eq!(first, expected);
    }
}
