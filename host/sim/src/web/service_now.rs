//! ServiceNow's Table API, with its real behavior.
//!
//! The behavior is from ServiceNow's "Table API" reference and from reports of users:
//!
//! - A part of `sysparm_query` with a field that the table doesn't have is dropped, so that the
//!   query finds other records, unless the property `glide.invalid_query.returns_no_rows` is set.
//! - A written field that the table doesn't have is dropped without an error.
//! - A field that an access rule hides is empty.
//! - An instance that hibernates returns status 200 and a web page for every request.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::types::{WebRecord, WebResponse, answer, fields};

/// The part of a URL before the name of a table.
const TABLE: &str = "/api/now/table/";

/// The own fields of the tables that ServiceNow brings, as far as accounts need them. The second
/// table has those of `cmdb_ci` as well.
const CMDB_CI: &str = "\
    asset asset_tag assigned assigned_to assignment_group attributes business_unit category \
    change_control checked_in checked_out comments company correlation_id cost cost_center \
    department discovery_source dns_domain due duplicate_of environment fault_count \
    first_discovered fqdn install_date install_status ip_address justification last_discovered \
    life_cycle_stage life_cycle_stage_status location mac_address managed_by managed_by_group \
    manufacturer model_id model_number monitor name operational_status owned_by po_number \
    schedule serial_number short_description start_date subcategory support_group supported_by \
    unverified vendor warranty_expiration";
const CLOUD_SERVICE_ACCOUNT: &str = "\
    account_id datacenter_discovery_status datacenter_type datacenter_url \
    discovery_credentials is_master_account object_id parent_account state";

/// The page of a hibernating instance.
const HIBERNATING: &str = "<!DOCTYPE html>\n<html>\n<head><title>Hibernating Instance</title>\
    </head>\n<body>Your instance is hibernating. To wake it, sign in to the Developer Site.</body>\n\
    </html>\n";

/// The settings of the simulated ServiceNow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceNow {
    /// The fields of tables, by the tables' names. If `cmdb_ci` or `cmdb_ci_cloud_service_account`
    /// is missing here, it has the fields that ServiceNow gives it. Any other missing table has
    /// every field. In addition every table has the `sys_` fields and custom fields, which begin
    /// with `u_` or `x_`.
    pub tables: BTreeMap<String, BTreeSet<String>>,
    /// Fields that an access rule hides from the user: they are stored, and returned empty.
    pub hidden: BTreeSet<String>,
    /// The property `glide.invalid_query.returns_no_rows`: a query with a field that the table
    /// doesn't have finds nothing.
    pub invalid_query_returns_no_rows: bool,
    /// Whether an access rule hides every record from the user. Then none is returned, and
    /// `X-Total-Count` still counts them.
    pub hides_records: bool,
    /// Whether the instance hibernates.
    pub hibernating: bool,
}

impl ServiceNow {
    /// Returns the response to a request for a table. `None` for any other URL.
    pub(super) fn handle(
        &self,
        records: &mut Vec<WebRecord>,
        method: &str,
        (url, query): (&str, &str),
        body: &Value,
    ) -> Option<WebResponse> {
        let (instance, path) = url.split_once(TABLE)?;
        if self.hibernating {
            return Some(WebResponse {
                status: 200,
                headers: vec![("content-type", "text/html;charset=UTF-8".to_owned())],
                body: HIBERNATING.to_owned(),
            });
        }
        let (table, sys_id) = match path.split_once('/') {
            None => (path, None),
            Some((table, sys_id)) => (table, Some(sys_id)),
        };
        let place = format!("{instance}{TABLE}{table}/");
        let shown = DisplayOptions::of(self, query);
        let known = sys_id.and_then(|_| records.iter().position(|record| record.url == url));
        Some(match (method, sys_id, known) {
            ("GET", None, _) => {
                let found = self.search(records, table, &place, query);
                let limit = parameter(query, "sysparm_limit").and_then(|limit| limit.parse().ok());
                let limit = if self.hides_records { 0 } else { limit.unwrap_or(10_000) };
                let first = found.iter().take(limit);
                let first: Vec<_> = first.map(|record| shown.record(&record.body)).collect();
                let mut answer = answer(200, json!({ "result": first }));
                answer.headers.push(("x-total-count", found.len().to_string()));
                answer
            }
            ("POST", None, _) => {
                let sys_id = format!("{:032x}", records.len() + 1);
                let mut body = self.stored_fields(table, body);
                body.insert("sys_id".to_owned(), sys_id.as_str().into());
                let body = Value::Object(body);
                let result = shown.record(&body);
                records.push(WebRecord { url: format!("{place}{sys_id}"), body, writes: 1 });
                answer(201, json!({ "result": result }))
            }
            ("GET" | "HEAD", Some(_), Some(index)) => {
                answer(200, json!({ "result": shown.record(&records[index].body) }))
            }
            ("PATCH" | "PUT", Some(_), Some(index)) => {
                let record = &mut records[index];
                let mut merged = fields(record.body.take());
                merged.extend(self.stored_fields(table, body));
                record.body = Value::Object(merged);
                record.writes += 1;
                answer(200, json!({ "result": shown.record(&record.body) }))
            }
            ("DELETE", Some(_), Some(index)) => {
                records[index].body = Value::Null;
                answer(204, Value::Null)
            }
            _ => {
                let message = "No Record found";
                answer(404, json!({ "error": { "message": message }, "status": "failure" }))
            }
        })
    }

    /// The records that a query finds: those of the table that match all parts of the query. Parts
    /// with an unknown field are ignored.
    fn search<'a>(
        &self,
        records: &'a [WebRecord],
        table: &str,
        place: &str,
        query: &str,
    ) -> Vec<&'a WebRecord> {
        let wanted = parameter(query, "sysparm_query").unwrap_or_default();
        let parts = wanted.split('^').filter_map(|part| part.split_once('='));
        let (known, unknown): (Vec<_>, Vec<_>) =
            parts.partition(|(field, _)| self.has_field(table, field));
        let none = !unknown.is_empty() && self.invalid_query_returns_no_rows;
        let matches = |record: &&WebRecord| {
            record.url.starts_with(place)
                && record.body.is_object()
                && known.iter().all(|(field, value)| {
                    record.body[*field].as_str().unwrap_or_default() == *value
                })
        };
        if none { Vec::new() } else { records.iter().filter(matches).collect() }
    }

    /// The fields that are stored of a written body.
    fn stored_fields(&self, table: &str, body: &Value) -> Map<String, Value> {
        fields(body.clone())
            .into_iter()
            .filter(|(name, _)| self.has_field(table, name))
            .map(|(name, value)| match value {
                Value::String(_) => (name, value),
                value => (name, value.to_string().into()),
            })
            .collect()
    }

    fn has_field(&self, table: &str, field: &str) -> bool {
        let own = ["sys_", "u_", "x_"].iter().any(|prefix| field.starts_with(prefix));
        let in_list = |list: &str| list.split_whitespace().any(|known| known == field);
        own || match (self.tables.get(table), table) {
            (Some(fields), _) => fields.contains(field),
            (None, "cmdb_ci") => in_list(CMDB_CI),
            (None, "cmdb_ci_cloud_service_account") => {
                in_list(CMDB_CI) || in_list(CLOUD_SERVICE_ACCOUNT)
            }
            (None, _) => true,
        }
    }
}

/// How records are returned.
struct DisplayOptions<'a> {
    hidden: &'a BTreeSet<String>,
    /// `None`: all fields.
    fields: Option<Vec<String>>,
    both_values: bool,
}

impl<'a> DisplayOptions<'a> {
    fn of(instance: &'a ServiceNow, query: &str) -> Self {
        let fields = parameter(query, "sysparm_fields");
        Self {
            hidden: &instance.hidden,
            fields: fields.map(|fields| fields.split(',').map(str::to_owned).collect()),
            both_values: parameter(query, "sysparm_display_value")
                .is_some_and(|kind| kind == "all"),
        }
    }

    fn record(&self, body: &Value) -> Value {
        let wanted =
            |name: &String| self.fields.as_ref().is_none_or(|fields| fields.contains(name));
        let fields = fields(body.clone()).into_iter().filter(|(name, _)| wanted(name));
        let shown = fields.map(|(name, value)| {
            let value = if self.hidden.contains(&name) { "".into() } else { value };
            let both = json!({ "display_value": value, "value": value });
            (name, if self.both_values { both } else { value })
        });
        Value::Object(shown.collect())
    }
}

fn parameter(query: &str, wanted: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}
