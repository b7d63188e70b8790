//! The common parts of these systems: requests, responses and records.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request to such a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// For example `POST`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The header field of that name.
    pub idempotency_key: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// The response of such a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: String,
}

/// A record that such a system keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebRecord {
    /// The URL of the record.
    pub url: String,
    /// The last body that was written.
    pub body: Value,
    /// How often it was written.
    pub writes: usize,
}

/// A response in JSON.
pub(super) fn answer(status: u16, body: Value) -> WebResponse {
    WebResponse {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string(),
    }
}

/// The fields of a JSON object. Other values have none.
pub(super) fn fields(body: Value) -> Map<String, Value> {
    match body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
