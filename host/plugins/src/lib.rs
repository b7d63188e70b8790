//! Runs plugins: WebAssembly components behind the contract in `wit/`.
//!
//! A [`Runtime`] loads a [`LoadedPolicy`] from a [`PolicySpec`]; asking it is
//! [`groundcrew_core::ports::Policy`]. A plugin has no authority: no file, no network, no
//! environment, no clock but the candidate's time. Whatever it does, a call ends within
//! its [`Limits`](groundcrew_core::limits::Limits), with a typed error that names the
//! plugin and the limit, and the next call is not affected.

#![deny(missing_docs)]

mod bindings;
pub mod bundled;
mod cache;
mod call_error;
mod contract;
mod convert;
mod engine;
mod load_error;
mod log;
mod policy;
mod runtime;
mod sandbox;
mod schema;
mod spec;
mod usage;
mod wasi;

pub use cache::CacheError;
pub use call_error::CallError;
pub use load_error::LoadError;
pub use policy::LoadedPolicy;
pub use runtime::{Runtime, RuntimeError, RuntimeOptions};
pub use spec::{Instance, PolicySpec, Source};
