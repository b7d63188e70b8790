//! The ready-made scripts pass the test cases beside them.

use std::collections::BTreeSet;
use std::path::Path;

use groundcrew_sdk::{
    AccountState, Action, Candidate, Cause, Context, OrganizationalUnit, Policy as _,
    PolicyDecision, ProductStatus, Tag, Tags, Timestamp,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{candidate, policies, read};
use crate::{Rego, Settings};

/// A file of test cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    #[serde(default)]
    pub(super) plugin: String,
    /// A whole config instead of a plugin: not tested here.
    #[serde(default, rename = "config")]
    _config: String,
    #[serde(default)]
    lanes: Vec<String>,
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    candidate: Asked,
    expect: Expected,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    action: Option<String>,
    cause: Option<String>,
    now: Option<String>,
    account: AskedAccount,
    product: Option<AskedProduct>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AskedAccount {
    id: Option<String>,
    name: Option<String>,
    email: Option<String>,
    ou: Vec<String>,
    #[serde(default)]
    ou_ids: Vec<String>,
    tags: Map<String, Value>,
    tags_unreadable: Option<String>,
    joined: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedProduct {
    status: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    decision: String,
    lane: Option<String>,
    reason: Option<String>,
    until: Option<String>,
}

fn seconds(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_second()
}

impl Asked {
    fn candidate(&self) -> Candidate {
        let Candidate { mut account, product, .. } = candidate();
        let its = &self.account;
        account.id = its.id.clone().unwrap_or(account.id);
        account.name = its.name.clone().unwrap_or(account.name);
        account.email = its.email.clone().unwrap_or(account.email);
        account.joined = its.joined.as_deref().map(seconds);
        account.state = match its.state.as_deref() {
            None | Some("ACTIVE") => AccountState::Active,
            Some("SUSPENDED") => AccountState::Suspended,
            Some(other) => panic!("no case has the state {other}"),
        };
        let unit = |(index, name): (usize, &String)| OrganizationalUnit {
            id: match its.ou_ids.get(index) {
                Some(id) => id.clone(),
                None => format!("ou-{}", name.to_lowercase()),
            },
            name: name.clone(),
        };
        account.organizational_units = its.ou.iter().enumerate().map(unit).collect();
        let tag = |(key, value): (&String, &Value)| Tag::new(key, value.as_str().unwrap());
        account.tags = match &its.tags_unreadable {
            Some(why) => Tags::Unreadable(why.clone()),
            None => Tags::Known(its.tags.iter().map(tag).collect()),
        };
        let action = match self.action.as_deref().unwrap_or("update") {
            "onboard" => Action::Onboard,
            "update" => Action::Update,
            "vend" => Action::Vend,
            other => panic!("no action is called {other}"),
        };
        let usual = if action == Action::Onboard { "lifecycle" } else { "artifact" };
        let cause = match self.cause.as_deref().unwrap_or(usual) {
            "artifact" => Cause::Artifact,
            "lifecycle" => Cause::Lifecycle,
            other => panic!("{other}: not needed so far"),
        };
        let product = self.product.as_ref().and_then(|asked| {
            assert_eq!(asked.status, "AVAILABLE", "another status was not needed so far");
            product.map(|product| groundcrew_sdk::ProvisionedProduct {
                status: ProductStatus::Available,
                ..product
            })
        });
        let now = seconds(self.now.as_deref().unwrap_or("2026-01-01T00:00:00Z"));
        Candidate { action, cause, account, product, event: None, now }
    }
}

impl Expected {
    /// Panics if the decision differs.
    fn check(&self, name: &str, decision: &PolicyDecision) {
        let (kind, lane, reason, until) = match decision {
            PolicyDecision::Abstain => ("abstain", None, None, None),
            PolicyDecision::Proceed(lane) => ("proceed", lane.as_deref(), None, None),
            PolicyDecision::Skip(reason) => ("skip", None, Some(reason), None),
            PolicyDecision::Hold(hold) => {
                ("hold", hold.lane.as_deref(), Some(&hold.reason), Some(hold.until))
            }
        };
        assert_eq!(kind, self.decision, "{name}: {decision:?}");
        if let Some(expected) = &self.lane {
            assert_eq!(lane, Some(expected.as_str()), "{name}");
        }
        if let Some(expected) = &self.reason {
            let pattern = regex::Regex::new(expected).unwrap();
            assert!(reason.is_some_and(|reason| pattern.is_match(reason)), "{name}: {reason:?}");
        }
        if let Some(expected) = &self.until {
            let until = until.and_then(|until| jiff::Timestamp::from_second(until).ok());
            assert_eq!(until, Some(expected.parse().unwrap()), "{name}");
        }
    }
}

/// The data beside a script, overridden by the settings of a config.
pub(super) fn with_defaults(script: &Path, over: Map<String, Value>) -> Map<String, Value> {
    let path = script.with_extension("data.toml");
    let mut data: Map<String, Value> =
        if path.exists() { toml::from_str(&read(&path)).unwrap() } else { Map::new() };
    data.extend(over);
    data
}

/// One of the ready-made scripts, by its file name.
pub(super) fn ready_made(file: &str, data: Map<String, Value>, lanes: Vec<String>) -> Rego {
    let path = policies().join(file);
    let data = with_defaults(&path, data);
    let settings = Settings { file: file.to_owned(), script: read(&path), data, coverage: false };
    Rego::configure(settings, &Context { lanes })
        .unwrap_or_else(|problems| panic!("{file}: {problems:?}"))
}

/// Panics if a case fails.
pub(super) fn check(suite_name: &str, policy: &Rego, suite: &Suite) {
    for case in &suite.cases {
        let name = format!("{suite_name}: {}", case.name);
        match policy.evaluate(&case.candidate.candidate()) {
            Ok(decision) => case.expect.check(&name, &decision),
            Err(failure) => assert_eq!(case.expect.decision, "failure", "{name}: {failure:?}"),
        }
    }
}

#[test]
fn the_ready_made_scripts_pass() {
    let mut tested = BTreeSet::new();
    let mut scripts = BTreeSet::new();
    for entry in std::fs::read_dir(policies()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".rego") {
            scripts.insert(name);
        } else if name.ends_with(".cases.toml") {
            let suite: Suite =
                toml::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
            if !suite.plugin.ends_with(".rego") {
                continue;
            }
            let policy = ready_made(&suite.plugin, suite.settings.clone(), suite.lanes.clone());
            check(&name, &policy, &suite);
            tested.insert(suite.plugin);
        }
    }
    assert_eq!(tested, scripts, "each script has cases");
}
