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
//! - nothing of a lane starts while policies hold an account of an earlier one, unless the lane
//!   goes on without those;
//! - nothing starts before its plan is approved, where plans need approval;
//! - waiting costs no attempt: only an update that ran and failed does, and after
//!   `max_attempts` of them the account is in the dead-letter queue and an alert is out.
//!
//! The ledger is read again and again: updates that another host has begun are tracked as
//! one's own, so that either may die.
//!
//! One file for each thing that is observed: `place` takes in what sweeps decided, `queue` what
//! was sent and received, `start` and `track` how updates begin and end, `ledger` what other hosts
//! and operators did. What is to be done now follows from all of it, here.

mod backlog;
mod holds;
mod lanes;
mod ledger;
mod letters;
mod messages;
mod place;
mod queue;
mod start;
mod sweeps;
mod track;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub use lanes::{Blocked, LaneRules, StartWhen, WhenHeld};
pub use messages::{Action, Observation, Settlement, Sight, Standing, StartOutcome, Sweep};

use crate::account::AccountId;
use crate::backoff::Backoff;
use crate::catalog::AccountFactory;
use crate::lane::LaneId;
use crate::plan_id::PlanId;
use crate::ports::{Alert, HeldBack, Hint, Orders, Pause, Received};
use crate::suggested::Suggested;
use backlog::{Backlog, Stage};
use holds::Holds;
use lanes::Lanes;
use ledger::LedgerWatch;
use letters::{approval, paused};
use queue::{LOST_AFTER, LOST_IF_EMPTY};
use sweeps::Sweeps;
use track::{Operation, Watch};

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
    /// How alerts suggest commands.
    pub suggested: Suggested,
}

impl Rules {
    /// The lane of this name, as the ledger and the queues have it; `None` where it is no longer
    /// configured.
    pub fn lane_named(&self, name: &str) -> Option<LaneId> {
        lanes::lane_named(&self.lanes, name)
    }

    /// The rules of a lane, which is one of these.
    pub fn lane(&self, lane: LaneId) -> &LaneRules {
        &self.lanes[lane.place()]
    }

    /// The lanes, in their order.
    pub fn lane_ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..self.lanes.len()).map(LaneId::at)
    }
}

/// Taken for the duration of an update until one has been seen: the middle of the 10 to
/// 30 minutes that Control Tower takes.
const TYPICAL_UPDATE: Duration = Duration::from_secs(20 * 60);
/// After a failed update, before the next try; doubled with each.
const RETRY: Backoff = Backoff::new(Duration::from_secs(60), RETRY_MAX);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(30 * 60);
/// Held accounts that have kept other lanes back for longer than this are worth an alert.
const HELD_BACK: Duration = Duration::from_secs(24 * 60 * 60);
/// An alert about the same trouble of the host as a whole goes out at most this often.
const TROUBLE_REPEAT: Duration = Duration::from_secs(6 * 60 * 60);

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
    /// Whether hints may be in the queue that nobody waits for any more: of a host that was stopped,
    /// or of accounts that were decided anew. Looked for after each sweep, until none comes.
    stale: bool,
    /// Nothing is started before this: no operation was free.
    blocked_until: Timestamp,
    /// Alerts about the host as a whole that are out, by cause.
    troubled: BTreeMap<&'static str, Timestamp>,
    typical_update: Duration,
    holds: Holds,
    /// The lanes whose held accounts keep later lanes back, by the last sweep.
    held_back: Vec<HeldBack>,
    /// Those of which this host has told: lane and since when.
    told_held_back: BTreeSet<(String, Timestamp)>,
    ledger: LedgerWatch,
    /// The plan of the last sweep, where plans need approval.
    plan: Option<PlanId>,
    /// The plan whose approval was asked for last by this host.
    asked: Option<PlanId>,
    /// What is being told right now, whatever happens meanwhile.
    telling: usize,
    orders: Orders,
    /// Observations but ticks.
    observed: u64,
}

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
            stale: false,
            blocked_until: now,
            troubled: BTreeMap::new(),
            typical_update: TYPICAL_UPDATE,
            holds: Holds::default(),
            held_back: Vec::new(),
            told_held_back: BTreeSet::new(),
            ledger: LedgerWatch { due: Some(now), known: false, freed: BTreeMap::new() },
            plan: None,
            asked: None,
            telling: 0,
            orders: Orders::default(),
            observed: 0,
        }
    }

    /// Takes in what was seen, and answers what to do now.
    pub fn observe(&mut self, now: Timestamp, observation: Observation) -> Vec<Action> {
        let mut actions = Vec::new();
        self.now = now;
        self.observed += u64::from(!matches!(observation, Observation::Tick));
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
            Observation::Swept(sweep) => {
                self.swept(sweep, now);
                self.stale = true;
            }
            Observation::SweepFailed { reason } => {
                // One may fail for what is over by the next.
                if self.sweeps.fail(now) > 1 {
                    let subject = "The sweep of the organization fails";
                    actions.extend(self.trouble(subject, &reason, now));
                }
            }
            Observation::SweepPostponed { until } => self.sweeps.postpone(until),
            Observation::Queued(accounts) => {
                for account in &accounts {
                    self.sent(account, Stage::Queued { visible: now }, now);
                }
            }
            Observation::NotQueued { accounts, reason } => {
                let ready = now + RETRY.after(1);
                for account in &accounts {
                    self.sent(account, Stage::Waiting { ready }, now);
                }
                actions.extend(self.trouble("The updates queue takes no messages", &reason, now));
            }
            Observation::Received(messages) => {
                self.receiving = false;
                if messages.is_empty() {
                    self.nothing_received(LOST_AFTER, now);
                    self.stale = false;
                }
                for message in messages {
                    actions.push(self.received(message, now));
                }
            }
            Observation::NothingQueued => {
                self.receiving = false;
                self.stale = false;
                self.nothing_received(LOST_IF_EMPTY, now);
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
    pub fn blocked(&self) -> Option<(LaneId, Blocked)> {
        let lane = self.next_lane()?;
        Some((lane, self.held_back(lane)?))
    }

    /// Why a lane may start nothing now, when the lanes before it have nothing open.
    fn held_back(&self, lane: LaneId) -> Option<Blocked> {
        let unapproved = self.plan.as_ref().filter(|plan| !self.orders.is_approved(plan));
        let unapproved = unapproved.map(|plan| Blocked::Unapproved { plan: plan.clone() });
        let blocked = unapproved.or_else(|| self.lanes.blocked(lane, self.now));
        match blocked {
            // The lane soaks anew after what is held.
            None | Some(Blocked::Soaking { .. }) => {
                self.holds.blocks(lane, &self.rules.lanes).or(blocked)
            }
            blocked => blocked,
        }
    }

    /// Whether all that can be done before `end` is done: nothing is open but what waits for
    /// an operator, nothing is held until a moment before that, nothing is still to be told, and
    /// a sweep that began after the last change confirms it.
    pub fn is_settled(&self, end: Timestamp) -> bool {
        let telling = self.lanes.is_pausing() || self.telling > 0;
        let holds = self.holds.next().is_some_and(|hold| hold <= end);
        if telling || holds || self.sweeps.is_running() {
            return false;
        }
        // For an operator, or for a hold that lasts longer than `end`.
        if self.waits_for_others() {
            return self.in_flight() == 0;
        }
        self.ledger.known
            && self.backlog.is_empty()
            && self.operations.is_empty()
            && self.confirmed_before(None)
    }

    // ---- lanes and slots ----

    /// Whether a sweep that began after the lanes before `lane` were last changed has found
    /// nothing for them; without one, after all of them were. Queue counts lag and are never asked.
    fn confirmed_before(&self, lane: Option<LaneId>) -> bool {
        let Some(completed) = self.sweeps.completed() else {
            return false;
        };
        let before = self.rules.lane_ids().take_while(|earlier| Some(*earlier) != lane);
        before.into_iter().all(|earlier| self.backlog.last_change(earlier) <= completed)
    }

    /// The lane whose turn it is, if any: the first with an open account, once the lanes
    /// before it are confirmed done.
    fn next_lane(&self) -> Option<LaneId> {
        self.backlog.first_open_lane().filter(|lane| self.confirmed_before(Some(*lane)))
    }

    /// The lane that may run now, if any: the next, when nothing holds it back.
    fn runnable_lane(&self) -> Option<LaneId> {
        self.next_lane().filter(|lane| self.held_back(*lane).is_none())
    }

    /// Whether the lane whose turn it is waits for somebody to resume or redrive something, or
    /// for policies to let held accounts go.
    fn waits_for_others(&self) -> bool {
        let waits = |blocked: &Blocked| !matches!(blocked, Blocked::Soaking { .. });
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
        self.tell_held_back(now, actions);
        let Some(lane) = self.runnable_lane() else {
            // Where nothing is to be done, whatever is there is stale.
            let idle = self.backlog.is_empty() && self.confirmed_before(None);
            if idle && self.stale && !self.receiving && self.blocked_until <= now {
                self.receiving = true;
                actions.push(Action::Receive { max: 10 });
            }
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
        let lanes: Vec<(String, usize, usize)> = self
            .rules
            .lane_ids()
            .map(|lane| {
                let name = self.rules.lane(lane).name.clone();
                (name, self.backlog.open(lane), self.holds.in_lane(lane))
            })
            .collect();
        let alert = approval(&plan, target.target.as_str(), &lanes, &self.rules.suggested);
        self.asked = Some(plan.clone());
        self.telling += 1;
        Some(Action::AskApproval { plan, alert })
    }

    /// Whether only a sweep is missing: lanes are done and none has confirmed it yet.
    fn wants_confirmation(&self) -> bool {
        !self.sweeps.is_running() && !self.confirmed_before(self.backlog.first_open_lane())
    }

    // ---- telling people ----

    fn tell_pause(&mut self, lane: String, pause: Pause) -> Action {
        self.telling += 1;
        let alert = paused(&lane, &pause);
        Action::TellPause { lane, pause, alert }
    }

    /// Held accounts that have kept other lanes back for long: once for as long as they do.
    fn tell_held_back(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for held_back in &self.held_back {
            let key = (held_back.lane.clone(), held_back.since);
            if held_back.since + HELD_BACK <= now && self.told_held_back.insert(key) {
                self.telling += 1;
                let alert = letters::held_back(held_back);
                actions.push(Action::TellHeldBack { held_back: held_back.clone(), alert });
            }
        }
    }

    /// An alert about the host as a whole, unless one about the same is out already.
    fn trouble(&mut self, subject: &'static str, reason: &str, now: Timestamp) -> Option<Action> {
        let last = self.troubled.get(subject);
        if last.is_some_and(|last| now < *last + TROUBLE_REPEAT) {
            return None;
        }
        self.troubled.insert(subject, now);
        let span = now.as_second().div_euclid(TROUBLE_REPEAT.as_secs().cast_signed());
        let alert = Alert { subject: subject.to_owned(), message: reason.to_owned() };
        Some(Action::Alert { what: format!("trouble: {subject}, {span}"), alert })
    }
}
