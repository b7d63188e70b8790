//! `groundcrew handle` and the Lambda function, against the simulated AWS as a server.

mod common;

use std::path::Path;

use common::server::Server;
use common::{CommandOutput, event};
use rstest::rstest;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[ledger]
LEDGER
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
[notifiers.settings]
subject = "Onboard {{ account.name }} in {{ account.ou_path }}"
"#;

/// A directory with the config, with a ledger there.
fn prepare_dir(ledger: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), CONFIG.replace("LEDGER", ledger)).unwrap();
    dir
}

fn handle(aws: &Server, dir: &Path, event: &str) -> CommandOutput {
    std::fs::write(dir.join("event.json"), event).unwrap();
    aws.groundcrew(dir, &["handle", "--config", "crew.toml", "event.json"])
}

fn printed(ran: &CommandOutput) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr))
}

fn cases(aws: &Server) -> Vec<Value> {
    aws.inspect("cases").as_array().unwrap().clone()
}

#[rstest]
#[case::file("file = \"crew.db\"")]
#[case::table("table = \"groundcrew\"")]
fn one_case_for_an_account(#[case] ledger: &str) {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir(ledger);
    let created = event("create-managed-account-succeeded");
    let first = handle(&aws, dir.path(), &created).json();
    assert_eq!(first["event"], "CreateManagedAccount");
    assert_eq!(first["outcome"], "notified");
    assert_eq!(first["alerts"], json!([]));
    let told = &first["notifications"][0];
    assert_eq!((&told["notifier"], &told["outcome"]), (&json!("ams"), &json!("told")));
    assert_eq!(told["account"], "111122223333");

    let [case] = cases(&aws).try_into().unwrap();
    assert_eq!(case["id"], told["reference"]);
    assert_eq!(case["subject"], "Onboard LifeCycle1 in Custom");
    assert_eq!(case["service_code"], "service-ams-operations-service-request");
    assert_eq!(case["category_code"], "onboarding-or-offboarding");
    let body = case["body"].as_str().unwrap();
    assert!(body.ends_with("\n\nRef: groundcrew/onboard/111122223333/ams"), "{body}");

    for repeat in [
        created.clone(),
        created.replace("999cccaa", "000cccaa"),
        event("update-managed-account-succeeded"),
    ] {
        let again = handle(&aws, dir.path(), &repeat).json();
        assert_eq!(again["outcome"], "ignored");
        assert_eq!(again["notifications"][0]["outcome"], "already-told");
        assert_eq!(again["notifications"][0]["reference"], case["id"]);
    }
    assert_eq!(cases(&aws).len(), 1);
}

/// Without its ledger, the host still finds the case.
#[test]
fn a_lost_ledger_opens_no_second_case() {
    let aws = Server::sim_aws(0);
    let created = event("create-managed-account-succeeded");
    let told: Vec<Value> = (0..2)
        .map(|_| handle(&aws, prepare_dir("file = \"crew.db\"").path(), &created).json())
        .collect();
    assert_eq!(told[0]["notifications"], told[1]["notifications"]);
    assert_eq!(cases(&aws).len(), 1);
}

#[rstest]
#[case::failed("\"SUCCEEDED\"", "\"FAILED\"", 0, "ignored", "CreateManagedAccount has failed")]
#[case::no_account(
    "\"accountId\": \"111122223333\"",
    "\"accountId\": \"Not Available\"",
    1,
    "failed",
    "expected twelve digits"
)]
#[case::unknown("CreateManagedAccount", "EnableGuardrail", 0, "ignored", "reports no new account")]
#[case::cut("}", "", 1, "failed", "the event is not JSON")]
fn what_opens_no_case(
    #[case] text: &str,
    #[case] instead: &str,
    #[case] code: i32,
    #[case] outcome: &str,
    #[case] reason: &str,
) {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir("file = \"crew.db\"");
    let bad = event("create-managed-account-succeeded").replace(text, instead);
    let ran = handle(&aws, dir.path(), &bad);
    let report = printed(&ran);
    assert_eq!((ran.code, report["outcome"].as_str()), (code, Some(outcome)), "{report}");
    assert!(report["reason"].as_str().unwrap().contains(reason), "{report}");
    assert_eq!(ran.stderr.contains(reason), code == 1, "{}", ran.stderr);
    assert_eq!(cases(&aws).len(), 0);
    let alerts = aws.inspect("alerts");
    let alerts = alerts.as_array().unwrap();
    assert_eq!(alerts.len(), usize::from(code == 1), "{alerts:?}");
    assert_eq!(report["alerts"].as_array().unwrap().len(), alerts.len());
    for said in report["alerts"].as_array().unwrap() {
        assert_eq!(said["published"], true, "{report}");
    }
    for alert in alerts {
        let (subject, message) =
            (alert["subject"].as_str().unwrap(), alert["message"].as_str().unwrap());
        assert!(subject.len() < 100 && !subject.contains('\n'), "{subject}");
        assert!(message.contains(reason) && message.contains(bad.trim()), "{message}");
    }
}

/// Killed after CreateCase took effect, with its response lost: the next try finds the case.
#[test]
fn a_lost_reply_is_looked_for() {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir("file = \"crew.db\"");
    aws.control("next-call", r#"{"operation": "CreateCase", "fares": "reply-lost"}"#);
    let report = handle(&aws, dir.path(), &event("create-managed-account-succeeded")).json();
    assert_eq!(report["outcome"], "notified");
    assert_eq!(cases(&aws).len(), 1);
}

#[test]
fn with_a_queue_it_hands_over() {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir("file = \"crew.db\"");
    let config = std::fs::read_to_string(dir.path().join("crew.toml")).unwrap();
    let queue = format!("[queues]\nnotifications_url = \"{}\"\n", aws.queue("notifications.fifo"));
    std::fs::write(dir.path().join("crew.toml"), queue + &config).unwrap();
    let report = handle(&aws, dir.path(), &event("create-managed-account-succeeded")).json();
    assert_eq!(report["outcome"], "queued");
    assert_eq!(report["notifications"][0]["outcome"], "queued");
    assert_eq!(cases(&aws).len(), 0);
}

#[test]
fn a_second_host_on_the_ledger_file_is_refused() {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir("file = \"crew.db\"");
    let _held = groundcrew_ledger::FileLedger::open(dir.path().join("crew.db")).unwrap();
    let ran = handle(&aws, dir.path(), &event("create-managed-account-succeeded"));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("crew.db"), "{}", ran.stderr);
    assert_eq!(cases(&aws).len(), 0);
}

/// An alert without a topic is not reported as published.
#[test]
fn an_alert_without_a_topic_says_so() {
    let aws = Server::sim_aws(0);
    let dir = prepare_dir("file = \"crew.db\"");
    let file = dir.path().join("crew.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let without: String = config
        .lines()
        .filter(|line| !line.contains("alert") && !line.contains("topic_arn"))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_ne!(without, config);
    std::fs::write(&file, without).unwrap();
    let ran = handle(&aws, dir.path(), "}");
    let subject = "An event can't be understood";
    assert_eq!(printed(&ran)["alerts"], json!([{ "subject": subject, "published": false }]));
    assert_eq!(aws.inspect("alerts"), json!([]));
}

#[rstest]
#[case::no_config(&["handle", "--config", "missing.toml", "crew.toml"], "missing.toml: the config")]
#[case::no_event(&["handle", "--config", "crew.toml", "missing.json"], "missing.json: the event")]
#[case::no_argument(&["handle", "--config", "crew.toml"], "EVENT.json")]
fn wrong_usage_is_told_apart(#[case] args: &[&str], #[case] told: &str) {
    let dir = prepare_dir("file = \"crew.db\"");
    let ran = common::groundcrew(dir.path(), args);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

/// `check` finds wrong templates, so that they don't fail at the first event.
#[rstest]
#[case::undefined("{{ account.nmae }}", "account.nmae")]
#[case::syntax("{{ account.name", "subject")]
fn check_finds_what_is_wrong_with_templates(#[case] subject: &str, #[case] told: &str) {
    let dir = prepare_dir("file = \"crew.db\"");
    let config = CONFIG
        .replace("LEDGER", "file = \"crew.db\"")
        .replace("Onboard {{ account.name }} in {{ account.ou_path }}", subject);
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let ran = common::groundcrew(dir.path(), &["check", "--config", "crew.toml"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(
        ran.stdout.starts_with("crew.toml:11: notifier `ams`, setting `subject`"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
}
