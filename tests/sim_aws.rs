//! `groundcrew sim-aws`: its banner, and its saved state.

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use common::server::Server;
use common::{CommandOutput, command, eventually, run_command};
use rstest::rstest;
use serde_json::{Value, json};

/// Five accounts: the first three are outdated, the fourth is current, the last is not enrolled.
fn organization(dir: &Path, update_seconds: u64) -> String {
    let accounts: Vec<Value> = (1..=5)
        .map(|number| {
            json!({ "id": format!("{number:012}"), "name": format!("account-{number}"),
                "ou": ["Workloads"], "update_seconds": update_seconds,
                "outdated": number != 4, "enrolled": number != 5,
                "artifact": match number { 4 => Some("pa-new"), 1 => Some("pa-old"), _ => None } })
        })
        .collect();
    let path = dir.join("organization.json");
    std::fs::write(&path, json!({ "accounts": accounts }).to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn products(aws: &Server) -> Vec<(String, String)> {
    let search = "AWS242ServiceCatalogService.SearchProvisionedProducts";
    let found = aws.call(search, &json!({}));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let products = found["ProvisionedProducts"].as_array().unwrap().clone();
    products.iter().map(|p| (text(&p["PhysicalId"]), text(&p["ProvisioningArtifactId"]))).collect()
}

/// The commands of the banner are enough to update exactly the outdated accounts.
#[test]
fn what_the_banner_shows_is_enough_to_work_with() {
    let dir = tempfile::tempdir().unwrap();
    let aws = Server::sim_aws_with(&["--snapshot", &organization(dir.path(), 1)]);
    let (_, config) = aws.banner.split_once("# --- config ---\n").unwrap();
    let (config, _) = config.split_once("# --- end of config ---").unwrap();
    std::fs::write(dir.path().join("groundcrew.toml"), config).unwrap();
    let variables: Vec<(&str, &str)> = (aws.banner.lines())
        .filter_map(|line| line.trim().strip_prefix("export "))
        .flat_map(|line| line.split(' '))
        .map(|variable| variable.split_once('=').unwrap())
        .collect();
    assert_eq!(variables.len(), 5, "{variables:?}");
    let run = |args: &[&str]| -> CommandOutput {
        run_command(command(dir.path()).envs(variables.iter().copied()).args(args))
    };
    for args in [&["check"][..], &["status"], &["sweep"], &["doctor"]] {
        let ran = run(args);
        assert_eq!(ran.code, 0, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
    }

    let outdated = ["000000000001", "000000000002", "000000000003"];
    let on: Vec<bool> = products(&aws).iter().map(|(_, artifact)| artifact == "pa-new").collect();
    assert_eq!(on, [false, false, false, true]);
    let mut service = command(dir.path());
    service.envs(variables.iter().copied()).args(["run", "--listen", "127.0.0.1:0"]);
    let _service = Server::spawn(&mut service);
    eventually("all are current", || {
        products(&aws).iter().all(|(_, artifact)| artifact == "pa-new")
    });
    let operations = aws.inspect("operations").as_array().unwrap().clone();
    let mut updated: Vec<_> = operations.iter().map(|o| o["account"].as_str().unwrap()).collect();
    updated.sort();
    assert_eq!(updated, outdated);

    // Each name in the banner exists.
    for line in aws.banner.lines().filter(|line| line.contains("/123456789012/groundcrew-")) {
        let url = line.split_whitespace().last().unwrap().trim_matches('"');
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        assert!(aws.call("AmazonSQS.GetQueueAttributes", &asked)["Attributes"].is_object());
    }
    assert!(aws.banner.contains("/_groundcrew/release-artifact"));
    assert_eq!(aws.end("INT"), Some(0));
}

#[test]
fn a_config_is_written_and_no_other_text_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.toml");
    let address = format!("127.0.0.1:{}", common::server::free_port());
    let options = ["--listen", &address, "--write-config", path.to_str().unwrap()];
    // Twice, since the second start finds the file of the first.
    for _ in 0..2 {
        let mut run = command(dir.path());
        let server = Server::start(run.arg("sim-aws").args(options), address.clone());
        let checked = run_command(command(dir.path()).args(["check", "--config", "my.toml"]));
        assert_eq!(checked.code, 0, "{}", checked.stderr);
        assert_eq!(server.end("TERM"), Some(0));
    }
    std::fs::write(&path, "# mine\n").unwrap();
    let refused = run_command(command(dir.path()).arg("sim-aws").args(options));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("my.toml: is there already"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
}

/// Starts an update, and leaves a message in flight, one waiting, an item, a case and a tag.
fn work(aws: &Server) {
    let catalog = |operation: &str, body: Value| {
        aws.call(&format!("AWS242ServiceCatalogService.{operation}"), &body)
    };
    let product = &catalog("SearchProvisionedProducts", json!({}))["ProvisionedProducts"][0];
    let keys = [
        "AccountEmail",
        "AccountName",
        "ManagedOrganizationalUnit",
        "SSOUserEmail",
        "SSOUserFirstName",
        "SSOUserLastName",
    ];
    let update = json!({
        "ProvisionedProductId": product["Id"], "ProductId": product["ProductId"],
        "ProvisioningArtifactId": "pa-new", "UpdateToken": "token",
        "ProvisioningParameters": keys.map(|key| json!({ "Key": key, "UsePreviousValue": true })),
    });
    catalog("UpdateProvisionedProduct", update);
    for body in ["first", "second"] {
        let message = json!({ "QueueUrl": aws.queue("updates.fifo"), "MessageBody": body,
            "MessageGroupId": body, "MessageDeduplicationId": body });
        aws.call("AmazonSQS.SendMessage", &message);
    }
    let receive = json!({ "QueueUrl": aws.queue("updates.fifo"), "VisibilityTimeout": 600 });
    assert_eq!(aws.call("AmazonSQS.ReceiveMessage", &receive)["Messages"][0]["Body"], "first");
    let item = json!({ "pk": { "S": "a" }, "sk": { "S": "b" }, "n": { "N": "1" } });
    aws.call("DynamoDB_20120810.PutItem", &json!({ "TableName": "groundcrew", "Item": item }));
    let case = json!({ "subject": "a case", "communicationBody": "b" });
    aws.call("AWSSupport_20130415.CreateCase", &case);
    let tag = json!({ "ResourceId": "000000000002", "Tags": [{ "Key": "k", "Value": "v" }] });
    aws.call("AWSOrganizationsV20161128.TagResource", &tag);
}

/// The state that can be read without changing anything.
fn seen(aws: &Server) -> Vec<Value> {
    let product = json!({ "ResourceId": "000000000002" });
    let items = json!({ "TableName": "groundcrew", "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": "a" } } });
    vec![
        aws.inspect("operations"),
        aws.inspect("cases"),
        aws.call("AWS242ServiceCatalogService.SearchProvisionedProducts", &json!({})),
        aws.call("DynamoDB_20120810.Query", &items),
        aws.call("AWSSupport_20130415.DescribeCases", &json!({})),
        aws.call("AWSOrganizationsV20161128.ListTagsForResource", &product),
        aws.call("AWSOrganizationsV20161128.ListAccounts", &json!({})),
    ]
}

#[rstest]
#[case::asked_to_end("TERM")]
#[case::killed("KILL")]
fn what_is_kept_goes_on(#[case] signal: &str) {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = organization(dir.path(), 3600);
    let state = dir.path().join("state.json");
    let with_state = ["--snapshot", &snapshot, "--state", state.to_str().unwrap()];
    let aws = Server::sim_aws_with(&with_state);
    assert!(aws.banner.contains("state.json"), "{}", aws.banner);
    work(&aws);
    let before = seen(&aws);
    assert_eq!(before[0][0]["end"], Value::Null, "the update is under way");
    if signal == "KILL" {
        // The last change, and all before it.
        eventually("it is kept", || {
            std::fs::read_to_string(&state).unwrap().contains(r#""tags":{"000000000002""#)
        });
    }
    assert_eq!(aws.end(signal), (signal == "TERM").then_some(0));
    let left: BTreeSet<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing but the lock is left beside it: {left:?}");
    assert!(left.contains(OsStr::new("state.json.lock")), "{left:?}");

    let aws = Server::sim_aws_with(&with_state);
    let told = format!("{} was not read", snapshot);
    assert!(aws.banner.contains(&told), "{}", aws.banner);
    assert_eq!(seen(&aws), before);
    // The first is still in flight, and both are known by their deduplication ids.
    let message = json!({ "QueueUrl": aws.queue("updates.fifo"), "MessageBody": "x",
        "MessageGroupId": "x", "MessageDeduplicationId": "second" });
    aws.call("AmazonSQS.SendMessage", &message);
    let receive = json!({ "QueueUrl": aws.queue("updates.fifo"), "MaxNumberOfMessages": 10 });
    let messages = aws.call("AmazonSQS.ReceiveMessage", &receive)["Messages"].clone();
    let bodies: Vec<_> = messages.as_array().unwrap().iter().map(|m| m["Body"].clone()).collect();
    assert_eq!(bodies, ["second"]);
}

/// Two processes with the same state would overwrite each other's.
#[test]
fn a_state_is_kept_by_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.json");
    let options = ["--accounts", "1", "--state", state.to_str().unwrap()];
    let aws = Server::sim_aws_with(&options);
    let second = run_command(
        command(dir.path())
            .args(["sim-aws", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null()),
    );
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another `groundcrew sim-aws` keeps"), "{}", second.stderr);
    assert_eq!(aws.end("KILL"), None);
    // A killed process leaves no lock behind.
    Server::sim_aws_with(&options);
}

/// A file that is not a state, or is damaged, is reported and never written to.
#[rstest]
#[case::nothing("", "no state of `groundcrew sim-aws`")]
#[case::something_else("{\"accounts\":[]}\n", "no state of `groundcrew sim-aws`")]
#[case::another_version("{\"groundcrew_sim_aws\":99,\"sha256\":\"\"}\n{}\n", "version 99")]
#[case::damaged("{\"groundcrew_sim_aws\":2,\"sha256\":\"00\"}\n{}\n", "damaged")]
fn a_wrong_state_is_left_as_it_is(#[case] text: &str, #[case] expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    std::fs::write(&path, text).unwrap();
    let ran = run_command(
        command(dir.path())
            .args(["sim-aws", "--listen", "127.0.0.1:0", "--state", "state.json"])
            .stdin(Stdio::null()),
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for part in ["state.json: ", expected, "name another file with --state, or move it away"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_state_that_can_not_be_written_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_command(command(dir.path()).args(["sim-aws", "--state", "nowhere/state.json"]));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("nowhere/state.json: can't be written"), "{}", ran.stderr);
}
