//! What is sent, what becomes of the answer, and which settings are wrong.

use std::cell::RefCell;
use std::rc::Rc;

use groundcrew_sdk::http::{self, HttpError, Request, Response};
use groundcrew_sdk::{
    Account, Cause, Failure, FailureKind, Notification, Notifier, Problem, Receipt, Surroundings,
    Tags,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{Settings, Webhook};

fn named(name: &str) -> Notification {
    Notification {
        annotations: vec![],
        key: "onboard/111122223333/hook".to_owned(),
        cause: Cause::Lifecycle,
        account: Account {
            id: "111122223333".to_owned(),
            name: name.to_owned(),
            email: String::new(),
            organizational_units: vec![],
            tags: Tags::Known(vec![]),
            joined: None,
        },
        event: None,
        now: 1_767_323_045,
        attempt: 1,
    }
}

fn configure(settings: Value) -> Result<Webhook, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Webhook::configure(settings, &Surroundings { lanes: vec![] })
}

fn webhook(settings: Value) -> Webhook {
    configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Tells by these settings, and answers what was sent and what became of it.
fn tell(
    settings: Value,
    answer: Result<Response, HttpError>,
) -> (Request, Result<Receipt, Failure>) {
    let sent = Rc::new(RefCell::new(None));
    let seen = sent.clone();
    http::answer_with(move |request| {
        assert!(seen.borrow_mut().replace(request.clone()).is_none(), "a second request");
        answer.clone()
    });
    let outcome = webhook(settings).notify(&named("payments \"prod\""));
    let sent = sent.borrow_mut().take().expect("a request");
    (sent, outcome)
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[test]
fn without_settings_but_the_url() {
    let answer = Response::new(204, "");
    let (request, outcome) = tell(json!({ "url": "https://a/hooks/1" }), Ok(answer));
    assert_eq!((request.method(), request.url()), ("POST", "https://a/hooks/1"));
    assert_eq!(header(&request, "Content-Type"), Some("application/json"));
    assert_eq!(header(&request, "Idempotency-Key"), Some("onboard/111122223333/hook"));
    let body: Value = serde_json::from_slice(request.bytes()).unwrap();
    assert_eq!(body["account"]["name"], "payments \"prod\"");
    assert_eq!(body["time"], "2026-01-02T03:04:05Z");
    assert_eq!(outcome, Ok(Receipt::new("onboard/111122223333/hook")));
}

#[test]
fn with_settings() {
    let settings = json!({
        "url": "https://a/{{ account.name }}",
        "method": "PUT",
        "headers": { "X-Account": "{{ account.id }}" },
        "body": "{{ account.name }} has landed",
        "reference": "/id",
    });
    let (request, outcome) = tell(settings, Ok(Response::new(201, r#"{"id":17}"#)));
    assert_eq!((request.method(), request.url()), ("PUT", "https://a/payments%20%22prod%22"));
    assert_eq!(header(&request, "Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header(&request, "X-Account"), Some("111122223333"));
    assert_eq!(request.bytes(), b"payments \"prod\" has landed");
    assert_eq!(outcome, Ok(Receipt::new("17")));
}

/// As Slack does: the status says nothing.
#[rstest]
#[case::told(r#"{"ok":true,"ts":"1.5"}"#, Ok("1.5"))]
#[case::refused(r#"{"ok":false,"error":"channel_not_found"}"#, Err("channel_not_found"))]
fn an_answer_that_has_its_own_success(#[case] body: &str, #[case] expected: Result<&str, &str>) {
    let settings = json!({
        "url": "https://slack.com/api/chat.postMessage",
        "body": { "channel": "C1", "text": "{{ account.id }}" },
        "success": "/ok",
        "reference": "/ts",
    });
    let (_, outcome) = tell(settings, Ok(Response::new(200, body)));
    match (outcome, expected) {
        (Ok(receipt), Ok(reference)) => assert_eq!(receipt.reference, reference),
        (Err(failure), Err(part)) => {
            assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Permanent, false));
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        (outcome, _) => panic!("{outcome:?}"),
    }
}

#[rstest]
#[case::busy(429, FailureKind::Transient)]
#[case::gone(410, FailureKind::Permanent)]
#[case::unauthorized(401, FailureKind::Denied)]
fn a_failure_of_the_endpoint(#[case] status: u16, #[case] kind: FailureKind) {
    let answer = Response::new(status, "no").with_header("Retry-After", "30");
    let (_, outcome) = tell(json!({ "url": "https://a/" }), Ok(answer));
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (kind, Some(30)));
    assert_eq!(failure.message, format!("POST https://a/ answers {status}: no"));
}

#[test]
fn no_answer_at_all() {
    let request = Request::post("https://a/");
    let error = HttpError::new(&request, FailureKind::Transient, "http-timeout", "late", true);
    let (_, outcome) = tell(json!({ "url": "https://a/" }), Err(error));
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.effect_possible), ("http-timeout", true));
}

#[rstest]
#[case(json!({ "url": "a" }), "/url", "expected a URL")]
#[case(json!({ "url": "https://a/{{ x }}" }), "/url", "`x` is not known")]
#[case(json!({ "url": "https://a/", "body": 1 }), "/body", "expected a table")]
#[case(
    json!({ "url": "https://a/", "body": "{}", "content_type": "application/json" }),
    "/body", "JSON is written as a table"
)]
#[case(json!({ "url": "https://a/", "body": { "a": ["{{ x }}"] } }), "/body/a/0", "not known")]
#[case(json!({ "url": "https://a/", "headers": { "a b": "" } }), "/headers/a b", "no name")]
#[case(json!({ "url": "https://a/", "headers": { "a": "{{ x }}" } }), "/headers/a", "not known")]
#[case(json!({ "url": "https://a/", "success": "ok" }), "/success", "JSON pointer")]
#[case(json!({ "url": "https://a/", "reference": "id" }), "/reference", "JSON pointer")]
fn settings_that_are_wrong(#[case] settings: Value, #[case] at: &str, #[case] message: &str) {
    let problems = configure(settings).err().unwrap_or_default();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].at, at);
    assert!(problems[0].message.contains(message), "{problems:?}");
}
