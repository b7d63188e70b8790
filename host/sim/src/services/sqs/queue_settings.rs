//! The settings of a queue: `SetQueueAttributes`, and the attributes of `CreateQueue`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::address::arn;
use crate::protocol::ApiError;

/// The options of a new queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Its name. That of a FIFO queue ends with `.fifo`.
    pub name: String,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// The visibility timeout of a received message, if the receiver sets none.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Name of the dead-letter queue, and the number of receives after which a message goes there.
    pub redrive: Option<(String, u32)>,
}

/// The attributes that are stored without any effect.
const STORED_ATTRIBUTES: [&str; 5] = [
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
];

/// Those of FIFO queues only.
const STORED_FIFO_ATTRIBUTES: [&str; 3] =
    ["DeduplicationScope", "FifoQueue", "FifoThroughputLimit"];

/// The attributes that have an effect.
const INTERPRETED_ATTRIBUTES: [&str; 7] = [
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
    "ContentBasedDeduplication",
    "RedrivePolicy",
];

/// Whether an attribute with this name can be set, at least on some queues.
pub(crate) fn is_settable(name: &str) -> bool {
    [&INTERPRETED_ATTRIBUTES[..], &STORED_ATTRIBUTES, &STORED_FIFO_ATTRIBUTES]
        .iter()
        .any(|names| names.contains(&name))
}

/// The attributes of a queue that its owner sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The visibility timeout of a received message, if the receiver sets none.
    pub(crate) visibility: Duration,
    /// How long a message is kept.
    pub(crate) retention: Duration,
    /// The delay of a new message, if the sender sets none.
    pub(crate) delay: Duration,
    /// The wait of a receive, if the receiver sets none.
    pub(crate) wait: Duration,
    /// Most bytes of a message.
    pub(crate) largest: usize,
    /// Whether a message without a deduplication id gets one from its body.
    pub(crate) content_based: bool,
    /// Name of the dead-letter queue, and the number of receives after which a message goes there.
    pub(crate) redrive: Option<(String, u32)>,
    #[serde(rename = "kept")]
    stored: BTreeMap<String, String>,
}

impl From<&QueueOptions> for Settings {
    fn from(options: &QueueOptions) -> Self {
        let stored = if options.fifo {
            vec![
                ("FifoQueue", "true"),
                ("DeduplicationScope", "queue"),
                ("FifoThroughputLimit", "perQueue"),
            ]
        } else {
            Vec::new()
        };
        Self {
            visibility: options.visibility,
            retention: options.retention,
            delay: Duration::ZERO,
            wait: Duration::ZERO,
            largest: 1 << 20,
            content_based: false,
            redrive: options.redrive.clone(),
            stored: stored
                .into_iter()
                .chain([("SqsManagedSseEnabled", "true")])
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

impl Settings {
    /// Sets attributes of a queue. `kind_of` returns whether the queue of a name is FIFO, or `None`
    /// if there is none.
    pub(crate) fn set(
        &mut self,
        fifo: bool,
        attributes: &BTreeMap<String, String>,
        kind_of: impl Fn(&str) -> Option<bool>,
    ) -> Result<(), ApiError> {
        for (name, value) in attributes {
            let number = |range| read_number(name, value, range);
            let seconds = |range| number(range).map(Duration::from_secs);
            let stored = STORED_ATTRIBUTES.contains(&name.as_str())
                || fifo && STORED_FIFO_ATTRIBUTES.contains(&name.as_str());
            match name.as_str() {
                "VisibilityTimeout" => self.visibility = seconds(0..=43_200)?,
                "MessageRetentionPeriod" => self.retention = seconds(60..=1_209_600)?,
                "DelaySeconds" => self.delay = seconds(0..=900)?,
                "ReceiveMessageWaitTimeSeconds" => self.wait = seconds(0..=20)?,
                "MaximumMessageSize" => self.largest = number(1024..=1 << 20)? as usize,
                "ContentBasedDeduplication" if fifo => {
                    self.content_based = value.parse().map_err(|_| wrong_value(name, value))?;
                }
                "FifoQueue" if fifo && value != "true" => {
                    return Err(wrong_value(name, value));
                }
                "RedrivePolicy" if value.is_empty() => self.redrive = None,
                "RedrivePolicy" => self.redrive = Some(read_redrive(fifo, value, &kind_of)?),
                _ if stored && value.is_empty() => {
                    self.stored.remove(name);
                }
                _ if stored => {
                    self.stored.insert(name.clone(), value.clone());
                }
                _ => return Err(unknown_name(name)),
            }
        }
        Ok(())
    }

    /// Allows EventBridge to send to the queue with this ARN.
    pub(crate) fn allow_eventbridge(&mut self, arn: &str) {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "events.amazonaws.com" },
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }],
        });
        self.stored.insert("Policy".to_owned(), policy.to_string());
    }

    /// The attributes as SQS returns them.
    pub(crate) fn attributes(&self, fifo: bool) -> BTreeMap<String, String> {
        let mut attributes = self.stored.clone();
        let mut add = |name: &str, value: String| {
            attributes.insert(name.to_owned(), value);
        };
        add("VisibilityTimeout", self.visibility.as_secs().to_string());
        add("MessageRetentionPeriod", self.retention.as_secs().to_string());
        add("DelaySeconds", self.delay.as_secs().to_string());
        add("ReceiveMessageWaitTimeSeconds", self.wait.as_secs().to_string());
        add("MaximumMessageSize", self.largest.to_string());
        if fifo {
            add("ContentBasedDeduplication", self.content_based.to_string());
        }
        if let Some((name, limit)) = &self.redrive {
            let policy = json!({ "deadLetterTargetArn": arn(name), "maxReceiveCount": limit });
            add("RedrivePolicy", policy.to_string());
        }
        attributes
    }
}

/// The error for an attribute that SQS does not have.
pub(crate) fn unknown_name(name: &str) -> ApiError {
    ApiError::new("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

fn wrong_value(name: &str, value: &str) -> ApiError {
    ApiError::new(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}: {value}."),
    )
}

fn read_number(
    name: &str,
    value: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, ApiError> {
    value
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| wrong_value(name, value))
}

fn read_redrive(
    fifo: bool,
    text: &str,
    kind_of: impl Fn(&str) -> Option<bool>,
) -> Result<(String, u32), ApiError> {
    let wrong = |reason: &str| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"),
        )
    };
    let policy: Value = serde_json::from_str(text).map_err(|_| wrong("It is not JSON."))?;
    let name = policy["deadLetterTargetArn"]
        .as_str()
        .and_then(|arn| arn.rsplit(':').next())
        .ok_or_else(|| wrong("deadLetterTargetArn is missing."))?;
    // The limit may be a number or a string.
    let limit = match &policy["maxReceiveCount"] {
        Value::String(text) => text.parse().ok(),
        limit => limit.as_u64(),
    };
    let limit = limit
        .and_then(|limit| u32::try_from(limit).ok())
        .filter(|limit| (1..=1000).contains(limit))
        .ok_or_else(|| wrong("maxReceiveCount must be 1 to 1000."))?;
    match kind_of(name) {
        Some(kind) if kind == fifo => Ok((name.to_owned(), limit)),
        Some(_) => Err(wrong("Dead-letter queue must be same type of queue as the source.")),
        None => Err(wrong("Dead letter target does not exist.")),
    }
}
