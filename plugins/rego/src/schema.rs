//! The schema of a script's data: a subset of JSON Schema.

use std::collections::BTreeMap;

use groundcrew_sdk::Problem;
use regex::Regex;
use regorus::Value as Rego;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::analysis::Shape;
use crate::builtins;
use crate::message::shorten;

/// How similar two keys must be for one to be suggested for the other.
const MIN_SIMILARITY: f64 = 0.7;

/// The condition for a value. An unknown keyword is refused, so that it is never taken for checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Schema {
    /// The expected value in words; without it, they are made from the other keywords.
    description: String,
    r#type: Option<Type>,
    r#enum: Option<Vec<Value>>,
    #[serde(deserialize_with = "pattern")]
    pattern: Option<Regex>,
    format: Option<Format>,
    minimum: Option<f64>,
    min_items: usize,
    items: Option<Box<Schema>>,
    required: Vec<String>,
    properties: BTreeMap<String, Schema>,
    additional_properties: Additional,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

/// The format of a text: exactly the texts that Rego's functions accept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// For `time.parse_rfc3339_ns`.
    DateTime,
    /// For `regex.match`.
    Regex,
    /// A name of the IANA time zone database, for `time.clock` and similar.
    TimeZone,
}

/// Keys that are not in `properties`.
#[derive(Debug, Default)]
enum Additional {
    #[default]
    Any,
    None,
    Each(Box<Schema>),
}

impl<'de> Deserialize<'de> for Additional {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Self::Any),
            Value::Bool(false) => Ok(Self::None),
            schema => serde_json::from_value(schema).map(Self::Each).map_err(D::Error::custom),
        }
    }
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    let pattern = String::deserialize(deserializer)?;
    Regex::new(&pattern).map(Some).map_err(D::Error::custom)
}

impl Schema {
    /// All problems of a value at a JSON pointer.
    pub(crate) fn check(&self, value: &Value, at: &str) -> Vec<Problem> {
        if !self.fits(value) {
            let message = format!("expected {}, found {}", self.expected(), describe_found(value));
            return vec![Problem::new(at, message)];
        }
        match value {
            Value::Array(elements) => {
                let Some(schema) = &self.items else { return vec![] };
                let elements = elements.iter().enumerate();
                elements
                    .flat_map(|(i, element)| schema.check(element, &child_pointer(at, i)))
                    .collect()
            }
            Value::Object(fields) => {
                let missing = self.required.iter().filter(|key| !fields.contains_key(*key));
                let missing = missing.map(|key| Problem::new(at, format!("`{key}` is missing")));
                let known = fields.iter().flat_map(|(key, field)| {
                    let at = child_pointer(at, key);
                    match (self.properties.get(key), &self.additional_properties) {
                        (Some(schema), _) => schema.check(field, &at),
                        (None, Additional::Each(schema)) => schema.check(field, &at),
                        (None, Additional::None) => vec![Problem::new(at, self.unknown(key))],
                        (None, Additional::Any) => vec![],
                    }
                });
                missing.chain(known).collect()
            }
            _ => vec![],
        }
    }

    /// Whether the value has the type, regardless of its content.
    fn fits(&self, value: &Value) -> bool {
        let text = value.as_str();
        self.r#type.is_none_or(|expected| expected.is(value))
            && self.r#enum.as_ref().is_none_or(|allowed| allowed.contains(value))
            && text.is_none_or(|text| {
                self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
                    && self.format.is_none_or(|format| format.is(text))
            })
            && value.as_f64().is_none_or(|number| self.minimum.is_none_or(|least| number >= least))
            && value.as_array().is_none_or(|elements| elements.len() >= self.min_items)
    }

    fn expected(&self) -> String {
        if !self.description.is_empty() {
            return self.description.clone();
        }
        if let Some(allowed) = &self.r#enum {
            let allowed: Vec<_> = allowed.iter().map(Value::to_string).collect();
            return match allowed.is_empty() {
                true => "nothing, since there is nothing to choose from".to_owned(),
                false => format!("one of {}", allowed.join(", ")),
            };
        }
        if let Some(format) = self.format {
            return format.expected().to_owned();
        }
        let mut expected = match self.r#type {
            None => "another value",
            Some(Type::Array) => "an array",
            Some(Type::Boolean) => "true or false",
            Some(Type::Integer) => "a whole number",
            Some(Type::Number) => "a number",
            Some(Type::Object) => "a table",
            Some(Type::String) => "a string",
        }
        .to_owned();
        if let Some(kind) = self.items.as_ref().and_then(|items| items.r#type) {
            expected = format!("{expected} of {}", kind.plural());
        }
        if self.min_items > 0 {
            expected = format!("{expected}, at least {}", self.min_items);
        }
        if let Some(least) = self.minimum {
            expected = format!("{expected} of at least {least}");
        }
        if let Some(pattern) = &self.pattern {
            expected = format!("{expected} that matches `{pattern}`");
        }
        expected
    }

    /// The message about an unexpected key.
    fn unknown(&self, key: &str) -> String {
        format!("unknown key `{key}`{}", nearest(key, self.properties.keys().map(String::as_str)))
    }

    /// The shape of such a value.
    pub(crate) fn shape(&self) -> Shape {
        match (self.r#type, &self.items) {
            (Some(Type::Boolean | Type::Integer | Type::Number | Type::String), _) => Shape::Leaf,
            (Some(Type::Array), None) => Shape::List(Box::new(Shape::Any)),
            (Some(Type::Array), Some(items)) => Shape::List(Box::new(items.shape())),
            // Without a type and properties, it may be anything.
            (None, _) if self.properties.is_empty() => Shape::Any,
            (None | Some(Type::Object), _) => self.object(),
        }
    }

    /// The shape of the whole data, which are always an object.
    pub(crate) fn object(&self) -> Shape {
        let fields = self.properties.iter().map(|(key, schema)| (key.clone(), schema.shape()));
        let rest = match &self.additional_properties {
            Additional::Any => Some(Shape::Any),
            Additional::None => None,
            Additional::Each(schema) => Some(schema.shape()),
        };
        Shape::Object(fields.collect(), rest.map(Box::new))
    }
}

/// The end of a message about an unknown name: the most similar known name, or all of them.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(alike, _)| *alike >= MIN_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, near)) => format!(", did you mean `{near}`?"),
        None => format!(": expected one of {}", known.collect::<Vec<_>>().join(", ")),
    }
}

impl Type {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Array => value.is_array(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Self::Number => value.is_number(),
            Self::Object => value.is_object(),
            Self::String => value.is_string(),
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Array => "arrays",
            Self::Boolean => "booleans",
            Self::Integer => "whole numbers",
            Self::Number => "numbers",
            Self::Object => "tables",
            Self::String => "strings",
        }
    }
}

impl Format {
    fn is(self, text: &str) -> bool {
        let text = Rego::from(text);
        match self {
            Self::DateTime => builtins::call("time.parse_rfc3339_ns", &[text]).is_ok(),
            Self::Regex => builtins::call("regex.match", &[text, "".into()]).is_ok(),
            // Rego accepts these two as zones: that of the machine, and UTC.
            Self::TimeZone if text == "Local".into() || text == "".into() => false,
            Self::TimeZone => {
                let moment = Rego::from(vec![0.into(), text]);
                builtins::call("time.weekday", &[moment]).is_ok()
            }
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::DateTime => "a time such as \"2026-12-20T00:00:00Z\"",
            Self::Regex => "a regular expression",
            Self::TimeZone => "a time zone such as \"Europe/Berlin\"",
        }
    }
}

fn describe_found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {}", shorten(&format!("{text:?}"))),
        Value::Array(elements) if elements.is_empty() => "an empty array".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// The JSON pointer of a part of a value.
fn child_pointer(at: &str, key: impl ToString) -> String {
    format!("{at}/{}", key.to_string().replace('~', "~0").replace('/', "~1"))
}
