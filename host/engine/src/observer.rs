//! The events that the engine emits about its work, for progress, reports and simulations. An
//! observer changes nothing.

use std::sync::Arc;

use groundcrew_core::account::AccountId;
use groundcrew_core::decision_combiner::FinalDecision;
use groundcrew_core::ports::{Alert, LedgerError, Slot};
use groundcrew_core::scheduler::SchedulerView;
use jiff::Timestamp;

use crate::notifications::{Delivery, EventReport};

/// An event of the engine.
#[derive(Clone, Copy, Debug)]
pub enum EngineEvent<'a> {
    /// A sweep is complete.
    Swept {
        /// Enrolled accounts that the sweep found.
        accounts: usize,
        /// Of these, on the target.
        current: usize,
        /// To be updated.
        outdated: usize,
    },
    /// The policies decided about a candidate.
    Decided {
        /// The account.
        account: &'a AccountId,
        /// The decision.
        decision: &'a FinalDecision,
    },
    /// An update was started, or one that ran already was adopted.
    Started(&'a Slot),
    /// An update has ended, and its end is recorded in the ledger.
    Ended {
        /// Its slot.
        slot: &'a Slot,
        /// How it ended.
        ending: UpdateEnding<'a>,
    },
    /// A notification was handled: delivered, failed or anything else.
    NotificationHandled(&'a Delivery),
    /// An event was handled as a whole.
    EventHandled(&'a EventReport),
    /// An alert was published.
    Alerted(&'a Alert),
    /// A heartbeat was written into the ledger, or could not be written because of this error.
    HeartbeatWritten(Option<&'a LedgerError>),
    /// The state of the scheduler, in each round of the loop.
    Status(&'a SchedulerView),
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateEnding<'a> {
    /// The account is on the target.
    Succeeded,
    /// It failed for this reason and is retried; it may have counted as a failed attempt.
    Retried(&'a str),
    /// It failed and is in the dead-letter queue for this reason.
    DeadLettered(&'a str),
}

impl UpdateEnding<'_> {
    /// In one word, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Retried(_) => "retried",
            Self::DeadLettered(_) => "given_up",
        }
    }
}

/// A receiver of the engine's events.
pub trait Observer: Send + Sync {
    /// Receives an event.
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>);
}

/// Each observer receives every event, in their order.
impl Observer for Vec<Arc<dyn Observer>> {
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>) {
        self.iter().for_each(|observer| observer.observe(now, event));
    }
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopObserver;

impl Observer for NoopObserver {
    fn observe(&self, _now: Timestamp, _notice: EngineEvent<'_>) {}
}
