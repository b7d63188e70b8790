//! Each system is notified once of each account, under any faults. Tested with the real plugins on
//! the simulated AWS, a simulated CMDB and a simulated billing system, by seed: repeated events,
//! throttling, errors, lost responses, calls that hang, and hosts that are killed at any point;
//! with two hosts at once, and with the notifications queue and without.
//!
//! `GROUNDCREW_SEEDS` is the number of seeds, and `GROUNDCREW_FIRST_SEED` the first one. A seed
//! that fails prints how to run it alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use groundcrew::simulated_transport::SimulatedTransport;
use groundcrew_aws::AwsSupport;
use groundcrew_core::config::{Config, PluginSource};
use groundcrew_core::event::Event;
use groundcrew_core::ports::Clock as _;
use groundcrew_engine::notifications::{
    ConfiguredNotifier, ConfiguredRoute, EventOutcome, NotificationSettings, Notifications,
};
use groundcrew_ledger::DynamoLedger;
use groundcrew_plugins::http::HttpAccess;
use groundcrew_plugins::{
    LoadedNotifier, NotifierSpec, Runtime, RuntimeOptions, Source, SupportGrant,
};
use groundcrew_sim::{FaultLevel, SimAws, SimOptions, random_fleet};
use groundcrew_testkit::seeds::seeds;
use groundcrew_testkit::{hosts, replay};
use jiff::Timestamp;

const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
const SEEDS: u64 = 40;
const CREATED: &str = include_str!("events/create-managed-account-succeeded.json");
const UPDATED: &str = include_str!("events/update-managed-account-succeeded.json");
const CONFIG: &str = r#"
[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
[[notifiers]]
name = "cmdb"
plugin = "cmdb"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
[notifiers.settings.servicenow]
instance = "https://acme.service-now.com"
table = "cmdb_ci_cloud_service_account"
key_field = "account_id"
fields = { name = "{{ account.name }}" }
[[notifiers.grants.http]]
url = "https://acme.service-now.com/api/now/table/cmdb_ci_cloud_service_account"
methods = ["GET", "POST", "PATCH"]
[[notifiers]]
name = "billing"
plugin = "billing"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
[notifiers.settings]
url = "https://billing.example.com/v1/accounts/{{ account.id }}"
[notifiers.settings.tags]
owner = { tag = "owner", default = "nobody" }
[[notifiers.grants.http]]
url = "https://billing.example.com/v1/accounts/"
methods = ["PUT"]
"#;

struct Fixture {
    sim: SimAws,
    config: Config,
    notifiers: Vec<Arc<LoadedNotifier>>,
    queued: bool,
}

impl Fixture {
    async fn new(seed: u64, plugins: &Runtime, rng: &mut Rng) -> Self {
        // No account of this organization needs an update.
        let mut snapshot = random_fleet(rng.usize(1..5), 0, seed);
        snapshot.accounts.iter_mut().for_each(|account| account.outdated = false);
        let sim = SimAws::new(SimOptions {
            seed,
            start: BEGIN,
            snapshot,
            faults: FaultLevel::Heavy,
            account_quota: 5,
        });
        let config = Config::parse("telling.toml", CONFIG).unwrap();
        let web = Arc::new(SimulatedTransport::new(sim.clone()));
        let support = Arc::new(AwsSupport::new(hosts::clients(&sim).support));
        let mut notifiers = Vec::new();
        for notifier in &config.notifiers {
            let plugin_config = &notifier.plugin_config;
            let PluginSource::Bundled(bundled) = &plugin_config.plugin else { panic!("bundled") };
            let spec = NotifierSpec {
                name: plugin_config.name.clone(),
                source: Source::Bundled(bundled.clone()),
                sha256: None,
                settings: plugin_config.settings.json.clone(),
                limits: plugin_config.limits,
                support: Some(SupportGrant {
                    cases: support.clone(),
                    service_codes: notifier.grants.support_cases.clone(),
                }),
                http: Some(HttpAccess {
                    grants: notifier.grants.http.clone(),
                    limits: notifier.http_limits,
                    transport: web.clone(),
                }),
            };
            notifiers.push(Arc::new(plugins.load_notifier(spec).await.unwrap()));
        }
        Self { sim, config, notifiers, queued: rng.bool() }
    }

    fn host(&self, name: String) -> Notifications {
        let sim = &self.sim;
        let table = DynamoLedger::new(hosts::clients(sim).dynamodb, sim.table_name());
        let ledger = Arc::new(table);
        let notifiers = self.config.notifiers.iter().zip(&self.notifiers);
        Notifications::new(
            hosts::notifications(sim, ledger, self.queued),
            NotificationSettings {
                routes: self
                    .config
                    .routes
                    .iter()
                    .map(|route| ConfiguredRoute { route: route.clone(), policies: vec![] })
                    .collect(),
                notifiers: notifiers
                    .map(|(config, notifier)| ConfiguredNotifier {
                        name: config.plugin_config.name.clone(),
                        digest: notifier.digest().to_owned(),
                        gate: false,
                        timeout: config.plugin_config.limits.timeout,
                        notifier: notifier.clone(),
                    })
                    .collect(),
                lookback: Duration::from_secs(4000 * 24 * 3600),
                host: name,
                suggestions: Default::default(),
            },
        )
    }

    /// Handles an event until it is done, as if the sender delivered it again and again.
    async fn deliver(&self, name: &str, event: &str) {
        let event = Arc::new(Event::parse(event).unwrap());
        for again in 0.. {
            let host = self.host(format!("{name}-{again}"));
            if host.handle(&event, None).await.outcome != EventOutcome::Failed {
                return;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    /// Handles the messages of the queue until it is empty. Dead letters are redriven.
    async fn work(&self, name: &str) {
        let host = self.host(name.to_owned());
        let Some(queue) = host.queue().cloned() else { return };
        loop {
            let left = self.sim.messages(&self.sim.notifications_url()).len();
            let dead = self.sim.messages(&self.sim.notifications_dlq_url()).len();
            if left + dead == 0 {
                return;
            }
            if left == 0 {
                for notifier in &self.notifiers {
                    let _ = queue.redrive(notifier.name(), self.sim.clock().now()).await;
                }
            }
            if let Ok(deliveries) = queue.receive(Duration::from_secs(20)).await {
                let taken = deliveries
                    .iter()
                    .flatten()
                    .map(|one| host.process_message(queue.as_ref(), one));
                join_all(taken).await;
            }
        }
    }
}

/// Runs a future for at most this time, and then drops it at any point.
async fn with_time_limit(millis: u64, future: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_millis(millis), future).await.is_err()
}

/// Runs one seed. Returns the numbers of killed hosts and of notified accounts.
async fn run_seed(seed: u64, plugins: &Runtime) -> (usize, usize) {
    let mut rng = Rng::with_seed(seed);
    let fixture = Fixture::new(seed, plugins, &mut rng).await;
    let accounts: Vec<String> =
        fixture.sim.current_accounts().iter().map(ToString::to_string).collect();
    let mut kills = 0;
    let mut lives = Vec::new();
    for account in &accounts {
        for number in 0..rng.usize(1..10) {
            let event = if number > 0 && rng.bool() { UPDATED } else { CREATED };
            let event = event
                .replace("111122223333", account)
                .replace("999cccaa", &format!("{number:08x}"));
            lives.push((event, rng.u64(0..900), rng.bool().then(|| rng.u64(0..2500))));
        }
    }
    let handled = lives.iter().enumerate().map(async |(number, (event, after, killed))| {
        tokio::time::sleep(Duration::from_secs(*after)).await;
        let name = format!("handler-{number}");
        let future = fixture.deliver(&name, event);
        match killed {
            Some(millis) if with_time_limit(*millis, future).await => {
                // The sender delivers the event again.
                fixture.deliver(&format!("{name}-again"), event).await;
                1
            }
            Some(_) => 0,
            None => {
                fixture.deliver(&name, event).await;
                0
            }
        }
    });
    let deaths: Vec<Vec<u64>> =
        (0..2).map(|_| (0..rng.usize(0..9)).map(|_| rng.u64(100..20_000)).collect()).collect();
    let workers = deaths.iter().enumerate().map(async |(number, deaths)| {
        let mut killed = 0;
        for (life, millis) in deaths.iter().enumerate() {
            killed += usize::from(
                with_time_limit(*millis, fixture.work(&format!("worker-{number}-{life}"))).await,
            );
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        killed
    });
    let (handlers, workers) = tokio::join!(join_all(handled), join_all(workers));
    kills += handlers.iter().sum::<usize>() + workers.iter().sum::<usize>();
    fixture.work("last").await;

    let mut delivered: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for case in fixture.sim.cases() {
        let reference = case.body.lines().last().unwrap().to_owned();
        let account = reference.split('/').nth(2).unwrap().to_owned();
        delivered.entry(account).or_default()[0] += 1;
    }
    for record in fixture.sim.web_records() {
        let account = &record.body["account_id"];
        let account = account.as_str().unwrap().to_owned();
        let system = if record.url.contains("service-now") { 1 } else { 2 };
        delivered.entry(account).or_default()[system] += 1;
    }
    let expected = accounts.iter().map(|account| (account.clone(), [1, 1, 1])).collect();
    assert_eq!(delivered, expected, "cases, records in the CMDB and in billing, by account");
    (kills, accounts.len())
}

#[test]
fn every_system_is_told_once_of_every_account() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    let plugins = Runtime::new(RuntimeOptions { cache_dir: Some(cache) }).unwrap();
    let seeds = seeds(SEEDS);
    let (mut killed, mut delivered) = (0, 0);
    for seed in seeds.clone() {
        let _replay = replay!(seed);
        fastrand::seed(seed);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let (kills, accounts) = runtime.block_on(run_seed(seed, &plugins));
        killed += kills;
        delivered += accounts;
    }
    // Without this, the check would pass if nothing happened.
    if seeds.end - seeds.start >= SEEDS {
        assert!(killed > 60 && delivered > 60, "{killed} hosts killed, {delivered} accounts");
    }
}
