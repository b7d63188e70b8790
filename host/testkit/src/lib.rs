//! Test helpers that several crates share. Only tests depend on this crate.
//!
//! Each feature has the helpers for one kind of test. `hosts` has hosts on a simulated AWS, support
//! cases and seeds. `plugins` has components from a few lines of WebAssembly text, the input for
//! loading and calling policies and notifiers, and an HTTP server to notify.

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
