//! Amazon SQS: the calls. What a queue does is in [`crate::queue`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{MANAGEMENT_ACCOUNT, REGION};
use crate::protocol::{ApiError, Call};
use crate::queue::{Delivered, NewMessage, Queue, QueueOptions};
use crate::time::later;

/// Most messages of a batch or of a receive.
const BATCH: usize = 10;

/// Most bytes of a message, and of all of a batch together.
const MESSAGE_BYTES: usize = 1 << 20;

/// Every queue.
#[derive(Debug)]
pub(crate) struct Sqs {
    queues: Vec<Queue>,
    rng: Rng,
}

/// What a call gave.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Value),
    /// Nothing to receive yet.
    Wait(Receive),
}

/// A receive that waits.
#[derive(Clone, Debug)]
pub(crate) struct Receive {
    queue: usize,
    max: usize,
    visibility: Duration,
    attributes: BTreeSet<String>,
    /// When the caller has waited enough.
    pub(crate) until: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendRequest {
    queue_url: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_body: String,
    delay_seconds: Option<u64>,
    message_attributes: Option<Value>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendBatchRequest {
    queue_url: String,
    entries: Vec<SendEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveRequest {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    queue_url: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteBatchRequest {
    queue_url: String,
    entries: Vec<DeleteEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteEntry {
    id: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VisibilityRequest {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributesRequest {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UrlRequest {
    queue_name: String,
}

/// URL of the queue with this name.
pub(crate) fn url(name: &str) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{MANAGEMENT_ACCOUNT}/{name}")
}

impl Sqs {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { queues: Vec::new(), rng }
    }

    /// Adds a queue, or replaces the one of the same name.
    pub(crate) fn create(&mut self, now: Timestamp, options: QueueOptions) {
        let queue = Queue::new(now, options, self.rng.fork());
        match self.queues.iter_mut().find(|existing| existing.options.name == queue.options.name) {
            Some(existing) => *existing = queue,
            None => self.queues.push(queue),
        }
    }

    /// Puts a message into a standard queue, as EventBridge does.
    pub(crate) fn put(&mut self, now: Timestamp, name: &str, body: String) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.options.name == name) {
            queue.send(now, NewMessage { body, ..NewMessage::default() });
        }
    }

    /// Bodies of every message in a queue, in flight or not.
    pub(crate) fn bodies(&mut self, now: Timestamp, name: &str) -> Vec<String> {
        self.queues
            .iter_mut()
            .find(|queue| queue.options.name == name)
            .map(|queue| queue.bodies(now))
            .unwrap_or_default()
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Outcome, ApiError> {
        let answer = match call.operation {
            "SendMessage" => self.send(now, call.json()?)?,
            "SendMessageBatch" => self.send_batch(now, call.json()?)?,
            "ReceiveMessage" => return self.receive(now, call.json()?),
            "DeleteMessage" => {
                let request: DeleteRequest = call.json()?;
                self.queue(&request.queue_url)?.delete(now, &request.receipt_handle)?;
                json!({})
            }
            "DeleteMessageBatch" => self.delete_batch(now, call.json()?)?,
            "ChangeMessageVisibility" => {
                let request: VisibilityRequest = call.json()?;
                self.queue(&request.queue_url)?.change_visibility(
                    now,
                    &request.receipt_handle,
                    Duration::from_secs(request.visibility_timeout),
                )?;
                json!({})
            }
            "GetQueueAttributes" => self.attributes(now, &call.json()?)?,
            "GetQueueUrl" => {
                let request: UrlRequest = call.json()?;
                let url = url(&request.queue_name);
                self.queue(&url)?;
                json!({ "QueueUrl": url })
            }
            _ => return Err(call.unknown()),
        };
        Ok(Outcome::Done(answer))
    }

    fn index(&self, url: &str) -> Result<usize, ApiError> {
        // Only account and name of the URL count, so that the model may be served anywhere.
        let name = url.rsplit('/').next().unwrap_or_default();
        self.queues.iter().position(|queue| queue.options.name == name).ok_or_else(|| {
            ApiError::new("QueueDoesNotExist", "The specified queue does not exist.")
        })
    }

    fn queue(&mut self, url: &str) -> Result<&mut Queue, ApiError> {
        let index = self.index(url)?;
        Ok(&mut self.queues[index])
    }

    fn send(&mut self, now: Timestamp, request: SendRequest) -> Result<Value, ApiError> {
        let queue = self.queue(&request.queue_url)?;
        let message = checked(&queue.options, request.message)?;
        let (md5, sent) = (md5(&message.body), queue.send(now, message));
        let mut answer = json!({ "MD5OfMessageBody": md5, "MessageId": sent.id });
        if let Some(number) = sent.sequence_number {
            answer["SequenceNumber"] = number.into();
        }
        Ok(answer)
    }

    fn send_batch(&mut self, now: Timestamp, request: SendBatchRequest) -> Result<Value, ApiError> {
        check_batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        let bytes: usize =
            request.entries.iter().map(|entry| entry.message.message_body.len()).sum();
        if bytes > MESSAGE_BYTES {
            return Err(ApiError::new(
                "BatchRequestTooLong",
                "The length of all the messages put together is more than the limit.",
            ));
        }
        let queue = self.queue(&request.queue_url)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in request.entries {
            match checked(&queue.options, entry.message) {
                Ok(message) => {
                    let (md5, sent) = (md5(&message.body), queue.send(now, message));
                    let mut answer =
                        json!({ "Id": entry.id, "MessageId": sent.id, "MD5OfMessageBody": md5 });
                    if let Some(number) = sent.sequence_number {
                        answer["SequenceNumber"] = number.into();
                    }
                    successful.push(answer);
                }
                Err(error) => failed.push(failure(&entry.id, &error)),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    fn delete_batch(
        &mut self,
        now: Timestamp,
        request: DeleteBatchRequest,
    ) -> Result<Value, ApiError> {
        check_batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        let queue = self.queue(&request.queue_url)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in request.entries {
            match queue.delete(now, &entry.receipt_handle) {
                Ok(()) => successful.push(json!({ "Id": entry.id })),
                Err(error) => failed.push(failure(&entry.id, &error)),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    fn receive(&mut self, now: Timestamp, request: ReceiveRequest) -> Result<Outcome, ApiError> {
        let index = self.index(&request.queue_url)?;
        let max = request.max_number_of_messages.unwrap_or(1);
        let wait = request.wait_time_seconds.unwrap_or(0);
        if !(1..=BATCH).contains(&max) || wait > 20 {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "MaxNumberOfMessages must be 1 to 10, and WaitTimeSeconds 0 to 20.",
            ));
        }
        let visibility = match request.visibility_timeout {
            Some(seconds) => Duration::from_secs(seconds),
            None => self.queues[index].options.visibility,
        };
        let mut attributes = BTreeSet::from_iter(request.attribute_names);
        attributes.extend(request.message_system_attribute_names);
        let until = later(now, Duration::from_secs(wait));
        Ok(self.resume(now, Receive { queue: index, max, visibility, attributes, until }))
    }

    /// Looks again for messages for a receive that waits.
    pub(crate) fn resume(&mut self, now: Timestamp, receive: Receive) -> Outcome {
        let Some(queue) = self.queues.get_mut(receive.queue) else {
            return Outcome::Done(json!({}));
        };
        let (delivered, dead) = queue.receive(now, receive.max, receive.visibility);
        if let Some(target) = queue.options.redrive.as_ref().map(|(name, _)| name.clone())
            && let Some(target) = self.queues.iter_mut().find(|queue| queue.options.name == target)
        {
            for message in dead {
                target.send(now, message);
            }
        }
        if delivered.is_empty() && now < receive.until {
            return Outcome::Wait(receive);
        }
        if delivered.is_empty() {
            return Outcome::Done(json!({}));
        }
        let messages: Vec<Value> =
            delivered.into_iter().map(|message| shown(message, &receive.attributes)).collect();
        Outcome::Done(json!({ "Messages": messages }))
    }

    /// When a receive that waits has to be looked at next, if nothing is sent before.
    pub(crate) fn wake(&self, receive: &Receive) -> Timestamp {
        self.queues
            .get(receive.queue)
            .and_then(Queue::next_visible)
            .map_or(receive.until, |visible| visible.min(receive.until))
    }

    fn attributes(
        &mut self,
        now: Timestamp,
        request: &AttributesRequest,
    ) -> Result<Value, ApiError> {
        let wanted = |name: &str| {
            request.attribute_names.iter().any(|wanted| wanted == name || wanted == "All")
        };
        let queue = self.queue(&request.queue_url)?;
        let all = queue.attributes(now);
        let attributes: BTreeMap<_, _> = all.into_iter().filter(|(name, _)| wanted(name)).collect();
        Ok(if attributes.is_empty() { json!({}) } else { json!({ "Attributes": attributes }) })
    }
}

fn check_batch<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), ApiError> {
    let count = ids.len();
    if count == 0 {
        return Err(ApiError::new(
            "EmptyBatchRequest",
            "There should be at least one entry in the request.",
        ));
    }
    if count > BATCH {
        return Err(ApiError::new(
            "TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are {BATCH}. You have sent {count}."),
        ));
    }
    if ids.collect::<BTreeSet<_>>().len() < count {
        return Err(ApiError::new(
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries have the same Id.",
        ));
    }
    Ok(())
}

/// Checks a message against what its queue demands.
fn checked(options: &QueueOptions, message: Message) -> Result<NewMessage, ApiError> {
    if message.message_body.is_empty() || message.message_body.len() > MESSAGE_BYTES {
        return Err(ApiError::new("InvalidParameterValue", "A message must have 1 byte to 1 MiB."));
    }
    if options.fifo {
        if message.message_group_id.is_none() {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain the parameter MessageGroupId.",
            ));
        }
        if message.message_deduplication_id.is_none() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            ));
        }
        if message.delay_seconds.is_some() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "The request include parameter DelaySeconds that is not valid for this queue type.",
            ));
        }
    }
    Ok(NewMessage {
        body: message.message_body,
        attributes: message.message_attributes,
        group: message.message_group_id,
        deduplication: message.message_deduplication_id,
        delay: Duration::from_secs(message.delay_seconds.unwrap_or(0)),
        source: None,
    })
}

fn failure(id: &str, error: &ApiError) -> Value {
    json!({ "Id": id, "SenderFault": true, "Code": error.code, "Message": error.message })
}

fn shown(message: Delivered, wanted: &BTreeSet<String>) -> Value {
    let mut answer = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": md5(&message.body),
        "Body": message.body,
    });
    let attributes: BTreeMap<_, _> = message
        .system
        .into_iter()
        .filter(|(name, _)| wanted.contains("All") || wanted.contains(*name))
        .collect();
    if !attributes.is_empty() {
        answer["Attributes"] = json!(attributes);
    }
    if let Some(attributes) = message.attributes {
        answer["MessageAttributes"] = attributes;
    }
    answer
}

fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    format!("{:x}", Md5::digest(text))
}
