//! DynamoDB's attribute values and items.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_types::base64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::error::invalid;
use super::number::Number;
use crate::protocol::ApiError;

/// Values nest at most so deep.
const NESTING: usize = 32;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttributeValue {
    S(String),
    N(Number),
    B(Vec<u8>),
    Bool(bool),
    Null,
    StringSet(BTreeSet<String>),
    NumberSet(BTreeSet<Number>),
    BinarySet(BTreeSet<Vec<u8>>),
    List(Vec<AttributeValue>),
    Map(Item),
}

/// Attributes by name.
pub(crate) type Item = BTreeMap<String, AttributeValue>;

impl AttributeValue {
    /// Reads a value as requests carry it, for example `{"S": "text"}`, so deep in others.
    pub(crate) fn read(value: &Value, depth: usize) -> Result<Self, ApiError> {
        if depth >= NESTING {
            return Err(invalid(
                "Nesting Levels have exceeded supported limits: Attributes are nested too deeply",
            ));
        }
        let object = value
            .as_object()
            .ok_or_else(|| serialization("Expected a structure for an AttributeValue"))?;
        let mut members = object.iter().filter(|(_, value)| !value.is_null());
        let Some((kind, content)) = members.next() else {
            return Err(invalid(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ));
        };
        if members.next().is_some() {
            return Err(invalid(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
            ));
        }
        Ok(match kind.as_str() {
            "S" => Self::S(text(content)?.to_owned()),
            "N" => Self::N(read_number(text(content)?)?),
            "B" => Self::B(read_bytes(text(content)?)?),
            "BOOL" => Self::Bool(
                content.as_bool().ok_or_else(|| serialization("Expected a boolean for BOOL"))?,
            ),
            "NULL" if content.as_bool() == Some(true) => Self::Null,
            "NULL" => {
                return Err(invalid(
                    "One or more parameter values were invalid: Null attribute value types must have the value of true",
                ));
            }
            "SS" => Self::StringSet(set(content, |element| Ok(element.to_owned()))?),
            "NS" => Self::NumberSet(set(content, read_number)?),
            "BS" => Self::BinarySet(set(content, read_bytes)?),
            "L" => Self::List(
                list(content)?
                    .iter()
                    .map(|element| Self::read(element, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            "M" => Self::Map(read_members(
                content.as_object().ok_or_else(|| serialization("Expected a map for M"))?,
                depth + 1,
            )?),
            _ => {
                return Err(invalid(
                    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                ));
            }
        })
    }

    /// The value as answers carry it.
    pub(crate) fn write(&self) -> Value {
        let encoded = |bytes: &Vec<u8>| base64::encode(bytes);
        match self {
            Self::S(text) => json!({ "S": text }),
            Self::N(number) => json!({ "N": number.to_string() }),
            Self::B(bytes) => json!({ "B": encoded(bytes) }),
            Self::Bool(value) => json!({ "BOOL": value }),
            Self::Null => json!({ "NULL": true }),
            Self::StringSet(elements) => json!({ "SS": elements }),
            Self::NumberSet(elements) => {
                json!({ "NS": elements.iter().map(Number::to_string).collect::<Vec<_>>() })
            }
            Self::BinarySet(elements) => {
                json!({ "BS": elements.iter().map(encoded).collect::<Vec<_>>() })
            }
            Self::List(elements) => {
                json!({ "L": elements.iter().map(Self::write).collect::<Vec<_>>() })
            }
            Self::Map(members) => json!({ "M": write_item(members) }),
        }
    }

    /// The name of its type, as requests write it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::StringSet(_) => "SS",
            Self::NumberSet(_) => "NS",
            Self::BinarySet(_) => "BS",
            Self::List(_) => "L",
            Self::Map(_) => "M",
        }
    }

    /// The bytes that it counts for, by the rules under "DynamoDB item sizes and formats" of
    /// the developer guide.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.size(),
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::StringSet(elements) => elements.iter().map(String::len).sum(),
            Self::NumberSet(elements) => elements.iter().map(|number| number.size()).sum(),
            Self::BinarySet(elements) => elements.iter().map(Vec::len).sum(),
            Self::List(elements) => {
                3 + elements.iter().map(|element| element.size() + 1).sum::<usize>()
            }
            Self::Map(members) => 3 + members.len() + item_size(members),
        }
    }
}

/// As answers carry it.
impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write().serialize(serializer)
    }
}

/// As requests carry it.
impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value, 0).map_err(|error| de::Error::custom(error.message))
    }
}

/// Reads an item as requests carry it.
pub(crate) fn read_item(members: &Map<String, Value>) -> Result<Item, ApiError> {
    read_members(members, 0)
}

fn read_members(members: &Map<String, Value>, depth: usize) -> Result<Item, ApiError> {
    members
        .iter()
        .map(|(name, value)| Ok((name.clone(), AttributeValue::read(value, depth)?)))
        .collect()
}

/// The item as answers carry it.
pub(crate) fn write_item(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), value.write())).collect::<Map<_, _>>().into()
}

/// The bytes that an item counts for: names and values.
pub(crate) fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

fn read_number(text: &str) -> Result<Number, ApiError> {
    text.parse().map_err(|error: super::number::NumberError| match error {
        super::number::NumberError::NotANumber => invalid(&format!("{error}: {text}")),
        _ => invalid(&error.to_string()),
    })
}

fn read_bytes(text: &str) -> Result<Vec<u8>, ApiError> {
    base64::decode(text).map_err(|_| serialization("A blob must be base64"))
}

fn text(value: &Value) -> Result<&str, ApiError> {
    value.as_str().ok_or_else(|| serialization("Expected a string in an AttributeValue"))
}

fn list(value: &Value) -> Result<&[Value], ApiError> {
    value
        .as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| serialization("Expected a list in an AttributeValue"))
}

fn set<T: Ord>(
    value: &Value,
    read: impl Fn(&str) -> Result<T, ApiError>,
) -> Result<BTreeSet<T>, ApiError> {
    let elements = list(value)?;
    if elements.is_empty() {
        return Err(invalid(
            "One or more parameter values were invalid: An AttributeValue may not contain an empty set",
        ));
    }
    let set =
        elements.iter().map(|element| read(text(element)?)).collect::<Result<BTreeSet<T>, _>>()?;
    if set.len() < elements.len() {
        return Err(invalid(
            "One or more parameter values were invalid: Input collection contains duplicates.",
        ));
    }
    Ok(set)
}

fn serialization(message: &str) -> ApiError {
    ApiError::new("SerializationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(json!({ "S": "" }))]
    #[case(json!({ "N": "1.5" }))]
    #[case(json!({ "B": "AAE=" }))]
    #[case(json!({ "BOOL": false }))]
    #[case(json!({ "NULL": true }))]
    #[case(json!({ "SS": ["a", "b"] }))]
    #[case(json!({ "NS": ["1", "2"] }))]
    #[case(json!({ "BS": ["AA==", "AQ=="] }))]
    #[case(json!({ "L": [{ "S": "a" }, { "L": [] }] }))]
    #[case(json!({ "M": { "a": { "N": "1" }, "b": { "M": {} } } }))]
    fn values_are_answered_as_they_were_given(#[case] value: Value) {
        assert_eq!(AttributeValue::read(&value, 0).unwrap().write(), value);
    }

    #[rstest]
    #[case(json!({}), "ValidationException")]
    #[case(json!({ "S": "a", "N": "1" }), "ValidationException")]
    #[case(json!({ "X": "a" }), "ValidationException")]
    #[case(json!({ "N": "one" }), "ValidationException")]
    #[case(json!({ "NULL": false }), "ValidationException")]
    #[case(json!({ "SS": [] }), "ValidationException")]
    #[case(json!({ "NS": ["1", "1.0"] }), "ValidationException")]
    #[case(json!({ "S": 1 }), "SerializationException")]
    #[case(json!({ "B": "?" }), "SerializationException")]
    #[case(json!("a"), "SerializationException")]
    fn other_values_are_refused(#[case] value: Value, #[case] code: &str) {
        assert_eq!(AttributeValue::read(&value, 0).unwrap_err().code, code);
    }

    #[test]
    fn values_nest_only_so_deep() {
        let nested =
            |depth| (1..depth).fold(json!({ "S": "a" }), |value, _| json!({ "L": [value] }));
        assert!(AttributeValue::read(&nested(32), 0).is_ok());
        assert!(AttributeValue::read(&nested(33), 0).is_err());
    }

    #[test]
    fn sizes_are_those_of_names_and_values() {
        let item = json!({
            "pk": { "S": "ä" }, "n": { "N": "-123" }, "t": { "BOOL": true },
            "l": { "L": [{ "S": "ab" }] }, "m": { "M": { "k": { "NULL": true } } },
        });
        let item = read_item(item.as_object().unwrap()).unwrap();
        assert_eq!(item_size(&item), (2 + 2) + (1 + 3) + (1 + 1) + (1 + 3 + 3) + (1 + 3 + 3));
    }
}
