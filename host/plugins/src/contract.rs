//! Whether a component keeps to the contract: what it imports, exports and needs.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::{MAX_MEMORIES, MAX_TABLES};
use crate::load_error::LoadError;
use crate::wasi;

/// What a policy exports, in the version that this groundcrew speaks.
const EXPORTS: [&str; 2] = ["groundcrew:plugin/settings@0.1.0", "groundcrew:plugin/decide@0.1.0"];
/// What it may import beside [`wasi::OFFERED`].
const IMPORTS: [&str; 2] = ["groundcrew:plugin/types@0.1.0", "groundcrew:plugin/log@0.1.0"];
/// What a notifier exports instead.
const NOTIFIER: &str = "groundcrew:plugin/deliver";
/// The version of WASI whose interfaces are offered: any patch of it will do.
const WASI: &str = "0.2.";

/// Tells components from everything else by their first eight bytes.
pub(crate) fn check_preamble(plugin: &str, bytes: &[u8]) -> Result<(), LoadError> {
    let plugin = || plugin.to_owned();
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule { plugin: plugin() }),
        _ => Err(LoadError::NotWasm { plugin: plugin() }),
    }
}

/// Checks a compiled component.
pub(crate) fn check(plugin: &str, engine: &Engine, component: &Component) -> Result<(), LoadError> {
    check_exports(plugin, engine, component)?;
    check_imports(plugin, engine, component)?;
    check_needs(plugin, component)
}

/// More exports than these are nobody's business.
fn check_exports(plugin: &str, engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    let exports = || ty.exports(engine).map(|(name, _)| name);
    for expected in EXPORTS {
        // wasmtime's own rule for which versions are compatible.
        if component.get_export_index(None, expected).is_some() {
            continue;
        }
        if let Some(found) = exports().find(|name| interface(name) == interface(expected)) {
            return Err(version(plugin, found, expected));
        }
        let plugin = plugin.to_owned();
        return Err(if exports().any(|name| interface(name) == NOTIFIER) {
            LoadError::Notifier { plugin }
        } else {
            LoadError::NotAPolicy { plugin, missing: expected.to_owned() }
        });
    }
    Ok(())
}

fn check_imports(plugin: &str, engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    let mut undeclared = Vec::new();
    for (import, _) in ty.imports(engine) {
        if IMPORTS.contains(&import) {
            continue;
        }
        if let Some(expected) = IMPORTS.iter().find(|ours| interface(ours) == interface(import)) {
            return Err(version(plugin, import, expected));
        }
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        if !(wasi::OFFERED.contains(&name) && version.starts_with(WASI)) {
            undeclared.push(import.to_owned());
        }
    }
    if undeclared.is_empty() {
        Ok(())
    } else {
        let hint = hint(&undeclared);
        Err(LoadError::Undeclared { plugin: plugin.to_owned(), imports: undeclared, hint })
    }
}

/// Checked here because running into wasmtime's own limits has no error type.
fn check_needs(plugin: &str, component: &Component) -> Result<(), LoadError> {
    let Some(needs) = component.resources_required() else {
        // It imports modules or components, which is refused by now.
        return Ok(());
    };
    let counts =
        [("memories", needs.num_memories, MAX_MEMORIES), ("tables", needs.num_tables, MAX_TABLES)];
    match counts.into_iter().find(|(_, count, limit)| count > limit) {
        Some((what, count, limit)) => {
            Err(LoadError::TooMany { plugin: plugin.to_owned(), what, count, limit })
        }
        None => Ok(()),
    }
}

/// The name without the version.
fn interface(name: &str) -> &str {
    name.split_once('@').map_or(name, |(interface, _)| interface)
}

fn version(plugin: &str, found: &str, expected: &str) -> LoadError {
    LoadError::Version {
        plugin: plugin.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

/// What to do about imports that are refused.
fn hint(imports: &[String]) -> &'static str {
    let any = |prefix| imports.iter().any(|import| import.starts_with(prefix));
    if any("wasi:sockets") {
        "; a policy has no network: with componentize-py use `--stub-wasi`"
    } else if any("wasi:http") {
        "; a policy has no network: what talks to other systems is a notifier; \
         with componentize-js use `--disable http`"
    } else if any("groundcrew:plugin/") {
        "; only notifiers are given it"
    } else {
        "; a policy gets its candidate, a log, and the part of WASI 0.2 that needs no grant"
    }
}
