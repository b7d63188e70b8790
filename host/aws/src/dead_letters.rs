//! The dead-letter queue of an SQS queue.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use groundcrew_core::aws_error::{AwsError, Class};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::error::{of_read, of_write, unexpected};

/// Most messages that SQS gives at once.
const BATCH: i32 = 10;

/// Seconds for which letters are hidden while others are looked for and something is done with
/// them.
const HIDDEN: i32 = 600;

/// One of them.
pub(crate) struct Letter {
    pub(crate) body: String,
    receipt: String,
}

/// Where messages go that nothing can be done with: the queue that the redrive policy of
/// another one names.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    client: Client,
    source_url: String,
    /// Its URL, once looked up.
    url: OnceCell<String>,
}

impl DeadLetters {
    /// The dead-letter queue of the queue with this URL.
    pub(crate) fn of(client: Client, source_url: impl Into<String>) -> Self {
        Self { client, source_url: source_url.into(), url: OnceCell::new() }
    }

    /// Puts a body there. In a FIFO queue the same body again within five minutes is
    /// swallowed.
    pub(crate) async fn put(&self, group: &str, body: String) -> Result<(), AwsError> {
        let url = self.url.get_or_try_init(|| self.find()).await?;
        let fifo = url.ends_with(".fifo");
        self.client
            .send_message()
            .queue_url(url)
            .set_message_group_id(fifo.then(|| group.to_owned()))
            .set_message_deduplication_id(fifo.then(|| hash(&[&body])))
            .message_body(body)
            .send()
            .await
            .map_err(|error| of_write("SendMessage", error))?;
        Ok(())
    }

    /// The letters with such a body. They stay hidden for [`HIDDEN`] from whoever else looks,
    /// so that they can be removed; others are shown again.
    pub(crate) async fn matching(
        &self,
        is_one: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Vec<Letter>, AwsError> {
        let url = self.url.get_or_try_init(|| self.find()).await?;
        let (mut letters, mut others) = (Vec::new(), Vec::new());
        loop {
            let answer = self
                .client
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(BATCH)
                .visibility_timeout(HIDDEN)
                // Without waiting SQS may answer that there are none although there are.
                .wait_time_seconds(1)
                .send()
                .await
                .map_err(|error| of_read("ReceiveMessage", error))?;
            let messages = answer.messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let body = message.body.unwrap_or_default();
                let receipt = message.receipt_handle.unwrap_or_default();
                match is_one(&body) {
                    true => letters.push(Letter { body, receipt }),
                    false => others.push(receipt),
                }
            }
        }
        for receipt in others {
            let show = self.client.change_message_visibility().queue_url(url);
            let show = show.receipt_handle(receipt).visibility_timeout(0);
            // One that stays hidden is seen again soon.
            drop(show.send().await);
        }
        Ok(letters)
    }

    /// Removes a letter.
    pub(crate) async fn remove(&self, letter: Letter) -> Result<(), AwsError> {
        let url = self.url.get_or_try_init(|| self.find()).await?;
        let delete = self.client.delete_message().queue_url(url).receipt_handle(letter.receipt);
        delete.send().await.map_err(|error| of_write("DeleteMessage", error))?;
        Ok(())
    }

    async fn find(&self) -> Result<String, AwsError> {
        const OPERATION: &str = "GetQueueAttributes";
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.source_url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| of_read(OPERATION, error))?;
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
                Class::Permanent,
                format!(
                    "the queue {} has no dead-letter queue: give it a RedrivePolicy with a deadLetterTargetArn",
                    self.source_url
                ),
            ));
        };
        let answer = self
            .client
            .get_queue_url()
            .queue_name(name)
            .queue_owner_aws_account_id(owner)
            .send()
            .await
            .map_err(|error| of_read("GetQueueUrl", error))?;
        answer.queue_url.ok_or_else(|| {
            unexpected(
                "GetQueueUrl",
                Class::Transient,
                format!("the answer for {name} has no QueueUrl"),
            )
        })
    }
}

/// In hexadecimal; the parts are told apart by a byte that none of them holds.
pub(crate) fn hash(parts: &[&str]) -> String {
    format!("{:x}", Sha256::digest(parts.join("\0")))
}
