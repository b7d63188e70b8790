//! The plugins that are part of the binary. `build.rs` builds them.

use crate::world::World;

/// A plugin that is part of the binary.
pub(crate) struct Bundled {
    name: &'static str,
    world: World,
    pub(crate) component: &'static [u8],
    /// SHA-256 of the component, in hex.
    pub(crate) digest: &'static str,
}

macro_rules! bundled {
    ($name:literal, $world:expr) => {
        Bundled {
            name: $name,
            world: $world,
            component: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")),
            digest: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".sha256")),
        }
    };
}

/// The bundled plugins that the config can name.
static CONFIGURABLE: [Bundled; 6] = [
    bundled!("managed-tag", World::Policy),
    bundled!("ams-case", World::Notifier),
    bundled!("baseline-check", World::Notifier),
    bundled!("billing", World::Notifier),
    bundled!("cmdb", World::Notifier),
    bundled!("webhook", World::Notifier),
];

/// Runs policy scripts. The config names the script.
pub(crate) static INTERPRETER: Bundled = bundled!("rego", World::Policy);

/// The names that `plugin = "…"` accepts in the config for plugins of this world.
pub fn names(world: World) -> impl Iterator<Item = &'static str> {
    CONFIGURABLE.iter().filter(move |bundled| bundled.world == world).map(|bundled| bundled.name)
}

/// The plugin of that name, of any world.
pub(crate) fn find(name: &str) -> Option<&'static Bundled> {
    CONFIGURABLE.iter().find(|bundled| bundled.name == name)
}
