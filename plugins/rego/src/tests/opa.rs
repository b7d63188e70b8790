//! Built-in functions answer as Open Policy Agent's do, but for those that are documented.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::BUILTINS;
use rstest::rstest;
use serde_json::Value;

use super::{lanes, policies, read, settings};
use crate::script::{Moment, Script};

/// What OPA answers, by `tests/peers/opa.py`.
const CASES: &str = include_str!("opa/builtins.txt");

/// The calls of the table, and what OPA makes of each: JSON, `undefined` or `error`.
fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(" => ").unwrap_or_else(|| panic!("no ` => `: {line}")))
}

/// What groundcrew makes of a call, in the same form.
fn answer(call: &str) -> String {
    let script = format!("package test\n\ndecision := \"abstain\"\nx := {call}\n");
    let Ok(script) = Script::new(settings(&script, serde_json::json!({})), &lanes(&[])) else {
        return "error".to_owned();
    };
    match script.evaluate("x", regorus::Value::Undefined, Moment::NONE) {
        Err(_) => "error".to_owned(),
        Ok(regorus::Value::Undefined) => "undefined".to_owned(),
        Ok(value) => value.to_json_str().unwrap(),
    }
}

fn is_same(ours: &str, theirs: &str) -> bool {
    let parsed = |text: &str| regorus::Value::from_json_str(text).ok();
    ours == theirs || parsed(ours).zip(parsed(theirs)).is_some_and(|(ours, theirs)| ours == theirs)
}

#[test]
fn explore() {
    for (call, theirs) in cases() {
        let ours = std::panic::catch_unwind(|| answer(call)).unwrap_or_else(|_| "PANIC".to_owned());
        if !is_same(&ours, theirs) {
            println!("{call} => {theirs} BUT {}", ours.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
