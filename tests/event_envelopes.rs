//! Events in the forms that organizations have: through SNS and SQS, in files of Windows, in
//! batches; with `groundcrew handle`, `notify` and `simulate`.

mod common;

use std::path::Path;

use common::server::Server;
use common::{CommandOutput, event, groundcrew};
use rstest::rstest;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
"#;

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

fn marked(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").into_bytes()
}

fn sns(message: &str) -> Value {
    json!({ "Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": message })
}

fn sqs(body: &str) -> Value {
    json!({ "messageId": "1", "receiptHandle": "r", "body": body, "attributes": {},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:events" })
}

fn created() -> String {
    event("create-managed-account-succeeded")
}

fn another() -> String {
    created().replace("111122223333", "444455556666")
}

/// A file of a user, and the config beside it, written as this system writes it.
fn prepare_dir(config: &[u8], file: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    std::fs::write(dir.path().join("event.json"), file).unwrap();
    dir
}

fn handle(aws: &Server, dir: &Path) -> CommandOutput {
    aws.groundcrew(dir, &["handle", "--config", "crew.toml", "event.json"])
}

/// The handled events, and how many cases they open.
#[rstest]
#[case::bare(created().into_bytes(), 1)]
#[case::byte_order_mark(marked(&created()), 1)]
#[case::power_shell(utf16(&created()), 1)]
#[case::sns(sns(&created()).to_string().into_bytes(), 1)]
#[case::sns_in_sqs(
    json!({ "Records": [sqs(&sns(&created()).to_string())] }).to_string().into_bytes(),
    1
)]
#[case::batch(
    json!({ "Records": [sqs(&created()), sqs(&sns(&another()).to_string())] })
        .to_string()
        .into_bytes(),
    2
)]
#[case::baseline(event("enable-baseline-of-an-ou").into_bytes(), 0)]
#[case::call(event("call-of-create-managed-account").into_bytes(), 0)]
fn events_are_handled_however_they_are_sent(#[case] file: Vec<u8>, #[case] cases: usize) {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir(&utf16(CONFIG), &file);
    let ran = handle(&aws, dir.path());
    let printed = ran.json();
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), cases, "{printed}");
    assert_eq!(printed.is_array(), cases == 2, "{printed}");
    assert_eq!(aws.inspect("alerts"), json!([]));
    // Handles all of it again.
    handle(&aws, dir.path()).json();
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), cases);
}

/// A wrong event among several doesn't prevent handling the others.
#[test]
fn of_a_batch_none_is_lost() {
    let aws = Server::sim_aws(0);
    let broken = created().replace("111122223333", "Not Available");
    let batch = json!({ "Records": [sqs(&broken), sqs(&another())] });
    let dir = prepare_dir(CONFIG.as_bytes(), batch.to_string().as_bytes());
    let ran = handle(&aws, dir.path());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&printed[0]["outcome"], &printed[1]["outcome"]),
        (&json!("failed"), &json!("notified"))
    );
    assert!(ran.stderr.contains("expected twelve digits"), "{}", ran.stderr);
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 1);
    assert_eq!(aws.inspect("alerts").as_array().unwrap().len(), 1);
}

/// A document that is not an event is reported, with how to get one.
#[rstest]
#[case::cloud_trail(
    serde_json::from_str::<Value>(&created()).unwrap()["detail"].to_string().into_bytes(),
    1,
    "this is a CloudTrail record; groundcrew expects the EventBridge event around it"
)]
#[case::records_of_cloud_trail(
    json!({ "Records": [serde_json::from_str::<Value>(&created()).unwrap()["detail"]] })
        .to_string()
        .into_bytes(),
    1,
    "this is a CloudTrail record; groundcrew expects the EventBridge event around it"
)]
#[case::latin1(b"{\"source\": \"m\xfcller\"}".to_vec(), 2, "it is not UTF-8 text (byte 13)")]
#[case::unmarked(utf16(&created())[2..].to_vec(), 2, "it looks like UTF-16 without a byte order mark")]
fn what_is_no_event_is_named(#[case] file: Vec<u8>, #[case] code: i32, #[case] said: &str) {
    let aws = Server::sim_aws(0);
    let ran = handle(&aws, prepare_dir(CONFIG.as_bytes(), &file).path());
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(aws.inspect("cases"), json!([]));
}

#[rstest]
#[case::routed_nowhere("enable-baseline-of-an-ou", "no-route", "no route takes it")]
#[case::call("call-of-create-managed-account", "api-call", "recorded by CloudTrail")]
fn what_is_ignored_names_its_rule(#[case] name: &str, #[case] rule: &str, #[case] reason: &str) {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir(CONFIG.as_bytes(), event(name).as_bytes());
    let report = handle(&aws, dir.path()).json();
    assert_eq!((&report["outcome"], &report["rule"]), (&json!("ignored"), &json!(rule)));
    assert!(report["reason"].as_str().unwrap().contains(reason), "{report}");

    let simulate =
        ["simulate", "--config", "crew.toml", "--accounts", "1", "--event", "event.json"];
    let text = groundcrew(dir.path(), &simulate).stdout;
    // The release of the simulated version is ignored as well.
    let said = |what: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").contains(what);
    let about = format!("1 {} {rule} ", report["event"].as_str().unwrap());
    assert!(said("ignored ") && said(&about), "{text}");
    let json = groundcrew(dir.path(), &[&simulate[..], &["--format", "json"]].concat()).json();
    let events = json["events"].as_array().unwrap();
    let of_rule = events.iter().filter(|one| one["event"] == report["event"]);
    let rules: Vec<_> = of_rule.map(|one| (&one["rule"], &one["times"])).collect();
    assert_eq!(rules, [(&json!(rule), &json!(1))], "{json}");
}

#[test]
fn one_that_was_told_names_the_rule_of_its_route() {
    let aws = Server::sim_aws(0);
    let each = format!(
        "{CONFIG}[[routes]]\nevents = [\"UpdateManagedAccount\"]\nonce_per = \"event\"\n\
         notifiers = [\"ams\"]\n"
    );
    let updated = event("update-managed-account-succeeded");
    let again = updated.replace("999cccaa", "000cccaa");
    let dir = prepare_dir(each.as_bytes(), updated.as_bytes());
    assert_eq!(handle(&aws, dir.path()).json()["outcome"], "notified");
    for (text, rule, cases) in [
        (&again, json!("once-per-event"), 1),
        (&created(), Value::Null, 2),
        (&created(), json!("once-per-account"), 2),
    ] {
        std::fs::write(dir.path().join("event.json"), text).unwrap();
        let report = handle(&aws, dir.path()).json();
        assert_eq!(report["rule"], rule, "{report}");
        assert_eq!(report["notifications"][0]["rule"], rule, "{report}");
        assert_eq!(aws.inspect("cases").as_array().unwrap().len(), cases);
    }
}

/// `notify` and `simulate` accept the same files.
#[test]
fn other_commands_take_envelopes_too() {
    let batch = json!({ "Records": [sqs(&created()), sqs(&sns(&another()).to_string())] });
    let dir = prepare_dir(&marked(CONFIG), &utf16(&batch.to_string()));
    let notify = [
        "notify",
        "--config",
        "crew.toml",
        "--event",
        "event.json",
        "--notifier",
        "ams",
        "--dry-run",
    ];
    let aws = Server::sim_aws(0);
    let shown = aws.groundcrew(dir.path(), &notify).stdout;
    for account in ["111122223333", "444455556666"] {
        let about = format!("would send for account {account}; nothing was sent");
        assert_eq!(shown.matches(&about).count(), 1, "{shown}");
    }
    let simulate = [
        "simulate",
        "--config",
        "crew.toml",
        "--accounts",
        "0",
        "--event",
        "event.json",
        "--format",
        "json",
    ];
    let report = groundcrew(dir.path(), &simulate).json();
    let told = report["notifications"].as_array().unwrap();
    assert_eq!(told.iter().filter(|one| one["outcome"] == "told").count(), 2, "{report}");
}

/// Snapshots and test cases of policies may be written on Windows as well.
#[test]
fn other_files_may_be_utf16_too() {
    let snapshot = r#"{"accounts": [{"id": "111122223333", "name": "one", "enrolled": false}]}"#;
    let dir = prepare_dir(CONFIG.as_bytes(), &utf16(snapshot));
    let plan = ["plan", "--config", "crew.toml", "--snapshot", "event.json"];
    let text = groundcrew(dir.path(), &plan).stdout;
    assert!(text.contains("1 without a product"), "{text}");
    assert!(text.contains("can't update"), "{text}");
    assert!(text.contains("111122223333"), "{text}");
    let json = groundcrew(dir.path(), &[&plan[..], &["--format", "json"]].concat()).json();
    let explain = ["explain", "--config", "crew.toml", "--snapshot", "event.json", "--account"];
    let text = groundcrew(dir.path(), &[&explain[..], &["111122223333"]].concat()).stdout;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("no provisioned product, so that Account Factory can't update it"),
        "{text}"
    );
    assert_eq!(json["without_product"], json!([{ "account": "111122223333", "name": "one" }]));
}
