//! The plugins of a package, compiled.

use std::path::Path;

use groundcrew_core::config::{Config, PluginSource};
use groundcrew_plugins::Source;
use groundcrew_plugins::package::Compiler;

use crate::command_error::CommandError;
use crate::loaded_config::plugin_source;

/// The policy that replaces the config's own if the parameters of the stack say so.
const STACK_POLICY: &str = "managed-tag";

/// A compiled plugin: a file of the package's `cache/`.
pub struct CompiledPlugin {
    /// The name of the plugin.
    pub plugin: String,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Compiles every plugin that the config names, and the policy that the stack may replace them
/// with: each once.
pub fn compile(config: &Config, base: &Path) -> Result<Vec<CompiledPlugin>, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::Other(error.to_string());
    let compiler = Compiler::new().map_err(|error| failed(&error))?;
    let policies = config.policies.iter().map(|policy| &policy.plugin_config.plugin);
    let notifiers = config.notifiers.iter().map(|notifier| &notifier.plugin_config.plugin);
    let mut plugins: Vec<(String, Source)> = policies
        .chain(notifiers)
        .chain([&PluginSource::Bundled(STACK_POLICY.to_owned())])
        .map(|plugin| {
            let name = match plugin {
                PluginSource::Bundled(name) => name.clone(),
                PluginSource::File(path) => path.display().to_string(),
                PluginSource::Script(_) => "policy scripts".to_owned(),
            };
            (name, plugin_source(plugin, base))
        })
        .collect();
    plugins.sort_by(|one, other| one.0.cmp(&other.0));
    plugins.dedup_by(|one, other| one.0 == other.0);
    let mut compiled: Vec<CompiledPlugin> = Vec::new();
    for (plugin, source) in plugins {
        let file = compiler.compile(&plugin, &source).map_err(|error| failed(&error))?;
        if compiled.iter().all(|other| other.name != file.name) {
            compiled.push(CompiledPlugin { plugin, name: file.name, bytes: file.bytes });
        }
    }
    Ok(compiled)
}
