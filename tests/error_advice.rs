//! A command that fails ends with what to do.

mod common;

use common::{command, run_command};
use rstest::rstest;

const QUEUES: &str = r#"
[queues]
updates_url = "http://127.0.0.1:9/123456789012/groundcrew-updates.fifo"
events_url = "http://127.0.0.1:9/123456789012/groundcrew-events"
"#;
const REST: &str = r#"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[notifiers]]
name = "ams"
plugin = "ams-case"
"#;

const DOCTOR: &str = "`groundcrew doctor`, with the same --config, shows what is in the way";

/// A folder with configs of queues and a table that no server listens for.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let notifications =
        "notifications_url = \"http://127.0.0.1:9/123456789012/groundcrew-notifications\"\n";
    write("file.toml", &format!("{QUEUES}{notifications}{REST}"));
    write("table.toml", &format!("[ledger]\ntable = \"crew\"\n{QUEUES}{notifications}{REST}"));
    write("alone.toml", &format!("{QUEUES}{REST}"));
    write("wrong.toml", "[updates]\nwaits = 1\n");
    write("broken.json", "{");
    write("event.json", r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#);
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    dir
}

#[rstest]
#[case::the_table("status --config table.toml", DOCTOR)]
#[case::an_order("pause --config table.toml", DOCTOR)]
#[case::a_sweep("sweep --config table.toml", DOCTOR)]
#[case::a_dry_sweep("sweep --dry-run --config table.toml", DOCTOR)]
#[case::the_trail("audit --config table.toml", DOCTOR)]
#[case::an_approval("approve plan-010203040506 --config table.toml", DOCTOR)]
#[case::a_redrive("redrive --all --config table.toml", DOCTOR)]
#[case::a_queue("redrive --notifier ams --config file.toml", DOCTOR)]
#[case::an_organization("snapshot --config file.toml --out snapshot.json", DOCTOR)]
#[case::a_plan("plan --config file.toml", DOCTOR)]
#[case::no_such_lane("resume canary --config file.toml", "is not one of the lanes: all")]
#[case::no_such_notifier(
    "redrive --notifier billing --config file.toml",
    "one of the notifiers: ams"
)]
#[case::no_notifications_queue(
    "redrive --notifier ams --config alone.toml",
    "retry a failed notification by `groundcrew notify`, with the event of its alert"
)]
#[case::no_sweep(
    "redrive --all --config file.toml",
    "run `groundcrew status` once a host has swept"
)]
#[case::no_such_plan(
    "approve plan-010203040506 --config file.toml",
    "`groundcrew status` shows those there were"
)]
#[case::no_config("status --config none.toml", "check its path and its rights")]
#[case::a_folder_as_config("run --config folder", "check its path and its rights")]
#[case::no_address("run --config file.toml --listen 192.0.2.1:80", "try another --listen")]
#[case::a_wrong_config("check --config wrong.toml", "fix the config, and run this again")]
#[case::a_wrong_config_for_doctor(
    "doctor --config wrong.toml",
    "fix the config, and run this again"
)]
#[case::what_doctor_finds("doctor --config file.toml", "do what is said there, and run this again")]
#[case::no_snapshot(
    "plan --config file.toml --snapshot none.json",
    "check its path and its rights"
)]
#[case::a_broken_snapshot(
    "simulate --snapshot broken.json",
    r#"expected {"accounts":[{"id":"111122223333","name":"Prod"}]}"#
)]
#[case::no_event_to_tell(
    "notify --config file.toml --notifier ams --event broken.json",
    "name a file with an EventBridge event"
)]
#[case::no_event("handle --config file.toml none.json", "check its path and its rights")]
#[case::no_cases("policy test folder", "they are in files named like `rings.cases.toml`")]
#[case::no_file_of_cases("policy test none", "such as rings.cases.toml, or a folder with some")]
#[case::no_place_for_a_config("init --out nowhere/crew.toml", "name another file with --out")]
#[case::a_config_that_is_there("init --out wrong.toml", "or overwrite it with --force")]
#[case::no_place_for_a_snapshot(
    "snapshot --config file.toml --out nowhere/snapshot.json",
    "name another file with --out"
)]
#[case::no_place_for_a_state("sim-aws --state nowhere/state", "name another file with --state")]
#[case::no_address_to_simulate_on("sim-aws --listen 192.0.2.1:80", "try another port")]
#[case::nobody_is_well(
    "health --address 127.0.0.1:9",
    "is `groundcrew run` running with that --listen?"
)]
fn a_failure_ends_in_what_to_do(#[case] line: &str, #[case] expected: &str) {
    let dir = folder();
    let mut command = command(dir.path());
    command
        .args(line.split(' '))
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_ACCESS_KEY_ID", "nobody")
        .env("AWS_SECRET_ACCESS_KEY", "nobody");
    let ran = run_command(&mut command);
    assert!(ran.code == 1 || ran.code == 2, "{}: {}", ran.code, ran.stderr);
    let last = ran.stderr.trim_end();
    assert!(last.ends_with(expected), "{last}");
}
