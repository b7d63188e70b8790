//! The shell around core: performs what the scheduler asks for, through core's ports, and
//! tells it what it saw; and sees to it that notifiers are told of events.
//!
//! It knows neither an AWS SDK nor wasmtime nor a config file; whoever makes a [`Host`]
//! hands it the ports. So the service, the Lambda and the simulator run the same one, and
//! its tests need no network.
//!
//! - [`updates`] keeps accounts current, and [`notifications`] tells notifiers of events. Neither
//!   knows the other.
//! - `host` drives both: as a service, or by ticks. It reads the events queue for both, and shows
//!   in the ledger that it runs.
//! - `policies` asks the policies, `alerter` tells people, `queues` reads queues, `retry` repeats
//!   calls and `stop` ends waits, for both.
//! - [`Observer`] is shown what happens; [`Health`] is one that says whether a host does its work.
//!   [`SteadyClock`] goes on when the machine's clock jumps.
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
mod policies;
mod queues;
mod retry;
pub mod snapshot;
mod stop;
pub mod updates;

pub use alerts::unreadable_message_alert;
pub use clock::{JUMP_ACCEPTED_AFTER, SteadyClock};
pub use health::Health;
pub use host::{BlockedLane, Host, HostPorts, SHUTDOWN_GRACE, Ticker, Until};
pub use observer::{EngineEvent, NoopObserver, Observer, UpdateEnding};
pub use policies::{ConfiguredPolicy, Evaluation, FailureHandling, PolicyPipeline, PolicyResult};
pub use updates::{SweepError, UpdatePorts, UpdateSettings, plan_id};
