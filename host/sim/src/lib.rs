//! A simulated AWS control plane that answers the real AWS SDKs.
//!
//! [`model::Model`] is a function from HTTP request to HTTP response: Control Tower and Service
//! Catalog with the Account Factory product, Organizations, the Resource Groups Tagging API,
//! Identity Center, SQS, SNS, STS, Support and DynamoDB. It enforces what AWS enforces. It also has
//! the systems that notifiers call over HTTP.
//! [`SimAws`] runs it under SDK clients as their HTTP client, so that serialization, retries and
//! error parsing are those of the shipped code. [`serve()`] serves it over HTTP in real time, for
//! the AWS CLI and other SDKs.
//!
//! # Modules
//!
//! - `protocol`: the wire formats, and the details of each service that only they need;
//! - `fleet`: the accounts of the organization, which all services share;
//! - `faults`: the faults of calls, events and updates, random by the seed or injected by a test;
//! - `services`: one module for each service of AWS;
//! - `web`: systems other than AWS;
//! - `model`: all of them together, and the scheduled events;
//! - `shared_model`: a model with its clock, shared by its callers: by SDKs in the same process
//!   (`in_process`), or over HTTP (`serve`, with `state` to resume a saved state).
//!
//! No module uses one that comes after it in this list.
//!
//! # Repeatable runs
//!
//! The same seed gives the same run, call by call, if
//! - everything runs on one current-thread tokio runtime with its clock paused
//!   (`tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true)`),
//!   and [`SimAws::new`] is called on it;
//! - `fastrand::seed` is called on that thread before, since the SDKs take the jitter of
//!   their retries from fastrand's thread-local generator ([`SimAws::new`] does so);
//! - clients take their time from [`SimAws::time_source`] and share no retry partition
//!   with another run (`groundcrew-aws` makes its own for each environment).

#![deny(missing_docs)]

mod cursor;
mod faults;
mod fleet;
mod ids;
mod in_process;
pub mod model;
mod names;
pub mod protocol;
mod schedule;
mod serve;
mod services;
mod shared_model;
mod state;
mod state_serde;
mod time;
mod web;

pub use faults::{Fault, FaultLevel, Rejection};
pub use fleet::random_fleet;
pub use groundcrew_core::snapshot::{Snapshot, SnapshotAccount, SnapshotError};
pub use in_process::{SimAws, SimOptions};
pub use serve::{Resources, SaveState, serve, serve_with_state};
pub use services::control_tower::{LandingZone, LandingZoneStatus};
pub use services::service_catalog::operation_store::{
    LoggedOperation, MaxConcurrent, OperationOutcome,
};
pub use services::sns::PublishedAlert;
pub use services::sqs::QueueOptions;
pub use services::support::OpenedCase;
pub use services::tagging::TagIndexState;
pub use state::{ServeOptions, State, StateError};
pub use time::SimClock;
pub use web::{ServiceNow, WebRecord, WebRequest, WebResponse};
