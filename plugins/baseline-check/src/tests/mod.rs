//! Findings, their actions, and which settings are wrong.

mod actions;
mod found;
mod properties;
mod settings;

use groundcrew_sdk::{
    Account, Cause, Context, GateDecision, Hold, Notification, Notifier, OrganizationalUnit,
    Problem, Tag, Tags,
};
use serde_json::{Value, json};

use crate::{BaselineCheck, Settings};

/// 2026-01-02T03:00:00Z
const JOINED: i64 = 1_767_322_800;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn known(pairs: &[(&str, &str)]) -> Tags {
    Tags::Known(pairs.iter().map(|&(key, value)| Tag::new(key, value)).collect())
}

fn unreadable() -> Tags {
    Tags::Unreadable("AccessDeniedException\nrequest 7".to_owned())
}

/// OUs by their names. The id of each contains its position: `ou-abcd-00000000`, and so on.
fn units(names: &[&str]) -> Vec<OrganizationalUnit> {
    let id = |at| format!("ou-abcd-{at:08}");
    let unit =
        |(at, name): (usize, &&str)| OrganizationalUnit { id: id(at), name: (*name).to_owned() };
    names.iter().enumerate().map(unit).collect()
}

fn of(account: Account) -> Notification {
    Notification {
        annotations: vec![],
        key: "onboard/111122223333/baseline".to_owned(),
        cause: Cause::Lifecycle,
        account,
        event: None,
        now: JOINED + MINUTE,
        attempt: 1,
    }
}

/// An account without findings.
fn account() -> Account {
    Account {
        id: "111122223333".to_owned(),
        name: "payments-prod".to_owned(),
        email: "aws+payments@example.com".to_owned(),
        organizational_units: units(&["Workloads", "Prod"]),
        tags: known(&[("cost-center", "4711"), ("environment", "prod"), ("owner", "payments")]),
        joined: Some(JOINED),
        state: groundcrew_sdk::AccountState::Active,
    }
}

fn configure(settings: Value) -> Result<BaselineCheck, Vec<Problem>> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    BaselineCheck::configure(settings, &Context { lanes: vec![] })
}

/// The receipt's reference, and the gate decision.
fn ask(settings: Value, notification: &Notification) -> (String, GateDecision) {
    let check = configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    let receipt = check.notify(notification).unwrap();
    (receipt.reference, receipt.decision)
}

/// The texts of the findings, all of which annotate.
fn findings(mut settings: Value, account: Account) -> Vec<String> {
    settings["on_unreadable"] = "annotate".into();
    match ask(settings, &of(account)).1 {
        GateDecision::Go => vec![],
        GateDecision::Annotate(lines) => lines,
        other => panic!("{other:?}"),
    }
}

/// All checks.
fn all() -> Value {
    json!({
        "tags": {
            "cost-center": { "pattern": "^[0-9]{4}$" },
            "environment": { "allowed": ["prod", "test"] },
            "owner": {},
        },
        "ou": { "expected": ["Workloads/*"] },
        "name": { "pattern": "^[a-z0-9-]+$" },
        "email": { "pattern": r"^aws\+[a-z0-9-]+@example\.com$" },
    })
}

/// The finding about that account when a tag `team` is required.
const MISSING: &str = "tag `team` is missing";

fn hold(until: i64, reason: &str) -> GateDecision {
    GateDecision::Hold(Hold { until, reason: reason.to_owned() })
}

fn annotate(line: &str) -> GateDecision {
    GateDecision::Annotate(vec![line.to_owned()])
}

fn stop(reason: &str) -> GateDecision {
    GateDecision::Stop(reason.to_owned())
}
