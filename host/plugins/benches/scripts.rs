//! The cost of a decision in Rego in the sandbox, compared in one run with `managed-tag` in the
//! sandbox and with the same script outside of it: a small script, and the rollout in rings with a
//! long list of canaries.
//!
//! `cargo bench -p groundcrew-plugins --bench scripts`

use std::time::Instant;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use groundcrew_core::limits::Limits;
use groundcrew_core::ports::Policy;
use groundcrew_plugins::{Instance, LoadedPolicy, PolicySpec, Runtime, RuntimeOptions, Source};
use groundcrew_sdk::Policy as _;
use groundcrew_testkit::policies;
use rego::Rego;
use serde_json::{Value, json};

const LANES: [&str; 3] = ["canary", "test", "prod"];

const SMALL: &str = r#"
package small

default decision := {"skip": "untagged"}

decision := {"skip": "tags-unreadable"} if input.account.tags_unreadable

decision := "proceed" if input.account.tags.environment == data.environment
"#;

/// Settings with a script: a small one and a large one.
fn scripts() -> [(&'static str, Value); 2] {
    let canaries: Vec<_> = (0..100).map(|id| format!("{id:012}")).collect();
    let ring = |lane: &str, name: &str| {
        json!({
            "lane": lane,
            "environments": [name, format!("{name}-a"), format!("{name}-b")],
            "ous": [name.to_uppercase()],
        })
    };
    let rings = ["dev", "test", "staging", "demo", "training"].map(|name| ring("test", name));
    let rings: Vec<_> = rings.into_iter().chain([ring("prod", "prod")]).collect();
    let small = json!({
        "file": "small.rego", "script": SMALL, "data": { "environment": "prod" },
    });
    let large = json!({
        "file": "ring-rollout.rego",
        "script": include_str!("../../../policies/ring-rollout.rego"),
        "data": {
            "canaries": canaries,
            "canary_ous": ["Pilots", "Early"],
            "canary_tags": { "rollout": "canary" },
            "rings": rings,
        },
    });
    [("small", small), ("large", large)]
}

/// The account of [`policies::tagged`], as plugins see it.
fn outside(tags: &[(&str, &str)]) -> groundcrew_sdk::Candidate {
    use groundcrew_sdk::{
        Account, Action, Candidate, Cause, OrganizationalUnit, ProductStatus, ProvisionedProduct,
        Tag, Tags,
    };
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
            tags: Tags::Known(tags.iter().map(|&(key, value)| Tag::new(key, value)).collect()),
            joined: None,
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

fn kept(name: &str, source: Source, settings: Value) -> PolicySpec {
    PolicySpec {
        settings,
        lanes: LANES.map(str::to_owned).to_vec(),
        limits: Limits::default(),
        instance: Instance::Kept,
        ..policies::spec(name, source)
    }
}

fn decisions(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = Some(directory.path().join("cache"));
    let runtime = Runtime::new(RuntimeOptions { cache_dir }).unwrap();
    let tags = [("cost-center", "4711"), ("environment", "prod"), ("owner", "payments")];
    let candidate = policies::tagged(&tags);

    type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;
    let sandboxed = |group: &mut Group<'_>, name: &str, policy: &LoadedPolicy| {
        group.bench_function(name, |bencher| {
            // One `block_on` for all iterations: entering the runtime is not a part of a decision.
            bencher.iter_custom(|iterations| {
                tokio.block_on(async {
                    let start = Instant::now();
                    for _ in 0..iterations {
                        policy.evaluate(&candidate).await.unwrap();
                    }
                    start.elapsed()
                })
            });
        });
    };

    let mut group = criterion.benchmark_group("scripts");
    group.throughput(Throughput::Elements(1));
    let by_tag = json!({ "tag_key": "environment", "tag_value": "prod" });
    let source = Source::Bundled("managed-tag".to_owned());
    let managed_tag = tokio.block_on(runtime.load_policy(kept("tag", source, by_tag))).unwrap();
    sandboxed(&mut group, "managed-tag/sandbox", &managed_tag);
    for (name, settings) in scripts() {
        let path = directory.path().join(name);
        std::fs::write(&path, settings["script"].as_str().unwrap()).unwrap();
        let source = Source::Script { path, name: name.to_owned() };
        let spec = kept(name, source, settings["data"].clone());
        let policy = tokio.block_on(runtime.load_policy(spec)).unwrap();
        sandboxed(&mut group, &format!("{name}/sandbox"), &policy);

        let context = groundcrew_sdk::Context { lanes: LANES.map(str::to_owned).to_vec() };
        let policy = Rego::configure(serde_json::from_value(settings).unwrap(), &context)
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let candidate = outside(&tags);
        group.bench_function(format!("{name}/native"), |bencher| {
            bencher.iter(|| policy.evaluate(&candidate).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
