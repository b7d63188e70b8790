//! What the tests of several crates share. No crate but tests depends on it.
//!
//! Each feature brings what one kind of test needs: `hosts` brings hosts on a simulated AWS,
//! support cases and seeds; `plugins` brings components of a few lines of WebAssembly text, what
//! policies and notifiers are loaded from and called with, and a server to tell.

#![deny(missing_docs)]

#[cfg(feature = "hosts")]
pub mod cases;
#[cfg(feature = "plugins")]
pub mod components;
pub mod events;
#[cfg(feature = "hosts")]
pub mod hosts;
#[cfg(feature = "plugins")]
pub mod http_server;
#[cfg(feature = "plugins")]
pub mod log;
#[cfg(feature = "plugins")]
pub mod notifiers;
#[cfg(feature = "plugins")]
pub mod policies;
#[cfg(feature = "hosts")]
pub mod seeds;
