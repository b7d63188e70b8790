//! Write a groundcrew policy in about fifteen lines.
//!
//! A policy is a type: made from its settings, asked about candidates. [`policy!`] turns
//! it into a plugin.
//!
//! ```
//! use groundcrew_sdk::{Candidate, Decision, Failure, Policy, Problem, Surroundings};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Frozen {
//!     /// Name of an OU whose accounts are left alone.
//!     ou: String,
//! }
//!
//! impl Policy for Frozen {
//!     type Settings = Self;
//!     fn configure(settings: Self, _: &Surroundings) -> Result<Self, Vec<Problem>> {
//!         Ok(settings)
//!     }
//!     fn evaluate(&self, candidate: &Candidate) -> Result<Decision, Failure> {
//!         let frozen = candidate.account.is_below(&self.ou);
//!         Ok(if frozen { Decision::skip("frozen") } else { Decision::Abstain })
//!     }
//! }
//! groundcrew_sdk::policy!(Frozen);
//! ```
//!
//! In the plugin's `Cargo.toml`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! groundcrew-sdk = { git = "https://github.com/…/groundcrew" }
//! schemars = "1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the `.wasm` file that
//! `plugin = "./frozen.wasm"` names in the config. Everything but the macro also builds
//! natively, so that `cargo test` tests a policy like any other type.

#![deny(missing_docs)]

mod account;
mod decision;
mod export;
mod failure;
pub mod log;
mod policy;
mod problem;

#[allow(missing_docs)]
#[doc(hidden)]
pub mod bindings {
    //! What `wit-bindgen` makes of the contract.
    wit_bindgen::generate!({
        path: "../../wit",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "groundcrew_sdk::bindings",
        additional_derives: [PartialEq, Eq, Clone],
    });
}

#[doc(hidden)]
pub use export::{Instance, schema};
pub use policy::Policy;

pub use bindings::exports::groundcrew::plugin::decide::{Decision, Hold};
pub use bindings::exports::groundcrew::plugin::settings::{Lanes, Outline, Surroundings};
pub use bindings::groundcrew::plugin::types::{
    Account, Action, Candidate, Cause, Event, Failure, FailureKind, OrganizationalUnit, Problem,
    ProductStatus, ProvisionedProduct, Tag, Tags, Timestamp,
};
