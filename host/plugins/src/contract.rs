//! Whether a component conforms to the contract: its imports, its exports and its resources.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::{MAX_MEMORIES, MAX_TABLES};
use crate::imports;
use crate::load_error::LoadError;
use crate::world::World;

/// What every plugin exports, in the version that this groundcrew speaks.
const SETTINGS: &str = "groundcrew:plugin/settings@0.1.0";
const TYPES: &str = "groundcrew:plugin/types@0.1.0";
const LOG: &str = "groundcrew:plugin/log@0.1.0";
/// A notifier's capability to open AWS Support cases.
pub(crate) const SUPPORT_CASES: &str = "groundcrew:plugin/support-cases@0.1.0";
/// A notifier's capability to send HTTP requests, whatever its patch version.
pub(crate) const HTTP: &str = "wasi:http/outgoing-handler";
/// WASI interfaces that a notifier may import in addition to those of every plugin.
const NOTIFIER_WASI: [&str; 2] = ["wasi:http/types", HTTP];
/// The version of WASI whose interfaces are offered: any patch version is accepted.
const WASI_VERSION: &str = "0.2.";

/// The export that a plugin of this world must have.
fn exported_interface(world: World) -> &'static str {
    match world {
        World::Policy => "groundcrew:plugin/decide@0.1.0",
        World::Notifier => "groundcrew:plugin/deliver@0.1.0",
    }
}

/// What a plugin may import in addition to [`imports::WASI_INTERFACES`].
fn allowed_imports(world: World) -> &'static [&'static str] {
    match world {
        World::Policy => &[TYPES, LOG],
        World::Notifier => &[TYPES, LOG, SUPPORT_CASES],
    }
}

/// Distinguishes components from everything else by their first eight bytes.
pub(crate) fn check_preamble(plugin: &str, bytes: &[u8]) -> Result<(), LoadError> {
    let plugin = || plugin.to_owned();
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule { plugin: plugin() }),
        _ => Err(LoadError::NotWasm { plugin: plugin() }),
    }
}

/// Checks a compiled component.
pub(crate) fn check(
    plugin: &str,
    world: World,
    engine: &Engine,
    component: &Component,
) -> Result<(), LoadError> {
    check_exports(plugin, world, engine, component)?;
    check_imports(plugin, world, engine, component)?;
    check_resource_limits(plugin, component)
}

/// Whether a component imports an interface; in any version, if none is given.
pub(crate) fn imports(engine: &Engine, component: &Component, import: &str) -> bool {
    let is_it = |name| name == import || interface(name) == import;
    component.component_type().imports(engine).any(|(name, _)| is_it(name))
}

/// Additional exports are ignored.
fn check_exports(
    plugin: &str,
    world: World,
    engine: &Engine,
    component: &Component,
) -> Result<(), LoadError> {
    let ty = component.component_type();
    let exports = || ty.exports(engine).map(|(name, _)| name);
    let other = interface(exported_interface(world.other()));
    for expected in [SETTINGS, exported_interface(world)] {
        // wasmtime's own rule for which versions are compatible.
        if component.get_export_index(None, expected).is_some() {
            continue;
        }
        if let Some(found) = exports().find(|name| interface(name) == interface(expected)) {
            return Err(version(plugin, found, expected));
        }
        let plugin = plugin.to_owned();
        return Err(if exports().any(|name| interface(name) == other) {
            LoadError::WrongWorld { plugin, found: world.other() }
        } else {
            LoadError::MissingExport { plugin, world, missing: expected.to_owned() }
        });
    }
    Ok(())
}

fn check_imports(
    plugin: &str,
    world: World,
    engine: &Engine,
    component: &Component,
) -> Result<(), LoadError> {
    let allowed_imports = allowed_imports(world);
    let ty = component.component_type();
    let mut undeclared = Vec::new();
    for (import, _) in ty.imports(engine) {
        if allowed_imports.contains(&import) {
            continue;
        }
        if let Some(expected) =
            allowed_imports.iter().find(|ours| interface(ours) == interface(import))
        {
            return Err(version(plugin, import, expected));
        }
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        let known = imports::WASI_INTERFACES.contains(&name)
            || (world == World::Notifier && NOTIFIER_WASI.contains(&name));
        if !(known && version.starts_with(WASI_VERSION)) {
            undeclared.push(import.to_owned());
        }
    }
    if undeclared.is_empty() {
        Ok(())
    } else {
        let hint = import_hint(world, &undeclared);
        Err(LoadError::ForbiddenImport {
            plugin: plugin.to_owned(),
            world,
            imports: undeclared,
            hint,
        })
    }
}

/// Checked here because reaching wasmtime's own limits has no error type.
fn check_resource_limits(plugin: &str, component: &Component) -> Result<(), LoadError> {
    let Some(needs) = component.resources_required() else {
        // It imports modules or components, which have been refused before.
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

/// What to do about the refused imports.
fn import_hint(world: World, imports: &[String]) -> &'static str {
    let any = |prefix| imports.iter().any(|import| import.starts_with(prefix));
    match world {
        _ if any("wasi:sockets") => {
            "; a plugin has no sockets: with componentize-py use `--stub-wasi`"
        }
        World::Policy if any("wasi:http") => {
            "; a policy has no network: what talks to other systems is a notifier; \
             with componentize-js use `--disable http`"
        }
        World::Notifier if any("wasi:http") => {
            "; a notifier sends requests (wasi:http/outgoing-handler of WASI 0.2), and serves none"
        }
        World::Policy if any("groundcrew:plugin/") => "; only notifiers are given it",
        World::Policy => {
            "; a policy gets its candidate, a log, and the part of WASI 0.2 that needs no grant"
        }
        World::Notifier => {
            "; a notifier gets its notification, a log, support cases and HTTP where they are \
             granted, and the part of WASI 0.2 that needs no grant"
        }
    }
}
