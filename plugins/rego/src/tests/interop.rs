//! An independent engine gives the same results: regopy, by `tests/interop/rego.py`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use groundcrew_sdk::{Candidate, Policy as _, PolicyDecision};
use rstest::rstest;
use serde_json::{Map, Value, json};

use super::cases::{ready_made, with_defaults};
use super::{fleet, lanes, policies, read};
use crate::{Rego, Settings, decision, input};

/// The number of candidates for each script.
const FLEET: usize = 250;
const LANES: [&str; 3] = ["canary", "test", "prod"];

/// The value of the rule `decision` in regopy; `None` where it fails.
fn regopy(
    script: &str,
    rule: &str,
    data: &Value,
    fleet: &[Candidate],
) -> Vec<Option<PolicyDecision>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make interop`", python.display());
    let mut child = Command::new(python)
        .arg(root.join("tests/interop/rego.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut asked = format!("{}\n", json!({ "script": script, "rule": rule, "data": data }));
    for candidate in fleet {
        asked.push_str(
            &input::from_candidate(candidate).unwrap().to_json_str().unwrap().replace('\n', " "),
        );
        asked.push('\n');
    }
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "tests/interop/rego.py failed: run `make interop`");
    let answer = |line: &str| match serde_json::from_str::<Value>(line).unwrap() {
        json if json == json!({ "error": true }) => None,
        json if json == json!({ "undefined": true }) => None,
        json => decision::parse(&regorus::Value::from(json)).ok(),
    };
    String::from_utf8(output.stdout).unwrap().lines().map(answer).collect()
}

/// Evaluates with both, and returns how often each kind of result occurred: abstain, proceed, skip,
/// hold, failure.
fn compare(
    policy: &Rego,
    script: &str,
    rule: &str,
    data: Map<String, Value>,
    seed: u64,
) -> [usize; 5] {
    let mut data = Value::Object(data);
    data["lanes"] = json!(LANES);
    let fleet: Vec<_> = fleet::candidates(seed).take(FLEET).collect();
    let theirs = regopy(script, rule, &data, &fleet);
    assert_eq!(theirs.len(), fleet.len());
    let mut kinds = [0; 5];
    for (candidate, theirs) in fleet.iter().zip(theirs) {
        let ours = policy.evaluate(candidate);
        kinds[match &ours {
            Ok(PolicyDecision::Abstain) => 0,
            Ok(PolicyDecision::Proceed(_)) => 1,
            Ok(PolicyDecision::Skip(_)) => 2,
            Ok(PolicyDecision::Hold(_)) => 3,
            Err(_) => 4,
        }] += 1;
        assert_eq!(ours.as_ref().ok(), theirs.as_ref(), "{ours:?}\n{candidate:#?}");
    }
    kinds
}

#[rstest]
#[case::rings("ring-rollout", json!({ "canaries": ["000000000003"], "canary_ous": ["Pilots"] }))]
#[case::rings_with_default(
    "ring-rollout",
    json!({ "default_lane": "prod", "canary_lane": "test", "rings": [
        { "lane": "test", "environments": ["dev", "Prod"] },
        { "lane": "prod", "ous": ["ou-prod", "Straße 7"] },
    ] })
)]
// regopy 1.5.2 can't parse a time that ends in `Z`, therefore `+00:00` here.
#[case::windows("maintenance-window", json!({
    "timezone": "Europe/Berlin",
    "windows": [
        { "days": ["Friday", "Saturday"], "start": "22:00", "end": "04:00" },
        { "days": ["Tuesday", "Sunday"], "start": "02:30", "end": "24:00" },
    ],
    "freezes": [
        { "name": "a", "from": "2026-12-18T00:00:00+00:00", "until": "2027-01-02T00:00:00+00:00" },
        { "name": "b", "from": "2027-01-01T00:00:00+01:00", "until": "2027-03-04T00:00:00+01:00" },
    ],
}))]
#[case::windows_elsewhere("maintenance-window", json!({
    "timezone": "America/New_York",
    "windows": [{ "days": ["Sunday"], "start": "01:30", "end": "02:30" }],
}))]
#[case::exclusions("exclusions", json!({
    "ous": ["Suspended", "ou-dev"], "names": ["^sandbox-", "-legacy$"], "min_age_days": 7,
}))]
#[case::exclusions_that_skip("exclusions", json!({ "min_age_days": 14, "too_young": "skip" }))]
#[case::onboarding("onboard-by-ou", json!({
    "ous": ["Workloads", "ou-prod"], "except_names": ["^tmp-"],
}))]
fn the_ready_made_scripts(#[case] stem: &str, #[case] over: Value) {
    let Value::Object(over) = over else { panic!("{over}") };
    let file = format!("{stem}.rego");
    let path = policies().join(&file);
    let data = with_defaults(&path, over.clone());
    let policy = ready_made(&file, over, lanes(&LANES).lanes);
    let rule = format!("data.{}.decision", stem.replace('-', "_"));
    let kinds = compare(&policy, &read(&path), &rule, data, 1);
    assert_eq!(kinds[4], 0, "no candidate is a failure: {kinds:?}");
    assert!(kinds.iter().filter(|&&count| count > 0).count() > 1, "{kinds:?}");
}

/// If one engine fails, so does the other.
#[test]
fn the_language() {
    let script = include_str!("tour.rego");
    let steps: Map<_, _> = (0..20).map(|id| (format!("{id:012}"), (id % 12).into())).collect();
    let data = json!({
        "steps": steps,
        "limits": { "high": 2 },
        "zones": ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"],
    });
    let Value::Object(data) = data else { panic!("{data}") };
    let settings = Settings {
        file: "tour.rego".to_owned(),
        script: script.to_owned(),
        data: data.clone(),
        coverage: false,
    };
    let policy = Rego::configure(settings, &lanes(&LANES)).unwrap_or_else(|p| panic!("{p:?}"));
    let rule = r#"data.tour["of-all"].things.decision"#;
    for seed in 0..4 {
        let kinds = compare(&policy, script, rule, data.clone(), seed);
        assert!(kinds[0] > 0 && kinds[2] > 0 && kinds[4] > 0, "{kinds:?}");
    }
}
