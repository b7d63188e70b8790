//! Envelopes of events, and documents that are not events. Each is a line of a table.

use groundcrew_core::envelope::events;
use rstest::rstest;
use serde_json::{Value, json};

const CREATED: &str = include_str!("../../../tests/events/create-managed-account-succeeded.json");
const UPDATED: &str = include_str!("../../../tests/events/update-managed-account-succeeded.json");

fn sns(message: &str) -> String {
    json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:lifecycle",
        "Message": message,
        "Timestamp": "2026-08-30T21:42:19.000Z",
        "SignatureVersion": "1",
    })
    .to_string()
}

fn sns_record(message: &str) -> Value {
    json!({
        "EventVersion": "1.0",
        "EventSource": "aws:sns",
        "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:lifecycle:1",
        "Sns": { "Type": "Notification", "MessageId": "1", "Message": message },
    })
}

fn sqs_record(body: &str) -> Value {
    json!({
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEB",
        "body": body,
        "attributes": { "ApproximateReceiveCount": "1" },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:lifecycle",
        "awsRegion": "us-east-1",
    })
}

fn records(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

/// Envelopes, and the names of the events in them.
#[rstest]
#[case::bare(CREATED.to_owned(), &["CreateManagedAccount"])]
#[case::with_a_byte_order_mark(format!("\u{feff}{CREATED}"), &["CreateManagedAccount"])]
#[case::sns(sns(CREATED), &["CreateManagedAccount"])]
#[case::sns_of_lambda(records(&[sns_record(CREATED)]), &["CreateManagedAccount"])]
#[case::one_record_of_sns(sns_record(CREATED).to_string(), &["CreateManagedAccount"])]
#[case::sqs_of_lambda(records(&[sqs_record(CREATED)]), &["CreateManagedAccount"])]
#[case::one_record_of_sqs(sqs_record(CREATED).to_string(), &["CreateManagedAccount"])]
#[case::sns_in_sqs(records(&[sqs_record(&sns(CREATED))]), &["CreateManagedAccount"])]
#[case::several(
    records(&[sqs_record(&sns(CREATED)), sqs_record(UPDATED)]),
    &["CreateManagedAccount", "UpdateManagedAccount"]
)]
#[case::array(format!("[{CREATED},{UPDATED}]"), &["CreateManagedAccount", "UpdateManagedAccount"])]
#[case::array_in_sqs(
    records(&[sqs_record(&format!("[{UPDATED},{CREATED}]"))]),
    &["UpdateManagedAccount", "CreateManagedAccount"]
)]
#[case::printed_by_receive_message(
    json!({ "Messages": [{ "MessageId": "1", "ReceiptHandle": "r", "Body": sns(UPDATED) }] }).to_string(),
    &["UpdateManagedAccount"]
)]
#[case::an_event_with_such_fields(
    r#"{"source":"our.app","detail-type":"Order","Records":[1],"Message":"x","detail":{}}"#.to_owned(),
    &["Order"]
)]
fn events_in_envelopes(#[case] text: String, #[case] expected: &[&str]) {
    let names: Vec<String> = events(&text).into_iter().map(|event| event.unwrap().name).collect();
    assert_eq!(names, expected);
}

/// The `detail` of an event, as CloudTrail writes it.
fn cloud_trail_record() -> Value {
    serde_json::from_str::<Value>(CREATED).unwrap()["detail"].clone()
}

const AROUND: &str = "groundcrew expects the EventBridge event around it";

/// Documents that are not events, and the message for each.
#[rstest]
#[case::cloud_trail(cloud_trail_record(), &["this is a CloudTrail record; ", AROUND])]
#[case::records_of_cloud_trail(
    json!({ "Records": [cloud_trail_record()] }),
    &["this is a CloudTrail record; ", AROUND]
)]
#[case::cloud_trail_in_sqs(
    json!({ "Records": [sqs_record(&cloud_trail_record().to_string())] }),
    &["this is a CloudTrail record; ", AROUND]
)]
#[case::history(
    json!({ "Events": [{ "CloudTrailEvent": "{}" }] }),
    &["this is an answer of CloudTrail's event history; "]
)]
#[case::subscription(
    json!({ "Type": "SubscriptionConfirmation", "Message": "You have chosen", "SubscribeURL": "u" }),
    &["this is a message of SNS about a subscription; ", "SubscribeURL"]
)]
#[case::put_events(
    json!({ "Source": "a", "DetailType": "b", "Detail": "{}" }),
    &["this is an entry for PutEvents; "]
)]
#[case::log_group(json!({ "awslogs": { "data": "H4s" } }), &["this is a delivery of CloudWatch Logs; "])]
#[case::bucket(
    json!({ "Records": [{ "eventVersion": "2.1", "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put", "s3": {} }] }),
    &["this is a notification of S3; "]
)]
#[case::details(
    json!({ "serviceEventDetails": {} }),
    &["this is a part of a lifecycle event; ", AROUND]
)]
#[case::empty_batch(json!({ "Records": [] }), &["this is an empty batch; "])]
#[case::empty_array(json!([]), &["the event has no `source`"])]
#[case::text_in_sns(json!({ "Type": "Notification", "Message": "hello" }), &["the event is not JSON"])]
#[case::no_text_in_sns(json!({ "Type": "Notification" }), &["the event has no `source`"])]
#[case::body_of_nothing(json!({ "Records": [sqs_record("")] }), &["the event is not JSON"])]
fn what_is_no_event_is_named(#[case] value: Value, #[case] said: &[&str]) {
    let [event] = events(&value.to_string()).try_into().unwrap();
    let error = event.unwrap_err().to_string();
    assert!(error.starts_with(said[0]), "{error}");
    said.iter().for_each(|said| assert!(error.contains(said), "{error}"));
}

/// However deep the nesting is, the rest becomes an event that can't be parsed, and the program
/// does not crash.
#[test]
fn envelopes_without_end() {
    let deep = (0..10).fold(CREATED.to_owned(), |text, _| sns(&text));
    let [event] = events(&deep).try_into().unwrap();
    assert!(event.is_err());
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let [event] = events(&text).try_into().unwrap();
    assert_eq!(event.unwrap_err().text, text);
}
