//! The engine around core. It performs the actions that the scheduler returns, through core's
//! ports, and passes the observations back to the scheduler. It also delivers the notifications of
//! events to notifiers.
//!
//! It depends on no AWS SDK, on no wasmtime and on no config file: the caller that creates a
//! [`Host`] passes the ports to it. So the service, the Lambda function and the simulator run the
//! same engine, and its tests need no network.
//!
//! - [`updates`] keeps accounts current, and [`notifications`] delivers notifications of events.
//!   Neither depends on the other.
//! - `host` drives both: as a service, or by ticks. It reads the events queue for both, and writes
//!   heartbeats into the ledger.
//! - `policy_pipeline` evaluates the policies, `alerter` publishes alerts, `queues` receives messages,
//!   `retry` repeats calls and `stop` ends waits, for both.
//! - An [`Observer`] receives the events of the engine; [`Health`] is an observer that reports
//!   whether a host does its work. [`JumpTolerantClock`] runs evenly when the machine's clock jumps.
//! - [`snapshot`] reads a whole organization.

#![deny(missing_docs)]

mod alerter;
mod alerts;
mod clock;
mod health;
mod host;
mod log_dedup;
pub mod notifications;
mod observer;
mod policy_pipeline;
mod queues;
mod retry;
pub mod snapshot;
mod stop;
pub mod updates;

pub use alerts::unreadable_message_alert;
pub use clock::{JUMP_ACCEPTED_AFTER, JumpTolerantClock};
pub use health::Health;
pub use host::{BlockedLane, Host, HostPorts, SHUTDOWN_GRACE, Ticker, Until};
pub use observer::{EngineEvent, NoopObserver, Observer, UpdateEnding};
pub use policy_pipeline::{
    ConfiguredPolicy, Evaluation, FailureHandling, PolicyPipeline, PolicyResult,
};
pub use updates::{SweepError, UpdatePorts, UpdateSettings, plan_id};
