//! The requests that are sent, the results of their responses, and which settings are wrong.

use std::cell::RefCell;
use std::rc::Rc;

use groundcrew_sdk::http::{self, HttpError, Request, Response};
use groundcrew_sdk::{
    Account, Cause, Context, Failure, FailureKind, Notification, Notifier, Problem, Receipt, Tags,
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
            state: groundcrew_sdk::AccountState::Active,
        },
        event: None,
        now: 1_767_323_045,
        attempt: 1,
    }
}

fn configure(settings: Value) -> Result<Webhook, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Webhook::configure(settings, &Context { lanes: vec![] })
}

fn webhook(settings: Value) -> Webhook {
    configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Delivers with these settings, and returns the request and the result.
fn tell(
    settings: Value,
    answer: Result<Response, HttpError>,
) -> (Request, Result<Receipt, Failure>) {
    let sent = Rc::new(RefCell::new(None));
    let seen = sent.clone();
    http::mock_with(move |request| {
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

/// As with Slack: the status is a success even for errors.
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

const PAGE: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head></html>";
const TEAMS: &str = "Webhook message delivery failed with error: Microsoft Teams endpoint returned \
                     HTTP error 429 with ContextId tcid=0,server=DB3";

/// Responses of endpoints with 2xx. Each notification is delivered, or has failed for good: with
/// the setting that decided so, whether the effect is possible, and a part of the message. `tell`
/// checks that nothing is sent twice; `Permanent` means that nothing is sent again.
#[rstest]
// Responses of Slack's incoming webhooks, with settings that follow the example of its API.
#[case::slack_by_a_pointer(json!({ "success": "/ok" }), 200, "ok", Err(("success", true, ": ok")))]
#[case::slack(json!({ "success": { "text": "ok" } }), 200, "ok", Ok("onboard/111122223333/hook"))]
#[case::with_a_line_break(json!({ "success": { "text": "ok" } }), 200, "ok\n", Ok("onboard/"))]
#[case::slack_says_no(
    json!({ "success": { "text": "ok" } }), 200, "invalid_payload",
    Err(("success", true, "its text is not `ok`: invalid_payload"))
)]
// Teams: `1`, or a text with status 200.
#[case::teams(json!({ "success": { "text": "1" } }), 200, "1", Ok("onboard/"))]
#[case::teams_failed(
    json!({ "success": { "text": "1" } }), 200, TEAMS,
    Err(("success", true, "its text is not `1`: Webhook message delivery failed"))
)]
#[case::a_pattern(json!({ "success": { "pattern": "^(ok|1)$" } }), 200, "1", Ok("onboard/"))]
#[case::another_pattern(
    json!({ "success": { "pattern": "^(ok|1)$" } }), 200, TEAMS,
    Err(("success", true, "does not match `^(ok|1)$`: Webhook message"))
)]
#[case::nothing_said(json!({ "success": { "text": "" } }), 202, "", Ok("onboard/"))]
#[case::nothing_but_said(
    json!({ "success": { "text": "ok" } }), 202, "", Err(("success", true, "(an empty body)"))
)]
// GitHub's dispatches respond with 204.
#[case::github(json!({ "reference": "/id" }), 204, "", Ok("onboard/111122223333/hook"))]
#[case::a_text(json!({ "reference": "/id" }), 200, "queued", Err(("reference", true, ": queued")))]
#[case::a_page(json!({ "reference": "/id" }), 200, PAGE, Err(("reference", true, "web page")))]
#[case::without_it(json!({ "reference": "/id" }), 200, "{}", Ok("onboard/111122223333/hook"))]
#[case::delivered_if_nameless(
    json!({ "success": { "text": "ok" }, "reference": "/ts" }), 200, "ok", Ok("onboard/")
)]
#[case::other_json(json!({ "success": "/ok" }), 200, "{}", Err(("success", true, "not true: {}")))]
#[case::says_that_it_did_nothing(
    json!({ "success": "/ok" }), 200, r#"{"ok":false}"#, Err(("success", false, "not true: {"))
)]
#[case::a_page_for_a_pointer(
    json!({ "success": "/ok" }), 200, PAGE, Err(("success", true, "web page"))
)]
#[case::empty_for_a_pointer(
    json!({ "success": "/ok" }), 204, "", Err(("success", true, "an empty body"))
)]
fn what_was_answered_2xx_is_not_sent_again(
    #[values("POST", "PUT", "PATCH")] method: &str,
    #[case] mut settings: Value,
    #[case] status: u16,
    #[case] body: &str,
    #[case] expected: Result<&str, (&str, bool, &str)>,
) {
    settings["url"] = "https://a/".into();
    settings["method"] = method.into();
    let (_, outcome) = tell(settings, Ok(Response::new(status, body)));
    match (outcome, expected) {
        (Ok(receipt), Ok(reference)) => assert!(receipt.reference.starts_with(reference)),
        (Err(failure), Err((setting, effect_possible, part))) => {
            assert_eq!(failure.kind, FailureKind::Permanent, "{}", failure.message);
            assert_eq!(failure.effect_possible, effect_possible, "{}", failure.message);
            let named = format!("the setting `{setting}`: {method} https://a/ answers {status}");
            assert!(failure.message.starts_with(&named), "{}", failure.message);
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        (outcome, _) => panic!("{outcome:?}"),
    }
}

/// The host refuses such receipts, and would retry.
#[rstest]
#[case::lines(r#"{"id":"a\nb"}"#)]
#[case::long(&format!(r#"{{"id":"{}"}}"#, "ä".repeat(2000)))]
#[case::blank(r#"{"id":"\n"}"#)]
fn a_reference_that_the_host_would_refuse(#[case] body: &str) {
    let settings = json!({ "url": "https://a/", "reference": "/id" });
    let receipt = tell(settings, Ok(Response::new(200, body))).1.unwrap();
    let reference = receipt.reference;
    assert!((1..=1024).contains(&reference.len()), "{reference}");
    assert!(!reference.chars().any(char::is_control), "{reference}");
}

/// Slack's errors are texts.
#[rstest]
#[case(404, "no_service")]
#[case(400, "invalid_payload")]
#[case(403, "action_prohibited")]
fn the_text_of_an_error_is_shown(#[case] status: u16, #[case] text: &str) {
    let settings = json!({ "url": "https://a/", "success": { "text": "ok" } });
    let failure = tell(settings, Ok(Response::new(status, text))).1.unwrap_err();
    assert_eq!(failure.message, format!("POST https://a/ answers {status}: {text}"));
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
#[case(json!({ "url": "https://a/", "success": "ok" }), "/success", "write { text = \"ok\" }")]
#[case(json!({ "url": "https://a/", "success": {} }), "/success", "either `text` or `pattern`")]
#[case(
    json!({ "url": "https://a/", "success": { "text": "ok", "pattern": "ok" } }),
    "/success", "either `text` or `pattern`"
)]
#[case(
    json!({ "url": "https://a/", "success": { "pattern": "(" } }),
    "/success/pattern", "no regular expression"
)]
#[case(
    json!({ "url": "https://a/", "success": { "pattern": "" } }),
    "/success/pattern", "match everything"
)]
#[case(json!({ "url": "https://a/", "reference": "id" }), "/reference", "JSON pointer")]
fn settings_that_are_wrong(#[case] settings: Value, #[case] at: &str, #[case] message: &str) {
    let problems = configure(settings).err().unwrap_or_default();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].at, at);
    assert!(problems[0].message.contains(message), "{problems:?}");
}
