//! How loading a plugin can fail.

use std::io;
use std::path::PathBuf;

use groundcrew_core::decision::SettingProblem;

use crate::call_error::CallError;
use crate::world::World;

/// A plugin that can't be used, and why. Found when the config is loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No bundled plugin has that name.
    #[error(
        "plugin `{plugin}`: no {world} is called `{name}`{}; bundled are {}; \
         a path to a .wasm file begins with `./` or `/`",
        nearest.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownBundled {
        /// The plugin's name in the config.
        plugin: String,
        /// The world that the config needs.
        world: World,
        /// The unknown name.
        name: String,
        /// The known names.
        known: Vec<&'static str>,
        /// The most similar known name, if any is similar.
        nearest: Option<&'static str>,
    },
    /// The file can't be read.
    #[error("plugin `{plugin}`: {}: {source}", path.display())]
    Read {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A script that is not text.
    #[error("plugin `{plugin}`: {} is not UTF-8 text: byte {at} is none", path.display())]
    TextDecodeError {
        /// How many bytes at its beginning are text.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// How many bytes of it are text.
        at: usize,
    },
    /// The component's hash is not the one in the config.
    #[error(
        "plugin `{plugin}`: the config expects sha256 {expected}, but the component has {found}"
    )]
    Digest {
        /// The plugin.
        plugin: String,
        /// The hash in the config.
        expected: String,
        /// The hash of the component.
        found: String,
    },
    /// It is not WebAssembly at all.
    #[error("plugin `{plugin}` is not WebAssembly: expected a component (a .wasm file)")]
    NotWasm {
        /// The plugin.
        plugin: String,
    },
    /// It is a core module.
    #[error(
        "plugin `{plugin}` is a core WebAssembly module: expected a component; \
         build for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule {
        /// The plugin.
        plugin: String,
    },
    /// It is damaged, or uses what this groundcrew doesn't support.
    #[error("plugin `{plugin}` is damaged or uses an unsupported feature: {reason}")]
    Invalid {
        /// The plugin.
        plugin: String,
        /// The message of wasmtime.
        reason: String,
    },
    /// It was built for the other world.
    #[error(
        "plugin `{plugin}` is a {found}, not a {}: name it under {}",
        found.other(), found.config_table()
    )]
    WrongWorld {
        /// The plugin.
        plugin: String,
        /// Its world.
        found: World,
    },
    /// It was built for something else.
    #[error(
        "plugin `{plugin}` is not a {world}: it lacks the export {missing}; \
         build it for the world `{world}` of groundcrew:plugin"
    )]
    MissingExport {
        /// The plugin.
        plugin: String,
        /// The world that it should have.
        world: World,
        /// The export.
        missing: String,
    },
    /// It was built for another version of the contract.
    #[error(
        "plugin `{plugin}` was built for {found}, this groundcrew has {expected}: \
         rebuild it with this version's wit/ or SDK"
    )]
    Version {
        /// The plugin.
        plugin: String,
        /// The interface with the version that the plugin names.
        found: String,
        /// The interface with this groundcrew's version.
        expected: String,
    },
    /// It imports something that plugins of its world may not import.
    #[error(
        "plugin `{plugin}` imports what a {world} is not given: {}{hint}",
        imports.join(", ")
    )]
    ForbiddenImport {
        /// The plugin.
        plugin: String,
        /// Its world.
        world: World,
        /// The interfaces.
        imports: Vec<String>,
        /// What to do about it.
        hint: &'static str,
    },
    /// It imports `support-cases`, and the config grants it no service code.
    #[error("plugin `{plugin}` opens support cases, and none are granted: {hint}")]
    SupportCasesNotGranted {
        /// The plugin.
        plugin: String,
        /// What to write into the config.
        hint: String,
    },
    /// It imports `wasi:http`, and the config grants it no URL.
    #[error(
        "plugin `{plugin}` speaks HTTP, and no URL is granted: to grant one, write \
         `[[notifiers.grants.http]]` with `url` and `methods` below this notifier"
    )]
    HttpNotGranted {
        /// The plugin.
        plugin: String,
    },
    /// It has more memories or tables than any plugin needs.
    #[error("plugin `{plugin}` has {count} {what}: at most {limit} are allowed")]
    TooMany {
        /// The plugin.
        plugin: String,
        /// What.
        what: &'static str,
        /// How many.
        count: u32,
        /// How many are allowed.
        limit: u32,
    },
    /// Its settings' schema is not a JSON Schema.
    #[error("plugin `{plugin}` answers no JSON Schema for its settings: {reason}")]
    Schema {
        /// The plugin.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// All wrong settings.
    #[error("{} wrong: {}", plural(.0.len()), join_problems(.0))]
    Settings(Vec<SettingProblem>),
    /// A call failed while it was loaded.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn plural(count: usize) -> String {
    if count == 1 { "a setting is".to_owned() } else { format!("{count} settings are") }
}

pub(crate) fn join_problems(problems: &[SettingProblem]) -> String {
    let one = |SettingProblem { at, message }: &SettingProblem| {
        if at.is_empty() { message.clone() } else { format!("{at}: {message}") }
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}
