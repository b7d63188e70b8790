//! Notifications over HTTP, their routes, and that no secret is shown anywhere: the binary against
//! the simulated AWS, and a server on loopback as the recipient.

#![cfg(unix)]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};

use common::inbox::Inbox;
use common::server::Server;
use common::{CommandOutput, command, event, eventually, policy, root, run_command};
use serde_json::{Value, json};

const TOKEN: &str = "token-0d2c8d0f";
const KEY: &str = "signing-key-77f1";

/// A webhook to this server that is notified of landing zones that can't be updated, dead-lettered
/// accounts, and created accounts.
fn config(inbox: &Inbox, more: &str) -> String {
    format!(
        r#"
{more}
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[notifiers]]
name = "hook"
plugin = "webhook"
[notifiers.settings]
url = "http://{address}/hooks"
reference = "/id"
[notifiers.settings.body]
text = "{{{{ event.name }}}} {{{{ event.state }}}} {{{{ account.id }}}} {{{{ event.message }}}}"
[[notifiers.grants.http]]
url = "http://{address}/hooks"
methods = ["POST"]
allow_private = true
headers = {{ Authorization = {{ env = "HOOK_TOKEN", prefix = "Bearer " }} }}
sign = {{ env = "HOOK_KEY" }}
[[routes]]
events = ["UpdateLandingZone", "AccountUpdateFailed"]
states = ["FAILED"]
notifiers = ["hook"]
[[routes]]
pattern.source = ["aws.controltower"]
pattern.detail.eventName = ["CreateManagedAccount"]
notifiers = ["hook"]
"#,
        address = inbox.address
    )
}

/// Runs the binary with the secrets in its environment, and with all logs enabled.
fn run(aws: &Server, dir: &Path, args: &[&str]) -> CommandOutput {
    let mut command = command(dir);
    command.env("HOOK_TOKEN", TOKEN).env("HOOK_KEY", KEY).env("GROUNDCREW_LOG", "trace");
    run_command(aws.environment(&mut command).args(args))
}

fn handle(aws: &Server, dir: &Path, event: &str) -> CommandOutput {
    std::fs::write(dir.join("event.json"), event).unwrap();
    run(aws, dir, &["handle", "--config", "crew.toml", "event.json"])
}

fn text(received: &common::inbox::ReceivedRequest) -> String {
    let body: Value = serde_json::from_str(&received.body).unwrap();
    body["text"].as_str().unwrap().to_owned()
}

#[test]
fn any_event_goes_where_its_route_leads() {
    let (aws, inbox) = (Server::sim_aws(0), Inbox::open());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config(&inbox, "")).unwrap();
    let succeeded = event("update-landing-zone-succeeded");
    assert_eq!(handle(&aws, dir.path(), &succeeded).json()["outcome"], "ignored");

    let failed = succeeded.replace("SUCCEEDED", "FAILED");
    let told = handle(&aws, dir.path(), &failed).json();
    assert_eq!(told["outcome"], "notified", "{told}");
    assert_eq!(told["notifications"][0]["account"], Value::Null);
    assert_eq!(told["notifications"][0]["reference"], "17");
    // The same event with another id.
    let again = failed.replacen("\"id\": \"", "\"id\": \"0", 1);
    let again = handle(&aws, dir.path(), &again).json();
    assert_eq!(again["notifications"][0]["outcome"], "already-told");

    // The pattern matches failures too.
    for name in ["create-managed-account-succeeded", "create-managed-account-failed"] {
        assert_eq!(handle(&aws, dir.path(), &event(name)).json()["outcome"], "notified");
    }
    let received = inbox.received();
    assert_eq!(received.len(), 3, "{received:?}");
    assert!(text(&received[0]).starts_with("UpdateLandingZone FAILED  "), "{received:?}");
    assert!(text(&received[1]).starts_with("CreateManagedAccount SUCCEEDED 111122223333"));
    assert!(text(&received[2]).starts_with("CreateManagedAccount FAILED  AWS"), "{received:?}");
    assert_eq!(received[0].header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert!(received[0].header("x-groundcrew-signature").unwrap().contains(",v1="));
}

#[test]
fn notify_tells_one_notifier_once() {
    let (aws, inbox) = (Server::sim_aws(0), Inbox::open());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config(&inbox, "")).unwrap();
    // No route matches it.
    std::fs::write(dir.path().join("event.json"), event("update-landing-zone-succeeded")).unwrap();
    let notify = |more: &[&str]| {
        let args = ["notify", "--config", "crew.toml", "--event", "event.json"];
        run(&aws, dir.path(), &[&args, more].concat())
    };
    let shown = notify(&["--notifier", "hook", "--dry-run"]);
    assert_eq!((shown.code, inbox.received().len()), (0, 0), "{}", shown.stderr);
    for line in [
        "what `hook` would send for UpdateLandingZone; nothing was sent",
        &format!("POST http://{}/hooks", inbox.address),
        "Authorization: (the environment variable HOOK_TOKEN, added by the host)",
        "x-groundcrew-signature: (signed with the environment variable HOOK_KEY, by the host)",
        "→ taken to answer 201",
    ] {
        assert!(
            shown.stdout.lines().any(|shown| shown.eq_ignore_ascii_case(line)),
            "{line}: {}",
            shown.stdout
        );
    }
    assert!(shown.stdout.contains("UpdateLandingZone SUCCEEDED"), "{}", shown.stdout);

    assert_eq!(notify(&["--notifier", "hook"]).json()["outcome"], "notified");
    let again = notify(&["--notifier", "hook"]).json();
    assert_eq!(again["notifications"][0]["outcome"], "already-told", "{again}");
    assert_eq!(inbox.received().len(), 1);

    let unknown = notify(&["--notifier", "hok"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("no notifier is named `hok`: there is `hook`"));
}

/// Each of the notifiers of the shipped configs, for an account whose tags are known.
#[test]
fn notify_shows_what_the_shipped_configs_tell() {
    let aws = Server::sim_aws(1);
    let snapshot = groundcrew_snapshot(&aws);
    let account = snapshot["accounts"][0]["id"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("event.json");
    let created = event("create-managed-account-succeeded").replace("111122223333", account);
    std::fs::write(&file, created).unwrap();
    for (config, notifier, expected) in [
        (
            "notify-all",
            "cmdb",
            "POST https://acme.service-now.com/api/now/table/cmdb_ci_cloud_service_account",
        ),
        ("notify-all", "slack", "POST https://slack.com/api/chat.postMessage"),
        ("ams-onboarding", "ams", "AWS Support case: service-ams-operations-service-request"),
    ] {
        let shown = run(
            &aws,
            &root(),
            &[
                "notify",
                "--config",
                &policy(config),
                "--event",
                file.to_str().unwrap(),
                "--notifier",
                notifier,
                "--dry-run",
            ],
        );
        assert_eq!(shown.code, 0, "{notifier}: {}{}", shown.stdout, shown.stderr);
        assert!(shown.stdout.contains(expected), "{notifier}: {}", shown.stdout);
        assert!(shown.stdout.contains(account), "{notifier}: {}", shown.stdout);
    }
}

fn groundcrew_snapshot(aws: &Server) -> Value {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    let ran = run(aws, dir.path(), &["snapshot", "--config", "crew.toml", "--out", "-"]);
    ran.json()
}

/// The service, with its log in a file.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Service {
    fn start(aws: &Server, dir: &Path) -> Self {
        let mut command = command(dir);
        command.env("HOOK_TOKEN", TOKEN).env("HOOK_KEY", KEY).env("GROUNDCREW_LOG", "trace");
        let command = aws.environment(&mut command);
        command.args(["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"]);
        let log = |name: &str| Stdio::from(File::create(dir.join(name)).unwrap());
        Self(command.stdout(log("stdout")).stderr(log("stderr")).spawn().unwrap())
    }
}

fn queues(aws: &Server) -> String {
    format!(
        "[queues]\nupdates_url = \"{}\"\nevents_url = \"{}\"\nnotifications_url = \"{}\"\n",
        aws.queue("updates.fifo"),
        aws.queue("events"),
        aws.queue("notifications.fifo")
    )
}

/// All messages of a queue.
fn messages(aws: &Server, queue: &str) -> String {
    let received = aws.call(
        "AmazonSQS.ReceiveMessage",
        &json!({ "QueueUrl": aws.queue(queue), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0 }),
    );
    received.to_string()
}

/// A run in which deliveries fail for good: nothing that it writes contains a secret.
#[test]
fn secrets_show_nowhere() {
    let (aws, inbox) = (Server::sim_aws(0), Inbox::open());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config(&inbox, &queues(&aws))).unwrap();
    inbox.set_status("400 Bad Request");
    let service = Service::start(&aws, dir.path());
    aws.control("event", &event("create-managed-account-succeeded"));
    eventually("an alert", || !aws.inspect("alerts").as_array().unwrap().is_empty());
    let dead = "notifications-dead.fifo";
    eventually("a dead letter", || messages(&aws, dead).contains("hook"));
    drop(service);

    let received = inbox.received();
    assert!(!received.is_empty());
    assert_eq!(received[0].header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    let mut written = vec![
        ("alerts".to_owned(), aws.inspect("alerts").to_string().into_bytes()),
        (dead.to_owned(), messages(&aws, dead).into_bytes()),
    ];
    for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
        if let Ok(bytes) = std::fs::read(entry.path()) {
            written.push((entry.file_name().to_string_lossy().into_owned(), bytes));
        }
    }
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"groundcrew.db") && names.contains(&"stderr"), "{names:?}");
    for (name, bytes) in &written {
        for secret in [TOKEN, KEY] {
            let shows = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!shows, "{name} has a secret in it");
        }
    }
    // The log shows that it was tried.
    let log = &written.iter().find(|(name, _)| name == "stderr").unwrap().1;
    assert!(String::from_utf8_lossy(log).contains("400"));
}

/// The update engine's own event, through the queue.
#[test]
fn an_account_that_is_given_up_is_told_of() {
    let inbox = Inbox::open();
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("organization.json");
    let account = json!({ "id": "000000000001", "name": "a", "ou": ["Workloads"],
        "update_seconds": 1,
        "update_failures": ["The parent organizational unit 'Workloads' is not enrolled in AWS Control Tower."] });
    std::fs::write(&snapshot, json!({ "accounts": [account] }).to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    aws.control("release-artifact", "");
    let updates = "[updates]\npoll_interval = 1\nmax_attempts = 1\n";
    let config = config(&inbox, &format!("{updates}{}", queues(&aws)));
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let _service = Service::start(&aws, dir.path());
    eventually("somebody is told", || !inbox.received().is_empty());
    let told = text(&inbox.received()[0]);
    assert!(told.starts_with("AccountUpdateFailed FAILED 000000000001 "), "{told}");
    assert_eq!(aws.inspect("alerts").as_array().unwrap().len(), 1);
}
