//! Runs plugins: WebAssembly components behind the contract in `wit/`.
//!
//! A [`Runtime`] loads a [`LoadedPolicy`] from a [`PolicySpec`]; asking it is
//! [`groundcrew_core::ports::Policy`]. It loads a [`LoadedNotifier`] from a
//! [`NotifierSpec`]; telling by it is [`groundcrew_core::ports::Notifier`].
//!
//! A plugin has no authority: no file, no network, no environment, no clock but the time of
//! the candidate or notification. What a notifier may do beyond that is in its spec: to
//! open support cases of certain services ([`SupportGrant`]), to send HTTP requests to certain
//! URLs ([`http::HttpAccess`]). Whatever a plugin does, a call
//! ends within its [`Limits`](groundcrew_core::limits::Limits), with a typed error that
//! names the plugin and the limit, and the next call is not affected.

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
