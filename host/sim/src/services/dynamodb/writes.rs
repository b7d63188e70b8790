//! The operations that write items. Each is a list of writes that happen together or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::invalid;
use super::expression::{Condition, Placeholders};
use super::table::{Key, key_of};
use super::value::{Item, item_size, read_item};
use super::{DynamoDb, check_table};
use crate::protocol::ApiError;
use crate::time::saturating_later;

/// Most writes of a transaction, and most bytes of its writes.
const TRANSACTION: usize = 100;
const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// How long a transaction's token is valid after its use.
const IDEMPOTENCY: Duration = Duration::from_secs(10 * 60);

/// DynamoDB's message when a condition does not hold.
const CONDITION_FAILED: &str = "The conditional request failed";

/// `PutItem`, and `Put` in a transaction.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutItem {
    table_name: String,
    item: Map<String, Value>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
}

/// `Delete` in a transaction.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Delete {
    table_name: String,
    key: Map<String, Value>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TransactWrite {
    transact_items: Vec<Value>,
    client_request_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TransactItem {
    put: Option<PutItem>,
    delete: Option<Delete>,
}

/// One write, checked.
struct Write {
    key: Key,
    /// The new item. `None`: the item is deleted.
    item: Option<Item>,
    condition: Option<Condition>,
}

impl PutItem {
    fn write(&self) -> Result<Write, ApiError> {
        let condition = read_condition(
            self.condition_expression.as_deref(),
            self.expression_attribute_names.as_ref(),
            self.expression_attribute_values.as_ref(),
        )?;
        check_table(&self.table_name)?;
        let item = read_item(&self.item)?;
        Ok(Write { key: key_of(&item)?, item: Some(item), condition })
    }
}

impl Delete {
    fn write(&self) -> Result<Write, ApiError> {
        let condition = read_condition(
            self.condition_expression.as_deref(),
            self.expression_attribute_names.as_ref(),
            self.expression_attribute_values.as_ref(),
        )?;
        check_table(&self.table_name)?;
        let key = Key::read(&read_item(&self.key)?)?;
        Ok(Write { key, item: None, condition })
    }
}

impl DynamoDb {
    pub(super) fn put_item(&mut self, request: &PutItem) -> Result<Value, ApiError> {
        let write = request.write()?;
        if !self.condition_holds(&write) {
            return Err(ApiError::new("ConditionalCheckFailedException", CONDITION_FAILED));
        }
        self.apply(write);
        Ok(json!({}))
    }

    pub(super) fn transact_write(
        &mut self,
        now: Timestamp,
        request: TransactWrite,
    ) -> Result<Value, ApiError> {
        if !(1..=TRANSACTION).contains(&request.transact_items.len()) {
            return Err(invalid(&format!(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length between 1 and {TRANSACTION}"
            )));
        }
        let writes =
            request.transact_items.iter().map(transact_item).collect::<Result<Vec<Write>, _>>()?;
        let keys: BTreeSet<&Key> = writes.iter().map(|write| &write.key).collect();
        if keys.len() < writes.len() {
            return Err(invalid(
                "Transaction request cannot include multiple operations on one item",
            ));
        }
        let bytes: usize =
            writes.iter().filter_map(|write| write.item.as_ref()).map(item_size).sum();
        if bytes > TRANSACTION_BYTES {
            return Err(invalid("Collection size of transaction items exceeded the limit of 4 MB"));
        }
        self.transactions.retain(|_, (_, until)| now < *until);
        if let Some(token) = &request.client_request_token {
            if !(1..=36).contains(&token.len()) {
                return Err(invalid(
                    "1 validation error detected: Value at 'clientRequestToken' failed to satisfy constraint: Member must have length between 1 and 36",
                ));
            }
            match self.transactions.get(token) {
                Some((items, _)) if *items == request.transact_items => return Ok(json!({})),
                Some(_) => {
                    return Err(ApiError::new(
                        "IdempotentParameterMismatchException",
                        "Request parameters do not match the parameters of the first request with this token",
                    ));
                }
                None => {}
            }
        }
        let holding: Vec<bool> = writes.iter().map(|write| self.condition_holds(write)).collect();
        if holding.contains(&false) {
            return Err(cancelled(&holding));
        }
        for write in writes {
            self.apply(write);
        }
        if let Some(token) = request.client_request_token {
            self.transactions
                .insert(token, (request.transact_items, saturating_later(now, IDEMPOTENCY)));
        }
        Ok(json!({}))
    }

    /// Whether the condition of a write holds.
    fn condition_holds(&self, write: &Write) -> bool {
        let Some(condition) = &write.condition else { return true };
        condition.holds(self.table.get(&write.key).unwrap_or(&Item::new()))
    }

    fn apply(&mut self, write: Write) {
        match write.item {
            Some(item) => self.table.put(write.key, item),
            None => self.table.remove(&write.key),
        }
    }
}

fn transact_item(item: &Value) -> Result<Write, ApiError> {
    let item = TransactItem::deserialize(item).map_err(|error| {
        let text = format!("the simulated AWS does not serve this request: {error}");
        ApiError::new("SerializationException", text)
    })?;
    match (&item.put, &item.delete) {
        (Some(put), None) => put.write(),
        (None, Some(delete)) => delete.write(),
        _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
    }
}

fn read_condition(
    text: Option<&str>,
    names: Option<&BTreeMap<String, String>>,
    values: Option<&Map<String, Value>>,
) -> Result<Option<Condition>, ApiError> {
    Placeholders { names, values }.condition("ConditionExpression", text)
}

/// The error when some of these conditions do not hold.
fn cancelled(holding: &[bool]) -> ApiError {
    let code = |may: &bool| if *may { "None" } else { "ConditionalCheckFailed" };
    let codes: Vec<&str> = holding.iter().map(code).collect();
    let reason = |may: &bool| match may {
        true => json!({ "Code": code(may) }),
        false => json!({ "Code": code(may), "Message": CONDITION_FAILED }),
    };
    let reasons: Vec<Value> = holding.iter().map(reason).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    ApiError::new("TransactionCanceledException", message)
        .with("CancellationReasons", reasons.into())
}
