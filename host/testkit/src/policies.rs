//! Policies to load, and candidates to evaluate them with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, OrganizationalUnit, Tags};
use groundcrew_core::catalog::{
    ArtifactId, ProductStatus, ProvisionedProduct, ProvisionedProductId,
};
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::limits::Limits;
use groundcrew_plugins::{
    Instance, LoadError, LoadedPolicy, PolicySpec, Runtime, RuntimeOptions, Source,
};
use serde_json::{Value, json};

/// A runtime with default settings.
pub fn runtime() -> Runtime {
    Runtime::new(RuntimeOptions::default()).unwrap()
}

/// Small limits, so that tests that reach them are quick.
pub fn limits() -> Limits {
    Limits {
        timeout: Duration::from_millis(100),
        memory: 4 << 20,
        table_elements: 1000,
        log: 4 << 10,
        result: 16 << 10,
    }
}

/// A policy with small limits and no settings.
pub fn spec(name: &str, source: Source) -> PolicySpec {
    PolicySpec {
        name: name.to_owned(),
        source,
        sha256: None,
        settings: json!({}),
        lanes: vec!["first".to_owned(), "second".to_owned()],
        limits: limits(),
        instance: Instance::Fresh,
    }
}

/// The bundled `managed-tag`, with these settings.
pub fn managed_tag(settings: Value) -> PolicySpec {
    let source = Source::Bundled("managed-tag".to_owned());
    PolicySpec { settings, limits: Limits::default(), ..spec("by-tag", source) }
}

/// Loads a component from its bytes.
pub async fn load_bytes(runtime: &Runtime, bytes: &[u8]) -> Result<LoadedPolicy, LoadError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    load_file(runtime, file.path()).await
}

/// Loads a component from its file.
pub async fn load_file(runtime: &Runtime, path: &Path) -> Result<LoadedPolicy, LoadError> {
    runtime.load_policy(spec("hostile", Source::File(path.to_owned()))).await
}

/// A candidate for an update of the account 111122223333, with these tags.
pub fn candidate(tags: Tags) -> Candidate {
    let account: groundcrew_core::account::AccountId = "111122223333".parse().unwrap();
    Candidate {
        action: Action::Update,
        cause: Cause::Artifact,
        account: Arc::new(Account {
            id: account.clone(),
            name: "payments-prod".to_owned(),
            email: "aws+payments-prod@example.com".to_owned(),
            organizational_units: [
                OrganizationalUnit {
                    id: "ou-abcd-11111111".to_owned(),
                    name: "Workloads".to_owned(),
                },
                OrganizationalUnit { id: "ou-abcd-22222222".to_owned(), name: "Prod".to_owned() },
            ]
            .into(),
            joined: None,
            state: None,
        }),
        tags,
        product: Some((
            ProvisionedProduct {
                id: ProvisionedProductId::new("pp-abcdefghijklm"),
                name: "payments-prod".to_owned(),
                account,
                status: ProductStatus::Available,
                artifact: ArtifactId::new("pa-1111111111111"),
                last_record: None,
                last_successful_record: None,
            },
            ArtifactId::new("pa-2222222222222"),
        )),
        event: None,
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
    }
}

/// The same candidate with these tags.
pub fn tagged(pairs: &[(&str, &str)]) -> Candidate {
    let pairs = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    candidate(Tags::Known(pairs.collect()))
}
