//! What the engine needs of the world, as traits that other crates implement.
//!
//! The methods are asynchronous because their implementations wait for a network;
//! nothing in this crate awaits anything. Every implementation is safe to call again
//! after a failure or a crash: see each method for what a repeat does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountId};
use crate::aws_error::AwsError;
use crate::catalog::{
    AccountFactory, ArtifactId, LaunchPathId, ProductId, ProvisionedProduct, ProvisionedProductId,
    Record, RecordId, UpdateRequest,
};
use crate::decision::{Candidate, Verdict};
use crate::due::Footing;
use crate::http::Secret;
use crate::notification::{
    Claim, Claimed, Notification, NotificationEntry, NotificationKey, NotificationState,
    NotifyFailure, Receipt,
};
use crate::onboarding::QueuedNotification;
use crate::parameters::User;
use crate::plan_id::PlanId;
use crate::support_case::SupportCase;

/// The time. Simulations show a virtual one.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// One page of a listing. May be empty and have a successor all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What this page holds.
    pub items: Vec<T>,
    /// Token of the next page; `None` on the last.
    pub next: Option<String>,
}

/// Service Catalog: the truth on what is outdated, under change or failed.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The Account Factory product and its newest active provisioning artifact.
    async fn account_factory(&self) -> Result<AccountFactory, AwsError>;

    /// A page of the provisioned products of Account Factory: one for each enrolled account.
    async fn provisioned_products(
        &self,
        product: &ProductId,
        page: Option<&str>,
    ) -> Result<Page<ProvisionedProduct>, AwsError>;

    /// One provisioned product as it is now.
    async fn provisioned_product(
        &self,
        id: &ProvisionedProductId,
    ) -> Result<ProvisionedProduct, AwsError>;

    /// How many provisioned products are under change, whoever changes them.
    async fn under_change(&self) -> Result<usize, AwsError>;

    /// The path by which this caller may launch the product.
    async fn launch_path(&self, product: &ProductId) -> Result<LaunchPathId, AwsError>;

    /// Starts an update. Again with the same token it starts nothing new and answers
    /// the record of the first.
    async fn start_update(&self, request: &UpdateRequest) -> Result<RecordId, AwsError>;

    /// A record as it is now.
    async fn record(&self, id: &RecordId) -> Result<Record, AwsError>;

    /// The outputs of a record, by their keys.
    async fn outputs(&self, id: &RecordId) -> Result<BTreeMap<String, String>, AwsError>;
}

/// The users of IAM Identity Center, which has a Region of its own.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// The user with this email address, if there is one.
    async fn user(&self, email: &str) -> Result<Option<User>, AwsError>;
}

/// AWS Organizations.
#[async_trait]
pub trait Directory: Send + Sync {
    /// A page of the organization's accounts.
    async fn accounts(&self, page: Option<&str>) -> Result<Page<Arc<Account>>, AwsError>;

    /// One account as it is now.
    async fn account(&self, id: &AccountId) -> Result<Arc<Account>, AwsError>;

    /// The tags of one account as they are now.
    async fn tags(&self, id: &AccountId) -> Result<BTreeMap<String, String>, AwsError>;
}

/// An index of the tags of many accounts (Resource Groups Tagging API). Whether it covers
/// accounts, AWS says nowhere: whoever uses it holds it against [`Directory::tags`].
#[async_trait]
pub trait TagIndex: Send + Sync {
    /// A page of the accounts that have a tag or once had one, with their tags.
    async fn tagged(
        &self,
        page: Option<&str>,
    ) -> Result<Page<(AccountId, BTreeMap<String, String>)>, AwsError>;
}

/// The landing zone, as far as updates depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingZoneState {
    /// Its version, for example `3.3`.
    pub version: String,
    /// Whether it is being changed (status `PROCESSING`): accounts are to be updated only
    /// afterwards.
    pub changing: bool,
}

/// AWS Control Tower.
#[async_trait]
pub trait LandingZones: Send + Sync {
    /// The landing zone in the home Region; `None` when there is none.
    async fn landing_zone(&self) -> Result<Option<LandingZoneState>, AwsError>;
}

/// A message of the updates queue: a hint that an account may be started. Dropping one
/// is harmless, since the next sweep finds the account again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The account; also the message group.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// The lane it was decided into.
    pub lane: String,
    /// 1 for the first try of this target.
    pub attempt: u32,
    /// Another number each time that the account is handed over. SQS remembers the
    /// deduplication ids of deleted messages for five minutes: without it, an account that is
    /// handed over again within them would be swallowed.
    pub serial: u32,
}

/// A received message, to be deleted or postponed by its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<T> {
    /// What it says.
    pub body: T,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt: String,
}

/// Something that could not be done, kept where an operator finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The account.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: ProvisionedProductId,
    /// The artifact it was to be updated to.
    pub target: ArtifactId,
    /// The lane it was in.
    pub lane: String,
    /// The true AWS error.
    pub reason: String,
    /// How many updates of the account to this target have failed.
    pub attempts: u32,
    /// How often it was redriven before. SQS swallows a letter that it had within five minutes.
    #[serde(default)]
    pub redriven: u32,
}

/// The updates queue (SQS FIFO) and its dead-letter queue.
#[async_trait]
pub trait UpdateQueue: Send + Sync {
    /// Hands over hints. Repeats within SQS's deduplication window are swallowed by it.
    /// Answers the accounts whose hint SQS refused, with its reason.
    async fn send(&self, hints: &[Hint]) -> Result<Vec<(AccountId, String)>, AwsError>;

    /// Waits up to `wait` (at most 20 s) for up to `max` (at most 10) hints. A message
    /// that can't be read is answered as an error, to be rejected once somebody knows of it.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Result<Received<Hint>, Unreadable>>, AwsError>;

    /// Moves a message that can't be read to the dead-letter queue.
    async fn reject(&self, message: &Unreadable) -> Result<(), AwsError>;

    /// Removes a message. Again it does nothing.
    async fn delete(&self, receipt: &str) -> Result<(), AwsError>;

    /// Hides a message for so long (at most 11 h); then it is received again.
    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<(), AwsError>;

    /// Puts a dead letter where an operator finds it.
    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), AwsError>;

    /// Removes the dead letters of these accounts, since they are redriven. Answers how many it
    /// found; others stay where they are.
    async fn remove_letters(&self, accounts: &BTreeSet<AccountId>) -> Result<usize, AwsError>;
}

/// A message that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong with it.
    pub reason: String,
    /// Its body.
    pub body: String,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt: String,
}

/// The queue of EventBridge events (SQS standard).
#[async_trait]
pub trait EventQueue: Send + Sync {
    /// Waits up to `wait` (at most 20 s) for events, at most 10.
    async fn receive(&self, wait: Duration) -> Result<Vec<Received<String>>, AwsError>;

    /// Removes an event. Again it does nothing.
    async fn delete(&self, receipt: &str) -> Result<(), AwsError>;

    /// Moves an event that can't be read to the dead-letter queue, with the reason.
    async fn reject(&self, event: &Received<String>, reason: &str) -> Result<(), AwsError>;
}

/// Something that a person has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Under 100 characters, no line breaks (SNS refuses others); cut to fit.
    pub subject: String,
    /// All that is known.
    pub message: String,
}

/// Where alerts go (SNS).
#[async_trait]
pub trait Alerts: Send + Sync {
    /// Publishes. SNS has no idempotency: a repeat is seen twice.
    async fn publish(&self, alert: &Alert) -> Result<(), AwsError>;
}

/// A failed call of a policy plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyFailure {
    /// Short and stable, for grouping: `timeout`, `memory`, `trap`, …, or the plugin's own.
    pub code: String,
    /// Names the plugin, what happened, and the limit that was reached.
    pub message: String,
    /// Whether trying again can help.
    pub transient: bool,
}

/// One configured policy, ready to be asked.
#[async_trait]
pub trait Policy: Send + Sync {
    /// Asks. Never panics, whatever the plugin does, and ends within its limits.
    async fn evaluate(&self, candidate: &Candidate) -> Result<Verdict, PolicyFailure>;
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

/// What became of asking for a slot.
// One exists at a time: its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Yes,
    /// The account already holds one.
    Already(Slot),
    /// All are taken.
    Full,
    /// All that its OU may have are taken.
    OuFull,
    /// Another host has given the account up for this target meanwhile.
    GivenUp,
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// In all.
    pub total: usize,
    /// For accounts directly in the same OU.
    pub per_ou: Option<usize>,
}

impl Cap {
    /// So many in all.
    pub fn of(total: usize) -> Self {
        Self { total, per_ou: None }
    }
}

/// How the updates of an account to one target have gone so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
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
pub struct Ended {
    /// Whether the account is on the target. Otherwise the update failed, and that spent an
    /// attempt.
    pub succeeded: bool,
    /// When.
    pub at: Timestamp,
}

impl LaneRecord {
    /// Takes in how one more update, which began at `begun`, has ended.
    pub fn end(&mut self, begun: Timestamp, ended: Ended) {
        self.last_ended = self.last_ended.max(Some(ended.at));
        if !ended.succeeded {
            self.failures_in_a_row += 1;
            return;
        }
        self.failures_in_a_row = 0;
        self.succeeded += 1;
        let took = ended.at.duration_since(begun).unsigned_abs().as_secs();
        self.typical_seconds = match self.typical_seconds {
            0 => took,
            typical => (typical * 7 + took) / 8,
        };
    }
}

/// What operators have asked for, whichever host is to do it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// When a sweep was asked for last.
    #[serde(default)]
    pub sweep: Option<Timestamp>,
    /// The plans that need approval, by their ids: the last [`Orders::PLANS`].
    #[serde(default)]
    pub plans: BTreeMap<PlanId, PlanRecord>,
}

impl Orders {
    /// So many plans are remembered.
    pub const PLANS: usize = 20;

    /// Whether a plan may be carried out.
    pub fn is_approved(&self, plan: &PlanId) -> bool {
        self.plans.get(plan).is_some_and(|record| record.approved.is_some())
    }
}

/// What is remembered of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// When it was first needed.
    pub since: Timestamp,
    /// Who approved it, and when; `None` before that.
    #[serde(default)]
    pub approved: Option<Approval>,
}

/// An operator's approval of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// As which user, where known.
    pub by: String,
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
    /// Enrolled accounts.
    pub accounts: usize,
    /// Of these, up to date.
    pub current: usize,
    /// Left alone because a policy or a rule said so.
    pub skipped: usize,
    /// To be updated, by lane, with what the lane had done by then.
    pub lanes: BTreeMap<String, LaneSeen>,
    /// Held, those that are freed first before the others; at most [`SweepRecord::HELD`].
    pub held: Vec<HeldRecord>,
    /// How many are held in all.
    pub held_in_all: usize,
}

impl SweepRecord {
    /// So many held accounts are listed.
    pub const HELD: usize = 100;
}

/// What a sweep saw of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSeen {
    /// Accounts to be updated in it, those that are being updated included.
    pub to_update: usize,
    /// Accounts of it that had been given up.
    #[serde(default)]
    pub given_up: usize,
    /// [`LaneRecord::succeeded`] then. What has come since is done.
    pub succeeded: u64,
}

/// An account that a policy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// The account.
    pub account: AccountId,
    /// Until when.
    pub until: Timestamp,
    /// Why, as the policy said.
    pub reason: String,
}

/// What became of wanting to tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is ours to tell.
    Ours,
    /// Another host is about to.
    Theirs,
    /// It has been told.
    Done,
}

/// What a ledger holds of the work under way. Other hosts and operators change it, so it is
/// read again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Every slot that is taken.
    pub slots: Vec<Slot>,
    /// What is remembered of the lanes, by their names.
    pub lanes: BTreeMap<String, LaneRecord>,
    /// What operators have asked for.
    pub orders: Orders,
}

/// A host that took it on to tell something, or to start an update, and did not within this time
/// is taken to have died. Either takes seconds, unless AWS refuses it for as long.
pub const TELLING_LEASE: Duration = Duration::from_secs(10 * 60);

/// A ledger that can't be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger: {0}")]
pub struct LedgerError(pub String);

/// What AWS does not remember: slots taken, and attempts and outcome for each account
/// and target.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Every slot that is taken, by any host.
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError>;

    /// Takes a slot unless the account has one, `cap` are taken, or the account was given up for
    /// this target. Strict: two hosts never exceed `cap` together, and what one has given up the
    /// other does not begin.
    async fn take_slot(&self, slot: &Slot, cap: Cap) -> Result<Taken, LedgerError>;

    /// Notes the record that a start answered. Nothing when the account's slot is another
    /// one by now.
    async fn note_record(&self, slot: &Slot, record: &RecordId) -> Result<(), LedgerError>;

    /// Frees a slot, writes `progress` for its account and target, and takes into its lane's
    /// record how the update `ended`, all in one step. `None` leaves either as it was. Answers
    /// the lane's record. Again, or when the account's slot is another one by now, it changes
    /// nothing.
    async fn free_slot(
        &self,
        slot: &Slot,
        progress: Option<&Progress>,
        ended: Option<Ended>,
    ) -> Result<LaneRecord, LedgerError>;

    /// What is remembered of the lanes, by their names. A lane of which nothing is known is
    /// not among them.
    async fn lanes(&self) -> Result<BTreeMap<String, LaneRecord>, LedgerError>;

    /// Pauses a lane, or with `None` lets it go on: then its failures count from zero again. A
    /// lane that is paused stays so for its first reason. Answers its record.
    async fn pause_lane(
        &self,
        lane: &str,
        pause: Option<&Pause>,
    ) -> Result<LaneRecord, LedgerError>;

    /// What operators have asked for.
    async fn orders(&self) -> Result<Orders, LedgerError>;

    /// Asks whichever host runs for a sweep.
    async fn order_sweep(&self, at: Timestamp) -> Result<(), LedgerError>;

    /// Writes that a plan is needed, since `since` if it is not known yet.
    async fn need_plan(&self, plan: &PlanId, since: Timestamp) -> Result<PlanRecord, LedgerError>;

    /// Approves a plan that is needed. Answers `false` when no such plan is; nothing is written
    /// then, nor when it was approved before.
    async fn approve(&self, plan: &PlanId, approval: &Approval) -> Result<bool, LedgerError>;

    /// What is there of the work under way.
    async fn overview(&self) -> Result<Overview, LedgerError> {
        Ok(Overview {
            slots: self.slots().await?,
            lanes: self.lanes().await?,
            orders: self.orders().await?,
        })
    }

    /// How things stood around each account after its last successful operation, as far as
    /// that was noted.
    async fn footings(&self) -> Result<BTreeMap<AccountId, Footing>, LedgerError>;

    /// Notes footings: those of these accounts, in place of what was noted of them.
    async fn note_footings(
        &self,
        footings: &BTreeMap<AccountId, Footing>,
    ) -> Result<(), LedgerError>;

    /// Writes what the last completed sweep saw.
    async fn note_sweep(&self, sweep: &SweepRecord) -> Result<(), LedgerError>;

    /// What the last completed sweep saw.
    async fn last_sweep(&self) -> Result<Option<SweepRecord>, LedgerError>;

    /// Takes it on to tell something, once for all hosts: [`Telling::Ours`] for whoever comes
    /// first, for the same host again, and for another when it was not told for
    /// [`TELLING_LEASE`].
    async fn claim_telling(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<Telling, LedgerError>;

    /// Writes that it has been told. Again it does nothing.
    async fn note_told(&self, what: &str, host: &str, now: Timestamp) -> Result<(), LedgerError>;

    /// Lets an account that was given up be updated to this target again: its failures count
    /// from zero. Answers what is remembered of it now, or `None` when it was not given up;
    /// nothing is written then.
    async fn redrive(
        &self,
        account: &AccountId,
        target: &ArtifactId,
    ) -> Result<Option<Progress>, LedgerError>;

    /// Progress of one account towards a target; the default when nothing has failed.
    async fn progress(
        &self,
        account: &AccountId,
        target: &ArtifactId,
    ) -> Result<Progress, LedgerError>;

    /// Progress of every account that has any towards this target.
    async fn all_progress(
        &self,
        target: &ArtifactId,
    ) -> Result<BTreeMap<AccountId, Progress>, LedgerError>;
}

/// What AWS and the other systems do not remember for us: which notifications were told.
#[async_trait]
pub trait NotificationLedger: Send + Sync {
    /// When this ledger began. The first call writes `now`; every later one, of any host,
    /// answers the same.
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError>;

    /// Takes a notification to tell it, as [`Claim::decide`] says, in one step: of two
    /// hosts that claim at once, one gets it.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, LedgerError>;

    /// Writes what became of a notification that `by` has taken. Answers whether it still
    /// had it; if not, nothing is written.
    async fn settle(
        &self,
        key: &NotificationKey,
        by: &str,
        state: &NotificationState,
        now: Timestamp,
    ) -> Result<bool, LedgerError>;

    /// Writes an entry unless there is one. Answers whether it wrote.
    async fn record(
        &self,
        key: &NotificationKey,
        entry: &NotificationEntry,
    ) -> Result<bool, LedgerError>;

    /// What is known of one notification.
    async fn notification(
        &self,
        key: &NotificationKey,
    ) -> Result<Option<NotificationEntry>, LedgerError>;

    /// Writes that something was said, for example an alert, so that it isn't said again.
    /// `what` is any short text. Again it does nothing.
    async fn note(&self, what: &str, now: Timestamp) -> Result<(), LedgerError>;

    /// Whether it was noted.
    async fn noted(&self, what: &str) -> Result<bool, LedgerError>;
}

/// The notifications queue (SQS FIFO).
#[async_trait]
pub trait NotificationQueue: Send + Sync {
    /// Hands over one notification. Its group is notifier and account, so that a system that
    /// is down delays no other. A repeat within SQS's deduplication window is swallowed.
    async fn send(&self, notification: &QueuedNotification) -> Result<(), AwsError>;

    /// Waits up to `wait` (at most 20 s) for notifications, at most 10. A message that can't be
    /// read is answered as an error, to be rejected once somebody knows of it.
    async fn receive(&self, wait: Duration) -> Result<Vec<Result<Delivery, Unreadable>>, AwsError>;

    /// Moves a message that can't be read to the dead-letter queue.
    async fn reject(&self, message: &Unreadable) -> Result<(), AwsError>;

    /// Removes a message. Again it does nothing.
    async fn delete(&self, receipt: &str) -> Result<(), AwsError>;

    /// Hides a message for so long (at most 11 h), and with it whatever follows in its group.
    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<(), AwsError>;

    /// Puts a notification that can't be told where an operator finds it, with the reason.
    async fn dead_letter(
        &self,
        notification: &QueuedNotification,
        reason: &str,
    ) -> Result<(), AwsError>;

    /// Hands over again what lies in the dead-letter queue for this notifier. Answers how many
    /// notifications that were.
    async fn redrive(&self, notifier: &str) -> Result<usize, AwsError>;
}

/// A notification that came out of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What is to be told.
    pub notification: QueuedNotification,
    /// Handle of this receipt; worthless after the visibility timeout.
    pub receipt: String,
    /// How often it has been received, this time included.
    pub times: u32,
}

/// One configured notifier, ready to be used.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Tells the other system. Never panics, whatever the plugin does, and ends within its
    /// limits. May be called again with the same key.
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure>;
}

/// AWS Support, in the Region where it lives.
#[async_trait]
pub trait SupportCases: Send + Sync {
    /// Opens the case, its body closed by the key's reference line, and answers the case
    /// id. Before every attempt it looks for a case that is closed by that line, open or
    /// resolved, and answers that one instead. A `CreateCase` is never repeated blindly.
    async fn open(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError>;
}

/// Where secrets are kept (AWS Secrets Manager).
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The text of a secret, by its name or ARN. May be some minutes old.
    async fn secret(&self, id: &str) -> Result<Secret, AwsError>;

    /// Has the next [`secret`](Self::secret) of that name or ARN read anew: what it answered
    /// was refused.
    fn forget(&self, id: &str);
}
