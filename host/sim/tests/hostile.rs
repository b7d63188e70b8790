//! The simulated AWS responds to every request, and no request ends it.

use fastrand::Rng;
use groundcrew_sim::model::{Model, ModelResponse, supported_operations};
use groundcrew_sim::protocol::Request;
use groundcrew_sim::{FaultLevel, random_fleet};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Map, Value, json};

const NOW: Timestamp = Timestamp::constant(1_788_242_400, 0);

/// The prefixes of `X-Amz-Target`, by the names of the services in the table of operations.
const TARGETS: [(&str, &str); 8] = [
    ("dynamodb", "DynamoDB_20120810"),
    ("identitystore", "AWSIdentityStore"),
    ("organizations", "AWSOrganizationsV20161128"),
    ("resourcegroupstaggingapi", "ResourceGroupsTaggingAPI_20170126"),
    ("servicecatalog", "AWS242ServiceCatalogService"),
    ("sqs", "AmazonSQS"),
    ("sso-admin", "SWBExternalService"),
    ("support", "AWSSupport_20130415"),
];

/// Members of requests to DynamoDB, which rejects unknown members.
const OF_DYNAMODB: [&str; 8] = [
    "ConditionExpression",
    "ExclusiveStartKey",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "Item",
    "Key",
    "KeyConditionExpression",
    "TransactItems",
];

/// Members of requests to the other services.
const MEMBERS: [&str; 29] = [
    "AccessLevelFilter",
    "AlternateIdentifier",
    "AttributeNames",
    "Attributes",
    "ChildType",
    "DelaySeconds",
    "Entries",
    "Filters",
    "Id",
    "MaxNumberOfMessages",
    "MaxResults",
    "MessageAttributes",
    "MessageBody",
    "MessageDeduplicationId",
    "MessageGroupId",
    "NextToken",
    "PageSize",
    "PageToken",
    "PaginationToken",
    "ParentId",
    "ProductId",
    "ProvisioningParameters",
    "QueueName",
    "ReceiptHandle",
    "ResourceId",
    "SearchFilter",
    "Tags",
    "VisibilityTimeout",
    "WaitTimeSeconds",
];

const QUEUE: &str = "http://localhost/1/groundcrew-updates.fifo";

fn model() -> Model {
    Model::new(1, NOW, random_fleet(3, 0, 1), FaultLevel::None, 5)
}

/// The status of the response. `None` while a long poll waits.
fn ask(model: &mut Model, path: &str, target: Option<&str>, body: &[u8]) -> Option<u16> {
    match model.handle(NOW, &Request { path, target, body }) {
        ModelResponse::Ready(response) => Some(response.status),
        ModelResponse::Wait(_) => None,
    }
}

/// A value that may be valid or not.
fn value(rng: &mut Rng, names: &[&str], depth: usize) -> Value {
    const TEXTS: [&str; 16] = [
        "",
        "groundcrew",
        "groundcrew-updates.fifo",
        "groundcrew-updates.fifo.0.0",
        "empty-0",
        "page-18446744073709551615",
        "🦀",
        "r-sim1",
        "ACCOUNT",
        "SearchQuery",
        "name:",
        "1e999",
        "pp-aaaaaaaaaaaaa",
        "rec-aaaaaaaaaaaaa",
        "ALL",
        "\u{0}",
    ];
    match rng.u8(..if depth > 3 { 6 } else { 10 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.i64(-2..20).into(),
        3 => [u64::MAX, i64::MAX as u64, 1 << 53][rng.usize(..3)].into(),
        4 => (-1.5e308).into(),
        5 => TEXTS[rng.usize(..TEXTS.len())].into(),
        6 => (0..rng.usize(..4)).map(|_| value(rng, names, depth + 1)).collect::<Vec<_>>().into(),
        7 => json!({ "pk": { "S": "a" }, "sk": { ["S", "N", "B"][rng.usize(..3)]: "1" } }),
        _ => members(rng, names, depth + 1),
    }
}

fn members(rng: &mut Rng, names: &[&str], depth: usize) -> Value {
    let member = |_| (names[rng.usize(..names.len())].to_owned(), value(rng, names, depth));
    (0..depth + 4).map(member).collect::<Map<_, _>>().into()
}

#[test]
fn every_request_is_answered() {
    let mut rng = Rng::with_seed(1);
    let offered = supported_operations();
    for (service, prefix) in TARGETS {
        for operation in &offered[service] {
            let mut model = model();
            let target = format!("{prefix}.{operation}");
            let path = format!("/service/{prefix}/operation/{operation}");
            let odd: [&[u8]; 8] =
                [b"", b"{", b"[]", b"null", b"\xff", b"\x9f", b"\xbb\xff\xff\xff", b"\"{}\""];
            for body in odd {
                ask(&mut model, "/", Some(&target), body);
                ask(&mut model, &path, None, body);
            }
            for _ in 0..500 {
                let body = match service {
                    "dynamodb" => {
                        with("TableName", "groundcrew", members(&mut rng, &OF_DYNAMODB, 0))
                    }
                    "sqs" => with("QueueUrl", QUEUE, members(&mut rng, &MEMBERS, 0)),
                    _ => members(&mut rng, &MEMBERS, 0),
                };
                let status = ask(&mut model, "/", Some(&target), body.to_string().as_bytes());
                assert!(status.is_none_or(|status| (200..500).contains(&status)), "{body}");
            }
        }
    }
}

fn with(name: &str, value: &str, mut members: Value) -> Value {
    members[name] = value.into();
    members
}

#[rstest]
#[case::nothing("/", None, "")]
#[case::no_operation("/", Some("AmazonSQS"), "{}")]
#[case::another_service("/", Some("AmazonS3.PutObject"), "{}")]
#[case::another_operation("/", Some("AmazonSQS.Fly"), "{}")]
#[case::no_cbor_operation("/service/AmazonSQS", None, "")]
#[case::another_version("/", None, "Action=Publish&Version=1")]
#[case::another_action("/", None, "Action=%F0%9F&Version=2010-03-31")]
#[case::no_topic("/", None, "Action=Publish&TopicArn=&Message=x&Version=2010-03-31")]
#[case::no_page("/", None, "Action=ListTopics&NextToken=page--1&Version=2010-03-31")]
#[case::rest("/list-enabled-baselines", None, r#"{"maxResults":-1}"#)]
fn what_nobody_offers_is_refused(
    #[case] path: &str,
    #[case] target: Option<&str>,
    #[case] body: &str,
) {
    let status = ask(&mut model(), path, target, body.as_bytes());
    assert!(status.is_some_and(|status| (400..500).contains(&status)), "{status:?}");
}

/// Whether a condition is accepted, or rejected with an error of DynamoDB.
fn put(model: &mut Model, condition: &str) -> u16 {
    let body = json!({
        "TableName": "groundcrew",
        "Item": { "pk": { "S": "a" }, "sk": { "S": "b" } },
        "ConditionExpression": condition,
    });
    let target = Some("DynamoDB_20120810.PutItem");
    ask(model, "/", target, body.to_string().as_bytes()).expect("it does not wait")
}

#[test]
fn every_expression_is_answered() {
    const WORDS: [&str; 26] = [
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "=",
        "<>",
        "<",
        ">=",
        "+",
        "a",
        "pk",
        "_",
        "#a",
        ":a",
        "0",
        "99999999999999999999",
        "AND",
        "OR",
        "NOT",
        "BETWEEN",
        "IN",
        "size",
        "attribute_exists",
        "é",
    ];
    let mut rng = Rng::with_seed(1);
    let mut model = model();
    for _ in 0..20_000 {
        let words = (0..rng.usize(1..12)).map(|_| WORDS[rng.usize(..WORDS.len())]);
        let condition = words.collect::<Vec<_>>().join(["", " "][rng.usize(..2)]);
        let status = put(&mut model, &condition);
        assert!(matches!(status, 200 | 400), "{condition}: {status}");
    }
}

#[rstest]
#[case::parentheses("(".repeat(4096))]
#[case::functions("size(".repeat(819))]
#[case::both("NOT (a=pk OR ".repeat(99) + &"size(".repeat(500))]
#[case::path("a".to_owned() + &"[0]".repeat(1365))]
#[case::negations("NOT ".repeat(1024))]
fn deep_expressions_are_refused(#[case] condition: String) {
    assert_eq!(put(&mut model(), &condition), 400);
}
