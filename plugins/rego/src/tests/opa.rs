//! Built-in functions return the same as those of Open Policy Agent, with the exceptions that
//! `docs/writing-policies.md` lists.

use std::collections::{BTreeMap, BTreeSet};

use groundcrew_sdk::{Policy as _, PolicyDecision};
use regorus::Value;
use regorus::unstable::BUILTINS;
use rstest::rstest;
use serde_json::json;

use super::{candidate, configured, lanes, policies, read, script, settings};
use crate::script::{Script, ScriptTime};

/// Calls, and the results of OPA 1.20.2: `tests/interop/opa.py` wrote the file.
const CASES: &str = include_str!("opa/builtins.txt");

/// Each call, and its result in OPA: JSON, `undefined` or `error`.
fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(" => ").unwrap_or_else(|| panic!("no ` => `: {line}")))
}

/// The result of a call in groundcrew, in the same form.
fn answer(call: &str) -> String {
    let script = script(&format!("decision := \"abstain\"\nx := {call}\n"));
    let Ok(script) = Script::new(settings(&script, json!({})), &lanes(&[])) else {
        return "error".to_owned();
    };
    match script.evaluate("x", Value::Undefined, ScriptTime::NONE) {
        Err(_) => "error".to_owned(),
        Ok(Value::Undefined) => "undefined".to_owned(),
        Ok(value) => {
            let json: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap();
            json.to_string()
        }
    }
}

fn is_same(ours: &str, theirs: &str) -> bool {
    let parsed = |text: &str| Value::from_json_str(text).ok();
    ours == theirs || parsed(ours).zip(parsed(theirs)).is_some_and(|(ours, theirs)| ours == theirs)
}

/// The rows of the table of differences: a call, OPA's result and groundcrew's.
fn documented() -> BTreeMap<String, (String, String)> {
    let text = read(&policies().join("../docs/writing-policies.md"));
    let (_, rest) = text.split_once("| call | OPA | groundcrew |\n|---|---|---|\n").unwrap();
    let rows = rest.lines().take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [call, theirs, ours] = cells[..] else { panic!("{line}") };
        let plain = |cell: &str| cell.trim_matches('`').to_owned();
        (plain(call), (plain(theirs), plain(ours)))
    };
    rows.map(row).collect()
}

#[test]
fn what_differs_from_opa_is_documented() {
    let differences = cases().filter_map(|(call, theirs)| {
        let ours = answer(call);
        (!is_same(&ours, theirs)).then(|| (call.to_owned(), (theirs.to_owned(), ours)))
    });
    let differences: BTreeMap<_, _> = differences.collect();
    let rows: Vec<_> = differences
        .iter()
        .map(|(call, (theirs, ours))| format!("| `{call}` | `{theirs}` | `{ours}` |"))
        .collect();
    assert_eq!(differences, documented(), "the rows are\n{}", rows.join("\n"));
}

/// Every function is covered, except those that the host provides, that do nothing or have no name.
#[test]
fn every_function_is_compared() {
    let compared: BTreeSet<&str> = BUILTINS
        .keys()
        .copied()
        .filter(|name| cases().any(|(call, _)| call.contains(&format!("{name}("))))
        .collect();
    let left: Vec<_> = BUILTINS.keys().filter(|name| !compared.contains(*name)).collect();
    let is_no_subject =
        |name: &str| ["time.now_ns", "trace"].contains(&name) || name.starts_with("__");
    assert!(left.iter().all(|name| is_no_subject(name)), "{left:?}");
    assert!(cases().count() > 900);
}

/// Policies of users' reports.
#[rstest]
#[case::a_ring_of_five(
    r#"decision := {"skip": sprintf("ring %d", [to_number("05")])}"#,
    PolicyDecision::skip("ring 5")
)]
#[case::the_last_digits_of_an_account(
    r#"decision := {"skip": sprintf("%d", [to_number(substring("111122220003", 8, -1)) % 5])}"#,
    PolicyDecision::skip("3")
)]
#[case::the_month_of_a_date(
    r#"decision := "proceed" if to_number(split("2026-08-09", "-")[1]) == 8"#,
    PolicyDecision::proceed()
)]
#[case::with_zeros(r#"decision := {"skip": sprintf("%05d", [42])}"#, PolicyDecision::skip("00042"))]
#[case::to_the_left(
    r#"decision := {"skip": sprintf("%-10s|", ["prod"])}"#,
    PolicyDecision::skip("prod      |")
)]
#[case::two_decimals(
    r#"decision := {"skip": sprintf("%6.2f", [3.14159])}"#,
    PolicyDecision::skip("  3.14")
)]
#[case::hexadecimal(r#"decision := {"skip": sprintf("%x", [255])}"#, PolicyDecision::skip("ff"))]
#[case::signed(r#"decision := {"skip": sprintf("%+d", [5])}"#, PolicyDecision::skip("+5"))]
#[case::quoted(
    r#"decision := {"skip": sprintf("%q", ["a\"b"])}"#,
    PolicyDecision::skip(r#""a\"b""#)
)]
#[case::a_type(r#"decision := {"skip": sprintf("%T", ["a"])}"#, PolicyDecision::skip("string"))]
#[case::a_year_after_a_leap_day(
    r#"decision := {"hold": "a year", "until": time.add_date(time.parse_rfc3339_ns("2028-02-29T00:00:00Z"), 1, 0, 0)}"#,
    PolicyDecision::hold(1_867_017_600, "a year")
)]
#[case::a_month_after_its_last_day(
    r#"decision := {"hold": "a month", "until": time.add_date(time.parse_rfc3339_ns("2026-01-31T00:00:00Z"), 0, 1, 0)}"#,
    PolicyDecision::hold(1_772_496_000, "a month")
)]
#[case::a_group_of_another_name(
    r#"decision := {"skip": regex.replace("abc", "(b)", "[$1x]")}"#,
    PolicyDecision::skip("a[]c")
)]
#[case::a_group_in_braces(
    r#"decision := {"skip": regex.replace("abc", "(b)", "[${1}x]")}"#,
    PolicyDecision::skip("a[bx]c")
)]
#[case::a_dollar(
    r#"decision := {"skip": regex.replace("abc", "(b)", "$$")}"#,
    PolicyDecision::skip("a$c")
)]
fn as_reported(#[case] rules: &str, #[case] expected: PolicyDecision) {
    let policy = configured(&script(rules), json!({})).unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!(policy.evaluate(&candidate()), Ok(expected));
}
