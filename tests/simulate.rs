//! `groundcrew simulate`: the whole host against the simulated AWS, run as a user does.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{groundcrew, policy, root};
use groundcrew_testkit::components;
use rstest::rstest;
use serde_json::{Value, json};

fn simulate(args: &[&str]) -> Value {
    let args = [&["simulate", "--format", "json"], args].concat();
    groundcrew(&root(), &args).findings()
}

fn with_snapshot(config: &str, snapshot: &Value) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot.json");
    std::fs::write(&path, snapshot.to_string()).unwrap();
    simulate(&["--config", &policy(config), "--snapshot", path.to_str().unwrap()])
}

fn account(number: usize, tags: Value, seconds: u64) -> Value {
    json!({
        "id": format!("{:012}", 100_000_000_000 + number as u64),
        "name": format!("account-{number}"),
        "email": format!("account-{number}@example.com"),
        "ou": ["Workloads", "Prod"],
        "tags": tags,
        "outdated": true,
        "status": "AVAILABLE",
        "update_seconds": seconds,
    })
}

fn managed() -> Value {
    json!({ "account-factory-managed": "true" })
}

/// Runs of the timeline as (start, end) by lane, in order of their starts.
fn runs(report: &Value) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut lanes: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for run in report["timeline"].as_array().unwrap() {
        let (start, end) = (run["start_s"].as_f64().unwrap(), run["end_s"].as_f64().unwrap());
        lanes.entry(run["lane"].as_str().unwrap().into()).or_default().push((start, end));
    }
    for runs in lanes.values_mut() {
        runs.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    lanes
}

/// The accounts that are outdated in a snapshot are updated, and no others, whatever artifacts it
/// names.
#[rstest]
#[case::no_artifact_is_named([None, None, None, None], None)]
#[case::all_are([Some("pa-old"), Some("pa-new"), Some("pa-older"), Some("pa-new")], None)]
#[case::with_a_target([Some("pa-old"), None, None, Some("pa-new")], Some("pa-new"))]
fn exactly_what_is_outdated_is_updated(
    #[case] artifacts: [Option<&str>; 4],
    #[case] target: Option<&str>,
) {
    let accounts: Vec<Value> = (artifacts.iter().enumerate())
        .map(|(number, artifact)| {
            let mut account = account(number, managed(), 600);
            account["outdated"] = json!(number % 2 == 0);
            account["artifact"] = json!(artifact);
            account
        })
        .collect();
    let target = target.map(|id| json!({ "product": "prod-a", "artifact": id, "name": "a" }));
    let report = with_snapshot("all-accounts", &json!({ "accounts": accounts, "target": target }));
    let counts = &report["accounts"];
    assert_eq!([&counts["updated"], &counts["current"], &counts["failed"]], [2, 2, 0], "{counts}");
    let mut updated: Vec<_> = (report["timeline"].as_array().unwrap().iter())
        .map(|run| run["account"].as_str().unwrap())
        .collect();
    updated.sort_unstable();
    assert_eq!(updated, ["100000000000", "100000000002"]);
}

/// The reference text's own example: concurrency 4, five tagged and five untagged accounts.
#[test]
fn five_tagged_and_five_untagged_step_by_step() {
    let seconds = [900, 1200, 1500, 1800, 700, 600, 650, 700, 750, 800];
    let accounts: Vec<Value> = (0..10)
        .map(|n| account(n, if n < 5 { managed() } else { json!({}) }, seconds[n]))
        .collect();
    let report = with_snapshot("priority", &json!({ "accounts": accounts }));

    let lanes = runs(&report);
    let (tagged, others) = (&lanes["tagged"], &lanes["others"]);
    assert_eq!((tagged.len(), others.len()), (5, 5));
    // Four tagged accounts start at once.
    let first_end = tagged.iter().map(|run| run.1).fold(f64::MAX, f64::min);
    assert!(tagged[..4].iter().all(|run| run.0 < first_end));
    // When one finishes, the fifth starts at once: still four, all tagged.
    assert!(tagged[4].0 > first_end && tagged[4].0 < first_end + 10.0, "{tagged:?}");
    // Only when all tagged accounts have finished does the first untagged one start.
    let last_end = tagged.iter().map(|run| run.1).fold(0.0, f64::max);
    assert!(others[0].0 > last_end);
    // The untagged continue one at a time until all are done.
    for pair in others.windows(2) {
        assert!(pair[1].0 > pair[0].1, "{others:?}");
    }
    assert_eq!(
        report["accounts"],
        json!({ "total": 10, "current": 0, "updated": 10, "to_update": 0, "skipped": 0, "held": 0,
                "failed": 0, "not_enrolled": 0, "closed": 0 })
    );
    assert_eq!(report["lanes"][0]["max_concurrent"], 4);
    assert_eq!(report["lanes"][1]["max_concurrent"], 1);
    assert_eq!(report["operations"]["max_concurrent"], 4);
    assert_eq!(report["alerts"], json!([]));
}

#[rstest]
#[case::all("all-accounts", 4, &[])]
#[case::tagged_only("tagged-only", 1, &["tags-unreadable", "untagged", "untagged"])]
#[case::priority("priority", 3, &["tags-unreadable"])]
fn the_three_modes(#[case] config: &str, #[case] updated: usize, #[case] skipped: &[&str]) {
    let accounts = json!([
        account(0, managed(), 600),
        account(1, json!({ "account-factory-managed": "false" }), 600),
        account(2, json!({}), 600),
        account(3, Value::Null, 600),
    ]);
    let report = with_snapshot(config, &json!({ "accounts": accounts }));
    assert_eq!(report["accounts"]["updated"], updated);
    let mut reasons: Vec<&str> = report["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|decision| decision["decision"] == "skip")
        .map(|decision| decision["reason"].as_str().unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, skipped);
}

#[test]
fn accounts_that_are_current_are_left_alone() {
    let mut current = account(0, managed(), 600);
    current["outdated"] = json!(false);
    let accounts = json!([current, account(1, managed(), 600)]);
    let report = with_snapshot("all-accounts", &json!({ "accounts": accounts }));
    assert_eq!(report["accounts"]["current"], 1);
    assert_eq!(report["accounts"]["updated"], 1);
    assert_eq!(report["aws_calls"]["UpdateProvisionedProduct"], 1);
}

#[rstest]
#[case::none("none", &[1, 2])]
#[case::light("light", &[1, 2, 3])]
#[case::heavy("heavy", &[1, 2, 3, 4, 5, 6])]
fn every_account_ends_in_exactly_one_state(#[case] faults: &str, #[case] seeds: &[u64]) {
    for seed in seeds {
        let seed = seed.to_string();
        let args = [
            "--config",
            &policy("priority"),
            "--accounts",
            "60",
            "--faults",
            faults,
            "--seed",
            &seed,
        ];
        let report = simulate(&args);
        let replay = format!("replay: groundcrew simulate {}", args.join(" "));
        let of = |key: &str| report["accounts"][key].as_u64().unwrap();
        let ends = of("current") + of("updated") + of("skipped") + of("held") + of("failed");
        assert_eq!(ends, 60, "{replay}");
        assert_eq!(of("held") + of("to_update"), 0, "{replay}");
        assert!(report["operations"]["max_concurrent"].as_u64().unwrap() <= 4, "{replay}");
        // Each dead-lettered account causes one alert.
        let alerts: Vec<&str> = report["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| alert["subject"].as_str().unwrap())
            .filter(|subject| {
                subject.starts_with("Update of account") && subject.ends_with("failed")
            })
            .collect();
        assert_eq!(alerts.len() as u64, of("failed"), "{replay}");
        assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len(), "{replay}");
        // A later lane starts nothing while an earlier one is open.
        let lanes = runs(&report);
        if let (Some(tagged), Some(others)) = (lanes.get("tagged"), lanes.get("others")) {
            let end = tagged.iter().map(|run| run.1).fold(0.0, f64::max);
            assert!(others[0].0 >= end, "{replay}");
        }
    }
}

#[rstest]
#[case("none")]
#[case("heavy")]
fn the_same_seed_gives_the_same_run(#[case] faults: &str) {
    let run = |seed: &str| {
        let mut report = simulate(&["--accounts", "40", "--faults", faults, "--seed", seed]);
        report["time"].as_object_mut().unwrap().remove("real_seconds");
        report
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

#[test]
fn close_to_the_list_schedule() {
    let report = simulate(&["--config", &policy("priority"), "--accounts", "300"]);
    let time = &report["time"];
    let ratio =
        time["virtual_seconds"].as_f64().unwrap() / time["lower_bound_seconds"].as_f64().unwrap();
    assert!((1.0..=1.005).contains(&ratio), "{ratio}");
}

/// A plugin that loops for ever, traps, takes all memory or returns an invalid result: the accounts
/// are skipped with that reason, an alert reports it, and the run completes.
#[rstest]
#[case::loops("(loop $again (br $again))", "policy-failed: timeout")]
#[case::traps("(unreachable)", "policy-failed: trap")]
#[case::takes_all_memory(
    "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
    "policy-failed: memory"
)]
#[case::answers_nonsense(
    "(i32.store8 (i32.const 72) (i32.const 9))",
    "policy-failed: invalid-result"
)]
fn a_broken_plugin_means_skip(#[case] evaluate: &'static str, #[case] reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    let broken = components::PolicyComponent { evaluate, ..components::ABSTAIN };
    std::fs::write(dir.path().join("broken.wasm"), broken.build()).unwrap();
    let config = "[[policies]]\nplugin = \"./broken.wasm\"\nlimits = { timeout = \"100ms\" }\n";
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let args = ["simulate", "--format", "json", "--config", "crew.toml", "--accounts", "6"];
    let report = groundcrew(dir.path(), &args).findings();
    assert_eq!(report["accounts"]["skipped"], 6);
    assert_eq!(report["operations"]["started"], 0);
    let reasons: Vec<&str> = report["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| decision["reason"].as_str().unwrap())
        .collect();
    assert!(reasons.contains(&reason), "{reasons:?}");
    assert_eq!(report["alerts"], json!([{ "subject": "Policy broken fails" }]));
}

#[rstest]
#[case("create-managed-account-failed")]
#[case("create-managed-account-succeeded")]
#[case("update-landing-zone-succeeded")]
#[case("update-managed-account-succeeded")]
#[case("update-provisioning-artifact")]
fn events_that_aws_sends_disturb_nothing(#[case] event: &str) {
    let event = format!("tests/events/{event}.json");
    let report = simulate(&["--accounts", "3", "--event", &event, "--event", &event]);
    assert_eq!(report["accounts"]["updated"], 3);
    assert_eq!(report["operations"]["started"], 3);
    assert_eq!(report["alerts"], json!([]));
}

#[test]
fn an_event_that_cannot_be_read_is_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let event = dir.path().join("event.json");
    std::fs::write(&event, "{\"source\":\"aws.controltower\"}").unwrap();
    let report = simulate(&["--accounts", "2", "--event", event.to_str().unwrap()]);
    assert_eq!(report["alerts"], json!([{ "subject": "An event can't be read" }]));
    assert_eq!(report["accounts"]["updated"], 2);
}

#[test]
fn the_summary_is_readable_at_80_columns() {
    let args = ["simulate", "--config", &policy("priority"), "--accounts", "20"];
    let ran = groundcrew(&root(), &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in
        ["lane", "tagged", "others", "accounts", "lower bound", "AWS calls", "timeline", "slot 4"]
    {
        assert!(ran.stdout.contains(part), "no `{part}` in:\n{}", ran.stdout);
    }
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "over 80 columns: {line}");
    }
    assert!(ran.stderr.contains("100%"), "no progress: {}", ran.stderr);
}

#[rstest]
#[case(&["--snapshot", "nowhere.json"], "nowhere.json: the snapshot can't be read")]
#[case(&["--config", "nowhere.toml"], "nowhere.toml: the config can't be read")]
#[case(&["--event", "nowhere.json"], "nowhere.json: the event can't be read")]
#[case(&["--tagged-percent", "101"], "101")]
fn what_cannot_be_used_is_a_usage_error(#[case] args: &[&str], #[case] told: &str) {
    let ran = groundcrew(&root(), &[&["simulate"], args].concat());
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

/// Notifiers are notified of the accounts that events report, and not of existing ones.
#[rstest]
#[case::nothing_else_to_do("0", 0)]
#[case::beside_an_update("3", 3)]
fn an_account_that_lands_is_told_of_once(#[case] accounts: &str, #[case] recorded: usize) {
    let event = "tests/events/create-managed-account-succeeded.json";
    let report = simulate(&[
        "--config",
        &policy("ams-onboarding"),
        "--accounts",
        accounts,
        "--event",
        event,
        "--event",
        event,
    ]);
    let (told, others): (Vec<_>, Vec<_>) = report["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .partition(|notification| notification["outcome"] == "told");
    let [told] = told.as_slice() else { panic!("{report}") };
    assert_eq!((&told["notifier"], &told["account"]), (&json!("ams"), &json!("111122223333")));
    assert!(told["reference"].as_str().unwrap().starts_with("case-"), "{told}");
    assert_eq!(others.len(), recorded);
    assert!(others.iter().all(|notification| notification["outcome"] == "recorded"), "{report}");
    assert_eq!(report["aws_calls"]["CreateCase"], 1);
    assert_eq!(report["alerts"], json!([]));
}

/// Two canaries, one of which fails for good, and two others after them.
fn rollout(lane: &str, canary_lane: &str) -> Value {
    let config = format!(
        r#"
[updates]
max_attempts = 2
[[lanes]]
name = "canary"
{canary_lane}
[[lanes]]
name = "prod"
{lane}
[[policies]]
plugin = "managed-tag"
[policies.settings]
tag_key = "account-factory-managed"
tag_value = "true"
priority_mode = true
"#
    );
    let mut failing = account(0, managed(), 600);
    failing["update_failures"] = json!(["a stack set instance failed", "and again"]);
    let accounts = [
        failing,
        account(1, managed(), 600),
        account(2, json!({}), 600),
        account(3, json!({}), 600),
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let snapshot = json!({ "accounts": accounts }).to_string();
    std::fs::write(dir.path().join("snapshot.json"), snapshot).unwrap();
    let args =
        ["simulate", "--config", "crew.toml", "--snapshot", "snapshot.json", "--format", "json"];
    groundcrew(dir.path(), &args).findings()
}

/// Updated, failed, and still to be updated.
fn counts(report: &Value) -> (u64, u64, u64) {
    let count = |what: &str| report["accounts"][what].as_u64().unwrap();
    (count("updated"), count("failed"), count("to_update"))
}

#[test]
fn without_a_gate_failed_canaries_stop_nothing() {
    let report = rollout("", "");
    assert_eq!(counts(&report), (3, 1, 0));
    assert_eq!(report["waiting"], Value::Null);
}

#[test]
fn failed_canaries_stop_production_where_it_asks_for_success() {
    let report = rollout("start_when = \"succeeded\"", "");
    assert_eq!(counts(&report), (1, 1, 2));
    assert_eq!(report["waiting"]["lane"], "prod");
    let why = report["waiting"]["why"].as_str().unwrap();
    assert!(why.contains("1 account of `canary` failed"), "{why}");
}

#[test]
fn failures_in_a_row_pause_a_lane_with_an_alert() {
    let report = rollout("", "concurrency = 1\nfailure_threshold = 1");
    // The first failure of the first canary: no update after it is started.
    assert_eq!(counts(&report), (0, 0, 4));
    let why = report["waiting"]["why"].as_str().unwrap();
    assert!(why.contains("lane `canary` is paused: failed updates in a row: 1"), "{why}");
    let subjects: Vec<&str> = report["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["subject"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["Lane canary is paused"]);
}

#[test]
fn a_lane_soaks_after_those_before_it() {
    let report = rollout("soak = \"2h\"", "");
    let lanes = report["lanes"].as_array().unwrap();
    let ended = lanes[0]["last_finish_s"].as_f64().unwrap();
    let began = lanes[1]["first_start_s"].as_f64().unwrap();
    assert!((ended + 7200.0..ended + 7300.0).contains(&began), "{ended} {began}");
}

/// A CI pipeline stops for failures, and for nothing else.
#[rstest]
#[case::all_is_well("", json!([]), 0)]
#[case::an_account_fails("", json!(["no", "no"]), 1)]
#[case::a_policy_fails("[[policies]]\nplugin = \"./fails.rego\"\n", json!([]), 1)]
#[case::usage("[nonsense]\n", json!([]), 2)]
fn exit_codes(#[case] policies: &str, #[case] failures: Value, #[case] code: i32) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("crew.toml", &format!("[updates]\nmax_attempts = 2\n{policies}"));
    write("fails.rego", "package fails\n\ndecision := concat(\"\", [\"non\", \"sense\"])\n");
    let mut account = account(0, managed(), 600);
    account["update_failures"] = failures;
    write("snapshot.json", &json!({ "accounts": [account] }).to_string());
    let args = ["simulate", "--config", "crew.toml", "--snapshot", "snapshot.json"];
    let ran = groundcrew(dir.path(), &args);
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
}

/// Accounts that a policy holds until a moment are updated after it, which does not count as a
/// delay of the host.
#[test]
fn a_rehearsal_from_a_moment_on_takes_holds_into_the_lower_bound() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("crew.toml", "[[policies]]\nplugin = \"./freeze.rego\"\n");
    write(
        "freeze.rego",
        "package freeze\n\ndefault decision := \"abstain\"\n\nover := time.parse_rfc3339_ns(\"2026-12-27T00:00:00Z\")\n\n\
         decision := {\"hold\": \"freeze\", \"until\": over} if input.now_ns < over\n",
    );
    write("snapshot.json", &json!({ "accounts": [account(0, managed(), 600)] }).to_string());
    let run = |at: &str| {
        let args = ["simulate", "--config", "crew.toml", "--snapshot", "snapshot.json", "--at", at];
        groundcrew(dir.path(), &[&args[..], &["--format", "json"]].concat()).json()
    };
    let frozen = run("2026-12-24T00:00:00Z");
    assert_eq!(frozen["at"], "2026-12-24T00:00:00Z");
    assert_eq!(frozen["first_decisions"][0]["until"], "2026-12-27T00:00:00Z");
    let time = |name: &str| frozen["time"][name].as_f64().unwrap();
    let bound = time("lower_bound_seconds");
    assert!((3.0 * 86_400.0 + 600.0..3.0 * 86_400.0 + 700.0).contains(&bound), "{bound}");
    assert!((bound..bound * 1.02).contains(&time("virtual_seconds")), "{frozen}");
    let open = run("2026-12-28T00:00:00Z");
    assert_eq!(open["first_decisions"][0]["decision"], "proceed");
}
