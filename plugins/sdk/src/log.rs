//! Writes to the host's log. The host adds plugin and account, and limits how much one call may
//! write.

pub use crate::bindings::settings::groundcrew::plugin::log::Level;

/// Writes one line. In native tests, to stderr.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::settings::groundcrew::plugin::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a line for somebody who debugs the plugin.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes a line for information.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a warning.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes an error.
pub fn error(message: &str) {
    write(Level::Error, message);
}
