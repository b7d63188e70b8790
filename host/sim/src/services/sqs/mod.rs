//! Amazon SQS: the operations on messages. The operations on queues are in [`queues`], and the
//! behavior of a queue is in [`queue`].

pub(crate) mod address;
mod message_attributes;
mod queue;
mod queue_settings;
mod queues;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use md5::Md5;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};
use crate::time::saturating_later;
use address::{arn, endpoint, url_at};
use message_attributes::MessageAttributes;
use queue::{LONGEST_VISIBILITY, NewMessage, Queue, ReceivedMessage};
pub use queue_settings::QueueOptions;

/// Most messages of a batch or of a receive.
const BATCH: usize = 10;

/// Most bytes of a message, and of all messages of a batch.
const MESSAGE_BYTES: usize = 1 << 20;

/// Longest long poll, and longest delay of a message.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Every queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sqs {
    pub(crate) queues: Vec<Queue>,
    /// When queues were deleted, by name.
    pub(crate) deleted: BTreeMap<String, Timestamp>,
    /// The beginning of the URLs of queues.
    pub(crate) endpoint: String,
    /// The queues that each operation was called for, whatever the response.
    pub(crate) asked: BTreeMap<String, BTreeSet<String>>,
    #[serde(with = "crate::state_serde::rng")]
    rng: Rng,
}

/// The queue of a request.
#[derive(Deserialize)]
struct QueueSelector {
    #[serde(rename = "QueueUrl", alias = "QueueName")]
    queue: Option<String>,
}

/// The result of a call.
#[derive(Debug)]
pub(crate) enum CallOutcome {
    Done(Value),
    /// There is nothing to receive yet.
    Wait(PendingReceive),
}

/// A receive that waits.
#[derive(Clone, Debug)]
pub(crate) struct PendingReceive {
    queue: String,
    max: usize,
    visibility: Duration,
    /// The system attributes and the attributes that the receiver wants.
    system: BTreeSet<String>,
    attributes: BTreeSet<String>,
    /// When the receive ends without a message.
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
    #[serde(default)]
    message_attributes: MessageAttributes,
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
    #[serde(default)]
    message_attribute_names: Vec<String>,
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
struct VisibilityBatchRequest {
    queue_url: String,
    entries: Vec<VisibilityEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VisibilityEntry {
    id: String,
    receipt_handle: String,
    visibility_timeout: Option<u64>,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<Sqs, CallOutcome>)] = &[
    ("ChangeMessageVisibility", |sqs, now, call| {
        sqs.change_visibility(now, &call.json()?).map(CallOutcome::Done)
    }),
    ("ChangeMessageVisibilityBatch", |sqs, now, call| {
        sqs.change_visibility_batch(now, call.json()?).map(CallOutcome::Done)
    }),
    ("CreateQueue", |sqs, now, call| sqs.create_queue(now, call.json()?).map(CallOutcome::Done)),
    ("DeleteMessage", |sqs, now, call| sqs.delete(now, &call.json()?).map(CallOutcome::Done)),
    ("DeleteMessageBatch", |sqs, now, call| {
        sqs.delete_batch(now, call.json()?).map(CallOutcome::Done)
    }),
    ("DeleteQueue", |sqs, now, call| sqs.delete_queue(now, &call.json()?).map(CallOutcome::Done)),
    ("GetQueueAttributes", |sqs, now, call| {
        sqs.queue_attributes(now, &call.json()?).map(CallOutcome::Done)
    }),
    ("GetQueueUrl", |sqs, _, call| sqs.queue_url(&call.json()?).map(CallOutcome::Done)),
    ("ListDeadLetterSourceQueues", |sqs, _, call| {
        sqs.list_dead_letter_source_queues(&call.json()?).map(CallOutcome::Done)
    }),
    ("ListQueueTags", |sqs, _, call| sqs.queue_tags(&call.json()?).map(CallOutcome::Done)),
    ("ListQueues", |sqs, _, call| sqs.list_queues(&call.json()?).map(CallOutcome::Done)),
    ("PurgeQueue", |sqs, now, call| sqs.purge_queue(now, &call.json()?).map(CallOutcome::Done)),
    ("ReceiveMessage", |sqs, now, call| sqs.receive(now, call.json()?)),
    ("SendMessage", |sqs, now, call| sqs.send(now, call.json()?).map(CallOutcome::Done)),
    ("SendMessageBatch", |sqs, now, call| sqs.send_batch(now, call.json()?).map(CallOutcome::Done)),
    ("SetQueueAttributes", |sqs, now, call| {
        sqs.set_queue_attributes(now, &call.json()?).map(CallOutcome::Done)
    }),
    ("TagQueue", |sqs, _, call| sqs.tag_queue(call.json()?).map(CallOutcome::Done)),
    ("UntagQueue", |sqs, _, call| sqs.untag_queue(&call.json()?).map(CallOutcome::Done)),
];

impl Sqs {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            queues: Vec::new(),
            deleted: BTreeMap::new(),
            endpoint: endpoint(),
            asked: BTreeMap::new(),
            rng,
        }
    }

    /// Adds a queue, or replaces the one of the same name.
    pub(crate) fn create(&mut self, now: Timestamp, options: QueueOptions) {
        let queue = Queue::new(now, options, self.rng.fork());
        match self.queues.iter_mut().find(|existing| existing.name == queue.name) {
            Some(existing) => *existing = queue,
            None => self.queues.push(queue),
        }
    }

    /// Gives a queue the policy that allows EventBridge to send to it.
    pub(crate) fn allow_eventbridge(&mut self, name: &str) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.name == name) {
            queue.settings.allow_eventbridge(&arn(name));
        }
    }

    /// URL of the queue with this name.
    pub(crate) fn url(&self, name: &str) -> String {
        url_at(&self.endpoint, name)
    }

    /// Puts a message into a standard queue, as EventBridge does.
    pub(crate) fn put(&mut self, now: Timestamp, name: &str, body: String) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.name == name) {
            queue.send(now, NewMessage { body, ..NewMessage::default() });
        }
    }

    /// Bodies of every message in a queue, in flight or not.
    pub(crate) fn bodies(&mut self, now: Timestamp, name: &str) -> Vec<String> {
        self.queues
            .iter_mut()
            .find(|queue| queue.name == name)
            .map(|queue| queue.bodies(now))
            .unwrap_or_default()
    }

    pub(crate) fn call(
        &mut self,
        now: Timestamp,
        call: &Call<'_>,
    ) -> Result<CallOutcome, ApiError> {
        let operation = operations::find(OPERATIONS, call)?;
        if let Ok(QueueSelector { queue: Some(queue) }) = call.json() {
            let name = queue.rsplit('/').next().unwrap_or_default();
            self.asked.entry(call.operation.to_owned()).or_default().insert(name.to_owned());
        }
        operation(self, now, call)
    }

    pub(crate) fn index(&self, url: &str) -> Result<usize, ApiError> {
        // Only the name in the URL is used, so that the model can be served at any address.
        let name = url.rsplit('/').next().unwrap_or_default();
        self.queues.iter().position(|queue| queue.name == name).ok_or_else(|| {
            ApiError::new("QueueDoesNotExist", "The specified queue does not exist.")
        })
    }

    pub(crate) fn queue(&mut self, url: &str) -> Result<&mut Queue, ApiError> {
        let index = self.index(url)?;
        Ok(&mut self.queues[index])
    }

    fn send(&mut self, now: Timestamp, request: SendRequest) -> Result<Value, ApiError> {
        let queue = self.queue(&request.queue_url)?;
        let message = checked(queue, request.message)?;
        Ok(sent(queue, now, message))
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
        Ok(batch(request.entries.into_iter().map(|entry| {
            let answer = checked(queue, entry.message).map(|message| sent(queue, now, message));
            (entry.id, answer)
        })))
    }

    fn delete(&mut self, now: Timestamp, request: &DeleteRequest) -> Result<Value, ApiError> {
        self.queue(&request.queue_url)?.delete(now, &request.receipt_handle)?;
        Ok(json!({}))
    }

    fn change_visibility(
        &mut self,
        now: Timestamp,
        request: &VisibilityRequest,
    ) -> Result<Value, ApiError> {
        let visibility = Duration::from_secs(request.visibility_timeout);
        self.queue(&request.queue_url)?.change_visibility(
            now,
            &request.receipt_handle,
            visibility,
        )?;
        Ok(json!({}))
    }

    fn change_visibility_batch(
        &mut self,
        now: Timestamp,
        request: VisibilityBatchRequest,
    ) -> Result<Value, ApiError> {
        check_batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        let queue = self.queue(&request.queue_url)?;
        Ok(batch(request.entries.into_iter().map(|entry| {
            let visibility = Duration::from_secs(entry.visibility_timeout.unwrap_or(0));
            let changed = queue.change_visibility(now, &entry.receipt_handle, visibility);
            (entry.id, changed.map(|()| json!({})))
        })))
    }

    fn delete_batch(
        &mut self,
        now: Timestamp,
        request: DeleteBatchRequest,
    ) -> Result<Value, ApiError> {
        check_batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        let queue = self.queue(&request.queue_url)?;
        Ok(batch(request.entries.into_iter().map(|entry| {
            let deleted = queue.delete(now, &entry.receipt_handle);
            (entry.id, deleted.map(|()| json!({})))
        })))
    }

    fn receive(
        &mut self,
        now: Timestamp,
        request: ReceiveRequest,
    ) -> Result<CallOutcome, ApiError> {
        let queue = self.queue(&request.queue_url)?;
        let max = request.max_number_of_messages.unwrap_or(1);
        let wait = request.wait_time_seconds.map_or(queue.settings.wait, Duration::from_secs);
        let visibility =
            request.visibility_timeout.map_or(queue.settings.visibility, Duration::from_secs);
        if !(1..=BATCH).contains(&max) || wait > LONGEST_WAIT || visibility > LONGEST_VISIBILITY {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "MaxNumberOfMessages must be 1 to 10, WaitTimeSeconds 0 to 20, and VisibilityTimeout 0 to 43200.",
            ));
        }
        let mut system = BTreeSet::from_iter(request.attribute_names);
        system.extend(request.message_system_attribute_names);
        let receive = PendingReceive {
            queue: queue.name.clone(),
            max,
            visibility,
            system,
            attributes: BTreeSet::from_iter(request.message_attribute_names),
            until: saturating_later(now, wait),
        };
        Ok(self.resume(now, receive))
    }

    /// Tries a waiting receive again.
    pub(crate) fn resume(&mut self, now: Timestamp, receive: PendingReceive) -> CallOutcome {
        let Some(queue) = self.queues.iter_mut().find(|queue| queue.name == receive.queue) else {
            return CallOutcome::Done(json!({}));
        };
        let (delivered, dead) = queue.receive(now, receive.max, receive.visibility);
        if let Some(target) = queue.settings.redrive.as_ref().map(|(name, _)| name.clone())
            && let Some(target) = self.queues.iter_mut().find(|queue| queue.name == target)
        {
            for message in dead {
                target.send(now, message);
            }
        }
        if delivered.is_empty() && now < receive.until {
            return CallOutcome::Wait(receive);
        }
        if delivered.is_empty() {
            return CallOutcome::Done(json!({}));
        }
        let messages: Vec<Value> =
            delivered.into_iter().map(|message| shown(message, &receive)).collect();
        CallOutcome::Done(json!({ "Messages": messages }))
    }

    /// When a waiting receive must be tried again, if nothing is sent before.
    pub(crate) fn wake(&self, receive: &PendingReceive) -> Timestamp {
        self.queues
            .iter()
            .find(|queue| queue.name == receive.queue)
            .and_then(Queue::next_visible)
            .map_or(receive.until, |visible| visible.min(receive.until))
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
    let ids: BTreeSet<&str> = ids.collect();
    let good = |id: &&str| {
        (1..=80).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if !ids.iter().all(good) {
        return Err(ApiError::new(
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
        ));
    }
    if ids.len() < count {
        return Err(ApiError::new(
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries have the same Id.",
        ));
    }
    Ok(())
}

/// Checks a message against the requirements of its queue.
fn checked(queue: &Queue, message: Message) -> Result<NewMessage, ApiError> {
    let wrong = |text: &str| Err(ApiError::new("InvalidParameterValue", text));
    let body = message.message_body;
    let attributes = message.message_attributes;
    let bytes = body.len() + message_attributes::check(&attributes)?;
    if body.is_empty() || bytes > queue.settings.largest {
        return wrong("A message must have at least one byte and not more than its queue takes.");
    }
    // https://www.w3.org/TR/REC-xml/#charsets
    if body.chars().any(|c| {
        matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
    }) {
        return Err(ApiError::new(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        ));
    }
    let mut deduplication = message.message_deduplication_id;
    if queue.fifo {
        if message.message_group_id.is_none() {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain the parameter MessageGroupId.",
            ));
        }
        if message.delay_seconds.is_some_and(|seconds| seconds > 0) {
            return wrong(
                "The request include parameter DelaySeconds that is not valid for this queue type.",
            );
        }
        if deduplication.is_none() && queue.settings.content_based {
            deduplication = Some(format!("{:x}", Sha256::digest(&body)));
        }
        if deduplication.is_none() {
            return wrong(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            );
        }
    } else if deduplication.is_some() {
        return wrong(
            "The request include parameter MessageDeduplicationId that is not valid for this queue type.",
        );
    }
    let delay = message.delay_seconds.map_or(queue.settings.delay, Duration::from_secs);
    if delay > LONGEST_DELAY {
        return wrong("DelaySeconds must be 0 to 900.");
    }
    for id in [&deduplication, &message.message_group_id].into_iter().flatten() {
        if !(1..=128).contains(&id.len()) || !id.chars().all(|c| c.is_ascii_graphic()) {
            return wrong(
                "MessageGroupId and MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
            );
        }
    }
    Ok(NewMessage {
        body,
        attributes,
        group: message.message_group_id,
        deduplication,
        delay,
        source: None,
    })
}

/// Sends a message and returns the result for the sender.
fn sent(queue: &mut Queue, now: Timestamp, message: NewMessage) -> Value {
    let mut answer = json!({ "MD5OfMessageBody": md5(&message.body) });
    if !message.attributes.is_empty() {
        answer["MD5OfMessageAttributes"] = message_attributes::md5(&message.attributes).into();
    }
    let sent = queue.send(now, message);
    answer["MessageId"] = sent.id.into();
    if let Some(number) = sent.sequence_number {
        answer["SequenceNumber"] = number.into();
    }
    answer
}

/// The response to a batch, with the result of each entry.
fn batch(entries: impl Iterator<Item = (String, Result<Value, ApiError>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in entries {
        match result {
            Ok(mut answer) => {
                answer["Id"] = id.into();
                successful.push(answer);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "SenderFault": true,
                "Code": error.code,
                "Message": error.message,
            })),
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}

fn shown(message: ReceivedMessage, receive: &PendingReceive) -> Value {
    let mut answer = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": md5(&message.body),
        "Body": message.body,
    });
    let wanted = &receive.system;
    let system: BTreeMap<_, _> = message
        .system
        .into_iter()
        .filter(|(name, _)| wanted.contains("All") || wanted.contains(*name))
        .collect();
    if !system.is_empty() {
        answer["Attributes"] = json!(system);
    }
    let attributes = message_attributes::select(&message.attributes, &receive.attributes);
    if !attributes.is_empty() {
        answer["MD5OfMessageAttributes"] = message_attributes::md5(&attributes).into();
        answer["MessageAttributes"] = json!(attributes);
    }
    answer
}

fn md5(text: &str) -> String {
    format!("{:x}", Md5::digest(text))
}
