//! What the engine shows of its work, for progress, reports and simulations. Seeing
//! changes nothing.

use std::sync::Arc;

use groundcrew_core::account::AccountId;
use groundcrew_core::pipeline::FinalDecision;
use groundcrew_core::ports::{Alert, LedgerError, Slot};
use groundcrew_core::scheduler::SchedulerView;
use jiff::Timestamp;

use crate::notifications::{Delivery, EventReport};

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum EngineEvent<'a> {
    /// A sweep is complete.
    Swept {
        /// Enrolled accounts that were seen.
        accounts: usize,
        /// Of these, on the target.
        current: usize,
        /// To be updated.
        outdated: usize,
    },
    /// A candidate was decided about.
    Decided {
        /// The account.
        account: &'a AccountId,
        /// The decision.
        decision: &'a FinalDecision,
    },
    /// An update was started, or one that ran already was adopted.
    Started(&'a Slot),
    /// An update has ended and this is written down.
    Ended {
        /// Its slot.
        slot: &'a Slot,
        /// How.
        ending: UpdateEnding<'a>,
    },
    /// Something became of a notification.
    NotificationHandled(&'a Delivery),
    /// Something became of an event as a whole.
    EventHandled(&'a EventReport),
    /// An alert is out.
    Alerted(&'a Alert),
    /// A heartbeat was to be written into the ledger: why it could not be, if so.
    HeartbeatWritten(Option<&'a LedgerError>),
    /// How the work as a whole stands, whenever the loop comes round.
    Status(&'a SchedulerView),
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateEnding<'a> {
    /// The account is on the target.
    Succeeded,
    /// It failed for this reason and is tried again; it may have cost an attempt.
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

/// Whoever wants to see.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>);
}

/// All of them see it, in their order.
impl Observer for Vec<Arc<dyn Observer>> {
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>) {
        self.iter().for_each(|observer| observer.observe(now, event));
    }
}

/// Sees nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopObserver;

impl Observer for NoopObserver {
    fn observe(&self, _now: Timestamp, _notice: EngineEvent<'_>) {}
}
