//! `groundcrew plan` and `groundcrew explain`, as their users run them.

mod common;

use common::{Ran, groundcrew, root};
use serde_json::{Value, json};

const AT: &str = "2026-11-20T10:00:00Z";

fn plan(args: &[&str]) -> Ran {
    let common = ["plan", "--config", "groundcrew.toml", "--snapshot", "snapshot.json", "--at", AT];
    groundcrew(&root().join("tests/plan"), &[&common, args].concat())
}

fn explain(args: &[&str]) -> Ran {
    let common =
        ["explain", "--config", "groundcrew.toml", "--snapshot", "snapshot.json", "--at", AT];
    groundcrew(&root().join("tests/plan"), &[&common, args].concat())
}

/// A screen that fits, without colour.
fn screen(ran: &Ran) -> &str {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    assert!(!ran.stdout.contains('\u{1b}'));
    &ran.stdout
}

/// What took how long differs from run to run.
fn without_micros(screen: &str) -> String {
    let words = screen.split_inclusive(' ').collect::<Vec<_>>();
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        match words.get(index + 1).is_some_and(|next| next.starts_with("µs")) {
            true => out += "(… ",
            false => out += word,
        }
    }
    out
}

#[test]
fn a_plan_tells_lanes_reasons_and_what_a_monitored_policy_would_change() {
    insta::assert_snapshot!(screen(&plan(&[])));
}

#[test]
fn all_lists_every_account() {
    insta::assert_snapshot!(screen(&plan(&["--all"])));
}

#[test]
fn a_plan_for_programs() {
    let report = plan(&["--format", "json"]).json();
    assert_eq!(
        report["accounts"],
        json!({ "total": 6, "to_update": 3, "skipped": 1, "held": 0, "current": 1, "not_enrolled": 1 })
    );
    assert_eq!(report["time"], json!({ "seconds": 3000, "ends_at": "2026-11-20T10:50:00Z" }));
    assert_eq!(
        report["lanes"][1],
        json!({
            "name": "others", "accounts": 1, "concurrency": 1, "seconds": 1200,
            "starts_at": "2026-11-20T10:30:00Z", "ends_at": "2026-11-20T10:50:00Z",
        })
    );
    assert_eq!(
        report["decisions"][3],
        json!({
            "account": "100000000004", "name": "secret", "decision": "skip",
            "reason": "tags-unreadable", "policy": "managed",
        })
    );
    let monitored: Vec<&Value> = report["monitored"].as_array().unwrap().iter().collect();
    assert_eq!(
        monitored,
        [&json!({
            "account": "100000000003", "name": "sandbox", "decision": "skip",
            "reason": "untagged", "policy": "only-tagged",
        })]
    );
    assert!(report["order"].as_str().unwrap().contains("not promised"));
}

#[test]
fn an_account_is_explained() {
    insta::assert_snapshot!(without_micros(screen(&explain(&["--account", "100000000001"]))));
}

#[test]
fn a_monitored_policy_is_explained() {
    insta::assert_snapshot!(without_micros(screen(&explain(&["--account", "100000000003"]))));
}

#[test]
fn an_account_that_is_current_is_explained_as_if_it_were_not() {
    insta::assert_snapshot!(without_micros(screen(&explain(&["--account", "100000000005"]))));
}

#[test]
fn an_explanation_for_programs() {
    let report = explain(&["--account", "100000000004", "--format", "json"]).json();
    assert_eq!(report["account"]["tags"], Value::Null);
    assert!(report["account"]["tags_unreadable"].as_str().unwrap().contains("AccessDenied"));
    let answer = &report["answers"][0];
    assert_eq!((&answer["policy"], &answer["says"]), (&json!("managed"), &json!("skip")));
    assert_eq!(answer["digest"].as_str().unwrap().len(), 64);
    assert_eq!(report["decision"]["reason"], "tags-unreadable");
}

#[test]
fn what_is_not_there_is_named() {
    let ran = explain(&["--account", "999999999999"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("999999999999 is not in the organization"), "{}", ran.stderr);
    let ran = groundcrew(
        &root().join("tests/plan"),
        &["plan", "--config", "groundcrew.toml", "--snapshot", "none.json"],
    );
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("none.json"), "{}", ran.stderr);
}
