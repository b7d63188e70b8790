//! The names and values that the expressions of one request refer to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::error::invalid;
use super::value::{AttributeValue, read_item};
use crate::protocol::ApiError;

/// `ExpressionAttributeNames` and `ExpressionAttributeValues`, and which were used.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used: BTreeSet<String>,
}

impl Placeholders {
    pub(crate) fn read(
        names: Option<&BTreeMap<String, String>>,
        values: Option<&Map<String, Value>>,
    ) -> Result<Self, ApiError> {
        let names = names.cloned().unwrap_or_default();
        let values = values.map(read_item).transpose()?.unwrap_or_default();
        check_keys("ExpressionAttributeNames", '#', names.keys())?;
        check_keys("ExpressionAttributeValues", ':', values.keys())?;
        Ok(Self { names, values, used: BTreeSet::new() })
    }

    /// The attribute that `#name` stands for.
    pub(crate) fn name(&mut self, placeholder: &str) -> Option<String> {
        self.used.insert(placeholder.to_owned());
        self.names.get(placeholder).cloned()
    }

    /// What `:value` stands for.
    pub(crate) fn value(&mut self, placeholder: &str) -> Option<AttributeValue> {
        self.used.insert(placeholder.to_owned());
        self.values.get(placeholder).cloned()
    }

    /// When every expression of the request was read: refuses what none of them uses.
    pub(crate) fn finish(&self) -> Result<(), ApiError> {
        check_used("ExpressionAttributeNames", self.names.keys(), &self.used)?;
        check_used("ExpressionAttributeValues", self.values.keys(), &self.used)
    }
}

fn check_keys<'a>(
    member: &str,
    sign: char,
    mut keys: impl Iterator<Item = &'a String>,
) -> Result<(), ApiError> {
    let good = |key: &str| {
        key.strip_prefix(sign).is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    match keys.find(|key| !good(key)) {
        Some(key) => {
            Err(invalid(&format!("{member} contains invalid key: Syntax error; key: \"{key}\"")))
        }
        None => Ok(()),
    }
}

fn check_used<'a>(
    member: &str,
    keys: impl Iterator<Item = &'a String>,
    used: &BTreeSet<String>,
) -> Result<(), ApiError> {
    let unused: Vec<&str> = keys.filter(|key| !used.contains(*key)).map(String::as_str).collect();
    if unused.is_empty() {
        return Ok(());
    }
    Err(invalid(&format!(
        "Value provided in {member} unused in expressions: keys: {{{}}}",
        unused.join(", ")
    )))
}
