//! The calls that write items: each a list of writes that happen all or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::condition::Condition;
use super::error::invalid;
use super::key::Key;
use super::placeholders::Placeholders;
use super::value::{Item, item_size, read_item, write_item};
use super::{DynamoDb, expression};
use crate::protocol::ApiError;
use crate::time::later;

/// Most writes of a transaction, and most bytes of them.
const TRANSACTION: usize = 100;
const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// A transaction's token is known for so long after it was used.
const IDEMPOTENCY: Duration = Duration::from_secs(10 * 60);

/// What DynamoDB answers when a condition does not hold.
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
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<String>,
}

/// `DeleteItem`, and `Delete` and `ConditionCheck` in a transaction.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteItem {
    table_name: String,
    key: Map<String, Value>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TransactWrite {
    transact_items: Vec<Value>,
    client_request_token: Option<String>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TransactItem {
    put: Option<PutItem>,
    delete: Option<DeleteItem>,
    condition_check: Option<DeleteItem>,
}

/// One write, checked.
struct Write {
    table: String,
    key: Key,
    change: Change,
    condition: Option<Condition>,
    /// Whether the item is to be shown when the condition does not hold.
    shows_item: bool,
}

enum Change {
    Put(Item),
    Delete,
    /// Nothing: only the condition counts.
    None,
}

/// Whether a write may happen; if not, the item that its caller wants to see.
type Verdict = Result<(), Option<Value>>;

impl DynamoDb {
    pub(super) fn put_item(
        &mut self,
        now: Timestamp,
        request: &PutItem,
    ) -> Result<Value, ApiError> {
        let shows_old = returns_old(request.return_values.as_deref())?;
        let write = self.put(now, request)?;
        self.write_one(write, shows_old)
    }

    pub(super) fn delete_item(
        &mut self,
        now: Timestamp,
        request: &DeleteItem,
    ) -> Result<Value, ApiError> {
        let shows_old = returns_old(request.return_values.as_deref())?;
        let write = self.by_key(now, request, Change::Delete)?;
        self.write_one(write, shows_old)
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
        let writes = request
            .transact_items
            .iter()
            .map(|item| self.transact_item(now, item))
            .collect::<Result<Vec<Write>, _>>()?;
        let places: BTreeSet<(&str, &Key)> =
            writes.iter().map(|write| (write.table.as_str(), &write.key)).collect();
        if places.len() < writes.len() {
            return Err(invalid(
                "Transaction request cannot include multiple operations on one item",
            ));
        }
        let bytes: usize = writes
            .iter()
            .map(|write| match &write.change {
                Change::Put(item) => item_size(item),
                Change::Delete | Change::None => 0,
            })
            .sum();
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
        let verdicts: Vec<Verdict> = writes.iter().map(|write| self.judge(write)).collect();
        if verdicts.iter().any(Result::is_err) {
            return Err(cancelled(&verdicts));
        }
        for write in writes {
            self.apply(write);
        }
        if let Some(token) = request.client_request_token {
            self.transactions.insert(token, (request.transact_items, later(now, IDEMPOTENCY)));
        }
        Ok(json!({}))
    }

    fn transact_item(&self, now: Timestamp, item: &Value) -> Result<Write, ApiError> {
        let item = TransactItem::deserialize(item)
            .map_err(|error| ApiError::new("SerializationException", error.to_string()))?;
        match (&item.put, &item.delete, &item.condition_check) {
            (Some(put), None, None) => self.put(now, put),
            (None, Some(delete), None) => self.by_key(now, delete, Change::Delete),
            (None, None, Some(check)) if check.condition_expression.is_some() => {
                self.by_key(now, check, Change::None)
            }
            (None, None, Some(_)) => Err(invalid(
                "1 validation error detected: Value null at 'transactItems.member.conditionCheck.conditionExpression' failed to satisfy constraint: Member must not be null",
            )),
            _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
        }
    }

    fn put(&self, now: Timestamp, request: &PutItem) -> Result<Write, ApiError> {
        let condition = read_condition(
            request.condition_expression.as_deref(),
            request.expression_attribute_names.as_ref(),
            request.expression_attribute_values.as_ref(),
        )?;
        let table = self.table(now, &request.table_name)?;
        let item = read_item(&request.item)?;
        Ok(Write {
            table: table.options.name.clone(),
            key: table.key_of(&item)?,
            change: Change::Put(item),
            condition,
            shows_item: returns_old(request.return_values_on_condition_check_failure.as_deref())?,
        })
    }

    fn by_key(
        &self,
        now: Timestamp,
        request: &DeleteItem,
        change: Change,
    ) -> Result<Write, ApiError> {
        let condition = read_condition(
            request.condition_expression.as_deref(),
            request.expression_attribute_names.as_ref(),
            request.expression_attribute_values.as_ref(),
        )?;
        let table = self.table(now, &request.table_name)?;
        Ok(Write {
            table: table.options.name.clone(),
            key: table.read_key(&read_item(&request.key)?)?,
            change,
            condition,
            shows_item: returns_old(request.return_values_on_condition_check_failure.as_deref())?,
        })
    }

    fn write_one(&mut self, write: Write, shows_old: bool) -> Result<Value, ApiError> {
        if let Err(item) = self.judge(&write) {
            let error = ApiError::new("ConditionalCheckFailedException", CONDITION_FAILED);
            return Err(match item {
                Some(item) => error.with("Item", item),
                None => error,
            });
        }
        Ok(match self.apply(write) {
            Some(old) if shows_old => json!({ "Attributes": write_item(&old) }),
            _ => json!({}),
        })
    }

    fn judge(&self, write: &Write) -> Verdict {
        let Some(condition) = &write.condition else { return Ok(()) };
        let item = self.tables.get(&write.table).and_then(|table| table.get(&write.key));
        if condition.holds(item.unwrap_or(&Item::new())) {
            return Ok(());
        }
        Err(item.filter(|_| write.shows_item).map(write_item))
    }

    /// Does a write, and answers what was in its place.
    fn apply(&mut self, write: Write) -> Option<Item> {
        let table = self.tables.get_mut(&write.table)?;
        match write.change {
            Change::Put(item) => table.put(write.key, item),
            Change::Delete => table.remove(&write.key),
            Change::None => None,
        }
    }
}

/// Whether the item from before is to be answered.
fn returns_old(value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None | Some("NONE") => Ok(false),
        Some("ALL_OLD") => Ok(true),
        Some(_) => Err(invalid("Return values set to invalid value")),
    }
}

fn read_condition(
    text: Option<&str>,
    names: Option<&BTreeMap<String, String>>,
    values: Option<&Map<String, Value>>,
) -> Result<Option<Condition>, ApiError> {
    let mut placeholders = Placeholders::read(names, values)?;
    let condition = text
        .map(|text| expression::condition("ConditionExpression", text, &mut placeholders))
        .transpose()?;
    placeholders.finish()?;
    Ok(condition)
}

fn cancelled(verdicts: &[Verdict]) -> ApiError {
    let codes: Vec<&str> = verdicts
        .iter()
        .map(|verdict| if verdict.is_ok() { "None" } else { "ConditionalCheckFailed" })
        .collect();
    let reasons: Vec<Value> = verdicts
        .iter()
        .zip(&codes)
        .map(|(verdict, code)| match verdict {
            Ok(()) => json!({ "Code": code }),
            Err(None) => json!({ "Code": code, "Message": CONDITION_FAILED }),
            Err(Some(item)) => {
                json!({ "Code": code, "Message": CONDITION_FAILED, "Item": item })
            }
        })
        .collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    ApiError::new("TransactionCanceledException", message)
        .with("CancellationReasons", reasons.into())
}
