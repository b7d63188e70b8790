//! What is written where, in which order, and what a repeat does.

use std::cell::RefCell;
use std::rc::Rc;

use groundcrew_sdk::http::{self, Request, Response};
use groundcrew_sdk::{
    Account, Cause, Failure, FailureKind, Notification, Notifier, Problem, Receipt, Surroundings,
    Tag, Tags,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{Cmdb, Settings};

fn notification() -> Notification {
    Notification {
        annotations: vec![],
        key: "onboard/111122223333/cmdb".to_owned(),
        cause: Cause::Lifecycle,
        account: Account {
            id: "111122223333".to_owned(),
            name: "payments-prod".to_owned(),
            email: "payments@example.com".to_owned(),
            organizational_units: vec![],
            tags: Tags::Known(vec![Tag::new("owner", "payments")]),
            joined: None,
        },
        event: None,
        now: 1_767_323_045,
        attempt: 1,
    }
}

fn configure(settings: Value) -> Result<Cmdb, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Cmdb::configure(settings, &Surroundings { lanes: vec![] })
}

/// What was sent: method, URL and body.
type Sent = (String, String, Value);

/// Tells by these settings, with these answers in turn. Answers what was sent.
fn tell(settings: Value, answers: Vec<Response>) -> (Vec<Sent>, Result<Receipt, Failure>) {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let seen = sent.clone();
    let mut answers = answers.into_iter();
    http::answer_with(move |request: &Request| {
        let body = serde_json::from_slice(request.bytes()).unwrap_or(Value::Null);
        seen.borrow_mut().push((request.method().to_owned(), request.url().to_owned(), body));
        Ok(answers.next().expect("an answer"))
    });
    let cmdb = configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    let outcome = cmdb.notify(&notification());
    let sent = sent.borrow().clone();
    (sent, outcome)
}

fn request(method: &str, url: &str, body: Value) -> Sent {
    (method.to_owned(), url.to_owned(), body)
}

const TABLE: &str = "https://acme.service-now.com/api/now/table/cmdb_ci_cloud_service_account";
const ID: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

fn look_url() -> String {
    format!("{TABLE}?sysparm_query=account_id=111122223333&sysparm_fields=sys_id&sysparm_limit=2")
}

fn servicenow() -> Value {
    json!({ "servicenow": {
        "instance": "https://acme.service-now.com/",
        "fields": { "name": "{{ account.name }}", "owned_by": "{{ account.tags.owner }}" },
    } })
}

#[test]
fn servicenow_creates_what_is_not_there() {
    let answers = vec![
        Response::new(200, r#"{"result":[]}"#),
        Response::new(201, format!(r#"{{"result":{{"sys_id":"{ID}"}}}}"#)),
    ];
    let (sent, outcome) = tell(servicenow(), answers);
    let record = json!({
        "account_id": "111122223333", "name": "payments-prod", "owned_by": "payments",
    });
    assert_eq!(sent, [request("GET", &look_url(), Value::Null), request("POST", TABLE, record)]);
    assert_eq!(outcome, Ok(Receipt::new(ID)));
}

/// There are no records of landing zones.
#[test]
fn an_event_about_no_account_is_refused() {
    let mut notification = notification();
    notification.account.id.clear();
    let failure = configure(servicenow()).unwrap().notify(&notification).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Invalid, "no-account"));
}

#[test]
fn servicenow_updates_what_is_there() {
    let answers = vec![
        Response::new(200, format!(r#"{{"result":[{{"sys_id":"{ID}"}}]}}"#)),
        Response::new(200, "{}"),
    ];
    let (sent, outcome) = tell(servicenow(), answers);
    let changes = json!({ "name": "payments-prod", "owned_by": "payments" });
    assert_eq!(sent[1], request("PATCH", &format!("{TABLE}/{ID}"), changes));
    assert_eq!(outcome, Ok(Receipt::new(ID)));
}

#[rstest]
#[case::several(
    200,
    r#"{"result":[{"sys_id":"a"},{"sys_id":"b"}]}"#,
    FailureKind::Permanent,
    "several"
)]
#[case::another_api(200, r#"{"items":[]}"#, FailureKind::Permanent, "is this the Table API?")]
#[case::an_id_that_leads_elsewhere(
    200,
    r#"{"result":[{"sys_id":"../../x"}]}"#,
    FailureKind::Permanent,
    "without the `sys_id`"
)]
#[case::a_page(200, "<html>", FailureKind::Transient, "not understood")]
#[case::forbidden(403, "", FailureKind::Denied, "403")]
#[case::down(503, "", FailureKind::Transient, "503")]
fn a_look_that_fails_writes_nothing(
    #[case] status: u16,
    #[case] body: &str,
    #[case] kind: FailureKind,
    #[case] message: &str,
) {
    let (sent, outcome) = tell(servicenow(), vec![Response::new(status, body)]);
    assert_eq!(sent.len(), 1);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (kind, false));
    assert!(failure.message.contains(message), "{}", failure.message);
}

fn rest() -> Value {
    json!({ "rest": {
        "look": { "url": "https://inv/a?id={{ account.id }}", "reference": "/items/0/id" },
        "create": {
            "url": "https://inv/a",
            "body": { "id": "{{ account.id }}", "name": "{{ account.name }}" },
            "reference": "/id",
        },
        "update": {
            "url": "https://inv/a/{{ reference }}",
            "body": { "name": "{{ account.name }}" },
        },
    } })
}

#[rstest]
#[case::an_empty_list(Response::new(200, r#"{"items":[]}"#))]
#[case::not_found(Response::new(404, "no"))]
fn rest_creates_what_is_not_there(#[case] looked: Response) {
    let (sent, outcome) = tell(rest(), vec![looked, Response::new(201, r#"{"id":7}"#)]);
    let record = json!({ "id": "111122223333", "name": "payments-prod" });
    assert_eq!(
        sent,
        [
            request("GET", "https://inv/a?id=111122223333", Value::Null),
            request("POST", "https://inv/a", record),
        ]
    );
    assert_eq!(outcome, Ok(Receipt::new("7")));
}

#[test]
fn rest_updates_what_is_there() {
    let answers = vec![Response::new(200, r#"{"items":[{"id":"a/b"}]}"#), Response::new(204, "")];
    let (sent, outcome) = tell(rest(), answers);
    let changes = json!({ "name": "payments-prod" });
    assert_eq!(sent[1], request("PATCH", "https://inv/a/a%2Fb", changes));
    assert_eq!(outcome, Ok(Receipt::new("a/b")));
}

#[test]
fn rest_leaves_what_is_there_without_an_update() {
    let mut settings = rest();
    settings["rest"].as_object_mut().unwrap().remove("update");
    let (sent, outcome) = tell(settings, vec![Response::new(200, r#"{"items":[{"id":7}]}"#)]);
    assert_eq!((sent.len(), outcome), (1, Ok(Receipt::new("7"))));
}

#[test]
fn rest_puts_without_a_look() {
    let settings = json!({ "rest": { "create": {
        "method": "PUT", "url": "https://inv/a/{{ account.id }}", "body": {},
    } } });
    let (sent, outcome) = tell(settings, vec![Response::new(200, "")]);
    assert_eq!(sent, [request("PUT", "https://inv/a/111122223333", json!({}))]);
    assert_eq!(outcome, Ok(Receipt::new("https://inv/a/111122223333")));
}

#[test]
fn an_answer_without_a_reference() {
    let answers = vec![Response::new(404, ""), Response::new(201, "{}")];
    let (_, outcome) = tell(rest(), answers);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Permanent, true));
    assert_eq!(failure.message, "POST https://inv/a answers 201, without `/id`");
}

#[rstest]
#[case(json!({}), "")]
#[case(
    json!({
        "servicenow": { "instance": "https://a" },
        "rest": { "create": { "url": "https://a/", "body": {} } },
    }),
    ""
)]
#[case(json!({ "servicenow": { "instance": "acme" } }), "/servicenow/instance")]
#[case(
    json!({ "servicenow": { "instance": "https://a", "table": "x/y" } }), "/servicenow/table"
)]
#[case(
    json!({ "servicenow": { "instance": "https://a", "fields": { "account_id": "" } } }),
    "/servicenow/fields/account_id"
)]
#[case(
    json!({ "servicenow": { "instance": "https://a", "fields": { "x": "{{ y }}" } } }),
    "/servicenow/fields/x"
)]
#[case(
    json!({ "rest": { "create": { "url": "https://a/", "body": {} } } }), "/rest/create/method"
)]
#[case(
    json!({ "rest": {
        "create": { "method": "PUT", "url": "https://a/", "body": { "x": "{{ reference }}" } },
    } }),
    "/rest/create/body/x"
)]
#[case(
    json!({ "rest": {
        "look": { "url": "https://a/", "reference": "id" },
        "create": { "url": "https://a/", "body": {} },
    } }),
    "/rest/look/reference"
)]
#[case(
    json!({ "rest": {
        "create": { "method": "PUT", "url": "https://a/", "body": {} },
        "update": { "url": "https://a/", "body": {} },
    } }),
    "/rest/update"
)]
fn settings_that_are_wrong(#[case] settings: Value, #[case] at: &str) {
    let problems = configure(settings).err().unwrap_or_default();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, [at], "{problems:?}");
}
