//! Other processes reach a ledger file through the process that has it open.
#![cfg(unix)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use common::{account, at, issued_by, slot};
use groundcrew_core::ports::{Ledger, OrderLedger, Pause, SlotLimits, SlotOutcome};
use groundcrew_ledger::{FileError, FileLedger, SharedLedger, SharedLedgerServer, socket_path};

#[tokio::test]
async fn whoever_connects_is_one_more_host() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groundcrew.db");
    assert!(SharedLedger::connect(&file).await.is_err(), "nobody shares it");
    let ledger = Arc::new(FileLedger::open(&file).unwrap());
    assert!(matches!(FileLedger::open(&file), Err(FileError::InUse { .. })));

    // A process that died has left its socket.
    drop(SharedLedgerServer::bind(&file).unwrap());
    std::fs::write(socket_path(&file), "").unwrap();
    let share = SharedLedgerServer::bind(&file).unwrap();
    let mode = std::fs::metadata(socket_path(&file)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only for the host's own user");
    let serving = tokio::spawn({
        let ledger = ledger.clone();
        async move { share.serve(ledger).await }
    });

    let operator = SharedLedger::connect(&file).await.unwrap();
    assert_eq!(
        operator.take_slot(&slot(1), SlotLimits::in_all(1)).await,
        Ok(SlotOutcome::Acquired)
    );
    assert_eq!(
        ledger.take_slot(&slot(2), SlotLimits::in_all(1)).await,
        Ok(SlotOutcome::LimitReached)
    );
    let pause = Pause { why: "paused by ada".into(), at: at(1), automatic: false };
    assert_eq!(operator.order_pause("all", &issued_by(1)).await, Ok(None));
    assert_eq!(ledger.lanes().await.unwrap()["all"].paused, Some(pause));
    assert_eq!(operator.trail().await, ledger.trail().await);
    assert_eq!(operator.trail().await.unwrap().len(), 1);
    assert_eq!(operator.overview().await, ledger.overview().await);
    assert_eq!(operator.slots().await.unwrap()[0].account, account(1));

    // A second operator at the same time, who sends nonsense.
    let mut other = tokio::net::UnixStream::connect(socket_path(&file)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut other, b"{\"Get\": 1}\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut other, &mut answer).await.unwrap();
    assert!(answer.is_empty());
    assert_eq!(operator.slots().await, ledger.slots().await);

    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert!(!socket_path(&file).exists(), "it is removed with its host");
    let why = operator.slots().await.unwrap_err().to_string();
    assert!(why.contains("does not answer"), "{why}");
}
