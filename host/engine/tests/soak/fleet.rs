//! Runs one seed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures_util::future::join_all;
use groundcrew_aws::{
    Clients, ControlTower, Environment, IdentityCenterUsers, LaunchPath, OrganizationsDirectory,
    ServiceCatalog, SnsAlerts, SqsEvents, SqsUpdates,
};
use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::pipeline::Fallback;
use groundcrew_core::ports::{Clock, Ledger, Operator, Policy, PolicyFailure, Signature};
use groundcrew_core::scheduler::Blocked;
use groundcrew_engine::{
    AskedPolicy, Engine, OnFailure, Ports, Settings, SteadyClock, Ticker, Until, Waiting,
};
use groundcrew_ledger::{Disk, DynamoLedger, FileLedger};
use groundcrew_sim::{FaultLevel, LandingZone, LandingZoneStatus, SimAws, SimOptions};
use jiff::Timestamp;

use super::clock::MachineClock;
use super::pulse::Pulse;
use super::setting::{CAUSES, LedgerKind, QUOTA, Setting, Wish};
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
    pub moved: usize,
    pub resumed: usize,
}

impl Done {
    pub fn add(&mut self, other: Self) {
        self.updated += other.updated;
        self.given_up += other.given_up;
        self.kills += other.kills;
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
    /// What a ledger file is on.
    disk: Disk,
    truth: Arc<Truth>,
    pulse: Pulse,
    _directory: tempfile::TempDir,
}

pub fn run(setting: &Setting) -> Done {
    // Waits of the host and of the SDK are random as well.
    fastrand::seed(setting.seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let setting = Arc::new(Setting::draw(setting.seed));
    runtime.unwrap().block_on(async move { World::new(setting).live().await })
}

fn clients(sim: &SimAws) -> Clients {
    let (key, secret) = sim.credentials();
    let credentials = Credentials::new(key, secret, None, None, "simulation");
    let credentials = SharedCredentialsProvider::new(credentials);
    Environment::new(sim.region(), credentials, sim.http_client(), sim.time_source()).clients()
}

impl World {
    fn new(setting: Arc<Setting>) -> Self {
        let sim = SimAws::new(SimOptions {
            seed: setting.seed,
            start: BEGIN,
            snapshot: setting.snapshot.clone(),
            faults: FaultLevel::Heavy,
            account_quota: QUOTA,
        });
        sim.announce_artifact();
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let ledger: Arc<dyn Ledger> = match setting.ledger {
            LedgerKind::File => {
                let path = directory.path().join("crew.db");
                Arc::new(FileLedger::open_on(disk.clone(), path).unwrap())
            }
            LedgerKind::Table => {
                Arc::new(DynamoLedger::new(clients(&sim).dynamodb, sim.table_name()))
            }
        };
        let truth = Arc::new(Truth::new(setting.clone(), sim.clone()));
        let pulse = Pulse::new(sim.clone(), setting.clone());
        Self { setting, sim, ledger, disk, truth, pulse, _directory: directory }
    }

    fn engine(&self, name: String) -> Arc<Engine> {
        let (sim, setting) = (&self.sim, &self.setting);
        let clients = clients(sim);
        let policy = AskedPolicy {
            name: "wishes".into(),
            digest: "none".into(),
            on_failure: OnFailure::Skip,
            monitored: false,
            policy: Arc::new(Wishes(setting.clone())),
        };
        let ports = Ports {
            catalog: Arc::new(ServiceCatalog::new(
                clients.service_catalog.clone(),
                sim.product_name(),
                LaunchPath::OfPortfolio(sim.portfolio_name().to_owned()),
            )),
            landing_zones: Arc::new(ControlTower::new(clients.control_tower.clone())),
            identities: Arc::new(IdentityCenterUsers::new(&clients)),
            directory: Arc::new(OrganizationsDirectory::new(clients.organizations)),
            updates: Arc::new(SqsUpdates::new(clients.sqs.clone(), sim.updates_url())),
            events: Arc::new(SqsEvents::new(clients.sqs, sim.events_url())),
            alerts: Arc::new(SnsAlerts::new(clients.sns, sim.topic_arn())),
            ledger: self.ledger.clone(),
            clock: self.clock(),
            witness: self.truth.clone(),
            onboarding: None,
        };
        let settings = Settings {
            rules: setting.rules.clone(),
            account_quota: QUOTA,
            reserve: setting.reserve,
            causes: CAUSES,
            approval: None,
            host: name,
            version: Some("0.1.0".into()),
            parameters: ParameterSource::Rebuild,
            fallback: Fallback::Proceed,
            policies: vec![policy],
        };
        Engine::new(ports, settings)
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
        for (life, seconds) in self.setting.kills[number].iter().enumerate() {
            let name = format!("host-{number}-{life}");
            let life = self.life(&name);
            // Cut off wherever it then is.
            let _ = tokio::time::timeout(Duration::from_secs(*seconds), life).await;
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
                    while self.ledger.order_resume(&lane, &signature).await.is_err() {}
                    resumed += 1;
                    self.truth.resumed(&lane);
                }
                _ => return resumed,
            }
        }
    }

    /// One life of a host, as a service or by ticks once a minute.
    async fn life(&self, name: &str) -> Option<Waiting> {
        let engine = self.engine(name.to_owned());
        let running = self.pulse.runs(name);
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
        tokio::join!(moves, closings, landing_zone, full_disk);
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
        let (updated, given_up) = self.truth.judge(&*self.ledger).await;
        Done {
            updated,
            given_up,
            kills: self.setting.kills.iter().map(Vec::len).sum(),
            moved: self.setting.moves.len(),
            resumed: resumed.into_iter().sum(),
        }
    }
}
