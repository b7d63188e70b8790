//! The scheduler: which account is updated when.
//!
//! It is a state machine without input or output: [`Scheduler::observe`] takes the time and what
//! the shell observed, and returns what to do. So the service, the Lambda function and the
//! simulator run the same one. It depends neither on AWS nor on plugins; the decisions of policies
//! are lanes in the result of a sweep.
//!
//! Its guarantees:
//! - There are never more than `max_concurrent_operations` updates at once, nor more than the
//!   concurrency of the lane.
//! - A lane starts nothing while an earlier lane has an account waiting or running. When the
//!   earlier lanes are done, a sweep that begins afterwards has to confirm it.
//! - A lane starts nothing while it or an earlier lane is paused, nor before it has soaked. If it
//!   requires success, it also starts nothing after an account of an earlier lane was
//!   dead-lettered.
//! - A lane starts nothing while policies hold an account of an earlier lane, unless it is
//!   configured to pass held accounts.
//! - Nothing starts before its plan is approved, if plans need approval.
//! - Waiting does not count as an attempt: only an update that ran and failed does. After
//!   `max_attempts` of them the account is in the dead-letter queue, and an alert is published.
//!
//! The ledger is read again and again. Updates of other hosts are tracked like the host's own, so
//! that any host may die.
//!
//! There is one file for each kind of observation: `candidates` for the decisions of sweeps,
//! `queue` for sent and received messages, `start`, `track` and `retry` for the start, the end and the failure of
//! updates, `ledger` for the changes by other hosts and operators. The code here decides from all
//! of it what to do now.

mod alert_texts;
mod backlog;
mod candidates;
mod holds;
mod lanes;
mod ledger;
mod messages;
mod queue;
mod retry;
mod start;
mod sweeps;
mod track;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub use lanes::{BlockedReason, LaneRules, StartWhen, WhenHeld};
pub use messages::{
    AccountUpdateState, Completion, Observation, PollResult, SchedulerAction, StartOutcome, Sweep,
};

use crate::account::AccountId;
use crate::catalog::AccountFactory;
use crate::lane::LaneId;
use crate::plan_id::PlanId;
use crate::ports::{Alert, BlockingHolds, Orders, Pause, QueuedUpdate, ReceivedMessage};
use crate::suggestions::CommandFormatter;
use alert_texts::{approval_needed, lane_paused};
use backlog::{Backlog, BacklogStage};
use holds::Holds;
use lanes::LaneStates;
use ledger::LedgerReads;
use queue::{LOST_AFTER, LOST_IF_EMPTY};
use retry::UPDATE_RETRY;
use sweeps::SweepSchedule;
use track::{Operation, OperationState};

pub use view::{LaneView, SchedulerView};

/// The configuration by the operator.
#[derive(Clone, Debug)]
pub struct SchedulerRules {
    /// The lanes, in the order in which they run.
    pub lanes: Vec<LaneRules>,
    /// Most updates at once, over all lanes.
    pub max_concurrent_operations: usize,
    /// Most updates at once of accounts that are directly in the same OU.
    pub per_ou_limit: Option<usize>,
    /// Failed updates of one account to one target before it is dead-lettered.
    pub max_attempts: u32,
    /// The interval of polling a running update, and of reading the ledger.
    pub poll_interval: Duration,
    /// An update that runs longer than this leads to an alert.
    pub operation_timeout: Duration,
    /// How much work the queue holds at most: about as much as is done in this time.
    pub window: Duration,
    /// The longest interval of sweeps.
    pub sweep_interval: Duration,
    /// The shortest interval of sweeps when events request them.
    pub min_sweep_interval: Duration,
    /// How alerts write the commands that they suggest.
    pub suggestions: CommandFormatter,
}

impl SchedulerRules {
    /// The lane with this name in the ledger and the queues; `None` if it is no longer configured.
    pub fn lane_named(&self, name: &str) -> Option<LaneId> {
        lanes::lane_named(&self.lanes, name)
    }

    /// The rules of a lane, which must be one of these.
    pub fn lane(&self, lane: LaneId) -> &LaneRules {
        &self.lanes[lane.index()]
    }

    /// The lanes, in their order.
    pub fn lane_ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..self.lanes.len()).map(LaneId::from_index)
    }
}

/// The assumed duration of an update until one has ended: the middle of the 10 to 30 minutes that
/// Control Tower takes.
const INITIAL_UPDATE_DURATION: Duration = Duration::from_secs(20 * 60);
/// Held accounts that have kept other lanes back for longer than this lead to an alert.
const HELD_BACK_ALERT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// An alert about the same fault of the host as a whole goes out at most once in this time.
const ALERT_REPEAT: Duration = Duration::from_secs(6 * 60 * 60);

/// The state machine: see the module.
#[derive(Debug)]
pub struct Scheduler {
    rules: SchedulerRules,
    /// The name of this host in the ledger.
    host: String,
    /// The last moment at which something was observed.
    now: Timestamp,
    target: Option<AccountFactory>,
    backlog: Backlog,
    lanes: LaneStates,
    sweeps: SweepSchedule,
    operations: BTreeMap<AccountId, Operation>,
    /// Messages whose account is being checked and started.
    starting: BTreeMap<AccountId, ReceivedMessage<QueuedUpdate>>,
    /// Accounts whose update ended, or that have a new decision, since the running sweep began.
    /// Their result of that sweep is stale.
    changed: BTreeSet<AccountId>,
    /// Accounts on which something else runs: since when, and whether the alert went out.
    busy: BTreeMap<AccountId, (Timestamp, bool)>,
    receiving: bool,
    /// Whether the queue may hold messages that are no longer needed: of a host that was stopped,
    /// or of accounts that have a new decision. After each sweep the queue is read until no such
    /// message comes.
    may_hold_stale_messages: bool,
    /// Nothing is started before this, because the quota was used up.
    blocked_until: Timestamp,
    /// When an alert about the host as a whole last went out, by cause.
    last_host_alerts: BTreeMap<&'static str, Timestamp>,
    typical_update: Duration,
    holds: Holds,
    /// The lanes whose held accounts keep later lanes back, by the last sweep.
    held_back: Vec<BlockingHolds>,
    /// Those for which this host has requested an alert: lane and since when.
    alerted_held_back: BTreeSet<(String, Timestamp)>,
    ledger: LedgerReads,
    /// The plan of the last sweep, if plans need approval.
    plan: Option<PlanId>,
    /// The plan for which this host last requested approval.
    approval_requested: Option<PlanId>,
    /// The number of alerts that are being published.
    pending_alerts: usize,
    orders: Orders,
    /// The number of observations other than ticks.
    observed: u64,
}

impl Scheduler {
    /// A scheduler without observations. Its first actions are to read the ledger and to sweep.
    pub fn new(rules: SchedulerRules, host: impl Into<String>, now: Timestamp) -> Self {
        Self {
            now,
            host: host.into(),
            backlog: Backlog::new(rules.lanes.len(), now),
            lanes: LaneStates::new(rules.lanes.clone()),
            sweeps: SweepSchedule::new(rules.sweep_interval, rules.min_sweep_interval, now),
            rules,
            target: None,
            operations: BTreeMap::new(),
            starting: BTreeMap::new(),
            changed: BTreeSet::new(),
            busy: BTreeMap::new(),
            receiving: false,
            may_hold_stale_messages: false,
            blocked_until: now,
            last_host_alerts: BTreeMap::new(),
            typical_update: INITIAL_UPDATE_DURATION,
            holds: Holds::default(),
            held_back: Vec::new(),
            alerted_held_back: BTreeSet::new(),
            ledger: LedgerReads { due: Some(now), known: false, freed: BTreeMap::new() },
            plan: None,
            approval_requested: None,
            pending_alerts: 0,
            orders: Orders::default(),
            observed: 0,
        }
    }

    /// Takes an observation, and returns what to do now.
    pub fn observe(&mut self, now: Timestamp, observation: Observation) -> Vec<SchedulerAction> {
        let mut actions = Vec::new();
        self.now = now;
        self.observed += u64::from(!matches!(observation, Observation::Tick));
        match observation {
            Observation::Tick => {}
            Observation::Ledger { read_at, overview } => {
                self.ledger_read(read_at, overview, now, &mut actions);
            }
            Observation::LedgerUnavailable => {
                self.ledger.due = Some(now + self.rules.poll_interval)
            }
            Observation::LanePaused { lane, record } => {
                let pause = record.paused.clone().filter(|pause| pause.automatic);
                self.lanes.paused(&lane, record, now);
                actions.extend(pause.map(|pause| self.alert_pause(lane, pause)));
            }
            Observation::SweepRequested => self.sweeps.request(now),
            Observation::OperationEnded(account) => {
                match self.operations.get_mut(&account).map(|operation| &mut operation.state) {
                    Some(OperationState::PollDue(at)) => *at = now,
                    Some(OperationState::Polling { again }) => *again = true,
                    Some(
                        OperationState::Completing(_) | OperationState::LeftToOtherHost { .. },
                    )
                    | None => {}
                }
            }
            Observation::Swept(sweep) => {
                self.swept(sweep, now);
                self.may_hold_stale_messages = true;
            }
            Observation::SweepFailed { reason } => {
                // A single failure may have a cause that has passed by the next sweep.
                if self.sweeps.fail(now) > 1 {
                    let subject = "The sweep of the organization fails";
                    actions.extend(self.host_alert(subject, &reason, now));
                }
            }
            Observation::SweepPostponed { until } => self.sweeps.postpone(until),
            Observation::Queued(accounts) => {
                for account in &accounts {
                    self.sent(account, BacklogStage::Queued { visible: now }, now);
                }
            }
            Observation::EnqueueFailed { accounts, reason } => {
                let ready = now + UPDATE_RETRY.after(1);
                for account in &accounts {
                    self.sent(account, BacklogStage::Waiting { ready }, now);
                }
                actions.extend(self.host_alert(
                    "The updates queue takes no messages",
                    &reason,
                    now,
                ));
            }
            Observation::Received(messages) => {
                self.receiving = false;
                if messages.is_empty() {
                    self.nothing_received(LOST_AFTER, now);
                    self.may_hold_stale_messages = false;
                }
                for message in messages {
                    actions.push(self.received(message, now));
                }
            }
            Observation::QueueEmpty => {
                self.receiving = false;
                self.may_hold_stale_messages = false;
                self.nothing_received(LOST_IF_EMPTY, now);
            }
            Observation::ReceiveFailed { reason } => {
                self.receiving = false;
                self.blocked_until = self.blocked_until.max(now + self.rules.poll_interval);
                actions.extend(self.host_alert("The updates queue can't be read", &reason, now));
            }
            Observation::StartEnded { account, outcome } => {
                self.start_ended(&account, outcome, now, &mut actions);
            }
            Observation::Polled { account, token, poll_result } => {
                self.polled(&account, &token, poll_result, now, &mut actions);
            }
            Observation::Completed { account, lane } => {
                if let Some(operation) = self.operations.get(&account) {
                    self.lanes.update_record(&operation.slot.lane, lane, now);
                }
                self.ledger.freed.insert(account.clone(), now);
                self.completed(&account, now);
            }
            Observation::CompletionDeferred(completion) => {
                let account = completion.slot.account.clone();
                if let Some(operation) = self.operations.get_mut(&account)
                    && let OperationState::Completing(after) = operation.state
                {
                    let at = now + self.rules.poll_interval;
                    operation.state = OperationState::LeftToOtherHost {
                        at,
                        completion: Box::new(completion),
                        after,
                    };
                }
            }
            Observation::Alerted => self.pending_alerts = self.pending_alerts.saturating_sub(1),
        }
        self.push_due_actions(now, &mut actions);
        actions
    }

    /// When to call [`Scheduler::observe`] with [`Observation::Tick`] if nothing else happens
    /// before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let polls = self
            .operations
            .values()
            .filter_map(|operation| match operation.state {
                OperationState::PollDue(at) | OperationState::LeftToOtherHost { at, .. } => {
                    Some(at)
                }
                OperationState::Polling { .. } | OperationState::Completing(_) => None,
            })
            .min();
        let sweep = if self.ledger.known { self.sweeps.due() } else { None };
        let mut next = [self.ledger.due, sweep, polls].into_iter().flatten().min();
        if let Some(lane) = self.runnable_lane() {
            let top_up_at = match self.needs_top_up(lane) {
                true => self.backlog.next_ready(lane),
                false => None,
            };
            let receive = match self.receiving || self.free(lane) == 0 {
                true => None,
                false => self.backlog.next_visible(lane).map(|at| at.max(self.blocked_until)),
            };
            next = [next, top_up_at, receive].into_iter().flatten().min();
        } else if let Some((_, BlockedReason::Soaking { until })) = self.blocked() {
            next = next.into_iter().chain([until]).min();
        }
        next
    }

    /// The lane whose turn it is and its reason to wait, other than the lanes before it.
    pub fn blocked(&self) -> Option<(LaneId, BlockedReason)> {
        let lane = self.next_lane()?;
        Some((lane, self.block_reason(lane)?))
    }

    /// Why a lane may start nothing now, if the lanes before it have nothing open.
    fn block_reason(&self, lane: LaneId) -> Option<BlockedReason> {
        let unapproved = self.plan.as_ref().filter(|plan| !self.orders.is_approved(plan));
        let unapproved = unapproved.map(|plan| BlockedReason::Unapproved { plan: plan.clone() });
        let blocked = unapproved.or_else(|| self.lanes.blocked(lane, self.now));
        match blocked {
            // A hold takes precedence: the lane soaks again after the held accounts.
            None | Some(BlockedReason::Soaking { .. }) => {
                self.holds.blocks(lane, &self.rules.lanes).or(blocked)
            }
            blocked => blocked,
        }
    }

    /// Whether everything that can be done before `end` is done: the only open accounts wait for an
    /// operator, no hold ends before `end`, no alert is being published, and a sweep that began
    /// after the last change confirms it.
    pub fn is_quiescent(&self, end: Timestamp) -> bool {
        let pending_alerts = self.lanes.is_pausing() || self.pending_alerts > 0;
        let holds = self.holds.next().is_some_and(|hold| hold <= end);
        if pending_alerts || holds || self.sweeps.is_running() {
            return false;
        }
        // They wait for an operator, or for a hold that lasts longer than `end`.
        if self.waits_for_others() {
            return self.in_flight() == 0;
        }
        self.ledger.known
            && self.backlog.is_empty()
            && self.operations.is_empty()
            && self.confirmed_before(None)
    }

    // ---- lanes and slots ----

    /// Whether a sweep that began after the last change in the lanes before `lane` has found
    /// nothing for them. Without `lane`: after the last change in all lanes. Queue counts lag, and
    /// are never used for this.
    fn confirmed_before(&self, lane: Option<LaneId>) -> bool {
        let Some(completed) = self.sweeps.completed() else {
            return false;
        };
        let before = self.rules.lane_ids().take_while(|earlier| Some(*earlier) != lane);
        before.into_iter().all(|earlier| self.backlog.last_change(earlier) <= completed)
    }

    /// The lane whose turn it is, if any: the first with an open account, once the lanes before it
    /// are confirmed done.
    fn next_lane(&self) -> Option<LaneId> {
        self.backlog.first_open_lane().filter(|lane| self.confirmed_before(Some(*lane)))
    }

    /// The lane that may run now, if any: the next lane, if nothing blocks it.
    fn runnable_lane(&self) -> Option<LaneId> {
        self.next_lane().filter(|lane| self.block_reason(*lane).is_none())
    }

    /// Whether the lane whose turn it is waits for an operator to resume or redrive something, or
    /// for the end of a hold.
    fn waits_for_others(&self) -> bool {
        let waits = |blocked: &BlockedReason| !matches!(blocked, BlockedReason::Soaking { .. });
        self.blocked().is_some_and(|(_, blocked)| waits(&blocked))
    }

    fn free(&self, lane: LaneId) -> usize {
        let cap = self.rules.lane(lane).concurrency.min(self.rules.max_concurrent_operations);
        cap.saturating_sub(self.in_flight())
    }

    fn in_flight(&self) -> usize {
        let only_starting =
            self.starting.keys().filter(|account| !self.operations.contains_key(*account)).count();
        self.operations.len() + only_starting
    }

    // ---- deciding what to do ----

    fn push_due_actions(&mut self, now: Timestamp, actions: &mut Vec<SchedulerAction>) {
        if self.ledger.due.is_some_and(|due| due <= now) {
            self.ledger.due = None;
            actions.push(SchedulerAction::ReadLedger);
        }
        // Nothing is started before it is known which updates run and which lanes are paused.
        if !self.ledger.known {
            return;
        }
        self.poll_due(now, actions);
        while let Some((lane, pause)) = self.lanes.over_failure_threshold(now) {
            actions.push(SchedulerAction::PauseLane { lane, pause });
        }
        if self.needs_confirming_sweep() {
            self.sweeps.request_now(now);
        }
        if self.sweeps.start_if_due(now) {
            self.changed.clear();
            actions.push(SchedulerAction::Sweep);
        }
        actions.extend(self.request_approval());
        self.alert_held_back(now, actions);
        let Some(lane) = self.runnable_lane() else {
            // If there is nothing to do, every message in the queue is stale.
            let idle = self.backlog.is_empty() && self.confirmed_before(None);
            if idle && self.may_hold_stale_messages && !self.receiving && self.blocked_until <= now
            {
                self.receiving = true;
                actions.push(SchedulerAction::Receive { max: 10 });
            }
            return;
        };
        self.top_up_queue(lane, now, actions);
        let free = self.free(lane);
        let visible = self.backlog.next_visible(lane).is_some_and(|visible| visible <= now);
        if free > 0 && visible && !self.receiving && self.blocked_until <= now {
            self.receiving = true;
            // SQS returns at most ten messages a call.
            actions.push(SchedulerAction::Receive { max: free.min(10) });
        }
    }

    /// Requests approval of a plan that would start something, once.
    fn request_approval(&mut self) -> Option<SchedulerAction> {
        let (_, BlockedReason::Unapproved { plan }) = self.blocked()? else { return None };
        let target = self.target.as_ref()?;
        if self.approval_requested.as_ref() == Some(&plan) {
            return None;
        }
        let lanes: Vec<(String, usize, usize)> = self
            .rules
            .lane_ids()
            .map(|lane| {
                let name = self.rules.lane(lane).name.clone();
                (name, self.backlog.open(lane), self.holds.in_lane(lane))
            })
            .collect();
        let alert = approval_needed(&plan, target.target.as_str(), &lanes, &self.rules.suggestions);
        self.approval_requested = Some(plan.clone());
        self.pending_alerts += 1;
        Some(SchedulerAction::RequestApproval { plan, alert })
    }

    /// Whether only a sweep is missing: lanes are done, and no sweep has confirmed it yet.
    fn needs_confirming_sweep(&self) -> bool {
        !self.sweeps.is_running() && !self.confirmed_before(self.backlog.first_open_lane())
    }

    // ---- alerts ----

    fn alert_pause(&mut self, lane: String, pause: Pause) -> SchedulerAction {
        self.pending_alerts += 1;
        let alert = lane_paused(&lane, &pause);
        SchedulerAction::AlertPause { lane, pause, alert }
    }

    /// Held accounts that have kept other lanes back for a long time: one alert for as long as they
    /// do.
    fn alert_held_back(&mut self, now: Timestamp, actions: &mut Vec<SchedulerAction>) {
        for held_back in &self.held_back {
            let key = (held_back.lane.clone(), held_back.since);
            if held_back.since + HELD_BACK_ALERT_AFTER <= now && self.alerted_held_back.insert(key)
            {
                self.pending_alerts += 1;
                let alert = alert_texts::held_accounts(held_back);
                actions
                    .push(SchedulerAction::AlertHeldBack { held_back: held_back.clone(), alert });
            }
        }
    }

    /// An alert about the host as a whole, unless one about the same went out recently.
    fn host_alert(
        &mut self,
        subject: &'static str,
        reason: &str,
        now: Timestamp,
    ) -> Option<SchedulerAction> {
        let last = self.last_host_alerts.get(subject);
        if last.is_some_and(|last| now < *last + ALERT_REPEAT) {
            return None;
        }
        self.last_host_alerts.insert(subject, now);
        let span = now.as_second().div_euclid(ALERT_REPEAT.as_secs().cast_signed());
        let alert = Alert { subject: subject.to_owned(), message: reason.to_owned() };
        Some(SchedulerAction::Alert { what: format!("trouble: {subject}, {span}"), alert })
    }
}
