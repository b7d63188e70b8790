//! A small world for the scheduler: a queue, a ledger and updates that take time, without AWS,
//! tasks or clocks. Every guarantee of the scheduler is checked at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{
    AccountFactory, ArtifactId, ProductId, ProvisionedProductId, Record, RecordError, RecordId,
    RecordStatus,
};
use groundcrew_core::lane::LaneId;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    Alert, Approval, LaneRecord, LedgerOverview, Orders, PlanRecord, QueuedUpdate, ReceivedMessage,
    Slot, UpdateProgress,
};
use groundcrew_core::scheduler::{
    AccountUpdateState, BlockedReason, LaneRules, Observation, PollResult, Scheduler,
    SchedulerAction, SchedulerRules, StartOutcome, StartWhen, Sweep, WhenHeld,
};
use groundcrew_core::suggestions::CommandFormatter;
use jiff::Timestamp;

/// An account of the world.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its lane; `None`: a policy skips it.
    pub lane: Option<usize>,
    /// How long it is held, from the beginning.
    pub held: u64,
    /// How long an update takes.
    pub seconds: u64,
    /// The error of each of its updates, in order; success after the last.
    pub failures: Vec<&'static str>,
}

/// The conditions under which a lane starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneConditions {
    /// It requires success of the lanes before it.
    pub succeeded: bool,
    /// It passes accounts that are held in the lanes before it.
    pub pass: bool,
    /// The soak in seconds.
    pub soak: u64,
    pub failure_threshold: Option<u32>,
}

/// The behaviour of the world.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub lanes: Vec<usize>,
    /// The conditions of each lane; the default if there is none.
    pub lane_conditions: Vec<LaneConditions>,
    pub cap: usize,
    pub max_attempts: u32,
    pub accounts: Vec<Account>,
    /// The queue loses one of this many messages; 0: none.
    pub lose_every: usize,
    /// One of this many starts ends without capacity; 0: none.
    pub refuse_every: usize,
    /// One of this many sweeps fails; 0: none.
    pub fail_sweep_every: usize,
    /// Whether events report that an update has ended.
    pub events: bool,
    /// Most updates at once in one of the two OUs.
    pub per_ou: Option<usize>,
    /// The plan is approved this many seconds after the request; `Some(None)`: never.
    pub approval: Option<Option<u64>>,
    pub seed: u64,
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Start and end of each update, with account and lane, in order of the starts.
    pub runs: Vec<(usize, usize, i64, i64)>,
    pub dead: BTreeMap<usize, u32>,
    pub updated: BTreeSet<usize>,
    pub alerts: Vec<String>,
    pub attempts: BTreeMap<usize, u32>,
    pub ended_at: i64,
    pub most_at_once: usize,
    /// The lanes that were paused.
    pub paused: BTreeSet<String>,
    /// Whether it ended because a lane waits for an operator.
    pub waits: bool,
}

struct Message {
    queued_update: QueuedUpdate,
    visible: Timestamp,
    receipt_handle: String,
}

struct Running {
    account: usize,
    lane: usize,
    ends: Timestamp,
    fails: Option<&'static str>,
}

pub struct SimulatedFleet {
    scenario: Scenario,
    now: Timestamp,
    /// The next observations of the scheduler, with their times.
    pending: BTreeMap<(Timestamp, u64), Observation>,
    serial: u64,
    queue: Vec<Message>,
    receiving: Option<(usize, Timestamp)>,
    running: BTreeMap<AccountId, Running>,
    /// Slots of the accounts. They are freed at completion.
    slots: BTreeMap<AccountId, Slot>,
    orders: Orders,
    progress: BTreeMap<AccountId, UpdateProgress>,
    lanes: BTreeMap<String, LaneRecord>,
    done: BTreeSet<usize>,
    /// Outdated accounts of the last sweep that may start.
    known: BTreeSet<usize>,
    starts: usize,
    sends: usize,
    sweeps: usize,
    random: u64,
    approved_at: Option<Timestamp>,
    outcome: Outcome,
}

/// The accounts are in two OUs.
fn ou(account: usize) -> String {
    format!("ou-{}", account % 2)
}

fn plan() -> PlanId {
    PlanId::from_digest(&[1, 2, 3, 4, 5, 6])
}

const BEGIN: Timestamp = Timestamp::constant(1_700_000_000, 0);

pub fn id(index: usize) -> AccountId {
    format!("{:012}", index + 1).parse().unwrap()
}

fn index(account: &AccountId) -> usize {
    account.as_str().parse::<usize>().unwrap() - 1
}

pub fn rules(scenario: &Scenario) -> SchedulerRules {
    SchedulerRules {
        lanes: scenario
            .lanes
            .iter()
            .enumerate()
            .map(|(index, concurrency)| {
                let conditions = scenario.lane_conditions.get(index).copied().unwrap_or_default();
                LaneRules {
                    start_when: match conditions.succeeded {
                        true => StartWhen::Succeeded,
                        false => StartWhen::Drained,
                    },
                    held: match conditions.pass {
                        true => WhenHeld::Pass,
                        false => WhenHeld::Wait,
                    },
                    soak: Duration::from_secs(conditions.soak),
                    failure_threshold: conditions.failure_threshold,
                    ..LaneRules::new(format!("lane-{index}"), *concurrency)
                }
            })
            .collect(),
        max_concurrent_operations: scenario.cap,
        per_ou_limit: scenario.per_ou,
        max_attempts: scenario.max_attempts,
        poll_interval: Duration::from_secs(30),
        operation_timeout: Duration::from_secs(3600),
        window: Duration::from_secs(24 * 3600),
        sweep_interval: Duration::from_secs(6 * 3600),
        min_sweep_interval: Duration::from_secs(60),
        suggestions: CommandFormatter::default(),
    }
}

impl SimulatedFleet {
    /// Runs a fleet to its end and returns the result. Panics if a guarantee is broken.
    pub fn run(scenario: Scenario) -> Outcome {
        let mut scheduler = Scheduler::new(rules(&scenario), "host", BEGIN);
        let mut simulated_fleet = Self {
            now: BEGIN,
            pending: BTreeMap::new(),
            serial: 0,
            queue: Vec::new(),
            receiving: None,
            running: BTreeMap::new(),
            slots: BTreeMap::new(),
            orders: Orders::default(),
            progress: BTreeMap::new(),
            lanes: BTreeMap::new(),
            done: BTreeSet::new(),
            known: BTreeSet::new(),
            starts: 0,
            sends: 0,
            sweeps: 0,
            random: scenario.seed | 1,
            approved_at: None,
            outcome: Outcome::default(),
            scenario,
        };
        simulated_fleet.schedule(0, Observation::SweepRequested);
        for step in 0.. {
            assert!(step < 200_000, "the fleet does not come to an end");
            let wake = scheduler.next_wake();
            let next = simulated_fleet.pending.keys().next().map(|(at, _)| *at);
            let approval_comes = matches!(simulated_fleet.scenario.approval, Some(Some(_)))
                && matches!(scheduler.blocked(), Some((_, BlockedReason::Unapproved { .. })));
            let quiescent = scheduler.is_quiescent(Timestamp::MAX) && !approval_comes;
            if quiescent && simulated_fleet.receiving.is_none() {
                break;
            }
            let receive = simulated_fleet.receive_at();
            simulated_fleet.now = [wake, next, receive]
                .into_iter()
                .flatten()
                .min()
                .expect("the scheduler is not settled and waits for nothing")
                .max(simulated_fleet.now);
            let observation = if receive.is_some_and(|at| at <= simulated_fleet.now) {
                simulated_fleet.deliver()
            } else {
                match simulated_fleet.pending.first_entry() {
                    Some(entry) if entry.key().0 <= simulated_fleet.now => entry.remove(),
                    _ => Observation::Tick,
                }
            };
            if let Observation::Swept(sweep) = &observation {
                let outdated = |candidate_state: &AccountUpdateState| {
                    matches!(candidate_state, AccountUpdateState::Outdated { .. })
                };
                let open =
                    sweep.accounts.iter().filter(|(_, candidate_state)| outdated(candidate_state));
                simulated_fleet.known.extend(open.map(|(account, _)| index(account)));
            }
            for action in scheduler.observe(simulated_fleet.now, observation) {
                simulated_fleet.perform(action);
            }
            simulated_fleet.check();
        }
        simulated_fleet.outcome.waits = scheduler.blocked().is_some();
        simulated_fleet.outcome.ended_at =
            (simulated_fleet.now - BEGIN).total(jiff::Unit::Second).unwrap() as i64;
        simulated_fleet.outcome
    }

    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64*: small, and the same everywhere.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below.max(1)
    }

    fn schedule(&mut self, after_ms: u64, observation: Observation) {
        self.serial += 1;
        let at = self.now + Duration::from_millis(after_ms);
        self.pending.insert((at, self.serial), observation);
    }

    /// When the pending receive returns: as soon as a message is visible, or at its end.
    fn receive_at(&self) -> Option<Timestamp> {
        let (_, until) = self.receiving?;
        let visible = self.queue.iter().map(|message| message.visible).min();
        Some(visible.map_or(until, |at| at.max(self.now).min(until)))
    }

    fn deliver(&mut self) -> Observation {
        let (max, _) = self.receiving.take().unwrap();
        let mut received = Vec::new();
        let now = self.now;
        for message in &mut self.queue {
            if message.visible <= now && received.len() < max {
                message.visible = now + Duration::from_secs(300);
                received.push(ReceivedMessage {
                    body: message.queued_update.clone(),
                    receipt_handle: message.receipt_handle.clone(),
                });
            }
        }
        Observation::Received(received)
    }

    fn sweep(&mut self) -> Observation {
        self.sweeps += 1;
        let every = self.scenario.fail_sweep_every;
        if every > 0 && self.sweeps.is_multiple_of(every) {
            return Observation::SweepFailed { reason: "throttled".into() };
        }
        let accounts = self.scenario.accounts.iter().enumerate().map(|(index, account)| {
            let progress = self.progress.get(&id(index)).cloned().unwrap_or_default();
            let until = BEGIN + Duration::from_secs(account.held);
            let candidate_state = match account.lane {
                _ if self.done.contains(&index) => AccountUpdateState::Current,
                _ if progress.dead_lettered => {
                    let lane = account.lane.expect("only accounts with a lane are given up");
                    AccountUpdateState::DeadLettered { lane: LaneId::from_index(lane) }
                }
                None => AccountUpdateState::Skipped,
                Some(lane) if until > self.now => {
                    AccountUpdateState::Held { until, lane: Some(LaneId::from_index(lane)) }
                }
                Some(lane) => AccountUpdateState::Outdated {
                    provisioned_product: ProvisionedProductId::new(format!("pp-{index}")),
                    lane: LaneId::from_index(lane),
                    failed_attempts: progress.failed_attempts,
                    retry_at: progress.retry_at,
                    ou: Some(ou(index)),
                },
            };
            (id(index), candidate_state)
        });
        Observation::Swept(Sweep {
            started_at: self.now,
            account_factory: AccountFactory {
                product: ProductId::new("prod-1"),
                target: ArtifactId::new("pa-2"),
            },
            accounts: accounts.collect(),
            plan: self.scenario.approval.map(|_| plan()),
            held_back: vec![],
        })
    }

    fn perform(&mut self, action: SchedulerAction) {
        let delay = 50 + self.roll(200);
        match action {
            SchedulerAction::ReadLedger => {
                if let Some(at) = self.approved_at.filter(|at| *at <= self.now) {
                    let approved = Some(Approval { by: "operator".into(), at });
                    let record = PlanRecord { since: at, approved };
                    self.orders.plans.insert(plan(), record);
                }
                let overview = LedgerOverview {
                    slots: self.slots.values().cloned().collect(),
                    lanes: self.lanes.clone(),
                    orders: self.orders.clone(),
                };
                let read_at = self.now;
                let long = self.roll(3_000);
                self.schedule(delay + long, Observation::Ledger { read_at, overview });
            }
            SchedulerAction::RequestApproval { plan, alert } => {
                self.outcome.alerts.push(alert.subject);
                if let Some(Some(after)) = self.scenario.approval {
                    self.approved_at = Some(self.now + Duration::from_secs(after));
                }
                self.orders.plans.insert(plan, PlanRecord { since: self.now, approved: None });
                self.schedule(delay, Observation::Alerted);
            }
            // The result of a sweep is as old as the sweep is long.
            SchedulerAction::Sweep => {
                let seen = self.sweep();
                let long = self.roll(120_000);
                self.schedule(delay + long, seen);
            }
            SchedulerAction::EnqueueUpdates(queued_updates) => {
                let mut accounts = Vec::new();
                for queued_update in queued_updates {
                    self.sends += 1;
                    accounts.push(queued_update.account.clone());
                    let every = self.scenario.lose_every;
                    if every > 0 && self.sends.is_multiple_of(every) {
                        continue;
                    }
                    let receipt_handle = format!("receipt-{}", self.sends);
                    self.queue.push(Message { queued_update, visible: self.now, receipt_handle });
                }
                self.schedule(delay, Observation::Queued(accounts));
            }
            SchedulerAction::Receive { max } => {
                assert!(self.receiving.is_none(), "one receive at a time");
                assert!((1..=10).contains(&max));
                self.receiving = Some((max, self.now + Duration::from_secs(20)));
            }
            SchedulerAction::Start(message) => self.start(&message.body, delay),
            SchedulerAction::Poll(slot) => self.poll(slot, delay),
            SchedulerAction::Complete(completion) => {
                let account = completion.slot.account.clone();
                let number = index(&account);
                if let Some((letter, alert)) = completion.dead_letter {
                    let again = self.outcome.dead.insert(number, letter.attempts);
                    assert_eq!(again, None, "{account} is dead-lettered twice");
                    self.outcome.alerts.push(alert.subject);
                }
                if let Some(progress) = completion.progress {
                    self.progress.insert(account.clone(), progress);
                }
                let lane = self.lanes.entry(completion.slot.lane.clone()).or_default();
                if let Some(ended) = completion.ended {
                    lane.record_end(completion.slot.taken_at, ended);
                }
                let lane = lane.clone();
                self.running.remove(&account);
                self.slots.remove(&account);
                self.schedule(delay, Observation::Completed { account, lane });
            }
            SchedulerAction::DeleteMessage { receipt_handle } => {
                self.queue.retain(|message| message.receipt_handle != receipt_handle)
            }
            SchedulerAction::PostponeMessage { receipt_handle, until } => {
                for message in &mut self.queue {
                    if message.receipt_handle == receipt_handle {
                        message.visible = until;
                    }
                }
            }
            SchedulerAction::AlertPause { alert, .. }
            | SchedulerAction::AlertHeldBack { alert, .. } => {
                self.outcome.alerts.push(alert.subject);
                self.schedule(delay, Observation::Alerted);
            }
            SchedulerAction::PauseLane { lane, pause } => {
                assert!(self.outcome.paused.insert(lane.clone()), "{lane} is paused twice");
                let record = self.lanes.entry(lane.clone()).or_default();
                record.paused = Some(pause);
                let record = record.clone();
                self.schedule(delay, Observation::LanePaused { lane, record });
            }
            SchedulerAction::Alert { alert: Alert { subject, .. }, .. } => {
                self.outcome.alerts.push(subject)
            }
        }
    }

    fn start(&mut self, queued_update: &QueuedUpdate, delay: u64) {
        let account = queued_update.account.clone();
        let number = index(&account);
        self.starts += 1;
        let every = self.scenario.refuse_every;
        if every > 0 && self.starts.is_multiple_of(every) {
            let outcome = StartOutcome::NoCapacity;
            return self.schedule(delay, Observation::StartEnded { account, outcome });
        }
        assert!(!self.done.contains(&number), "{account} is updated twice");
        let attempt = self.outcome.attempts.entry(number).or_default();
        let fails = self.scenario.accounts[number].failures.get(*attempt as usize).copied();
        *attempt += 1;
        let Account { lane, seconds, .. } = self.scenario.accounts[number];
        let lane = lane.expect("only accounts with a lane are started");
        let ends = self.now + Duration::from_secs(seconds);
        let slot = Slot {
            account: account.clone(),
            provisioned_product: queued_update.provisioned_product.clone(),
            target: queued_update.target.clone(),
            lane: queued_update.lane.clone(),
            attempt: queued_update.attempt,
            token: "token".into(),
            record: Some(RecordId::new(format!("rec-{}", self.starts))),
            taken_at: self.now,
            host: "host".into(),
            ou: Some(ou(number)),
            landing_zone: None,
        };
        let taken = self.slots.insert(account.clone(), slot.clone());
        assert_eq!(taken, None, "{account} runs twice at once");
        let approved = self.approved_at.is_some_and(|at| at <= self.now);
        assert!(self.scenario.approval.is_none() || approved, "{account} starts unapproved");
        self.check_earlier_lanes(number, lane);
        self.check_lane_conditions(number, lane);
        self.running.insert(account.clone(), Running { account: number, lane, ends, fails });
        let begun = (self.now - BEGIN).total(jiff::Unit::Second).unwrap() as i64;
        self.outcome.runs.push((number, lane, begun, begun + seconds as i64));
        if self.scenario.events {
            self.schedule(seconds * 1000 + 1500, Observation::OperationEnded(account.clone()));
        }
        self.schedule(
            delay,
            Observation::StartEnded { account, outcome: StartOutcome::Started(slot) },
        );
    }

    fn poll(&mut self, slot: Slot, delay: u64) {
        let account = slot.account.clone();
        let running = &self.running[&account];
        let poll_result = if running.ends > self.now {
            PollResult::Running
        } else if let Some(text) = running.fails {
            PollResult::Failed(Record {
                id: slot.record.clone().unwrap(),
                provisioned_product: slot.provisioned_product.clone(),
                artifact: None,
                status: RecordStatus::Failed,
                errors: vec![RecordError { code: String::new(), description: text.into() }],
            })
        } else {
            self.done.insert(running.account);
            self.outcome.updated.insert(running.account);
            PollResult::Succeeded
        };
        self.schedule(delay, Observation::Polled { account, token: slot.token, poll_result });
    }

    /// Every account of an earlier lane must be done: updated, dead-lettered, skipped, or, if the
    /// lane passes held accounts, held until a sweep finds that it no longer is.
    fn check_earlier_lanes(&self, starting: usize, lane: usize) {
        let pass =
            self.scenario.lane_conditions.get(lane).is_some_and(|conditions| conditions.pass);
        for (number, account) in self.scenario.accounts.iter().enumerate() {
            let earlier = account.lane.is_some_and(|other| other < lane);
            let over = self.done.contains(&number)
                || self.outcome.dead.contains_key(&number)
                || (pass && account.held > 0 && !self.known.contains(&number));
            assert!(
                !earlier || over,
                "account {starting} of lane {lane} starts while {number} of an earlier lane is open"
            );
        }
    }

    /// Every condition of the lane must be met. A start that was in progress when a lane was paused
    /// continues: the scheduler knows of a failure only once it is written.
    fn check_lane_conditions(&self, starting: usize, lane: usize) {
        let record = |lane: usize| self.lanes.get(&format!("lane-{lane}"));
        for earlier in 0..=lane {
            let paused = record(earlier).and_then(|record| record.paused.as_ref());
            assert!(
                paused.is_none_or(|pause| self.now.duration_since(pause.at).as_secs() < 1),
                "account {starting} of lane {lane} starts although lane {earlier} is paused"
            );
        }
        let conditions = self.scenario.lane_conditions.get(lane).copied().unwrap_or_default();
        for earlier in 0..lane {
            let ended = record(earlier).and_then(|record| record.last_ended);
            let soaked =
                ended.is_none_or(|at| at + Duration::from_secs(conditions.soak) <= self.now);
            assert!(soaked, "account {starting} starts before lane {lane} has soaked");
            let given_up = self
                .outcome
                .dead
                .keys()
                .any(|dead| self.scenario.accounts[*dead].lane == Some(earlier));
            assert!(
                !(conditions.succeeded && given_up),
                "account {starting} starts although lane {earlier} did not succeed"
            );
        }
    }

    /// The guarantees that hold at every moment.
    fn check(&mut self) {
        let now = self.now;
        let live: Vec<&Running> =
            self.running.values().filter(|running| running.ends > now).collect();
        for running in self.running.values() {
            let there = |other: &&Running| ou(other.account) == ou(running.account);
            let beside = self.running.values().filter(there).count();
            let limit = self.scenario.per_ou.unwrap_or(usize::MAX);
            assert!(beside <= limit, "{beside} at once in an OU, over its {limit}");
        }
        let at_once = self.running.len();
        assert!(at_once <= self.scenario.cap, "{at_once} at once, over the cap");
        for running in &live {
            let cap = self.scenario.lanes[running.lane];
            let beside = live.iter().filter(|other| other.lane == running.lane).count();
            assert!(beside <= cap, "{beside} at once in a lane, over its {cap}");
        }
        self.outcome.most_at_once = self.outcome.most_at_once.max(at_once);
    }
}
