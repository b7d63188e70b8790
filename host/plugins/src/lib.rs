//! Runs plugins: WebAssembly components behind the contract in `wit/`.
//!
//! A [`Runtime`] loads a [`LoadedPolicy`] from a [`PolicySpec`]. It implements
//! [`groundcrew_core::ports::Policy`]. A runtime loads a [`LoadedNotifier`] from a
//! [`NotifierSpec`]. It implements [`groundcrew_core::ports::Notifier`].
//!
//! A plugin has no authority: no files, no network, no environment, and no clock but the time of
//! the candidate or notification. The spec of a notifier can grant more: opening support cases of
//! certain services ([`SupportGrant`]), and sending HTTP requests to certain URLs
//! ([`http::HttpAccess`]). Every call ends within its [`Limits`](groundcrew_core::limits::Limits).
//! A call that reaches a limit fails with a typed error that names the plugin and the limit, and
//! does not affect the next call.

#![deny(missing_docs)]

mod bindings;
mod build;
pub mod bundled;
mod cache;
mod call_error;
mod code;
mod contract;
mod convert;
mod coverage;
mod delivery;
mod engine;
mod exports;
pub mod files;
pub mod http;
mod imports;
mod instance_state;
mod load_error;
mod log;
mod notifier;
pub mod package;
mod policy;
mod runtime;
mod runtime_error;
mod sandbox;
mod schema;
mod script;
mod spec;
mod support_cases;
mod usage;
mod wasi;
mod world;

pub use cache::CacheError;
pub use call_error::CallError;
pub use coverage::{Coverage, LineCoverage};
pub use load_error::LoadError;
pub use notifier::LoadedNotifier;
pub use policy::LoadedPolicy;
pub use runtime::{Runtime, RuntimeOptions};
pub use runtime_error::RuntimeError;
pub use spec::{Instance, NotifierSpec, PolicySpec, Source};
pub use support_cases::SupportGrant;
pub use world::World;
