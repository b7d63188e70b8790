//! Which settings are wrong, and where.

use groundcrew_sdk::{Context, Instance, schema};
use rstest::rstest;
use serde_json::{Value, json};

use super::configure;
use crate::{BaselineCheck, Settings};

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

/// Without the host's own check against the schema.
#[rstest]
#[case(json!({ "on_findings": "stop" }), "/on_findings")]
#[case(json!({ "tags": { "a": { "pattrn": "x" } } }), "/tags/a/pattrn")]
#[case(json!({ "ou": { "expected": ["A"], "x": 1 } }), "/ou/x")]
#[case(json!({ "ou": {} }), "/ou")]
#[case(json!({ "then": "hold" }), "/then")]
#[case(json!({ "name": { "pattern": "x", "on_finding": "halt" } }), "/name/on_finding")]
fn keys_and_words_that_are_not_known(#[case] settings: Value, #[case] at: &str) {
    let instance = Instance::<BaselineCheck>::new();
    let context = Context { lanes: vec![] };
    let problems = instance.configure_notifier(&settings.to_string(), &context).unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, [at], "{problems:?}");
}

/// The host reports all wrong keys at once, each at its place: every table lists its keys, and none
/// is a choice between a table and nothing, or defined elsewhere.
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
