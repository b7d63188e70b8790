//! The scheduler: which account is updated when.
//!
//! A state machine without input or output: [`Scheduler::observe`] takes what the shell
//! saw and the time, and answers what to do. So the service, the Lambda and the simulator
//! run the very same one. It knows neither AWS nor plugins; the decisions of policies
//! arrive in the sweep's result, as lanes.
//!
//! What it promises:
//! - never more than `max_concurrent_operations` updates at once, nor more than the
//!   concurrency of the lane;
//! - nothing of a lane starts while an earlier lane has an account waiting or running,
//!   or before a sweep that began after the earlier lanes were done has found nothing
//!   more for them;
//! - nothing of a lane starts while it or an earlier one is paused, before it has soaked,
//!   nor, where it asks for success, after an account of an earlier one was given up;
//! - nothing starts before its plan is approved, where plans need approval;
//! - waiting costs no attempt: only an update that ran and failed does, and after
//!   `max_attempts` of them the account is in the dead-letter queue and an alert is out.
//!
//! The ledger is read again and again: updates that another host has begun are tracked as
//! one's own, so that either may die.

mod backlog;
mod lanes;
mod letters;
mod messages;
mod sweeps;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub use lanes::{Blocked, LaneRules, StartWhen};
pub use messages::{Action, Observation, Settlement, Sight, Standing, StartOutcome, Sweep};

use crate::account::AccountId;
use crate::aws_error::{AwsError, Class};
use crate::catalog::AccountFactory;
use crate::plan_id::PlanId;
use crate::ports::{
    Alert, Ended, Hint, Orders, Overview, Pause, Progress, Received, Slot, TELLING_LEASE,
};
use backlog::{Backlog, Entry, Stage};
use lanes::Lanes;
use letters::{approval, blocked, burial, diagnose, overdue, paused};
use sweeps::Sweeps;

pub use view::{LaneView, View};

/// What the operator configured.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The lanes, in the order in which they run.
    pub lanes: Vec<LaneRules>,
    /// Most updates at once, over all lanes.
    pub max_concurrent_operations: usize,
    /// Most updates at once of accounts that are directly in the same OU.
    pub per_ou_limit: Option<usize>,
    /// Failed updates of one account to one target before it is given up.
    pub max_attempts: u32,
    /// Between two looks at a running update, and between two at the ledger.
    pub wait: Duration,
    /// An update running longer than this is worth an alert.
    pub operation_timeout: Duration,
    /// How much work the queue holds at most: about what is done in this time.
    pub window: Duration,
    /// Between two sweeps, at most.
    pub sweep_interval: Duration,
    /// Between two sweeps, at least, when events ask for them.
    pub min_sweep_interval: Duration,
}

/// Taken for the duration of an update until one has been seen: the middle of the 10 to
/// 30 minutes that Control Tower takes.
const TYPICAL_UPDATE: Duration = Duration::from_secs(20 * 60);
/// After a failed update, before the next try; doubled with each.
const RETRY: Duration = Duration::from_secs(60);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(30 * 60);
/// A message that was visible for so long and was not received is lost: it is sent again.
/// Longer than SQS remembers a deduplication id (5 minutes), which would swallow it.
const LOST_AFTER: Duration = Duration::from_secs(10 * 60);

/// An update that holds a slot.
#[derive(Clone, Debug)]
struct Operation {
    slot: Slot,
    /// Since when this host knows that the slot is taken.
    known_since: Timestamp,
    watch: Watch,
    timeout_alerted: bool,
}

/// What is being done about a running update.
#[derive(Clone, Debug)]
enum Watch {
    /// It is looked at next at this moment.
    Due(Timestamp),
    /// A look is under way; `again` when an event came meanwhile.
    Looking { again: bool },
    /// Its end is being written down.
    Settling(Then),
    /// Another host is about to write its end down. From this moment on it is tried here again:
    /// the other may have died.
    Left { at: Timestamp, settlement: Box<Settlement>, then: Then },
}

/// What an account does once its update is settled.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Nothing more.
    Close,
    /// Another try, from a moment on.
    Retry { failed_attempts: u32, ready: Timestamp },
}

/// The state machine. See the module.
#[derive(Debug)]
pub struct Scheduler {
    rules: Rules,
    /// The name of this host in the ledger.
    host: String,
    /// The last moment at which something was observed.
    now: Timestamp,
    target: Option<AccountFactory>,
    backlog: Backlog,
    lanes: Lanes,
    sweeps: Sweeps,
    operations: BTreeMap<AccountId, Operation>,
    /// Messages whose account is being examined and started.
    starting: BTreeMap<AccountId, Received<Hint>>,
    /// Accounts whose update ended or that were decided anew since the running sweep
    /// began: what that sweep saw of them is stale.
    changed: BTreeSet<AccountId>,
    /// Accounts on which something else runs: since when, and whether it was told.
    busy: BTreeMap<AccountId, (Timestamp, bool)>,
    receiving: bool,
    /// Nothing is started before this: no operation was free.
    blocked_until: Timestamp,
    /// Alerts about the host as a whole that are out, by cause.
    troubled: BTreeMap<&'static str, Timestamp>,
    typical_update: Duration,
    next_hold: Option<Timestamp>,
    ledger: LedgerWatch,
    /// The plan of the last sweep, where plans need approval.
    plan: Option<PlanId>,
    /// The plan whose approval was asked for last by this host.
    asked: Option<PlanId>,
    /// What is being told right now, whatever happens meanwhile.
    telling: usize,
    orders: Orders,
}

/// What is known of the ledger.
#[derive(Debug)]
struct LedgerWatch {
    /// When it is read next; `None` while it is being read.
    due: Option<Timestamp>,
    /// Whether it was ever read: nothing is done before.
    known: bool,
    /// Slots that were freed, and when: a reading that began before may still show them.
    freed: BTreeMap<AccountId, Timestamp>,
}

/// An alert about the same trouble of the host as a whole goes out at most this often.
const TROUBLE_REPEAT: Duration = Duration::from_secs(6 * 60 * 60);

impl Scheduler {
    /// A scheduler that has seen nothing yet; its first wishes are the ledger and a sweep.
    pub fn new(rules: Rules, host: impl Into<String>, now: Timestamp) -> Self {
        Self {
            now,
            host: host.into(),
            backlog: Backlog::new(rules.lanes.len(), now),
            lanes: Lanes::new(rules.lanes.clone()),
            sweeps: Sweeps::new(rules.sweep_interval, rules.min_sweep_interval, now),
            rules,
            target: None,
            operations: BTreeMap::new(),
            starting: BTreeMap::new(),
            changed: BTreeSet::new(),
            busy: BTreeMap::new(),
            receiving: false,
            blocked_until: now,
            troubled: BTreeMap::new(),
            typical_update: TYPICAL_UPDATE,
            next_hold: None,
            ledger: LedgerWatch { due: Some(now), known: false, freed: BTreeMap::new() },
            plan: None,
            asked: None,
            telling: 0,
            orders: Orders::default(),
        }
    }

    /// Takes in what was seen, and answers what to do now.
    pub fn observe(&mut self, now: Timestamp, observation: Observation) -> Vec<Action> {
        let mut actions = Vec::new();
        self.now = now;
        match observation {
            Observation::Tick => {}
            Observation::Ledger { read_at, overview } => {
                self.read(read_at, overview, now, &mut actions);
            }
            Observation::LedgerUnread => self.ledger.due = Some(now + self.rules.wait),
            Observation::LanePaused { lane, record } => {
                let pause = record.paused.clone().filter(|pause| pause.automatic);
                self.lanes.paused(&lane, record, now);
                actions.extend(pause.map(|pause| self.tell_pause(lane, pause)));
            }
            Observation::Woken => self.sweeps.wake(now),
            Observation::AccountWoken(account) => {
                match self.operations.get_mut(&account).map(|operation| &mut operation.watch) {
                    Some(Watch::Due(at)) => *at = now,
                    Some(Watch::Looking { again }) => *again = true,
                    Some(Watch::Settling(_) | Watch::Left { .. }) | None => {}
                }
            }
            Observation::Swept(sweep) => self.swept(sweep, now),
            Observation::SweepFailed { reason } => {
                self.sweeps.fail(now);
                actions.extend(self.trouble("The sweep of the organization fails", &reason, now));
            }
            Observation::SweepPostponed { until } => self.sweeps.postpone(until),
            Observation::Queued(accounts) => {
                for account in &accounts {
                    self.sent(account, Stage::Queued { visible: now }, now);
                }
            }
            Observation::NotQueued { accounts, reason } => {
                let ready = now + RETRY;
                for account in &accounts {
                    self.sent(account, Stage::Waiting { ready }, now);
                }
                actions.extend(self.trouble("The updates queue takes no messages", &reason, now));
            }
            Observation::Received(messages) => {
                self.receiving = false;
                if messages.is_empty() {
                    self.nothing_received(now);
                }
                for message in messages {
                    actions.push(self.received(message, now));
                }
            }
            Observation::NotReceived { reason } => {
                self.receiving = false;
                self.blocked_until = self.blocked_until.max(now + self.rules.wait);
                actions.extend(self.trouble("The updates queue can't be read", &reason, now));
            }
            Observation::Start { account, outcome } => {
                self.start_ended(&account, outcome, now, &mut actions);
            }
            Observation::Looked { account, token, sight } => {
                self.looked(&account, &token, sight, now, &mut actions);
            }
            Observation::Settled { account, lane } => {
                if let Some(operation) = self.operations.get(&account) {
                    self.lanes.learn_one(&operation.slot.lane, lane, now);
                }
                self.ledger.freed.insert(account.clone(), now);
                self.settled(&account, now);
            }
            Observation::Unsettled(settlement) => {
                let account = settlement.slot.account.clone();
                if let Some(operation) = self.operations.get_mut(&account)
                    && let Watch::Settling(then) = operation.watch
                {
                    let at = now + self.rules.wait;
                    operation.watch = Watch::Left { at, settlement: Box::new(settlement), then };
                }
            }
            Observation::Told => self.telling = self.telling.saturating_sub(1),
        }
        self.plan(now, &mut actions);
        actions
    }

    /// When to call [`Scheduler::observe`] with [`Observation::Tick`] if nothing else
    /// happens before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let looks = self
            .operations
            .values()
            .filter_map(|operation| match operation.watch {
                Watch::Due(at) | Watch::Left { at, .. } => Some(at),
                Watch::Looking { .. } | Watch::Settling(_) => None,
            })
            .min();
        let sweep = if self.ledger.known { self.sweeps.due() } else { None };
        let mut next = [self.ledger.due, sweep, looks].into_iter().flatten().min();
        if let Some(lane) = self.runnable_lane() {
            let feed = match self.wants_feeding(lane) {
                true => self.backlog.next_ready(lane),
                false => None,
            };
            let receive = match self.receiving || self.free(lane) == 0 {
                true => None,
                false => self.backlog.next_visible(lane).map(|at| at.max(self.blocked_until)),
            };
            next = [next, feed, receive].into_iter().flatten().min();
        } else if let Some((_, Blocked::Soaking { until })) = self.blocked() {
            next = next.into_iter().chain([until]).min();
        }
        next
    }

    /// The lane whose turn it is and what it waits for, if that is not the lanes before it.
    pub fn blocked(&self) -> Option<(usize, Blocked)> {
        let lane = self.next_lane()?;
        Some((lane, self.held_back(lane)?))
    }

    /// Why a lane may start nothing now, when the lanes before it have nothing open.
    fn held_back(&self, lane: usize) -> Option<Blocked> {
        let unapproved = self.plan.as_ref().filter(|plan| !self.orders.is_approved(plan));
        let unapproved = unapproved.map(|plan| Blocked::Unapproved { plan: plan.clone() });
        unapproved.or_else(|| self.lanes.blocked(lane, self.now))
    }

    /// Whether all that can be done before `end` is done: nothing is open but what waits for
    /// an operator, nothing is held until a moment before that, and a sweep that began after
    /// the last change confirms it.
    pub fn is_settled(&self, end: Timestamp) -> bool {
        let holds = self.next_hold.is_some_and(|hold| hold <= end);
        if self.waits_for_operator() {
            let telling = self.lanes.is_pausing() || self.telling > 0;
            return self.in_flight() == 0 && !telling && !holds && !self.sweeps.is_running();
        }
        self.ledger.known
            && self.backlog.is_empty()
            && self.operations.is_empty()
            && !self.sweeps.is_running()
            && !holds
            && self.confirmed_before(self.rules.lanes.len())
    }

    // ---- sweeping ----

    fn swept(&mut self, sweep: Sweep, now: Timestamp) {
        let Sweep { started_at, account_factory, accounts, plan } = sweep;
        self.sweeps.complete(started_at);
        self.plan = plan;
        let gone: Vec<AccountId> = self
            .backlog
            .accounts()
            .filter(|(id, entry)| {
                entry.stage != Stage::Active
                    && entry.touched < started_at
                    && !accounts.contains_key(*id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for account in gone {
            self.backlog.remove(&account, now);
        }
        self.lanes.sweep(accounts.values().filter_map(|standing| match standing {
            Standing::GivenUp { lane } => Some(*lane),
            _ => None,
        }));
        let new_target = self.target.as_ref() != Some(&account_factory);
        self.target = Some(account_factory);
        self.next_hold = None;
        for (account, standing) in accounts {
            let stale = self.changed.contains(&account)
                || self.backlog.get(&account).is_some_and(|entry| entry.stage == Stage::Active);
            if !stale {
                self.place(&account, standing, new_target, now);
            } else if let Standing::Held { until } = standing {
                self.hold(until);
            }
        }
    }

    /// Puts an account where a decision wants it. What is already handed over in that lane
    /// for the same target is left in the queue.
    fn place(&mut self, account: &AccountId, standing: Standing, new_target: bool, now: Timestamp) {
        match standing {
            Standing::Outdated { provisioned_product, lane, failed_attempts, ou } => {
                let kept = self.backlog.get(account).is_some_and(|entry| {
                    entry.lane == lane
                        && !new_target
                        && entry.failed_attempts == failed_attempts
                        && entry.ou == ou
                });
                if !kept {
                    let stage = Stage::Waiting { ready: now };
                    let serial = self.backlog.get(account).map_or(0, |entry| entry.serial);
                    let touched = now;
                    let entry = Entry {
                        provisioned_product,
                        lane,
                        ou,
                        failed_attempts,
                        serial,
                        stage,
                        touched,
                    };
                    self.backlog.put(account, entry);
                }
            }
            Standing::Held { until } => {
                self.backlog.remove(account, now);
                self.hold(until);
            }
            Standing::Current | Standing::Skipped | Standing::GivenUp { .. } => {
                self.backlog.remove(account, now);
            }
        }
    }

    fn hold(&mut self, until: Timestamp) {
        self.next_hold = Some(self.next_hold.map_or(until, |next| next.min(until)));
        self.sweeps.at(until);
    }

    /// Whether a sweep that began after the lanes before `lane` were last changed has found
    /// nothing for them. Queue counts lag and are never asked.
    fn confirmed_before(&self, lane: usize) -> bool {
        let Some(completed) = self.sweeps.completed() else {
            return false;
        };
        (0..lane).all(|earlier| self.backlog.last_change(earlier) <= completed)
    }

    // ---- lanes and slots ----

    /// The lane whose turn it is, if any: the first with an open account, once the lanes
    /// before it are confirmed done.
    fn next_lane(&self) -> Option<usize> {
        self.backlog.first_open_lane().filter(|lane| self.confirmed_before(*lane))
    }

    /// The lane that may run now, if any: the next, when nothing holds it back.
    fn runnable_lane(&self) -> Option<usize> {
        self.next_lane().filter(|lane| self.held_back(*lane).is_none())
    }

    /// Whether the lane whose turn it is waits for somebody to resume or redrive something.
    fn waits_for_operator(&self) -> bool {
        let waits = |blocked: &Blocked| !matches!(blocked, Blocked::Soaking { .. });
        self.blocked().is_some_and(|(_, blocked)| waits(&blocked))
    }

    fn free(&self, lane: usize) -> usize {
        let cap = self.rules.lanes[lane].concurrency.min(self.rules.max_concurrent_operations);
        cap.saturating_sub(self.in_flight())
    }

    fn in_flight(&self) -> usize {
        let only_starting =
            self.starting.keys().filter(|account| !self.operations.contains_key(*account)).count();
        self.operations.len() + only_starting
    }

    // ---- deciding what to do ----

    fn plan(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.ledger.due.is_some_and(|due| due <= now) {
            self.ledger.due = None;
            actions.push(Action::ReadLedger);
        }
        // What runs already, and what is paused, has to be known before anything is begun.
        if !self.ledger.known {
            return;
        }
        self.look(now, actions);
        while let Some((lane, pause)) = self.lanes.overdone(now) {
            actions.push(Action::PauseLane { lane, pause });
        }
        if self.wants_confirmation() {
            self.sweeps.hurry(now);
        }
        if self.sweeps.begin(now) {
            self.changed.clear();
            actions.push(Action::Sweep);
        }
        actions.extend(self.ask_approval());
        let Some(lane) = self.runnable_lane() else {
            return;
        };
        self.feed(lane, now, actions);
        let free = self.free(lane);
        let visible = self.backlog.next_visible(lane).is_some_and(|visible| visible <= now);
        if free > 0 && visible && !self.receiving && self.blocked_until <= now {
            self.receiving = true;
            // SQS hands out at most ten messages a call.
            actions.push(Action::Receive { max: free.min(10) });
        }
    }

    /// Asks for approval of a plan that would start something, once.
    fn ask_approval(&mut self) -> Option<Action> {
        let (_, Blocked::Unapproved { plan }) = self.blocked()? else { return None };
        let target = self.target.as_ref()?;
        if self.asked.as_ref() == Some(&plan) {
            return None;
        }
        let lanes = self.rules.lanes.iter().enumerate();
        let lanes: Vec<(String, usize)> =
            lanes.map(|(lane, rules)| (rules.name.clone(), self.backlog.open(lane))).collect();
        let alert = approval(&plan, target.target.as_str(), &lanes);
        self.asked = Some(plan.clone());
        self.telling += 1;
        Some(Action::AskApproval { plan, alert })
    }

    /// Whether only a sweep is missing: lanes are done and none has confirmed it yet.
    fn wants_confirmation(&self) -> bool {
        let done = self.backlog.first_open_lane().unwrap_or(self.rules.lanes.len());
        !self.sweeps.is_running() && !self.confirmed_before(done)
    }

    /// Keeps a window of the lane's work in the queue, topped up when half is gone.
    fn feed(&mut self, lane: usize, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(target) = &self.target else { return };
        if !self.wants_feeding(lane) {
            return;
        }
        let room = self.window(lane) - self.backlog.handed_over(lane);
        let mut hints = Vec::new();
        let by_turns = self.rules.per_ou_limit.is_some();
        for account in self.backlog.ready(lane, room, now, by_turns) {
            let Some(entry) = self.backlog.get(&account) else {
                continue;
            };
            // Above whatever an earlier run, or an earlier cause, has used.
            let seconds = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
            let serial = entry.serial.saturating_add(1).max(seconds);
            hints.push(Hint {
                account: account.clone(),
                provisioned_product: entry.provisioned_product.clone(),
                target: target.target.clone(),
                lane: self.rules.lanes[lane].name.clone(),
                attempt: entry.failed_attempts + 1,
                serial,
            });
            let entry = Entry { stage: Stage::Sending, serial, touched: now, ..entry.clone() };
            self.backlog.put(&account, entry);
        }
        if !hints.is_empty() {
            actions.push(Action::Enqueue(hints));
        }
    }

    fn wants_feeding(&self, lane: usize) -> bool {
        self.backlog.handed_over(lane) <= self.window(lane) / 2
    }

    /// How many messages the queue holds at most: what is done within the window.
    fn window(&self, lane: usize) -> usize {
        let cap = self.rules.lanes[lane].concurrency.min(self.rules.max_concurrent_operations);
        let rounds = self.rules.window.as_secs() / self.typical_update.as_secs().max(1);
        (usize::try_from(rounds).unwrap_or(usize::MAX)).saturating_mul(cap).max(2 * cap)
    }

    fn look(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for operation in self.operations.values_mut() {
            match &operation.watch {
                Watch::Due(at) if *at <= now => {
                    operation.watch = Watch::Looking { again: false };
                    actions.push(Action::Look(operation.slot.clone()));
                }
                Watch::Left { at, settlement, then } if *at <= now => {
                    actions.push(Action::Settle((**settlement).clone()));
                    operation.watch = Watch::Settling(*then);
                }
                _ => {}
            }
            let age = now.duration_since(operation.slot.taken_at).unsigned_abs();
            if age >= self.rules.operation_timeout && !operation.timeout_alerted {
                operation.timeout_alerted = true;
                actions.push(Action::Alert(overdue(&operation.slot, age)));
            }
        }
    }

    // ---- the queue ----

    /// A message has been sent, or could not be: unless the account was decided anew
    /// meanwhile, it is on.
    fn sent(&mut self, account: &AccountId, stage: Stage, now: Timestamp) {
        if self.backlog.get(account).is_some_and(|entry| entry.stage == Stage::Sending) {
            self.backlog.advance(account, stage, now);
        }
    }

    fn received(&mut self, message: Received<Hint>, now: Timestamp) -> Action {
        let hint = &message.body;
        let lane = self.runnable_lane();
        let current = self.backlog.get(&hint.account).is_some_and(|entry| {
            let expected = match entry.stage {
                // Still sending: the message was faster than the answer that it was taken.
                // Waiting: it was given up as lost, and is there after all.
                Stage::Queued { .. } | Stage::Sending => true,
                Stage::Waiting { ready } => ready <= now,
                Stage::Active => false,
            };
            expected
                && Some(entry.lane) == lane
                && self.rules.lanes[entry.lane].name == hint.lane
                && entry.failed_attempts + 1 == hint.attempt
                && self.target.as_ref().is_some_and(|target| target.target == hint.target)
        });
        let free = lane.map_or(0, |lane| self.free(lane));
        if !current {
            // The very message that this account waits for, made void by a newer decision:
            // it is handed over again.
            let awaited = self.backlog.get(&hint.account).is_some_and(|entry| {
                entry.serial == hint.serial && matches!(entry.stage, Stage::Queued { .. })
            });
            if awaited {
                self.backlog.advance(&hint.account, Stage::Waiting { ready: now }, now);
            }
            return Action::Drop { receipt: message.receipt };
        }
        let ou = self.backlog.get(&hint.account).and_then(|entry| entry.ou.clone());
        if free == 0 || self.is_ou_full(ou.as_deref()) {
            return self.postpone(message, now + self.rules.wait, now);
        }
        self.backlog.advance(&hint.account, Stage::Active, now);
        self.starting.insert(hint.account.clone(), message.clone());
        Action::Start(message)
    }

    /// Whether no other update may start in an OU now.
    fn is_ou_full(&self, ou: Option<&str>) -> bool {
        let Some(limit) = self.rules.per_ou_limit else { return false };
        let running = self
            .operations
            .keys()
            .chain(self.starting.keys().filter(|account| !self.operations.contains_key(*account)));
        let there = running.filter(|account| {
            self.backlog.get(account).is_some_and(|entry| entry.ou.as_deref() == ou)
        });
        there.count() >= limit
    }

    fn postpone(&mut self, message: Received<Hint>, until: Timestamp, now: Timestamp) -> Action {
        self.backlog.advance(&message.body.account, Stage::Queued { visible: until }, now);
        Action::Postpone { receipt: message.receipt, until }
    }

    /// The wait was in vain although messages should be there. Those that were visible for
    /// long are lost (retention, a purge, another host's crash): they are sent again.
    fn nothing_received(&mut self, now: Timestamp) {
        let Some(lane) = self.runnable_lane() else {
            return;
        };
        for account in self.backlog.visible_since(lane, now - LOST_AFTER) {
            self.backlog.advance(&account, Stage::Waiting { ready: now }, now);
        }
        self.blocked_until = self.blocked_until.max(now + Duration::from_secs(1));
    }

    // ---- starting ----

    fn start_ended(
        &mut self,
        account: &AccountId,
        outcome: StartOutcome,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(message) = self.starting.remove(account) else {
            return;
        };
        if matches!(outcome, StartOutcome::Refused(_)) {
            // Its slot was freed, if it had one.
            self.ledger.freed.insert(account.clone(), now);
        }
        let receipt = message.receipt.clone();
        if !matches!(outcome, StartOutcome::AccountBusy) {
            self.busy.remove(account);
        }
        match outcome {
            StartOutcome::Started(slot) | StartOutcome::Unsure(slot) => {
                self.run(slot, now + self.rules.wait);
                actions.push(Action::Drop { receipt });
            }
            StartOutcome::Current => {
                self.close(account, now);
                actions.push(Action::Drop { receipt });
            }
            StartOutcome::Decided(standing) => {
                self.changed.insert(account.clone());
                self.place(account, standing, true, now);
                actions.push(Action::Drop { receipt });
            }
            StartOutcome::AccountBusy => {
                actions.extend(self.busy(account, now));
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            StartOutcome::NothingFree => {
                self.blocked_until = self.blocked_until.max(now + self.rules.wait);
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            StartOutcome::OuBusy => {
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            StartOutcome::Refused(error) => self.refused(message, error, now, actions),
        }
    }

    fn refused(
        &mut self,
        message: Received<Hint>,
        error: AwsError,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        match error.class {
            Class::Contention | Class::Throttled | Class::Transient => {
                if error.class != Class::Transient {
                    self.blocked_until = self.blocked_until.max(now + self.rules.wait);
                }
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            // Not this account's fault: every other start would be refused as well.
            Class::Denied | Class::NotFound => {
                self.blocked_until = self.blocked_until.max(now + RETRY_MAX);
                actions.extend(self.trouble("Updates can't be started", &error.to_string(), now));
                actions.push(self.postpone(message, now + RETRY_MAX, now));
            }
            Class::Permanent | Class::Unknown => {
                let hint = message.body;
                let slot = Slot {
                    account: hint.account,
                    provisioned_product: hint.provisioned_product,
                    target: hint.target,
                    lane: hint.lane,
                    attempt: hint.attempt,
                    token: String::new(),
                    record: None,
                    taken_at: now,
                    host: self.host.clone(),
                    ou: None,
                    landing_zone: None,
                };
                actions.push(Action::Drop { receipt: message.receipt });
                self.run(slot.clone(), now);
                self.fail(slot, error.class, error.to_string(), now, actions);
            }
        }
    }

    fn run(&mut self, slot: Slot, look_at: Timestamp) {
        let account = slot.account.clone();
        let watch = Watch::Due(look_at);
        let operation = Operation { slot, known_since: self.now, watch, timeout_alerted: false };
        self.operations.insert(account, operation);
    }

    /// Takes in what the ledger holds.
    fn read(
        &mut self,
        read_at: Timestamp,
        overview: Overview,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Overview { slots, lanes, orders } = overview;
        self.lanes.learn(&lanes, read_at);
        if !self.ledger.known {
            // Whoever paused them may have died before it told so.
            for (lane, pause) in self.lanes.paused_by_hosts() {
                actions.push(self.tell_pause(lane, pause));
            }
        }
        // Held against what was asked before, and not against the time: an operator's clock may
        // be another one. What was asked before this host began, its first sweep does.
        if self.ledger.known && orders.sweep != self.orders.sweep {
            self.sweeps.wake(now);
        }
        self.orders = orders;
        self.ledger.freed.retain(|_, freed| *freed >= read_at);
        self.release(&slots, read_at, now);
        self.learn_records(&slots);
        self.resume(slots, now);
        self.ledger.known = true;
        self.ledger.due = Some(now + self.rules.wait);
    }

    /// Updates whose slot is gone: another host has seen their end. How they ended a sweep
    /// tells.
    fn release(&mut self, slots: &[Slot], read_at: Timestamp, now: Timestamp) {
        let held: BTreeSet<&AccountId> = slots.iter().map(|slot| &slot.account).collect();
        let gone: Vec<AccountId> = self
            .operations
            .iter()
            .filter(|(account, operation)| {
                let settling = matches!(operation.watch, Watch::Settling(_));
                // What was refused before it began never had a slot. When one was taken doesn't
                // tell: it is written a little later, maybe by another clock.
                let had_one = !operation.slot.token.is_empty() && operation.known_since < read_at;
                had_one && !settling && !held.contains(account)
            })
            .map(|(account, _)| account.clone())
            .collect();
        for account in gone {
            self.operations.remove(&account);
            self.close(&account, now);
            self.sweeps.wake(now);
        }
    }

    /// Slots of an earlier run of this host, and those of other hosts, are tracked on, and
    /// count from the first moment.
    fn resume(&mut self, slots: Vec<Slot>, now: Timestamp) {
        for slot in slots {
            let account = &slot.account;
            if self.operations.contains_key(account)
                || self.starting.contains_key(account)
                || self.ledger.freed.contains_key(account)
            {
                continue;
            }
            // A lane that is no longer configured: the first one, so that no later lane
            // starts before this has ended.
            let lane = self.rules.lanes.iter().position(|lane| lane.name == slot.lane).unwrap_or(0);
            let entry = Entry {
                provisioned_product: slot.provisioned_product.clone(),
                lane,
                ou: slot.ou.clone(),
                failed_attempts: slot.attempt.saturating_sub(1),
                serial: self.backlog.get(&slot.account).map_or(0, |entry| entry.serial),
                stage: Stage::Active,
                touched: now,
            };
            self.backlog.put(&slot.account, entry);
            // What another host is about to start is not started here, unless that host died.
            let theirs = slot.record.is_none() && slot.host != self.host;
            let look_at = if theirs { now.max(slot.taken_at + TELLING_LEASE) } else { now };
            self.run(slot, look_at);
        }
    }

    /// Another host has noted the record of its start by now.
    fn learn_records(&mut self, slots: &[Slot]) {
        for slot in slots.iter().filter(|slot| slot.record.is_some()) {
            if let Some(operation) = self.operations.get_mut(&slot.account)
                && operation.slot.token == slot.token
                && operation.slot.record.is_none()
                && let Watch::Due(_) = operation.watch
            {
                operation.slot = slot.clone();
                operation.watch = Watch::Due(self.now);
            }
        }
    }

    // ---- tracking ----

    fn looked(
        &mut self,
        account: &AccountId,
        token: &str,
        sight: Sight,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let operation = self.operations.get_mut(account);
        // Another host may have settled it meanwhile, and the account may run once more.
        let Some(operation) = operation.filter(|operation| operation.slot.token == token) else {
            return;
        };
        let again = matches!(operation.watch, Watch::Looking { again: true });
        let next = if again { now } else { now + self.rules.wait };
        match sight {
            Sight::Running | Sight::Unseen(_) => operation.watch = Watch::Due(next),
            Sight::Adopted(slot) => {
                operation.slot = slot;
                operation.watch = Watch::Due(now);
            }
            Sight::Succeeded => {
                let slot = operation.slot.clone();
                let took = now.duration_since(slot.taken_at).unsigned_abs();
                // A moving average over about eight updates.
                self.typical_update = (self.typical_update * 7 + took) / 8;
                let ended = Some(Ended { succeeded: true, at: now });
                // What failed before it is over: another cause may bring the account here again.
                let progress = (slot.attempt > 1).then(Progress::default);
                self.settle(
                    Settlement { slot, progress, ended, burial: None },
                    Then::Close,
                    actions,
                );
            }
            Sight::Failed(record) => {
                let slot = operation.slot.clone();
                let (class, reason) = diagnose(&record);
                // What ran and failed spends an attempt, but for contention and throttling.
                let class = match class {
                    Class::Transient | Class::Denied | Class::NotFound => Class::Unknown,
                    class => class,
                };
                self.fail(slot, class, reason, now, actions);
            }
            Sight::NeverBegan(error) => {
                let slot = operation.slot.clone();
                self.fail(slot, error.class, error.to_string(), now, actions);
            }
        }
    }

    /// An update ended badly, or could not be begun. What is the account's own failure
    /// costs an attempt, and the last attempt ends in the dead-letter queue; everything
    /// else costs nothing.
    fn fail(
        &mut self,
        slot: Slot,
        class: Class,
        reason: String,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let before = slot.attempt.saturating_sub(1);
        if !matches!(class, Class::Permanent | Class::Unknown) {
            let ready = now + self.rules.wait;
            self.blocked_until = self.blocked_until.max(ready);
            let then = Then::Retry { failed_attempts: before, ready };
            self.settle(
                Settlement { slot, progress: None, ended: None, burial: None },
                then,
                actions,
            );
            return;
        }
        let failed_attempts = before + 1;
        let dead_lettered = class == Class::Permanent || failed_attempts >= self.rules.max_attempts;
        let then = if dead_lettered {
            Then::Close
        } else {
            let wait = RETRY.saturating_mul(1 << before.min(10)).min(RETRY_MAX);
            Then::Retry { failed_attempts, ready: now + wait }
        };
        let burial = dead_lettered.then(|| burial(&slot, &reason, failed_attempts));
        let lane = self.rules.lanes.iter().position(|lane| lane.name == slot.lane);
        if let (true, Some(lane)) = (dead_lettered, lane) {
            self.lanes.give_up(lane);
        }
        let progress = Progress {
            failed_attempts,
            last_error: Some(reason),
            dead_lettered,
            lane: Some(slot.lane.clone()),
            redriven: 0,
        };
        let ended = Some(Ended { succeeded: false, at: now });
        self.settle(Settlement { slot, progress: Some(progress), ended, burial }, then, actions);
    }

    fn settle(&mut self, settlement: Settlement, then: Then, actions: &mut Vec<Action>) {
        if let Some(operation) = self.operations.get_mut(&settlement.slot.account) {
            operation.watch = Watch::Settling(then);
        }
        actions.push(Action::Settle(settlement));
    }

    fn settled(&mut self, account: &AccountId, now: Timestamp) {
        let Some(operation) = self.operations.remove(account) else {
            return;
        };
        match operation.watch {
            Watch::Settling(Then::Retry { failed_attempts, ready }) => {
                self.changed.insert(account.clone());
                // Attempts are counted for each target: those towards the last one are void.
                let same = self.target.as_ref().is_none_or(|t| t.target == operation.slot.target);
                let failed_attempts = if same { failed_attempts } else { 0 };
                if let Some(entry) = self.backlog.get(account) {
                    let stage = Stage::Waiting { ready };
                    let entry = Entry { failed_attempts, stage, touched: now, ..entry.clone() };
                    self.backlog.put(account, entry);
                }
            }
            Watch::Settling(Then::Close)
            | Watch::Due(_)
            | Watch::Looking { .. }
            | Watch::Left { .. } => {
                self.close(account, now);
            }
        }
    }

    /// Nothing more is to be done about an account.
    fn close(&mut self, account: &AccountId, now: Timestamp) {
        self.changed.insert(account.clone());
        self.backlog.remove(account, now);
    }

    // ---- telling people ----

    fn tell_pause(&mut self, lane: String, pause: Pause) -> Action {
        self.telling += 1;
        let alert = paused(&lane, &pause);
        Action::TellPause { lane, pause, alert }
    }

    /// Something else runs on the account. It is waited for, and told once when it takes
    /// longer than any update: the lanes that follow wait as well.
    fn busy(&mut self, account: &AccountId, now: Timestamp) -> Option<Action> {
        let (since, told) = self.busy.entry(account.clone()).or_insert((now, false));
        let age = now.duration_since(*since).unsigned_abs();
        if *told || age < self.rules.operation_timeout {
            return None;
        }
        *told = true;
        Some(Action::Alert(blocked(account, age)))
    }

    /// An alert about the host as a whole, unless one about the same is out already.
    fn trouble(&mut self, subject: &'static str, reason: &str, now: Timestamp) -> Option<Action> {
        let last = self.troubled.get(subject);
        if last.is_some_and(|last| now < *last + TROUBLE_REPEAT) {
            return None;
        }
        self.troubled.insert(subject, now);
        Some(Action::Alert(Alert { subject: subject.to_owned(), message: reason.to_owned() }))
    }
}
