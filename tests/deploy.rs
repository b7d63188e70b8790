//! The CloudFormation templates: linted, deployed on an emulator and read back. And the roles are
//! compared with the calls of the code, in both directions.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use common::function::Function;
use common::server::Server;
use common::{command, event, eventually, root, run_command};
use rstest::rstest;
use serde_json::{Value, json};

fn python(args: &[&str]) -> String {
    let python = root().join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make interop`", python.display());
    let script = root().join("tests/deploy").join(args[0]);
    let ran = run_command(Command::new(python).arg(script).args(&args[1..]).current_dir(root()));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

#[rstest]
#[case::linted("lint.py")]
#[case::rules_refuse_what_cannot_be("rules.py")]
#[case::deployed_and_read_back("emulated.py")]
fn the_templates_are(#[case] script: &str) {
    python(&[script]);
}

/// The permissions of a role of the templates for groundcrew's own code: IAM's actions, and for
/// those of SQS the queue, as in `sqs:SendMessage ${UpdatesQueue.Arn}`.
fn allowed(role: &str) -> BTreeSet<String> {
    let strings = |value: &Value| {
        let strings = value.as_array().unwrap().iter();
        strings.map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let statements = python(&["permissions.py", "--role", role]);
    let statements = statements.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    statements
        .filter(|statement| statement["for"] == "code")
        .flat_map(|statement| {
            let queues = strings(&statement["resources"]);
            strings(&statement["actions"]).into_iter().flat_map(move |action| {
                match action.starts_with("sqs:") {
                    true => queues.iter().map(|queue| format!("{action} {queue}")).collect(),
                    false => vec![action],
                }
            })
        })
        .collect()
}

/// The template's name of a queue of the simulated AWS.
fn queue(name: &str) -> &str {
    match name {
        "groundcrew-updates.fifo" => "${UpdatesQueue.Arn}",
        "groundcrew-updates-dead.fifo" => "${UpdatesDeadLetters.Arn}",
        "groundcrew-notifications.fifo" => "${NotificationsQueue.Arn}",
        "groundcrew-notifications-dead.fifo" => "${NotificationsDeadLetters.Arn}",
        "groundcrew-events" => "${EventsQueue.Arn}",
        "groundcrew-events-dead" => "${EventsDeadLetters.Arn}",
        other => panic!("the templates have no queue like {other}"),
    }
}

/// The IAM actions of the calls to SQS that were made, each with its queue.
fn made_of_queues(aws: &Server) -> BTreeSet<String> {
    let asked = aws.inspect("queues-asked");
    let asked = asked.as_object().unwrap().iter();
    asked
        .flat_map(|(operation, queues)| {
            let action = operation.strip_suffix("Batch").unwrap_or(operation);
            let queues = queues.as_array().unwrap().iter();
            queues.map(move |name| format!("sqs:{action} {}", queue(name.as_str().unwrap())))
        })
        .collect()
}

/// The IAM actions of the calls that were made.
fn made(aws: &Server) -> BTreeSet<String> {
    let queues = made_of_queues(aws);
    let others = made_elsewhere(aws);
    queues.into_iter().chain(others).collect()
}

/// The same for every service but SQS.
fn made_elsewhere(aws: &Server) -> BTreeSet<String> {
    let offered = aws.inspect("offered");
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    for (service, operations) in offered.as_object().unwrap() {
        for operation in operations.as_array().unwrap() {
            services.insert(operation.as_str().unwrap().to_owned(), service.clone());
        }
    }
    let calls = aws.inspect("calls");
    let calls = calls.as_object().unwrap().keys();
    calls
        .filter(|operation| services[*operation] != "sqs")
        .map(|operation| {
            let service = services[operation].as_str();
            match operation.as_str() {
                // The code uses it only for puts.
                "TransactWriteItems" => "dynamodb:PutItem".to_owned(),
                "ListInstances" => "sso:ListInstances".to_owned(),
                // SNS has an operation of that name too, which only `doctor` calls.
                "ListTagsForResource" => "organizations:ListTagsForResource".to_owned(),
                other => format!("{}:{other}", prefix(service)),
            }
        })
        .collect()
}

/// The prefix of a service's actions in IAM.
fn prefix(service: &str) -> &str {
    match service {
        "resourcegroupstaggingapi" => "tag",
        "sso-admin" => "sso",
        service => service,
    }
}

const CONFIG: &str = r#"
[ledger]
table = "groundcrew"
onboarding_lookback = "366d"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[notifiers]]
name = "ams"
plugin = "ams-case"
[[routes]]
events = ["AccountUpdateFailed"]
states = ["FAILED"]
notifiers = ["ams"]
[[routes]]
events = ["CreateManagedAccount"]
notifiers = ["ams"]
"#;

fn overlay(aws: &Server) -> String {
    format!(
        "queues.updates_url = \"{}\"\nqueues.notifications_url = \"{}\"\n\
         updates.poll_interval = 3\nupdates.min_sweep_interval = \"3s\"\n\
         updates.max_attempts = 2",
        aws.queue("updates.fifo"),
        aws.queue("notifications.fifo")
    )
}

fn assert_same(role: &str, made: &BTreeSet<String>, unseen: &[&str]) {
    let mut allowed = allowed(role);
    for action in unseen {
        assert!(allowed.remove(*action), "{role} no longer has {action}");
    }
    assert_both_ways(role, made, &allowed);
}

fn assert_both_ways(role: &str, made: &BTreeSet<String>, allowed: &BTreeSet<String>) {
    let missing: Vec<_> = made.difference(allowed).collect();
    let needless: Vec<_> = allowed.difference(made).collect();
    assert!(
        missing.is_empty() && needless.is_empty(),
        "{role}: calls that its role does not allow {missing:?}, and actions that no call needs \
         {needless:?}"
    );
}

/// Three outdated accounts in an OU, one of which can't be updated.
fn outdated() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("organization.json");
    let account = |number: u32, failures: Value| {
        json!({ "id": format!("{number:012}"), "name": format!("account-{number}"),
            "ou": ["Workloads"], "tags": { "owner": "crew" }, "update_seconds": 1,
            "update_failures": failures })
    };
    let unenrolled =
        "The parent organizational unit 'Workloads' is not enrolled in AWS Control Tower.";
    let accounts = [account(1, json!([])), account(2, json!([unenrolled])), account(3, json!([]))];
    std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    aws.control("release-artifact", "");
    (dir, aws)
}

/// The number of updates that have ended.
fn ended(aws: &Server) -> usize {
    let operations = aws.inspect("operations").as_array().unwrap().clone();
    operations.iter().filter(|operation| !operation["end"].is_null()).count()
}

/// One update at a time in an OU: the messages of the others wait.
const ONE_BY_ONE: &str = "updates.per_ou_limit = 1";

#[test]
fn the_role_of_the_updates_function_has_what_its_code_calls() {
    let (_dir, aws) = outdated();
    let overlay = format!("{}\n{ONE_BY_ONE}", overlay(&aws));
    let variables = [("GROUNDCREW_OVERLAY", &*overlay), ("GROUNDCREW_FUNCTION", "updates")];
    let function = Function::start(&aws, CONFIG, &variables);
    let tick = r#"{"source":"groundcrew","detail-type":"Tick"}"#;
    eventually("three updates, and an alert", || {
        function.invoke(tick);
        ended(&aws) == 3 && aws.inspect("alerts").as_array().unwrap().len() == 1
    });
    // Needed if DescribeAccount returns no path, as in the past.
    assert_same("updates", &made(&aws), &["organizations:ListParents"]);
}

fn yesterday() -> String {
    (jiff::Timestamp::now() - Duration::from_secs(24 * 3600)).to_string()
}

/// Two accounts in an OU that joined lately, and an event about one of them; one more account that
/// joined has no provisioned product.
fn organization() -> (tempfile::TempDir, Server, String) {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("organization.json");
    let account = |number: u32| {
        json!({ "id": format!("{number:012}"), "name": format!("account-{number}"),
            "ou": ["Workloads"], "tags": { "owner": "crew" }, "joined": yesterday() })
    };
    let mut without_product = account(3);
    without_product["enrolled"] = json!(false);
    let accounts = json!({ "accounts": [account(1), account(2), without_product] });
    std::fs::write(&snapshot, accounts.to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    let created = event("create-managed-account-succeeded").replace("111122223333", "000000000001");
    (dir, aws, created)
}

#[test]
fn the_role_of_the_events_function_has_what_its_code_calls() {
    let (_dir, aws, created) = organization();
    let overlay = overlay(&aws);
    let variables = [("GROUNDCREW_OVERLAY", &*overlay), ("GROUNDCREW_FUNCTION", "events")];
    let function = Function::start(&aws, CONFIG, &variables);
    function.invoke(r#"{"source":"groundcrew","detail-type":"Sweep"}"#);
    function.invoke(&created);
    function.invoke(&created.replace("SUCCEEDED", "MAYBE"));
    assert_same("events", &made(&aws), &[]);
}

#[test]
fn the_role_of_the_notifications_function_has_what_its_code_calls() {
    let (_dir, aws, created) = organization();
    let overlay = overlay(&aws);
    let variables = [("GROUNDCREW_OVERLAY", &*overlay), ("GROUNDCREW_FUNCTION", "notifications")];
    let function = Function::start(&aws, CONFIG, &variables);
    let record = |notifier: &str, times: u32| {
        let queued = json!({ "key": format!("onboard/000000000001/{notifier}"),
            "notifier": notifier, "account": "000000000001", "event": created });
        let record = json!({ "messageId": "1", "receiptHandle": "AQEB", "body": queued.to_string(),
            "attributes": { "ApproximateReceiveCount": times.to_string() },
            "eventSource": "aws:sqs" });
        json!({ "Records": [record] }).to_string()
    };
    // A failed try, a case that is opened at the second try, and a dead letter.
    for _ in 0..3 {
        aws.control("next-call", r#"{"operation":"CreateCase","fares":"throttled"}"#);
    }
    for (notifier, times) in [("ams", 1), ("ams", 2), ("gone", 1)] {
        function.invoke(&record(notifier, times));
    }
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 1);
    // Secrets Manager is not simulated; no notifier of this test has secrets.
    let unseen = [
        "secretsmanager:GetSecretValue",
        // Needed if DescribeAccount returns no path, as in the past.
        "organizations:ListParents",
        // Needed if the first page of a case's communications is not complete.
        "support:DescribeCommunications",
    ];
    assert_same("notifications", &made(&aws), &unseen);
}

/// The container makes the calls of all three functions. Its calls to queues are compared
/// separately: in the Lambda stack, Lambda itself receives the messages of two of them.
#[test]
fn the_role_of_the_task_has_what_those_of_the_functions_have() {
    let elsewhere = |role: &str| {
        let allowed = allowed(role).into_iter();
        allowed.filter(|action| !action.starts_with("sqs:")).collect::<BTreeSet<_>>()
    };
    let functions: BTreeSet<_> =
        ["events", "notifications", "updates"].into_iter().flat_map(elsewhere).collect();
    assert_eq!(elsewhere("task"), functions);
}

#[test]
fn the_role_of_the_task_has_what_its_code_does_with_queues() {
    let (dir, aws) = outdated();
    std::fs::write(dir.path().join("crew.toml"), CONFIG).unwrap();
    let events = aws.queue("events");
    let overlay = format!("{}\n{ONE_BY_ONE}\nqueues.events_url = \"{events}\"", overlay(&aws));
    let mut command = command(dir.path());
    aws.environment(&mut command).args(["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"]);
    let _host = Server::spawn(command.env("GROUNDCREW_OVERLAY", overlay));
    // The second try notifies of an account, and there is an alert about the failed update; an
    // event and a notification can't be read.
    aws.control("next-call", r#"{"operation":"CreateCase","fares":"throttled"}"#);
    aws.control("event", &event("create-managed-account-succeeded"));
    aws.control("event", "{}");
    let poison = json!({ "QueueUrl": aws.queue("notifications.fifo"), "MessageBody": "poison",
        "MessageGroupId": "poison", "MessageDeduplicationId": "poison" });
    aws.call("AmazonSQS.SendMessage", &poison);
    // All of it is done, whatever the role allows.
    eventually("two cases, three updates and a letter in each dead-letter queue", || {
        let letters = ["updates-dead.fifo", "notifications-dead.fifo", "events-dead"];
        let made = made_of_queues(&aws);
        letters.iter().all(|name| {
            made.contains(&format!("sqs:SendMessage {}", queue(&format!("groundcrew-{name}"))))
        }) && aws.inspect("cases").as_array().unwrap().len() == 2
            && ended(&aws) == 3
    });
    let allowed: BTreeSet<String> =
        allowed("task").into_iter().filter(|action| action.starts_with("sqs:")).collect();
    for action in &allowed {
        eventually(action, || made_of_queues(&aws).contains(action));
    }
    assert_both_ways("task", &made_of_queues(&aws), &allowed);
}
