//! The calls that read items.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::condition::{Condition, Path};
use super::error::invalid;
use super::key::Key;
use super::placeholders::Placeholders;
use super::projection::project;
use super::table::{Page, Table, page};
use super::value::{Item, item_size, read_item, write_item};
use super::{DynamoDb, expression};
use crate::protocol::ApiError;

/// Most items that are read at once, and most bytes of them.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetItem {
    table_name: String,
    key: Map<String, Value>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchGet {
    request_items: BTreeMap<String, KeysOfTable>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeysOfTable {
    keys: Vec<Map<String, Value>>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    consistent_read: Option<bool>,
}

/// What queries and scans have in common, and what each has alone.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Search {
    table_name: String,
    index_name: Option<String>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
    exclusive_start_key: Option<Map<String, Value>>,
    limit: Option<usize>,
    scan_index_forward: Option<bool>,
    select: Option<String>,
    segment: Option<u32>,
    total_segments: Option<u32>,
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<String>,
}

/// The expressions of a search, read.
struct Expressions {
    key: Option<Condition>,
    filter: Option<Condition>,
    projection: Option<Vec<Path>>,
    start: Option<Item>,
}

impl DynamoDb {
    pub(super) fn get_item(&self, now: Timestamp, request: &GetItem) -> Result<Value, ApiError> {
        let paths = read_projection(
            request.projection_expression.as_deref(),
            request.expression_attribute_names.as_ref(),
        )?;
        let table = self.table(now, &request.table_name)?;
        let key = table.read_key(&read_item(&request.key)?)?;
        Ok(match table.get(&key) {
            Some(item) => json!({ "Item": shown(item, paths.as_deref()) }),
            None => json!({}),
        })
    }

    pub(super) fn batch_get(&self, now: Timestamp, request: BatchGet) -> Result<Value, ApiError> {
        let count: usize = request.request_items.values().map(|items| items.keys.len()).sum();
        if count == 0 {
            return Err(invalid("The requestItems parameter is required for BatchGetItem"));
        }
        if count > BATCH {
            return Err(invalid("Too many items requested for the BatchGetItem call"));
        }
        let (mut responses, mut unprocessed) = (Map::new(), Map::new());
        let mut bytes = 0;
        for (name, wanted) in request.request_items {
            let table = self.table(now, &name)?;
            let paths = read_projection(
                wanted.projection_expression.as_deref(),
                wanted.expression_attribute_names.as_ref(),
            )?;
            let mut seen: BTreeSet<Key> = BTreeSet::new();
            let (mut found, mut left) = (Vec::new(), Vec::new());
            for given in &wanted.keys {
                let key = table.read_key(&read_item(given)?)?;
                if seen.contains(&key) {
                    return Err(invalid("Provided list of item keys contains duplicates"));
                }
                if let Some(item) = table.get(&key) {
                    bytes += item_size(item);
                    if bytes > BATCH_BYTES {
                        left.push(given);
                    } else {
                        found.push(shown(item, paths.as_deref()));
                    }
                }
                seen.insert(key);
            }
            if !left.is_empty() {
                let mut rest = json!({ "Keys": left });
                if let Some(expression) = &wanted.projection_expression {
                    rest["ProjectionExpression"] = json!(expression);
                }
                if let Some(names) = &wanted.expression_attribute_names {
                    rest["ExpressionAttributeNames"] = json!(names);
                }
                if let Some(consistent) = wanted.consistent_read {
                    rest["ConsistentRead"] = json!(consistent);
                }
                unprocessed.insert(name.clone(), rest);
            }
            responses.insert(name, found.into());
        }
        Ok(json!({ "Responses": responses, "UnprocessedKeys": unprocessed }))
    }

    pub(super) fn query(&self, now: Timestamp, request: &Search) -> Result<Value, ApiError> {
        if request.segment.is_some() || request.total_segments.is_some() {
            return Err(invalid("A Query has no segments"));
        }
        let expressions = request.expressions()?;
        let table = self.table(now, &request.table_name)?;
        request.check_index()?;
        let Some(condition) = expressions.key else {
            return Err(invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
            ));
        };
        if let Some(name) =
            expressions.filter.as_ref().and_then(|filter| filter.mentions(&table.key_names()))
        {
            return Err(invalid(&format!(
                "Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
            )));
        }
        let condition = table.key_condition(condition)?;
        let start = start_key(table, expressions.start.as_ref())?;
        let items = table.query(&condition, request.scan_index_forward.unwrap_or(true), start)?;
        let page = page(items, request.limit, expressions.filter.as_ref());
        request.answer(table, &page, expressions.projection.as_deref())
    }

    pub(super) fn scan(&self, now: Timestamp, request: &Search) -> Result<Value, ApiError> {
        if request.key_condition_expression.is_some() || request.scan_index_forward.is_some() {
            return Err(invalid("A Scan has no key condition and no direction"));
        }
        let segments = match (request.segment, request.total_segments) {
            (None, None) => (0, 1),
            (Some(segment), Some(total)) if segment < total && total <= 1_000_000 => {
                (segment, total)
            }
            _ => {
                return Err(invalid(
                    "Segment and TotalSegments must both be given, Segment being less than TotalSegments",
                ));
            }
        };
        let expressions = request.expressions()?;
        let table = self.table(now, &request.table_name)?;
        request.check_index()?;
        let start = start_key(table, expressions.start.as_ref())?;
        let items = table.scan(start, segments);
        let page = page(items, request.limit, expressions.filter.as_ref());
        request.answer(table, &page, expressions.projection.as_deref())
    }
}

impl Search {
    fn expressions(&self) -> Result<Expressions, ApiError> {
        let mut placeholders = Placeholders::read(
            self.expression_attribute_names.as_ref(),
            self.expression_attribute_values.as_ref(),
        )?;
        let mut condition = |kind: &str, text: &Option<String>| {
            text.as_ref()
                .map(|text| expression::condition(kind, text, &mut placeholders))
                .transpose()
        };
        let key = condition("KeyConditionExpression", &self.key_condition_expression)?;
        let filter = condition("FilterExpression", &self.filter_expression)?;
        let projection = self
            .projection_expression
            .as_ref()
            .map(|text| expression::projection(text, &mut placeholders))
            .transpose()?;
        placeholders.finish()?;
        if self.limit == Some(0) {
            return Err(invalid(
                "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
            ));
        }
        let start = self.exclusive_start_key.as_ref().map(read_item).transpose()?;
        Ok(Expressions { key, filter, projection, start })
    }

    fn check_index(&self) -> Result<(), ApiError> {
        match &self.index_name {
            Some(name) => {
                Err(invalid(&format!("The table does not have the specified index: {name}")))
            }
            None => Ok(()),
        }
    }

    fn answer(
        &self,
        table: &Table,
        page: &Page<'_>,
        projection: Option<&[Path]>,
    ) -> Result<Value, ApiError> {
        let mut answer = json!({ "Count": page.items.len(), "ScannedCount": page.scanned });
        match self.select.as_deref() {
            Some("COUNT") if projection.is_none() => {}
            None | Some("SPECIFIC_ATTRIBUTES") => {
                answer["Items"] = page.items.iter().map(|item| shown(item, projection)).collect();
            }
            Some("ALL_ATTRIBUTES") if projection.is_none() => {
                answer["Items"] = page.items.iter().map(|item| shown(item, None)).collect();
            }
            Some(select) => {
                return Err(invalid(&format!("Select type {select} can't be used here")));
            }
        }
        if let Some(last) = page.last {
            answer["LastEvaluatedKey"] = write_item(&table.key_item(last));
        }
        Ok(answer)
    }
}

fn start_key(table: &Table, start: Option<&Item>) -> Result<Option<Key>, ApiError> {
    start
        .map(|start| {
            table.read_key(start).map_err(|_| {
                invalid("The provided starting key is invalid: The provided key element does not match the schema")
            })
        })
        .transpose()
}

fn read_projection(
    text: Option<&str>,
    names: Option<&BTreeMap<String, String>>,
) -> Result<Option<Vec<Path>>, ApiError> {
    let mut placeholders = Placeholders::read(names, None)?;
    let paths = text.map(|text| expression::projection(text, &mut placeholders)).transpose()?;
    placeholders.finish()?;
    Ok(paths)
}

fn shown(item: &Item, projection: Option<&[Path]>) -> Value {
    match projection {
        Some(paths) => write_item(&project(item, paths)),
        None => write_item(item),
    }
}
