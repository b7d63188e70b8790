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

mod agenda;
mod busy;
mod cbor;
mod connector;
mod control;
mod control_tower;
mod cursor;
mod dynamodb;
mod events;
mod faults;
mod fleet;
mod identity_center;
mod identity_store;
mod ids;
mod kept;
mod message_attributes;
pub mod model;
mod operations;
mod organizations;
pub mod protocol;
mod queue;
mod queue_settings;
mod queues;
mod serve;
mod service_catalog;
mod sim;
mod sns;
mod sqs;
mod starter;
mod state;
mod sts;
mod support;
mod tagging;
mod throttle;
mod time;
mod updates;
mod versions;
mod web;
mod world;
mod xml;

pub use control_tower::{LandingZone, LandingZoneStatus};
pub use faults::FaultLevel;
pub use groundcrew_core::snapshot::{Snapshot, SnapshotAccount, SnapshotError};
pub use queue::QueueOptions;
pub use serve::{Keep, ServeOptions, serve, serve_kept};
pub use sim::{NextCall, SimAws, SimOptions};
pub use sns::PublishedAlert;
pub use state::{Resources, State, StateError};
pub use support::OpenedCase;
pub use tagging::TagIndexState;
pub use time::SimClock;
pub use updates::{MaxConcurrent, OperationLog, OperationOutcome};
pub use web::{ServiceNow, WebRecord, WebRequest, WebResponse};
