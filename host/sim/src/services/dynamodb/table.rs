//! A DynamoDB table: its keys, and its items by them.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::condition::{Comparator, Condition, Operand};
use super::error::invalid;
use super::key::{
    Bounds, Key, KeyAttribute, KeyValue, bounds, key_operand, key_value, unsupported,
};
use super::value::{Item, item_size};
use crate::names::{MANAGEMENT_ACCOUNT, REGION};
use crate::protocol::ApiError;
use crate::time::{self, later};

/// Most bytes of an item.
const ITEM_BYTES: usize = 400 * 1024;

/// Most bytes that a query or a scan looks at for one page.
const PAGE_BYTES: usize = 1024 * 1024;

/// Making and deleting a table takes so long.
pub(crate) const CHANGE: Duration = Duration::from_secs(3);

/// What a table is made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableOptions {
    pub(crate) name: String,
    pub(crate) hash: KeyAttribute,
    pub(crate) range: Option<KeyAttribute>,
    /// Read and write units where they are provisioned.
    pub(crate) throughput: Option<(u64, u64)>,
    pub(crate) deletion_protection: bool,
}

/// The items of one partition key, by their sort key if the table has one.
type Partition = BTreeMap<Option<KeyValue>, Item>;

/// A table and its items.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "Kept")]
pub(crate) struct Table {
    pub(crate) options: TableOptions,
    id: String,
    created: Timestamp,
    active_from: Timestamp,
    /// When it is gone, if it is being deleted.
    pub(crate) gone_from: Option<Timestamp>,
    /// By a digest of the partition key, so that a scan shows no order among them.
    #[serde(serialize_with = "items")]
    partitions: BTreeMap<(u128, KeyValue), Partition>,
}

/// A table as it is in a kept state: the keys are in the items.
#[derive(Deserialize)]
struct Kept {
    options: TableOptions,
    id: String,
    created: Timestamp,
    active_from: Timestamp,
    gone_from: Option<Timestamp>,
    partitions: Vec<Item>,
}

fn items<S: Serializer>(
    partitions: &BTreeMap<(u128, KeyValue), Partition>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(partitions.values().flat_map(BTreeMap::values))
}

impl TryFrom<Kept> for Table {
    type Error = String;

    fn try_from(kept: Kept) -> Result<Self, String> {
        let mut table = Self::new(kept.created, kept.active_from, kept.id, kept.options);
        table.gone_from = kept.gone_from;
        for item in kept.partitions {
            let key = table.key_of(&item).map_err(|error| {
                format!("an item of the table {}: {}", table.options.name, error.message)
            })?;
            table.put(key, item);
        }
        Ok(table)
    }
}

/// Which items a query is for.
#[derive(Debug)]
pub(crate) struct KeyCondition {
    hash: KeyValue,
    range: Bounds,
}

/// What a query or a scan found.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) items: Vec<&'a Item>,
    pub(crate) scanned: usize,
    /// The item that the next page comes after, if there is one.
    pub(crate) last: Option<&'a Item>,
}

impl Table {
    pub(crate) fn new(
        now: Timestamp,
        active_from: Timestamp,
        id: String,
        options: TableOptions,
    ) -> Self {
        Self {
            options,
            id,
            created: now,
            active_from,
            gone_from: None,
            partitions: BTreeMap::new(),
        }
    }

    /// Whether items can be read and written.
    pub(crate) fn is_active(&self, now: Timestamp) -> bool {
        self.active_from <= now && self.gone_from.is_none()
    }

    pub(crate) fn description(&self, now: Timestamp) -> Value {
        let attributes: Vec<&KeyAttribute> = self.attributes().collect();
        let definitions: Vec<Value> = attributes
            .iter()
            .map(|key| json!({ "AttributeName": key.name, "AttributeType": key.kind }))
            .collect();
        let schema: Vec<Value> = attributes
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|(key, kind)| json!({ "AttributeName": key.name, "KeyType": kind }))
            .collect();
        let status = match self.gone_from {
            Some(_) => "DELETING",
            None if now < self.active_from => "CREATING",
            None => "ACTIVE",
        };
        let items = || self.partitions.values().flat_map(BTreeMap::values);
        let (read, write) = self.options.throughput.unwrap_or((0, 0));
        let mut answer = json!({
            "AttributeDefinitions": definitions,
            "TableName": self.options.name,
            "KeySchema": schema,
            "TableStatus": status,
            "CreationDateTime": time::json(self.created),
            "ProvisionedThroughput": { "ReadCapacityUnits": read, "WriteCapacityUnits": write },
            "TableSizeBytes": items().map(item_size).sum::<usize>(),
            "ItemCount": items().count(),
            "TableArn": arn(&self.options.name),
            "TableId": self.id,
            "DeletionProtectionEnabled": self.options.deletion_protection,
        });
        if self.options.throughput.is_none() {
            answer["BillingModeSummary"] = json!({
                "BillingMode": "PAY_PER_REQUEST",
                "LastUpdateToPayPerRequestDateTime": time::json(self.created),
            });
        }
        answer
    }

    fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.options.hash).chain(&self.options.range)
    }

    /// Names of the key attributes.
    pub(crate) fn key_names(&self) -> Vec<&str> {
        self.attributes().map(|key| key.name.as_str()).collect()
    }

    /// The key of an item to be written, which is checked.
    pub(crate) fn key_of(&self, item: &Item) -> Result<Key, ApiError> {
        if item_size(item) > ITEM_BYTES {
            return Err(invalid("Item size has exceeded the maximum allowed size"));
        }
        let part = |key: &KeyAttribute| {
            let value = item.get(&key.name).ok_or_else(|| {
                invalid(&format!(
                    "One or more parameter values were invalid: Missing the key {} in the item",
                    key.name
                ))
            })?;
            if value.kind() != key.kind {
                return Err(invalid(&format!(
                    "One or more parameter values were invalid: Type mismatch for key {} expected: {} actual: {}",
                    key.name,
                    key.kind,
                    value.kind()
                )));
            }
            key_value(&key.name, value)
        };
        self.key(part)
    }

    /// The key that a request gives, with no other attribute.
    pub(crate) fn read_key(&self, given: &Item) -> Result<Key, ApiError> {
        let mismatch = || invalid("The provided key element does not match the schema");
        if given.len() != self.attributes().count() {
            return Err(mismatch());
        }
        self.key(|key| {
            let value = given.get(&key.name).filter(|value| value.kind() == key.kind);
            key_value(&key.name, value.ok_or_else(mismatch)?)
        })
    }

    fn key(
        &self,
        part: impl Fn(&KeyAttribute) -> Result<KeyValue, ApiError>,
    ) -> Result<Key, ApiError> {
        let range = self.options.range.as_ref().map(&part).transpose()?;
        Key::new(part(&self.options.hash)?, range)
    }

    /// The key attributes of an item of this table.
    pub(crate) fn key_item(&self, item: &Item) -> Item {
        self.attributes()
            .filter_map(|key| Some((key.name.clone(), item.get(&key.name)?.clone())))
            .collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Item> {
        self.partitions.get(&key.partition())?.get(&key.range)
    }

    /// Writes an item and answers what was in its place.
    pub(crate) fn put(&mut self, key: Key, item: Item) -> Option<Item> {
        self.partitions.entry(key.partition()).or_default().insert(key.range, item)
    }

    /// Removes an item and answers it.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Item> {
        let partition = self.partitions.get_mut(&key.partition())?;
        let removed = partition.remove(&key.range);
        if partition.is_empty() {
            self.partitions.remove(&key.partition());
        }
        removed
    }

    /// Understands the condition of a query: the partition key equals a value, and at most
    /// one condition on the sort key.
    pub(crate) fn key_condition(&self, condition: Condition) -> Result<KeyCondition, ApiError> {
        let parts = match condition {
            Condition::And(parts) => parts,
            other => vec![other],
        };
        let (mut hash, mut range) = (None, None);
        for part in parts {
            if part.mentions(&[&self.options.hash.name]).is_some() {
                let Condition::Compare(
                    Comparator::Equal,
                    Operand::Path(path),
                    Operand::Value(value),
                ) = part
                else {
                    return Err(unsupported());
                };
                if !path.steps.is_empty() || hash.is_some() {
                    return Err(unsupported());
                }
                hash = Some(key_operand(&self.options.hash, &value)?);
            } else if let Some(key) = &self.options.range
                && part.mentions(&[&key.name]).is_some()
            {
                if range.is_some() {
                    return Err(unsupported());
                }
                range = Some(bounds(key, part)?);
            } else {
                return Err(invalid(&format!(
                    "Query condition missed key schema element: {}",
                    self.options.range.as_ref().unwrap_or(&self.options.hash).name
                )));
            }
        }
        let hash = hash.ok_or_else(|| {
            invalid(&format!(
                "Query condition missed key schema element: {}",
                self.options.hash.name
            ))
        })?;
        Ok(KeyCondition { hash, range: range.unwrap_or((Bound::Unbounded, Bound::Unbounded)) })
    }

    /// The items of a query in their order, or against it, after the one with the key
    /// `start`.
    pub(crate) fn query<'a>(
        &'a self,
        condition: &'a KeyCondition,
        forward: bool,
        start: Option<Key>,
    ) -> Result<Box<dyn Iterator<Item = &'a Item> + 'a>, ApiError> {
        let bounds = &condition.range;
        let (mut low, mut high) = bounds.clone();
        if let Some(start) = start {
            if start.hash != condition.hash || !bounds.contains(&start.range) {
                return Err(invalid(
                    "The provided starting key is outside query boundaries based on provided conditions",
                ));
            }
            *(if forward { &mut low } else { &mut high }) = Bound::Excluded(start.range);
        }
        let partition = (condition.hash.digest(), condition.hash.clone());
        let Some(partition) = self.partitions.get(&partition) else {
            return Ok(Box::new(std::iter::empty()));
        };
        // One end is left open and the other checked: a range must not end before it begins.
        Ok(if forward {
            let from = partition.range((low, Bound::Unbounded));
            Box::new(from.take_while(|(range, _)| bounds.contains(range)).map(|(_, item)| item))
        } else {
            let to = partition.range((Bound::Unbounded, high)).rev();
            Box::new(to.take_while(|(range, _)| bounds.contains(range)).map(|(_, item)| item))
        })
    }

    /// Every item of a segment, after the one with the key `start`.
    pub(crate) fn scan(
        &self,
        start: Option<Key>,
        (segment, segments): (u32, u32),
    ) -> impl Iterator<Item = &Item> {
        let from = match &start {
            Some(start) => Bound::Included(start.partition()),
            None => Bound::Unbounded,
        };
        self.partitions
            .range((from, Bound::Unbounded))
            .filter(move |((digest, _), _)| digest % u128::from(segments) == u128::from(segment))
            .flat_map(move |((_, hash), partition)| {
                let after = match &start {
                    Some(start) if start.hash == *hash => Bound::Excluded(start.range.clone()),
                    _ => Bound::Unbounded,
                };
                partition.range((after, Bound::Unbounded)).map(|(_, item)| item)
            })
    }
}

/// Takes from these items what fits on one page, and shows those that a filter lets through.
pub(crate) fn page<'a>(
    items: impl Iterator<Item = &'a Item>,
    limit: Option<usize>,
    filter: Option<&Condition>,
) -> Page<'a> {
    let mut page = Page { items: Vec::new(), scanned: 0, last: None };
    let mut bytes = 0;
    let mut previous = None;
    for item in items {
        bytes += item_size(item);
        if bytes > PAGE_BYTES && page.scanned > 0 {
            page.last = previous;
            break;
        }
        page.scanned += 1;
        if filter.is_none_or(|filter| filter.holds(item)) {
            page.items.push(item);
        }
        // A page that the limit ends has a last key, even if nothing comes after it.
        if limit == Some(page.scanned) {
            page.last = Some(item);
            break;
        }
        previous = Some(item);
    }
    page
}

/// ARN of the table with this name.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{MANAGEMENT_ACCOUNT}:table/{name}")
}

/// When a table that is made now is active.
pub(crate) fn active_from(now: Timestamp) -> Timestamp {
    later(now, CHANGE)
}
