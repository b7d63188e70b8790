//! SQS: the operations on queues, and what the host itself does not use of messages.

mod model_calls;

use std::time::Duration;

use groundcrew_sim::model::ModelResponse;
use groundcrew_sim::protocol::Request;
use model_calls::ModelCalls;
use rstest::rstest;
use serde_json::{Value, json};

fn sqs() -> ModelCalls {
    ModelCalls::to("AmazonSQS")
}

/// Creates a queue and returns its URL.
fn create(calls: &mut ModelCalls, name: &str, attributes: Value) -> String {
    let request = json!({ "QueueName": name, "Attributes": attributes });
    calls.ok("CreateQueue", &request)["QueueUrl"].as_str().unwrap().to_owned()
}

fn attribute(calls: &mut ModelCalls, url: &str, name: &str) -> String {
    let request = json!({ "QueueUrl": url, "AttributeNames": [name] });
    let answer = calls.ok("GetQueueAttributes", &request);
    answer["Attributes"][name].as_str().unwrap_or_default().to_owned()
}

fn bodies(calls: &mut ModelCalls, url: &str) -> Vec<String> {
    let request = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 });
    let answer = calls.ok("ReceiveMessage", &request);
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_queue_can_be_made_again_only_as_it_is_and_a_minute_after_its_end() {
    let mut calls = sqs();
    let url = create(&mut calls, "jobs", json!({ "VisibilityTimeout": "60" }));
    assert_eq!(url, "https://sqs.us-east-1.amazonaws.com/123456789012/jobs");
    assert_eq!(create(&mut calls, "jobs", json!({ "VisibilityTimeout": "60" })), url);
    let other = json!({ "QueueName": "jobs", "Attributes": { "VisibilityTimeout": "61" } });
    assert_eq!(calls.code("CreateQueue", &other), "QueueNameExists");
    calls.ok("DeleteQueue", &json!({ "QueueUrl": url }));
    assert_eq!(calls.code("DeleteQueue", &json!({ "QueueUrl": url })), "QueueDoesNotExist");
    assert_eq!(calls.code("CreateQueue", &other), "QueueDeletedRecently");
    calls.wait(Duration::from_secs(60));
    calls.ok("CreateQueue", &other);
}

#[rstest]
#[case("jobs", json!({ "FifoQueue": "true" }), "InvalidParameterValue")]
#[case("jobs.fifo", json!({}), "InvalidParameterValue")]
#[case("jobs jobs", json!({}), "InvalidParameterValue")]
#[case("jobs", json!({ "FifoQueue": "false" }), "InvalidAttributeName")]
#[case("jobs", json!({ "ContentBasedDeduplication": "true" }), "InvalidAttributeName")]
#[case("jobs", json!({ "Colour": "red" }), "InvalidAttributeName")]
#[case("jobs", json!({ "VisibilityTimeout": "43201" }), "InvalidAttributeValue")]
#[case("jobs", json!({ "MaximumMessageSize": "1" }), "InvalidAttributeValue")]
#[case("jobs", json!({ "RedrivePolicy": "{}" }), "InvalidParameterValue")]
#[case("jobs", json!({ "RedrivePolicy": r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:none","maxReceiveCount":1}"# }), "InvalidParameterValue")]
#[case("jobs", json!({ "RedrivePolicy": r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:groundcrew-updates-dead.fifo","maxReceiveCount":1}"# }), "InvalidParameterValue")]
fn a_queue_that_can_not_be_is_refused(
    #[case] name: &str,
    #[case] attributes: Value,
    #[case] code: &str,
) {
    let request = json!({ "QueueName": name, "Attributes": attributes });
    assert_eq!(sqs().code("CreateQueue", &request), code);
}

#[test]
fn settings_take_effect() {
    let mut calls = sqs();
    let dead = create(&mut calls, "dead", json!({}));
    let url = create(&mut calls, "jobs", json!({ "DelaySeconds": "10" }));
    calls.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "late" }));
    assert_eq!(bodies(&mut calls, &url), [""; 0]);
    calls.wait(Duration::from_secs(10));
    let arn = attribute(&mut calls, &dead, "QueueArn");
    let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": "1" }).to_string();
    let set = json!({ "QueueUrl": url, "Attributes": {
        "VisibilityTimeout": "5", "RedrivePolicy": policy, "MaximumMessageSize": "1024",
    }});
    calls.ok("SetQueueAttributes", &set);
    assert_eq!(bodies(&mut calls, &url), ["late"]);
    calls.wait(Duration::from_secs(5));
    assert_eq!(bodies(&mut calls, &url), [""; 0]);
    assert_eq!(bodies(&mut calls, &dead), ["late"]);
    let sources = calls.ok("ListDeadLetterSourceQueues", &json!({ "QueueUrl": dead }));
    assert_eq!(sources, json!({ "queueUrls": [url] }));
    let large = json!({ "QueueUrl": url, "MessageBody": "x".repeat(1025) });
    assert_eq!(calls.code("SendMessage", &large), "InvalidParameterValue");
}

#[test]
fn delayed_messages_are_counted_apart() {
    let mut calls = sqs();
    let url = create(&mut calls, "jobs", json!({}));
    calls.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "a", "DelaySeconds": 900 }));
    calls.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "b" }));
    calls.ok("ReceiveMessage", &json!({ "QueueUrl": url, "VisibilityTimeout": 900 }));
    calls.wait(Duration::from_secs(65));
    for (name, count) in [("", "0"), ("NotVisible", "1"), ("Delayed", "1")] {
        let name = format!("ApproximateNumberOfMessages{name}");
        assert_eq!(attribute(&mut calls, &url, &name), count, "{name}");
    }
}

#[test]
fn content_can_stand_for_the_deduplication_id() {
    let mut calls = sqs();
    let attributes = json!({ "FifoQueue": "true", "ContentBasedDeduplication": "true" });
    let url = create(&mut calls, "jobs.fifo", attributes);
    for body in ["a", "a", "b"] {
        let message = json!({ "QueueUrl": url, "MessageBody": body, "MessageGroupId": "g" });
        calls.ok("SendMessage", &message);
    }
    assert_eq!(bodies(&mut calls, &url), ["a", "b"]);
}

#[test]
fn a_purge_empties_a_queue_once_a_minute() {
    let mut calls = sqs();
    let url = create(&mut calls, "jobs", json!({}));
    calls.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "a" }));
    calls.ok("PurgeQueue", &json!({ "QueueUrl": url }));
    assert_eq!(bodies(&mut calls, &url), [""; 0]);
    assert_eq!(calls.code("PurgeQueue", &json!({ "QueueUrl": url })), "PurgeQueueInProgress");
    calls.wait(Duration::from_secs(60));
    calls.ok("PurgeQueue", &json!({ "QueueUrl": url }));
}

#[rstest]
#[case(json!({ "MessageBody": "" }), "InvalidParameterValue")]
#[case(json!({ "MessageBody": "\u{1}" }), "InvalidMessageContents")]
#[case(json!({ "MessageBody": "a", "DelaySeconds": 901 }), "InvalidParameterValue")]
#[case(json!({ "MessageBody": "a", "MessageDeduplicationId": "a" }), "InvalidParameterValue")]
#[case(json!({ "MessageBody": "a", "MessageGroupId": "a b" }), "InvalidParameterValue")]
#[case(json!({ "MessageBody": "a", "MessageAttributes": { "a": { "DataType": "X" } } }), "InvalidParameterValue")]
fn a_message_that_can_not_be_is_refused(#[case] mut message: Value, #[case] code: &str) {
    let mut calls = sqs();
    message["QueueUrl"] = create(&mut calls, "jobs", json!({})).into();
    assert_eq!(calls.code("SendMessage", &message), code);
}

#[rstest]
#[case("https://sqs.us-east-1.amazonaws.com/123456789012/jobs")]
#[case("http://localhost:4566/123456789012/jobs")]
#[case("https://us-east-1.queue.amazonaws.com/123456789012/jobs")]
#[case("jobs")]
fn a_queue_is_known_by_any_url(#[case] url: &str) {
    let mut calls = sqs();
    create(&mut calls, "jobs", json!({}));
    calls.ok("GetQueueAttributes", &json!({ "QueueUrl": url }));
}

#[test]
fn a_published_message_reaches_the_queues_that_subscribe() {
    let mut calls = sqs();
    let url = create(&mut calls, "alerts", json!({}));
    let mut sns = |form: &str| {
        let request = Request { path: "/", target: None, body: form.as_bytes() };
        let ModelResponse::Ready(answer) = calls.model.handle(calls.now, &request) else {
            panic!("{form} waits")
        };
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    };
    let topic = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts";
    let queue = "arn:aws:sqs:us-east-1:123456789012:alerts";
    sns(&format!(
        "Action=Subscribe&TopicArn={topic}&Protocol=sqs&Endpoint={queue}&Attributes.entry.1.key=RawMessageDelivery&Attributes.entry.1.value=true"
    ));
    sns(&format!("Action=Publish&TopicArn={topic}&Message=down"));
    assert_eq!(bodies(&mut calls, &url), ["down"]);
    assert_eq!(calls.model.alerts()[0].message, "down");
}
