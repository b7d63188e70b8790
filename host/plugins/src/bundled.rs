//! The plugins that are part of the binary. `build.rs` builds them.

/// A plugin: its name and its component.
type Bundled = (&'static str, &'static [u8]);

const ALL: [Bundled; 1] =
    [("managed-tag", include_bytes!(concat!(env!("OUT_DIR"), "/managed-tag.wasm")))];

/// The names that `plugin = "…"` can say.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The component of that name.
pub(crate) fn component(name: &str) -> Option<&'static [u8]> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, component)| *component)
}
