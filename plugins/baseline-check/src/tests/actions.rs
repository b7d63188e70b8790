//! The action of a finding, and how long it holds.

use groundcrew_sdk::{Account, Event, GateDecision, Notification};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    DAY, HOUR, JOINED, MINUTE, MISSING, account, annotate, ask, hold, of, stop, units, unreadable,
};

/// Each check has its own action, or the default one; the strictest wins.
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
    let (reference, decision) = ask(settings, &of(account()));
    assert_eq!(reference, "2 findings");
    let (tag, ou) = ("tag `team` is missing", "OU is `Workloads/Prod`, expected `Sandbox`");
    let both = format!("{tag}; {ou}");
    assert_eq!(
        decision,
        match wins {
            "annotate" => GateDecision::Annotate(vec![tag.to_owned(), ou.to_owned()]),
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
    let (reference, decision) = ask(settings, &of(account()));
    assert_eq!(reference, "1 finding");
    assert!(matches!(decision, GateDecision::Stop(_)), "{decision:?}");
}

/// A hold ends at the latest this long after the account joined.
#[rstest]
#[case::at_first(0, "annotate", hold(JOINED + HOUR, MISSING))]
#[case::a_day_later(DAY, "annotate", hold(JOINED + DAY + HOUR, MISSING))]
#[case::at_last(7 * DAY - MINUTE, "annotate", hold(JOINED + 7 * DAY, MISSING))]
#[case::after_that(7 * DAY, "annotate", annotate(MISSING))]
#[case::long_after_that(900 * DAY, "annotate", annotate(MISSING))]
#[case::or_stopped(7 * DAY, "stop", stop(MISSING))]
fn holds_end(#[case] age: i64, #[case] then: &str, #[case] expected: GateDecision) {
    let settings = json!({ "tags": { "team": {} }, "on_finding": "hold", "then": then });
    let told = ask(settings, &Notification { now: JOINED + age, ..of(account()) });
    assert_eq!(told.1, expected);
}

#[rstest]
#[case::within(
    MINUTE,
    stop("tag `team` is missing; name is `payments-prod`, expected a match of `^x$`")
)]
#[case::after(8 * DAY, GateDecision::Annotate(vec![
    MISSING.to_owned(), "name is `payments-prod`, expected a match of `^x$`".to_owned()
]))]
fn only_holds_end(#[case] age: i64, #[case] expected: GateDecision) {
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

/// If it is unknown when the account joined, the event's time counts; without an event, a hold has
/// no end.
#[rstest]
#[case::event(Some(r#"{"time":"2026-01-02T03:00:00Z"}"#), 8 * DAY, annotate(MISSING))]
#[case::young(Some(r#"{"time":"2026-01-02T03:00:00Z"}"#), DAY, hold(JOINED + DAY + HOUR, MISSING))]
#[case::no_time(Some(r#"{"time":"soon"}"#), 8 * DAY, hold(JOINED + 8 * DAY + HOUR, MISSING))]
#[case::no_json(Some("?"), 8 * DAY, hold(JOINED + 8 * DAY + HOUR, MISSING))]
#[case::none(None, 8 * DAY, hold(JOINED + 8 * DAY + HOUR, MISSING))]
fn the_time_of_the_event(
    #[case] event: Option<&str>,
    #[case] age: i64,
    #[case] expected: GateDecision,
) {
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
fn unreadable_tags_are_not_missing(#[case] more: Value, #[case] expected: GateDecision) {
    let mut settings = json!({ "tags": { "team": { "on_finding": "stop" }, "owner": {} } });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let account = Account { tags: unreadable(), ..account() };
    assert_eq!(ask(settings, &of(account)).1, expected);
}

#[test]
fn tags_that_nobody_asks_for_may_be_unreadable() {
    let settings = json!({ "ou": { "expected": ["Workloads/Prod"] } });
    let account = Account { tags: unreadable(), ..account() };
    assert_eq!(ask(settings, &of(account)).1, GateDecision::Go);
}

/// AWS Organizations could not be read: only the data of the event is known.
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
        true => GateDecision::Go,
        false => hold(JOINED + MINUTE + HOUR, "the account can't be looked up"),
    };
    assert_eq!(ask(settings, &of(account)).1, expected);
}
