//! What is found, what it does, and which settings are wrong.

use groundcrew_sdk::{
    Account, Cause, Event, Hold, Instance, Notification, Notifier, OrganizationalUnit, Problem,
    Surroundings, Tag, Tags, Verdict, schema,
};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{BaselineCheck, Settings};

/// 2026-01-02T03:00:00Z
const JOINED: i64 = 1_767_322_800;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn known(pairs: &[(&str, &str)]) -> Tags {
    Tags::Known(pairs.iter().map(|&(key, value)| Tag::new(key, value)).collect())
}

fn unreadable() -> Tags {
    Tags::Unreadable("AccessDeniedException\nrequest 7".to_owned())
}

/// OUs by their names. The id of each has its place in it: `ou-abcd-00000000`, and so on.
fn units(names: &[&str]) -> Vec<OrganizationalUnit> {
    let id = |at| format!("ou-abcd-{at:08}");
    let unit =
        |(at, name): (usize, &&str)| OrganizationalUnit { id: id(at), name: (*name).to_owned() };
    names.iter().enumerate().map(unit).collect()
}

fn of(account: Account) -> Notification {
    Notification {
        annotations: vec![],
        key: "onboard/111122223333/baseline".to_owned(),
        cause: Cause::Lifecycle,
        account,
        event: None,
        now: JOINED + MINUTE,
        attempt: 1,
    }
}

/// An account that is as it should be.
fn account() -> Account {
    Account {
        id: "111122223333".to_owned(),
        name: "payments-prod".to_owned(),
        email: "aws+payments@example.com".to_owned(),
        organizational_units: units(&["Workloads", "Prod"]),
        tags: known(&[("cost-center", "4711"), ("environment", "prod"), ("owner", "payments")]),
        joined: Some(JOINED),
    }
}

fn configure(settings: Value) -> Result<BaselineCheck, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    BaselineCheck::configure(settings, &Surroundings { lanes: vec![] })
}

/// The receipt's reference, and the verdict.
fn ask(settings: Value, notification: &Notification) -> (String, Verdict) {
    let check = configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    let receipt = check.notify(notification).unwrap();
    (receipt.reference, receipt.verdict)
}

/// The findings, all of which annotate.
fn findings(mut settings: Value, account: Account) -> Vec<String> {
    settings["on_unreadable"] = "annotate".into();
    match ask(settings, &of(account)).1 {
        Verdict::Go => vec![],
        Verdict::Annotate(lines) => lines,
        other => panic!("{other:?}"),
    }
}

/// All checks.
fn all() -> Value {
    json!({
        "tags": {
            "cost-center": { "pattern": "^[0-9]{4}$" },
            "environment": { "allowed": ["prod", "test"] },
            "owner": {},
        },
        "ou": { "expected": ["Workloads/*"] },
        "name": { "pattern": "^[a-z0-9-]+$" },
        "email": { "pattern": r"^aws\+[a-z0-9-]+@example\.com$" },
    })
}

fn hold(until: i64, reason: &str) -> Verdict {
    Verdict::Hold(Hold { until, reason: reason.to_owned() })
}

fn annotate(line: &str) -> Verdict {
    Verdict::Annotate(vec![line.to_owned()])
}

fn stop(reason: &str) -> Verdict {
    Verdict::Stop(reason.to_owned())
}

#[test]
fn an_account_that_is_as_it_should_be() {
    assert_eq!(ask(all(), &of(account())), ("ok".to_owned(), Verdict::Go));
}

#[test]
fn what_is_about_no_account_goes() {
    let none = Account {
        id: String::new(),
        name: String::new(),
        email: String::new(),
        organizational_units: vec![],
        tags: known(&[]),
        joined: None,
    };
    assert_eq!(ask(all(), &of(none)), ("ok".to_owned(), Verdict::Go));
}

#[rstest]
#[case::any(json!({}), Some("x"), None)]
#[case::missing(json!({}), None, Some("tag `owner` is missing"))]
#[case::missing_of_some(json!({ "allowed": ["a"] }), None, Some("tag `owner` is missing"))]
#[case::empty(json!({}), Some(""), Some("tag `owner` is empty"))]
#[case::blank(json!({ "pattern": "." }), Some(" \t"), Some("tag `owner` is empty"))]
#[case::allowed(json!({ "allowed": ["a", "b"] }), Some("b"), None)]
#[case::case_counts(
    json!({ "allowed": ["a"] }), Some("A"), Some("tag `owner` is `A`, expected `a`")
)]
#[case::of_two(
    json!({ "allowed": ["a", "b"] }), Some("c"), Some("tag `owner` is `c`, expected `a` or `b`")
)]
#[case::of_many(
    json!({ "allowed": ["a", "b", "c", "d", "e", "f", "g"] }),
    Some("x"),
    Some("tag `owner` is `x`, expected `a`, `b`, `c`, `d`, `e` or 2 more")
)]
#[case::matched(json!({ "pattern": "^team-" }), Some("team-a"), None)]
#[case::anywhere(json!({ "pattern": "team" }), Some("the-team-a"), None)]
#[case::unmatched(
    json!({ "pattern": "^team-" }),
    Some("a\nb"),
    Some("tag `owner` is `a b`, expected a match of `^team-`")
)]
fn tags(#[case] tag: Value, #[case] value: Option<&str>, #[case] expected: Option<&str>) {
    let pairs: Vec<_> = value.map(|value| ("owner", value)).into_iter().collect();
    let account = Account { tags: known(&pairs), ..account() };
    let found = findings(json!({ "tags": { "owner": tag } }), account);
    assert_eq!(found, Vec::from_iter(expected));
}

#[rstest]
#[case::directly("Workloads", &["Workloads"], true)]
#[case::not_below("Workloads", &["Workloads", "Prod"], false)]
#[case::path("Workloads/Prod", &["Workloads", "Prod"], true)]
#[case::from_the_top("Prod", &["Workloads", "Prod"], false)]
#[case::case_counts("workloads", &["Workloads"], false)]
#[case::below("Workloads/*", &["Workloads", "Prod"], true)]
#[case::far_below("Workloads/*", &["Workloads", "Prod", "EU"], true)]
#[case::itself_is_not_below("Workloads/*", &["Workloads"], false)]
#[case::below_another("Workloads/*", &["Workloads-old", "Prod"], false)]
#[case::below_a_path("Workloads/Prod/*", &["Workloads", "Prod", "EU"], true)]
#[case::beside_a_path("Workloads/Prod/*", &["Workloads", "Test", "EU"], false)]
#[case::any("*", &["Sandbox"], true)]
#[case::any_but_the_root("*", &[], false)]
#[case::id("ou-abcd-00000001", &["Workloads", "Prod"], true)]
#[case::id_above("ou-abcd-00000000", &["Workloads", "Prod"], false)]
#[case::below_id("ou-abcd-00000000/*", &["Workloads", "Prod"], true)]
#[case::id_is_not_below("ou-abcd-00000001/*", &["Workloads", "Prod"], false)]
#[case::a_name_is_no_id("ou-abcd-99999999", &["ou-abcd-99999999"], false)]
#[case::a_name_is_no_path("Workloads/Prod", &["Workloads/Prod"], false)]
#[case::a_name_like_an_id("ou-team", &["ou-team"], true)]
fn organizational_units(#[case] expected: &str, #[case] names: &[&str], #[case] fits: bool) {
    let settings = json!({ "ou": { "expected": ["Elsewhere", expected] } });
    let account = Account { organizational_units: units(names), ..account() };
    let found =
        if names.is_empty() { "the root".to_owned() } else { format!("`{}`", names.join("/")) };
    let finding = format!("OU is {found}, expected `Elsewhere` or `{expected}`");
    assert_eq!(findings(settings, account), Vec::from_iter((!fits).then_some(finding)));
}

#[test]
fn all_findings_are_told_in_the_same_order() {
    let account = Account {
        name: "Payments Prod".to_owned(),
        email: "someone@example.com".to_owned(),
        organizational_units: units(&["Sandbox"]),
        tags: known(&[("environment", "prd")]),
        ..account()
    };
    let expected = [
        "tag `cost-center` is missing",
        "tag `environment` is `prd`, expected `prod` or `test`",
        "tag `owner` is missing",
        "OU is `Sandbox`, expected `Workloads/*`",
        "name is `Payments Prod`, expected a match of `^[a-z0-9-]+$`",
        r"email is `someone@example.com`, expected a match of `^aws\+[a-z0-9-]+@example\.com$`",
    ];
    assert_eq!(findings(all(), account.clone()), expected);

    let mut settings = all();
    settings["ou"]["on_finding"] = "stop".into();
    let told = ask(settings, &of(account));
    assert_eq!(told, ("6 findings".to_owned(), stop(&expected.join("; "))));
}

/// Each check has its own action, or that of all; the strictest wins.
#[rstest]
#[case("annotate", "annotate", "annotate")]
#[case("annotate", "hold", "hold")]
#[case("stop", "annotate", "stop")]
#[case("hold", "stop", "stop")]
#[case("hold", "hold", "hold")]
fn the_strictest_action_wins(#[case] of_all: &str, #[case] of_ou: &str, #[case] wins: &str) {
    let settings = json!({
        "on_finding": of_all,
        "tags": { "team": {} },
        "ou": { "expected": ["Sandbox"], "on_finding": of_ou },
    });
    let (reference, verdict) = ask(settings, &of(account()));
    assert_eq!(reference, "2 findings");
    let (tag, ou) = ("tag `team` is missing", "OU is `Workloads/Prod`, expected `Sandbox`");
    let both = format!("{tag}; {ou}");
    assert_eq!(
        verdict,
        match wins {
            "annotate" => Verdict::Annotate(vec![tag.to_owned(), ou.to_owned()]),
            "hold" => hold(JOINED + MINUTE + HOUR, &both),
            _ => stop(&both),
        }
    );
}

#[rstest]
#[case::tag(json!({ "tags": { "team": { "on_finding": "stop" } } }))]
#[case::ou(json!({ "ou": { "expected": ["Sandbox"], "on_finding": "stop" } }))]
#[case::name(json!({ "name": { "pattern": "^x$", "on_finding": "stop" } }))]
#[case::email(json!({ "email": { "pattern": "^x$", "on_finding": "stop" } }))]
fn each_check_has_an_action_of_its_own(#[case] settings: Value) {
    let (reference, verdict) = ask(settings, &of(account()));
    assert_eq!(reference, "1 finding");
    assert!(matches!(verdict, Verdict::Stop(_)), "{verdict:?}");
}

const MISSING: &str = "tag `team` is missing";

/// A hold ends at the latest so long after the account joined.
#[rstest]
#[case::at_first(0, "annotate", hold(JOINED + HOUR, MISSING))]
#[case::a_day_later(DAY, "annotate", hold(JOINED + DAY + HOUR, MISSING))]
#[case::at_last(7 * DAY - MINUTE, "annotate", hold(JOINED + 7 * DAY, MISSING))]
#[case::after_that(7 * DAY, "annotate", annotate(MISSING))]
#[case::long_after_that(900 * DAY, "annotate", annotate(MISSING))]
#[case::or_stopped(7 * DAY, "stop", stop(MISSING))]
fn holds_end(#[case] age: i64, #[case] then: &str, #[case] expected: Verdict) {
    let settings = json!({ "tags": { "team": {} }, "on_finding": "hold", "then": then });
    let told = ask(settings, &Notification { now: JOINED + age, ..of(account()) });
    assert_eq!(told.1, expected);
}

#[rstest]
#[case::within(
    MINUTE,
    stop("tag `team` is missing; name is `payments-prod`, expected a match of `^x$`")
)]
#[case::after(8 * DAY, Verdict::Annotate(vec![
    MISSING.to_owned(), "name is `payments-prod`, expected a match of `^x$`".to_owned()
]))]
fn only_holds_end(#[case] age: i64, #[case] expected: Verdict) {
    let of_name = if age > DAY { "annotate" } else { "stop" };
    let settings = json!({
        "tags": { "team": { "on_finding": "hold" } },
        "name": { "pattern": "^x$", "on_finding": of_name },
    });
    let told = ask(settings, &Notification { now: JOINED + age, ..of(account()) });
    assert_eq!(told.1, expected);
}

#[test]
fn what_was_to_stop_stops_however_late() {
    let settings = json!({ "tags": { "team": {} }, "on_finding": "stop" });
    let late = Notification { now: JOINED + 900 * DAY, ..of(account()) };
    assert_eq!(ask(settings, &late).1, stop(MISSING));
}

#[test]
fn how_long_is_a_setting() {
    let settings = json!({
        "tags": { "team": {} }, "on_finding": "hold", "hold_for": "10m", "hold_at_most": "2h 30m",
    });
    let at = |age| Notification { now: JOINED + age, ..of(account()) };
    let told = ask(settings.clone(), &at(HOUR)).1;
    assert_eq!(told, hold(JOINED + HOUR + 10 * MINUTE, MISSING));
    assert_eq!(ask(settings, &at(150 * MINUTE)).1, annotate(MISSING));
}

/// Where nobody knows when the account joined, the event's time counts; without one, a hold has
/// no end.
#[rstest]
#[case::event(Some(r#"{"time":"2026-01-02T03:00:00Z"}"#), 8 * DAY, annotate(MISSING))]
#[case::young(Some(r#"{"time":"2026-01-02T03:00:00Z"}"#), DAY, hold(JOINED + DAY + HOUR, MISSING))]
#[case::no_time(Some(r#"{"time":"soon"}"#), 8 * DAY, hold(JOINED + 8 * DAY + HOUR, MISSING))]
#[case::no_json(Some("?"), 8 * DAY, hold(JOINED + 8 * DAY + HOUR, MISSING))]
#[case::none(None, 8 * DAY, hold(JOINED + 8 * DAY + HOUR, MISSING))]
fn the_time_of_the_event(#[case] event: Option<&str>, #[case] age: i64, #[case] expected: Verdict) {
    let event = event.map(|json| Event {
        id: "1".to_owned(),
        name: "CreateManagedAccount".to_owned(),
        source: "aws.controltower".to_owned(),
        json: json.to_owned(),
    });
    let account = Account { joined: None, ..account() };
    let settings = json!({ "tags": { "team": {} }, "on_finding": "hold" });
    let told = ask(settings, &Notification { event, now: JOINED + age, ..of(account) });
    assert_eq!(told.1, expected);
}

#[rstest]
#[case::held(json!({}), hold(JOINED + MINUTE + HOUR, "tags can't be read"))]
#[case::told(json!({ "on_unreadable": "annotate" }), annotate("tags can't be read"))]
#[case::stopped(json!({ "on_unreadable": "stop" }), stop("tags can't be read"))]
fn unreadable_tags_are_not_missing(#[case] more: Value, #[case] expected: Verdict) {
    let mut settings = json!({ "tags": { "team": { "on_finding": "stop" }, "owner": {} } });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let account = Account { tags: unreadable(), ..account() };
    assert_eq!(ask(settings, &of(account)).1, expected);
}

#[test]
fn tags_that_nobody_asks_for_may_be_unreadable() {
    let settings = json!({ "ou": { "expected": ["Workloads/Prod"] } });
    let account = Account { tags: unreadable(), ..account() };
    assert_eq!(ask(settings, &of(account)).1, Verdict::Go);
}

/// AWS Organizations could not be asked: what the event says is all that is known.
#[rstest]
#[case::path(json!({ "ou": { "expected": ["Workloads/Prod"], "on_finding": "stop" } }), false)]
// There may be another `Prod`.
#[case::name_of_the_ou(json!({ "ou": { "expected": ["Prod"], "on_finding": "stop" } }), false)]
#[case::below(json!({ "ou": { "expected": ["ou-abcd-00000009/*"] } }), false)]
#[case::id(json!({ "ou": { "expected": ["ou-abcd-00000000"] } }), true)]
#[case::email(json!({ "email": { "pattern": "@example", "on_finding": "stop" } }), false)]
#[case::name(json!({ "name": { "pattern": "^payments" } }), true)]
fn an_account_that_could_not_be_looked_up(#[case] settings: Value, #[case] fits: bool) {
    let account = Account {
        email: String::new(),
        organizational_units: units(&["Prod"]),
        joined: None,
        ..account()
    };
    let expected = match fits {
        true => Verdict::Go,
        false => hold(JOINED + MINUTE + HOUR, "the account can't be looked up"),
    };
    assert_eq!(ask(settings, &of(account)).1, expected);
}

/// What the host takes: 32 lines, 1024 bytes of a reason.
#[test]
fn many_findings_have_room() {
    let tags: serde_json::Map<_, _> =
        (0..50).map(|n| (format!("{n:02}{}", "🦀".repeat(100)), json!({}))).collect();
    let settings = json!({ "tags": tags });
    let lines = findings(settings.clone(), account());
    assert_eq!(lines.len(), 32);
    assert!(lines[0].starts_with("tag `00🦀") && lines[0].ends_with("🦀…` is missing"));
    assert_eq!(lines[31], "and 19 more findings");

    let mut settings = settings;
    settings["on_finding"] = "stop".into();
    let Verdict::Stop(reason) = ask(settings, &of(account())).1 else { panic!("not stopped") };
    assert!(reason.len() <= 1024 && reason.ends_with("; and 47 more"), "{reason}");
}

#[test]
fn one_long_finding_has_room() {
    let allowed: Vec<_> = (0..9).map(|n| format!("{n}{}", "🦀".repeat(200))).collect();
    let settings = json!({ "tags": { "owner": { "allowed": allowed } }, "on_finding": "stop" });
    let Verdict::Stop(reason) = ask(settings, &of(account())).1 else { panic!("not stopped") };
    assert!(reason.len() <= 1024 && reason.ends_with('…'), "{reason}");
}

#[rstest]
#[case::nothing(json!({}), &[""])]
#[case::only_actions(json!({ "on_finding": "stop" }), &[""])]
#[case::no_tags(json!({ "tags": {} }), &["/tags"])]
#[case::blank_key(json!({ "tags": { " ": {} } }), &["/tags/ "])]
#[case::none_allowed(json!({ "tags": { "a": { "allowed": [] } } }), &["/tags/a/allowed"])]
#[case::blank(json!({ "tags": { "a": { "allowed": ["x", ""] } } }), &["/tags/a/allowed/1"])]
#[case::long(
    json!({ "tags": { "a": { "allowed": ["ä".repeat(257)] } } }), &["/tags/a/allowed/0"]
)]
#[case::both(json!({ "tags": { "a": { "allowed": ["x"], "pattern": "x" } } }), &["/tags/a"])]
#[case::pattern(json!({ "tags": { "a/b~": { "pattern": "(" } } }), &["/tags/a~1b~0/pattern"])]
#[case::empty_pattern(json!({ "tags": { "a": { "pattern": "" } } }), &["/tags/a/pattern"])]
#[case::no_ous(json!({ "ou": { "expected": [] } }), &["/ou/expected"])]
#[case::empty_part(
    json!({ "ou": { "expected": ["A", "", "/A", "A/", "A//B", "A/ "] } }),
    &["/ou/expected/1", "/ou/expected/2", "/ou/expected/3", "/ou/expected/4", "/ou/expected/5"]
)]
#[case::star(
    json!({ "ou": { "expected": ["A*", "A/*/B", "*/A", "A/*/*"] } }),
    &["/ou/expected/0", "/ou/expected/1", "/ou/expected/2", "/ou/expected/3"]
)]
#[case::id_in_a_path(json!({ "ou": { "expected": ["ou-abcd-00000000/A"] } }), &["/ou/expected/0"])]
#[case::name(json!({ "name": { "pattern": "[" } }), &["/name/pattern"])]
#[case::email(json!({ "email": { "pattern": "*" } }), &["/email/pattern"])]
#[case::too_large(
    json!({ "email": { "pattern": "((a{1000}){1000}){1000}" } }), &["/email/pattern"]
)]
#[case::durations(
    json!({ "name": { "pattern": "a" }, "hold_for": "59s", "hold_at_most": "367d" }),
    &["/hold_for", "/hold_at_most"]
)]
#[case::no_durations(
    json!({ "name": { "pattern": "a" }, "hold_for": "", "hold_at_most": "7" }),
    &["/hold_for", "/hold_at_most"]
)]
#[case::all_at_once(
    json!({
        "tags": { "a": { "pattern": "(" }, "b": { "allowed": [] } },
        "ou": { "expected": ["A", "*A"] },
        "name": { "pattern": "(" },
        "email": { "pattern": "(" },
        "hold_for": "soon",
        "hold_at_most": "late",
    }),
    &[
        "/tags/a/pattern", "/tags/b/allowed", "/ou/expected/1", "/name/pattern", "/email/pattern",
        "/hold_for", "/hold_at_most",
    ]
)]
fn settings_that_are_wrong(#[case] settings: Value, #[case] at: &[&str]) {
    let problems = configure(settings).err().unwrap_or_default();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, at, "{problems:?}");
}

#[rstest]
#[case(128, true)]
#[case(129, false)]
fn the_longest_key(#[case] length: usize, #[case] fits: bool) {
    let key = "ä".repeat(length);
    let problems = configure(json!({ "tags": { key.clone(): {} } })).err().unwrap_or_default();
    let found: Vec<_> = problems.into_iter().map(|problem| problem.at).collect();
    assert_eq!(found, Vec::from_iter((!fits).then(|| format!("/tags/{key}"))));
}

/// Without the host's own check of the schema.
#[rstest]
#[case(json!({ "on_findings": "stop" }), "/on_findings")]
#[case(json!({ "tags": { "a": { "pattrn": "x" } } }), "/tags/a/pattrn")]
#[case(json!({ "ou": { "expected": ["A"], "x": 1 } }), "/ou/x")]
#[case(json!({ "ou": {} }), "/ou")]
#[case(json!({ "then": "hold" }), "/then")]
#[case(json!({ "name": { "pattern": "x", "on_finding": "halt" } }), "/name/on_finding")]
fn keys_and_words_that_are_not_known(#[case] settings: Value, #[case] at: &str) {
    let instance = Instance::<BaselineCheck>::new();
    let around = Surroundings { lanes: vec![] };
    let problems = instance.configure_notifier(&settings.to_string(), &around).unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, [at], "{problems:?}");
}

/// The host tells of all wrong keys at once, each in its place: every table says its keys, and
/// none is a choice between a table and nothing, or named elsewhere.
#[test]
fn the_schema_is_plain() {
    fn plain(schema: &Value) {
        for word in ["anyOf", "oneOf", "$ref"] {
            assert_eq!(schema.get(word), None, "{schema}");
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            assert_eq!(schema["additionalProperties"], false, "{schema}");
            properties.values().for_each(plain);
        } else if let Some(values) = schema.get("additionalProperties") {
            plain(values);
        }
        assert!(!schema["type"].is_array(), "{schema}");
    }
    let schema: Value = serde_json::from_str(&schema::<Settings>()).unwrap();
    plain(&schema);
    assert_eq!(schema.get("required"), None);
    assert_eq!(schema["properties"]["ou"]["required"], json!(["expected"]));
    assert_eq!(
        schema["properties"]["tags"]["additionalProperties"]["properties"]["on_finding"]["enum"],
        json!(["annotate", "hold", "stop"])
    );
}

/// Texts, some of which mean something here.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c/*()\\[+ ]{0,8}",
        Just("ou-abcd-00000000".to_owned()),
        Just("ou-abcd-00000000/*".to_owned()),
    ]
}

fn any_account() -> impl Strategy<Value = Account> {
    let units = prop::collection::vec((text(), text()), 0..4);
    let units = units.prop_map(|units| {
        units.into_iter().map(|(id, name)| OrganizationalUnit { id, name }).collect()
    });
    let tags = prop_oneof![
        3 => prop::collection::vec((text(), text()), 0..6).prop_map(|tags| {
            Tags::Known(tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect())
        }),
        1 => any::<String>().prop_map(Tags::Unreadable),
    ];
    let texts = (text(), text(), text());
    (texts, units, tags, any::<Option<i64>>()).prop_map(
        |((id, name, email), organizational_units, tags, joined)| Account {
            id,
            name,
            email,
            organizational_units,
            tags,
            joined,
        },
    )
}

fn action() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["annotate", "hold", "stop"])
}

/// Settings of such patterns, OUs, and keys and values of tags.
fn settings_of(
    pattern: BoxedStrategy<String>,
    ou: BoxedStrategy<String>,
    tag: BoxedStrategy<String>,
) -> impl Strategy<Value = Value> {
    let allowed = prop::collection::vec(tag.clone(), 1..9);
    let required = prop_oneof![
        action().prop_map(|action| json!({ "on_finding": action })),
        allowed.prop_map(|allowed| json!({ "allowed": allowed })),
        pattern.clone().prop_map(|pattern| json!({ "pattern": pattern })),
    ];
    let tags = prop::collection::vec((tag, required), 1..50);
    let tags = tags.prop_map(|tags| Value::Object(tags.into_iter().collect()));
    let ou = prop::collection::vec(ou, 1..9).prop_map(|expected| json!({ "expected": expected }));
    let pattern = (pattern, action())
        .prop_map(|(pattern, action)| json!({ "pattern": pattern, "on_finding": action }));
    (prop::option::of(tags), ou, prop::option::of(pattern), action()).prop_map(
        |(tags, ou, pattern, action)| {
            json!({
                "tags": tags, "ou": ou, "name": pattern, "email": pattern, "on_finding": action,
            })
        },
    )
}

/// Settings that are accepted.
fn good_settings() -> impl Strategy<Value = Value> {
    let patterns = ["^a", "b$", "[a-c/]+", "(?i)^OU-", r"\*|🦀"];
    let ous = ["a", "a/*", "a/b", "*", "ou-abcd-00000000", "ou-abcd-00000000/*"];
    let pattern = prop::sample::select(patterns.map(str::to_owned).to_vec());
    let ou = prop::sample::select(ous.map(str::to_owned).to_vec());
    settings_of(pattern.boxed(), ou.boxed(), "[a-c🦀]{1,3}|[🦀x`]{100,128}".boxed())
}

/// Settings of any texts.
fn any_settings() -> impl Strategy<Value = Value> {
    settings_of(text().boxed(), text().boxed(), text().boxed())
}

proptest! {
    /// Settings are accepted, or each problem is in a place that is there.
    #[test]
    fn settings_are_right_or_wrong(settings in any_settings()) {
        if let Err(problems) = configure(settings.clone()) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(settings.pointer(&problem.at).is_some(), "{problem:?}");
            }
        }
    }

    /// Whatever it is given, it answers what the host takes.
    #[test]
    fn always_answers(
        settings in good_settings(),
        account in any_account(),
        now in any::<i64>(),
        json in prop::option::of(any::<String>()),
    ) {
        let check = configure(settings).unwrap();
        let event = json.map(|json| Event {
            id: String::new(), name: String::new(), source: String::new(), json,
        });
        let receipt = check.notify(&Notification { event, now, ..of(account) }).unwrap();
        prop_assert!(!receipt.reference.is_empty());
        let texts = match receipt.verdict {
            Verdict::Go => vec![],
            Verdict::Annotate(lines) => {
                prop_assert!((1..=32).contains(&lines.len()));
                lines
            }
            Verdict::Hold(Hold { until, reason }) => {
                prop_assert!(until >= now);
                vec![reason]
            }
            Verdict::Stop(reason) => vec![reason],
        };
        for text in texts {
            prop_assert!((1..=1024).contains(&text.len()), "{text}");
            prop_assert!(!text.contains(char::is_control), "{text}");
        }
    }

    /// Tags with an action each, some of them missing: the strictest of those wins.
    #[test]
    fn the_strictest_of_many_wins(
        tags in prop::collection::vec((action(), any::<bool>()), 1..9),
        tags_known in any::<bool>(),
        on_unreadable in action(),
        age in 0..14 * DAY,
        then in prop::sample::select(vec!["annotate", "stop"]),
    ) {
        let required: serde_json::Map<_, _> = tags
            .iter()
            .enumerate()
            .map(|(n, (action, _))| (format!("tag-{n}"), json!({ "on_finding": action })))
            .collect();
        let carried = tags.iter().enumerate().filter(|(_, (_, carried))| *carried);
        let carried = carried.map(|(n, _)| Tag::new(format!("tag-{n}"), "x")).collect();
        let settings = json!({ "tags": required, "on_unreadable": on_unreadable, "then": then });

        let missing: Vec<&str> = match tags_known {
            true => tags.iter().filter(|(_, carried)| !carried).map(|(one, _)| *one).collect(),
            false => vec![on_unreadable],
        };
        let done = |action| if action == "hold" && age >= 7 * DAY { then } else { action };
        let does = |action| missing.iter().any(|one| done(*one) == action);
        let expected = ["stop", "hold", "annotate"].into_iter().find(|action| does(*action));

        let tags = if tags_known { Tags::Known(carried) } else { unreadable() };
        let account = Account { tags, ..account() };
        let (reference, verdict) =
            ask(settings, &Notification { now: JOINED + age, ..of(account) });
        let (action, told) = match verdict {
            Verdict::Go => (None, 0),
            Verdict::Annotate(lines) => (Some("annotate"), lines.len()),
            Verdict::Hold(hold) => (Some("hold"), hold.reason.split("; ").count()),
            Verdict::Stop(reason) => (Some("stop"), reason.split("; ").count()),
        };
        prop_assert_eq!(action, expected);
        prop_assert_eq!(told, missing.len());
        let count = match missing.len() {
            0 => "ok".to_owned(),
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        };
        prop_assert_eq!(reference, count);
    }
}
