//! What the scheduler is told, and what it asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::account::AccountId;
use crate::aws_error::AwsError;
use crate::catalog::{AccountFactory, ProvisionedProductId, Record};
use crate::lane::LaneId;
use crate::plan_id::PlanId;
use crate::ports::{
    Alert, DeadLetter, Ended, HeldBack, Hint, LaneRecord, Overview, Pause, Progress, Received, Slot,
};
use crate::start_refusal::StartRefusal;

/// Something the shell saw.
// A handful exist at once: their size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Observation {
    /// Time has passed.
    Tick,
    /// What the ledger holds: updates begun by an earlier run or by another host, which are
    /// tracked on, and what operators and other hosts have changed.
    Ledger {
        /// When the reading began.
        read_at: Timestamp,
        /// What was read.
        overview: Overview,
    },
    /// The ledger could not be read.
    LedgerUnread,
    /// An event says that accounts may have become outdated.
    Woken,
    /// An event says that an operation on this account has ended.
    AccountWoken(AccountId),
    /// [`Action::PauseLane`] is written down.
    LanePaused {
        /// The lane.
        lane: String,
        /// What is remembered of it by now.
        record: LaneRecord,
    },
    /// A sweep saw the whole organization.
    Swept(Sweep),
    /// A sweep could not be completed.
    SweepFailed {
        /// Why.
        reason: String,
    },
    /// The hints of these accounts are in the queue, or were already.
    Queued(Vec<AccountId>),
    /// These accounts could not be handed over.
    NotQueued {
        /// The accounts.
        accounts: Vec<AccountId>,
        /// Why.
        reason: String,
    },
    /// A sweep was not made, since this is not the time: nothing is wrong.
    SweepPostponed {
        /// When to try again.
        until: Timestamp,
    },
    /// Nothing came out of the queue, which counts no message at all.
    NothingQueued,
    /// Hints came out of the queue; none when the wait was in vain.
    Received(Vec<Received<Hint>>),
    /// The queue could not be read.
    NotReceived {
        /// Why.
        reason: String,
    },
    /// What became of [`Action::Start`].
    Start {
        /// The account.
        account: AccountId,
        /// What became of it.
        outcome: StartOutcome,
    },
    /// What became of [`Action::Look`].
    Looked {
        /// The account.
        account: AccountId,
        /// Token of the slot whose update was looked at.
        token: String,
        /// What was seen.
        sight: Sight,
    },
    /// [`Action::Settle`] is written down.
    Settled {
        /// The account.
        account: AccountId,
        /// What is remembered of the slot's lane by now.
        lane: LaneRecord,
    },
    /// [`Action::Settle`] was left to another host, which is about to do it.
    Unsettled(Settlement),
    /// [`Action::AskApproval`], [`Action::TellPause`] or [`Action::TellHeldBack`] is done, by
    /// whichever host.
    Told,
}

/// What a completed sweep saw.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// When it began: what happened later it may not have seen.
    pub started_at: Timestamp,
    /// The product and the target.
    pub account_factory: AccountFactory,
    /// Every enrolled account.
    pub accounts: BTreeMap<AccountId, Standing>,
    /// The plan that must be approved before anything is started, where plans need approval.
    pub plan: Option<PlanId>,
    /// The lanes whose held accounts keep later lanes back, and since when they do.
    pub held_back: Vec<HeldBack>,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// On the target.
    Current,
    /// To be updated.
    Outdated {
        /// Its provisioned product.
        provisioned_product: ProvisionedProductId,
        /// The lane that policy decided.
        lane: LaneId,
        /// Updates to this target that failed before.
        failed_attempts: u32,
        /// Not to be tried again before this moment.
        retry_at: Option<Timestamp>,
        /// Id of the OU that the account is directly in.
        ou: Option<String>,
    },
    /// Not to be updated: policy says so.
    Skipped,
    /// Not to be updated: the account is closed. Nothing waits for it.
    Closed,
    /// Not to be updated: its updates to this target have failed, and it is in the
    /// dead-letter queue.
    GivenUp {
        /// The lane that it was in; the first if that is no longer configured.
        lane: LaneId,
    },
    /// Not to be updated before a moment.
    Held {
        /// The moment.
        until: Timestamp,
        /// The lane in which it waits; `None` when no lane would have it.
        lane: Option<LaneId>,
    },
}

/// What became of a start.
#[derive(Clone, Debug)]
pub enum StartOutcome {
    /// The update runs; the slot holds its record.
    Started(Slot),
    /// The update may have started: the answer was lost. The slot is taken.
    Unsure(Slot),
    /// It is on the target already.
    Current,
    /// It no longer belongs in this lane: policy now says something else.
    Decided(Standing),
    /// Something else runs on the account. No slot is taken.
    AccountBusy,
    /// No operation is free, or no slot: for no account. No slot is taken.
    NothingFree,
    /// So many updates run in its OU that no other may start there. No slot is taken.
    OuBusy,
    /// AWS refused, or parameters of the account are unknown. No slot is taken.
    Refused(StartRefusal),
    /// The ledger could not be read or written. No slot is taken.
    LedgerUnread,
}

/// What a look at a running update saw.
#[derive(Clone, Debug)]
pub enum Sight {
    /// Its record, for a slot that had none yet.
    Adopted(Slot),
    /// It had not begun after all; the slot is to be freed.
    NeverBegan(StartRefusal),
    /// It had not begun, or came to nothing: somebody else has updated the account to another
    /// artifact meanwhile. The slot is to be freed. It costs no attempt.
    Superseded,
    /// It runs on.
    Running,
    /// It ended well: nothing runs on the product any more, and it is on the target.
    Succeeded,
    /// It failed.
    Failed(Record),
    /// It could not be seen.
    Unseen(AwsError),
}

/// Something the shell is to do.
// A handful exist at once: their size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the ledger; answer [`Observation::Ledger`] or [`Observation::LedgerUnread`].
    ReadLedger,
    /// Sweep the organization; answer [`Observation::Swept`], [`Observation::SweepFailed`] or
    /// [`Observation::SweepPostponed`].
    Sweep,
    /// Hand over hints; answer [`Observation::Queued`] or [`Observation::NotQueued`].
    Enqueue(Vec<Hint>),
    /// Receive up to so many hints; answer [`Observation::Received`] or
    /// [`Observation::NotReceived`].
    Receive {
        /// As many as there are free slots.
        max: usize,
    },
    /// Examine the account once more, take a slot, start its update, delete the message;
    /// answer [`Observation::Start`].
    Start(Received<Hint>),
    /// Look at a running update; answer [`Observation::Looked`].
    Look(Slot),
    /// Write down how an update ended and free its slot; answer [`Observation::Settled`] or
    /// [`Observation::Unsettled`].
    Settle(Settlement),
    /// Delete a message.
    Drop {
        /// Its receipt.
        receipt: String,
    },
    /// Hide a message until a moment.
    Postpone {
        /// Its receipt.
        receipt: String,
        /// The moment.
        until: Timestamp,
    },
    /// Write down that a lane is paused; answer [`Observation::LanePaused`].
    PauseLane {
        /// Its name.
        lane: String,
        /// Why.
        pause: Pause,
    },
    /// Tell that a lane is paused, unless that was done; answer [`Observation::Told`].
    TellPause {
        /// Its name.
        lane: String,
        /// Which pause.
        pause: Pause,
        /// What people are told.
        alert: Alert,
    },
    /// Tell that held accounts have kept other lanes back for long, unless that was done; answer
    /// [`Observation::Told`].
    TellHeldBack {
        /// Which lane, and since when.
        held_back: HeldBack,
        /// What people are told.
        alert: Alert,
    },
    /// Write down that a plan needs approval, and ask for it unless that was done. Answer
    /// [`Observation::Told`].
    AskApproval {
        /// The plan.
        plan: PlanId,
        /// What people are asked.
        alert: Alert,
    },
    /// Tell a person, once: what was told is remembered in the ledger, so that a host that starts
    /// again and again, and several hosts, tell it once.
    Alert {
        /// What it is about. The same is told once.
        what: String,
        /// What the person reads.
        alert: Alert,
    },
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Its slot, to be freed.
    pub slot: Slot,
    /// How the update ended, for its lane: `None` when it failed for a reason that isn't its
    /// own, and is tried again.
    pub ended: Option<Ended>,
    /// What to write down for the account and target; `None` leaves it as it is.
    pub progress: Option<Progress>,
    /// Dead letter and alert, to be out before the slot is freed.
    pub burial: Option<(DeadLetter, Alert)>,
    /// Why it did not succeed; nothing when it did.
    pub reason: Option<String>,
}
