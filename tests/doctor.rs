//! `groundcrew doctor`, against the simulated AWS as a server.

mod common;

use std::path::Path;

use common::inbox::Inbox;
use common::server::{Server, free_port};
use common::{CommandOutput, command, groundcrew, run_command};
use rstest::rstest;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[queues]
updates_url = "URL/123456789012/groundcrew-updates.fifo"
notifications_url = "URL/123456789012/groundcrew-notifications.fifo"
events_url = "URL/123456789012/groundcrew-events"
[ledger]
table = "groundcrew"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
[[policies]]
plugin = "managed-tag"
[[notifiers]]
name = "ams"
plugin = "ams-case"
"#;

/// A directory with the config, with some of its text replaced.
fn prepare_dir(aws: &Server, changes: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = changes.iter().fold(CONFIG.to_owned(), |config, (text, instead)| {
        assert!(config.contains(text), "{text}");
        config.replace(text, instead)
    });
    std::fs::write(dir.path().join("crew.toml"), config.replace("URL", &aws.url())).unwrap();
    dir
}

/// An AWS with a few accounts, and a subscriber of the alerts topic.
fn sim_aws() -> Server {
    let aws = Server::sim_aws(5);
    aws.invoke(
        "/",
        "Action=Subscribe&Version=2010-03-31&Protocol=sqs\
         &TopicArn=arn:aws:sns:us-east-1:123456789012:groundcrew-alerts\
         &Endpoint=arn:aws:sqs:us-east-1:123456789012:groundcrew-events",
    );
    aws
}

fn doctor(aws: &Server, dir: &Path) -> CommandOutput {
    aws.groundcrew(dir, &["doctor", "--config", "crew.toml"])
}

fn json(aws: &Server, dir: &Path) -> Value {
    let ran = aws.groundcrew(dir, &["doctor", "--config", "crew.toml", "--format", "json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr))
}

/// The findings of a check: the status, the finding, and the fix.
fn found<'r>(report: &'r Value, check: &str) -> Vec<(&'r str, &'r str, &'r str)> {
    let findings = report["findings"].as_array().unwrap();
    let text = |value: &'r Value| value.as_str().unwrap_or_default();
    findings
        .iter()
        .filter(|finding| finding["check"] == check)
        .map(|found| (text(&found["status"]), text(&found["found"]), text(&found["fix"])))
        .collect()
}

/// The output of a run in a pipe: in 80 columns, without colour.
fn screen(ran: &CommandOutput) -> &str {
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80 || line.split_whitespace().count() == 1, "{line}");
        assert!(!line.contains('\x1b') && line == line.trim_end(), "{line:?}");
    }
    &ran.stdout
}

fn plan(aws: &Server, operation: &str, fares: &str, times: usize) {
    for _ in 0..times {
        aws.control("next-call", &json!({ "operation": operation, "fares": fares }).to_string());
    }
}

#[test]
fn all_is_well() {
    let aws = sim_aws();
    let ran = doctor(&aws, prepare_dir(&aws, &[]).path());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr, "");
    insta::assert_snapshot!(screen(&ran));
}

/// A doctor only reads: nothing in AWS is changed.
#[test]
fn nothing_is_changed() {
    let aws = sim_aws();
    doctor(&aws, prepare_dir(&aws, &[]).path());
    let calls = aws.inspect("calls");
    let reads = ["Get", "List", "Describe", "Search"];
    for operation in calls.as_object().unwrap().keys().filter(|name| *name != "Subscribe") {
        assert!(reads.iter().any(|read| operation.starts_with(read)), "{operation}");
    }
}

/// The smallest config: a file as ledger, no queues, no topic, no notifiers.
#[test]
fn what_is_not_configured_is_not_looked_at() {
    let aws = sim_aws();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    let ran = doctor(&aws, dir.path());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!(screen(&ran));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(aws.inspect("calls").get("GetQueueAttributes"), None);
}

#[test]
fn what_an_operator_may_have_wrong() {
    let aws = Server::sim_aws(5);
    aws.control(
        "state",
        &json!({
            "landing_zone": {
                "status": "PROCESSING", "drifted": true, "latest_available_version": "4.0",
            },
            "unregistered_ous": ["ou-sim1-00000000"],
            "launch_paths": [],
            "support_plan": false,
            "identity_center": false,
        })
        .to_string(),
    );
    let dir = prepare_dir(
        &aws,
        &[
            ("groundcrew-updates.fifo", "groundcrew-updates-dead.fifo"),
            ("groundcrew-notifications.fifo", "groundcrew-events"),
            ("/groundcrew-events\"", "/nothing\""),
        ],
    );
    let ran = doctor(&aws, dir.path());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    insta::assert_snapshot!(screen(&ran));
    assert!(
        ran.stderr.ends_with(" checks failed: do what is said there, and run this again\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn denied_calls_name_the_permission() {
    let aws = sim_aws();
    for operation in [
        "DescribeOrganization",
        "GetLandingZone",
        "ListBaselines",
        "ListInstances",
        "ListProvisioningArtifacts",
        "ListLaunchPaths",
        "ListPrincipalsForPortfolio",
        "GetTopicAttributes",
        "DescribeTable",
        "DescribeServices",
    ] {
        plan(&aws, operation, "denied", 1);
    }
    plan(&aws, "GetQueueAttributes", "denied", 3);
    let ran = doctor(&aws, prepare_dir(&aws, &[]).path());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    insta::assert_snapshot!(screen(&ran));
}

#[test]
fn a_product_that_cannot_be_read_fails() {
    let aws = sim_aws();
    plan(&aws, "DescribeProductAsAdmin", "denied", 1);
    let report = json(&aws, prepare_dir(&aws, &[]).path());
    let [(status, _, fix)] = found(&report, "product")[..] else { panic!("{report}") };
    assert_eq!(status, "failed");
    assert!(fix.contains("allow servicecatalog:DescribeProductAsAdmin"), "{fix}");
    assert_eq!(found(&report, "launch-path")[0].0, "unknown");
}

/// Throttled calls are retried; it is reported only if that doesn't help.
#[test]
fn throttled_calls_are_tried_again() {
    let aws = sim_aws();
    let operations = [
        "GetCallerIdentity",
        "ListLandingZones",
        "ListLaunchPaths",
        "DescribeTable",
        "ListAccounts",
    ];
    for operation in operations {
        plan(&aws, operation, "throttled", 1);
    }
    plan(&aws, "GetTopicAttributes", "throttled", 100);
    let dir = prepare_dir(&aws, &[]);
    let report = json(&aws, dir.path());
    assert_eq!(report["counts"]["failed"], 0, "{report}");
    assert_eq!(report["counts"]["unknown"], 1, "{report}");
    let [(status, told, fix)] = found(&report, "topic")[..] else { panic!("{report}") };
    assert_eq!((status, fix), ("unknown", "AWS throttled every try: run this again in a minute"));
    assert!(told.contains("Rate exceeded"), "{told}");
}

#[rstest]
#[case::product(("[queues]", "[account_factory]\nproduct_name = \"Vending\"\n[queues]"), "product", "failed", "no product is named \"Vending\"", "account_factory.product_name")]
#[case::path(("[queues]", "[account_factory]\nlaunch_path = \"lpv2-x\"\n[queues]"), "launch-path", "failed", "lpv2-x, which the config has", "take account_factory.launch_path out")]
#[case::queue(("groundcrew-updates.fifo", "none.fifo"), "updates-queue", "failed", "there is no queue none.fifo", "queues.updates_url")]
#[case::kind(("groundcrew-updates.fifo", "groundcrew-events"), "updates-queue", "failed", "is a standard queue", "ends in .fifo")]
#[case::table(("\"groundcrew\"", "\"nothing\""), "ledger", "failed", "there is no table nothing", "ledger.table")]
#[case::topic((":groundcrew-alerts", ":nothing"), "topic", "failed", "there is no topic nothing", "alerts.topic_arn")]
#[case::region(("[queues]", "[aws]\nregion = \"eu-west-1\"\n[queues]"), "home-region", "failed", "home Region is us-east-1", "set aws.region = \"us-east-1\"")]
fn each_mistake_has_its_fix(
    #[case] change: (&str, &str),
    #[case] check: &str,
    #[case] status: &str,
    #[case] told: &str,
    #[case] fix: &str,
) {
    let aws = sim_aws();
    let report = json(&aws, prepare_dir(&aws, &[change]).path());
    let findings = found(&report, check);
    let good = |finding: &&(&str, &str, &str)| {
        finding.0 == status && finding.1.contains(told) && finding.2.contains(fix)
    };
    assert!(findings.iter().any(|finding| good(&finding)), "{findings:#?}");
}

#[test]
fn nobody_who_hears_alerts_is_a_warning() {
    let aws = Server::sim_aws(1);
    let ran = doctor(&aws, prepare_dir(&aws, &[]).path());
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains(
        "  warn  topic                no confirmed subscription to \
                                 groundcrew-alerts\n"
    ));
}

#[test]
fn without_credentials_only_the_ledger_file_is_looked_at() {
    let aws = sim_aws();
    let dir = prepare_dir(&aws, &[("table = \"groundcrew\"", "file = \"crew.db\"")]);
    let mut command = command(dir.path());
    command.env("AWS_ENDPOINT_URL", aws.url()).args(["doctor", "--config", "crew.toml"]);
    let ran = run_command(&mut command);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    insta::assert_snapshot!(screen(&ran));
}

#[test]
fn an_aws_that_does_not_answer_is_named() {
    let aws = sim_aws();
    let dir = prepare_dir(&aws, &[]);
    let mut command = command(dir.path());
    aws.environment(&mut command)
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", free_port()))
        .args(["doctor", "--config", "crew.toml", "--format", "json"]);
    let ran = run_command(&mut command);
    assert_eq!(ran.code, 1);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let [(status, told, fix)] = found(&report, "credentials")[..] else { panic!("{report}") };
    assert_eq!(status, "failed");
    assert!(told.starts_with("no answer from AWS: GetCallerIdentity: "), "{told}");
    assert!(told.contains("refused") && !told.contains('{'), "{told}");
    assert!(fix.contains("the endpoint of sts"), "{fix}");
}

#[test]
fn a_wrong_config_is_told_first() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("crew.toml"),
        "[updates]\npoll_interval = 0\n[[policies]]\nplugin = \"managed-tags\"\n",
    )
    .unwrap();
    let ran = groundcrew(dir.path(), &["doctor", "--config", "crew.toml"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (2, "2 problems found: fix the config, and run this again\n")
    );
    insta::assert_snapshot!(screen(&ran));
    let ran = groundcrew(dir.path(), &["doctor", "--config", "nowhere.toml", "--format", "json"]);
    assert_eq!(ran.code, 2);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(found(&report, "config")[0].1.contains("nowhere.toml"), "{report}");
}

/// A webhook with a grant of its own, and more lines of that grant.
fn hook(name: &str, url: &str, grant: &str) -> String {
    format!(
        "[[notifiers]]\nname = \"{name}\"\nplugin = \"webhook\"\n[notifiers.settings]\nurl = \
         \"{url}\"\n[[notifiers.grants.http]]\nurl = \"{url}\"\n{grant}\n"
    )
}

const SECRET: &str = "hunter2";

/// The findings about notifiers, with these options; none of them shows a secret.
fn other_systems(aws: &Server, notifiers: &str, options: &[&str]) -> (CommandOutput, Value) {
    let dir = prepare_dir(aws, &[("[[policies]]", &format!("{notifiers}[[policies]]"))]);
    std::fs::write(dir.path().join("token"), format!("{SECRET}\n")).unwrap();
    let options = [&["doctor", "--config", "crew.toml"], options].concat();
    let ran = aws.groundcrew(dir.path(), &options);
    screen(&ran);
    let json = aws.groundcrew(dir.path(), &[&options[..], &["--format", "json"]].concat());
    for shown in [&ran.stdout, &ran.stderr, &json.stdout, &json.stderr] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    let report = serde_json::from_str(&json.stdout).unwrap();
    (ran, report)
}

/// The URLs and secrets of a notifier's requests; only a probe sends a request.
#[test]
fn what_notifiers_need_of_other_systems() {
    let aws = sim_aws();
    let (inbox, nobody) = (Inbox::open(), free_port());
    let grant = "methods = [\"POST\"]\nallow_private = true\nheaders = { Authorization = { file = ";
    let hooks = [
        hook(
            "chat",
            &format!("http://{}/hooks/$(key)", inbox.address),
            &format!("{grant}\"token\" }} }}\nsecrets = {{ key = {{ file = \"token\" }} }}"),
        ),
        hook("cmdb", &format!("http://127.0.0.1:{nobody}/"), &format!("{grant}\"nowhere\" }} }}")),
        hook("refused", &format!("http://{}/", inbox.address), "methods = [\"POST\"]"),
    ];
    let (ran, report) = other_systems(&aws, &hooks.concat(), &[]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let [chat, no_secret, not_there, refused] = found(&report, "notifiers")[..] else {
        panic!("{report}")
    };
    let there = "/hooks/$(key): its 2 secrets are there (the file token and the file token), it can be \
                 reached at 127.0.0.1";
    assert_eq!((chat.0, chat.2), ("ok", ""));
    assert!(chat.1.starts_with("`chat`: http://127.0.0.1:") && chat.1.ends_with(there), "{chat:?}");
    assert!(no_secret.1.contains("can't be had: the file nowhere: No such file"), "{no_secret:?}");
    assert!(no_secret.2.contains("put the secret there"), "{no_secret:?}");
    assert!(not_there.1.contains("can't be reached from here: no connection to"), "{not_there:?}");
    assert!(
        refused.1.ends_with("127.0.0.1 may not be reached: 127.0.0.1 is this machine"),
        "{refused:?}"
    );
    assert!(refused.2.starts_with("write `allow_private = true`"), "{refused:?}");
    // There was a connection, and no request.
    assert!(inbox.received().iter().all(|one| one.line.is_empty()), "{:?}", inbox.received());

    let (_, report) = other_systems(&aws, &hooks[0], &["--probe"]);
    let [chat] = found(&report, "notifiers")[..] else { panic!("{report}") };
    assert_eq!(chat.0, "ok");
    assert!(
        chat.1.ends_with(&format!(
            "{there}; HEAD is answered 200: it is up, and takes such a request"
        ))
    );
    let asked = inbox.received().into_iter().find(|one| !one.line.is_empty()).unwrap();
    assert_eq!(asked.line, format!("HEAD /hooks/{SECRET}"));
    assert_eq!((asked.header("authorization"), asked.body.as_str()), (Some(SECRET), ""));
}

/// The response to a probe is evaluated. Whatever the other system repeats, no secret is shown.
#[rstest]
#[case::refused(
    "401 Unauthorized",
    1,
    "failed",
    "is answered 401: what proves who asks is refused"
)]
#[case::broken("503 Service Unavailable", 1, "failed", "is answered 503: the other system")]
#[case::forbidden(
    "403 Forbidden",
    0,
    "warning",
    "is answered 403: what proves who asks is not enough"
)]
#[case::no_head("405 Method Not Allowed", 0, "ok", "is answered 405: it is up, and takes no HEAD")]
#[case::redirect("302 Found\r\nLocation: /hunter2", 0, "warning", "no redirect is followed")]
#[case::no_answer("hunter2", 1, "failed", "no answer to HEAD http://127.0.0.1:")]
fn what_a_probe_is_answered(
    #[case] answer: &str,
    #[case] code: i32,
    #[case] status: &str,
    #[case] told: &str,
) {
    let (aws, inbox) = (sim_aws(), Inbox::open());
    inbox.set_status(answer);
    let grant = "methods = [\"POST\"]\nallow_private = true\nheaders = { Authorization = { file = \
                 \"token\" } }";
    let hook = hook("chat", &format!("http://{}/", inbox.address), grant);
    let (ran, report) = other_systems(&aws, &hook, &["--probe"]);
    let [finding] = found(&report, "notifiers")[..] else { panic!("{report}") };
    assert_eq!((ran.code, finding.0), (code, status), "{finding:?}");
    assert!(finding.1.contains(told), "{finding:?}");
}

/// Grants that the component or the settings don't use are reported.
#[test]
fn grants_that_nothing_uses() {
    let (aws, inbox) = (sim_aws(), Inbox::open());
    let url = format!("http://{}/", inbox.address);
    let open =
        format!("[[notifiers.grants.http]]\nurl = \"{url}\"\nallow_private = true\nmethods = ");
    let checks = format!(
        "[[notifiers]]\nname = \"checks\"\nplugin = \"baseline-check\"\n[notifiers.settings]\n\
         name = {{ pattern = \"^a\" }}\n{open}[\"GET\"]\n"
    );
    let chat = hook("chat", &url, "allow_private = true\nmethods = [\"GET\", \"POST\"]");
    let chat = format!("{chat}[notifiers.grants]\nsupport_cases = [\"a\"]\n");
    let (ran, report) = other_systems(&aws, &(checks + &chat), &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let findings = found(&report, "notifiers");
    let warned: Vec<_> = findings.iter().filter(|finding| finding.0 == "warning").collect();
    let expected = [
        (
            "`checks`: it is granted HTTP, and sends no request",
            "remove its [[notifiers.grants.http]]",
        ),
        ("is granted GET, which no request of webhook with", "take GET out of its `methods`"),
        ("`chat`: it is granted the support cases a, and opens none", "remove its `support_cases`"),
    ];
    assert_eq!(warned.len(), expected.len(), "{findings:#?}");
    for (finding, (told, fix)) in warned.into_iter().zip(expected) {
        assert!(finding.1.contains(told) && finding.2.contains(fix), "{finding:?}");
    }
}
