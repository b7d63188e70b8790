//! Runs one seed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::pipeline::Fallback;
use groundcrew_core::ports::{
    Clock, Ledger, NotificationLedger, Operator, Policy, PolicyFailure, Signature,
};
use groundcrew_core::scheduler::Blocked;
use groundcrew_engine::{
    AskedPolicy, Host, OnFailure, Ports, Settings, SteadyClock, Ticker, Until, UpdatePorts,
    Waiting, Witness,
};
use groundcrew_ledger::{Disk, DynamoLedger, FileLedger};
use groundcrew_sim::{LandingZone, LandingZoneStatus, SimAws, SimOptions};
use groundcrew_testkit::hosts;
use jiff::Timestamp;

use super::backlog::{Asked, Backlog};
use super::clock::MachineClock;
use super::log::Log;
use super::pulse::Pulse;
use super::readiness::Readiness;
use super::setting::{CAUSES, End, LedgerKind, QUOTA, Setting, Wish, first_end};
use super::truth::Truth;

pub const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
/// Long enough for every fleet of these, at a time at which nothing is left to happen.
const END: Duration = Duration::from_secs(40 * 86_400);

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub updated: usize,
    pub given_up: usize,
    pub kills: usize,
    pub stops: usize,
    pub told: usize,
    pub moved: usize,
    pub resumed: usize,
    /// How often the notifier was asked to tell before the first host ended its first life, and how
    /// long after that it was asked again.
    pub asked: (usize, Option<Duration>),
}

impl Done {
    pub fn add(&mut self, other: Self) {
        self.updated += other.updated;
        self.given_up += other.given_up;
        self.kills += other.kills;
        self.stops += other.stops;
        self.told += other.told;
        self.moved += other.moved;
        self.resumed += other.resumed;
    }
}

/// The policy of a setting.
struct Wishes(Arc<Setting>);

#[async_trait]
impl Policy for Wishes {
    async fn evaluate(&self, candidate: &Candidate) -> Result<Verdict, PolicyFailure> {
        Ok(match self.0.wish(&candidate.account.id) {
            Wish::Lane(lane) => Verdict::Proceed(Some(self.0.rules.lanes[lane].name.clone())),
            Wish::Skip => Verdict::Skip("unwanted".into()),
            Wish::Hold(lane, seconds) => {
                let lane = (lane > 0).then(|| self.0.rules.lanes[lane].name.clone());
                let until = BEGIN + Duration::from_secs(seconds);
                match until > candidate.now {
                    true => Verdict::Hold { until, reason: "later".into(), lane },
                    false => Verdict::Proceed(lane),
                }
            }
        })
    }
}

struct World {
    setting: Arc<Setting>,
    sim: SimAws,
    ledger: Arc<dyn Ledger>,
    notifications: Arc<dyn NotificationLedger>,
    /// What a ledger file is on.
    disk: Disk,
    truth: Arc<Truth>,
    pulse: Pulse,
    asked: Arc<Asked>,
    _directory: tempfile::TempDir,
}

pub fn run(setting: Setting) -> Done {
    let log = Log::default();
    let _kept = log.keep();
    // Waits of the host and of the SDK are random as well.
    fastrand::seed(setting.seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let setting = Arc::new(setting);
    runtime.unwrap().block_on(async move { World::new(setting, log).live().await })
}

impl World {
    fn new(setting: Arc<Setting>, log: Log) -> Self {
        let sim = SimAws::new(SimOptions {
            seed: setting.seed,
            start: BEGIN,
            snapshot: setting.snapshot.clone(),
            faults: setting.faults,
            account_quota: QUOTA,
        });
        sim.announce_artifact();
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let ledgers: (Arc<dyn Ledger>, Arc<dyn NotificationLedger>) = match setting.ledger {
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
        let truth = Arc::new(Truth::new(setting.clone(), sim.clone(), log));
        let pulse = Pulse::new(sim.clone(), setting.clone());
        let asked = Arc::default();
        Self {
            setting,
            sim,
            ledger,
            notifications,
            disk,
            truth,
            pulse,
            asked,
            _directory: directory,
        }
    }

    fn engine(&self, name: &str, readiness: Arc<Readiness>) -> Host {
        let (sim, setting) = (&self.sim, &self.setting);
        let policy = AskedPolicy {
            name: "wishes".into(),
            digest: "none".into(),
            on_failure: OnFailure::Skip,
            monitored: false,
            policy: Arc::new(Wishes(setting.clone())),
        };
        let (ledger, notifications) = self.ledgers();
        let clock = self.clock();
        let onboarding = setting.backlog.as_ref().map(|backlog| {
            let asked = self.asked.clone();
            Arc::new(backlog.onboarding(name, sim, notifications, clock.clone(), asked))
        });
        let witness = Arc::new(vec![self.truth.clone() as Arc<dyn Witness>, readiness]);
        let updates = UpdatePorts { clock, witness, ..hosts::updates(sim, ledger) };
        let ports = Ports { updates, events: hosts::events(sim), notifications: onboarding };
        let settings = Settings {
            rules: setting.rules.clone(),
            account_quota: QUOTA,
            reserve: setting.reserve,
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

    /// The ledger as a host opens it: the file is open for as long as the world stands.
    fn ledgers(&self) -> (Arc<dyn Ledger>, Arc<dyn NotificationLedger>) {
        if self.setting.ledger == LedgerKind::File {
            return (self.ledger.clone(), self.notifications.clone());
        }
        let dynamodb = hosts::clients(&self.sim).dynamodb;
        let ledger = Arc::new(DynamoLedger::new(dynamodb, self.sim.table_name()));
        (ledger.clone(), ledger)
    }

    /// The clock of a host as it would be: steady in a service, the machine's in a Lambda.
    fn clock(&self) -> Arc<dyn Clock> {
        let (right, jumps) = (self.sim.clock(), self.setting.jumps.clone());
        let machine = Arc::new(MachineClock { right, begin: BEGIN, jumps });
        match self.setting.ticks {
            true => machine,
            false => Arc::new(SteadyClock::new(machine)),
        }
    }

    /// One host: killed as often as the setting says, and then left alone.
    async fn host(&self, number: usize) -> usize {
        for (life, end) in self.setting.ends[number].iter().enumerate() {
            let name = format!("host-{number}-{life}");
            match *end {
                End::Killed(seconds) => {
                    let life = self.life(&name);
                    let _ = tokio::time::timeout(Duration::from_secs(seconds), life).await;
                }
                End::Stopped(seconds) => {
                    self.serve(&name, tokio::time::sleep(Duration::from_secs(seconds))).await;
                }
            }
        }
        self.to_the_end(format!("host-{number}")).await
    }

    /// Runs a host until all is done. When a lane waits for an operator, one comes.
    async fn to_the_end(&self, name: String) -> usize {
        let mut resumed = 0;
        loop {
            match self.life(&name).await {
                Some(Waiting { blocked: Blocked::Paused { lane, .. }, .. }) => {
                    tokio::time::sleep(Duration::from_secs(600)).await;
                    let signature =
                        Signature { by: Operator::default(), at: self.sim.clock().now() };
                    // Refused by a table, or while the disk is full.
                    while self.ledger.order_resume(&lane, &signature).await.is_err() {
                        tokio::time::sleep(Duration::from_secs(10)).await;
                    }
                    resumed += 1;
                    self.truth.resumed(&lane);
                }
                _ => return resumed,
            }
        }
    }

    /// One life of a service that is asked to stop.
    async fn serve(&self, name: &str, stop: impl Future<Output = ()>) {
        let readiness = Arc::new(Readiness::new(&self.setting));
        let engine = self.engine(name, readiness.clone());
        let running = self.pulse.runs(name, readiness);
        engine.serve(stop).await;
        running.stopped();
    }

    /// Tells whatever is left to tell.
    async fn tell_the_rest(&self) {
        let told = async {
            while !Backlog::is_told(&self.sim) && self.sim.clock().now() < BEGIN + END {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        };
        self.serve("host-last", told).await;
    }

    /// One life of a host, as a service or by ticks once a minute.
    async fn life(&self, name: &str) -> Option<Waiting> {
        let readiness = Arc::new(Readiness::new(&self.setting));
        let engine = self.engine(name, readiness.clone());
        let running = self.pulse.runs(name, readiness);
        if !self.setting.ticks {
            let waiting = engine.run(Until::SettledOr(BEGIN + END)).await;
            running.stopped();
            return waiting;
        }
        // Of a Lambda nobody hears that it ends: it is as if it were cut off.
        let (clock, right) = (self.clock(), self.sim.clock());
        let mut ticker = Ticker::new(engine);
        loop {
            let now = right.now();
            ticker.tick(None, clock.now() + Duration::from_secs(50)).await;
            if ticker.is_settled(BEGIN + END) || now >= BEGIN + END {
                return ticker.waiting();
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    /// Whatever others do meanwhile.
    async fn others(&self) {
        let clock = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let moves = async {
            for (index, seconds) in &self.setting.moves {
                clock(*seconds).await;
                let account = self.setting.account(*index);
                self.truth.moved(&account);
                // Where the small organization has no such OU, it stays.
                let _ = self.sim.move_account(&account, &["Sandbox"]);
            }
        };
        let closings = async {
            for (index, closed, opened) in &self.setting.closings {
                clock(*closed).await;
                let account = self.setting.account(*index);
                self.truth.closed(&account);
                self.sim.close_account(&account);
                if let Some(opened) = opened {
                    clock(opened - closed).await;
                    self.truth.reopened(&account);
                    self.sim.reopen_account(&account);
                }
            }
        };
        let landing_zone = async {
            if let Some((begins, lasts)) = self.setting.landing_zone {
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
            if let Some((begins, lasts)) = self.setting.full_disk {
                clock(begins).await;
                self.disk.fill();
                clock(lasts).await;
                self.disk.free();
            }
        };
        let backlog = async {
            if let Some(backlog) = &self.setting.backlog {
                clock(backlog.at).await;
                backlog.arrive(&self.setting, &self.sim);
            }
        };
        tokio::join!(moves, closings, landing_zone, full_disk, backlog);
    }

    /// Does something while the heartbeats are looked at.
    async fn watched<T>(&self, what: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = what => done,
            () = self.pulse.watch(&*self.ledger) => unreachable!("it looks for ever"),
        }
    }

    async fn live(self) -> Done {
        let hosts = join_all((0..self.setting.hosts).map(|number| self.host(number)));
        let hosts = async { tokio::join!(hosts, self.others()) };
        let (mut resumed, ()) = self.watched(hosts).await;
        if !self.setting.moves.is_empty() || !self.setting.closings.is_empty() {
            // Whoever moved, or was opened again, after everything was done is found by the next
            // sweep.
            let again = self.to_the_end("host-again".to_owned());
            resumed.push(self.watched(again).await);
        }
        let mut told = 0;
        if let Some(backlog) = &self.setting.backlog {
            self.watched(self.tell_the_rest()).await;
            told = backlog.judge(&self.setting, &self.sim);
        }
        let (updated, given_up) = self.truth.judge(&*self.ledger).await;
        let first_end = first_end(&self.setting.ends).unwrap_or_default();
        let ends =
            |of: fn(&End) -> bool| self.setting.ends.iter().flatten().copied().filter(of).count();
        Done {
            updated,
            given_up,
            kills: ends(|end| matches!(end, End::Killed(_))),
            stops: ends(|end| matches!(end, End::Stopped(_))),
            told,
            asked: self.asked.around(BEGIN + Duration::from_secs(first_end)),
            moved: self.setting.moves.len(),
            resumed: resumed.into_iter().sum(),
        }
    }
}
