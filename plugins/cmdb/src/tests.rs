//! Which requests are sent in which order, and the effect of a repeat.

use std::cell::RefCell;
use std::rc::Rc;

use groundcrew_sdk::http::{self, Request, Response};
use groundcrew_sdk::{
    Account, Cause, Context, Failure, FailureKind, Notification, Notifier, Problem, Receipt, Tag,
    Tags,
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
            state: groundcrew_sdk::AccountState::Active,
        },
        event: None,
        now: 1_767_323_045,
        attempt: 1,
    }
}

fn configure(settings: Value) -> Result<Cmdb, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Cmdb::configure(settings, &Context { lanes: vec![] })
}

/// A sent request: method, URL and body.
type Sent = (String, String, Value);

/// Delivers with these settings and these responses in order. Returns the requests.
fn tell(settings: Value, answers: Vec<Response>) -> (Vec<Sent>, Result<Receipt, Failure>) {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let seen = sent.clone();
    let mut answers = answers.into_iter();
    http::mock_with(move |request: &Request| {
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
    format!(
        "{TABLE}?sysparm_query=account_id=111122223333&sysparm_fields=sys_id,account_id\
         &sysparm_display_value=all&sysparm_limit=2"
    )
}

/// The response to a search.
fn found(records: Value) -> Response {
    Response::new(200, json!({ "result": records }).to_string())
}

/// The response of the Table API to a POST.
fn created(record: Value) -> Response {
    Response::new(201, json!({ "result": record }).to_string())
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
        created(json!({ "sys_id": ID, "account_id": "111122223333" })),
    ];
    let (sent, outcome) = tell(servicenow(), answers);
    let record = json!({
        "account_id": "111122223333", "name": "payments-prod", "owned_by": "payments",
    });
    assert_eq!(sent, [request("GET", &look_url(), Value::Null), request("POST", TABLE, record)]);
    assert_eq!(outcome, Ok(Receipt::new(ID)));
}

/// Landing zones have no records.
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
        found(json!([{ "sys_id": ID, "account_id": "111122223333" }])),
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
    r#"{"result":[{"sys_id":"a","account_id":"111122223333"},
                  {"sys_id":"b","account_id":"111122223333"}]}"#,
    FailureKind::Permanent,
    "several"
)]
#[case::another_api(200, r#"{"items":[]}"#, FailureKind::Permanent, "is this the Table API?")]
#[case::an_id_that_leads_elsewhere(
    200,
    r#"{"result":[{"sys_id":"../../x","account_id":"111122223333"}]}"#,
    FailureKind::Permanent,
    "without the `sys_id`"
)]
#[case::a_page(
    200,
    "<html><head><title>Instance Hibernating page</title>",
    FailureKind::Transient,
    "answers 200 with a web page instead of JSON; an instance that hibernates, a proxy or a login \
     page answers so: <html><head><title>Instance Hibernating page</title>"
)]
#[case::a_text(200, "busy", FailureKind::Transient, "with a text instead of JSON: busy")]
#[case::nothing(200, "", FailureKind::Transient, "with an empty body instead of JSON")]
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

/// Records in the response of ServiceNow to a search by `account_id`, and whether the record
/// belongs to the account. A missing field means that the table has no such field, or that the user
/// may not read it.
#[rstest]
#[case::plain(json!([{ "sys_id": ID, "account_id": "111122223333" }]), true)]
#[case::with_blanks(json!([{ "sys_id": ID, "account_id": " 111122223333 " }]), true)]
#[case::both_values(
    json!([{
        "sys_id": { "display_value": ID, "value": ID },
        "account_id": { "display_value": "111122223333", "value": "111122223333" },
    }]),
    true
)]
#[case::a_reference_that_shows_it(
    json!([{
        "sys_id": { "display_value": ID, "value": ID },
        "account_id": { "display_value": "111122223333", "value": "0ff1ce", "link": "https://x" },
    }]),
    true
)]
#[case::a_reference_that_holds_it(
    json!([{ "sys_id": ID, "account_id": { "link": "https://x", "value": "111122223333" } }]),
    true
)]
#[case::a_number(json!([{ "sys_id": ID, "account_id": 111122223333_u64 }]), true)]
#[case::a_number_as_it_is_shown(
    json!([{
        "sys_id": { "display_value": ID, "value": ID },
        "account_id": { "display_value": "111,122,223,333", "value": "111122223333" },
    }]),
    true
)]
#[case::no_such_field(json!([{ "sys_id": ID }]), false)]
#[case::no_such_field_and_several(json!([{ "sys_id": "a" }, { "sys_id": "b" }]), false)]
#[case::hidden(json!([{ "sys_id": ID, "account_id": "" }]), false)]
#[case::hidden_with_both_values(
    json!([{ "sys_id": ID, "account_id": { "display_value": "", "value": "" } }]),
    false
)]
#[case::anothers(json!([{ "sys_id": ID, "account_id": "444455556666" }]), false)]
#[case::one_of_two_is_anothers(
    json!([
        { "sys_id": ID, "account_id": "111122223333" },
        { "sys_id": "b", "account_id": "444455556666" },
    ]),
    false
)]
#[case::anothers_reference(
    json!([{ "sys_id": ID, "account_id": { "display_value": "Payments", "value": "0ff1ce" } }]),
    false
)]
fn servicenow_changes_no_record_of_another(#[case] records: Value, #[case] the_accounts: bool) {
    let (sent, outcome) = tell(servicenow(), vec![found(records), Response::new(200, "{}")]);
    if the_accounts {
        assert_eq!((sent.len(), outcome), (2, Ok(Receipt::new(ID))));
        return;
    }
    assert_eq!(sent.len(), 1, "{sent:?}");
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Invalid, false));
    for part in ["was left alone", "is `account_id` the table's field", "servicenow.key_field"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}

/// A record that an access rule hides exists all the same.
#[rstest]
#[case::none(Some("0"), true)]
#[case::not_counted(None, true)]
#[case::one(Some("1"), false)]
#[case::several(Some("7"), false)]
fn servicenow_creates_none_beside_a_hidden_one(#[case] count: Option<&str>, #[case] creates: bool) {
    let looked = match count {
        Some(count) => found(json!([])).with_header("X-Total-Count", count),
        None => found(json!([])),
    };
    let record = created(json!({ "sys_id": ID, "account_id": "111122223333" }));
    let (sent, outcome) = tell(servicenow(), vec![looked, record]);
    if creates {
        assert_eq!((sent.len(), outcome), (2, Ok(Receipt::new(ID))));
        return;
    }
    assert_eq!(sent.len(), 1, "{sent:?}");
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Invalid, false));
    assert!(failure.message.contains("shows the user none"), "{}", failure.message);
}

/// Records in the response to a POST, and whether the record belongs to the account.
#[rstest]
#[case::plain(json!({ "sys_id": ID, "account_id": "111122223333" }), true)]
#[case::with_blanks(json!({ "sys_id": ID, "account_id": "111122223333 " }), true)]
#[case::a_reference(
    json!({ "sys_id": ID, "account_id": { "link": "https://x", "value": "111122223333" } }), true
)]
#[case::no_such_field(json!({ "sys_id": ID, "name": "payments-prod" }), false)]
#[case::hidden(json!({ "sys_id": ID, "account_id": "" }), false)]
#[case::changed(json!({ "sys_id": ID, "account_id": "AWS" }), false)]
fn servicenow_created_a_record(#[case] record: Value, #[case] the_accounts: bool) {
    let (sent, outcome) = tell(servicenow(), vec![found(json!([])), created(record)]);
    assert_eq!(sent.len(), 2);
    if the_accounts {
        assert_eq!(outcome, Ok(Receipt::new(ID)));
        return;
    }
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Invalid, true));
    for part in [&format!("the record {ID} was created"), "`account_id`", "Remove it"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}

const PAGE: &str = "<html><head><title>Instance Hibernating page</title>";

/// A write with the response 2xx is not sent again.
#[rstest]
#[case::a_page(Response::new(200, PAGE), "a web page")]
#[case::a_text(Response::new(200, "done"), "with a text instead of JSON: done")]
#[case::another_record(
    Response::new(200, r#"{"result":{"sys_id":"b"}}"#),
    "another record than c0ffee"
)]
fn servicenow_answers_something_else_to_a_patch(#[case] answer: Response, #[case] part: &str) {
    let record = json!([{ "sys_id": ID, "account_id": "111122223333" }]);
    let (_, outcome) = tell(servicenow(), vec![found(record), answer]);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Permanent, true));
    assert!(failure.message.contains(part), "{}", failure.message);
}

/// The same for a POST.
#[rstest]
#[case::a_page(Response::new(200, PAGE), "a web page")]
#[case::a_text(Response::new(201, "done"), "with a text instead of JSON: done")]
#[case::nothing(Response::new(201, ""), "without the `sys_id`")]
#[case::another_api(Response::new(201, "{}"), "without the `sys_id` of the record: {}")]
fn servicenow_answers_something_else_to_a_post(#[case] answer: Response, #[case] part: &str) {
    let (_, outcome) = tell(servicenow(), vec![found(json!([])), answer]);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Permanent, true));
    assert!(failure.message.contains(part), "{}", failure.message);
}

fn rest() -> Value {
    json!({ "rest": {
        "look": {
            "url": "https://inv/a?id={{ account.id }}",
            "reference": "/items/0/id",
            "account": "/items/0/account",
        },
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

/// The account's record, with this id.
fn found_in_inventory(id: Value) -> Response {
    let record = json!({ "id": id, "account": "111122223333" });
    Response::new(200, json!({ "items": [record] }).to_string())
}

/// Responses of an inventory to a search, and the setting whose check shows that the record belongs
/// to another account.
#[rstest]
#[case::a_number(json!([{ "id": 7, "account": 111122223333_u64 }]), None)]
#[case::with_blanks(json!([{ "id": 7, "account": " 111122223333" }]), None)]
#[case::anothers(json!([{ "id": 7, "account": "444455556666" }]), Some("rest.look.account"))]
#[case::all_of_them(
    json!([{ "id": 7, "account": "444455556666" }, { "id": 8, "account": "111122223333" }]),
    Some("rest.look.account")
)]
#[case::it_does_not_say(json!([{ "id": 7 }]), Some("rest.look.account"))]
#[case::it_is_blank(json!([{ "id": 7, "account": "" }]), Some("rest.look.account"))]
#[case::by_another_name(json!([{ "uuid": 7, "account": "111122223333" }]), Some("rest.look.reference"))]
fn rest_changes_no_record_of_another(#[case] items: Value, #[case] setting: Option<&str>) {
    let answers =
        vec![Response::new(200, json!({ "items": items }).to_string()), Response::new(204, "")];
    let (sent, outcome) = tell(rest(), answers);
    let Some(setting) = setting else {
        assert_eq!((sent.len(), outcome), (2, Ok(Receipt::new("7"))));
        return;
    };
    assert_eq!(sent.len(), 1, "{sent:?}");
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Invalid, false));
    let named = format!("the setting `{setting}`: GET https://inv/a answers 200, with a record");
    assert!(failure.message.starts_with(&named), "{}", failure.message);
}

/// A record that has the account id in its URL belongs to that account: nothing is compared.
#[test]
fn rest_looks_by_a_path() {
    let settings = json!({ "rest": {
        "look": { "url": "https://inv/a/{{ account.id }}", "reference": "/id" },
        "create": { "url": "https://inv/a", "body": {} },
    } });
    let (sent, outcome) = tell(settings, vec![Response::new(200, r#"{"id":7}"#)]);
    assert_eq!((sent.len(), outcome), (1, Ok(Receipt::new("7"))));
}

#[rstest]
#[case::a_page_to_a_post(vec![Response::new(404, ""), Response::new(201, PAGE)], "a web page")]
#[case::a_text_to_a_post(
    vec![Response::new(404, ""), Response::new(201, "done")],
    "the setting `rest.create.reference`: POST https://inv/a answers 201 with a text instead of \
     JSON: done"
)]
#[case::a_page_to_a_patch(
    vec![found_in_inventory(json!(7)), Response::new(200, PAGE)], "with a web page"
)]
fn rest_answers_something_else_to_a_write(#[case] answers: Vec<Response>, #[case] part: &str) {
    let (_, outcome) = tell(rest(), answers);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Permanent, true));
    assert!(failure.message.contains(part), "{}", failure.message);
}

/// Responses that don't say whether there is a record: none is created, since one may exist.
#[rstest]
#[case::page_of_a_proxy(
    404,
    "<!DOCTYPE html><html>nginx: no upstream</html>",
    FailureKind::Transient
)]
#[case::an_error(200, r#"{"error":"the search index is being rebuilt"}"#, FailureKind::Permanent)]
#[case::null(200, "null", FailureKind::Permanent)]
#[case::no_texts(200, r#"{"items":[{"id":{"value":"7"}}]}"#, FailureKind::Permanent)]
#[case::no_list(200, r#"{"items":{"id":7}}"#, FailureKind::Permanent)]
fn rest_creates_nothing_where_it_can_not_be_told(
    #[case] status: u16,
    #[case] body: &str,
    #[case] kind: FailureKind,
) {
    let (sent, outcome) = tell(rest(), vec![Response::new(status, body)]);
    let failure = outcome.unwrap_err();
    assert_eq!(
        (sent.len(), failure.kind, failure.effect_possible),
        (1, kind, false),
        "{failure:?}"
    );
}

#[test]
fn rest_updates_what_is_there() {
    let answers = vec![found_in_inventory(json!("a/b")), Response::new(204, "")];
    let (sent, outcome) = tell(rest(), answers);
    let changes = json!({ "name": "payments-prod" });
    assert_eq!(sent[1], request("PATCH", "https://inv/a/a%2Fb", changes));
    assert_eq!(outcome, Ok(Receipt::new("a/b")));
}

#[test]
fn rest_leaves_what_is_there_without_an_update() {
    let mut settings = rest();
    settings["rest"].as_object_mut().unwrap().remove("update");
    let (sent, outcome) = tell(settings, vec![found_in_inventory(json!(7))]);
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
    assert_eq!(
        failure.message,
        "the setting `rest.create.reference`: POST https://inv/a answers 201, without `/id`: {}"
    );
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
        "create": {
            "method": "PUT", "url": "https://a/{{ account.id }}", "body": { "x": "{{ reference }}" },
        },
    } }),
    "/rest/create/body/x"
)]
#[case(
    json!({ "rest": {
        "look": { "url": "https://a/{{ account.id }}", "reference": "id" },
        "create": { "url": "https://a/", "body": {} },
    } }),
    "/rest/look/reference"
)]
#[case(
    json!({ "rest": {
        "create": { "method": "PUT", "url": "https://a/{{ account.id }}", "body": {} },
        "update": { "url": "https://a/{{ account.id }}", "body": {} },
    } }),
    "/rest/update"
)]
#[case::all_accounts_in_one_record(
    json!({ "rest": { "create": { "method": "PUT", "url": "https://a/b", "body": {} } } }),
    "/rest/create/url"
)]
#[case::all_accounts_change_one_record(
    json!({ "rest": {
        "look": { "url": "https://a/{{ account.id }}", "reference": "/id" },
        "create": { "url": "https://a/", "body": {} },
        "update": { "url": "https://a/b", "body": {} },
    } }),
    "/rest/update/url"
)]
#[case(
    json!({ "rest": {
        "look": { "url": "https://a/?q={{ account.id }}", "reference": "/id", "account": "id" },
        "create": { "url": "https://a/", "body": {} },
    } }),
    "/rest/look/account"
)]
#[case::the_id_is_in_the_query(look("https://a/b?id={{ account.id }}"), "/rest/look")]
#[case::the_id_is_in_the_fragment(look("https://a/b#{{ account.id }}"), "/rest/look")]
#[case::no_id(look("https://a/b"), "/rest/look")]
#[case::the_id_of_one_account(look("https://a/111122223333"), "/rest/look")]
#[case::the_name(look("https://a/{{ account.name }}"), "/rest/look")]
#[case::the_host(look("https://{{ account.id }}.a/b"), "/rest/look")]
fn settings_that_are_wrong(#[case] settings: Value, #[case] at: &str) {
    let problems = configure(settings).err().unwrap_or_default();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, [at], "{problems:?}");
}

/// A search by this URL, whose response is not compared.
fn look(url: &str) -> Value {
    json!({ "rest": {
        "look": { "url": url, "reference": "/id" },
        "create": { "url": "https://a/", "body": {} },
    } })
}

/// The error says what to write into the config.
#[test]
fn a_look_that_is_not_compared_is_refused_with_what_to_add() {
    let problems = configure(look("https://a/b?id={{ account.id }}")).err().unwrap_or_default();
    assert!(problems[0].message.contains("write `account`, a JSON pointer"), "{problems:?}");
}
