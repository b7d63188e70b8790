//! The calls about tables themselves.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::invalid;
use super::key::KeyAttribute;
use super::table::{self, TableOptions};
use super::{DynamoDb, check_name, plain_name};
use crate::protocol::ApiError;
use crate::time::later;

/// Most names on a page.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateTable {
    table_name: String,
    #[serde(default)]
    attribute_definitions: Vec<AttributeDefinition>,
    #[serde(default)]
    key_schema: Vec<KeySchemaElement>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<Throughput>,
    #[serde(default)]
    local_secondary_indexes: Vec<Value>,
    #[serde(default)]
    global_secondary_indexes: Vec<Value>,
    #[serde(default)]
    deletion_protection_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeySchemaElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    read_capacity_units: u64,
    write_capacity_units: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OfTable {
    table_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTables {
    exclusive_start_table_name: Option<String>,
    limit: Option<usize>,
}

impl DynamoDb {
    pub(super) fn create_table(
        &mut self,
        now: Timestamp,
        request: CreateTable,
    ) -> Result<Value, ApiError> {
        check_name(&request.table_name)?;
        if self.tables.contains_key(&request.table_name) {
            return Err(in_use(&format!("Table already exists: {}", request.table_name)));
        }
        let options = request.options()?;
        let name = options.name.clone();
        self.add(now, table::active_from(now), options);
        let description = self.tables.get(&name).map(|table| table.description(now));
        Ok(json!({ "TableDescription": description }))
    }

    pub(super) fn describe_table(
        &self,
        now: Timestamp,
        request: &OfTable,
    ) -> Result<Value, ApiError> {
        let name = plain_name(&request.table_name);
        check_name(name)?;
        let table = self.tables.get(name).ok_or_else(|| not_found(name))?;
        Ok(json!({ "Table": table.description(now) }))
    }

    pub(super) fn delete_table(
        &mut self,
        now: Timestamp,
        request: &OfTable,
    ) -> Result<Value, ApiError> {
        let name = plain_name(&request.table_name);
        check_name(name)?;
        let table = self.tables.get_mut(name).ok_or_else(|| not_found(name))?;
        if !table.is_active(now) {
            return Err(in_use(&format!(
                "Attempt to change a resource which is still in use: Table is being created or deleted: {name}"
            )));
        }
        if table.options.deletion_protection {
            return Err(invalid(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
            ));
        }
        table.gone_from = Some(later(now, table::CHANGE));
        Ok(json!({ "TableDescription": table.description(now) }))
    }

    pub(super) fn list_tables(&self, request: &ListTables) -> Result<Value, ApiError> {
        let limit = request.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(invalid(
                "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value between 1 and 100, inclusive",
            ));
        }
        let after = request.exclusive_start_table_name.as_deref().unwrap_or_default();
        let mut names = self.tables.keys().filter(|name| name.as_str() > after);
        let page: Vec<&String> = names.by_ref().take(limit).collect();
        let mut answer = json!({ "TableNames": page });
        if names.next().is_some() {
            answer["LastEvaluatedTableName"] = json!(page.last());
        }
        Ok(answer)
    }
}

impl CreateTable {
    fn options(self) -> Result<TableOptions, ApiError> {
        if !self.local_secondary_indexes.is_empty() || !self.global_secondary_indexes.is_empty() {
            return Err(invalid("The simulated AWS has no secondary indexes."));
        }
        let attribute = |element: &KeySchemaElement| {
            let name = &element.attribute_name;
            let defined = self
                .attribute_definitions
                .iter()
                .find(|definition| definition.attribute_name == *name)
                .filter(|definition| ["S", "N", "B"].contains(&definition.attribute_type.as_str()))
                .ok_or_else(|| {
                    wrong("Some index key attributes are not defined in AttributeDefinitions")
                })?;
            Ok(KeyAttribute { name: name.clone(), kind: defined.attribute_type.clone() })
        };
        let (hash, range) = match self.key_schema.as_slice() {
            [hash] if hash.key_type == "HASH" => (attribute(hash)?, None),
            [hash, range] if hash.key_type == "HASH" && range.key_type == "RANGE" => {
                (attribute(hash)?, Some(attribute(range)?))
            }
            _ => {
                return Err(wrong(
                    "KeySchema must have a HASH key, and may have a RANGE key after it",
                ));
            }
        };
        if range.as_ref().is_some_and(|range| range.name == hash.name) {
            return Err(wrong(
                "Both the Hash Key and the Range Key element in the KeySchema have the same name",
            ));
        }
        if self.attribute_definitions.len() != self.key_schema.len() {
            return Err(wrong(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
            ));
        }
        let throughput = match (self.billing_mode.as_deref(), self.provisioned_throughput) {
            (Some("PAY_PER_REQUEST"), None) => None,
            (Some("PAY_PER_REQUEST"), Some(_)) => {
                return Err(wrong(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
                ));
            }
            (Some("PROVISIONED") | None, Some(units))
                if units.read_capacity_units > 0 && units.write_capacity_units > 0 =>
            {
                Some((units.read_capacity_units, units.write_capacity_units))
            }
            (Some("PROVISIONED") | None, _) => {
                return Err(wrong(
                    "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
                ));
            }
            (Some(_), _) => {
                return Err(wrong("BillingMode must be PROVISIONED or PAY_PER_REQUEST"));
            }
        };
        Ok(TableOptions {
            name: self.table_name,
            hash,
            range,
            throughput,
            deletion_protection: self.deletion_protection_enabled,
        })
    }
}

fn wrong(what: &str) -> ApiError {
    invalid(&format!("One or more parameter values were invalid: {what}"))
}

fn in_use(message: &str) -> ApiError {
    ApiError::new("ResourceInUseException", message)
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        format!("Requested resource not found: Table: {name} not found"),
    )
}
