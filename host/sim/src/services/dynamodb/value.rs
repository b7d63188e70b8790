//! DynamoDB's attribute values and items.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::error::{invalid, unsupported};
use crate::protocol::ApiError;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttributeValue {
    S(String),
    N(u64),
}

/// Attributes by name.
pub(super) type Item = BTreeMap<String, AttributeValue>;

impl AttributeValue {
    /// Reads a value in the form of requests, for example `{"S": "text"}`.
    fn read(value: &Value) -> Result<Self, ApiError> {
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
        if !matches!(kind.as_str(), "S" | "N") {
            return Err(unsupported(&format!("attribute values of the type {kind}")));
        }
        let text = content.as_str().ok_or_else(|| serialization("Expected a string"))?;
        Ok(match kind.as_str() {
            "S" => Self::S(text.to_owned()),
            _ => Self::N(text.parse().map_err(|_| {
                unsupported(&format!("numbers but whole ones of up to 64 bits: {text}"))
            })?),
        })
    }

    /// The value in the form of responses.
    fn write(&self) -> Value {
        match self {
            Self::S(text) => json!({ "S": text }),
            Self::N(number) => json!({ "N": number.to_string() }),
        }
    }

    /// The name of its type, as requests write it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
        }
    }

    /// The size in bytes, by the rules under "DynamoDB item sizes and formats" of the developer
    /// guide. A number has one byte, and one for every two digits.
    fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => {
                let digits = significant(*number).checked_ilog10().map_or(0, |log| log + 1);
                digits.div_ceil(2) as usize + 1
            }
        }
    }
}

/// The number without its trailing zeros, which do not count as digits.
fn significant(mut number: u64) -> u64 {
    while number != 0 && number.is_multiple_of(10) {
        number /= 10;
    }
    number
}

/// In the form of responses.
impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write().serialize(serializer)
    }
}

/// In the form of requests.
impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).map_err(|error| de::Error::custom(error.message))
    }
}

/// Reads an item in the form of requests.
pub(super) fn read_item(members: &Map<String, Value>) -> Result<Item, ApiError> {
    members.iter().map(|(name, value)| Ok((name.clone(), AttributeValue::read(value)?))).collect()
}

/// The item in the form of responses.
pub(super) fn write_item(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), value.write())).collect::<Map<_, _>>().into()
}

/// The size of an item in bytes: its names and values.
pub(super) fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

fn serialization(message: &str) -> ApiError {
    ApiError::new("SerializationException", message)
}
