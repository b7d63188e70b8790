//! Which plugin to load, and how.

use std::path::PathBuf;

use groundcrew_core::limits::Limits;
use serde_json::Value;

use crate::http::HttpAccess;
use crate::support_cases::SupportGrant;

/// A policy as the config describes it.
#[derive(Clone, Debug)]
pub struct PolicySpec {
    /// Its name in the config, which errors and logs use.
    pub name: String,
    /// Where its component comes from.
    pub source: Source,
    /// The SHA-256 that the component must have, in hex.
    pub sha256: Option<String>,
    /// Its settings: a JSON object.
    pub settings: Value,
    /// The names of all lanes, in the order in which they run.
    pub lanes: Vec<String>,
    /// What one call may use.
    pub limits: Limits,
    /// How long an instance lives.
    pub instance: Instance,
}

/// A notifier as the config describes it.
#[derive(Clone, Debug)]
pub struct NotifierSpec {
    /// Its name in the config, which errors and logs use.
    pub name: String,
    /// Where its component comes from.
    pub source: Source,
    /// The SHA-256 that the component must have, in hex.
    pub sha256: Option<String>,
    /// Its settings: a JSON object.
    pub settings: Value,
    /// What one call may use. The time includes waiting for the other system.
    pub limits: Limits,
    /// What it may do with AWS Support; nothing when `None`.
    pub support: Option<SupportGrant>,
    /// What it may reach over HTTP; nothing when `None`.
    pub http: Option<HttpAccess>,
}

/// What both kinds of plugins have in common.
#[derive(Clone, Copy)]
pub(crate) struct PluginSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) sha256: Option<&'a str>,
    pub(crate) settings: &'a Value,
    pub(crate) lanes: &'a [String],
    pub(crate) limits: Limits,
}

impl PolicySpec {
    pub(crate) fn common(&self) -> PluginSpec<'_> {
        PluginSpec {
            name: &self.name,
            source: &self.source,
            sha256: self.sha256.as_deref(),
            settings: &self.settings,
            lanes: &self.lanes,
            limits: self.limits,
        }
    }
}

impl NotifierSpec {
    pub(crate) fn common(&self) -> PluginSpec<'_> {
        PluginSpec {
            name: &self.name,
            source: &self.source,
            sha256: self.sha256.as_deref(),
            settings: &self.settings,
            lanes: &[],
            limits: self.limits,
        }
    }
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One of [`bundled::names`](crate::bundled::names()).
    Bundled(String),
    /// A `.wasm` file.
    File(PathBuf),
    /// A policy script in Rego, run by the bundled interpreter. Its settings are its data.
    Script {
        /// The file.
        path: PathBuf,
        /// Its name in messages: as the user wrote it.
        name: String,
    },
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Instance {
    /// A fresh instance for each evaluation: no state is carried over, whatever the plugin does.
    #[default]
    Fresh,
    /// Configured once and kept, for plugins that are costly to configure. It is dropped
    /// after any failure of the sandbox, and after a bounded number of calls.
    Kept,
}
