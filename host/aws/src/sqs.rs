//! What all SQS queues have in common.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use jiff::Timestamp;

use crate::error::{read_error, write_error};

/// The largest batch of messages that SQS takes or returns.
pub(crate) const MAX_BATCH_SIZE: usize = 10;

/// The longest wait of a receive.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The longest visibility timeout. SQS allows 12 hours in all since the receipt, and the time
/// before the change takes some of them.
const MAX_VISIBILITY: Duration = Duration::from_secs(11 * 3600);

/// A queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
}

/// A message that was received from a queue.
pub(crate) struct Message {
    pub(crate) body: String,
    /// Handle of this receipt.
    pub(crate) receipt_handle: String,
    /// How often it has been received, including this time.
    pub(crate) receive_count: u32,
    /// When it was sent to the queue, by SQS's clock.
    pub(crate) sent_at: Option<Timestamp>,
}

impl Queue {
    /// Waits up to `wait` for at most `max` messages. They are then hidden for the visibility
    /// timeout of the queue.
    pub(crate) async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Message>, AwsError> {
        self.receive_with_visibility(max, wait, None).await
    }

    /// The same, with `hidden` as the visibility timeout.
    pub(crate) async fn receive_with_visibility(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Option<Duration>,
    ) -> Result<Vec<Message>, AwsError> {
        const COUNT: MessageSystemAttributeName =
            MessageSystemAttributeName::ApproximateReceiveCount;
        const SENT: MessageSystemAttributeName = MessageSystemAttributeName::SentTimestamp;
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(max.min(MAX_BATCH_SIZE) as i32)
            .message_system_attribute_names(COUNT)
            .message_system_attribute_names(SENT)
            .set_visibility_timeout(visibility_timeout.map(visibility_seconds))
            .wait_time_seconds(wait.min(MAX_WAIT).as_secs() as i32)
            .send()
            .await
            // A message whose response was lost is received again after its visibility timeout.
            .map_err(|error| read_error("ReceiveMessage", error))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| Message {
                receive_count: attribute(&message, &COUNT)
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(1),
                // Milliseconds since 1970.
                sent_at: attribute(&message, &SENT)
                    .and_then(|text| Timestamp::from_millisecond(text.parse().ok()?).ok()),
                body: message.body.unwrap_or_default(),
                receipt_handle: message.receipt_handle.unwrap_or_default(),
            })
            .collect())
    }

    /// Deletes a message. To delete it again has no effect.
    pub(crate) async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError> {
        let delete =
            self.client.delete_message().queue_url(&self.url).receipt_handle(receipt_handle);
        delete
            .send()
            .await
            .map_err(|error| classify_receipt_error(write_error("DeleteMessage", error)))?;
        Ok(())
    }

    /// Hides a message for this long from now, or makes it visible again.
    pub(crate) async fn change_visibility(
        &self,
        receipt_handle: &str,
        visibility_timeout: Duration,
    ) -> Result<(), AwsError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(visibility_seconds(visibility_timeout))
            .send()
            .await
            .map_err(|error| {
                // These two errors have no code in the SDK's model of SQS.
                let gone = error.message().is_some_and(|text| text.contains("does not exist"));
                let error = classify_receipt_error(write_error("ChangeMessageVisibility", error));
                if gone { AwsError { class: ErrorClass::NotFound, ..error } } else { error }
            })?;
        Ok(())
    }
}

fn attribute<'m>(
    message: &'m aws_sdk_sqs::types::Message,
    name: &MessageSystemAttributeName,
) -> Option<&'m String> {
    message.attributes()?.get(name)
}

fn visibility_seconds(visibility_timeout: Duration) -> i32 {
    visibility_timeout.min(MAX_VISIBILITY).as_secs() as i32
}

/// A receipt that has expired is no longer valid: the message is received again.
fn classify_receipt_error(error: AwsError) -> AwsError {
    match error.code.as_str() {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => {
            AwsError { class: ErrorClass::NotFound, ..error }
        }
        "InvalidParameterValue" if error.message.contains("ReceiptHandle") => {
            AwsError { class: ErrorClass::NotFound, ..error }
        }
        _ => error,
    }
}
