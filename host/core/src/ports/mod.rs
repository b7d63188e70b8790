//! The services that the engine needs, as traits that other crates implement.
//!
//! The methods are asynchronous because their implementations wait for a network. In this crate
//! only [`Ledger::overview`] awaits, to combine three reads. Every implementation is safe to call
//! again after a failure or a crash: each method documents the effect of a repeat.
//!
//! One file for each part: `aws`, its `baselines`, the `queues`, the `ledger`, the `orders` and the
//! `heartbeats` in it, and the `plugins`.

mod aws;
mod baselines;
mod heartbeats;
mod ledger;
mod orders;
mod plugins;
mod queues;

use jiff::Timestamp;

pub use aws::{
    AccountDirectory, Alert, Alerts, Catalog, IdentityStore, LandingZoneState, LandingZones,
    SecretStore, SupportCases, TagIndex,
};
pub use baselines::Baselines;
pub use heartbeats::{GoneHost, Heartbeat, Heartbeats, HostKind, Hosts};
pub use ledger::{
    ALERT_LEASE, AlertClaim, BlockingHolds, FreedSlot, HeldAccount, LaneRecord, Ledger,
    LedgerError, LedgerOverview, NotificationLedger, Pause, STARTING_LEASE, Slot, SlotLimits,
    SlotOutcome, SweepRecord, SweptLane, UpdateEnd, UpdateProgress,
};
pub use orders::{
    Approval, ApprovalState, ApprovedPlan, IssuedBy, Operator, Order, OrderLedger, Orders,
    PlanRecord, TrailEntry,
};
pub use plugins::{Notifier, Policy, PolicyFailure};
pub use queues::{
    DeadLetter, EventQueue, NotificationQueue, QueueDepth, QueuedUpdate, ReceivedMessage,
    ReceivedNotification, RemovedDeadLetters, UnreadableMessage, UpdateQueue,
};

/// The time. Simulations show a virtual one.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// How often the clock has been set to another time since it began. After that, remembered
    /// moments are no longer valid, as after a restart.
    fn adjustments(&self) -> u64 {
        0
    }
}

/// One page of a listing. May be empty and have a successor all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What this page holds.
    pub items: Vec<T>,
    /// Token of the next page; `None` on the last.
    pub next: Option<String>,
}
