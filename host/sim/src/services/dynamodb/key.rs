//! The keys of DynamoDB's items: partition key and sort key, and which sort keys a query is
//! for.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::condition::{Comparator, Condition, Operand};
use super::error::invalid;
use super::number::Number;
use super::value::AttributeValue;
use crate::protocol::ApiError;

/// Most bytes of the two parts of a key.
const HASH_BYTES: usize = 2048;
const RANGE_BYTES: usize = 1024;

/// The value of a key attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyValue {
    S(String),
    N(Number),
    B(Vec<u8>),
}

/// What identifies an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) hash: KeyValue,
    pub(crate) range: Option<KeyValue>,
}

/// Name and type of a key attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAttribute {
    pub(crate) name: String,
    /// `S`, `N` or `B`.
    pub(crate) kind: String,
}

/// From where to where sort keys are looked for.
pub(crate) type Bounds = (Bound<Option<KeyValue>>, Bound<Option<KeyValue>>);

impl Key {
    /// A key of these parts, which must not be too long.
    pub(crate) fn new(hash: KeyValue, range: Option<KeyValue>) -> Result<Self, ApiError> {
        let too_long = |part: &str, most: usize| {
            Err(invalid(&format!(
                "One or more parameter values were invalid: Size of {part} has exceeded the maximum size limit of {most} bytes"
            )))
        };
        if hash.size() > HASH_BYTES {
            return too_long("hashkey", HASH_BYTES);
        }
        if range.as_ref().is_some_and(|range| range.size() > RANGE_BYTES) {
            return too_long("rangekey", RANGE_BYTES);
        }
        Ok(Self { hash, range })
    }

    /// Where its partition is.
    pub(crate) fn partition(&self) -> (u128, KeyValue) {
        (self.hash.digest(), self.hash.clone())
    }
}

impl KeyValue {
    fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.size(),
            Self::B(bytes) => bytes.len(),
        }
    }

    /// Scatters partitions, as DynamoDB does.
    pub(crate) fn digest(&self) -> u128 {
        use md5::{Digest, Md5};
        let digest = match self {
            Self::S(text) => Md5::digest(text),
            Self::N(number) => Md5::digest(number.to_string()),
            Self::B(bytes) => Md5::digest(bytes),
        };
        u128::from_be_bytes(digest.into())
    }
}

/// The value of the key attribute `name`, which must not be empty.
pub(crate) fn key_value(name: &str, value: &AttributeValue) -> Result<KeyValue, ApiError> {
    let empty = |kind: &str| {
        invalid(&format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {name}"
        ))
    };
    match value {
        AttributeValue::S(text) if text.is_empty() => Err(empty("string")),
        AttributeValue::S(text) => Ok(KeyValue::S(text.clone())),
        AttributeValue::N(number) => Ok(KeyValue::N(*number)),
        AttributeValue::B(bytes) if bytes.is_empty() => Err(empty("binary")),
        AttributeValue::B(bytes) => Ok(KeyValue::B(bytes.clone())),
        _ => Err(invalid("The provided key element does not match the schema")),
    }
}

/// A value that a key attribute is compared with.
pub(crate) fn key_operand(
    key: &KeyAttribute,
    value: &AttributeValue,
) -> Result<KeyValue, ApiError> {
    if value.kind() != key.kind {
        return Err(invalid(
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ));
    }
    key_value(&key.name, value)
}

/// The sort keys for which a condition holds: they follow on each other.
pub(crate) fn bounds(key: &KeyAttribute, condition: Condition) -> Result<Bounds, ApiError> {
    let plain = |operand: &Operand| matches!(operand, Operand::Path(path) if path.steps.is_empty());
    let value = |operand: &Operand| match operand {
        Operand::Value(value) => key_operand(key, value).map(Some),
        _ => Err(unsupported()),
    };
    match condition {
        Condition::Compare(comparator, path, operand) if plain(&path) => {
            let value = value(&operand)?;
            Ok(match comparator {
                Comparator::Equal => (Bound::Included(value.clone()), Bound::Included(value)),
                Comparator::Less => (Bound::Unbounded, Bound::Excluded(value)),
                Comparator::LessOrEqual => (Bound::Unbounded, Bound::Included(value)),
                Comparator::Greater => (Bound::Excluded(value), Bound::Unbounded),
                Comparator::GreaterOrEqual => (Bound::Included(value), Bound::Unbounded),
                Comparator::NotEqual => return Err(unsupported()),
            })
        }
        Condition::Between(path, low, high) if plain(&path) => {
            Ok((Bound::Included(value(&low)?), Bound::Included(value(&high)?)))
        }
        Condition::BeginsWith(path, prefix) if plain(&path) => {
            let prefix = value(&prefix)?;
            let end = prefix.as_ref().and_then(after_prefix);
            Ok((
                Bound::Included(prefix),
                end.map_or(Bound::Unbounded, |end| Bound::Excluded(Some(end))),
            ))
        }
        _ => Err(unsupported()),
    }
}

/// The smallest key that is larger than every one with this prefix, if there is one.
fn after_prefix(prefix: &KeyValue) -> Option<KeyValue> {
    match prefix {
        KeyValue::S(text) => {
            let mut text = text.clone();
            loop {
                let last = text.pop()?;
                if let Some(next) = (last..=char::MAX).nth(1) {
                    text.push(next);
                    return Some(KeyValue::S(text));
                }
            }
        }
        KeyValue::B(bytes) => {
            let mut bytes = bytes.clone();
            loop {
                if let Some(next) = bytes.pop()?.checked_add(1) {
                    bytes.push(next);
                    return Some(KeyValue::B(bytes));
                }
            }
        }
        KeyValue::N(_) => None,
    }
}

pub(crate) fn unsupported() -> ApiError {
    invalid("Query key condition not supported")
}
