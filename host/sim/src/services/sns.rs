//! Amazon SNS: topics, their messages, and the subscribed queues.

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::ids;
use crate::names::{MANAGEMENT_ACCOUNT, REGION, TOPIC};
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};

/// Most items on a page.
const PAGE: usize = 100;

/// Most bytes of a message.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Most tags of a topic.
const TAGS: usize = 50;

/// The attributes of a topic that can be set.
const SETTABLE: [&str; 4] = ["DisplayName", "Policy", "DeliveryPolicy", "KmsMasterKeyId"];

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedAlert {
    /// Its subject, or an empty string.
    pub subject: String,
    /// Its body.
    pub message: String,
}

/// Every topic, and all messages of the alerts topic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sns {
    /// ARN of the alerts topic.
    pub(crate) topic_arn: String,
    pub(crate) published: Vec<PublishedAlert>,
    /// The messages to put into queues, with the queues' names.
    pub(crate) outbox: Vec<(String, String)>,
    /// By ARN.
    topics: BTreeMap<String, Topic>,
    subscriptions: Vec<Subscription>,
    #[serde(with = "crate::state_serde::rng")]
    rng: Rng,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Topic {
    attributes: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Subscription {
    arn: String,
    topic: String,
    protocol: String,
    endpoint: String,
    /// Whether only the message is delivered, without an envelope.
    raw: bool,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<Sns>)] = &[
    ("CreateTopic", |sns, _, call| sns.create(call)),
    ("DeleteTopic", |sns, _, call| sns.delete(call)),
    ("GetTopicAttributes", |sns, _, call| sns.attributes(call)),
    ("ListSubscriptions", |sns, _, call| sns.subscriptions(call, None)),
    ("ListSubscriptionsByTopic", |sns, _, call| {
        let topic = sns.topic_of(call, "TopicArn")?;
        sns.subscriptions(call, Some(&topic))
    }),
    ("ListTagsForResource", |sns, _, call| sns.tags(call)),
    ("ListTopics", |sns, _, call| sns.list(call)),
    ("Publish", |sns, now, call| sns.publish(now, call)),
    ("SetTopicAttributes", |sns, _, call| sns.set_attribute(call)),
    ("Subscribe", |sns, _, call| sns.subscribe(call)),
    ("TagResource", |sns, _, call| sns.tag(call)),
    ("Unsubscribe", |sns, _, call| sns.unsubscribe(call)),
    ("UntagResource", |sns, _, call| sns.untag(call)),
];

impl Sns {
    /// The service with the alerts topic.
    pub(crate) fn new(rng: Rng) -> Self {
        let topic_arn = arn(TOPIC);
        Self {
            topics: BTreeMap::from([(topic_arn.clone(), Topic::default())]),
            topic_arn,
            published: Vec::new(),
            outbox: Vec::new(),
            subscriptions: Vec::new(),
            rng,
        }
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }

    fn publish(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        let member = if call.form("TopicArn").is_some() { "TopicArn" } else { "TargetArn" };
        let topic = self.topic_of(call, member)?;
        let message = call
            .form("Message")
            .filter(|message| !message.is_empty())
            .ok_or_else(|| invalid("Empty message"))?;
        if message.len() > MESSAGE_BYTES {
            return Err(invalid("Message too long"));
        }
        let subject = call.form("Subject");
        if let Some(subject) = &subject {
            let broken = subject.is_empty()
                || subject.chars().count() >= 100
                || subject.chars().any(char::is_control);
            if broken {
                return Err(invalid("Subject"));
            }
        }
        let id = ids::uuid(&mut self.rng);
        for subscription in self.subscriptions.iter().filter(|one| one.topic == topic) {
            let Some(queue) = subscription.queue() else { continue };
            let body = if subscription.raw {
                message.clone()
            } else {
                envelope(&id, now, &topic, subject.as_deref(), &message)
            };
            self.outbox.push((queue.to_owned(), body));
        }
        if topic == self.topic_arn {
            let subject = subject.unwrap_or_default();
            self.published.push(PublishedAlert { subject, message });
        }
        Ok(json!({ "MessageId": id }))
    }

    fn create(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let name = call.form("Name").unwrap_or_default();
        let good = (1..=256).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !good {
            return Err(invalid("Topic Name"));
        }
        let attributes = call.entries("Attributes");
        attributes.keys().try_for_each(|name| check_attribute(name))?;
        let tags = call.tags();
        let arn = arn(&name);
        match self.topics.get(&arn) {
            Some(topic) if topic.tags != tags => {
                return Err(invalid("Tags Reason: Topic already exists with different tags"));
            }
            Some(_) => {}
            None => {
                self.topics.insert(arn.clone(), Topic { attributes, tags });
            }
        }
        Ok(json!({ "TopicArn": arn }))
    }

    /// A topic that does not exist is no error.
    fn delete(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let arn = call.form("TopicArn").ok_or_else(|| invalid("TopicArn"))?;
        self.topics.remove(&arn);
        self.subscriptions.retain(|subscription| subscription.topic != arn);
        Ok(json!({}))
    }

    fn list(&self, call: &Call<'_>) -> Result<Value, ApiError> {
        let topics = self.topics.keys().map(|arn| json!({ "TopicArn": arn })).collect();
        page(call, "Topics", topics)
    }

    fn attributes(&self, call: &Call<'_>) -> Result<Value, ApiError> {
        let arn = self.topic_of(call, "TopicArn")?;
        let confirmed = |one: &&Subscription| one.topic == arn && one.queue().is_some();
        let all = self.subscriptions.iter().filter(|one| one.topic == arn).count();
        let confirmed = self.subscriptions.iter().filter(confirmed).count();
        let mut attributes = BTreeMap::from([
            ("TopicArn".to_owned(), arn.clone()),
            ("Owner".to_owned(), MANAGEMENT_ACCOUNT.to_owned()),
            ("DisplayName".to_owned(), String::new()),
            ("SubscriptionsConfirmed".to_owned(), confirmed.to_string()),
            ("SubscriptionsPending".to_owned(), (all - confirmed).to_string()),
            ("SubscriptionsDeleted".to_owned(), "0".to_owned()),
        ]);
        if let Some(topic) = self.topics.get(&arn) {
            attributes.extend(topic.attributes.clone());
        }
        let entries: Vec<Value> =
            attributes.iter().map(|(name, value)| json!({ "key": name, "value": value })).collect();
        Ok(json!({ "Attributes": { "entry": entries } }))
    }

    fn set_attribute(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let arn = self.topic_of(call, "TopicArn")?;
        let name = call.form("AttributeName").unwrap_or_default();
        check_attribute(&name)?;
        if let Some(topic) = self.topics.get_mut(&arn) {
            topic.attributes.insert(name, call.form("AttributeValue").unwrap_or_default());
        }
        Ok(json!({}))
    }

    /// Only queues get deliveries. Other endpoints would have to confirm their subscription.
    fn subscribe(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let topic = self.topic_of(call, "TopicArn")?;
        let protocol = call.form("Protocol").unwrap_or_default();
        let endpoint = call.form("Endpoint").unwrap_or_default();
        let good = match protocol.as_str() {
            "sqs" => endpoint.starts_with("arn:aws:sqs:") && !endpoint.ends_with(".fifo"),
            "lambda" => endpoint.starts_with("arn:aws:lambda:"),
            "email" | "email-json" => endpoint.contains('@'),
            "http" | "https" => endpoint.starts_with(&format!("{protocol}://")),
            _ => return Err(invalid("Amazon SNS does not support this protocol string here")),
        };
        if !good {
            return Err(invalid("Endpoint"));
        }
        let same = |one: &&Subscription| {
            one.topic == topic && one.protocol == protocol && one.endpoint == endpoint
        };
        let arn = match self.subscriptions.iter().find(same) {
            Some(known) => known.arn.clone(),
            None => {
                let arn = format!("{topic}:{}", ids::uuid(&mut self.rng));
                let attributes = call.entries("Attributes");
                self.subscriptions.push(Subscription {
                    arn: arn.clone(),
                    topic,
                    raw: attributes.get("RawMessageDelivery").is_some_and(|raw| raw == "true"),
                    protocol: protocol.clone(),
                    endpoint,
                });
                arn
            }
        };
        let pending = protocol != "sqs"
            && protocol != "lambda"
            && call.form("ReturnSubscriptionArn").as_deref() != Some("true");
        Ok(json!({
            "SubscriptionArn": if pending { "pending confirmation" } else { arn.as_str() },
        }))
    }

    fn unsubscribe(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let arn = call.form("SubscriptionArn").ok_or_else(|| invalid("SubscriptionArn"))?;
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| subscription.arn != arn);
        if self.subscriptions.len() == before {
            return Err(not_found("Subscription does not exist"));
        }
        Ok(json!({}))
    }

    fn subscriptions(&self, call: &Call<'_>, topic: Option<&str>) -> Result<Value, ApiError> {
        let shown = self
            .subscriptions
            .iter()
            .filter(|one| topic.is_none_or(|topic| one.topic == topic))
            .map(|one| {
                json!({
                    "TopicArn": one.topic,
                    "Protocol": one.protocol,
                    "SubscriptionArn": if one.queue().is_some() { &one.arn } else { "PendingConfirmation" },
                    "Owner": MANAGEMENT_ACCOUNT,
                    "Endpoint": one.endpoint,
                })
            })
            .collect();
        page(call, "Subscriptions", shown)
    }

    fn tags(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let tags = &self.tagged_topic(call)?.tags;
        let tags: Vec<Value> =
            tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        Ok(json!({ "Tags": tags }))
    }

    fn tag(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let topic = self.tagged_topic(call)?;
        let mut tags = topic.tags.clone();
        tags.extend(call.tags());
        if tags.len() > TAGS {
            return Err(ApiError::new(
                "TagLimitExceeded",
                "Could not complete request: tag quota of per resource exceeded",
            ));
        }
        topic.tags = tags;
        Ok(json!({}))
    }

    fn untag(&mut self, call: &Call<'_>) -> Result<Value, ApiError> {
        let keys = call.members("TagKeys");
        let topic = self.tagged_topic(call)?;
        topic.tags.retain(|key, _| !keys.contains(key));
        Ok(json!({}))
    }

    fn tagged_topic(&mut self, call: &Call<'_>) -> Result<&mut Topic, ApiError> {
        let arn = call.form("ResourceArn").ok_or_else(|| invalid("ResourceArn"))?;
        self.topics.get_mut(&arn).ok_or_else(|| {
            ApiError::new("ResourceNotFound", "Resource does not exist").with_status(404)
        })
    }

    /// ARN of the topic in a member of a request.
    fn topic_of(&self, call: &Call<'_>, member: &str) -> Result<String, ApiError> {
        let arn = call.form(member).ok_or_else(|| invalid(member))?;
        if self.topics.contains_key(&arn) {
            Ok(arn)
        } else {
            Err(not_found("Topic does not exist"))
        }
    }
}

impl Subscription {
    /// Name of the subscribed queue.
    fn queue(&self) -> Option<&str> {
        if self.protocol == "sqs" { self.endpoint.rsplit(':').next() } else { None }
    }
}

/// The body that a queue receives, unless it subscribed to the raw message.
fn envelope(id: &str, now: Timestamp, topic: &str, subject: Option<&str>, message: &str) -> String {
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic,
        "Message": message,
        "Timestamp": format!("{now:.3}"),
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": format!("https://sns.{REGION}.amazonaws.com/SimpleNotificationService-EXAMPLE.pem"),
        "UnsubscribeURL": format!("https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe"),
    });
    if let Some(subject) = subject {
        envelope["Subject"] = subject.into();
    }
    envelope.to_string()
}

fn arn(name: &str) -> String {
    format!("arn:aws:sns:{REGION}:{MANAGEMENT_ACCOUNT}:{name}")
}

fn check_attribute(name: &str) -> Result<(), ApiError> {
    if SETTABLE.contains(&name) { Ok(()) } else { Err(invalid("AttributeName")) }
}

fn page(call: &Call<'_>, member: &str, mut items: Vec<Value>) -> Result<Value, ApiError> {
    let token = call.form("NextToken").filter(|token| !token.is_empty());
    let cursor = Cursor::read(token.as_deref()).ok_or_else(|| invalid("NextToken"))?;
    let (range, next) = cursor.page(PAGE, items.len());
    let mut answer = json!({ member: items.drain(range).collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

fn invalid(what: &str) -> ApiError {
    ApiError::new("InvalidParameter", format!("Invalid parameter: {what}"))
}

fn not_found(message: &str) -> ApiError {
    ApiError::new("NotFound", message).with_status(404)
}
