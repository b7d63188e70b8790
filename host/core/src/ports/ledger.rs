//! The ledger: the store of what neither AWS nor the other systems remember.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::catalog::{ArtifactId, ProvisionedProductId, RecordId};
use crate::notification::{
    Claim, ClaimOutcome, NotificationEntry, NotificationKey, NotificationState,
};
use crate::plan_id::PlanId;
use crate::ports::{Heartbeats, OrderLedger, Orders, PlanRecord};
use crate::update_need::AccountAppliedState;

/// A ledger that can't be read or written. The text names the store or the item, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The AWS credentials for its table are missing or not valid.
    #[error("ledger: {0}")]
    Credentials(String),
    /// Its file or its table can't be read or written.
    #[error("ledger: {0}")]
    Store(String),
    /// An item that can't be understood, or can't be written as JSON.
    #[error("ledger: can't {verb} the item `{partition}`, `{sort}`: {why}")]
    Item {
        /// `read` or `write`.
        verb: &'static str,
        /// The item's partition key.
        partition: String,
        /// The item's sort key.
        sort: String,
        /// What is wrong with it.
        why: String,
    },
    /// Every write conflicted with one of another host, or the store was too busy.
    #[error(
        "ledger: gave up after {tries} tries: each time others wrote, or the store was too busy"
    )]
    Busy {
        /// The number of tries.
        tries: u32,
    },
}

impl LedgerError {
    /// An item that can't be understood.
    pub fn unreadable(partition: &str, sort: &str, why: impl fmt::Display) -> Self {
        Self::item("read", partition, sort, why)
    }

    /// An item that can't be written as JSON.
    pub fn unwritable(partition: &str, sort: &str, why: impl fmt::Display) -> Self {
        Self::item("write", partition, sort, why)
    }

    fn item(verb: &'static str, partition: &str, sort: &str, why: impl fmt::Display) -> Self {
        let (partition, sort) = (partition.to_owned(), sort.to_owned());
        Self::Item { verb, partition, sort, why: why.to_string() }
    }
}

/// A slot: the right to run one update. A host takes it before it starts the update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The account.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact it is updated to.
    pub target: ArtifactId,
    /// The lane it runs in.
    pub lane: String,
    /// 1 for the first try of this target.
    pub attempt: u32,
    /// Token of the start. A second start with the same token starts nothing.
    pub token: String,
    /// The record, once known.
    pub record: Option<RecordId>,
    /// When the slot was taken.
    pub taken_at: Timestamp,
    /// The host that has taken the slot. While the slot has no record, this host is about to start
    /// the update.
    #[serde(default)]
    pub host: String,
    /// Id of the OU that the account was directly in.
    #[serde(default)]
    pub ou: Option<String>,
    /// Version of the landing zone at that time, if there was one.
    #[serde(default)]
    pub landing_zone: Option<String>,
}

impl Slot {
    /// How long the slot has been taken. Zero if the clock of `now` is behind the clock of the host
    /// that took it.
    pub fn age(&self, now: Timestamp) -> Duration {
        passed(self.taken_at, now)
    }
}

/// The time between two moments, which may come from different clocks.
fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Result of freeing a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedSlot {
    /// The lane's record.
    pub lane: LaneRecord,
    /// Whether this call wrote anything. If not, another host has already done it.
    pub written: bool,
}

/// Result of taking a slot.
// One exists at a time: its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotOutcome {
    /// This host has the slot.
    Acquired,
    /// The account already has one.
    AlreadyHeld(Slot),
    /// All are taken.
    LimitReached,
    /// All slots of its OU are taken.
    OuLimitReached,
    /// Another host has meanwhile dead-lettered the account for this target.
    DeadLettered,
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    /// In all.
    pub total: usize,
    /// For accounts directly in the same OU.
    pub per_ou: Option<usize>,
}

impl SlotLimits {
    /// A total without a limit for each OU.
    pub fn in_all(total: usize) -> Self {
        Self { total, per_ou: None }
    }
}

/// How the updates of an account to one target have gone so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateProgress {
    /// Updates that were started and failed.
    pub failed_attempts: u32,
    /// The true AWS error of the last failure.
    pub last_error: Option<String>,
    /// Whether it is in the dead-letter queue. It is then not updated until an operator redrives it
    /// or the target changes.
    pub dead_lettered: bool,
    /// The lane it was in when it failed last.
    #[serde(default)]
    pub lane: Option<String>,
    /// How often an operator has redriven it.
    #[serde(default)]
    pub redriven: u32,
    /// No host tries it again before this moment.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// What the ledger remembers of a lane, from all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// Failed updates since the last that succeeded.
    pub failures_in_a_row: u32,
    /// When its last update ended, whether it succeeded or failed.
    pub last_ended: Option<Timestamp>,
    /// Why it starts no updates, if it is paused.
    pub paused: Option<Pause>,
    /// Updates of it that succeeded, ever.
    #[serde(default)]
    pub succeeded: u64,
    /// How long its successful updates take, in seconds: an average in which the last eight count
    /// most. 0 before the first.
    #[serde(default)]
    pub typical_seconds: u64,
}

impl LaneRecord {
    /// Pauses the lane. If it is paused already, it keeps that pause, and the call returns it.
    pub fn pause(&mut self, pause: &Pause) -> Option<Pause> {
        let earlier = self.paused.clone();
        self.paused.get_or_insert_with(|| pause.clone());
        earlier
    }

    /// Resumes the lane: its failures count from zero again. Returns the pause that ended.
    pub fn resume(&mut self) -> Option<Pause> {
        self.failures_in_a_row = 0;
        self.paused.take()
    }

    /// Adds the end of one more update, which began at `begun`.
    pub fn record_end(&mut self, begun: Timestamp, ended: UpdateEnd) {
        self.last_ended = self.last_ended.max(Some(ended.at));
        if !ended.succeeded {
            self.failures_in_a_row += 1;
            return;
        }
        self.failures_in_a_row = 0;
        self.succeeded += 1;
        let took = passed(begun, ended.at).as_secs();
        self.typical_seconds = match self.typical_seconds {
            0 => took,
            typical => (typical * 7 + took) / 8,
        };
    }
}

/// Why a lane starts no updates, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// For the operator.
    pub why: String,
    /// Since when.
    pub at: Timestamp,
    /// Whether a host paused it because of its failures, and not an operator.
    #[serde(default)]
    pub automatic: bool,
}

/// How an update ended, for its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateEnd {
    /// Whether the account is on the target. If not, the update failed and counts as an attempt.
    pub succeeded: bool,
    /// When.
    pub at: Timestamp,
}

/// The result of a completed sweep, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// When it began.
    pub began: Timestamp,
    /// When it was complete.
    pub completed: Timestamp,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// The plan that this belongs to, if plans need approval.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// The rules that the plan is made of, for people who compare two plans:
    /// [`PlanRules::summary`].
    ///
    /// [`PlanRules::summary`]: crate::plan_id::PlanRules::summary
    #[serde(default)]
    pub rules: BTreeMap<String, String>,
    /// Enrolled accounts.
    pub accounts: usize,
    /// Of these, current.
    pub current: usize,
    /// Not updated because of a policy or a rule.
    pub skipped: usize,
    /// Not updated because the account is closed.
    #[serde(default)]
    pub closed: usize,
    /// Accounts to update, by lane, and how much the lane had done at that time.
    pub lanes: BTreeMap<String, SweptLane>,
    /// Held accounts, those whose hold ends first before the others; at most
    /// [`SweepRecord::MAX_HELD`].
    pub held: Vec<HeldAccount>,
    /// The number of held accounts in total.
    pub held_in_all: usize,
    /// The lanes whose held accounts keep later lanes back.
    #[serde(default)]
    pub held_back: Vec<BlockingHolds>,
}

impl SweepRecord {
    /// The number of held accounts that are listed.
    pub const MAX_HELD: usize = 100;
}

/// A lane whose held accounts keep later lanes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockingHolds {
    /// The lane in which accounts are held.
    pub lane: String,
    /// Since when sweeps have found, without a break, that it keeps others back.
    pub since: Timestamp,
    /// When the last of the holds ends.
    pub until: Timestamp,
    /// How many accounts are held.
    pub accounts: usize,
    /// The lanes that wait for them, each with its number of accounts to update.
    pub waiting: Vec<(String, usize)>,
}

/// A lane in the result of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweptLane {
    /// Accounts to update in it, including those that are being updated.
    pub to_update: usize,
    /// Accounts of it that were dead-lettered.
    #[serde(rename = "given_up", default)]
    pub dead_lettered: usize,
    /// Accounts that policies held in it.
    #[serde(default)]
    pub held: usize,
    /// [`LaneRecord::succeeded`] at that time. The difference to a later value is done since.
    pub succeeded: u64,
    /// [`LaneRecord::succeeded`] when a sweep first found this target. `None` in a record of an
    /// older groundcrew, which did not write it.
    #[serde(default)]
    pub began_with: Option<u64>,
}

/// An account that a policy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAccount {
    /// The account.
    pub account: AccountId,
    /// Until when.
    pub until: Timestamp,
    /// Why, in the words of the policy.
    pub reason: String,
    /// The lane in which it waits, if a policy names one.
    #[serde(default)]
    pub lane: Option<String>,
}

/// Result of claiming an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertClaim {
    /// This host publishes it.
    Acquired,
    /// Another host is about to publish it.
    ClaimedByOther,
    /// It has been published.
    Published,
}

/// A host that claimed an alert and has not renewed the claim within this time is considered dead.
/// Until then a lane may wait for the alert.
pub const ALERT_LEASE: Duration = Duration::from_secs(60);

/// A host that took a slot and has not written a record within this time is considered dead. A
/// start takes seconds, unless AWS throttles it for that long.
pub const STARTING_LEASE: Duration = Duration::from_secs(10 * 60);

/// The running updates in a ledger. Other hosts and operators change it, so it is read again and
/// again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerOverview {
    /// Every slot that is taken.
    pub slots: Vec<Slot>,
    /// What the ledger remembers of the lanes, by their names.
    pub lanes: BTreeMap<String, LaneRecord>,
    /// The operator commands.
    pub orders: Orders,
}

/// What AWS does not remember: the slots that are taken, and the attempts and the outcome for each
/// account and target.
#[async_trait]
pub trait Ledger: Heartbeats + OrderLedger {
    /// Every slot that is taken, by any host.
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError>;

    /// Takes a slot, unless the account has one, the `limits` are reached, or the account is
    /// dead-lettered for this target. This is strict: all hosts together never exceed the limits,
    /// and no host starts an account that another has dead-lettered.
    async fn take_slot(&self, slot: &Slot, limits: SlotLimits) -> Result<SlotOutcome, LedgerError>;

    /// Writes the record that a start returned. Does nothing if the account has another slot by
    /// now.
    async fn record_start(&self, slot: &Slot, record: &RecordId) -> Result<(), LedgerError>;

    /// In one step, frees a slot, writes `progress` for its account and target, and adds the end of
    /// the update, `ended`, to the record of its lane. `None` leaves either as it was. A repeat
    /// changes nothing, and neither does a call when the account has another slot by now.
    async fn free_slot(
        &self,
        slot: &Slot,
        progress: Option<&UpdateProgress>,
        ended: Option<UpdateEnd>,
    ) -> Result<FreedSlot, LedgerError>;

    /// What the ledger remembers of the lanes, by their names. A lane without a record is not
    /// included.
    async fn lanes(&self) -> Result<BTreeMap<String, LaneRecord>, LedgerError>;

    /// Pauses a lane because of its failures. If it is paused already, it keeps that pause. Returns
    /// its record.
    async fn pause_lane(&self, lane: &str, pause: &Pause) -> Result<LaneRecord, LedgerError>;

    /// Writes that a plan is needed. `since` counts only if the plan is not known yet.
    async fn record_pending_plan(
        &self,
        plan: &PlanId,
        since: Timestamp,
    ) -> Result<PlanRecord, LedgerError>;

    /// The running updates.
    async fn overview(&self) -> Result<LedgerOverview, LedgerError> {
        Ok(LedgerOverview {
            slots: self.slots().await?,
            lanes: self.lanes().await?,
            orders: self.orders().await?,
        })
    }

    /// The applied state of each account, if one was recorded.
    async fn applied_states(&self)
    -> Result<BTreeMap<AccountId, AccountAppliedState>, LedgerError>;

    /// Writes applied states, in place of those that the ledger has of these accounts.
    async fn record_applied_states(
        &self,
        applied_states: &BTreeMap<AccountId, AccountAppliedState>,
    ) -> Result<(), LedgerError>;

    /// Writes the result of the last completed sweep.
    async fn record_sweep(&self, sweep: &SweepRecord) -> Result<(), LedgerError>;

    /// The result of the last completed sweep.
    async fn last_sweep(&self) -> Result<Option<SweepRecord>, LedgerError>;

    /// Claims an alert, so that one host of all publishes it. [`AlertClaim::Acquired`] for the
    /// first host, for the same host again, and for another host if the alert was not published
    /// within [`ALERT_LEASE`].
    async fn claim_alert(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<AlertClaim, LedgerError>;

    /// Writes that the alert was published. A repeat does nothing.
    async fn record_alerted(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError>;

    /// Progress of one account towards a target; the default if nothing has failed.
    async fn progress(
        &self,
        account: &AccountId,
        target: &ArtifactId,
    ) -> Result<UpdateProgress, LedgerError>;

    /// Progress of every account that has any towards this target.
    async fn all_progress(
        &self,
        target: &ArtifactId,
    ) -> Result<BTreeMap<AccountId, UpdateProgress>, LedgerError>;
}

/// What neither AWS nor the other systems remember: which notifications were delivered.
#[async_trait]
pub trait NotificationLedger: Send + Sync {
    /// When this ledger began. The first call writes `now`; every later call, of any host, returns
    /// the same moment.
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError>;

    /// Claims a notification to deliver it, as [`Claim::decide`] decides, in one step: if two hosts
    /// claim at once, one of them gets it.
    async fn claim(&self, claim: &Claim) -> Result<ClaimOutcome, LedgerError>;

    /// Writes the result of a notification that `by` has claimed. Returns whether `by` still had
    /// the claim; if not, nothing is written.
    async fn complete(
        &self,
        key: &NotificationKey,
        by: &str,
        state: &NotificationState,
        now: Timestamp,
    ) -> Result<bool, LedgerError>;

    /// Writes an entry unless there is one. Returns whether it wrote.
    async fn insert_if_absent(
        &self,
        key: &NotificationKey,
        entry: &NotificationEntry,
    ) -> Result<bool, LedgerError>;

    /// The entry of one notification.
    async fn notification(
        &self,
        key: &NotificationKey,
    ) -> Result<Option<NotificationEntry>, LedgerError>;

    /// The undelivered notifications, for operators: the last attempt failed, or a gate holds them.
    /// If there are thousands, only those that changed last. A notification that waits for its
    /// first attempt is not included.
    async fn undelivered(
        &self,
    ) -> Result<BTreeMap<NotificationKey, NotificationEntry>, LedgerError>;

    /// Writes that something was done, for example that an alert was published, so that it is not
    /// done again. `what` is any short text. A repeat does nothing.
    async fn record_marker(&self, what: &str, now: Timestamp) -> Result<(), LedgerError>;

    /// Whether [`record_marker`](Self::record_marker) has written it.
    async fn has_marker(&self, what: &str) -> Result<bool, LedgerError>;
}
