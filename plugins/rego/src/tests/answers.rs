//! The input of scripts, their valid results, and their invalid results.

use groundcrew_sdk::{Event, Failure, FailureKind, NamedLanes, Policy as _, PolicyDecision};
use rstest::rstest;
use serde_json::{Value, json};

use super::{candidate, configured, script, sparse};
use crate::input;

fn answer(rules: &str) -> Result<PolicyDecision, Failure> {
    let policy = configured(&script(rules), json!({ "tag": "owner" })).unwrap();
    policy.evaluate(&candidate())
}

#[rstest]
#[case(r#"decision := "abstain""#, PolicyDecision::Abstain)]
#[case(r#"decision := "proceed""#, PolicyDecision::proceed())]
#[case(r#"decision := {"proceed": data.lanes[1]}"#, PolicyDecision::proceed_in("test"))]
#[case(r#"decision := {"skip": "untagged"}"#, PolicyDecision::skip("untagged"))]
#[case(
    r#"decision := {"hold": "frozen", "until": "2026-01-02T03:04:06Z"}"#,
    PolicyDecision::hold(1_767_323_046, "frozen")
)]
#[case::in_a_lane(
    r#"decision := {"hold": "frozen", "until": "2026-01-02T03:04:06Z", "lane": data.lanes[1]}"#,
    PolicyDecision::hold_in("test", 1_767_323_046, "frozen")
)]
#[case::another_offset(
    r#"decision := {"until": "2026-01-02T05:04:06+02:00", "hold": "frozen"}"#,
    PolicyDecision::hold(1_767_323_046, "frozen")
)]
#[case::never_too_early(
    r#"decision := {"hold": "frozen", "until": "2026-01-02T03:04:05.001Z"}"#,
    PolicyDecision::hold(1_767_323_046, "frozen")
)]
#[case::nanoseconds(
    r#"decision := {"hold": "frozen", "until": input.now_ns + 1}"#,
    PolicyDecision::hold(1_767_323_046, "frozen")
)]
#[case::the_clock(
    r#"decision := "proceed" if time.now_ns() == input.now_ns"#,
    PolicyDecision::proceed()
)]
#[case::the_users_data(
    r#"decision := {"skip": input.account.tags[data.tag]}"#,
    PolicyDecision::skip("pay")
)]
#[case::printing(r#"decision := "proceed" if print("here", input.now)"#, PolicyDecision::proceed())]
#[case::time_zones(
    r#"decision := {"skip": time.format([input.now_ns, "Asia/Kolkata", "15:04"])}"#,
    PolicyDecision::skip("08:34")
)]
#[case::another_rule_in_a_test(
    "decision := x if x := tags with input.account.tags as {\"skip\": \"mocked\"}\ntags := input.account.tags",
    PolicyDecision::skip("mocked")
)]
fn is_a_decision(#[case] rules: &str, #[case] expected: PolicyDecision) {
    assert_eq!(answer(rules), Ok(expected));
}

/// Computed values: literal ones are refused when they are loaded.
#[rstest]
#[case::undefined(
    r#"decision := "proceed" if input.account.tags.nope"#,
    "test.rego: data.test.decision is undefined: expected \"abstain\""
)]
#[case::another_word(
    "decision := x\nx := \"Proceed\"",
    "test.rego: data.test.decision is \"Proceed\": expected \"abstain\", \"proceed\", \
     {\"proceed\": lane}, {\"skip\": reason} or {\"hold\": reason, \"until\": time}"
)]
#[case::a_boolean("decision := x\nx := true", "is true: expected")]
#[case::empty("decision := x\nx := {}", "is {}: expected")]
#[case::two_answers("decision := x\nx := {\"skip\": \"a\", \"proceed\": \"b\"}", "expected")]
#[case::no_reason("decision := x\nx := {\"skip\": null}", "is {\"skip\":null}: expected")]
#[case::no_time("decision := x\nx := {\"hold\": \"a\"}", "is {\"hold\":\"a\"}: expected")]
#[case::too_much("decision := x\nx := {\"hold\": \"a\", \"until\": 1, \"x\": 1}", "expected")]
#[case::no_such_time(
    "decision := x\nx := {\"hold\": \"a\", \"until\": \"tomorrow\"}",
    "to hold until \"tomorrow\": expected a text such as"
)]
#[case::seconds(
    "decision := x\nx := {\"hold\": \"a\", \"until\": 1767323046}",
    "or nanoseconds since 1970"
)]
#[case::long(
    r#"decision := concat("", ["x" | some i in numbers.range(1, 5000)])"#,
    "xxx…: expected"
)]
#[case::contradiction(
    "decision := \"abstain\" if input.now_ns > 0\ndecision := \"proceed\" if input.now_ns > 1",
    "test.rego:4:1: rule conflicts with rule at test.rego:3:1"
)]
#[case::contradiction_below(
    "decision := \"abstain\" if not wanted\nwanted := 1 if input.now_ns > 0\nwanted := 2 if input.now_ns > 1",
    "test.rego:5:1: rule conflicts with rule at test.rego:4:1"
)]
#[case::a_builtin_that_fails(
    "decision := \"proceed\" if not frozen\nfrozen if time.parse_rfc3339_ns(\"no\") > 0",
    "test.rego:4:32: time.parse_rfc3339_ns(\"no\"): Failed to parse datetime"
)]
#[case::a_time_zone(
    "decision := time.clock([input.now_ns, \"Europe/Berln\"])",
    "test.rego:3:23: time.clock([1767323045000000000,\"Europe/Berln\"]): failed to parse timezone"
)]
#[case::no_number("decision := to_number(\"5a\")", "test.rego:3:22: to_number(\"5a\"): no number")]
#[case::a_time_beyond_2262(
    "decision := \"abstain\" if not held\nheld if time.add_date(input.now_ns, 300, 0, 0) > 0",
    "test.rego:4:22: time.add_date(1767323045000000000, 300, 0, 0): time outside of valid range"
)]
#[case::no_text_between(
    "decision := \"abstain\" if not held\nheld if replace(\"ä\", \"\", \"-\") == \"-\"",
    "test.rego:4:16: replace: there is an empty text"
)]
#[case::arithmetic("decision := 1 + input.account.id", "test.rego:3:30: `add` expects numeric")]
fn is_none(#[case] rules: &str, #[case] expected: &str) {
    let failure = answer(rules).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains(expected), "{}", failure.message);
    assert!(failure.message.starts_with("test.rego:"), "{}", failure.message);
    assert!(failure.message.len() < 1000, "{}", failure.message);
}

/// A failed evaluation leaves no state behind for the next.
#[test]
fn the_next_candidate_is_judged_anew() {
    let rules = r#"
decision := {"skip": parsed}
parsed := sprintf("%d", [value]) if value := number
number := to_number(input.account.name)
"#;
    let policy = configured(&script(rules), json!({})).unwrap();
    let (mut good, bad) = (candidate(), candidate());
    good.account.name = "7".to_owned();
    for _ in 0..3 {
        let failure = policy.evaluate(&bad).unwrap_err();
        let expected = "test.rego:6:20: to_number(\"payments-prod\"): no number";
        assert_eq!(failure.message, expected);
        assert_eq!(policy.evaluate(&good), Ok(PolicyDecision::skip("7")));
    }
}

fn document(candidate: &groundcrew_sdk::Candidate) -> Value {
    serde_json::from_str(&input::from_candidate(candidate).unwrap().to_string()).unwrap()
}

#[test]
fn the_input_is_the_candidate() {
    let mut candidate = candidate();
    candidate.event = Some(Event {
        id: "999cccaa-eaaa-0000-1111-123456789012".to_owned(),
        name: "UpdateManagedAccount".to_owned(),
        source: "aws.controltower".to_owned(),
        json: r#"{"detail": {"eventName": "UpdateManagedAccount"}}"#.to_owned(),
    });
    assert_eq!(
        document(&candidate),
        json!({
            "action": "update",
            "cause": "artifact",
            "now": "2026-01-02T03:04:05Z",
            "now_ns": 1_767_323_045_000_000_000_i64,
            "account": {
                "id": "111122223333",
                "name": "payments-prod",
                "email": "aws+payments-prod@example.com",
                "ou": ["Workloads", "Prod"],
                "organizational_units": [
                    { "id": "ou-abcd-11111111", "name": "Workloads" },
                    { "id": "ou-abcd-22222222", "name": "Prod" },
                ],
                "state": "ACTIVE",
                "tags": { "environment": "prod", "owner": "pay" },
                "joined": "2025-01-02T03:04:05Z",
                "joined_ns": 1_735_787_045_000_000_000_i64,
            },
            "product": {
                "id": "pp-abcdefghijklm",
                "name": "payments-prod",
                "status": "AVAILABLE",
                "artifact": "pa-1111111111111",
                "target_artifact": "pa-2222222222222",
            },
            "event": {
                "id": "999cccaa-eaaa-0000-1111-123456789012",
                "name": "UpdateManagedAccount",
                "source": "aws.controltower",
                "detail": { "eventName": "UpdateManagedAccount" },
            },
        })
    );
}

#[test]
fn what_is_not_known_is_absent() {
    assert_eq!(
        document(&sparse()),
        json!({
            "action": "update",
            "cause": "artifact",
            "now": "2026-01-02T03:04:05Z",
            "now_ns": 1_767_323_045_000_000_000_i64,
            "account": {
                "id": "111122223333",
                "name": "payments-prod",
                "ou": [],
                "organizational_units": [],
                "tags_unreadable": "AccessDeniedException",
            },
        })
    );
}

#[test]
fn what_can_not_be_expressed_is_a_failure() {
    let policy = configured(&script(r#"decision := "proceed""#), json!({})).unwrap();
    let message = |candidate| policy.evaluate(&candidate).unwrap_err().message;
    let mut late = candidate();
    late.now = i64::MAX;
    assert!(message(late).contains("no time that Rego can express"));
    let mut joined = candidate();
    joined.account.joined = Some(i64::MIN);
    assert!(message(joined).contains("`joined`"));
    let mut event = candidate();
    event.event = Some(Event {
        id: "1".to_owned(),
        name: String::new(),
        source: String::new(),
        json: "{".to_owned(),
    });
    assert!(message(event).contains("the event \"1\" is no JSON"));
}

#[rstest]
#[case("", NamedLanes::Any)]
#[case("lanes := []", NamedLanes::Only(vec![]))]
#[case("lanes := [data.lanes[0]]", NamedLanes::Only(vec!["canary".to_owned()]))]
#[case(
    "lanes contains lane if some lane in data.lanes",
    NamedLanes::Only(vec!["canary".to_owned(), "prod".to_owned(), "test".to_owned()])
)]
fn says_which_lanes_it_names(#[case] rules: &str, #[case] expected: NamedLanes) {
    let rules = script(&format!("decision := \"abstain\"\n{rules}"));
    assert_eq!(configured(&rules, json!({})).unwrap().named_lanes(), expected);
}

/// What regorus can't do causes an error of the script, and no trap.
#[rstest]
#[case::micro_without_seconds(r#"time.parse_duration_ns("1µ")"#, false)]
#[case::microseconds(r#"time.parse_duration_ns("5µs")"#, true)]
#[case::microseconds_in_greek(r#"time.parse_duration_ns("5μs")"#, true)]
#[case::percent(r#"time.format([0, "UTC", "a 100% b"])"#, false)]
#[case::no_class(r#"regex.match("[[:foo:]]", "a")"#, false)]
#[case::a_class(r#"regex.match("^[[:alpha:][:^digit:]]+$", "a")"#, true)]
fn what_is_not_supported_is_an_error(#[case] call: &str, #[case] works: bool) {
    let rules = format!("decision := {{\"skip\": sprintf(\"%v\", [x])}} if x := {call}");
    let answer = answer(&rules);
    assert_eq!(answer.is_ok(), works, "{answer:?}");
}
