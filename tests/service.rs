//! `groundcrew run` and the commands beside it, in real time against the simulated AWS as a
//! server, with updates that take a second.

#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::json::strict as strict_json;
use common::server::Server;
use common::{CommandOutput, command, event, eventually, groundcrew, root, run_command};
use rstest::rstest;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[updates]
max_concurrent_operations = 2
poll_interval = 1
min_sweep_interval = "1s"
max_attempts = 2
[queues]
updates_url = "URL/123456789012/groundcrew-updates.fifo"
events_url = "URL/123456789012/groundcrew-events"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
"#;

/// A simulated AWS with outdated accounts, and a config for it.
struct Fixture {
    aws: Server,
    dir: tempfile::TempDir,
}

fn account(number: usize, seconds: u64) -> Value {
    json!({ "id": format!("{number:012}"), "name": format!("account-{number}"),
            "ou": ["Workloads"], "update_seconds": seconds })
}

fn accounts(number: usize) -> Vec<Value> {
    (1..=number).map(|number| account(number, 1)).collect()
}

impl Fixture {
    fn of(accounts: Vec<Value>, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = dir.path().join("organization.json");
        std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
        let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
        aws.control("release-artifact", "");
        let config = CONFIG.replace("URL", &aws.url()) + config;
        std::fs::write(dir.path().join("crew.toml"), config).unwrap();
        Self { aws, dir }
    }

    fn run(&self, args: &[&str]) -> CommandOutput {
        let (name, rest) = args.split_first().unwrap();
        self.aws.groundcrew(self.dir.path(), &[&[*name, "--config", "crew.toml"], rest].concat())
    }

    fn status(&self) -> Value {
        self.run(&["status", "--format", "json"]).json()
    }

    fn start(&self) -> Service {
        Service::start(&self.aws, self.dir.path())
    }

    /// The account operations so far.
    fn operations(&self) -> Vec<Value> {
        self.aws.inspect("operations").as_array().unwrap().clone()
    }

    fn ended(&self) -> usize {
        self.operations().iter().filter(|operation| !operation["end"].is_null()).count()
    }

    /// Each of these accounts was updated exactly once.
    fn assert_each_once(&self, number: usize) {
        let operations = self.operations();
        let mut updated = BTreeMap::new();
        for operation in &operations {
            *updated.entry(operation["account"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
        assert_eq!(updated.len(), number, "{operations:?}");
        assert!(updated.values().all(|times| *times == 1), "{updated:?}");
    }
}

/// A running `groundcrew run`.
struct Service {
    child: Child,
    http: String,
    log: std::thread::JoinHandle<Vec<Value>>,
}

impl Service {
    fn start(aws: &Server, dir: &Path) -> Self {
        let mut command = command(dir);
        aws.environment(&mut command)
            .args(["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self::of(&mut command)
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            let json =
                |line: String| strict_json(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            lines.map(json).collect()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let http = line.split("http://").nth(1).map(|rest| rest.split('/').next().unwrap());
        Self { child, http: http.unwrap_or_default().to_owned(), log }
    }

    /// Status code and body.
    fn get(&self, path: &str) -> (u16, String) {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.http).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it by SIGTERM, and returns its log.
    fn stop(mut self) -> Vec<Value> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        self.log.join().unwrap()
    }
}

/// An update of a killed host is not in flight any more once AWS has ended it.
#[test]
fn status_knows_what_has_ended() {
    let fixture = Fixture::of(vec![account(1, 3)], "");
    let service = fixture.start();
    eventually("its record runs", || fixture.status()["in_flight"][0]["state"] == "running");
    service.kill();
    for (fares, expected) in
        [("denied", "DescribeRecord: AccessDenied"), ("hung", "Service Catalog has not answered")]
    {
        let call = json!({ "operation": "DescribeRecord", "fares": fares });
        fixture.aws.control("next-call", &call.to_string());
        let status = fixture.status();
        assert_eq!(status["in_flight"][0]["state"], "unknown", "{status}");
        let error = status["in_flight"][0]["error"].as_str().unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
    eventually("it has ended", || fixture.ended() == 1);
    let status = fixture.status();
    assert_eq!(status["in_flight"][0]["state"], "succeeded", "{status}");
    assert_eq!(status["lanes"][0]["in_flight"], 0, "{status}");
    let text = fixture.run(&["status"]).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("has succeeded, no host has noticed it yet"), "{text}");
}

#[test]
fn a_fleet_is_updated_and_can_be_watched() {
    let fixture = Fixture::of(accounts(6), "");
    let service = fixture.start();
    eventually("six updates", || fixture.ended() == 6);
    eventually("they are settled", || fixture.status()["in_flight"] == json!([]));
    fixture.assert_each_once(6);
    assert_eq!(service.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(service.get("/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(service.get("/").0, 404);
    let (code, metrics) = service.get("/metrics");
    assert_eq!(code, 200);
    for line in [
        r#"groundcrew_updates_ended_total{lane="all",outcome="succeeded"} 6"#,
        r#"groundcrew_updates_ended_total{lane="all",outcome="given_up"} 0"#,
        r#"groundcrew_updates_started_total{lane="all"} 6"#,
        r#"groundcrew_updates_in_flight{lane="all"} 0"#,
        r#"groundcrew_lane_paused{lane="all"} 0"#,
        "groundcrew_accounts 6",
        "groundcrew_alerts_total 0",
        r#"groundcrew_aws_calls_total{operation="UpdateProvisionedProduct"} 6"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    let status = fixture.status();
    assert_eq!(status["lanes"][0]["failed"], 0);
    assert_eq!(status["waits_for"], Value::Null);
    assert!(fixture.dir.path().join("groundcrew.db.sock").exists());
    let log = service.stop();
    assert!(!fixture.dir.path().join("groundcrew.db.sock").exists());
    // The alarm about missing sweeps counts these; the filters of the stacks define them.
    for stack in ["lambda", "fargate"] {
        let template = root().join(format!("deploy/cloudformation/{stack}.yaml"));
        let template = std::fs::read_to_string(template).unwrap();
        let (_, rest) = template.split_once("FilterPattern: '{ $.fields.event = \"").unwrap();
        let (event, _) = rest.split_once('"').unwrap();
        let swept = log.iter().find(|line| line["fields"]["event"] == event).unwrap();
        assert_eq!(swept["fields"]["accounts"], 6, "{stack}");
    }
    // A line for each decision: by the sweep, and again before the start.
    let decisions: BTreeSet<&str> = log
        .iter()
        .filter(|line| line["fields"]["message"] == "decision")
        .map(|line| {
            assert_eq!(line["fields"]["verdict"], "proceed");
            assert_eq!(line["fields"]["policy"], "default");
            line["fields"]["account"].as_str().unwrap()
        })
        .collect();
    assert_eq!(decisions.len(), 6);
    assert_eq!(fixture.aws.inspect("alerts"), json!([]));
}

/// At any point of its work.
#[test]
fn killed_again_and_again_it_loses_and_repeats_nothing() {
    let fixture = Fixture::of((1..=8).map(|number| account(number, 4)).collect(), "");
    // Messages that a killed host received are hidden for this long.
    fixture.aws.call(
        "AmazonSQS.SetQueueAttributes",
        &json!({ "QueueUrl": fixture.aws.queue("updates.fifo"),
                 "Attributes": { "VisibilityTimeout": "3" } }),
    );
    let mut kills = 0;
    while fixture.ended() < 8 && kills < 20 {
        let service = fixture.start();
        // A bit later each time: the number of AWS calls measures the progress.
        let calls = || -> u64 {
            let calls = fixture.aws.inspect("calls");
            calls.as_object().unwrap().values().filter_map(Value::as_u64).sum()
        };
        let enough = calls() + 7 * (kills + 1);
        eventually("it works", || calls() > enough || fixture.ended() == 8);
        service.kill();
        kills += 1;
    }
    assert!(kills > 4, "all was done after {kills} kills");
    let service = fixture.start();
    eventually("eight updates", || fixture.ended() == 8);
    eventually("they are settled", || fixture.status()["in_flight"] == json!([]));
    service.stop();
    fixture.assert_each_once(8);
    assert_eq!(fixture.aws.inspect("alerts"), json!([]));
}

/// A second host on one file is refused; on a table both share one limit.
#[test]
fn two_hosts_share_a_table_and_not_a_file() {
    let fixture = Fixture::of(accounts(2), "");
    let service = fixture.start();
    let second = fixture.run(&["run", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another groundcrew has it open"), "{}", second.stderr);
    service.stop();

    let fixture = Fixture::of(accounts(12), "[ledger]\ntable = \"groundcrew\"\n");
    let hosts = [fixture.start(), fixture.start()];
    eventually("twelve updates", || fixture.ended() == 12);
    eventually("they are settled", || fixture.status()["in_flight"] == json!([]));
    fixture.assert_each_once(12);
    let moments = |key: &str| -> Vec<String> {
        let operations = fixture.operations();
        operations.iter().map(|operation| operation[key].as_str().unwrap().to_owned()).collect()
    };
    let (starts, ends) = (moments("start"), moments("end"));
    for (index, start) in starts.iter().enumerate() {
        let running = (0..starts.len())
            .filter(|other| *other != index && starts[*other] <= *start && ends[*other] > *start);
        assert!(running.count() < 2, "over the cap at {start}: {starts:?} {ends:?}");
    }
    for host in hosts {
        host.stop();
    }
}

#[rstest]
#[case::through_the_service(true)]
#[case::without_one(false)]
fn lanes_are_paused_and_resumed(#[case] running: bool) {
    let fixture = Fixture::of(accounts(3), "[[lanes]]\nname = \"only\"\n");
    let paused = fixture.run(&["pause", "only"]);
    assert_eq!((paused.code, paused.stderr.as_str()), (0, ""));
    assert!(paused.stdout.starts_with("only: paused; what runs is tracked"), "{}", paused.stdout);
    assert!(paused.stdout.contains("no host runs on this ledger now"), "{}", paused.stdout);
    let again = fixture.run(&["pause"]);
    assert!(again.stdout.starts_with("only: paused already since"), "{}", again.stdout);
    let unknown = fixture.run(&["resume", "onyl"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("`onyl` is not one of the lanes: only"), "{}", unknown.stderr);

    let service = fixture.start();
    eventually("a sweep", || fixture.status()["sweep"]["accounts"] == 3);
    let status = fixture.status();
    assert_eq!(status["lanes"][0]["waiting"], 3);
    assert_eq!(status["waits_for"], "lane `only`: `groundcrew resume only --config crew.toml`");
    assert_eq!(fixture.operations(), Vec::<Value>::new());
    let service = if running {
        Some(service)
    } else {
        service.stop();
        None
    };
    let resumed = fixture.run(&["resume"]);
    assert!(resumed.stdout.starts_with("only: resumed; it was paused: paused by"));
    let who = if running { "the running host applies it" } else { "no host runs" };
    assert!(resumed.stdout.contains(who), "{}", resumed.stdout);
    let service = service.unwrap_or_else(|| fixture.start());
    eventually("three updates", || fixture.ended() == 3);
    service.stop();
    fixture.assert_each_once(3);
}

#[test]
fn what_was_given_up_is_shown_and_redriven() {
    const ERROR: &str =
        "The parent organizational unit 'Workloads' is not enrolled in AWS Control Tower.";
    let mut accounts = accounts(2);
    accounts[1]["update_failures"] = json!([ERROR]);
    let fixture = Fixture::of(accounts, "");
    let none = fixture.run(&["redrive", "--all"]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("no sweep is complete yet"), "{}", none.stderr);
    let service = fixture.start();
    eventually("one failure", || fixture.status()["failed"][0]["attempts"] == 1);
    let status = fixture.status();
    let failed = &status["failed"][0];
    assert_eq!(failed["account"], "000000000002");
    assert!(failed["reason"].as_str().unwrap().contains(ERROR), "{failed}");
    let alerts = fixture.aws.inspect("alerts");
    assert_eq!(alerts.as_array().unwrap().len(), 1, "{alerts}");
    assert!(alerts[0]["message"].as_str().unwrap().contains(ERROR), "{alerts}");
    let screen = fixture.run(&["status"]).stdout;
    assert!(screen.contains("failed      000000000002 in all after 1 attempt:"), "{screen}");

    let other = fixture.run(&["redrive", "--account", "000000000001"]);
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("not dead-lettered towards pa-"), "{}", other.stderr);
    let redriven = fixture.run(&["redrive", "--lane", "all"]);
    assert_eq!((redriven.code, redriven.stderr.as_str()), (0, ""), "{}", redriven.stdout);
    assert!(
        redriven
            .stdout
            .starts_with("000000000002: is updated again, in lane all\n1 account redriven")
    );
    assert!(redriven.stdout.ends_with("1 dead letter removed\n"), "{}", redriven.stdout);
    let audit = fixture.run(&["audit", "--format", "json"]).json();
    assert_eq!(audit["orders"][0]["accounts"], json!(["000000000002"]));
    assert_eq!(audit["orders"].as_array().unwrap().len(), 1, "{audit}");
    eventually("three updates", || fixture.ended() == 3);
    eventually("it is settled", || fixture.status()["in_flight"] == json!([]));
    assert_eq!(fixture.status()["failed"], json!([]));
    service.stop();
    let outcomes: Vec<Value> =
        fixture.operations().into_iter().map(|o| o["outcome"].clone()).collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == "succeeded").count(),
        2,
        "{outcomes:?}"
    );
}

#[test]
fn nothing_starts_before_it_is_approved() {
    let fixture = Fixture::of(accounts(2), "");
    let config = fixture.dir.path().join("crew.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[updates]", "[updates]\napproval = \"required\""))
        .unwrap();
    let early = fixture.run(&["approve", "plan-000000000000"]);
    assert_eq!(early.code, 2);
    assert!(early.stderr.contains("no plan waits for approval"), "{}", early.stderr);
    assert_eq!(fixture.run(&["approve", "plan-1"]).code, 2);

    let service = fixture.start();
    eventually("the alert", || fixture.aws.inspect("alerts") != json!([]));
    let alert = fixture.aws.inspect("alerts")[0].clone();
    let subject = alert["subject"].as_str().unwrap();
    let (plan, rest) = subject.split_once(' ').unwrap();
    assert_eq!(rest, "waits for approval: 2 accounts");
    assert!(alert["message"].as_str().unwrap().contains(&format!("groundcrew approve {plan}")));
    let status = fixture.status();
    assert_eq!(
        status["waits_for"],
        format!("approval: `groundcrew approve {plan} --config crew.toml`")
    );
    assert_eq!(fixture.operations(), Vec::<Value>::new());
    let wrong = fixture.run(&["approve", "plan-000000000000"]);
    assert!(wrong.stderr.contains(&format!("{plan} does")), "{}", wrong.stderr);
    let approved = fixture.run(&["approve", plan, "--yes"]);
    assert_eq!(approved.code, 0, "{}", approved.stderr);
    eventually("two updates", || fixture.ended() == 2);
    // Both runs together request the approval once.
    service.stop();
    let service = fixture.start();
    eventually("a sweep", || fixture.status()["sweep"]["current"] == 2);
    service.stop();
    assert_eq!(fixture.aws.inspect("alerts").as_array().unwrap().len(), 1);
    fixture.assert_each_once(2);
}

const ARN: &str = "arn:aws:sts::123456789012:assumed-role/groundcrew/session";

/// Runs this at a terminal and enters a line.
const AT_A_TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
os.write(terminal, sys.argv[1].encode() + b"\n")
while True:
    try:
        read = os.read(terminal, 4096)
    except OSError:
        break
    if not read:
        break
    sys.stdout.buffer.write(read)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// A plan is shown before it is approved, with its changes; the operator confirms, or passes the
/// option that skips the confirmation.
#[test]
fn an_approval_is_asked_for_and_signed() {
    let fixture = Fixture::of(accounts(2), "[[lanes]]\nname = \"only\"\n");
    let config = fixture.dir.path().join("crew.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[updates]", "[updates]\napproval = \"required\"");
    std::fs::write(&config, &text).unwrap();
    let approve = |plan: &str, option: &str| {
        let args = ["approve", "--config", "crew.toml", plan, option];
        let args = args.into_iter().filter(|arg| !arg.is_empty());
        let mut command = command(fixture.dir.path());
        run_command(fixture.aws.environment(&mut command).env("USER", "ada").args(args))
    };
    // Confirmed at a terminal.
    let answer = |plan: &str, line: &str| {
        let mut binary = command(fixture.dir.path());
        fixture.aws.environment(&mut binary);
        let mut python = Command::new("python3");
        python.current_dir(fixture.dir.path()).args(["-c", AT_A_TERMINAL, line]);
        python.arg(binary.get_program()).args(["approve", "--config", "crew.toml", plan]);
        for (name, value) in binary.get_envs() {
            match value {
                Some(value) => python.env(name, value),
                None => python.env_remove(name),
            };
        }
        run_command(python.env("USER", "ada"))
    };
    let alerts = || fixture.aws.inspect("alerts").as_array().unwrap().clone();
    let waiting = |alert: &Value| {
        let subject = alert["subject"].as_str().unwrap();
        subject.split_once(' ').unwrap().0.to_owned()
    };
    // So that an approval starts nothing.
    assert_eq!(fixture.run(&["pause"]).code, 0);
    let service = fixture.start();
    eventually("the alert", || alerts().len() == 1);
    let first = waiting(&alerts()[0]);

    let nobody = approve(&first, "");
    assert_eq!(nobody.code, 2, "{}", nobody.stdout);
    assert!(
        nobody.stdout.starts_with(&format!("plan        {first}, to pa-")),
        "{}",
        nobody.stdout
    );
    assert!(
        nobody.stdout.contains("\nlane  accounts  held\nonly         2     0\n"),
        "{}",
        nobody.stdout
    );
    assert!(nobody.stdout.contains("before      no plan that was approved"), "{}", nobody.stdout);
    assert!(nobody.stderr.contains("stdin is no terminal"), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("`--yes`"), "{}", nobody.stderr);
    let no = answer(&first, "");
    assert_eq!(no.code, 1, "{}", no.stdout);
    assert!(no.stdout.contains(&format!("Approve {first}? [y/N]")), "{}", no.stdout);
    assert!(no.stdout.contains(&format!("{first}: not approved")), "{}", no.stdout);
    assert_eq!(fixture.status()["plans"][0]["approved_by"], Value::Null);

    let yes = answer(&first, "yes");
    assert_eq!(yes.code, 0, "{}", yes.stdout);
    assert!(yes.stdout.contains(&format!("{first}: approved by {ARN} (ada@")), "{}", yes.stdout);
    let by = fixture.status()["plans"][0]["approved_by"].as_str().unwrap().to_owned();
    assert!(by.starts_with(&format!("{ARN} (ada@")), "{by}");
    let again = approve(&first, "--yes");
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.starts_with(&format!("{first}: approved already by {ARN} (ada@")));
    service.stop();

    // Another plan replaces it.
    let text = text.replace("name = \"only\"", "name = \"only\"\nconcurrency = 1");
    std::fs::write(&config, text).unwrap();
    let service = fixture.start();
    eventually("another alert", || alerts().len() == 2);
    let second = waiting(&alerts()[1]);
    let late = approve(&first, "--yes");
    assert_eq!((late.code, late.stdout.as_str()), (2, ""));
    let why = format!("superseded, by another version or other rules; {second} waits");
    assert!(late.stderr.contains(&why), "{}", late.stderr);
    let shown = approve(&second, "").stdout;
    assert!(
        shown.contains("lane  accounts  held  before\nonly         2     0       2\n"),
        "{shown}"
    );
    assert!(shown.contains(&format!("before      {first}, approved by\n")), "{shown}");
    let changed = "changed     lane only: concurrency 1, start_when drained, was concurrency 2,";
    assert!(shown.contains(changed), "{shown}");
    assert_eq!(approve(&second, "--yes").code, 0);
    assert_eq!(fixture.run(&["resume"]).code, 0);
    eventually("two updates", || fixture.ended() == 2);
    service.stop();
    fixture.assert_each_once(2);
}

/// The author, command and time: in `audit`, and in the log of the host that executed it.
#[test]
fn orders_are_in_the_trail_and_in_the_log() {
    let fixture = Fixture::of(accounts(1), "[[lanes]]\nname = \"only\"\n");
    let none = fixture.run(&["audit"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, "No order was given.\n"), "{}", none.stderr);
    // No host runs yet, and AWS can't be reached.
    let mut alone = command(fixture.dir.path());
    alone.env("USER", "ada").args(["pause", "--config", "crew.toml"]);
    assert_eq!(run_command(&mut alone).code, 0);
    let screen = fixture.run(&["audit"]).stdout;
    assert!(screen.contains(" UTC  pause only\n            by ada@"), "{screen}");
    assert!(screen.contains("; no host has applied it yet\n"), "{screen}");

    let service = fixture.start();
    eventually("a sweep", || fixture.status()["sweep"]["accounts"] == 1);
    for order in ["resume", "sweep"] {
        assert_eq!(fixture.run(&[order]).code, 0);
    }
    eventually("one update", || fixture.ended() == 1);
    let audit = || fixture.run(&["audit", "--format", "json"]).json();
    eventually("they are taken in", || audit()["orders"][2]["taken_in"] == true);
    let orders = audit()["orders"].clone();
    let words = |key: &str| -> Vec<String> {
        let orders = orders.as_array().unwrap().iter();
        orders.map(|order| order[key].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(words("order"), ["pause", "resume", "sweep"]);
    assert_eq!(words("lane"), ["only", "only", ""]);
    assert_eq!((&orders[0]["by"]["arn"], &orders[1]["by"]["arn"]), (&Value::Null, &json!(ARN)));
    let last = words("at").pop().unwrap();
    let since = fixture.run(&["audit", "--since", &last, "--format", "json"]).json();
    assert_eq!(since["orders"].as_array().unwrap().len(), 1, "{since}");

    let log = service.stop();
    let logged: Vec<&Value> = log
        .iter()
        .map(|line| &line["fields"])
        .filter(|fields| fields["message"] == "order")
        .collect();
    let whats: Vec<&str> = logged.iter().map(|fields| fields["what"].as_str().unwrap()).collect();
    assert_eq!(whats[0], "pause only");
    assert!(whats[1].starts_with("resume only, which was paused: paused by ada@"), "{whats:?}");
    assert_eq!((whats[2], whats.len()), ("sweep", 3));
    assert!(logged[2]["by"].as_str().unwrap().starts_with(ARN), "{logged:?}");
    assert_eq!(logged[2]["at"], last);
}

#[test]
fn a_sweep_is_made_when_it_is_asked_for_and_not_while_the_landing_zone_changes() {
    let fixture = Fixture::of(accounts(1), "");
    fixture.aws.control("state", r#"{"landing_zone": {"status": "PROCESSING"}}"#);
    let service = fixture.start();
    let calls = |operation: &str| fixture.aws.inspect("calls")[operation].as_u64().unwrap_or(0);
    eventually("it has looked", || calls("GetLandingZone") > 0);
    assert_eq!(fixture.run(&["sweep"]).code, 0);
    let (code, why) = service.get("/readyz");
    assert_eq!((code, why.as_str()), (503, "no sweep is complete yet; see the log\n"));
    assert_eq!(calls("SearchProvisionedProducts"), 0);
    service.stop();
    fixture.aws.control("state", r#"{"landing_zone": {"status": "ACTIVE"}}"#);
    let service = fixture.start();
    eventually("one update", || fixture.ended() == 1);
    eventually("a sweep confirms it", || fixture.status()["sweep"]["current"] == 1);
    let before = calls("SearchProvisionedProducts");
    let asked = fixture.run(&["sweep"]);
    assert!(asked.stdout.contains(
        "the running host applies it within 1 second, and sweeps no sooner than 00:00:01 after"
    ));
    eventually("another sweep", || calls("SearchProvisionedProducts") > before);
    let dry = fixture.run(&["sweep", "--dry-run"]);
    let expected = "accounts    1: 0 to update, 0 skipped, 0 held, 0 failed, 1 current\nNothing was changed.\n";
    assert!(dry.stdout.ends_with(expected), "{}{}", dry.stdout, dry.stderr);
    service.stop();
}

/// What only the ledger contains: dead-lettered and moved accounts.
#[test]
fn a_dry_sweep_knows_what_the_ledger_knows_and_writes_nothing() {
    let mut three = accounts(3);
    three[0]["update_failures"] = json!(["A stack named X already exists"]);
    let fixture = Fixture::of(three, "[[policies]]\nplugin = \"managed-tag\"\n");
    let dry = || fixture.run(&["sweep", "--dry-run"]).stdout;
    let before = dry();
    assert!(before.contains("3: 3 to update, 0 skipped, 0 held, 0 failed, 0 current"), "{before}");
    assert!(
        before.contains("  update    3 in lane all (says managed-tag): 000000000001,"),
        "{before}"
    );
    assert_eq!(fixture.status()["sweep"], Value::Null);
    let service = fixture.start();
    eventually("two updates", || fixture.status()["sweep"]["current"] == 2);
    service.stop();
    let after = dry();
    assert!(after.contains("3: 0 to update, 0 skipped, 0 held, 1 failed, 2 current"), "{after}");
    assert!(
        after.contains("  failed    000000000001; `groundcrew status --config crew.toml` says why"),
        "{after}"
    );
}

/// The stack of Lambda functions has none.
#[test]
fn a_dry_sweep_needs_no_events_queue() {
    let fixture = Fixture::of(accounts(1), "");
    let config = fixture.dir.path().join("crew.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text: Vec<_> = text.lines().filter(|line| !line.starts_with("events_url")).collect();
    std::fs::write(&config, text.join("\n")).unwrap();
    let dry = fixture.run(&["sweep", "--dry-run"]);
    assert!(dry.stdout.contains("1: 1 to update"), "{}{}", dry.stdout, dry.stderr);
}

/// An event becomes a message for each notifier, and the message becomes a case.
#[test]
fn an_account_that_lands_is_told_of_by_way_of_the_queue() {
    let fixture = Fixture::of(vec![], "[[notifiers]]\nname = \"ams\"\nplugin = \"ams-case\"\n");
    let config = fixture.dir.path().join("crew.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let url = fixture.aws.queue("notifications.fifo");
    let queues = format!("[queues]\nnotifications_url = \"{url}\"");
    std::fs::write(&config, text.replace("[queues]", &queues)).unwrap();
    let event = event("create-managed-account-succeeded");
    let service = fixture.start();
    fixture.aws.control("event", &event);
    fixture.aws.control("event", &event.replace("999cccaa", "000cccaa"));
    eventually("a case", || fixture.aws.inspect("cases").as_array().unwrap().len() == 1);
    eventually("both events", || {
        let (_, metrics) = service.get("/metrics");
        let told = |outcome: &str, times: u32| {
            let line = format!(
                "groundcrew_notifications_total{{notifier=\"ams\",outcome=\"{outcome}\"}} {times}"
            );
            metrics.lines().any(|found| found == line)
        };
        told("queued", 2) && told("told", 1)
    });
    let wrong = fixture.run(&["redrive", "--notifier", "asm"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("`asm` is not one of the notifiers: ams"), "{}", wrong.stderr);
    let none = fixture.run(&["redrive", "--notifier", "ams"]);
    assert_eq!(none.stdout, "0 notifications handed over again\n", "{}", none.stderr);
    let audit = fixture.run(&["audit", "--format", "json"]).json();
    assert_eq!(audit["orders"][0]["what"], "redrive notifications of ams");
    service.stop();
    assert_eq!(fixture.aws.inspect("cases").as_array().unwrap().len(), 1);
    assert_eq!(fixture.aws.inspect("alerts"), json!([]));
}

#[test]
fn a_config_without_queues_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    let ran = groundcrew(dir.path(), &["run", "--config", "crew.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("`updates_url` and `events_url`"), "{}", ran.stderr);
}

/// `status` and similar commands only read; only a host or an operator command creates a ledger.
#[test]
fn looking_makes_no_ledger() {
    let fixture = Fixture::of(accounts(1), "");
    let file = fixture.dir.path().join("groundcrew.db");
    for looking in [&["status"][..], &["audit"], &["sweep", "--dry-run"]] {
        let ran = fixture.run(looking);
        assert_eq!(ran.code, 0, "{looking:?}: {}{}", ran.stdout, ran.stderr);
        assert!(!file.exists(), "{looking:?} has made {}", file.display());
    }
    std::fs::write(&file, "").unwrap();
    assert_eq!(fixture.run(&["status"]).code, 0);
    assert_eq!(std::fs::read(&file).unwrap(), b"");
    let service = fixture.start();
    eventually("a sweep", || fixture.status()["sweep"]["accounts"] == 1);
    let log = service.stop();
    let told = |line: &Value| {
        line["fields"]["message"].as_str().is_some_and(|text| text.contains("started a new ledger"))
    };
    assert!(log.iter().any(told), "{log:?}");
    assert!(std::fs::metadata(&file).unwrap().len() > 0);
}
