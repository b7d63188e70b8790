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
//! - [`Witness`] is shown what happens; [`Health`] is one that says whether a host does its work.
//!   [`SteadyClock`] goes on when the machine's clock jumps.
//! - [`snapshot`] reads a whole organization.

#![deny(missing_docs)]

mod alerter;
mod alerts;
mod changes;
mod clock;
mod health;
mod host;
pub mod notifications;
mod policies;
mod queues;
mod retry;
pub mod snapshot;
mod stop;
pub mod updates;
mod witness;

pub use alerts::unreadable;
pub use clock::{SETTLES, SteadyClock};
pub use health::Health;
pub use host::{GRACE, Host, Ports, Ticker, Until, Waiting};
pub use policies::{Answer, AskedPolicy, Heard, OnFailure, Panel};
pub use updates::{Settings, SweepError, UpdatePorts, plan_id};
pub use witness::{Ending, Notice, Silent, Witness};
