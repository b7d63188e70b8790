//! The cost of delivering one notification with `ams-case`, without AWS Support; of loading the
//! plugin when it is compiled already; and of both in a new runtime, as in a process that starts.
//!
//! `cargo bench -p groundcrew-plugins --bench notification`

use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use groundcrew_core::ports::Notifier;
use groundcrew_plugins::{LoadedNotifier, Runtime, RuntimeOptions};
use groundcrew_testkit::notifiers::{CountingSupport, ams_case, notification};
use serde_json::json;

fn runtime(cache: &Path) -> Runtime {
    Runtime::new(RuntimeOptions { cache_dir: Some(cache.to_owned()) }).unwrap()
}

async fn load(runtime: &Runtime) -> LoadedNotifier {
    let cases = Arc::new(CountingSupport::default());
    runtime.load_notifier(ams_case(json!({}), cases)).await.unwrap()
}

fn notify(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let warm = runtime(&cache);
    let notifier = tokio.block_on(load(&warm));
    let notification = notification();

    criterion.bench_function("notification/warm", |bencher| {
        bencher.iter(|| tokio.block_on(notifier.notify(&notification)).unwrap());
    });
    criterion.bench_function("notification/load", |bencher| {
        bencher.iter(|| tokio.block_on(load(&warm)));
    });
    criterion.bench_function("notification/cold", |bencher| {
        bencher.iter(|| {
            let runtime = runtime(&cache);
            tokio.block_on(async { load(&runtime).await.notify(&notification).await.unwrap() })
        });
    });
}

criterion_group!(benches, notify);
criterion_main!(benches);
