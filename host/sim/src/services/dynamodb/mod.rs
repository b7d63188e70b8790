//! Amazon DynamoDB, as far as a ledger needs it: one table with the string keys `pk` and `sk`. Its
//! items are read, queried, and written in transactions under conditions.
//!
//! Limits and errors are from the developer guide ("Quotas in Amazon DynamoDB", "Error handling
//! with DynamoDB") and the service model of the API version 2012-08-10. The texts of errors are
//! those observed at the service.
//!
//! Everything else of DynamoDB is rejected by name: other operations and members of requests, other
//! types of values than strings and integers, and other expressions than those of [`expression`].

mod error;
mod expression;
mod reads;
mod table;
mod value;
mod writes;

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids;
use crate::names::TABLE;
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};
use table::Table;

/// The recent transactions by their tokens: the writes of each, and how long its token is valid.
type Transactions = BTreeMap<String, (Vec<Value>, Timestamp)>;

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DynamoDb {
    table: Table,
    transactions: Transactions,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<DynamoDb>)] = &[
    ("DescribeTable", |dynamo, _, call| dynamo.describe_table(&read(call)?)),
    ("GetItem", |dynamo, _, call| dynamo.get_item(&read(call)?)),
    ("PutItem", |dynamo, _, call| dynamo.put_item(&read(call)?)),
    ("Query", |dynamo, _, call| dynamo.query(&read(call)?)),
    ("TransactWriteItems", |dynamo, now, call| dynamo.transact_write(now, read(call)?)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeTable {
    table_name: String,
}

impl DynamoDb {
    /// The service with its table.
    pub(crate) fn new(now: Timestamp, mut rng: Rng) -> Self {
        Self { table: Table::new(now, ids::uuid(&mut rng)), transactions: Transactions::default() }
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }

    fn describe_table(&self, request: &DescribeTable) -> Result<Value, ApiError> {
        check_table(&request.table_name)?;
        Ok(json!({ "Table": self.table.description() }))
    }
}

/// Checks that a request names the existing table.
fn check_table(name: &str) -> Result<(), ApiError> {
    match name {
        TABLE => Ok(()),
        _ => Err(ApiError::new("ResourceNotFoundException", "Requested resource not found")),
    }
}

/// The members of a request. Other members of DynamoDB are rejected as unknown.
fn read<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, ApiError> {
    call.json().map_err(|error| {
        let text = format!("the simulated AWS does not serve this request: {}", error.message);
        ApiError::new(error.code, text)
    })
}
