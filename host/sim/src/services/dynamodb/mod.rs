//! Amazon DynamoDB, as far as a ledger needs it: one table, with the string keys `pk` and `sk`, whose
//! items are read, queried and written in transactions under conditions.
//!
//! Limits and errors are from the developer guide ("Quotas in Amazon DynamoDB", "Error
//! handling with DynamoDB") and the service model of the API version 2012-08-10; texts of
//! errors are as the service was seen to answer them.
//!
//! What else DynamoDB offers is refused, by its name: other operations and members of requests, other
//! types of values than texts and whole numbers, and other expressions than those of [`expression`].

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

/// The transactions that took effect lately, by their tokens: what they wrote, and until
/// when they are known.
type Transactions = BTreeMap<String, (Vec<Value>, Timestamp)>;

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DynamoDb {
    table: Table,
    transactions: Transactions,
}

/// What the service offers.
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

/// That a request is about the table that is there.
fn check_table(name: &str) -> Result<(), ApiError> {
    match name {
        TABLE => Ok(()),
        _ => Err(ApiError::new("ResourceNotFoundException", "Requested resource not found")),
    }
}

/// The members of a request. What DynamoDB knows besides is told as unknown here.
fn read<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, ApiError> {
    call.json().map_err(|error| {
        let text = format!("the simulated AWS does not serve this request: {}", error.message);
        ApiError::new(error.code, text)
    })
}
