//! Checks settings against their JSON Schema and reports every deviation, each with its pointer.

use groundcrew_core::config::nearest;
use groundcrew_core::decision::SettingProblem;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;

/// Everything that is wrong with the settings.
///
/// # Errors
/// What is wrong with the schema.
pub(crate) fn check(schema: &str, settings: &Value) -> Result<Vec<SettingProblem>, String> {
    let schema =
        serde_json::from_str(schema).map_err(|error| format!("it is not JSON: {error}"))?;
    let validator = jsonschema::options()
        // The other engine backtracks: a plugin's pattern could take for ever.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| error.to_string())?;
    Ok(validator.iter_errors(settings).flat_map(|error| problems(&schema, &error)).collect())
}

fn problems(schema: &Value, error: &ValidationError<'_>) -> Vec<SettingProblem> {
    let at = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(schema, error.schema_path().as_str());
            unexpected
                .iter()
                .map(|key| SettingProblem {
                    at: child_pointer(at, key),
                    message: unknown(key, &known),
                })
                .collect()
        }
        ValidationErrorKind::Required { property } => vec![SettingProblem {
            at: at.to_owned(),
            message: format!("`{}` is missing", property.as_str().unwrap_or_default()),
        }],
        ValidationErrorKind::Type { kind } => vec![SettingProblem {
            at: at.to_owned(),
            message: format!(
                "expected {}, found {}",
                expected(kind),
                describe_found(error.instance())
            ),
        }],
        _ => vec![SettingProblem { at: at.to_owned(), message: error.to_string() }],
    }
}

/// The keys that the schema defines next to the keyword that refused another key.
fn known_keys<'a>(schema: &'a Value, keyword: &str) -> Vec<&'a str> {
    let Some((object, _)) = keyword.rsplit_once('/') else { return Vec::new() };
    schema
        .pointer(&format!("{object}/properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key `{key}`, did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown key `{key}`: no keys are expected here"),
        None => format!("unknown key `{key}`: expected one of {}", known.join(", ")),
    }
}

fn expected(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.to_string(),
        // `Option` in a plugin's settings allows null, which TOML hasn't got.
        TypeKind::Multiple(kinds) => kinds
            .iter()
            .map(|kind| kind.to_string())
            .filter(|kind| kind != "null")
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn describe_found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// The JSON pointer of a key within what a pointer points to.
fn child_pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(settings: Value) -> Vec<(String, String)> {
        let schema = json!({
            "type": "object",
            "properties": {
                "tag_key": { "type": ["string", "null"] },
                "lists": { "$ref": "#/$defs/lists" },
                "count": { "type": "integer", "minimum": 1 },
            },
            "required": ["count"],
            "additionalProperties": false,
            "$defs": { "lists": {
                "type": "object",
                "properties": { "allowed": { "type": "array", "items": { "type": "string" } } },
                "additionalProperties": false,
            } },
        });
        let problems = check(&schema.to_string(), &settings).unwrap();
        problems.into_iter().map(|problem| (problem.at, problem.message)).collect()
    }

    #[test]
    fn right_settings_have_no_problems() {
        assert_eq!(found(json!({ "count": 1, "tag_key": "a" })), []);
    }

    #[test]
    fn all_deviations_are_told_at_once() {
        let mut found = found(json!({
            "tag_kye": "a", "tag_key": 7, "lists": { "alowed": [], "allowed": ["a", 1] },
        }));
        found.sort();
        let expected = [
            ("", "`count` is missing"),
            ("/lists/allowed/1", "expected string, found the number 1"),
            ("/lists/alowed", "unknown key `alowed`, did you mean `allowed`?"),
            ("/tag_key", "expected string, found the number 7"),
            ("/tag_kye", "unknown key `tag_kye`, did you mean `tag_key`?"),
        ];
        assert_eq!(found, expected.map(|(at, message)| (at.to_owned(), message.to_owned())));
    }

    #[test]
    fn a_schema_cannot_make_the_host_fetch_anything() {
        assert!(check(r#"{"$ref": "https://example.com/schema"}"#, &json!({})).is_err());
        assert!(check(r#"{"$ref": "file:///etc/passwd"}"#, &json!({})).is_err());
    }
}
