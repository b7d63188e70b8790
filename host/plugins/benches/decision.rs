//! The cost of one decision: on a live instance, and with a fresh store and instance. And the cost
//! of loading a plugin that is compiled already.
//!
//! `cargo bench -p groundcrew-plugins`

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use groundcrew_core::account::Account;
use groundcrew_core::ports::Policy;
use groundcrew_plugins::{Instance, PolicySpec, Runtime, RuntimeOptions};
use groundcrew_testkit::policies;
use serde_json::json;

fn tagged_only(instance: Instance) -> PolicySpec {
    let settings = json!({ "tag_key": "account-factory-managed", "tag_value": "true" });
    PolicySpec { instance, ..policies::managed_tag(settings) }
}

fn decision(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = Some(directory.path().join("cache"));
    let runtime = Runtime::new(RuntimeOptions { cache_dir }).unwrap();
    let candidate = policies::tagged(&[
        ("account-factory-managed", "true"),
        ("cost-center", "4711"),
        ("owner", "payments"),
    ]);

    // The same account with nothing to copy but its own three texts: the difference is the cost of
    // copying tags, OUs and product into the sandbox.
    let mut bare = policies::tagged(&[]);
    bare.account = Arc::new(Account { organizational_units: [].into(), ..(*bare.account).clone() });
    bare.product = None;

    for (name, instance, candidate) in [
        ("live", Instance::Kept, &candidate),
        ("fresh", Instance::Fresh, &candidate),
        ("live-bare", Instance::Kept, &bare),
    ] {
        let policy = tokio.block_on(runtime.load_policy(tagged_only(instance))).unwrap();
        criterion.bench_function(&format!("decision/{name}"), |bencher| {
            // One `block_on` for all iterations: entering the runtime is not a part of a decision.
            bencher.iter_custom(|iterations| {
                tokio.block_on(async {
                    let start = std::time::Instant::now();
                    for _ in 0..iterations {
                        policy.evaluate(candidate).await.unwrap();
                    }
                    start.elapsed()
                })
            });
        });
    }
    criterion.bench_function("load/precompiled", |bencher| {
        bencher.iter(|| tokio.block_on(runtime.load_policy(tagged_only(Instance::Fresh))).unwrap());
    });
}

criterion_group!(benches, decision);
criterion_main!(benches);
