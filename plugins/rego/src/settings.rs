//! The settings from the host: the script that the config names, and the user's data.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Settings of `rego`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the script is called in messages.
    pub file: String,
    /// The script: one module of Rego v1.
    pub script: String,
    /// What the script finds under `data`, beside `data.lanes`.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Whether each evaluation tells the log which lines have been reached: what
    /// `groundcrew policy test --coverage` asks for.
    #[serde(default)]
    pub coverage: bool,
}
