//! The settings.

use std::collections::BTreeMap;

use groundcrew_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::success::Success;

/// Settings of `webhook`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Template of the URL. What it inserts is percent-encoded.
    pub url: String,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// Templates of header fields, none of them secret: those are granted by the host.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a table, which is sent as JSON and whose texts are templates; or the template
    /// of a text.
    #[serde(default = "body")]
    pub body: Value,
    /// What the body is. Without it: JSON for a table, plain text for a text.
    pub content_type: Option<String>,
    /// What an answer says, beside its status, when it is a success: a JSON pointer to what is
    /// `true`, as `"/ok"` with Slack's API; or what its text is, `{ text = "ok" }` or
    /// `{ pattern = "^ok" }`.
    pub success: Option<Success>,
    /// JSON pointer into the answer, to what the other system calls the result. Without it the
    /// header field `Location`, or else the notification's key.
    pub reference: Option<String>,
}

/// How it is sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // Documented, the schema would have one schema for each.
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
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

/// The default body: all data of an account and its event.
fn body() -> Value {
    json!({
        "key": "{{ key }}",
        "cause": "{{ cause }}",
        "account": {
            "id": "{{ account.id }}",
            "name": "{{ account.name }}",
            "email": "{{ account.email }}",
            "organizational_unit": "{{ account.ou_path }}",
            "joined": "{{ account.joined }}",
        },
        "event": { "id": "{{ event.id }}", "name": "{{ event.name }}" },
        "time": "{{ now }}",
    })
}

impl Settings {
    /// The problems of the settings, except those of templates.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(self.body.is_object() || self.body.is_string()) {
            let message = "expected a table, which is sent as JSON, or a text";
            problems.push(Problem::new(crate::BODY_POINTER, message));
        }
        if self.body.is_string() && self.content_type().contains("json") {
            let message = "JSON is written as a table: in a text, an account whose name has a \
                           quotation mark would break it";
            problems.push(Problem::new(crate::BODY_POINTER, message));
        }
        if self.reference.as_ref().is_some_and(|pointer| !pointer.starts_with('/')) {
            let message = "expected a JSON pointer, such as `/result/id`";
            problems.push(Problem::new("/reference", message));
        }
        for name in self.headers.keys() {
            let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if name.is_empty() || !name.bytes().all(fit) {
                let message = format!("{name:?} is no name of a header field");
                problems.push(Problem::new(crate::header_pointer(name), message));
            }
        }
        problems
    }

    pub(crate) fn content_type(&self) -> &str {
        match (&self.content_type, self.body.is_string()) {
            (Some(content_type), _) => content_type,
            (None, true) => "text/plain; charset=utf-8",
            (None, false) => "application/json",
        }
    }
}
