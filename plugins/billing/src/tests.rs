//! Which records are written, and which aren't.

use std::cell::RefCell;
use std::rc::Rc;

use groundcrew_sdk::http::{self, Request, Response};
use groundcrew_sdk::{
    Account, Cause, Context, Failure, FailureKind, Notification, Notifier, Problem, Receipt, Tag,
    Tags,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{Billing, Settings};

fn tagged(tags: Tags) -> Notification {
    Notification {
        annotations: vec![],
        key: "onboard/111122223333/billing".to_owned(),
        cause: Cause::Lifecycle,
        account: Account {
            id: "111122223333".to_owned(),
            name: "payments-prod".to_owned(),
            email: "payments@example.com".to_owned(),
            organizational_units: vec![],
            tags,
            joined: Some(1_767_322_800),
            state: groundcrew_sdk::AccountState::Active,
        },
        event: None,
        now: 1_767_323_045,
        attempt: 1,
    }
}

fn known(pairs: &[(&str, &str)]) -> Tags {
    Tags::Known(pairs.iter().map(|&(key, value)| Tag::new(key, value)).collect())
}

fn configure(settings: Value) -> Result<Billing, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Billing::configure(settings, &Context { lanes: vec![] })
}

/// Delivers with these settings. Returns the request, if one was sent.
fn tell(
    settings: Value,
    tags: Tags,
    answer: Response,
) -> (Option<Request>, Result<Receipt, Failure>) {
    let sent = Rc::new(RefCell::new(None));
    let seen = sent.clone();
    http::mock_with(move |request: &Request| {
        *seen.borrow_mut() = Some(request.clone());
        Ok(answer.clone())
    });
    let billing = configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    let outcome = billing.notify(&tagged(tags));
    let sent = sent.borrow_mut().take();
    (sent, outcome)
}

const URL: &str = "https://billing.example.com/accounts/{{ account.id }}";

#[test]
fn a_record_of_tags() {
    let tags = known(&[("cost-center", "4711"), ("owner", "pay\nments"), ("environment", "prod")]);
    let (sent, outcome) = tell(json!({ "url": URL }), tags, Response::new(204, ""));
    let sent = sent.unwrap();
    let url = "https://billing.example.com/accounts/111122223333";
    assert_eq!((sent.method(), sent.url()), ("PUT", url));
    let record: Value = serde_json::from_slice(sent.bytes()).unwrap();
    assert_eq!(
        record,
        json!({
            "account_id": "111122223333",
            "account_name": "payments-prod",
            "email": "payments@example.com",
            "organizational_unit": "",
            "joined": "2026-01-02T03:00:00Z",
            "cost_center": "4711",
            "owner": "pay ments",
            "environment": "prod",
        })
    );
    assert_eq!(outcome, Ok(Receipt::new(url)));
}

#[test]
fn with_defaults_and_a_record_of_ones_own() {
    let settings = json!({
        "url": URL,
        "tags": {
            "cost_center": { "tag": "CostCenter" },
            "owner": { "tag": "owner", "default": "{{ account.email or 'nobody' }}" },
        },
        "record": { "account": { "id": "{{ account.id }}" }, "currency": "EUR" },
        "reference": "/record/id",
    });
    let tags = known(&[("CostCenter", "1"), ("owner", " ")]);
    let (sent, outcome) = tell(settings, tags, Response::new(200, r#"{"record":{"id":9}}"#));
    let record: Value = serde_json::from_slice(sent.unwrap().bytes()).unwrap();
    assert_eq!(
        record,
        json!({
            "account": { "id": "111122223333" },
            "currency": "EUR",
            "cost_center": "1",
            "owner": "payments@example.com",
        })
    );
    assert_eq!(outcome, Ok(Receipt::new("9")));
}

#[test]
fn a_missing_tag_is_named_and_nothing_is_sent() {
    let tags = known(&[("owner", "payments")]);
    let (sent, outcome) = tell(json!({ "url": URL }), tags, Response::new(204, ""));
    assert_eq!(sent, None);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Permanent, "missing-tag"));
    assert_eq!(
        failure.message,
        "account 111122223333 lacks the tag `cost-center` (for `cost_center`) and the tag \
         `environment` (for `environment`), without which it can't be charged: tag it in AWS \
         Organizations, or give the field a `default`"
    );
}

/// A default may charge the wrong team.
#[test]
fn unreadable_tags_are_not_the_same_as_none() {
    let settings = json!({ "url": URL, "tags": { "owner": { "tag": "owner", "default": "x" } } });
    let tags = Tags::Unreadable("AccessDeniedException".to_owned());
    let (sent, outcome) = tell(settings, tags, Response::new(204, ""));
    assert_eq!(sent, None);
    let failure = outcome.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient);
    assert!(failure.message.contains("AccessDeniedException"), "{}", failure.message);
}

const PAGE: &str = "<html><head><title>Sign in</title></head></html>";

/// Responses of billing systems with 2xx: the record is written, or the delivery has failed for
/// good.
#[rstest]
#[case::nothing(json!({ "reference": "/id" }), 204, "", Ok("https://billing.example.com/"))]
#[case::without_it(json!({ "reference": "/id" }), 200, "{}", Ok("https://billing.example.com/"))]
#[case::a_text(json!({ "reference": "/id" }), 200, "done", Err("the setting `reference`: PUT "))]
#[case::a_page(json!({}), 200, PAGE, Err("with a web page instead of an API's answer"))]
#[case::a_page_with_a_reference(json!({ "reference": "/id" }), 200, PAGE, Err("with a web page"))]
#[case::a_text_that_nobody_reads(json!({}), 200, "done", Ok("https://billing.example.com/"))]
fn what_was_answered_2xx_is_not_sent_again(
    #[case] mut settings: Value,
    #[case] status: u16,
    #[case] body: &str,
    #[case] expected: Result<&str, &str>,
) {
    settings["url"] = URL.into();
    settings["tags"] = json!({});
    let (_, outcome) = tell(settings, known(&[]), Response::new(status, body));
    match (outcome, expected) {
        (Ok(receipt), Ok(reference)) => assert!(receipt.reference.starts_with(reference)),
        (Err(failure), Err(part)) => {
            assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Permanent, true));
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        (outcome, _) => panic!("{outcome:?}"),
    }
}

#[rstest]
#[case(json!({ "url": "https://a/records" }), "/url")]
#[case::by_a_word(json!({ "url": "https://a/keys/records" }), "/url")]
#[case::by_a_name(json!({ "url": "https://a/{{ account.name }}" }), "/url")]
#[case::of_one_account(json!({ "url": "https://a/111122223333" }), "/url")]
#[case(json!({ "url": "a/{{ account.id }}" }), "/url")]
#[case(json!({ "url": URL, "record": [] }), "/record")]
#[case(json!({ "url": URL, "record": { "owner": "me" } }), "/record/owner")]
#[case(json!({ "url": URL, "record": { "a": "{{ x }}" } }), "/record/a")]
#[case(
    json!({ "url": URL, "tags": { "a": { "tag": "a", "default": "{{ x }}" } } }), "/tags/a/default"
)]
#[case(json!({ "url": URL, "reference": "id" }), "/reference")]
fn settings_that_are_wrong(#[case] settings: Value, #[case] at: &str) {
    let problems = configure(settings).err().unwrap_or_default();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, [at], "{problems:?}");
}
