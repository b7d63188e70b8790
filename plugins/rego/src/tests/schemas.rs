//! Data that a script's schema refuses, and that those of the ready-made scripts refuse.

use groundcrew_sdk::{Policy as _, Problem};
use rstest::rstest;
use serde_json::{Value, json};

use super::cases::with_defaults;
use super::{configured, lanes, policies, read, script};
use crate::{Rego, Settings};

fn told(problems: Option<Vec<Problem>>) -> Vec<String> {
    let told = |problem: Problem| format!("{}: {}", problem.at, problem.message);
    problems.unwrap_or_default().into_iter().map(told).collect()
}

fn found(schema: &str, data: Value) -> Vec<String> {
    told(configured(&script(&format!("decision := \"abstain\"\nschema := {schema}")), data).err())
}

/// The message about a value under the key `x`.
#[rstest]
#[case(r#"{"type": "string"}"#, json!(7), "a string, found the number 7")]
#[case(r#"{"type": "string"}"#, json!(null), "a string, found nothing")]
#[case(r#"{"type": "boolean"}"#, json!("yes"), "true or false, found the string \"yes\"")]
#[case(r#"{"type": "number"}"#, json!(true), "a number, found the boolean true")]
#[case(r#"{"type": "integer"}"#, json!(1.5), "a whole number, found the number 1.5")]
#[case(
    r#"{"type": "integer", "minimum": 1}"#,
    json!(0),
    "a whole number of at least 1, found the number 0"
)]
#[case(r#"{"type": "object"}"#, json!([1]), "a table, found an array")]
#[case(
    r#"{"type": "array", "items": {"type": "string"}}"#,
    json!({}),
    "an array of strings, found a table"
)]
#[case(
    r#"{"type": "array", "minItems": 1}"#,
    json!([]),
    "an array, at least 1, found an empty array"
)]
#[case(r#"{"enum": ["a", "b"]}"#, json!("c"), "one of \"a\", \"b\", found the string \"c\"")]
#[case(r#"{"enum": []}"#, json!("c"), "nothing, since there is nothing to choose from, found")]
#[case(
    r#"{"type": "string", "pattern": "^a"}"#,
    json!("b"),
    "a string that matches `^a`, found the string \"b\""
)]
#[case(
    r#"{"pattern": "^a", "description": "an a"}"#,
    json!("b"),
    "an a, found the string \"b\""
)]
#[case(
    r#"{"format": "date-time"}"#,
    json!("2026-02-30T00:00:00Z"),
    "a time such as \"2026-12-20T00:00:00Z\", found the string \"2026-02-30T00:00:00Z\""
)]
#[case(r#"{"format": "regex"}"#, json!("("), "a regular expression, found the string \"(\"")]
#[case(
    r#"{"format": "time-zone"}"#,
    json!("Europe/Berln"),
    "a time zone such as \"Europe/Berlin\", found the string \"Europe/Berln\""
)]
#[case(r#"{"format": "time-zone"}"#, json!("Local"), "a time zone such as")]
#[case(r#"{"format": "time-zone"}"#, json!(""), "a time zone such as")]
fn a_value_that_does_not_fit(#[case] schema: &str, #[case] value: Value, #[case] expected: &str) {
    let schema = format!(r#"{{"properties": {{"x": {schema}}}}}"#);
    let told = found(&schema, json!({ "x": value }));
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.starts_with(&format!("/data/x: expected {expected}")), "{told}");
}

#[test]
fn all_is_told_at_once_and_each_at_its_place() {
    let schema = r#"{
        "properties": {
            "list": {"items": {"properties": {"lane": {"enum": data.lanes}}, "required": ["lane"]}},
            "table": {"additionalProperties": {"type": "string"}},
        },
        "additionalProperties": false,
    }"#;
    let mut told = found(
        schema,
        json!({
            "list": [{ "lane": "test" }, {}, { "lane": "tset" }],
            "table": { "a/b": 1, "c": "d" },
            "lits": 1,
            "zzz": 1,
        }),
    );
    told.sort();
    let expected = [
        "/data/list/1: `lane` is missing",
        "/data/list/2/lane: expected one of \"canary\", \"test\", \"prod\", found the string \"tset\"",
        "/data/lits: unknown key `lits`, did you mean `list`?",
        "/data/table/a~1b: expected a string, found the number 1",
        "/data/zzz: unknown key `zzz`: expected one of list, table",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_not_said_is_allowed() {
    for schema in ["{}", r#"{"properties": {}}"#, r#"{"additionalProperties": true}"#] {
        assert_eq!(found(schema, json!({ "x": [1, {}] })), [] as [&str; 0]);
    }
}

/// An unsupported keyword is refused.
#[rstest]
#[case(r#"{"propertys": {}}"#, "is no schema: unknown field `propertys`, expected one of")]
#[case(r#"{"items": {"maxLength": 1}}"#, "is no schema: unknown field `maxLength`")]
#[case(r#"{"additionalProperties": {"x": 1}}"#, "is no schema: unknown field `x`")]
#[case(r#"{"type": "text"}"#, "is no schema: unknown variant `text`")]
#[case(r#"{"format": "email"}"#, "is no schema: unknown variant `email`")]
#[case(r#"{"pattern": "("}"#, "is no schema: regex parse error")]
#[case("1", "is no schema")]
#[case("input.x", "is undefined: it is evaluated when the script is loaded")]
fn a_schema_that_is_none(#[case] schema: &str, #[case] expected: &str) {
    let told = found(schema, json!({}));
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.starts_with(&format!(": test.rego: data.test.schema {expected}")), "{told}");
}

/// The other rules need not handle data that the schema refuses.
#[test]
fn problems_are_looked_for_in_data_of_the_right_form() {
    let rules = r#"
decision := "abstain"
schema := {"properties": {"x": {"type": "string"}}}
problems contains "starts with a" if startswith(data.x, "a")
"#;
    let told = |data| told(configured(&script(rules), data).err());
    assert_eq!(told(json!({ "x": 1 })), ["/data/x: expected a string, found the number 1"]);
    assert_eq!(told(json!({ "x": "a" })), ["/data: starts with a"]);
}

const WINDOW: &str = "expected a time of day such as \"09:30\"";
const STRINGS: &str = "expected an array of strings, found the string";

#[rstest]
#[case("exclusions", json!({ "ous": "Sandbox" }), "/ous: ", STRINGS)]
#[case("exclusions", json!({ "ous": [7] }), "/ous/0: ", "expected a string")]
#[case("exclusions", json!({ "ou": ["Sandbox"] }), "/ou: ", "did you mean `ous`?")]
#[case("exclusions", json!({ "names": "^a" }), "/names: ", STRINGS)]
#[case("exclusions", json!({ "names": ["("] }), "/names/0: ", "expected a regular expression")]
#[case("exclusions", json!({ "min_age_day": 30 }), "/min_age_day: ", "did you mean `min_age_days`?")]
#[case("exclusions", json!({ "min_age_days": "7" }), "/min_age_days: ", "expected a whole number")]
#[case("exclusions", json!({ "min_age_days": -1 }), "/min_age_days: ", "expected a whole number")]
#[case("exclusions", json!({ "too_young": "wait" }), "/too_young: ", "one of \"hold\", \"skip\"")]
#[case("maintenance-window", json!({ "freeze": [] }), "/freeze: ", "did you mean `freezes`?")]
#[case("maintenance-window", json!({ "window": [] }), "/window: ", "did you mean `windows`?")]
#[case("maintenance-window", json!({ "windows": {} }), "/windows: ", "expected an array of tables")]
#[case("maintenance-window", json!({ "actions": "onboard" }), "/actions: ", "expected an array")]
#[case(
    "maintenance-window",
    json!({ "actions": ["updates"] }),
    "/actions/0: ",
    "expected one of \"onboard\", \"update\", \"vend\", found the string \"updates\""
)]
#[case("maintenance-window", json!({ "timezone": "Europe/Berln" }), "/timezone: ", "a time zone")]
#[case("maintenance-window", json!({ "timezone": "Local" }), "/timezone: ", "a time zone")]
#[case("maintenance-window", json!({ "timezone": 1 }), "/timezone: ", "a time zone")]
#[case(
    "maintenance-window",
    json!({ "freezes": [{ "name": "a", "from": "2026-02-01T00:00:00Z", "until": "2026-02-30T00:00:00Z" }] }),
    "/freezes/0/until: ",
    "expected a time such as"
)]
#[case(
    "maintenance-window",
    json!({ "freezes": [{ "name": "a", "from": "2026-02-01T00:00:00Z", "until": "2026-02-01T00:00:00Z" }] }),
    "/freezes/0: ",
    "ends before it begins"
)]
#[case(
    "maintenance-window",
    json!({ "freezes": [{ "name": "a", "from": "2026-02-01T00:00:00Z" }] }),
    "/freezes/0: ",
    "`until` is missing"
)]
#[case(
    "maintenance-window",
    json!({ "windows": [{ "days": ["Sunday"], "start": "9:00", "end": "10:00" }] }),
    "/windows/0/start: ",
    WINDOW
)]
#[case(
    "maintenance-window",
    json!({ "windows": [{ "days": ["Sunday"], "start": "09:00", "end": "24:01" }] }),
    "/windows/0/end: ",
    WINDOW
)]
#[case(
    "maintenance-window",
    json!({ "windows": [{ "days": ["Sun"], "start": "09:00", "end": "10:00" }] }),
    "/windows/0/days/0: ",
    "\"Sunday\""
)]
#[case(
    "maintenance-window",
    json!({ "windows": [{ "days": [], "start": "09:00", "end": "10:00" }] }),
    "/windows/0/days: ",
    "at least 1"
)]
#[case(
    "maintenance-window",
    json!({ "windows": [{ "day": ["Sunday"], "days": ["Sunday"], "start": "09:00", "end": "10:00" }] }),
    "/windows/0/day: ",
    "did you mean `days`?"
)]
#[case("onboard-by-ou", json!({ "ous": "Sandbox" }), "/ous: ", STRINGS)]
#[case("onboard-by-ou", json!({ "except_ous": "Sandbox" }), "/except_ous: ", STRINGS)]
#[case("onboard-by-ou", json!({ "except_ou": [] }), "/except_ou: ", "did you mean `except_ous`?")]
#[case("onboard-by-ou", json!({ "except_names": "a" }), "/except_names: ", STRINGS)]
#[case("onboard-by-ou", json!({ "except_names": ["["] }), "/except_names/0: ", "a regular expression")]
#[case("ring-rollout", json!({ "canary_ous": "Sandbox" }), "/canary_ous: ", STRINGS)]
#[case("ring-rollout", json!({ "environment_tag": 7 }), "/environment_tag: ", "expected a string")]
#[case("ring-rollout", json!({ "canary_tags": "x" }), "/canary_tags: ", "expected a table")]
#[case("ring-rollout", json!({ "canary_tags": { "a": 1 } }), "/canary_tags/a: ", "expected a string")]
#[case("ring-rollout", json!({ "canaries": [111_122_223_331_i64] }), "/canaries/0: ", "of twelve digits")]
#[case("ring-rollout", json!({ "canaries": ["11112222333"] }), "/canaries/0: ", "of twelve digits")]
#[case("ring-rollout", json!({ "canary": [] }), "/canary: ", "did you mean `canary_")]
#[case("ring-rollout", json!({ "canary_lane": "canry" }), "/canary_lane: ", "expected one of \"canary\"")]
#[case("ring-rollout", json!({ "default_lane": 1 }), "/default_lane: ", "expected one of \"canary\"")]
#[case("ring-rollout", json!({ "rings": [{ "ous": ["Dev"] }] }), "/rings/0: ", "`lane` is missing")]
#[case(
    "ring-rollout",
    json!({ "rings": [{ "lane": "test", "environments": "dev" }] }),
    "/rings/0/environments: ",
    STRINGS
)]
#[case(
    "ring-rollout",
    json!({ "rings": [{ "lane": "test", "environment": ["dev"] }] }),
    "/rings/0/environment: ",
    "did you mean `environments`?"
)]
#[case("ring-rollout", json!({ "rings": [{ "lane": "test" }] }), "/rings/0: ", "has no accounts")]
fn a_ready_made_script_refuses(
    #[case] stem: &str,
    #[case] over: Value,
    #[case] at: &str,
    #[case] expected: &str,
) {
    let path = policies().join(format!("{stem}.rego"));
    let Value::Object(over) = over else { panic!("{over}") };
    let settings = Settings {
        file: format!("{stem}.rego"),
        script: read(&path),
        data: with_defaults(&path, over),
        coverage: false,
    };
    let told = told(Rego::configure(settings, &lanes(&["canary", "test", "prod"])).err());
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.starts_with(&format!("/data{at}")) && told.contains(expected), "{told}");
}

/// The settings that a script documents at its beginning are those of its schema.
#[rstest]
#[case("exclusions")]
#[case("maintenance-window")]
#[case("onboard-by-ou")]
#[case("ring-rollout")]
fn all_documented_keys_are_known_and_no_others(#[case] stem: &str) {
    let path = policies().join(format!("{stem}.rego"));
    let script = read(&path);
    let documented: Vec<_> = script
        .lines()
        .skip_while(|line| !line.starts_with("# Data"))
        .skip(1)
        .take_while(|line| *line != "#")
        .filter_map(|line| line.strip_prefix("#   ")?.split(' ').next())
        .filter(|key| !key.is_empty())
        .collect();
    let data = [("no_such_key".to_owned(), json!(1))].into_iter().collect();
    let settings =
        Settings { file: stem.to_owned(), script: script.clone(), data, coverage: false };
    let told = told(Rego::configure(settings, &lanes(&["a"])).err());
    let [told] = &told[..] else { panic!("{told:?}") };
    let known = told.split_once("expected one of ").map_or("", |(_, known)| known);
    let mut known: Vec<_> = known.split(", ").collect();
    let mut documented = documented;
    known.sort_unstable();
    documented.sort_unstable();
    assert_eq!(known, documented);
}
