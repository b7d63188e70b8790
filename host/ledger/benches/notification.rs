//! The time that the ledger adds to one notification: the claim and the completion.
//!
//! `cargo bench -p groundcrew-ledger --bench notification`

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use groundcrew_core::account::AccountId;
use groundcrew_core::notification::{Claim, GateDecision, NotificationKey, NotificationState};
use groundcrew_core::ports::NotificationLedger;
use groundcrew_ledger::{FileLedger, MemoryLedger};
use jiff::Timestamp;

fn deliver(criterion: &mut Criterion, name: &str, ledger: &dyn NotificationLedger) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let account: AccountId = "111122223333".parse().unwrap();
    let delivered =
        NotificationState::Delivered { reference: "case-1".into(), decision: GateDecision::Go };
    let now = Timestamp::constant(1_700_000_000, 0);
    let mut number = 0_u64;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            number += 1;
            let key = NotificationKey::for_onboarding(&account, &format!("notifier-{number}"));
            let claim = Claim {
                key: key.clone(),
                account: Some(account.clone()),
                notifier: "ams".into(),
                by: "bench".into(),
                now,
                until: now + Duration::from_secs(60),
                redriven: 0,
            };
            runtime.block_on(async {
                ledger.claim(&claim).await.unwrap();
                assert!(ledger.complete(&key, "bench", &delivered, now).await.unwrap());
            });
        });
    });
}

fn notification(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    deliver(criterion, "ledger/memory", &MemoryLedger::new());
    let file = FileLedger::open(directory.path().join("crew.db")).unwrap();
    deliver(criterion, "ledger/file", &file);
}

criterion_group!(benches, notification);
criterion_main!(benches);
