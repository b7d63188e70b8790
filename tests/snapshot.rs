//! `groundcrew snapshot`, against the simulated AWS as a server.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::server::Server;
use common::{CommandOutput, command, groundcrew};
use groundcrew_core::snapshot::{Snapshot, SnapshotAccount};
use groundcrew_sim::random_fleet;
use rstest::rstest;
use serde_json::{Value, json};

/// A directory with an empty config, which is valid.
fn prepare_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    dir
}

/// An organization with a bit of everything.
fn organization(accounts: usize) -> Snapshot {
    let mut snapshot = random_fleet(accounts, 50, 1);
    for (number, account) in snapshot.accounts.iter_mut().enumerate() {
        account.outdated = number % 3 != 0;
        account.enrolled = number % 10 != 4;
    }
    snapshot
}

/// A simulated AWS with this organization.
fn aws(dir: &Path, organization: &Snapshot) -> Server {
    let path = dir.join("organization.json");
    std::fs::write(&path, organization.to_json().unwrap()).unwrap();
    Server::sim_aws_with(&["--snapshot", path.to_str().unwrap()])
}

fn take(aws: &Server, dir: &Path) -> CommandOutput {
    aws.groundcrew(dir, &["snapshot", "--config", "crew.toml"])
}

fn written(dir: &Path) -> Snapshot {
    let text = std::fs::read_to_string(dir.join("snapshot.json")).unwrap();
    Snapshot::parse(&text).unwrap()
}

fn calls(aws: &Server, operation: &str) -> u64 {
    aws.inspect("calls")[operation].as_u64().unwrap_or(0)
}

/// The snapshot matches the organization, except for what AWS doesn't return.
fn assert_same(read: &Snapshot, truth: &Snapshot) {
    assert_eq!(read.accounts.len(), truth.accounts.len());
    for (read, truth) in read.accounts.iter().zip(&truth.accounts) {
        assert_eq!(read.product.is_some(), truth.enrolled);
        let known = SnapshotAccount {
            product: None,
            artifact: None,
            tags_error: None,
            update_seconds: truth.update_seconds,
            ..read.clone()
        };
        let outdated = truth.outdated && truth.enrolled;
        assert_eq!(known, SnapshotAccount { outdated, ..truth.clone() });
    }
}

#[test]
fn a_live_organization_is_rehearsed_on() {
    let dir = prepare_dir();
    let truth = organization(250);
    let aws = aws(dir.path(), &truth);
    let ran = take(&aws, dir.path());
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    for part in [
        "250 accounts in snapshot.json",
        "checked against 20 accounts",
        "225: 76 current, 149 outdated",
    ] {
        assert!(ran.stderr.contains(part), "no `{part}` in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains('\u{1b}'), "colour: {}", ran.stderr);
    for line in ran.stderr.lines() {
        assert!(line.chars().count() <= 80, "over 80 columns: {line}");
    }
    let snapshot = written(dir.path());
    assert_same(&snapshot, &truth);
    assert!(snapshot.taken_at.is_some());
    let target = snapshot.target.unwrap();
    let current = snapshot.accounts.iter().find(|a| a.enrolled && !a.outdated).unwrap();
    assert_eq!(current.artifact.as_ref(), Some(&target.artifact));
    assert!(!dir.path().join("snapshot.json.partial").exists());

    let args = ["simulate", "--snapshot", "snapshot.json", "--format", "json"];
    let report = groundcrew(dir.path(), &args).json();
    let outdated = snapshot.accounts.iter().filter(|account| account.outdated).count();
    assert_eq!(
        report["accounts"],
        json!({ "total": 250, "current": 76, "updated": outdated, "skipped": 0, "to_update": 0, "not_enrolled": 25, "held": 0,
                "failed": 0, "closed": 0 })
    );
    assert_eq!(report["operations"]["started"], outdated);
}

#[test]
fn on_stdout_it_can_be_piped() {
    let dir = prepare_dir();
    let aws = aws(dir.path(), &organization(30));
    let ran = aws.groundcrew(dir.path(), &["snapshot", "--config", "crew.toml", "--out", "-"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(Snapshot::parse(&ran.stdout).unwrap().accounts.len(), 30);
    assert!(ran.stderr.contains("30 accounts on stdout"), "{}", ran.stderr);
    assert!(!dir.path().join("-.partial").exists());
}

#[test]
fn what_is_throttled_is_tried_again() {
    let dir = prepare_dir();
    let truth = organization(30);
    let aws = aws(dir.path(), &truth);
    for operation in ["DescribeProductAsAdmin", "GetResources", "SearchProvisionedProducts"] {
        let throttled = json!({ "operation": operation, "fares": "throttled" }).to_string();
        (0..2).for_each(|_| drop(aws.control("next-call", &throttled)));
    }
    let ran = take(&aws, dir.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_same(&written(dir.path()), &truth);
}

#[test]
fn without_the_tag_index_accounts_are_asked_one_by_one() {
    let dir = prepare_dir();
    let mut truth = organization(12);
    truth.accounts[3].tags = None;
    let aws = aws(dir.path(), &truth);
    aws.control("deny", r#"{"operation": "GetResources"}"#);
    let ran = take(&aws, dir.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["one by one: the tag index can't be read: GetResources: AccessDenied", "100%"] {
        assert!(told.contains(part), "no `{part}` in:\n{}", ran.stderr);
    }
    let id = &truth.accounts[3].id;
    assert!(
        told.contains(&format!("1 account; {id}: ListTagsForResource: AccessDenied")),
        "{told}"
    );
    let snapshot = written(dir.path());
    assert!(snapshot.accounts[3].tags_error.as_ref().unwrap().contains("AccessDenied"));
    assert_same(&snapshot, &truth);
}

#[test]
fn what_may_not_be_listed_is_told_and_what_was_read_is_kept() {
    let dir = prepare_dir();
    let aws = aws(dir.path(), &organization(30));
    aws.control("deny", r#"{"operation": "SearchProvisionedProducts"}"#);
    let ran = take(&aws, dir.path());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for part in ["SearchProvisionedProducts: AccessDenied", "docs/snapshot.md", ".json.partial"] {
        assert!(ran.stderr.contains(part), "no `{part}` in:\n{}", ran.stderr);
    }
    assert!(dir.path().join("snapshot.json.partial").exists());
    assert!(!dir.path().join("snapshot.json").exists());
}

/// Stopped half-way, by a signal or killed, it continues where it stopped.
#[rstest]
#[case::by_hand("INT", "stopped by SIGINT")]
#[case::by_the_system("TERM", "stopped by SIGTERM")]
#[case::by_force("KILL", "")]
fn an_interrupted_run_goes_on(#[case] signal: &str, #[case] told: &str) {
    const ACCOUNTS: u64 = 80;
    let dir = prepare_dir();
    let truth = organization(ACCOUNTS as usize);
    let aws = aws(dir.path(), &truth);
    aws.control("deny", r#"{"operation": "GetResources"}"#);
    let mut first = command(dir.path());
    let first = aws.environment(&mut first).args(["snapshot", "--config", "crew.toml"]);
    let first = first.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    eventually(|| calls(&aws, "ListTagsForResource") >= ACCOUNTS / 2);
    let code = end(first, signal, told);
    assert_eq!(code, if signal == "KILL" { None } else { Some(1) });
    assert!(!dir.path().join("snapshot.json").exists());
    let (listed, searched) =
        (calls(&aws, "ListAccounts"), calls(&aws, "SearchProvisionedProducts"));

    let ran = take(&aws, dir.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("Going on with snapshot.json.partial"), "{}", ran.stderr);
    assert_same(&written(dir.path()), &truth);
    assert!(!dir.path().join("snapshot.json.partial").exists());
    // Accounts are not listed again; only the tags of the last moments are read again.
    assert_eq!(calls(&aws, "ListAccounts"), listed);
    assert_eq!(calls(&aws, "SearchProvisionedProducts"), searched);
    let again = calls(&aws, "ListTagsForResource") - ACCOUNTS;
    assert!(again <= if signal == "KILL" { 30 } else { 8 }, "{again} asked again");
    assert_eq!(calls(&aws, "GetResources"), 1);
}

/// A partial snapshot of another organization is not used.
#[test]
fn what_another_organization_left_is_read_anew() {
    let dir = prepare_dir();
    let truth = organization(30);
    let aws = aws(dir.path(), &truth);
    let partial = dir.path().join("snapshot.json.partial");
    std::fs::write(&partial, "{}").unwrap();
    let ran = take(&aws, dir.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("can't be understood"), "{}", ran.stderr);
    assert_same(&written(dir.path()), &truth);
}

/// A partial snapshot only saves time: with anything in its place, the snapshot is taken.
#[rstest]
#[case::a_directory(|at: &Path| std::fs::create_dir(at).unwrap(), "it is a directory")]
#[case::a_named_pipe(|at: &Path| common::fifo(at), "it is a named pipe (FIFO)")]
#[case::no_text(|at: &Path| std::fs::write(at, [0xff]).unwrap(), "it is not UTF-8")]
#[case::three_gigabytes(
    |at: &Path| std::fs::File::create(at).unwrap().set_len(3 << 30).unwrap(),
    "it has more than 256 MiB"
)]
fn what_was_kept_can_not_be_used(#[case] make: fn(&Path), #[case] told: &str) {
    let dir = prepare_dir();
    let truth = organization(10);
    let aws = aws(dir.path(), &truth);
    make(&dir.path().join("snapshot.json.partial"));
    let ran = take(&aws, dir.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_same(&written(dir.path()), &truth);
}

#[rstest]
#[case::no_config(&["--config", "missing.toml"], 2, "missing.toml: the config")]
#[case::wrong_config(&["--config", "wrong.toml"], 2, "unknown key `regoin`")]
#[case::nowhere(&["--config", "crew.toml", "--out", "no/where.json"], 2, "no/where.json: can't be written")]
#[case::directory(&["--config", "crew.toml", "--out", "."], 2, ".: is a directory")]
#[case::other_product(&["--config", "other.toml"], 1, "set account_factory.product_name")]
fn what_cannot_be_used_is_told(#[case] args: &[&str], #[case] code: i32, #[case] told: &str) {
    let dir = prepare_dir();
    std::fs::write(dir.path().join("wrong.toml"), "[aws]\nregoin = \"us-east-1\"\n").unwrap();
    let other = "[account_factory]\nproduct_name = \"Another\"\n";
    std::fs::write(dir.path().join("other.toml"), other).unwrap();
    let aws = aws(dir.path(), &organization(3));
    let ran = aws.groundcrew(dir.path(), &[&["snapshot"], args].concat());
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!dir.path().join("snapshot.json").exists());
}

/// It is reported at once, since a retry can't help.
#[test]
fn without_credentials_nothing_is_tried() {
    let dir = prepare_dir();
    let begun = Instant::now();
    let ran = groundcrew(dir.path(), &["snapshot", "--config", "crew.toml"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let told = "DescribeProductAsAdmin: no AWS credentials were found: set AWS_PROFILE";
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// A policy that names the id of an OU gets the real one in a simulation, too.
#[test]
fn ids_of_units_survive_a_second_snapshot() {
    let (first, second) = (prepare_dir(), prepare_dir());
    let mut truth = organization(20);
    for account in &mut truth.accounts {
        account.ou = vec!["Workloads".into()];
        account.ou_ids = vec!["ou-abcd-l3zc8b3h".into()];
    }
    let ran = take(&aws(first.path(), &truth), first.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let taken = written(first.path());
    let ran = take(&aws(second.path(), &taken), second.path());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let of = |snapshot: &Snapshot| -> Value {
        json!(snapshot.accounts.iter().map(|a| (&a.ou_ids, a.joined, a.state)).collect::<Vec<_>>())
    };
    assert_eq!(of(&written(second.path())), of(&taken));
    assert_eq!(taken.accounts[0].ou_ids, ["ou-abcd-l3zc8b3h"]);
}

fn eventually(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never happened");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a signal, and returns the exit code.
fn end(child: Child, signal: &str, told: &str) -> Option<i32> {
    let kill = format!("-{signal}");
    let sent = Command::new("kill").args([&kill, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(told), "{stderr}");
    if signal != "KILL" {
        assert!(stderr.contains("the same command continues from there"), "{stderr}");
    }
    output.status.code()
}
