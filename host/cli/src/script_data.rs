//! The data file of a policy script: `rings.data.toml` or `rings.data.json` for `rings.rego`. Keys
//! under `[policies.settings]` of the config have priority over it.

use std::io;
use std::path::{Path, PathBuf};

use groundcrew_core::config::{PluginSettings, PluginSource};
use groundcrew_plugins::files;
use serde_json::{Map, Value};

/// A data file.
pub struct ScriptData {
    /// Its name, as the config would write it.
    name: String,
    settings: PluginSettings,
}

impl ScriptData {
    /// The data file of a plugin, if the plugin is a script that has one.
    ///
    /// # Errors
    /// What is wrong with the file, with its name.
    pub fn of(plugin: &PluginSource, base: &Path) -> Result<Option<Self>, String> {
        let PluginSource::Script(script) = plugin else { return Ok(None) };
        let named = |extension: &str| script.with_extension(extension);
        let toml = read(base, named("data.toml"))?;
        let json = read(base, named("data.json"))?;
        let (name, settings) = match (toml, json) {
            (None, None) => return Ok(None),
            (Some((toml, _)), Some((json, _))) => {
                return Err(format!(
                    "{toml} and {json} are both there: a script has one; remove one"
                ));
            }
            (Some((name, text)), None) => {
                let settings = PluginSettings::parse(&text).map_err(|problems| {
                    let problems =
                        problems.iter().map(|p| format!("{name}:{}: {}", p.line, p.message));
                    problems.collect::<Vec<_>>().join("; ")
                })?;
                (name, settings)
            }
            (None, Some((name, text))) => {
                let json: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
                    format!("{name}:{}: expected a JSON object: {error}", error.line())
                })?;
                (name, PluginSettings::empty(0).with_defaults(json))
            }
        };
        Ok(Some(Self { name, settings }))
    }

    /// The script's data: the settings of the config, and the keys of the file that the config
    /// doesn't have.
    pub fn merge_into(&self, settings: &PluginSettings) -> PluginSettings {
        let file = self.settings.json.as_object().cloned().unwrap_or_default();
        settings.clone().with_defaults(file)
    }

    /// The line of the value at a JSON pointer in the file, unless the config has the value.
    pub fn source_line(&self, settings: &PluginSettings, at: &str) -> Option<String> {
        let key = at.strip_prefix('/')?.split('/').next()?.replace("~1", "/").replace("~0", "~");
        let has = |settings: &PluginSettings| settings.json.get(&key).is_some();
        (has(&self.settings) && !has(settings)).then(|| match self.settings.line(at) {
            0 => self.name.clone(),
            line => format!("{}:{line}", self.name),
        })
    }
}

/// The name and text of a file, if it exists.
fn read(base: &Path, path: PathBuf) -> Result<Option<(String, String)>, String> {
    let name = path.display().to_string();
    match files::read_text(&base.join(&path), files::MAX_TEXT_BYTES) {
        Ok(text) => Ok(Some((name, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{name}: the data can't be read: {error}")),
    }
}
