//! The number of messages in an SQS queue and in its dead-letter queue, for operators.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::ports::QueueDepth;

use crate::dead_letter_queue::DeadLetterQueue;
use crate::error::{read_error, unexpected};
use crate::sqs::Queue;

/// Counts the messages in the queue with this URL and in its dead-letter queue. SQS's counts are
/// approximate and may lag by a minute. Needs `sqs:GetQueueAttributes` on both queues, and
/// `sqs:GetQueueUrl` on the dead-letter queue.
pub async fn queue_depth(client: &Client, url: &str) -> Result<QueueDepth, AwsError> {
    let queue = Queue { client: client.clone(), url: url.to_owned() };
    let dead_letter_queue = DeadLetterQueue::for_source(queue.clone());
    let [visible, delayed, hidden] = message_counts(&queue).await?;
    let [letters, _, letters_hidden] = message_counts(dead_letter_queue.queue().await?).await?;
    Ok(QueueDepth { waiting: visible + delayed, hidden, dead_letters: letters + letters_hidden })
}

/// Visible, delayed and hidden messages.
pub(crate) async fn message_counts(queue: &Queue) -> Result<[usize; 3], AwsError> {
    const OPERATION: &str = "GetQueueAttributes";
    use QueueAttributeName as Name;
    const NAMES: [Name; 3] = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesDelayed,
        Name::ApproximateNumberOfMessagesNotVisible,
    ];
    let answer = queue
        .client
        .get_queue_attributes()
        .queue_url(&queue.url)
        .set_attribute_names(Some(NAMES.to_vec()))
        .send()
        .await
        .map_err(|error| read_error(OPERATION, error))?;
    let mut counts = [0; 3];
    for (count, name) in counts.iter_mut().zip(NAMES) {
        let value = answer.attributes().and_then(|attributes| attributes.get(&name));
        *count = value.and_then(|value| value.parse().ok()).ok_or_else(|| {
            let message = format!("the answer for {} has no {}", queue.url, name.as_str());
            unexpected(OPERATION, ErrorClass::Transient, message)
        })?;
    }
    Ok(counts)
}
