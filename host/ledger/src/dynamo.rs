//! A store in a DynamoDB table, for any number of hosts.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};

use crate::dynamo_error::DynamoTable;
use crate::store::{Item, Key, Store, StoreError, Write};
use crate::store_ledger::StoreLedger;

const PARTITION: &str = "pk";
const SORT: &str = "sk";
const VERSION: &str = "version";
const VALUE: &str = "value";

/// The permission that a commit needs. A transaction has no permission of its own.
const COMMIT_PERMISSION: &str = "dynamodb:PutItem";

/// A ledger in a DynamoDB table, for Lambda and for several hosts.
pub type DynamoLedger = StoreLedger<DynamoStore>;

impl DynamoLedger {
    /// The ledger in a table whose keys are the strings `pk` and `sk`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self::with_store(DynamoStore::new(client, table))
    }
}

/// A store in a DynamoDB table: attributes `pk`, `sk`, `version` and `value`.
///
/// Every commit is a transaction, also that of one item, for the sake of its client token: the SDK
/// makes one for each commit and repeats it with every attempt. When an attempt has taken effect
/// and its response is lost, DynamoDB reports success to the next one. The condition of a repeated
/// conditional `PutItem` would fail because of its own effect. DynamoDB keeps a token for ten
/// minutes, longer than the SDK retries.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    client: Client,
    table: DynamoTable,
}

impl DynamoStore {
    /// The store in a table whose keys are the strings `pk` and `sk`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let region = client.config().region().map_or("no Region", |region| region.as_ref());
        let table = DynamoTable { name: table.into(), region: region.to_owned() };
        Self { client, table }
    }

    fn item(&self, mut attributes: HashMap<String, AttributeValue>) -> Result<Item, StoreError> {
        match (attributes.remove(VERSION), attributes.remove(VALUE)) {
            (Some(AttributeValue::N(version)), Some(AttributeValue::S(json))) => {
                let version = version.parse().map_err(|_| self.table.foreign_item())?;
                Ok(Item { version, json })
            }
            _ => Err(self.table.foreign_item()),
        }
    }

    fn transact(&self, write: &Write) -> Result<TransactWriteItem, BuildError> {
        let condition = match write.expected {
            Some(_) => "#version = :expected",
            None => "attribute_not_exists(pk)",
        };
        // DynamoDB refuses names and values that no expression uses.
        let names = write.expected.map(|_| HashMap::from([("#version".into(), VERSION.into())]));
        let values =
            write.expected.map(|version| HashMap::from([(":expected".into(), number(version))]));
        let change = TransactWriteItem::builder();
        let change = match &write.new {
            Some(json) => change.put(
                Put::builder()
                    .table_name(&self.table.name)
                    .set_item(Some(attributes(&write.key)))
                    .item(VERSION, number(write.version))
                    .item(VALUE, text(json))
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            None => change.delete(
                Delete::builder()
                    .table_name(&self.table.name)
                    .set_key(Some(attributes(&write.key)))
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
        };
        Ok(change.build())
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table.name)
            .set_key(Some(attributes(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.table.failed("dynamodb:GetItem", &error))?;
        let Some(item) = answer.item else { return Ok(None) };
        match is_of(key, &item) {
            true => self.item(item).map(Some),
            false => Err(self.table.foreign_item()),
        }
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(attributes) = pages.next().await {
            let mut attributes =
                attributes.map_err(|error| self.table.failed("dynamodb:Query", &error))?;
            match (attributes.remove(PARTITION), attributes.remove(SORT)) {
                (Some(AttributeValue::S(found)), Some(AttributeValue::S(sort)))
                    if found == partition =>
                {
                    items.push((sort, self.item(attributes)?));
                }
                _ => return Err(self.table.foreign_item()),
            }
        }
        Ok(items)
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        let writes: Result<_, _> = writes.iter().map(|write| self.transact(write)).collect();
        let writes =
            writes.map_err(|error| StoreError::Table(format!("{}: {error}", self.table)))?;
        let answer =
            self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(error) = answer else { return Ok(true) };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                self.table.canceled(COMMIT_PERMISSION, canceled).map(|()| false)
            }
            _ => Err(self.table.failed(COMMIT_PERMISSION, &error)),
        }
    }
}

/// Whether an item has this key.
fn is_of(key: &Key, item: &HashMap<String, AttributeValue>) -> bool {
    attributes(key).iter().all(|(name, value)| item.get(name) == Some(value))
}

fn attributes(key: &Key) -> HashMap<String, AttributeValue> {
    HashMap::from([
        (PARTITION.to_owned(), text(&key.partition)),
        (SORT.to_owned(), text(&key.sort)),
    ])
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_another_key_is_not_taken_for_it() {
        let key = Key::only("notification/onboard/111122223333/ams");
        let other = Key::only("notification/onboard/444455556666/ams");
        let mut item = attributes(&key);
        item.insert(VERSION.to_owned(), number(1));
        assert!(is_of(&key, &item));
        assert!(!is_of(&other, &item));
        item.remove(SORT);
        assert!(!is_of(&key, &item));
    }
}
