//! Envelopes of events. EventBridge delivers an event as it is. Events may also arrive through SNS,
//! SQS, or SNS to SQS, with or without raw message delivery, and people read them out of a queue by
//! hand.

use serde_json::Value;

use crate::event::{Event, EventError, InvalidEvent};

/// The deepest nesting of envelopes. An event in an SNS message in an SQS message, in an array, has
/// four levels.
const MAX_DEPTH: usize = 8;

/// The events in a text, in their order. A text that is not an envelope is parsed as an event, and
/// the error says what is wrong with it. Never empty, so that no event is lost unnoticed.
pub fn events(text: &str) -> Vec<Result<Event, InvalidEvent>> {
    let mut events = Vec::new();
    open_text(text, 0, &mut events);
    events
}

/// The content of an envelope.
enum EnvelopeContent {
    Batch(Vec<Value>),
    Text(String),
}

fn open_text(text: &str, depth: usize, events: &mut Vec<Result<Event, InvalidEvent>>) {
    // A file that was written on Windows and sent unchanged begins with a byte order mark.
    let text = text.trim_start_matches('\u{feff}').to_owned();
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => open_value(value, Some(text), depth, events),
        Err(error) => {
            let error = EventError::NotJson(error.to_string());
            events.push(Err(InvalidEvent { text, error }));
        }
    }
}

/// Opens the envelope in a value, or parses the value as an event. `text` is the original text, if
/// the value was written by itself.
fn open_value(
    value: Value,
    text: Option<String>,
    depth: usize,
    events: &mut Vec<Result<Event, InvalidEvent>>,
) {
    match if depth < MAX_DEPTH { envelope_content(&value) } else { None } {
        Some(EnvelopeContent::Batch(several)) if !several.is_empty() => {
            several.into_iter().for_each(|one| open_value(one, None, depth + 1, events));
        }
        Some(EnvelopeContent::Text(text)) => open_text(&text, depth + 1, events),
        _ => {
            let text = text.unwrap_or_else(|| value.to_string());
            let event = Event::from_json_value(text.clone(), value);
            events.push(event.map_err(|error| InvalidEvent { text, error }));
        }
    }
}

/// The content of an envelope; `None` if it is not an envelope.
fn envelope_content(value: &Value) -> Option<EnvelopeContent> {
    if let Value::Array(several) = value {
        return Some(EnvelopeContent::Batch(several.clone()));
    }
    let fields = value.as_object()?;
    // An event, whatever its other fields are called.
    if fields.contains_key("source") {
        return None;
    }
    // Lambda passes `Records`; `aws sqs receive-message` prints `Messages`.
    for list in ["Records", "Messages"] {
        if let Some(Value::Array(several)) = fields.get(list) {
            return Some(EnvelopeContent::Batch(several.clone()));
        }
    }
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let is_notification = text("/Type").as_deref() == Some("Notification");
    let message = match () {
        () if is_notification => text("/Message"),
        // A record of Lambda, of SNS or SQS.
        () if fields.contains_key("Sns") => text("/Sns/Message"),
        () if text("/eventSource").as_deref() == Some("aws:sqs") => text("/body"),
        () if fields.contains_key("ReceiptHandle") => text("/Body"),
        () => None,
    };
    message.map(EnvelopeContent::Text)
}

const UNWRAPPED_ADVICE: &str = "groundcrew expects the EventBridge event around it: the object with `source`, \
                      `detail-type` and `detail`, of which the record is the `detail`. A rule in \
                      EventBridge that matches {\"source\": [\"aws.controltower\"]} delivers it";

/// The kind of a JSON document without `source`, and how to get an event instead.
pub(crate) fn describe_non_event(value: &Value) -> Option<(&'static str, &'static str)> {
    let has = |keys: &[&str]| keys.iter().all(|key| value.get(key).is_some());
    let is = |key: &str, expected: &[&str]| {
        value.get(key).and_then(Value::as_str).is_some_and(|is| expected.contains(&is))
    };
    if has(&["eventVersion", "eventName", "eventSource"]) && value.get("s3").is_none() {
        return Some(("a CloudTrail record", UNWRAPPED_ADVICE));
    }
    if has(&["CloudTrailEvent"]) || has(&["Events"]) {
        let advice = "groundcrew expects an EventBridge event: what `aws cloudtrail lookup-events` \
                      prints has the `detail` of one only, as text";
        return Some(("an answer of CloudTrail's event history", advice));
    }
    if is("Type", &["SubscriptionConfirmation", "UnsubscribeConfirmation"]) {
        let advice = "it is for whoever owns the subscription: open its `SubscribeURL` to confirm \
                      it. Events come afterwards";
        return Some(("a message of SNS about a subscription", advice));
    }
    if has(&["Source", "DetailType", "Detail"]) {
        let advice = "groundcrew expects the event as EventBridge delivers it: with `source`, \
                      `detail-type` and `detail`";
        return Some(("an entry for PutEvents", advice));
    }
    if has(&["awslogs"]) {
        let advice = "groundcrew expects an EventBridge event: have a rule in EventBridge deliver \
                      it, not a subscription of a log group";
        return Some(("a delivery of CloudWatch Logs", advice));
    }
    if has(&["s3"]) || is("Event", &["s3:TestEvent"]) {
        let advice =
            "groundcrew expects an EventBridge event: have a rule in EventBridge deliver it";
        return Some(("a notification of S3", advice));
    }
    if has(&["Records"]) || has(&["Messages"]) {
        return Some(("an empty batch", "groundcrew expects at least one EventBridge event in it"));
    }
    if has(&["serviceEventDetails"]) || has(&["createManagedAccountStatus"]) {
        return Some(("a part of a lifecycle event", UNWRAPPED_ADVICE));
    }
    None
}
