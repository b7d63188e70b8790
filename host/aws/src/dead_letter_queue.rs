//! The dead-letter queue of an SQS queue.

use std::iter::once;
use std::pin::Pin;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::ports::RemovedDeadLetters;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::error::{read_error, unexpected, write_error};
use crate::sqs::{MAX_BATCH_SIZE, Message, Queue};

/// The visibility timeout of dead letters while others are received and handled.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(600);

/// The wait of each receive. Without a wait SQS may return no messages although there are some.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);

/// The drain stops receiving after this many batches that consist of newer dead letters only. A
/// queue that is filled all the time would never be empty.
const MAX_LATE_BATCHES: usize = 10;

/// Handles a dead letter before it is deleted.
pub(crate) type DeadLetterHandler<'a> =
    Pin<Box<dyn Future<Output = Result<(), AwsError>> + Send + 'a>>;

/// The queue for messages that can't be processed: the one that the redrive policy of another queue
/// names.
#[derive(Debug)]
pub(crate) struct DeadLetterQueue {
    source: Queue,
    /// The queue, after its lookup.
    queue: OnceCell<Queue>,
}

impl DeadLetterQueue {
    /// The dead-letter queue of this queue.
    pub(crate) fn for_source(source: Queue) -> Self {
        Self { source, queue: OnceCell::new() }
    }

    /// The queue, looked up once.
    pub(crate) async fn queue(&self) -> Result<&Queue, AwsError> {
        self.queue.get_or_try_init(|| self.look_up()).await
    }

    /// Sends a body there. A FIFO queue drops the same body again within five minutes.
    pub(crate) async fn send(&self, group: &str, body: String) -> Result<(), AwsError> {
        let Queue { client, url } = self.queue().await?;
        let fifo = url.ends_with(".fifo");
        client
            .send_message()
            .queue_url(url)
            .set_message_group_id(fifo.then(|| group.to_owned()))
            .set_message_deduplication_id(fifo.then(|| content_hash(&[&body])))
            .message_body(body)
            .send()
            .await
            .map_err(|error| write_error("SendMessage", error))?;
        Ok(())
    }

    /// Moves an unreadable message here from the source queue.
    pub(crate) async fn move_unreadable(
        &self,
        body: &str,
        reason: &str,
        receipt_handle: &str,
    ) -> Result<(), AwsError> {
        // If the process ends between the two calls, the message is in both queues rather than
        // lost.
        let dead_letter = json!({ "unreadable": body, "reason": reason });
        self.send("unreadable", dead_letter.to_string()).await?;
        self.source.delete(receipt_handle).await
    }

    /// Handles each matching dead letter that was in the queue at `began`, and deletes it. After a
    /// failure the remaining ones are made visible, so that a retry receives them at once.
    ///
    /// Later dead letters stay in the queue. The service may fail again at once on what this drain
    /// returns to it, so the drain would not end as long as the cause lasts.
    pub(crate) async fn drain<'a>(
        &self,
        began: Timestamp,
        matches: &(dyn Fn(&str) -> bool + Send + Sync),
        handle: impl Fn(&str) -> DeadLetterHandler<'a>,
    ) -> Result<RemovedDeadLetters, AwsError> {
        let queue = self.queue().await?;
        let mut cleared = RemovedDeadLetters::default();
        loop {
            let (dead_letters, later) = receive_matching(queue, began, matches).await?;
            cleared.arrived_since = later;
            let mut dead_letters = dead_letters.into_iter().peekable();
            // The next dead letters of a group become visible when those before them are deleted.
            if dead_letters.peek().is_none() {
                return Ok(cleared);
            }
            while let Some(dead_letter) = dead_letters.next() {
                let done = match handle(&dead_letter.body).await {
                    Ok(()) => queue.delete(&dead_letter.receipt_handle).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = done {
                    make_visible(queue, once(dead_letter).chain(dead_letters)).await;
                    return Err(error);
                }
                cleared.removed += 1;
            }
        }
    }

    async fn look_up(&self) -> Result<Queue, AwsError> {
        const OPERATION: &str = "GetQueueAttributes";
        let Queue { client, url } = &self.source;
        let answer = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| read_error(OPERATION, error))?;
        let policy: Option<Value> = answer
            .attributes()
            .and_then(|attributes| attributes.get(&QueueAttributeName::RedrivePolicy))
            .and_then(|policy| serde_json::from_str(policy).ok());
        let arn = policy.as_ref().and_then(|policy| policy["deadLetterTargetArn"].as_str());
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut parts = arn.unwrap_or_default().rsplit(':');
        let (Some(name), Some(owner)) = (parts.next(), parts.next()) else {
            return Err(unexpected(
                OPERATION,
                ErrorClass::Permanent,
                format!(
                    "the queue {url} has no dead-letter queue: give it a RedrivePolicy with a deadLetterTargetArn"
                ),
            ));
        };
        let answer = client
            .get_queue_url()
            .queue_name(name)
            .queue_owner_aws_account_id(owner)
            .send()
            .await
            .map_err(|error| read_error("GetQueueUrl", error))?;
        let url = answer.queue_url.ok_or_else(|| {
            unexpected(
                "GetQueueUrl",
                ErrorClass::Transient,
                format!("the answer for {name} has no QueueUrl"),
            )
        })?;
        Ok(Queue { client: client.clone(), url })
    }
}

/// The matching dead letters that were in the queue at `began`, and the number of matching ones
/// that arrived since. The former stay hidden from other readers for [`VISIBILITY_TIMEOUT`], so
/// that they can be deleted. All others are made visible again. After an error all of them are.
async fn receive_matching(
    queue: &Queue,
    began: Timestamp,
    matches: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<(Vec<Message>, usize), AwsError> {
    let (mut dead_letters, mut others) = (Vec::new(), Vec::new());
    let (mut arrived_since, mut batches_since) = (0, 0);
    loop {
        let messages = match queue
            .receive_with_visibility(MAX_BATCH_SIZE, RECEIVE_WAIT, Some(VISIBILITY_TIMEOUT))
            .await
        {
            Ok(messages) => messages,
            Err(error) => {
                make_visible(queue, dead_letters.into_iter().chain(others)).await;
                return Err(error);
            }
        };
        let is_late = |message: &Message| message.sent_at.is_some_and(|sent| sent > began);
        batches_since += usize::from(messages.iter().all(is_late));
        let ends = messages.is_empty() || batches_since >= MAX_LATE_BATCHES;
        for message in messages {
            match (matches(&message.body), is_late(&message)) {
                (true, false) => dead_letters.push(message),
                (true, true) => {
                    arrived_since += 1;
                    others.push(message);
                }
                (false, _) => others.push(message),
            }
        }
        if ends {
            make_visible(queue, others).await;
            return Ok((dead_letters, arrived_since));
        }
    }
}

/// Makes hidden dead letters visible again.
async fn make_visible(
    queue: &Queue,
    dead_letters: impl IntoIterator<Item = Message, IntoIter: Send>,
) {
    for dead_letter in dead_letters {
        // After an error the message becomes visible at its visibility timeout.
        drop(queue.change_visibility(&dead_letter.receipt_handle, Duration::ZERO).await);
    }
}

/// A hash in hexadecimal. A byte that no part contains separates the parts.
pub(crate) fn content_hash(parts: &[&str]) -> String {
    format!("{:x}", Sha256::digest(parts.join("\0")))
}
