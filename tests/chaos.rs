//! Chaos: two hosts use third-party implementations of queues, tables, topics and an organization,
//! behind proxies that break connections, while hosts are killed and stopped. At the end it prints
//! the numbers of accounts, kills and faults, of lost and repeated effects, and the most operations
//! at once.
//!
//! `make chaos` runs it for long: `GROUNDCREW_CHAOS_SECONDS` of faults with
//! `GROUNDCREW_CHAOS_ACCOUNTS`, drawn from `GROUNDCREW_CHAOS_SEED`.

#![cfg(unix)]

#[path = "chaos/proxy.rs"]
mod proxy;

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::inbox::Inbox;
use common::interop::{ministack, moto, python};
use common::server::Server;
use common::{event, run_command};
use fastrand::Rng;
use proxy::Proxy;
use serde_json::{Value, json};

/// Control Tower's quota of concurrent account operations.
const QUOTA: usize = 5;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |value| value.parse().unwrap())
}

/// The hosts, and their way to AWS.
struct Hosts<'a> {
    dir: &'a Path,
    aws: &'a Server,
    proxies: &'a [Proxy; 3],
    running: Vec<Child>,
    kills: usize,
    stops: usize,
}

impl Hosts<'_> {
    fn command(&self) -> Command {
        let [simulated, moto, ministack] = self.proxies;
        let mut command = common::command(self.dir);
        self.aws
            .environment(&mut command)
            .env("AWS_ENDPOINT_URL", &simulated.url)
            .env("AWS_ENDPOINT_URL_SQS", &ministack.url)
            .env("AWS_ENDPOINT_URL_SNS", &moto.url)
            .env("AWS_ENDPOINT_URL_ORGANIZATIONS", &moto.url)
            .env("AWS_ENDPOINT_URL_DYNAMODB", &moto.url);
        command
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut command = self.command();
        let child = command
            .args(["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.running.push(child.unwrap());
    }

    fn signal(&self, host: usize, signal: &str) {
        let pid = self.running[host].id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Kills, stops or continues a host.
    fn disturb(&mut self, rng: &mut Rng) {
        let host = rng.usize(..self.running.len());
        // The first disturbance is a kill, whatever is drawn.
        match if self.kills == 0 { 0 } else { rng.u32(..3) } {
            0 => {
                let mut killed = self.running.swap_remove(host);
                killed.kill().unwrap();
                killed.wait().unwrap();
                self.kills += 1;
                self.start();
            }
            1 => {
                self.signal(host, "-STOP");
                std::thread::sleep(Duration::from_millis(rng.u64(300..4000)));
                self.signal(host, "-CONT");
                self.stops += 1;
            }
            _ => std::thread::sleep(Duration::from_millis(rng.u64(100..1500))),
        }
        for host in &mut self.running {
            assert!(host.try_wait().unwrap().is_none(), "a host has ended by itself");
        }
    }
}

impl Drop for Hosts<'_> {
    fn drop(&mut self) {
        for host in &mut self.running {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

fn run_script(server: &Server, script: &str, args: &[&str]) -> Value {
    serde_json::from_str(&python(server, script, args)).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The most operations that ran at once, and how often each account was updated with success.
fn operations(aws: &Server) -> (usize, BTreeMap<String, usize>) {
    let operations = aws.inspect("operations");
    let mut changes = Vec::new();
    let mut updated = BTreeMap::new();
    for operation in operations.as_array().unwrap() {
        changes.push((text(&operation["start"]), 1));
        if let Some(end) = operation["end"].as_str() {
            changes.push((end.to_owned(), -1));
        }
        if operation["outcome"] == "succeeded" {
            *updated.entry(text(&operation["account"])).or_insert(0) += 1;
        }
    }
    // At the same moment, an end comes before a start.
    changes.sort();
    let (mut now, mut most) = (0_isize, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now.unsigned_abs());
    }
    (most, updated)
}

#[test]
fn nothing_is_lost_or_doubled() {
    let seed = number("GROUNDCREW_CHAOS_SEED", 1);
    let lasts = Duration::from_secs(number("GROUNDCREW_CHAOS_SECONDS", 15));
    let number_of_accounts = number("GROUNDCREW_CHAOS_ACCOUNTS", 12).to_string();
    let mut rng = Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let (moto, ministack) = (moto(), ministack(dir.path()));
    let topic = run_script(&moto, "moto.py", &["prepare"]);
    let organization = run_script(&moto, "fleet.py", &["organization", &number_of_accounts]);
    let queues = run_script(&ministack, "fleet.py", &["queues"]);
    let mut accounts = organization["accounts"].as_array().unwrap().clone();
    for account in &mut accounts {
        account["update_seconds"] = json!(rng.u64(1..4));
        account["outdated"] = json!(true);
        account["ou"] = json!(["Fleet"]);
        account["ou_ids"] = json!([organization["ou"]]);
    }
    let ids: Vec<String> = accounts.iter().map(|account| text(&account["id"])).collect();
    let snapshot = dir.path().join("organization.json");
    std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    let inbox = Inbox::open();
    // Requests to the webhook go through a proxy as well.
    let other = Proxy::to_webhook(&inbox.address, rng.u64(..));
    let hook = format!("{}/hooks", other.url);
    let config = format!(
        "[updates]\nmax_concurrent_operations = 4\npoll_interval = 1\nmin_sweep_interval = \"1s\"\n\
         [queues]\nupdates_url = \"{}\"\nevents_url = \"{}\"\n\
         [ledger]\ntable = \"groundcrew\"\n[alerts]\ntopic_arn = \"{}\"\n\
         [[notifiers]]\nname = \"hook\"\nplugin = \"webhook\"\n\
         [notifiers.settings]\nurl = \"{hook}\"\nbody = {{ id = \"{{{{ account.id }}}}\" }}\n\
         [[notifiers.grants.http]]\nurl = \"{hook}\"\nmethods = [\"POST\"]\nallow_private = true\n\
         [[routes]]\nevents = [\"UpdateManagedAccount\"]\nonce_per = \"event\"\n\
         notifiers = [\"hook\"]\n",
        text(&queues["updates"]),
        text(&queues["events"]),
        text(&topic["topic"])
    );
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();

    let proxies = [
        Proxy::to(&aws.address(), rng.u64(..)),
        Proxy::to(&moto.address(), rng.u64(..)),
        Proxy::to(&ministack.address(), rng.u64(..)),
    ];
    let mut hosts = Hosts {
        dir: dir.path(),
        aws: &aws,
        proxies: &proxies,
        running: vec![],
        kills: 0,
        stops: 0,
    };
    hosts.start();
    hosts.start();
    let begun = Instant::now();
    let tell = |account: &String| {
        let about = event("update-managed-account-succeeded").replace("111122223333", account);
        let mut about: Value = serde_json::from_str(&about).unwrap();
        about["id"] = json!(format!("999cccaa-eaaa-0000-1111-{account}"));
        let events = text(&queues["events"]);
        python(&ministack, "fleet.py", &["send", &events, &about.to_string()]);
    };
    let mut to_tell = ids.clone();
    while begun.elapsed() < lasts {
        // From time to time an account needs a notification.
        to_tell.pop().iter().for_each(tell);
        hosts.disturb(&mut rng);
    }
    to_tell.iter().for_each(tell);
    proxies.iter().chain([&other]).for_each(Proxy::stop_faults);

    // Messages and claims of killed hosts are available again within this time. After that each
    // such interval must bring progress until all is done.
    let patience = Duration::from_secs(90);
    // The key shows the other system that a request is repeated.
    let delivered = || -> BTreeMap<String, usize> {
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for request in inbox.received() {
            if let Some(key) = request.header("idempotency-key") {
                let body: Value = serde_json::from_str(&request.body).unwrap();
                keys.entry(text(&body["id"])).or_default().insert(key.to_owned());
            }
        }
        keys.into_iter().map(|(account, keys)| (account, keys.len())).collect()
    };
    let is_done = || operations(&aws).1.len() == ids.len() && delivered().len() == ids.len();
    let so_far = || (operations(&aws).1.len(), delivered().len());
    let (mut last, mut since) = (so_far(), Instant::now());
    while !is_done() && since.elapsed() < patience {
        std::thread::sleep(Duration::from_secs(1));
        if so_far() != last {
            (last, since) = (so_far(), Instant::now());
        }
    }
    let (kills, stops) = (hosts.kills, hosts.stops);
    let mut status = hosts.command();
    let status = run_command(status.args(["status", "--config", "crew.toml"])).stdout;
    drop(hosts);
    let ((most, updated), delivered) = (operations(&aws), delivered());
    let counts = proxies.iter().chain([&other]).map(Proxy::counts);
    let (requests, faults) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let lost: Vec<_> = ids
        .iter()
        .filter(|id| !updated.contains_key(*id) || !delivered.contains_key(*id))
        .collect();
    let twice = |counts: &BTreeMap<String, usize>| {
        counts.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    let doubled = [twice(&updated), twice(&delivered)].concat();
    println!(
        "{} accounts, {kills} kills, {stops} stops, {faults} faults in {requests} requests: {} lost, \
         {} doubled, at most {most} at once (seed {seed})",
        ids.len(),
        lost.len(),
        doubled.len()
    );
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert!(lost.is_empty() && doubled.is_empty(), "{lost:?} {doubled:?}\n{status}\n{}", log());
    assert!(most <= QUOTA, "{most} at once");
    assert!(faults > 20 && kills > 0, "{faults} faults, {kills} kills, {stops} stops");
}
