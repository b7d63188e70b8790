//! Batches of SQS messages. Lambda deletes the messages of a batch from the queue, except those
//! that the response names as failed ("Reporting batch item failures for Lambda functions with an
//! Amazon SQS trigger"). A message is either one of the notifications queue, or it carries events
//! that EventBridge or SNS has sent.
//!
//! A message that is to be retried has got its visibility timeout, as in the service. Named as
//! failed, it stays in the queue. In a FIFO queue the messages after it in its group must be named
//! as failed as well: otherwise Lambda would delete them undelivered. A message of events that
//! can't be read stays too, until the queue's own redrive policy moves it to its dead-letter queue.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;
use groundcrew_core::envelope;
use groundcrew_core::onboarding::QueuedNotification;
use groundcrew_core::ports::{Alerts, NotificationQueue, ReceivedNotification, UnreadableMessage};
use groundcrew_engine::notifications::Notifications;
use groundcrew_engine::unreadable_message_alert;
use jiff::Timestamp;

use crate::handle::failure_summary;

/// The batch, if the payload is an SQS batch. Its messages have a receipt handle, and an id by
/// which the response names them.
pub fn read(payload: &str) -> Option<SqsEvent> {
    let batch: SqsEvent = serde_json::from_str(payload).ok()?;
    let of_sqs = |message: &SqsMessage| {
        message.event_source.as_deref() == Some("aws:sqs")
            && message.message_id.is_some()
            && message.receipt_handle.is_some()
    };
    (!batch.records.is_empty() && batch.records.iter().all(of_sqs)).then_some(batch)
}

/// The notifications queue and its name.
pub type NamedQueue<'a> = Option<(&'a dyn NotificationQueue, &'a str)>;

/// Processes a batch, and returns the messages that are to stay in the queue.
///
/// # Errors
/// When no message could be handled: then the whole batch stays, even if the mapping doesn't report
/// item failures.
pub async fn process_batch(
    batch: SqsEvent,
    notifications: &Notifications,
    queue: NamedQueue<'_>,
    alerts: &dyn Alerts,
    until: Option<Timestamp>,
) -> Result<SqsBatchResponse, String> {
    let total = batch.records.len();
    let mut groups: BTreeMap<String, Vec<SqsMessage>> = BTreeMap::new();
    for message in batch.records {
        // A message without a group, as in a standard queue, is independent.
        let group = message.attributes.get("MessageGroupId").or(message.message_id.as_ref());
        groups.entry(group.cloned().unwrap_or_default()).or_default().push(message);
    }
    let left = groups.into_values().map(async |group| {
        let mut left: Vec<(String, Option<String>)> = Vec::new();
        for message in group {
            // In order: a message waits for those before it in its group.
            let still_queued = match left.is_empty() {
                true => process_record(&message, notifications, queue, alerts, until).await,
                false => Some(None),
            };
            left.extend(
                still_queued.map(|reason| (message.message_id.unwrap_or_default(), reason)),
            );
        }
        left
    });
    let left: Vec<_> = join_all(left).await.into_iter().flatten().collect();
    let reasons: Vec<&str> = left.iter().filter_map(|(_, reason)| reason.as_deref()).collect();
    if left.len() == total && reasons.len() == total {
        return Err(reasons.join("; "));
    }
    let mut answer = SqsBatchResponse::default();
    answer.set_failures(left.into_iter().map(|(id, _)| id));
    Ok(answer)
}

/// Processes one message; `None` if it is done. Otherwise it is to stay in the queue: with an
/// error, unless it is a message of the notifications queue, for which staying is not a fault.
async fn process_record(
    message: &SqsMessage,
    notifications: &Notifications,
    queue: NamedQueue<'_>,
    alerts: &dyn Alerts,
    until: Option<Timestamp>,
) -> Option<Option<String>> {
    let body = message.body.as_deref().unwrap_or_default();
    let receipt_handle = message.receipt_handle.clone().unwrap_or_default();
    let notification = serde_json::from_str::<QueuedNotification>(body);
    match (notification, queue) {
        (Ok(notification), Some((queue, _))) => {
            let receive_count = message.attributes.get("ApproximateReceiveCount");
            let receive_count =
                receive_count.and_then(|receive_count| receive_count.parse().ok()).unwrap_or(1);
            let message = ReceivedNotification { notification, receipt_handle, receive_count };
            notifications.process_message(queue, &message).await.still_queued.then_some(None)
        }
        (Ok(_), None) => Some(Some(
            "a message of the notifications queue came, but the config names no \
             `queues.notifications_url`"
                .to_owned(),
        )),
        (Err(error), Some((queue, name))) if is_unreadable(message, name) => {
            let unread = UnreadableMessage {
                reason: format!("not a message of the notifications queue: {error}"),
                body: body.to_owned(),
                receipt_handle,
            };
            let rejected =
                match alerts.publish(&unreadable_message_alert("notifications", &unread)).await {
                    Ok(()) => queue.reject(&unread).await,
                    Err(error) => Err(error),
                };
            if let Err(error) = &rejected {
                tracing::error!(%error, "could not move an unreadable message to the dead-letter \
                                         queue");
            }
            rejected.is_err().then_some(None)
        }
        (Err(_), _) => {
            let handled = notifications.handle_all(body, until).await;
            let failures: Vec<String> = handled.iter().filter_map(failure_summary).collect();
            (!failures.is_empty()).then(|| Some(failures.join("; ")))
        }
    }
}

/// Whether a message of the notifications queue is neither its own kind nor an event. The queue is
/// recognized by its name, if the record has one.
fn is_unreadable(message: &SqsMessage, name: &str) -> bool {
    let arn = message.event_source_arn.as_deref().unwrap_or_default();
    let queue = arn.rsplit(':').next().unwrap_or_default();
    let body = message.body.as_deref().unwrap_or_default();
    (queue.is_empty() || queue == name) && !envelope::events(body).iter().any(Result::is_ok)
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
            let text = |name: &str| attributes.get(name).unwrap().as_str();
            (text("MessageGroupId"), text("ApproximateReceiveCount"))
        });
        assert_eq!(first, expected);
    }
}
