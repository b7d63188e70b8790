//! Amazon SNS: one topic for alerts.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::ids;
use crate::protocol::{ApiError, Call};

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedAlert {
    /// Its subject; empty when it had none.
    pub subject: String,
    /// Its body.
    pub message: String,
}

/// The topic and all that was published to it.
#[derive(Debug)]
pub(crate) struct Sns {
    pub(crate) topic_arn: String,
    pub(crate) published: Vec<PublishedAlert>,
    rng: Rng,
}

impl Sns {
    pub(crate) fn new(topic_arn: String, rng: Rng) -> Self {
        Self { topic_arn, published: Vec::new(), rng }
    }

    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        match call.operation {
            "Publish" => self.publish(call),
            _ => Err(call.unknown()),
        }
    }

    fn publish(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let invalid =
            |what: &str| ApiError::new("InvalidParameter", format!("Invalid parameter: {what}"));
        let topic = call
            .form("TopicArn")
            .or_else(|| call.form("TargetArn"))
            .ok_or_else(|| invalid("TopicArn"))?;
        if topic != self.topic_arn {
            return Err(ApiError::new("NotFound", "Topic does not exist").with_status(404));
        }
        let message = call
            .form("Message")
            .filter(|message| !message.is_empty())
            .ok_or_else(|| invalid("Empty message"))?;
        let subject = call.form("Subject");
        if let Some(subject) = &subject {
            let broken = subject.is_empty()
                || subject.chars().count() >= 100
                || subject.chars().any(char::is_control);
            if broken {
                return Err(invalid("Subject"));
            }
        }
        self.published.push(PublishedAlert { subject: subject.unwrap_or_default(), message });
        Ok(json!({ "MessageId": ids::uuid(&mut self.rng) }))
    }
}
