//! The ledger: what neither AWS nor the other systems remember for us.

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
use crate::update_need::AppliedState;

/// A ledger that can't be read or written. The text names the store or the item, and says what
/// to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The AWS credentials for its table are missing or no good.
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
    /// Others wrote each time between the read and the write, or the store was too busy.
    #[error(
        "ledger: gave up after {tries} tries: each time others wrote, or the store was too busy"
    )]
    Busy {
        /// So often it was tried.
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

/// A slot: the right to run one update, taken before the update is started.
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
    /// Token of the start: the same again starts nothing new.
    pub token: String,
    /// The record, once known.
    pub record: Option<RecordId>,
    /// When the slot was taken.
    pub taken_at: Timestamp,
    /// The host that has taken it. While it has no record, that host is about to start it.
    #[serde(default)]
    pub host: String,
    /// Id of the OU that the account was directly in.
    #[serde(default)]
    pub ou: Option<String>,
    /// Version of the landing zone then, where there was one.
    #[serde(default)]
    pub landing_zone: Option<String>,
}

impl Slot {
    /// For how long it has been taken. Nothing when the clock that says `now` is behind the one of
    /// the host that has taken it.
    pub fn age(&self, now: Timestamp) -> Duration {
        passed(self.taken_at, now)
    }
}

/// What has passed from one moment to another, by clocks that need not be the same.
fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// What became of freeing a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedSlot {
    /// The lane's record.
    pub lane: LaneRecord,
    /// Whether anything was written by that. Otherwise another host has done it.
    pub written: bool,
}

/// What became of asking for a slot.
// One exists at a time: its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotOutcome {
    /// It is ours.
    Acquired,
    /// The account already holds one.
    AlreadyHeld(Slot),
    /// All are taken.
    LimitReached,
    /// All that its OU may have are taken.
    OuLimitReached,
    /// Another host has given the account up for this target meanwhile.
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
    /// So many in all.
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
    /// Whether it is in the dead-letter queue: not picked up until redriven or the
    /// target changes.
    pub dead_lettered: bool,
    /// The lane it was in when it failed last.
    #[serde(default)]
    pub lane: Option<String>,
    /// How often an operator has redriven it.
    #[serde(default)]
    pub redriven: u32,
    /// Not tried again before this moment, whichever host tries it.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// What is remembered of a lane, whichever host it learned it from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// Failed updates since the last that succeeded.
    pub failures_in_a_row: u32,
    /// When its last update ended, however it did.
    pub last_ended: Option<Timestamp>,
    /// Why it starts nothing, if so.
    pub paused: Option<Pause>,
    /// Updates of it that succeeded, ever.
    #[serde(default)]
    pub succeeded: u64,
    /// How long its updates that succeed take, in seconds: an average in which the last eight
    /// count most. 0 before the first.
    #[serde(default)]
    pub typical_seconds: u64,
}

impl LaneRecord {
    /// Pauses the lane. One that is paused stays so for its first reason, which is answered.
    pub fn pause(&mut self, pause: &Pause) -> Option<Pause> {
        let earlier = self.paused.clone();
        self.paused.get_or_insert_with(|| pause.clone());
        earlier
    }

    /// Lets the lane go on: its failures count from zero again. Answers the pause that ended.
    pub fn resume(&mut self) -> Option<Pause> {
        self.failures_in_a_row = 0;
        self.paused.take()
    }

    /// Takes in how one more update, which began at `begun`, has ended.
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

/// Why and since when a lane starts nothing.
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
    /// Whether the account is on the target. Otherwise the update failed, and that spent an
    /// attempt.
    pub succeeded: bool,
    /// When.
    pub at: Timestamp,
}

/// What a completed sweep saw, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// When it began.
    pub began: Timestamp,
    /// When it was complete.
    pub completed: Timestamp,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// The plan that this belongs to, where plans need approval.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// What that plan is made of, for people who compare two: [`PlanRules::shown`].
    ///
    /// [`PlanRules::shown`]: crate::plan_id::PlanRules::shown
    #[serde(default)]
    pub rules: BTreeMap<String, String>,
    /// Enrolled accounts.
    pub accounts: usize,
    /// Of these, up to date.
    pub current: usize,
    /// Left alone because a policy or a rule said so.
    pub skipped: usize,
    /// Left alone because the account is closed.
    #[serde(default)]
    pub closed: usize,
    /// To be updated, by lane, with what the lane had done by then.
    pub lanes: BTreeMap<String, LaneSummary>,
    /// Held, those that are freed first before the others; at most [`SweepRecord::MAX_HELD`].
    pub held: Vec<HeldAccount>,
    /// How many are held in all.
    pub held_in_all: usize,
    /// The lanes whose held accounts keep later lanes back.
    #[serde(default)]
    pub held_back: Vec<BlockingLane>,
}

impl SweepRecord {
    /// So many held accounts are listed.
    pub const MAX_HELD: usize = 100;
}

/// A lane whose held accounts keep later lanes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockingLane {
    /// The lane in which accounts are held.
    pub lane: String,
    /// Since when they keep others back, without a break, as sweeps saw it.
    pub since: Timestamp,
    /// When the last of the holds ends.
    pub until: Timestamp,
    /// How many accounts are held.
    pub accounts: usize,
    /// The lanes that wait for them, with how many accounts they have to update.
    pub waiting: Vec<(String, usize)>,
}

/// What a sweep saw of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSummary {
    /// Accounts to be updated in it, those that are being updated included.
    pub to_update: usize,
    /// Accounts of it that had been given up.
    #[serde(rename = "given_up", default)]
    pub dead_lettered: usize,
    /// Accounts that policies held in it.
    #[serde(default)]
    pub held: usize,
    /// [`LaneRecord::succeeded`] then. What has come since is done.
    pub succeeded: u64,
    /// [`LaneRecord::succeeded`] when a sweep first saw this target. `None` in a record of a
    /// groundcrew that did not note it.
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
    /// Why, as the policy said.
    pub reason: String,
    /// The lane in which it waits, where one would have it.
    #[serde(default)]
    pub lane: Option<String>,
}

/// What became of wanting to tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertClaim {
    /// It is ours to tell.
    Acquired,
    /// Another host is about to.
    ClaimedByOther,
    /// It has been told.
    Published,
}

/// A host that took it on to tell something, and hasn't said within this time that it is still about
/// to, is taken to have died: until then a lane may wait for what is to be told.
pub const ALERT_LEASE: Duration = Duration::from_secs(60);

/// A host that took a slot, and did not write down a record within this time, is taken to have died.
/// A start takes seconds, unless AWS refuses it for as long.
pub const STARTING_LEASE: Duration = Duration::from_secs(10 * 60);

/// What a ledger holds of the work under way. Other hosts and operators change it, so it is
/// read again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerOverview {
    /// Every slot that is taken.
    pub slots: Vec<Slot>,
    /// What is remembered of the lanes, by their names.
    pub lanes: BTreeMap<String, LaneRecord>,
    /// What operators have asked for.
    pub orders: Orders,
}

/// What AWS does not remember: slots taken, and attempts and outcome for each account
/// and target.
#[async_trait]
pub trait Ledger: Heartbeats + OrderLedger {
    /// Every slot that is taken, by any host.
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError>;

    /// Takes a slot unless the account has one, `cap` are taken, or the account was given up for
    /// this target. Strict: two hosts never exceed `cap` together, and what one has given up the
    /// other does not begin.
    async fn take_slot(&self, slot: &Slot, limits: SlotLimits) -> Result<SlotOutcome, LedgerError>;

    /// Notes the record that a start answered. Nothing when the account's slot is another
    /// one by now.
    async fn record_start(&self, slot: &Slot, record: &RecordId) -> Result<(), LedgerError>;

    /// Frees a slot, writes `progress` for its account and target, and takes into its lane's
    /// record how the update `ended`, all in one step. `None` leaves either as it was. Again, or
    /// when the account's slot is another one by now, it changes nothing.
    async fn free_slot(
        &self,
        slot: &Slot,
        progress: Option<&UpdateProgress>,
        ended: Option<UpdateEnd>,
    ) -> Result<FreedSlot, LedgerError>;

    /// What is remembered of the lanes, by their names. A lane of which nothing is known is
    /// not among them.
    async fn lanes(&self) -> Result<BTreeMap<String, LaneRecord>, LedgerError>;

    /// Pauses a lane because of its failures. A lane that is paused stays so for its first reason.
    /// Answers its record.
    async fn pause_lane(&self, lane: &str, pause: &Pause) -> Result<LaneRecord, LedgerError>;

    /// Writes that a plan is needed, since `since` if it is not known yet.
    async fn record_pending_plan(
        &self,
        plan: &PlanId,
        since: Timestamp,
    ) -> Result<PlanRecord, LedgerError>;

    /// What is there of the work under way.
    async fn overview(&self) -> Result<LedgerOverview, LedgerError> {
        Ok(LedgerOverview {
            slots: self.slots().await?,
            lanes: self.lanes().await?,
            orders: self.orders().await?,
        })
    }

    /// How things stood around each account after its last successful operation, as far as
    /// that was noted.
    async fn applied_states(&self) -> Result<BTreeMap<AccountId, AppliedState>, LedgerError>;

    /// Notes footings: those of these accounts, in place of what was noted of them.
    async fn record_applied_states(
        &self,
        applied_states: &BTreeMap<AccountId, AppliedState>,
    ) -> Result<(), LedgerError>;

    /// Writes what the last completed sweep saw.
    async fn record_sweep(&self, sweep: &SweepRecord) -> Result<(), LedgerError>;

    /// What the last completed sweep saw.
    async fn last_sweep(&self) -> Result<Option<SweepRecord>, LedgerError>;

    /// Takes it on to tell something, once for all hosts: [`AlertClaim::Acquired`] for whoever comes
    /// first, for the same host again, and for another when it was not told for
    /// [`ALERT_LEASE`].
    async fn claim_alert(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<AlertClaim, LedgerError>;

    /// Writes that it has been told. Again it does nothing.
    async fn record_alerted(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError>;

    /// Progress of one account towards a target; the default when nothing has failed.
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

/// What AWS and the other systems do not remember for us: which notifications were told.
#[async_trait]
pub trait NotificationLedger: Send + Sync {
    /// When this ledger began. The first call writes `now`; every later one, of any host,
    /// answers the same.
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError>;

    /// Takes a notification to tell it, as [`Claim::decide`] says, in one step: of two
    /// hosts that claim at once, one gets it.
    async fn claim(&self, claim: &Claim) -> Result<ClaimOutcome, LedgerError>;

    /// Writes what became of a notification that `by` has taken. Answers whether it still
    /// had it; if not, nothing is written.
    async fn complete(
        &self,
        key: &NotificationKey,
        by: &str,
        state: &NotificationState,
        now: Timestamp,
    ) -> Result<bool, LedgerError>;

    /// Writes an entry unless there is one. Answers whether it wrote.
    async fn insert_if_absent(
        &self,
        key: &NotificationKey,
        entry: &NotificationEntry,
    ) -> Result<bool, LedgerError>;

    /// What is known of one notification.
    async fn notification(
        &self,
        key: &NotificationKey,
    ) -> Result<Option<NotificationEntry>, LedgerError>;

    /// The notifications whose last try did not end in their being told: it failed, or a gate holds
    /// them. For operators: of thousands only those that changed last; one that waits for its first
    /// try is not among them.
    async fn undelivered(
        &self,
    ) -> Result<BTreeMap<NotificationKey, NotificationEntry>, LedgerError>;

    /// Writes that something was said, for example an alert, so that it isn't said again.
    /// `what` is any short text. Again it does nothing.
    async fn record_marker(&self, what: &str, now: Timestamp) -> Result<(), LedgerError>;

    /// Whether it was noted.
    async fn has_marker(&self, what: &str) -> Result<bool, LedgerError>;
}
