//! Runs one seed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use groundcrew_core::decision::{Candidate, PolicyDecision};
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::ports::{
    Clock, IssuedBy, Ledger, NotificationLedger, Operator, Policy, PolicyFailure,
};
use groundcrew_core::scheduler::BlockedReason;
use groundcrew_engine::{
    BlockedLane, ConfiguredPolicy, FailureHandling, Host, HostPorts, JumpTolerantClock, Observer,
    Ticker, Until, UpdatePorts, UpdateSettings,
};
use groundcrew_ledger::{DynamoLedger, FileLedger, FillableDisk};
use groundcrew_sim::{LandingZone, LandingZoneStatus, SimAws, SimOptions};
use groundcrew_testkit::hosts;
use jiff::Timestamp;

use super::backlog::{Backlog, DeliveryLog};
use super::clock::MachineClock;
use super::heartbeats::HeartbeatChecker;
use super::invariants::InvariantChecker;
use super::log::Log;
use super::readiness::Readiness;
use super::scenario::{CAUSES, End, LedgerKind, QUOTA, Scenario, WantedDecision, first_end};

pub const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
/// Long enough for every one of these fleets, at a time after which nothing happens any more.
const END: Duration = Duration::from_secs(40 * 86_400);

/// The summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    pub updated: usize,
    pub dead_lettered: usize,
    pub kills: usize,
    pub stops: usize,
    pub delivered: usize,
    pub moved: usize,
    pub resumed: usize,
    /// How often the notifier was called before the first host ended its first life, and how long
    /// after that it was called again.
    pub asked: (usize, Option<Duration>),
}

impl RunSummary {
    pub fn add(&mut self, other: Self) {
        self.updated += other.updated;
        self.dead_lettered += other.dead_lettered;
        self.kills += other.kills;
        self.stops += other.stops;
        self.delivered += other.delivered;
        self.moved += other.moved;
        self.resumed += other.resumed;
    }
}

/// The policy of a scenario.
struct ScriptedPolicy(Arc<Scenario>);

#[async_trait]
impl Policy for ScriptedPolicy {
    async fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
        Ok(match self.0.wanted_decision(&candidate.account.id) {
            WantedDecision::Lane(lane) => {
                PolicyDecision::Proceed(Some(self.0.rules.lanes[lane].name.clone()))
            }
            WantedDecision::Skip => PolicyDecision::Skip("unwanted".into()),
            WantedDecision::Hold(lane, seconds) => {
                let lane = (lane > 0).then(|| self.0.rules.lanes[lane].name.clone());
                let until = BEGIN + Duration::from_secs(seconds);
                match until > candidate.now {
                    true => PolicyDecision::Hold { until, reason: "later".into(), lane },
                    false => PolicyDecision::Proceed(lane),
                }
            }
        })
    }
}

struct Soak {
    scenario: Arc<Scenario>,
    sim: SimAws,
    ledger: Arc<dyn Ledger>,
    notifications: Arc<dyn NotificationLedger>,
    /// The disk of the ledger file.
    disk: FillableDisk,
    invariants: Arc<InvariantChecker>,
    heartbeats: HeartbeatChecker,
    asked: Arc<DeliveryLog>,
    _directory: tempfile::TempDir,
}

pub fn run(scenario: Scenario) -> RunSummary {
    let log = Log::default();
    let _kept = log.keep();
    // Waits of the host and of the SDK are random as well.
    fastrand::seed(scenario.seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let scenario = Arc::new(scenario);
    runtime.unwrap().block_on(async move { Soak::new(scenario, log).run().await })
}

impl Soak {
    fn new(scenario: Arc<Scenario>, log: Log) -> Self {
        let sim = SimAws::new(SimOptions {
            seed: scenario.seed,
            start: BEGIN,
            snapshot: scenario.snapshot.clone(),
            faults: scenario.faults,
            account_quota: QUOTA,
        });
        sim.announce_artifact();
        let directory = tempfile::tempdir().unwrap();
        let disk = FillableDisk::default();
        let ledgers: (Arc<dyn Ledger>, Arc<dyn NotificationLedger>) = match scenario.ledger {
            LedgerKind::File => {
                let path = directory.path().join("crew.db");
                let ledger = Arc::new(FileLedger::open_on(disk.clone(), path).unwrap());
                (ledger.clone(), ledger)
            }
            LedgerKind::Table => {
                let ledger =
                    Arc::new(DynamoLedger::new(hosts::clients(&sim).dynamodb, sim.table_name()));
                (ledger.clone(), ledger)
            }
        };
        let (ledger, notifications) = ledgers;
        let invariants = Arc::new(InvariantChecker::new(scenario.clone(), sim.clone(), log));
        let heartbeats = HeartbeatChecker::new(sim.clone(), scenario.clone());
        let asked = Arc::default();
        Self {
            scenario,
            sim,
            ledger,
            notifications,
            disk,
            invariants,
            heartbeats,
            asked,
            _directory: directory,
        }
    }

    fn new_host(&self, name: &str, readiness: Arc<Readiness>) -> Host {
        let (sim, scenario) = (&self.sim, &self.scenario);
        let policy = ConfiguredPolicy {
            name: "wishes".into(),
            digest: "none".into(),
            on_failure: FailureHandling::Skip,
            monitored: false,
            policy: Arc::new(ScriptedPolicy(scenario.clone())),
        };
        let (ledger, notifications) = self.ledgers();
        let clock = self.clock();
        let onboarding = scenario.backlog.as_ref().map(|backlog| {
            let asked = self.asked.clone();
            Arc::new(backlog.onboarding(name, sim, notifications, clock.clone(), asked))
        });
        let observer = Arc::new(vec![self.invariants.clone() as Arc<dyn Observer>, readiness]);
        let updates = UpdatePorts { clock, observer, ..hosts::updates(sim, ledger) };
        let ports = HostPorts { updates, events: hosts::events(sim), notifications: onboarding };
        let settings = UpdateSettings {
            rules: scenario.rules.clone(),
            account_quota: QUOTA,
            reserve: scenario.reserve,
            causes: CAUSES,
            approval: None,
            host: name.to_owned(),
            version: Some("0.1.0".into()),
            parameters: ParameterSource::Rebuild,
            fallback: Fallback::Proceed,
            policies: vec![policy],
        };
        Host::new(ports, settings)
    }

    /// The ledger as a host opens it: the file stays open for the whole run.
    fn ledgers(&self) -> (Arc<dyn Ledger>, Arc<dyn NotificationLedger>) {
        if self.scenario.ledger == LedgerKind::File {
            return (self.ledger.clone(), self.notifications.clone());
        }
        let dynamodb = hosts::clients(&self.sim).dynamodb;
        let ledger = Arc::new(DynamoLedger::new(dynamodb, self.sim.table_name()));
        (ledger.clone(), ledger)
    }

    /// The clock of a host as in production: steady in a service, the machine's in a Lambda
    /// function.
    fn clock(&self) -> Arc<dyn Clock> {
        let (right, jumps) = (self.sim.clock(), self.scenario.jumps.clone());
        let machine = Arc::new(MachineClock { right, begin: BEGIN, jumps });
        match self.scenario.ticks {
            true => machine,
            false => Arc::new(JumpTolerantClock::new(machine)),
        }
    }

    /// One host: killed as often as the scenario says, and then run to the end.
    async fn host(&self, number: usize) -> usize {
        for (life, end) in self.scenario.ends[number].iter().enumerate() {
            let name = format!("host-{number}-{life}");
            match *end {
                End::Killed(seconds) => {
                    let life = self.run_host(&name);
                    let _ = tokio::time::timeout(Duration::from_secs(seconds), life).await;
                }
                End::Stopped(seconds) => {
                    self.serve(&name, tokio::time::sleep(Duration::from_secs(seconds))).await;
                }
            }
        }
        self.run_to_the_end(format!("host-{number}")).await
    }

    /// Runs a host until all is done. When a lane waits for an operator, it is resumed.
    async fn run_to_the_end(&self, name: String) -> usize {
        let mut resumed = 0;
        loop {
            match self.run_host(&name).await {
                Some(BlockedLane { blocked: BlockedReason::Paused { lane, .. }, .. }) => {
                    tokio::time::sleep(Duration::from_secs(600)).await;
                    let issued_by =
                        IssuedBy { by: Operator::default(), at: self.sim.clock().now() };
                    // A table may refuse it, and so may a full disk.
                    while self.ledger.order_resume(&lane, &issued_by).await.is_err() {
                        tokio::time::sleep(Duration::from_secs(10)).await;
                    }
                    resumed += 1;
                    self.invariants.resumed(&lane);
                }
                _ => return resumed,
            }
        }
    }

    /// One life of a service that gets a stop signal.
    async fn serve(&self, name: &str, stop: impl Future<Output = ()>) {
        let readiness = Arc::new(Readiness::new(&self.scenario));
        let engine = self.new_host(name, readiness.clone());
        let running = self.heartbeats.runs(name, readiness);
        engine.serve(stop).await;
        running.stopped();
    }

    /// Delivers the remaining notifications.
    async fn deliver_the_rest(&self) {
        let delivered = async {
            while !Backlog::is_notified(&self.sim) && self.sim.clock().now() < BEGIN + END {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        };
        self.serve("host-last", delivered).await;
    }

    /// One life of a host, as a service or by ticks once a minute.
    async fn run_host(&self, name: &str) -> Option<BlockedLane> {
        let readiness = Arc::new(Readiness::new(&self.scenario));
        let engine = self.new_host(name, readiness.clone());
        let running = self.heartbeats.runs(name, readiness);
        if !self.scenario.ticks {
            let waiting = engine.run(Until::QuiescentOr(BEGIN + END)).await;
            running.stopped();
            return waiting;
        }
        // A Lambda function ends without a signal, as if it were killed.
        let (clock, right) = (self.clock(), self.sim.clock());
        let mut ticker = Ticker::new(engine);
        loop {
            let now = right.now();
            ticker.tick(None, clock.now() + Duration::from_secs(50)).await;
            if ticker.is_quiescent(BEGIN + END) || now >= BEGIN + END {
                return ticker.blocked_lane();
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    /// The actions of other clients meanwhile.
    async fn others(&self) {
        let clock = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let moves = async {
            for (index, seconds) in &self.scenario.moves {
                clock(*seconds).await;
                let account = self.scenario.account(*index);
                self.invariants.moved(&account);
                // If the small organization has no such OU, it stays.
                let _ = self.sim.move_account(&account, &["Sandbox"]);
            }
        };
        let closings = async {
            for (index, closed, opened) in &self.scenario.closings {
                clock(*closed).await;
                let account = self.scenario.account(*index);
                self.invariants.closed(&account);
                self.sim.close_account(&account);
                if let Some(opened) = opened {
                    clock(opened - closed).await;
                    self.invariants.reopened(&account);
                    self.sim.reopen_account(&account);
                }
            }
        };
        let landing_zone = async {
            if let Some((begins, lasts)) = self.scenario.landing_zone {
                clock(begins).await;
                let zone = |status, version: &str| LandingZone {
                    status,
                    version: version.to_owned(),
                    ..LandingZone::default()
                };
                self.sim.set_landing_zone(Some(zone(LandingZoneStatus::Processing, "3.3")));
                clock(lasts).await;
                self.sim.set_landing_zone(Some(zone(LandingZoneStatus::Active, "3.3")));
            }
        };
        let full_disk = async {
            if let Some((begins, lasts)) = self.scenario.full_disk {
                clock(begins).await;
                self.disk.fill();
                clock(lasts).await;
                self.disk.free();
            }
        };
        let backlog = async {
            if let Some(backlog) = &self.scenario.backlog {
                clock(backlog.at).await;
                backlog.arrive(&self.scenario, &self.sim);
            }
        };
        tokio::join!(moves, closings, landing_zone, full_disk, backlog);
    }

    /// Runs a future while the heartbeats are checked.
    async fn watched<T>(&self, what: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = what => done,
            () = self.heartbeats.watch(&*self.ledger) => unreachable!("it looks for ever"),
        }
    }

    async fn run(self) -> RunSummary {
        let hosts = join_all((0..self.scenario.hosts).map(|number| self.host(number)));
        let hosts = async { tokio::join!(hosts, self.others()) };
        let (mut resumed, ()) = self.watched(hosts).await;
        if !self.scenario.moves.is_empty() || !self.scenario.closings.is_empty() {
            // Accounts that moved, or were reopened, after everything was done are found by the
            // next sweep.
            let again = self.run_to_the_end("host-again".to_owned());
            resumed.push(self.watched(again).await);
        }
        let mut delivered = 0;
        if let Some(backlog) = &self.scenario.backlog {
            self.watched(self.deliver_the_rest()).await;
            delivered = backlog.check(&self.scenario, &self.sim);
        }
        let (updated, dead_lettered) = self.invariants.check(&*self.ledger).await;
        let first_end = first_end(&self.scenario.ends).unwrap_or_default();
        let ends =
            |of: fn(&End) -> bool| self.scenario.ends.iter().flatten().copied().filter(of).count();
        RunSummary {
            updated,
            dead_lettered,
            kills: ends(|end| matches!(end, End::Killed(_))),
            stops: ends(|end| matches!(end, End::Stopped(_))),
            delivered,
            asked: self.asked.around(BEGIN + Duration::from_secs(first_end)),
            moved: self.scenario.moves.len(),
            resumed: resumed.into_iter().sum(),
        }
    }
}
