//! Tests against third-party software: moto, ministack, cargo-lambda's Runtime API, with boto3 as
//! the client.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::function::{Function, environment, program};
use common::interop::{ministack, moto, python};
use common::server::Server;
use common::{event, eventually, run_command};
use serde_json::{Value, json};

fn handle(aws: &Server, dir: &Path, event: &str) -> Value {
    std::fs::write(dir.join("event.json"), event).unwrap();
    let ran = aws.groundcrew(dir, &["handle", "--config", "crew.toml", "event.json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr))
}

/// The config for an account's onboarding, with a table as its ledger.
fn config(topic: &str) -> String {
    format!(
        r#"
[ledger]
table = "groundcrew"
[alerts]
topic_arn = "{topic}"
[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
[notifiers.settings]
body = "{{{{ account.name }}}} in {{{{ account.ou_path }}}}, owned by {{{{ account.tags.owner }}}}"
"#
    )
}

#[test]
fn moto_has_one_case_its_alerts_and_the_ledger() {
    let aws = moto();
    let prepared: Value = serde_json::from_str(&python(&aws, "moto.py", &["prepare"])).unwrap();
    let (account, topic) = (prepared["account"].as_str().unwrap(), &prepared["topic"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config(topic.as_str().unwrap())).unwrap();
    let about = |name: &str| event(name).replace("111122223333", account);

    let created = about("create-managed-account-succeeded");
    let told = handle(&aws, dir.path(), &created);
    assert_eq!(told["outcome"], "notified", "{told}");
    for repeat in [
        created.clone(),
        created.replace("999cccaa", "000cccaa"),
        about("update-managed-account-succeeded"),
    ] {
        let again = handle(&aws, dir.path(), &repeat);
        assert_eq!(again["notifications"][0]["outcome"], "already-told", "{again}");
    }
    let ignored = handle(&aws, dir.path(), &event("create-managed-account-failed"));
    assert_eq!(ignored["outcome"], "ignored");
    let malformed = handle(&aws, dir.path(), &created.replace("SUCCEEDED", "MAYBE"));
    assert_eq!(malformed["outcome"], "failed");

    let seen: Value = serde_json::from_str(&python(&aws, "moto.py", &["look"])).unwrap();
    let [case] = seen["cases"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!(case["id"], told["notifications"][0]["reference"]);
    assert_eq!(case["service_code"], "service-ams-operations-service-request");
    let body = format!(
        "payments-prod in Workloads, owned by payments\n\nRef: groundcrew/onboard/{account}/ams"
    );
    assert_eq!(case["bodies"], json!([body]));
    let [alert] = seen["alerts"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!(alert["subject"], "An event can't be understood");
    assert!(alert["message"].as_str().unwrap().contains("MAYBE"), "{alert}");
    let ledger = seen["ledger"].as_object().unwrap();
    let entry = ledger.iter().find(|(key, _)| key.contains(account)).map(|(_, entry)| entry);
    let entry = entry.unwrap_or_else(|| panic!("{seen}"));
    assert_eq!((&entry["state"], &entry["reference"]), (&json!("told"), &case["id"]), "{entry}");
}

/// Accounts, OUs and tags are moto's. Service Catalog, which moto lacks, is the simulated one.
/// moto's tagging API doesn't know accounts.
#[test]
fn moto_gives_a_snapshot_of_its_organization() {
    let (aws, catalog) = (moto(), Server::sim_aws(3));
    let prepared: Value = serde_json::from_str(&python(&aws, "moto.py", &["prepare"])).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    let mut command = common::command(dir.path());
    let ran = run_command(
        aws.environment(&mut command)
            .env("AWS_ENDPOINT_URL_SERVICE_CATALOG", catalog.url())
            .args(["snapshot", "--config", "crew.toml", "--out", "-"]),
    );
    let snapshot = ran.json();
    assert!(ran.stderr.contains("lists no account at all"), "{}", ran.stderr);
    let accounts = snapshot["accounts"].as_array().unwrap();
    let account = accounts.iter().find(|account| account["id"] == prepared["account"]);
    let account = account.unwrap_or_else(|| panic!("{snapshot}"));
    assert_eq!(
        (&account["name"], &account["email"], &account["state"]),
        (&json!("payments-prod"), &json!("p@example.com"), &json!("ACTIVE"))
    );
    assert_eq!((&account["ou"], &account["enrolled"]), (&json!(["Workloads"]), &json!(false)));
    assert_eq!(account["tags"], json!({ "owner": "payments" }));
    assert!(account["ou_ids"][0].as_str().unwrap().starts_with("ou-"), "{account}");
    assert!(account["joined"].is_string(), "{account}");
}

fn run_script(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&python(server, "fleet.py", args)).unwrap()
}

/// The service with queues in ministack, and with organization, topic and ledger in moto. Service
/// Catalog, Control Tower and Identity Center, which neither has, are simulated. One account fails
/// for good.
#[test]
fn a_fleet_is_updated_by_queues_tables_and_topics_not_written_here() {
    const ERROR: &str =
        "The parent organizational unit 'Fleet' is not enrolled in AWS Control Tower.";
    let dir = tempfile::tempdir().unwrap();
    let (moto, ministack) = (moto(), ministack(dir.path()));
    let topic = serde_json::from_str::<Value>(&python(&moto, "moto.py", &["prepare"])).unwrap();
    let organization = run_script(&moto, &["organization", "6"]);
    let queues = run_script(&ministack, &["queues"]);
    let mut accounts = organization["accounts"].as_array().unwrap().clone();
    for account in &mut accounts {
        account["update_seconds"] = json!(1);
        account["ou"] = json!(["Fleet"]);
        account["ou_ids"] = json!([organization["ou"]]);
    }
    accounts[5]["update_failures"] = json!([ERROR]);
    let snapshot = dir.path().join("organization.json");
    std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    aws.control("release-artifact", "");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let config = format!(
        "[updates]\nmax_concurrent_operations = 2\npoll_interval = 1\nmin_sweep_interval = \"1s\"\n\
         [queues]\nupdates_url = \"{}\"\nevents_url = \"{}\"\n\
         [ledger]\ntable = \"groundcrew\"\n[alerts]\ntopic_arn = \"{}\"\n",
        text(&queues["updates"]),
        text(&queues["events"]),
        text(&topic["topic"])
    );
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let lead = |command: &mut Command| {
        aws.environment(command)
            .env("AWS_ENDPOINT_URL_SQS", ministack.url())
            .env("AWS_ENDPOINT_URL_SNS", moto.url())
            .env("AWS_ENDPOINT_URL_ORGANIZATIONS", moto.url())
            .env("AWS_ENDPOINT_URL_DYNAMODB", moto.url());
    };
    run_script(&ministack, &["send", &text(&queues["events"]), "{not an event"]);
    let mut run = common::command(dir.path());
    lead(&mut run);
    let service =
        Server::spawn(run.args(["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"]));
    let status = || {
        let mut command = common::command(dir.path());
        lead(&mut command);
        run_command(command.args(["status", "--config", "crew.toml", "--format", "json"])).json()
    };
    eventually("the end of the update", || {
        let status = status();
        status["sweep"]["current"] == 5 && status["failed"].as_array().unwrap().len() == 1
    });
    drop(service);
    let operations = aws.inspect("operations");
    let operations = operations.as_array().unwrap();
    let succeeded = operations.iter().filter(|operation| operation["outcome"] == "succeeded");
    assert_eq!((operations.len(), succeeded.count()), (6, 5), "{operations:?}");
    let letters = run_script(&ministack, &["letters", &text(&queues["dead"])]);
    assert_eq!(letters.as_array().unwrap().len(), 1, "{letters}");
    assert_eq!(letters[0]["account"], accounts[5]["id"]);
    assert!(text(&letters[0]["reason"]).contains(ERROR), "{letters}");
    let unread = run_script(&ministack, &["letters", &text(&queues["events_dead"])]);
    assert_eq!(unread.as_array().unwrap().len(), 1, "{unread}");
    let looked: Value = serde_json::from_str(&python(&moto, "moto.py", &["look"])).unwrap();
    let mut alerts: Vec<String> =
        looked["alerts"].as_array().unwrap().iter().map(|alert| text(&alert["subject"])).collect();
    alerts.sort();
    let failed = format!("Update of account {} failed", text(&accounts[5]["id"]));
    assert_eq!(alerts, ["An event can't be read".to_owned(), failed]);
}

/// During a fleet update, somebody uses boto3 on the same AWS and updates an account by hand: it is
/// not updated again.
#[test]
fn boto3_works_beside_the_service() {
    let accounts: Vec<Value> = (1..=6)
        .map(|number| {
            json!({ "id": format!("{number:012}"), "name": format!("account-{number}"),
                    "ou": ["Workloads"], "update_seconds": 2 })
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("organization.json");
    std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    aws.control("release-artifact", "");
    let config = format!(
        "[updates]\nmax_concurrent_operations = 1\npoll_interval = 1\nmin_sweep_interval = \"1s\"\n\
         [queues]\nupdates_url = \"{}\"\nevents_url = \"{}\"\n[alerts]\ntopic_arn = \"{TOPIC}\"\n",
        aws.queue("updates.fifo"),
        aws.queue("events")
    );
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let mut run = common::command(dir.path());
    aws.environment(&mut run).args(["run", "--config", "crew.toml", "--listen", "127.0.0.1:0"]);
    let _service = Server::spawn(&mut run);
    let operations = || aws.inspect("operations").as_array().unwrap().clone();
    eventually("a first update", || !operations().is_empty());
    // The last in the order: its update is far in the future.
    let beside: Value =
        serde_json::from_str(&python(&aws, "concurrent_update.py", &["000000000006"])).unwrap();
    let ids: Vec<&Value> = accounts.iter().map(|account| &account["id"]).collect();
    let listed: Vec<&Value> = beside["accounts"].as_array().unwrap().iter().collect();
    assert!(ids.iter().all(|id| listed.contains(id)), "{beside}");
    eventually("six updates", || {
        operations().iter().filter(|operation| !operation["end"].is_null()).count() == 6
    });
    let mut updated: Vec<String> =
        operations().iter().map(|o| o["account"].as_str().unwrap().to_owned()).collect();
    updated.sort();
    updated.dedup();
    assert_eq!(updated.len(), 6);
    assert_eq!(aws.inspect("alerts"), json!([]));
}

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts";

/// A package that runs the binary in its place: the test binary is large.
fn zip(dir: &Path) -> PathBuf {
    let bootstrap = dir.join("bootstrap");
    let script = format!("#!/bin/sh\nexec {}\n", env!("CARGO_BIN_EXE_groundcrew"));
    std::fs::write(&bootstrap, script).unwrap();
    let zip = dir.join("bootstrap.zip");
    let zipped = "import sys, zipfile\n\
        entry = zipfile.ZipInfo('bootstrap')\n\
        entry.external_attr = 0o755 << 16\n\
        zipfile.ZipFile(sys.argv[2], 'w').writestr(entry, open(sys.argv[1]).read())";
    let ran = run_command(program(".venv", "python").args(["-c", zipped]).args([&bootstrap, &zip]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    zip
}

/// EventBridge, Lambda, SQS, Lambda, and a case. Messages that can't be read or have no recipient
/// are in the dead-letter queue, and the notifications after them in their group are delivered.
#[test]
fn ministack_runs_the_lambdas_with_their_queue() {
    let aws = Server::sim_aws(0);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = file("crew.toml", &config(TOPIC));
    let ministack = ministack(dir.path());
    let mut variables = environment(&aws, Path::new(&config));
    variables["AWS_ENDPOINT_URL_SQS"] = ministack.url().into();
    let variables = file("environment.json", &variables.to_string());
    let created = event("create-managed-account-succeeded");
    let zip = zip(dir.path()).to_str().unwrap().to_owned();
    let event = file("event.json", &created);
    python(&ministack, "lambdas.py", &["deploy", &zip, &variables]);
    // Sent twice: it is delivered once.
    for _ in 0..2 {
        python(&ministack, "lambdas.py", &["put", &event]);
    }
    let cases = || aws.inspect("cases").as_array().unwrap().len();
    eventually("a case", || cases() == 1);

    let other = created.replace("111122223333", "444455556666");
    let queued = |notifier: &str, event: &str| {
        json!({ "key": format!("onboard/444455556666/{notifier}"), "notifier": notifier,
            "account": "444455556666", "event": event })
        .to_string()
    };
    for body in ["{not json", &queued("gone", &other), &queued("ams", &other)] {
        python(&ministack, "lambdas.py", &["send", "group", body]);
    }
    eventually("a second case", || cases() == 2);
    let look =
        || -> Value { serde_json::from_str(&python(&ministack, "lambdas.py", &["look"])).unwrap() };
    eventually("an empty queue", || look()["left"] == 0);
    let letters = look()["letters"].to_string();
    assert!(letters.contains("{not json") && letters.contains("no notifier is named `gone`"));
    assert_eq!((cases(), aws.inspect("alerts").as_array().unwrap().len()), (2, 2));
}

#[test]
fn ministack_runs_the_lambda_on_an_event() {
    let aws = Server::sim_aws(0);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let config = file("crew.toml", &config(TOPIC));
    let variables = file("environment.json", &environment(&aws, &config).to_string());
    let event = file("event.json", &event("create-managed-account-succeeded"));
    let zip = zip(dir.path());
    let ministack = ministack(dir.path());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let args = [text(&zip), text(&variables), text(&event)];
    python(&ministack, "ministack.py", &args.each_ref().map(String::as_str));
    eventually("a case", || aws.inspect("cases").as_array().unwrap().len() == 1);
}

/// A notification that is to be retried stays in the queue, and so do those after it in its group.
/// Events may come by SQS, from EventBridge or from SNS, to either queue: an event that can't be
/// handled stays in it, and doesn't prevent handling the others.
#[test]
fn a_batch_of_events_is_answered_with_what_stays() {
    let aws = Server::sim_aws(0);
    let function = Function::start(&aws, &config(TOPIC), &[("GROUNDCREW_FUNCTION", "events")]);
    let created = event("create-managed-account-succeeded");
    let in_sns = |text: &str| json!({ "Type": "Notification", "Message": text }).to_string();
    let record = |id: &str, body: &str| {
        json!({ "messageId": id, "receiptHandle": id, "body": body, "attributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:lifecycle" })
    };
    let batch = json!({ "Records": [
        record("1", &in_sns(&created)),
        record("2", &created.replace("111122223333", "Not Available")),
        record("3", &created.replace("111122223333", "444455556666")),
    ]});
    let failures = json!({ "batchItemFailures": [{ "itemIdentifier": "2" }] });
    for _ in 0..2 {
        assert_eq!(function.invoke(&batch.to_string()), failures);
        assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 2);
        assert_eq!(aws.inspect("alerts").as_array().unwrap().len(), 1);
    }
    // If the mapping reports no failures, a batch that failed as a whole is not deleted either.
    let wrong = json!({ "Records": [record("2", "{")] });
    let answer = function.invoke(&wrong.to_string());
    assert!(answer["errorMessage"].as_str().unwrap().contains("not JSON"), "{answer}");
    // An SNS subscription of the function itself: handled as a whole, or an error.
    let sns = |text: &str| json!({ "EventSource": "aws:sns", "Sns": { "Message": text } });
    let told = function.invoke(&json!({ "Records": [sns(&created)] }).to_string());
    assert_eq!(told["notifications"][0]["outcome"], "already-told", "{told}");
    let both =
        json!({ "Records": [sns("{"), sns(&created.replace("111122223333", "555566667777"))] });
    assert!(function.invoke(&both.to_string())["errorMessage"].is_string());
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 3);
}

#[test]
fn a_batch_is_answered_with_what_stays() {
    let aws = Server::sim_aws(0);
    let queue = aws.queue("notifications.fifo");
    let overlay = format!("queues.notifications_url = \"{queue}\"");
    let variables = [("GROUNDCREW_OVERLAY", &*overlay), ("GROUNDCREW_FUNCTION", "notifications")];
    let function = Function::start(&aws, &config(TOPIC), &variables);
    let created = event("create-managed-account-succeeded");
    let record = |id: &str, group: &str, account: &str, body: Option<&str>| {
        let queued = json!({ "key": format!("onboard/{account}/ams"), "notifier": "ams",
            "account": account, "event": created.replace("111122223333", account) });
        json!({ "messageId": id, "receiptHandle": format!("AQEB{id}"),
            "body": body.map_or_else(|| queued.to_string(), str::to_owned),
            "attributes": { "MessageGroupId": group, "ApproximateReceiveCount": "1" },
            "eventSource": "aws:sqs" })
    };
    // The first three tries of the first notification.
    for _ in 0..3 {
        aws.control("next-call", r#"{"operation":"CreateCase","fares":"throttled"}"#);
    }
    let batch = json!({ "Records": [
        record("1", "a", "111122223333", None),
        record("2", "a", "111122223333", None),
    ]});
    let answer = function.invoke(&batch.to_string());
    let failures = json!([{ "itemIdentifier": "1" }, { "itemIdentifier": "2" }]);
    assert_eq!(answer, json!({ "batchItemFailures": failures }));
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 0);

    let batch = json!({ "Records": [
        record("1", "a", "111122223333", None),
        record("2", "a", "111122223333", None),
        record("3", "b", "444455556666", None),
    ]});
    assert_eq!(function.invoke(&batch.to_string()), json!({ "batchItemFailures": [] }));
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 2);
    // A message that can't be read stays if the alert about it fails.
    aws.control("deny", r#"{"operation":"Publish"}"#);
    let batch = json!({ "Records": [record("4", "c", "444455556666", Some("{"))] });
    assert_eq!(
        function.invoke(&batch.to_string()),
        json!({ "batchItemFailures": [{ "itemIdentifier": "4" }] })
    );
}

/// Two hundred invocations of a warm process leak no memory.
#[cfg(target_os = "linux")]
#[test]
fn a_warm_function_does_not_grow() {
    let aws = Server::sim_aws(0);
    let function = Function::start(&aws, &config(TOPIC), &[]);
    let created = event("create-managed-account-succeeded");
    let invoke = |number: u32| {
        let account = format!("{:012}", 300_000_000_000_u64 + u64::from(number));
        let told = function.invoke(&created.replace("111122223333", &account));
        assert_eq!(told["outcome"], "notified", "{told}");
    };
    (0..50).for_each(invoke);
    let before = function.bootstrap.memory();
    (50..250).for_each(invoke);
    let after = function.bootstrap.memory();
    // The allocator may keep a little more at one time than at another.
    assert!(after < before + (4 << 20), "from {before} to {after} bytes");
}

/// A fleet update by ticks alone.
#[test]
fn ticks_update_a_fleet() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("organization.json");
    let accounts: Vec<Value> = (1..=6)
        .map(|number| {
            json!({ "id": format!("{number:012}"), "name": format!("account-{number}"),
                "ou": ["Workloads"], "update_seconds": 1 })
        })
        .collect();
    std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()]);
    aws.control("release-artifact", "");
    // A tick handles what is due within two seconds: with longer waits each tick is short.
    let overlay = format!(
        "queues.updates_url = \"{}\"\n\
         updates.poll_interval = 3\nupdates.min_sweep_interval = \"3s\"\n\
         updates.max_concurrent_operations = 2",
        aws.queue("updates.fifo")
    );
    let variables = [("GROUNDCREW_OVERLAY", &*overlay), ("GROUNDCREW_FUNCTION", "updates")];
    let function = Function::start(&aws, &config(TOPIC), &variables);
    let tick = r#"{"source":"groundcrew","detail-type":"Tick"}"#;
    let ended = || {
        let operations = aws.inspect("operations").as_array().unwrap().clone();
        operations.iter().filter(|operation| !operation["end"].is_null()).count()
    };
    eventually("six updates", || {
        assert_eq!(function.invoke(tick)["outcome"], "ticked");
        ended() == 6
    });
    let updated = event("update-managed-account-succeeded").replace("111122223333", "000000000001");
    assert_eq!(function.invoke(&updated)["outcome"], "ticked");
    let operations = aws.inspect("operations").as_array().unwrap().clone();
    assert_eq!(operations.len(), 6, "{operations:?}");
    assert_eq!(aws.inspect("alerts"), json!([]));
}

#[test]
fn a_runtime_api_gets_reports_and_errors() {
    let aws = Server::sim_aws(0);
    let function = Function::start(&aws, &config(TOPIC), &[]);
    let invoke = |event: &str| function.invoke(event);
    let told = invoke(&event("create-managed-account-succeeded"));
    assert_eq!(told["outcome"], "notified", "{told}");
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 1);
    let failed = invoke(&event("create-managed-account-succeeded").replace("SUCCEEDED", "MAYBE"));
    assert_eq!(failed["errorType"], "Groundcrew.MalformedEvent", "{failed}");
    assert!(failed["errorMessage"].as_str().unwrap().contains("MAYBE"), "{failed}");
    let ignored = invoke(&event("create-managed-account-failed"));
    assert_eq!(ignored["outcome"], "ignored", "{ignored}");
    assert_eq!(aws.inspect("cases").as_array().unwrap().len(), 1);
}
