//! The settings.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Settings of `cmdb`: one of the two tables.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Records of ServiceNow, by its Table API.
    pub servicenow: Option<ServiceNow>,
    /// Records of any inventory, by requests of one's own.
    pub rest: Option<Rest>,
}

/// Records of ServiceNow.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceNow {
    /// URL of the instance, such as `https://acme.service-now.com`.
    pub instance: String,
    /// The table.
    #[serde(default = "table")]
    pub table: String,
    /// The field that has the account id, by which a record is found.
    #[serde(default = "key_field")]
    pub key_field: String,
    /// The other fields: their values are templates.
    #[serde(default = "fields")]
    pub fields: Map<String, Value>,
}

fn table() -> String {
    "cmdb_ci_cloud_service_account".to_owned()
}

fn key_field() -> String {
    "account_id".to_owned()
}

fn fields() -> Map<String, Value> {
    Map::from_iter([("name".to_owned(), "{{ account.name }}".into())])
}

/// Records of any inventory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// How a record is looked for. Without it, `create` must use `PUT`.
    pub look: Option<Lookup>,
    /// How one is created when there is none.
    pub create: Create,
    /// How one that is there is updated. Without it, it is left as it is.
    pub update: Option<Update>,
}

/// A request that looks for a record, by `GET`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Template of the URL.
    pub url: String,
    /// JSON pointer to what the inventory calls the record, such as `/items/0/id`. Where the
    /// answer has nothing there, or is 404, there is no record.
    pub reference: String,
    /// JSON pointer to the account id in the record that was found, such as
    /// `/items/0/account_id`: a record of another account is left alone. Required unless the
    /// path of `url` has the account id.
    pub account: Option<String>,
}

/// A request that creates a record.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The method.
    #[serde(default = "post")]
    pub method: Method,
    /// Template of the URL.
    pub url: String,
    /// The body, sent as JSON: its texts are templates.
    pub body: Map<String, Value>,
    /// JSON pointer into the answer, to what the inventory calls the record. Without it the
    /// header field `Location`, or else the URL.
    pub reference: Option<String>,
}

/// A request that updates a record.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The method.
    #[serde(default = "patch")]
    pub method: Method,
    /// Template of the URL; `{{ reference }}` is what was found.
    pub url: String,
    /// The body, sent as JSON: its texts are templates.
    pub body: Map<String, Value>,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // Documented, the schema would have one schema for each.
pub enum Method {
    Post,
    Put,
    Patch,
}

fn post() -> Method {
    Method::Post
}

fn patch() -> Method {
    Method::Patch
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}
