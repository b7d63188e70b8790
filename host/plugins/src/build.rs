//! Which build of groundcrew this is.

/// This build of groundcrew. It loads only what the same build has compiled. The program contains
/// the text verbatim, so that its build can be found without running it.
pub const BUILD: &str =
    concat!("groundcrew-build:", env!("CARGO_PKG_VERSION"), "+", env!("GROUNDCREW_BUILD"));
