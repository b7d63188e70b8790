//! Write a groundcrew plugin in about twenty lines.
//!
//! # A policy
//!
//! A policy is a type that is made from its settings and evaluates candidates. [`policy!`] turns it
//! into a plugin.
//!
//! ```
//! use groundcrew_sdk::{Candidate, Context, Failure, Policy, PolicyDecision, Problem};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Frozen {
//!     /// Name of an OU whose accounts are excluded.
//!     ou: String,
//! }
//!
//! impl Policy for Frozen {
//!     type Settings = Self;
//!     fn configure(settings: Self, _: &Context) -> Result<Self, Vec<Problem>> {
//!         Ok(settings)
//!     }
//!     fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, Failure> {
//!         let frozen = candidate.account.is_below(&self.ou);
//!         Ok(if frozen { PolicyDecision::skip("frozen") } else { PolicyDecision::Abstain })
//!     }
//! }
//! groundcrew_sdk::policy!(Frozen);
//! ```
//!
//! # A notifier
//!
//! A notifier is a type that notifies another system of an account. [`notifier!`] turns it into a
//! plugin. The config grants it capabilities: [`http`] requests, and as here [`support_cases`].
//!
//! ```
//! use groundcrew_sdk::support_cases::{self, SupportCase};
//! use groundcrew_sdk::{Context, Failure, Notification, Notifier, Problem, Receipt};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Desk {
//!     /// AWS Support's code of the service that the cases are about.
//!     service_code: String,
//! }
//!
//! impl Notifier for Desk {
//!     type Settings = Self;
//!     fn configure(settings: Self, _: &Context) -> Result<Self, Vec<Problem>> {
//!         Ok(settings)
//!     }
//!     fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
//!         let account = &notification.account;
//!         let case_id = support_cases::open(&SupportCase {
//!             subject: format!("Account {} has landed", account.id),
//!             body: format!("Please add {} to the inventory.", account.name),
//!             service_code: self.service_code.clone(),
//!             category_code: "other".to_owned(),
//!             severity_code: "low".to_owned(),
//!             cc_email_addresses: vec![],
//!             language: "en".to_owned(),
//!             issue_type: "customer-service".to_owned(),
//!         })?;
//!         Ok(Receipt::new(case_id))
//!     }
//! }
//! groundcrew_sdk::notifier!(Desk);
//! ```
//!
//! # Building and testing
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
//! `plugin = "./frozen.wasm"` names in the config. Everything but the macros also builds
//! natively, so that `cargo test` tests a plugin like any other type.

#![deny(missing_docs)]

mod account;
#[cfg(any(test, all(target_arch = "wasm32", feature = "allocator")))]
mod allocator;
#[doc(hidden)]
pub mod bindings;
mod decision;
mod export;
mod failure;
pub mod http;
mod instance;
pub mod log;
mod notifier;
mod policy;
mod problem;
pub mod support_cases;

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: allocator::RecyclingAllocator = allocator::RecyclingAllocator::new();

#[doc(hidden)]
pub use instance::{Instance, schema};
pub use notifier::Notifier;
pub use policy::Policy;

pub use bindings::decide::exports::groundcrew::plugin::decide::{PolicyDecision, PolicyHold};
pub use bindings::deliver::exports::groundcrew::plugin::deliver::{
    GateDecision, Notification, Receipt,
};
pub use bindings::settings::exports::groundcrew::plugin::settings::{
    Context, Metadata, NamedLanes,
};
pub use bindings::settings::groundcrew::plugin::types::{
    Account, AccountState, Action, Candidate, Cause, Event, Failure, FailureKind, Hold,
    OrganizationalUnit, Problem, ProductStatus, ProvisionedProduct, Tag, Tags, Timestamp,
};
