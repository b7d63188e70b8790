//! A URL that is a secret, such as those of webhooks of Slack, Teams and Discord: it reaches the
//! other system, and nothing that groundcrew writes contains it. The binary against the simulated
//! AWS, and a server on loopback that repeats requests.

#![cfg(unix)]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use common::inbox::Inbox;
use common::server::Server;
use common::{command, event, eventually, groundcrew, policy, root, run_command};
use rstest::rstest;
use serde_json::json;

/// Secrets in the form of such systems. Reported ones are added here.
const SLACK: &str = "T012AB3C4/B056DE7F8/aBcDeFgHiJkLmNoPqRsTuVwX";
const DISCORD: &str = "1187654321098765432/Kx7-pQ_2vN8sLmR4tYbW9zHcJdFgEaUoI3xV6nB1";
const TEAMS: &str = "0a1b2c3d4e5f67890a1b2c3d4e5f6789/triggers/manual/paths/invoke\
    ?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=Zx-9_WvQ7rTb8kQ2mN";

/// A part of a secret that proves its presence: its last part, ignoring case.
fn telling_part(secret: &str) -> String {
    let last = secret.rsplit(['/', '=']).next().unwrap();
    last[..12].to_lowercase()
}

/// A webhook to the URL, whose secret is in the environment.
fn config(url: &str, more: &str) -> String {
    format!(
        r#"
{more}
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[notifiers]]
name = "hook"
plugin = "webhook"
[notifiers.settings]
url = "{url}"
body = {{ text = "{{{{ account.id }}}}" }}
[notifiers.limits]
http_timeout = "2s"
[[notifiers.grants.http]]
url = "{url}"
methods = ["POST"]
allow_private = true
secrets = {{ hook = {{ env = "HOOK_PATH" }} }}
"#
    )
}

/// Enables all logs, with the secret in the environment.
fn prepare<'c>(aws: &Server, command: &'c mut Command, secret: &str) -> &'c mut Command {
    aws.environment(command.env("HOOK_PATH", secret).env("GROUNDCREW_LOG", "trace"))
}

/// Everything that is written: by name, in lower case.
struct Written(Vec<(String, String)>);

impl Written {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.push((name.to_owned(), String::from_utf8_lossy(bytes).to_lowercase()));
    }

    /// Every file of a folder.
    fn add_files(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                self.add(&entry.file_name().to_string_lossy(), &bytes);
            }
        }
    }

    fn assert_without(&self, secret: &str) {
        let part = telling_part(secret);
        for (name, text) in &self.0 {
            if let Some(at) = text.find(&part) {
                let around: String = text[..at].chars().rev().take(200).collect();
                panic!(
                    "{name} has the secret, behind {}",
                    around.chars().rev().collect::<String>()
                );
            }
        }
    }
}

/// A service whose deliveries fail for good: its log, the alert, the dead letter and the ledger.
#[rstest]
#[case::slack("/services/$(hook)", SLACK, "400 Bad Request")]
#[case::discord("/api/webhooks/$(hook)", DISCORD, "404 Not Found")]
#[case::teams("/workflows/$(hook)", TEAMS, "302 Found")]
fn a_service_that_fails(#[case] path: &str, #[case] secret: &str, #[case] status: &str) {
    let (aws, inbox) = (Server::sim_aws(0), Inbox::open());
    let dir = tempfile::tempdir().unwrap();
    let (base, filled) = (format!("http://{}", inbox.address), path.replace("$(hook)", secret));
    let queues = format!(
        "[queues]\nupdates_url = \"{}\"\nevents_url = \"{}\"\nnotifications_url = \"{}\"\n",
        aws.queue("updates.fifo"),
        aws.queue("events"),
        aws.queue("notifications.fifo")
    );
    std::fs::write(dir.path().join("crew.toml"), config(&format!("{base}{path}"), &queues))
        .unwrap();
    inbox.set_status(&format!("{status}\r\nLocation: {base}{filled}"));
    inbox.echo_requests();
    let log = |name: &str| Stdio::from(File::create(dir.path().join(name)).unwrap());
    let mut service = command(dir.path());
    let service = prepare(&aws, &mut service, secret);
    let run = ["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"];
    let mut service =
        service.args(run).stdout(log("stdout")).stderr(log("stderr")).spawn().unwrap();
    aws.control("event", &event("create-managed-account-succeeded"));
    eventually("an alert", || !aws.inspect("alerts").as_array().unwrap().is_empty());
    let dead = "notifications-dead.fifo";
    let letters = || {
        let asked = json!({ "QueueUrl": aws.queue(dead), "MaxNumberOfMessages": 10,
            "VisibilityTimeout": 0 });
        aws.call("AmazonSQS.ReceiveMessage", &asked).to_string()
    };
    eventually("a dead letter", || letters().contains("hook"));
    service.kill().unwrap();
    service.wait().unwrap();

    let received = inbox.received();
    assert_eq!(received[0].line, format!("POST {filled}"));
    let user_agent = concat!("groundcrew/", env!("CARGO_PKG_VERSION"));
    assert_eq!(received[0].header("user-agent"), Some(user_agent));
    let mut written = Written(vec![]);
    written.add("alerts", aws.inspect("alerts").to_string().as_bytes());
    written.add("dead letters", letters().as_bytes());
    for (name, args) in [
        ("status", &["status", "--config", "crew.toml"][..]),
        ("status in JSON", &["status", "--config", "crew.toml", "--format", "json"]),
        ("doctor", &["doctor", "--config", "crew.toml"]),
        ("doctor in JSON", &["doctor", "--config", "crew.toml", "--format", "json"]),
        ("check", &["check", "--config", "crew.toml"]),
    ] {
        let ran = run_command(prepare(&aws, &mut command(dir.path()), secret).args(args));
        written.add(name, format!("{}{}", ran.stdout, ran.stderr).as_bytes());
    }
    written.add_files(dir.path());
    for name in ["groundcrew.db", "stderr"] {
        assert!(written.0.iter().any(|(written, _)| written == name), "no {name}");
    }
    // The written texts have the placeholder.
    for name in ["alerts", "stderr"] {
        let (_, text) = written.0.iter().find(|(written, _)| written == name).unwrap();
        assert!(text.contains(&path.to_lowercase()), "{name}: {text}");
    }
    written.assert_without(secret);
}

/// Commands that deliver, or show what would be delivered: their output, log, alert and ledger.
#[rstest]
#[case::a_success("200 OK", &["handle", "--config", "crew.toml", "event.json"], 0)]
#[case::a_place("201 Created", &["notify", "--config", "crew.toml", "--event", "event.json", "--notifier", "hook"], 0)]
#[case::a_failure("410 Gone", &["handle", "--config", "crew.toml", "event.json"], 1)]
#[case::a_failure_that_passes("503 Service Unavailable", &["notify", "--config", "crew.toml", "--event", "event.json", "--notifier", "hook"], 1)]
#[case::a_redirect("307 Temporary Redirect", &["handle", "--config", "crew.toml", "event.json"], 1)]
#[case::a_dry_run("200 OK", &["notify", "--config", "crew.toml", "--event", "event.json", "--notifier", "hook", "--dry-run"], 0)]
#[case::a_simulation("200 OK", &["simulate", "--config", "crew.toml", "--accounts", "2", "--event", "event.json"], 0)]
#[case::a_simulation_in_json("200 OK", &["simulate", "--config", "crew.toml", "--accounts", "2", "--event", "event.json", "--format", "json"], 0)]
fn a_command(#[case] status: &str, #[case] args: &[&str], #[case] code: i32) {
    let (aws, inbox) = (Server::sim_aws(0), Inbox::open());
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://{}/services/$(hook)", inbox.address);
    std::fs::write(dir.path().join("crew.toml"), config(&url, "")).unwrap();
    let created = event("create-managed-account-succeeded");
    std::fs::write(dir.path().join("event.json"), created).unwrap();
    inbox.set_status(&format!("{status}\r\nLocation: http://{}/services/{SLACK}/1", inbox.address));
    inbox.echo_requests();
    let ran = run_command(prepare(&aws, &mut command(dir.path()), SLACK).args(args));
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    let sends = !(args.contains(&"--dry-run") || args[0] == "simulate");
    assert_eq!(inbox.received().first().is_some_and(|one| one.line.ends_with(SLACK)), sends);
    let mut written = Written(vec![]);
    written.add("stdout", ran.stdout.as_bytes());
    written.add("stderr", ran.stderr.as_bytes());
    written.add("alerts", aws.inspect("alerts").to_string().as_bytes());
    written.add_files(dir.path());
    written.assert_without(SLACK);
    if status != "503 Service Unavailable" || code == 0 {
        let shown = written.0.iter().any(|(_, text)| text.contains("services/$(hook)"));
        assert!(shown, "{}{}", ran.stdout, ran.stderr);
    }
}

/// Faults that prevent sending a request: the secret is named, and not shown.
#[rstest]
#[case::a_whole_url("https://hooks.slack.com/services/T0/B0/hushhushhush")]
#[case::another_host("/evil.example/hushhushhush")]
#[case::up("../hushhushhush")]
#[case::a_space("hush hushhushhush")]
#[case::a_fragment("x#hushhushhush")]
fn a_secret_that_can_not_be_used(#[case] secret: &str) {
    let (aws, inbox) = (Server::sim_aws(0), Inbox::open());
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://{}/services/$(hook)", inbox.address);
    std::fs::write(dir.path().join("crew.toml"), config(&url, "")).unwrap();
    let created = event("create-managed-account-succeeded");
    std::fs::write(dir.path().join("event.json"), created).unwrap();
    let handle = ["handle", "--config", "crew.toml", "event.json"];
    let ran = run_command(prepare(&aws, &mut command(dir.path()), secret).args(handle));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let alerts = aws.inspect("alerts").to_string();
    let named = "the host says: the secret for `$(hook)` can't be had: ";
    assert!(
        alerts.contains(named) && alerts.contains("environment variable HOOK_PATH"),
        "{alerts}"
    );
    assert_eq!(inbox.received().len(), 0);
    let mut written = Written(vec![]);
    written.add("output", format!("{}{}{alerts}", ran.stdout, ran.stderr).as_bytes());
    written.add_files(dir.path());
    written.assert_without("hushhushhush");
}

/// `check` finds wrong configs, with their line.
#[rstest]
#[case::unknown(
    "secrets = { hook",
    "secrets = { hok",
    "14: `$(hook)` in `url` is the placeholder of no secret"
)]
#[case::not_used(
    "url = \"http://a/$(hook)\"\nmethods",
    "url = \"http://a/\"\nmethods",
    "17: the secret `hook` is used nowhere"
)]
#[case::in_the_settings(
    "url = \"http://a/$(hook)\"\nbody",
    "url = \"http://a/$(hoook)\"\nbody",
    "9: notifier `hook`, setting `url`: `$(hoook)` is the placeholder of no secret; did you mean `hook`?"
)]
fn wrong_configs(#[case] text: &str, #[case] instead: &str, #[case] told: &str) {
    let dir = tempfile::tempdir().unwrap();
    let config = config("http://a/$(hook)", "");
    assert!(config.contains(text), "{config}");
    std::fs::write(dir.path().join("crew.toml"), config.replace(text, instead)).unwrap();
    let ran = groundcrew(dir.path(), &["check", "--config", "crew.toml"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains(told), "{said}");
}

/// The example of the documentation works.
#[test]
fn the_documented_config() {
    let text = std::fs::read_to_string(root().join("docs/http.md")).unwrap();
    let example = text.split("```toml\n").find(|part| part.contains("hooks.slack.com")).unwrap();
    let example = example.split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), example).unwrap();
    let ran = groundcrew(dir.path(), &["check", "--config", "crew.toml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let shipped = groundcrew(&root(), &["check", "--config", &policy("notify-all")]);
    assert_eq!(shipped.code, 0, "{}", shipped.stderr);
}
