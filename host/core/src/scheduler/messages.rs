//! What the scheduler is told, and what it asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::account::AccountId;
use crate::aws_error::AwsError;
use crate::catalog::{AccountFactory, ProvisionedProductId, Record};
use crate::lane::LaneId;
use crate::plan_id::PlanId;
use crate::ports::{
    Alert, BlockingLane, DeadLetter, LaneRecord, LedgerOverview, Pause, QueuedUpdate,
    ReceivedMessage, Slot, UpdateEnd, UpdateProgress,
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
        overview: LedgerOverview,
    },
    /// The ledger could not be read.
    LedgerUnavailable,
    /// An event says that accounts may have become outdated.
    SweepRequested,
    /// An event says that an operation on this account has ended.
    OperationEnded(AccountId),
    /// [`SchedulerAction::PauseLane`] is written down.
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
    EnqueueFailed {
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
    QueueEmpty,
    /// Hints came out of the queue; none when the wait was in vain.
    Received(Vec<ReceivedMessage<QueuedUpdate>>),
    /// The queue could not be read.
    ReceiveFailed {
        /// Why.
        reason: String,
    },
    /// What became of [`SchedulerAction::Start`].
    StartEnded {
        /// The account.
        account: AccountId,
        /// What became of it.
        outcome: StartOutcome,
    },
    /// What became of [`SchedulerAction::Poll`].
    Polled {
        /// The account.
        account: AccountId,
        /// Token of the slot whose update was looked at.
        token: String,
        /// What was seen.
        poll_result: PollResult,
    },
    /// [`SchedulerAction::Complete`] is written down.
    Completed {
        /// The account.
        account: AccountId,
        /// What is remembered of the slot's lane by now.
        lane: LaneRecord,
    },
    /// [`SchedulerAction::Complete`] was left to another host, which is about to do it.
    CompletionDeferred(Completion),
    /// [`SchedulerAction::RequestApproval`], [`SchedulerAction::AlertPause`] or [`SchedulerAction::AlertHeldBack`] is done, by
    /// whichever host.
    Alerted,
}

/// What a completed sweep saw.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// When it began: what happened later it may not have seen.
    pub started_at: Timestamp,
    /// The product and the target.
    pub account_factory: AccountFactory,
    /// Every enrolled account.
    pub accounts: BTreeMap<AccountId, CandidateState>,
    /// The plan that must be approved before anything is started, where plans need approval.
    pub plan: Option<PlanId>,
    /// The lanes whose held accounts keep later lanes back, and since when they do.
    pub held_back: Vec<BlockingLane>,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateState {
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
    DeadLettered {
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
    Unconfirmed(Slot),
    /// It is on the target already.
    Current,
    /// It no longer belongs in this lane: policy now says something else.
    DecisionChanged(CandidateState),
    /// Something else runs on the account. No slot is taken.
    AccountBusy,
    /// No operation is free, or no slot: for no account. No slot is taken.
    NoCapacity,
    /// So many updates run in its OU that no other may start there. No slot is taken.
    OuLimitReached,
    /// AWS refused, or parameters of the account are unknown. No slot is taken.
    Refused(StartRefusal),
    /// The ledger could not be read or written. No slot is taken.
    LedgerUnavailable,
}

/// What a look at a running update saw.
#[derive(Clone, Debug)]
pub enum PollResult {
    /// Its record, for a slot that had none yet.
    Adopted(Slot),
    /// It had not begun after all; the slot is to be freed.
    NeverStarted(StartRefusal),
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
    PollFailed(AwsError),
}

/// Something the shell is to do.
// A handful exist at once: their size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulerAction {
    /// Read the ledger; answer [`Observation::Ledger`] or [`Observation::LedgerUnavailable`].
    ReadLedger,
    /// Sweep the organization; answer [`Observation::Swept`], [`Observation::SweepFailed`] or
    /// [`Observation::SweepPostponed`].
    Sweep,
    /// Hand over hints; answer [`Observation::Queued`] or [`Observation::EnqueueFailed`].
    EnqueueUpdates(Vec<QueuedUpdate>),
    /// Receive up to so many hints; answer [`Observation::Received`] or
    /// [`Observation::ReceiveFailed`].
    Receive {
        /// As many as there are free slots.
        max: usize,
    },
    /// Examine the account once more, take a slot, start its update, delete the message;
    /// answer [`Observation::StartEnded`].
    Start(ReceivedMessage<QueuedUpdate>),
    /// Look at a running update; answer [`Observation::Polled`].
    Poll(Slot),
    /// Write down how an update ended and free its slot; answer [`Observation::Completed`] or
    /// [`Observation::CompletionDeferred`].
    Complete(Completion),
    /// Delete a message.
    DeleteMessage {
        /// Its receipt.
        receipt_handle: String,
    },
    /// Hide a message until a moment.
    PostponeMessage {
        /// Its receipt.
        receipt_handle: String,
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
    /// Tell that a lane is paused, unless that was done; answer [`Observation::Alerted`].
    AlertPause {
        /// Its name.
        lane: String,
        /// Which pause.
        pause: Pause,
        /// What people are told.
        alert: Alert,
    },
    /// Tell that held accounts have kept other lanes back for long, unless that was done; answer
    /// [`Observation::Alerted`].
    AlertHeldBack {
        /// Which lane, and since when.
        held_back: BlockingLane,
        /// What people are told.
        alert: Alert,
    },
    /// Write down that a plan needs approval, and ask for it unless that was done. Answer
    /// [`Observation::Alerted`].
    RequestApproval {
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
pub struct Completion {
    /// Its slot, to be freed.
    pub slot: Slot,
    /// How the update ended, for its lane: `None` when it failed for a reason that isn't its
    /// own, and is tried again.
    pub ended: Option<UpdateEnd>,
    /// What to write down for the account and target; `None` leaves it as it is.
    pub progress: Option<UpdateProgress>,
    /// Dead letter and alert, to be out before the slot is freed.
    pub dead_letter: Option<(DeadLetter, Alert)>,
    /// Why it did not succeed; nothing when it did.
    pub reason: Option<String>,
}
