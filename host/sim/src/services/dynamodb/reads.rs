//! The operations that read items.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::invalid;
use super::expression::{Condition, Placeholders};
use super::table::{Key, PARTITION};
use super::value::{AttributeValue, read_item, write_item};
use super::{DynamoDb, check_table};
use crate::protocol::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetItem {
    table_name: String,
    key: Map<String, Value>,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Query {
    table_name: String,
    key_condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
    exclusive_start_key: Option<Map<String, Value>>,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
}

impl DynamoDb {
    pub(super) fn get_item(&self, request: &GetItem) -> Result<Value, ApiError> {
        check_table(&request.table_name)?;
        let key = Key::read(&read_item(&request.key)?)?;
        Ok(match self.table.get(&key) {
            Some(item) => json!({ "Item": write_item(item) }),
            None => json!({}),
        })
    }

    pub(super) fn query(&self, request: &Query) -> Result<Value, ApiError> {
        let partition = request.partition()?;
        let start = request.exclusive_start_key.as_ref().map(read_item).transpose()?;
        check_table(&request.table_name)?;
        let start = start.map(|start| start_key(&partition, &Key::read(&start)?)).transpose()?;
        let page = self.table.page(&partition, start);
        let items: Vec<Value> = page.items.iter().map(|item| write_item(item)).collect();
        let mut answer =
            json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items });
        if let Some(last) = page.last {
            answer["LastEvaluatedKey"] = write_item(&last.item());
        }
        Ok(answer)
    }
}

impl Query {
    /// The partition in the key condition.
    fn partition(&self) -> Result<String, ApiError> {
        let placeholders = Placeholders {
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
        };
        let text = self.key_condition_expression.as_deref();
        match placeholders.condition("KeyConditionExpression", text)? {
            Some(Condition::Equal(name, AttributeValue::S(partition))) if name == PARTITION => {
                Ok(partition)
            }
            Some(Condition::Equal(name, _)) if name == PARTITION => Err(invalid(
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            )),
            Some(Condition::Equal(..)) => {
                Err(invalid(&format!("Query condition missed key schema element: {PARTITION}")))
            }
            Some(Condition::NotExists(_)) => Err(invalid("Query key condition not supported")),
            None => Err(invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
            )),
        }
    }
}

/// The sort key before a page.
fn start_key(partition: &str, start: &Key) -> Result<String, ApiError> {
    match start.partition == partition {
        true => Ok(start.sort.clone()),
        false => Err(invalid(
            "The provided starting key is outside query boundaries based on provided conditions",
        )),
    }
}
