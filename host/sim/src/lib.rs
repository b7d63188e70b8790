//! A simulated AWS control plane that answers the real AWS SDKs.
//!
//! [`model::Model`] is a function from HTTP request to answer: Control Tower and Service
//! Catalog with the Account Factory product, Organizations, the Resource Groups Tagging API,
//! Identity Center, SQS, SNS, STS, Support and DynamoDB, enforcing what AWS enforces. Beside it
//! are the systems that notifiers tell over HTTP.
//! [`SimAws`] plugs it under SDK clients as their HTTP client, so that serialization,
//! retries and error parsing are those of the shipped code. [`serve()`] serves it over HTTP
//! in real time, for the AWS CLI and other SDKs.
//!
//! # Where things are
//!
//! - `protocol`: the wire formats, and what of each service only they need to know;
//! - `fleet`: the accounts that all services are about;
//! - `faults`: what goes wrong, by the seed or because a test says so;
//! - `services`: one module for each service of AWS;
//! - `web`: systems other than AWS;
//! - `model`: all of them together, and what happens by itself;
//! - `world`: a model with its clock, shared by those who call it: by SDKs in the same process
//!   (`in_process`), or over HTTP (`serve`, with `state` to go on from).
//!
//! None uses one that comes after it.
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
