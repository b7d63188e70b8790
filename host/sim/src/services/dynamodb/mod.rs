//! Amazon DynamoDB: tables with items, conditional writes, queries and transactions.
//!
//! Limits and errors are from the developer guide ("Quotas in Amazon DynamoDB", "Error
//! handling with DynamoDB") and the service model of the API version 2012-08-10; texts of
//! errors are as the service was seen to answer them.
//!
//! Not there: secondary indexes, streams, time to live, PartiQL, backups, consumed capacity,
//! and the conditions of before expressions (`Expected`, `KeyConditions`, …), which are
//! refused.

mod condition;
mod error;
mod expression;
mod key;
mod lexer;
mod number;
mod placeholders;
mod projection;
mod reads;
mod table;
mod tables;
mod value;
mod writes;

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids;
use crate::names::TABLE;
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};
use error::{invalid, not_found};
use key::KeyAttribute;
use table::{Table, TableOptions};

/// The transactions that took effect lately, by their tokens: what they wrote, and until
/// when they are known.
type Transactions = BTreeMap<String, (Vec<Value>, Timestamp)>;

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DynamoDb {
    tables: BTreeMap<String, Table>,
    transactions: Transactions,
    #[serde(with = "crate::kept::rng")]
    rng: Rng,
}

/// What the service offers.
pub(crate) const OPERATIONS: &[(&str, Operation<DynamoDb>)] = &[
    ("BatchGetItem", |dynamo, now, call| dynamo.batch_get(now, call.json()?)),
    ("CreateTable", |dynamo, now, call| dynamo.create_table(now, call.json()?)),
    ("DeleteItem", |dynamo, now, call| dynamo.delete_item(now, &call.json()?)),
    ("DeleteTable", |dynamo, now, call| dynamo.delete_table(now, &call.json()?)),
    ("DescribeTable", |dynamo, now, call| dynamo.describe_table(now, &call.json()?)),
    ("GetItem", |dynamo, now, call| dynamo.get_item(now, &call.json()?)),
    ("ListTables", |dynamo, _, call| dynamo.list_tables(&call.json()?)),
    ("PutItem", |dynamo, now, call| dynamo.put_item(now, &call.json()?)),
    ("Query", |dynamo, now, call| dynamo.query(now, &call.json()?)),
    ("Scan", |dynamo, now, call| dynamo.scan(now, &call.json()?)),
    ("TransactWriteItems", |dynamo, now, call| dynamo.transact_write(now, call.json()?)),
];

impl DynamoDb {
    /// The service with one table.
    pub(crate) fn new(now: Timestamp, rng: Rng) -> Self {
        let text = |name: &str| KeyAttribute { name: name.to_owned(), kind: "S".to_owned() };
        let mut dynamo =
            Self { tables: BTreeMap::new(), transactions: Transactions::default(), rng };
        let options = TableOptions {
            name: TABLE.to_owned(),
            hash: text("pk"),
            range: Some(text("sk")),
            throughput: None,
            deletion_protection: false,
        };
        dynamo.add(now, now, options);
        dynamo
    }

    fn add(&mut self, now: Timestamp, active_from: Timestamp, options: TableOptions) {
        let id = ids::uuid(&mut self.rng);
        let name = options.name.clone();
        self.tables.insert(name, Table::new(now, active_from, id, options));
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        let operation = operations::find(OPERATIONS, call)?;
        self.tables.retain(|_, table| table.gone_from.is_none_or(|gone| now < gone));
        operation(self, now, call)
    }

    /// A table whose items can be read and written, by its name or ARN.
    fn table(&self, now: Timestamp, name: &str) -> Result<&Table, ApiError> {
        check_name(plain_name(name))?;
        self.tables.get(plain_name(name)).filter(|table| table.is_active(now)).ok_or_else(not_found)
    }
}

/// A table's name, where a request may have its ARN.
fn plain_name(name: &str) -> &str {
    name.split_once(":table/").map_or(name, |(_, name)| name)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if !(3..=255).contains(&name.len()) {
        return Err(invalid(
            "TableName must be at least 3 characters long and at most 255 characters long",
        ));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Err(invalid(&format!(
            "1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        )));
    }
    Ok(())
}
