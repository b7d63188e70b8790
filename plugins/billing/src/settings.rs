//! The settings.

use std::collections::BTreeMap;

use groundcrew_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Settings of `billing`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Template of the URL that the record is put at. It has the account's id, so that each
    /// account has a record of its own.
    pub url: String,
    /// Fields that come from tags, by the names that they have in the record.
    #[serde(default = "tags")]
    pub tags: BTreeMap<String, TagField>,
    /// The other fields: a table whose texts are templates.
    #[serde(default = "record")]
    pub record: Value,
    /// JSON pointer into the answer, to what the billing system calls the record. Without it,
    /// the URL.
    pub reference: Option<String>,
}

/// A field that comes from a tag.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagField {
    /// Key of the tag.
    pub tag: String,
    /// Template of what holds where the account lacks the tag. Without it the tag is required.
    pub default: Option<String>,
}

fn tags() -> BTreeMap<String, TagField> {
    [("cost_center", "cost-center"), ("owner", "owner"), ("environment", "environment")]
        .map(|(name, tag)| (name.to_owned(), TagField { tag: tag.to_owned(), default: None }))
        .into()
}

fn record() -> Value {
    json!({
        "account_id": "{{ account.id }}",
        "account_name": "{{ account.name }}",
        "email": "{{ account.email }}",
        "organizational_unit": "{{ account.ou_path }}",
        "joined": "{{ account.joined }}",
    })
}

/// The pointer of a default's setting.
pub(crate) fn default_pointer(name: &str) -> String {
    format!("/tags/{}/default", name.replace('~', "~0").replace('/', "~1"))
}

impl Settings {
    /// The problems of the settings, except those of templates.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let Some(record) = self.record.as_object() else {
            problems.push(Problem::new(crate::RECORD_POINTER, "expected a table"));
            return problems;
        };
        for name in record.keys().filter(|name| self.tags.contains_key(*name)) {
            let at = format!("{}/{name}", crate::RECORD_POINTER);
            let message = format!("`{name}` comes from a tag, too: leave one of them out");
            problems.push(Problem::new(at, message));
        }
        if self.reference.as_ref().is_some_and(|pointer| !pointer.starts_with('/')) {
            let message = "expected a JSON pointer, such as `/record/id`";
            problems.push(Problem::new("/reference", message));
        }
        problems
    }
}
