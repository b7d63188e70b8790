//! The decisions of groundcrew, and the types that they are made of.
//!
//! This crate is pure: it reads no file, opens no socket, spawns no task and has no clock of its
//! own. It gets everything as an argument, including the time. It depends neither on wasmtime nor
//! on an AWS SDK. The services that it needs are traits in [`ports`], which the other crates
//! implement.

#![deny(missing_docs)]

pub mod account;
pub mod aws_error;
pub mod backoff;
pub mod baseline;
pub mod catalog;
pub mod config;
pub mod credentials;
pub mod decision;
pub mod decision_combiner;
pub mod doctor;
pub mod envelope;
pub mod event;
pub mod http;
pub mod lane;
pub mod lease;
pub mod limits;
pub mod list_schedule;
pub mod no_delivery_reason;
pub mod notification;
pub mod onboarding;
pub mod parameters;
pub mod pattern;
pub mod plan;
pub mod plan_id;
pub mod ports;
pub mod route;
pub mod scheduler;
pub mod snapshot;
pub mod start_failure;
pub mod suggestions;
pub mod support_case;
pub mod text;
pub mod unfinished_snapshot;
pub mod update_need;
