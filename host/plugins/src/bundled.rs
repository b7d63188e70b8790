//! The plugins that are part of the binary. `build.rs` builds them.

use crate::world::World;

/// A plugin: its name, what it is for, and its component.
type Bundled = (&'static str, World, &'static [u8]);

const ALL: [Bundled; 3] = [
    ("managed-tag", World::Policy, include_bytes!(concat!(env!("OUT_DIR"), "/managed-tag.wasm"))),
    ("ams-case", World::Notifier, include_bytes!(concat!(env!("OUT_DIR"), "/ams-case.wasm"))),
    ("rego", World::Policy, include_bytes!(concat!(env!("OUT_DIR"), "/rego.wasm"))),
];

/// The names that `plugin = "…"` can say where the config names plugins of this world.
pub fn names(world: World) -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(move |(_, its, _)| *its == world).map(|(name, ..)| *name)
}

/// The component of that name, whatever its world.
pub(crate) fn component(name: &str) -> Option<&'static [u8]> {
    ALL.iter().find(|(known, ..)| *known == name).map(|(.., component)| *component)
}
