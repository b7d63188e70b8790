//! Which build of groundcrew this is.

/// This build of groundcrew: what it compiled it may load, and nothing else. The text is in the
/// program as it is, so that a program can be asked for its build without being run.
pub const BUILD: &str =
    concat!("groundcrew-build:", env!("CARGO_PKG_VERSION"), "+", env!("GROUNDCREW_BUILD"));
