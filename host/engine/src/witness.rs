//! What the engine shows of its work, for progress, reports and simulations. Seeing
//! changes nothing.

use std::sync::Arc;

use groundcrew_core::account::AccountId;
use groundcrew_core::pipeline::Decision;
use groundcrew_core::ports::{Alert, LedgerError, Slot};
use groundcrew_core::scheduler::View;
use jiff::Timestamp;

use crate::notifications::{Handled, Told};

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
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
        decision: &'a Decision,
    },
    /// An update was started, or one that ran already was adopted.
    Started(&'a Slot),
    /// An update has ended and this is written down.
    Ended {
        /// Its slot.
        slot: &'a Slot,
        /// How.
        ending: Ending<'a>,
    },
    /// Something became of a notification.
    Told(&'a Told),
    /// Something became of an event as a whole.
    Handled(&'a Handled),
    /// An alert is out.
    Alerted(&'a Alert),
    /// A heartbeat was to be written into the ledger: why it could not be, if so.
    Beaten(Option<&'a LedgerError>),
    /// How the work as a whole stands, whenever the loop comes round.
    Stands(&'a View),
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// The account is on the target.
    Succeeded,
    /// It failed for this reason and is tried again; it may have cost an attempt.
    Retried(&'a str),
    /// It failed and is in the dead-letter queue for this reason.
    GivenUp(&'a str),
}

impl Ending<'_> {
    /// In one word, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Retried(_) => "retried",
            Self::GivenUp(_) => "given_up",
        }
    }
}

/// Whoever wants to see.
pub trait Witness: Send + Sync {
    /// Something happened.
    fn see(&self, now: Timestamp, notice: Notice<'_>);
}

/// All of them see it, in their order.
impl Witness for Vec<Arc<dyn Witness>> {
    fn see(&self, now: Timestamp, notice: Notice<'_>) {
        self.iter().for_each(|witness| witness.see(now, notice));
    }
}

/// Sees nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Witness for Silent {
    fn see(&self, _now: Timestamp, _notice: Notice<'_>) {}
}
