//! DynamoDB's conditions on writes and on keys: `name = :value` and `attribute_not_exists(name)`. A
//! name is that of an attribute, or a placeholder `#name`.
//!
//! The constraints are from "Constraints" in the developer guide: no reserved word is a name, and
//! every placeholder of a request must be used.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{invalid, unsupported};
use super::value::{AttributeValue, Item, read_item};
use crate::protocol::ApiError;

const RESERVED: &str = include_str!("reserved_words.txt");

/// A condition on an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// The attribute has this value.
    Equal(String, AttributeValue),
    /// The attribute does not exist.
    NotExists(String),
}

/// `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request.
pub(super) struct Placeholders<'a> {
    pub(super) names: Option<&'a BTreeMap<String, String>>,
    pub(super) values: Option<&'a Map<String, Value>>,
}

impl Condition {
    /// Whether the condition holds for an item. An item that does not exist has no attributes.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Equal(name, value) => item.get(name) == Some(value),
            Self::NotExists(name) => !item.contains_key(name),
        }
    }
}

impl Placeholders<'_> {
    /// Reads the condition in the member `kind` of a request, if it has one.
    pub(super) fn condition(
        &self,
        kind: &str,
        text: Option<&str>,
    ) -> Result<Option<Condition>, ApiError> {
        let names = self.names.cloned().unwrap_or_default();
        let values = self.values.map(read_item).transpose()?.unwrap_or_default();
        check_keys("ExpressionAttributeNames", '#', names.keys())?;
        check_keys("ExpressionAttributeValues", ':', values.keys())?;
        let Some(text) = text else {
            check_used("ExpressionAttributeNames", names.keys(), &[])?;
            check_used("ExpressionAttributeValues", values.keys(), &[])?;
            return Ok(None);
        };
        let unsupported = || {
            unsupported(&format!(
                "another {kind} than `name = :value` or `attribute_not_exists(name)`: {text}"
            ))
        };
        let (name, value) = parts(text).ok_or_else(unsupported)?;
        let attribute = match name.strip_prefix('#') {
            Some(_) => names.get(name).cloned().ok_or_else(|| {
                fail(kind, &format!("An expression attribute name used in the document path is not defined; attribute name: {name}"))
            })?,
            None if is_reserved(name) => {
                let text = "Attribute name is a reserved keyword; reserved keyword";
                return Err(fail(kind, &format!("{text}: {name}")));
            }
            None => name.to_owned(),
        };
        let condition = match value {
            Some(value) => {
                let value = values.get(value).cloned().ok_or_else(|| {
                    fail(kind, &format!("An expression attribute value used in expression is not defined; attribute value: {value}"))
                })?;
                Condition::Equal(attribute, value)
            }
            None => Condition::NotExists(attribute),
        };
        let used = [name, value.unwrap_or_default()];
        check_used("ExpressionAttributeNames", names.keys(), &used)?;
        check_used("ExpressionAttributeValues", values.keys(), &used)?;
        Ok(Some(condition))
    }
}

/// Name and value of `name = :value`, or the name of `attribute_not_exists(name)`.
fn parts(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.trim())),
        None => {
            let rest = text.trim().strip_prefix("attribute_not_exists")?.trim_start();
            (rest.strip_prefix('(')?.strip_suffix(')')?, None)
        }
    };
    let name = name.trim();
    let is_name = match name.strip_prefix('#') {
        Some(name) => is_word(name),
        None => is_word(name) && name.starts_with(|c: char| c.is_ascii_alphabetic()),
    };
    let is_value = value.is_none_or(|value| value.strip_prefix(':').is_some_and(is_word));
    (is_name && is_value).then_some((name, value))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_reserved(name: &str) -> bool {
    RESERVED.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name))
}

fn fail(kind: &str, message: &str) -> ApiError {
    invalid(&format!("Invalid {kind}: {message}"))
}

fn check_keys<'a>(
    member: &str,
    sign: char,
    mut keys: impl Iterator<Item = &'a String>,
) -> Result<(), ApiError> {
    match keys.find(|key| !key.strip_prefix(sign).is_some_and(is_word)) {
        Some(key) => {
            Err(invalid(&format!("{member} contains invalid key: Syntax error; key: \"{key}\"")))
        }
        None => Ok(()),
    }
}

/// Rejects placeholders that no expression uses.
fn check_used<'a>(
    member: &str,
    keys: impl Iterator<Item = &'a String>,
    used: &[&str],
) -> Result<(), ApiError> {
    let unused: Vec<&str> = keys.map(String::as_str).filter(|key| !used.contains(key)).collect();
    if unused.is_empty() {
        return Ok(());
    }
    Err(invalid(&format!(
        "Value provided in {member} unused in expressions: keys: {{{}}}",
        unused.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn read(text: &str, names: &Value, values: &Value) -> Result<Condition, ApiError> {
        let names = serde_json::from_value(names.clone()).unwrap();
        let placeholders = Placeholders { names: Some(&names), values: values.as_object() };
        placeholders.condition("ConditionExpression", Some(text)).map(Option::unwrap)
    }

    #[rstest]
    #[case("one = :one", true)]
    #[case("one=:one", true)]
    #[case("two = :one", false)]
    #[case::other_type("words = :one", false)]
    #[case::missing("absent = :one", false)]
    fn an_attribute_is_compared(#[case] text: &str, #[case] expected: bool) {
        let item = json!({ "one": { "N": "1" }, "two": { "N": "2" }, "words": { "S": "1" } });
        let item = read_item(item.as_object().unwrap()).unwrap();
        let condition = read(text, &json!({}), &json!({ ":one": { "N": "1" } })).unwrap();
        assert_eq!(condition.holds(&item), expected);
    }

    #[rstest]
    #[case("attribute_not_exists(one)", false)]
    #[case(" attribute_not_exists ( absent ) ", true)]
    fn an_attribute_may_have_to_be_missing(#[case] text: &str, #[case] expected: bool) {
        let item = read_item(json!({ "one": { "N": "1" } }).as_object().unwrap()).unwrap();
        assert_eq!(read(text, &json!({}), &json!({})).unwrap().holds(&item), expected);
    }

    #[test]
    fn a_name_may_be_a_placeholder() {
        let condition =
            read("#status = :a", &json!({ "#status": "status" }), &json!({ ":a": { "S": "a" } }));
        let value = AttributeValue::S("a".to_owned());
        assert_eq!(condition, Ok(Condition::Equal("status".to_owned(), value)));
    }

    #[rstest]
    #[case("")]
    #[case("one")]
    #[case("one = ")]
    #[case("one == :one")]
    #[case("one = :one two")]
    #[case("one = 1")]
    #[case("_one = :one")]
    #[case("one <> :one")]
    #[case("one < :one")]
    #[case("one <= :one")]
    #[case("one > :one")]
    #[case("one >= :one")]
    #[case(":one = one")]
    #[case("one = two")]
    #[case("(one = :one)")]
    #[case("NOT one = :one")]
    #[case("one = :one AND one = :one")]
    #[case("one = :one OR attribute_not_exists(two)")]
    #[case("one BETWEEN :one AND :nine")]
    #[case("one IN (:one)")]
    #[case("attribute_exists(one)")]
    #[case("attribute_not_exists(:one)")]
    #[case("attribute_not_exists(doc.els[1])")]
    #[case("attribute_type(one, :one)")]
    #[case("begins_with(one, :one)")]
    #[case("contains(one, :one)")]
    #[case("size(one) = :one")]
    fn what_is_not_served_is_refused_by_name(#[case] text: &str) {
        let values = json!({ ":one": { "N": "1" }, ":nine": { "N": "9" } });
        let error = read(text, &json!({}), &values).unwrap_err();
        assert_eq!(error.code, "ValidationException");
        let named = error.message.ends_with(&format!(": {text}"));
        assert!(named && error.message.contains("does not serve another ConditionExpression"));
    }

    #[rstest]
    #[case("status = :one", "reserved keyword: status")]
    #[case("attribute_not_exists(Name)", "reserved keyword: Name")]
    #[case("one = :absent", "attribute value: :absent")]
    #[case("#absent = :one", "attribute name: #absent")]
    fn what_dynamodb_refuses_is_refused(#[case] text: &str, #[case] message: &str) {
        let error = read(text, &json!({}), &json!({ ":one": { "N": "1" } })).unwrap_err();
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.starts_with("Invalid ConditionExpression: "), "{}", error.message);
        assert!(error.message.contains(message), "{}", error.message);
    }

    #[rstest]
    #[case("#a = :a", None)]
    #[case("a = :a", Some("ExpressionAttributeNames unused in expressions: keys: {#a}"))]
    #[case(
        "attribute_not_exists(#a)",
        Some("ExpressionAttributeValues unused in expressions: keys: {:a}")
    )]
    fn every_placeholder_must_be_used(#[case] text: &str, #[case] message: Option<&str>) {
        let read = read(text, &json!({ "#a": "a" }), &json!({ ":a": { "N": "1" } }));
        let refused = read.err().map(|error| error.message);
        assert_eq!(refused.is_some(), message.is_some());
        assert!(refused.unwrap_or_default().contains(message.unwrap_or_default()));
    }
}
