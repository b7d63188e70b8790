//! A DynamoDB table with the string keys `pk` and `sk`, and its items by key.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::error::invalid;
use super::value::{AttributeValue, Item, item_size};
use crate::names::{MANAGEMENT_ACCOUNT, REGION, TABLE};
use crate::protocol::ApiError;
use crate::time;

/// Names of the key attributes: partition key and sort key.
pub(super) const PARTITION: &str = "pk";
const SORT: &str = "sk";

/// Most bytes of the two parts of a key.
const PARTITION_BYTES: usize = 2048;
const SORT_BYTES: usize = 1024;

/// Most bytes of an item.
const ITEM_BYTES: usize = 400 * 1024;

/// Most bytes that a query reads for one page.
const PAGE_BYTES: usize = 1024 * 1024;

/// What identifies an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) partition: String,
    pub(super) sort: String,
}

/// A table and its items.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "StoredTable")]
pub(super) struct Table {
    id: String,
    created: Timestamp,
    #[serde(serialize_with = "values")]
    items: BTreeMap<Key, Item>,
}

/// A table in a saved state, where the keys are in the items.
#[derive(Deserialize)]
struct StoredTable {
    id: String,
    created: Timestamp,
    items: Vec<Item>,
}

fn values<S: Serializer>(items: &BTreeMap<Key, Item>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.values())
}

impl TryFrom<StoredTable> for Table {
    type Error = String;

    fn try_from(stored: StoredTable) -> Result<Self, String> {
        let mut table = Self::new(stored.created, stored.id);
        for item in stored.items {
            let key = key_of(&item).map_err(|error| format!("an item: {}", error.message))?;
            table.items.insert(key, item);
        }
        Ok(table)
    }
}

/// The result of a query.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    pub(super) items: Vec<&'a Item>,
    /// The last key before the next page, if there is one.
    pub(super) last: Option<&'a Key>,
}

impl Table {
    pub(super) fn new(now: Timestamp, id: String) -> Self {
        Self { id, created: now, items: BTreeMap::new() }
    }

    /// The description that `DescribeTable` returns.
    pub(super) fn description(&self) -> Value {
        let text = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        json!({
            "AttributeDefinitions": [text(PARTITION), text(SORT)],
            "TableName": TABLE,
            "KeySchema": [
                { "AttributeName": PARTITION, "KeyType": "HASH" },
                { "AttributeName": SORT, "KeyType": "RANGE" },
            ],
            "TableStatus": "ACTIVE",
            "CreationDateTime": time::epoch_seconds(self.created),
            "ProvisionedThroughput": { "ReadCapacityUnits": 0, "WriteCapacityUnits": 0 },
            "TableSizeBytes": self.items.values().map(item_size).sum::<usize>(),
            "ItemCount": self.items.len(),
            "TableArn": format!("arn:aws:dynamodb:{REGION}:{MANAGEMENT_ACCOUNT}:table/{TABLE}"),
            "TableId": self.id,
            "DeletionProtectionEnabled": false,
            "BillingModeSummary": {
                "BillingMode": "PAY_PER_REQUEST",
                "LastUpdateToPayPerRequestDateTime": time::epoch_seconds(self.created),
            },
        })
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key)
    }

    pub(super) fn put(&mut self, key: Key, item: Item) {
        self.items.insert(key, item);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.items.remove(key);
    }

    /// A page of the items of a partition in their order, starting after this sort key.
    pub(super) fn page(&self, partition: &str, after: Option<String>) -> Page<'_> {
        let key = |sort: String| Key { partition: partition.to_owned(), sort };
        let from = match after {
            Some(sort) => Bound::Excluded(key(sort)),
            None => Bound::Included(key(String::new())),
        };
        let items = self.items.range((from, Bound::Unbounded));
        let mut page = Page::default();
        let (mut bytes, mut last) = (0, None);
        for (key, item) in items.take_while(|(key, _)| key.partition == partition) {
            bytes += item_size(item);
            if bytes > PAGE_BYTES && last.is_some() {
                page.last = last;
                break;
            }
            page.items.push(item);
            last = Some(key);
        }
        page
    }
}

/// The checked key of an item to write.
pub(super) fn key_of(item: &Item) -> Result<Key, ApiError> {
    if item_size(item) > ITEM_BYTES {
        return Err(invalid("Item size has exceeded the maximum allowed size"));
    }
    let part = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text.clone()),
        Some(other) => Err(invalid(&format!(
            "One or more parameter values were invalid: Type mismatch for key {name} expected: S actual: {}",
            other.kind()
        ))),
        None => Err(invalid(&format!(
            "One or more parameter values were invalid: Missing the key {name} in the item"
        ))),
    };
    Key::new(part(PARTITION)?, part(SORT)?)
}

impl Key {
    /// A key of these parts. A part must be neither empty nor too long.
    fn new(partition: String, sort: String) -> Result<Self, ApiError> {
        for (name, part) in [(PARTITION, &partition), (SORT, &sort)] {
            if part.is_empty() {
                return Err(invalid(&format!(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}"
                )));
            }
        }
        for (name, part, most) in
            [("hashkey", &partition, PARTITION_BYTES), ("rangekey", &sort, SORT_BYTES)]
        {
            if part.len() > most {
                return Err(invalid(&format!(
                    "One or more parameter values were invalid: Size of {name} has exceeded the maximum size limit of {most} bytes"
                )));
            }
        }
        Ok(Self { partition, sort })
    }

    /// The key in a request, which must have no other attribute.
    pub(super) fn read(given: &Item) -> Result<Self, ApiError> {
        match (given.get(PARTITION), given.get(SORT)) {
            (Some(AttributeValue::S(partition)), Some(AttributeValue::S(sort)))
                if given.len() == 2 =>
            {
                Self::new(partition.clone(), sort.clone())
            }
            _ => Err(invalid("The provided key element does not match the schema")),
        }
    }

    /// The key as the attributes of an item.
    pub(super) fn item(&self) -> Item {
        let text = |name: &str, part: &String| (name.to_owned(), AttributeValue::S(part.clone()));
        Item::from([text(PARTITION, &self.partition), text(SORT, &self.sort)])
    }
}
