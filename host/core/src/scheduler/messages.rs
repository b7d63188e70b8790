//! The inputs and the outputs of the scheduler.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::account::AccountId;
use crate::aws_error::AwsError;
use crate::catalog::{AccountFactory, ProvisionedProductId, Record};
use crate::lane::LaneId;
use crate::plan_id::PlanId;
use crate::ports::{
    Alert, BlockingHolds, DeadLetter, LaneRecord, LedgerOverview, Pause, QueuedUpdate,
    ReceivedMessage, Slot, UpdateEnd, UpdateProgress,
};
use crate::start_failure::StartFailure;

/// Something that the shell observed.
// A handful exist at once: their size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Observation {
    /// Time has passed.
    Tick,
    /// The contents of the ledger: updates that an earlier run or another host has begun, which are
    /// tracked as well, and the changes by operators and other hosts.
    Ledger {
        /// When the read began.
        read_at: Timestamp,
        /// The contents.
        overview: LedgerOverview,
    },
    /// The ledger could not be read.
    LedgerUnavailable,
    /// An event reports that accounts may have become outdated.
    SweepRequested,
    /// An event reports that an operation on this account has ended.
    OperationEnded(AccountId),
    /// [`SchedulerAction::PauseLane`] is written.
    LanePaused {
        /// The lane.
        lane: String,
        /// What the ledger remembers of it by now.
        record: LaneRecord,
    },
    /// A sweep of the whole organization is complete.
    Swept(Sweep),
    /// A sweep could not be completed.
    SweepFailed {
        /// Why.
        reason: String,
    },
    /// These accounts are in the queue, now or since before.
    Queued(Vec<AccountId>),
    /// These accounts could not be queued.
    EnqueueFailed {
        /// The accounts.
        accounts: Vec<AccountId>,
        /// Why.
        reason: String,
    },
    /// A sweep was not made, because it has to wait. This is no failure.
    SweepPostponed {
        /// When to try again.
        until: Timestamp,
    },
    /// Nothing was received, and the queue counts no message at all.
    QueueEmpty,
    /// Messages of the queue; empty if the wait ended without one.
    Received(Vec<ReceivedMessage<QueuedUpdate>>),
    /// The queue could not be read.
    ReceiveFailed {
        /// Why.
        reason: String,
    },
    /// Result of [`SchedulerAction::Start`].
    StartEnded {
        /// The account.
        account: AccountId,
        /// The result.
        outcome: StartOutcome,
    },
    /// Result of [`SchedulerAction::Poll`].
    Polled {
        /// The account.
        account: AccountId,
        /// Token of the slot whose update was polled.
        token: String,
        /// The result.
        poll_result: PollResult,
    },
    /// [`SchedulerAction::Complete`] is written.
    Completed {
        /// The account.
        account: AccountId,
        /// What the ledger remembers of the slot's lane by now.
        lane: LaneRecord,
    },
    /// [`SchedulerAction::Complete`] was left to another host, which is about to do it.
    CompletionDeferred(Completion),
    /// [`SchedulerAction::RequestApproval`], [`SchedulerAction::AlertPause`] or
    /// [`SchedulerAction::AlertHeldBack`] is done, by this host or another.
    Alerted,
}

/// The result of a completed sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// When it began. It may not include what happened later.
    pub started_at: Timestamp,
    /// The product and the target.
    pub account_factory: AccountFactory,
    /// Every enrolled account.
    pub accounts: BTreeMap<AccountId, AccountUpdateState>,
    /// The plan that must be approved before anything is started, if plans need approval.
    pub plan: Option<PlanId>,
    /// The lanes whose held accounts keep later lanes back, and since when they do.
    pub held_back: Vec<BlockingHolds>,
}

/// The state of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountUpdateState {
    /// On the target.
    Current,
    /// Needs an update.
    Outdated {
        /// Its provisioned product.
        provisioned_product: ProvisionedProductId,
        /// The lane that the policies decided.
        lane: LaneId,
        /// Updates to this target that failed before.
        failed_attempts: u32,
        /// Not retried before this moment.
        retry_at: Option<Timestamp>,
        /// Id of the OU that the account is directly in.
        ou: Option<String>,
    },
    /// Not updated: a policy decided to skip.
    Skipped,
    /// Not updated: the account is closed. No lane waits for it.
    Closed,
    /// Not updated: its updates to this target have failed, and it is in the dead-letter queue.
    DeadLettered {
        /// The lane that it was in; the first if that is no longer configured.
        lane: LaneId,
    },
    /// Not updated before a moment.
    Held {
        /// The moment.
        until: Timestamp,
        /// The lane in which it waits; `None` if it belongs to no lane.
        lane: Option<LaneId>,
    },
}

/// Result of a start.
#[derive(Clone, Debug)]
pub enum StartOutcome {
    /// The update is running; the slot has its record.
    Started(Slot),
    /// The update may have started: the response was lost. The slot is taken.
    Unconfirmed(Slot),
    /// The account is already on the target.
    Current,
    /// The account no longer belongs in this lane: the policies now decide otherwise.
    DecisionChanged(AccountUpdateState),
    /// Something else runs on the account. No slot is taken.
    AccountBusy,
    /// The quota or the slots are used up, for every account. No slot is taken.
    NoCapacity,
    /// The updates in its OU have reached the limit. No slot is taken.
    OuLimitReached,
    /// AWS refused, or parameters of the account are unknown. No slot is taken.
    Refused(StartFailure),
    /// The ledger could not be read or written. No slot is taken.
    LedgerUnavailable,
}

/// Result of polling a running update.
#[derive(Clone, Debug)]
pub enum PollResult {
    /// It has a record, which the slot did not have yet.
    Adopted(Slot),
    /// It was not started after all; the slot is to be freed.
    NeverStarted(StartFailure),
    /// It was not started, or had no effect: somebody else has meanwhile updated the account to
    /// another artifact. The slot is to be freed. Does not count as an attempt.
    Superseded,
    /// It is still running.
    Running,
    /// It succeeded: nothing runs on the product any more, and it is on the target.
    Succeeded,
    /// It failed.
    Failed(Record),
    /// The poll failed.
    PollFailed(AwsError),
}

/// Something that the shell is to do.
// A handful exist at once: their size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulerAction {
    /// Read the ledger. The result is [`Observation::Ledger`] or
    /// [`Observation::LedgerUnavailable`].
    ReadLedger,
    /// Sweep the organization. The result is [`Observation::Swept`], [`Observation::SweepFailed`]
    /// or [`Observation::SweepPostponed`].
    Sweep,
    /// Queue updates. The result is [`Observation::Queued`] or [`Observation::EnqueueFailed`].
    EnqueueUpdates(Vec<QueuedUpdate>),
    /// Receive queued updates. The result is [`Observation::Received`] or
    /// [`Observation::ReceiveFailed`].
    Receive {
        /// At most this many: the number of free slots.
        max: usize,
    },
    /// Check the account once more, take a slot, start its update, delete the message. The result
    /// is [`Observation::StartEnded`].
    Start(ReceivedMessage<QueuedUpdate>),
    /// Poll a running update. The result is [`Observation::Polled`].
    Poll(Slot),
    /// Write the end of an update and free its slot. The result is [`Observation::Completed`] or
    /// [`Observation::CompletionDeferred`].
    Complete(Completion),
    /// Delete a message.
    DeleteMessage {
        /// Its receipt handle.
        receipt_handle: String,
    },
    /// Hide a message until a moment.
    PostponeMessage {
        /// Its receipt handle.
        receipt_handle: String,
        /// The moment.
        until: Timestamp,
    },
    /// Write that a lane is paused. The result is [`Observation::LanePaused`].
    PauseLane {
        /// Its name.
        lane: String,
        /// Why.
        pause: Pause,
    },
    /// Publish an alert that a lane is paused, unless that was done. The result is
    /// [`Observation::Alerted`].
    AlertPause {
        /// Its name.
        lane: String,
        /// The pause.
        pause: Pause,
        /// The alert.
        alert: Alert,
    },
    /// Publish an alert that held accounts have kept other lanes back for a long time, unless that
    /// was done. The result is [`Observation::Alerted`].
    AlertHeldBack {
        /// The lane, and since when.
        held_back: BlockingHolds,
        /// The alert.
        alert: Alert,
    },
    /// Write that a plan needs approval, and publish an alert that asks for it, unless that was
    /// done. The result is [`Observation::Alerted`].
    RequestApproval {
        /// The plan.
        plan: PlanId,
        /// The alert.
        alert: Alert,
    },
    /// Publish an alert once. The ledger remembers it, so that it goes out once, even if the host
    /// restarts often or there are several hosts.
    Alert {
        /// Identifies the alert. Alerts with the same text here go out once.
        what: String,
        /// The alert.
        alert: Alert,
    },
}

/// The completion of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Its slot, which is to be freed.
    pub slot: Slot,
    /// The end of the update, for its lane. `None` if it failed for a reason other than the
    /// account, and is retried.
    pub ended: Option<UpdateEnd>,
    /// The progress to write for the account and target; `None` leaves it as it is.
    pub progress: Option<UpdateProgress>,
    /// Dead letter and alert, which must be sent before the slot is freed.
    pub dead_letter: Option<(DeadLetter, Alert)>,
    /// Why it did not succeed; `None` if it did.
    pub reason: Option<String>,
}
