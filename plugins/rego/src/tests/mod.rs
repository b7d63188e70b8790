//! The input and the results of scripts, refused scripts, and the ready-made ones.

mod analysis;
mod answers;
mod cases;
mod documentation;
mod fleet;
mod interop;
mod opa;
mod refused;
mod schemas;
mod windows;

use std::path::{Path, PathBuf};

use groundcrew_sdk::{
    Account, Action, Candidate, Cause, Context, OrganizationalUnit, Policy as _, Problem,
    ProductStatus, ProvisionedProduct, Tag, Tags,
};
use serde_json::{Value, json};

use crate::{Rego, Settings};

/// The folder of the ready-made scripts.
fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn settings(script: &str, data: Value) -> Settings {
    let settings = json!({ "file": "test.rego", "script": script, "data": data });
    serde_json::from_value(settings).unwrap()
}

fn configured(script: &str, data: Value) -> Result<Rego, Vec<Problem>> {
    Rego::configure(settings(script, data), &lanes(&["canary", "test", "prod"]))
}

fn lanes(names: &[&str]) -> Context {
    Context { lanes: names.iter().map(|&name| name.to_owned()).collect() }
}

/// A script with only these rules.
fn script(rules: &str) -> String {
    format!("package test\n\n{rules}")
}

/// An account with all fields.
pub(crate) fn candidate() -> Candidate {
    let unit = |id: &str, name: &str| OrganizationalUnit { id: id.into(), name: name.into() };
    Candidate {
        action: Action::Update,
        cause: Cause::Artifact,
        account: Account {
            id: "111122223333".to_owned(),
            name: "payments-prod".to_owned(),
            email: "aws+payments-prod@example.com".to_owned(),
            organizational_units: vec![
                unit("ou-abcd-11111111", "Workloads"),
                unit("ou-abcd-22222222", "Prod"),
            ],
            tags: Tags::Known(vec![Tag::new("environment", "prod"), Tag::new("owner", "pay")]),
            joined: Some(1_735_787_045),
            state: groundcrew_sdk::AccountState::Active,
        },
        product: Some(ProvisionedProduct {
            id: "pp-abcdefghijklm".to_owned(),
            name: "payments-prod".to_owned(),
            status: ProductStatus::Available,
            artifact: "pa-1111111111111".to_owned(),
            target_artifact: "pa-2222222222222".to_owned(),
        }),
        event: None,
        now: 1_767_323_045,
    }
}

/// An account with few fields.
pub(crate) fn sparse() -> Candidate {
    let mut candidate = candidate();
    candidate.account.email = String::new();
    candidate.account.organizational_units = vec![];
    candidate.account.tags = Tags::Unreadable("AccessDeniedException".to_owned());
    candidate.account.joined = None;
    candidate.account.state = groundcrew_sdk::AccountState::Unknown;
    candidate.product = None;
    candidate
}
