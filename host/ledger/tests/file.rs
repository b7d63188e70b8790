//! A ledger in a file: its content after a restart, and the errors for a file that can't be used.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{account, at, claim, delivered, failed, key, slot, target};
use groundcrew_core::catalog::RecordId;
use groundcrew_core::notification::ClaimOutcome;
use groundcrew_core::ports::{Ledger, NotificationLedger, SlotLimits, SlotOutcome};
use groundcrew_ledger::{FileError, FileLedger, FillableDisk};
use redb::{Database, TableDefinition};
use tempfile::TempDir;

fn fixture() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    (directory, path)
}

fn refused(path: &Path) -> FileError {
    FileLedger::open(path).map(drop).unwrap_err()
}

#[tokio::test]
async fn a_restart_finds_all_there_was() {
    let (_kept, path) = fixture();
    let ledger = FileLedger::open(&path).unwrap();
    ledger.began(at(0)).await.unwrap();
    ledger.take_slot(&slot(1), SlotLimits::in_all(2)).await.unwrap();
    ledger.take_slot(&slot(2), SlotLimits::in_all(2)).await.unwrap();
    ledger.record_start(&slot(1), &RecordId::new("rec-1")).await.unwrap();
    ledger.free_slot(&slot(2), Some(&failed(1)), None).await.unwrap();
    ledger.claim(&claim(1, "one", 0)).await.unwrap();
    ledger.complete(&key(1), "one", &delivered(), at(1)).await.unwrap();
    ledger.record_marker("alert", at(1)).await.unwrap();
    drop(ledger);

    let ledger = FileLedger::open(&path).unwrap();
    assert_eq!(ledger.began(at(9)).await, Ok(at(0)));
    let slots = ledger.slots().await.unwrap();
    assert_eq!(slots.len(), 1);
    assert_eq!(slots[0].record, Some(RecordId::new("rec-1")));
    assert_eq!(ledger.progress(&account(2), &target()).await, Ok(failed(1)));
    assert!(matches!(ledger.claim(&claim(1, "two", 99)).await, Ok(ClaimOutcome::Completed(_))));
    assert_eq!(ledger.has_marker("alert").await, Ok(true));
    assert_eq!(
        ledger.take_slot(&slot(1), SlotLimits::in_all(2)).await,
        Ok(SlotOutcome::AlreadyHeld(slots[0].clone()))
    );
}

/// A copy of the file while it is open equals the file after a crash.
#[tokio::test]
async fn a_ledger_that_was_never_closed_has_all_that_it_answered() {
    let (directory, path) = fixture();
    let ledger = FileLedger::open(&path).unwrap();
    for number in 0..20 {
        ledger.take_slot(&slot(number), SlotLimits::in_all(20)).await.unwrap();
        if number % 3 == 0 {
            ledger.free_slot(&slot(number), Some(&failed(1)), None).await.unwrap();
        }
        let left = directory.path().join(format!("left-{number}.db"));
        std::fs::copy(&path, &left).unwrap();
        let again = FileLedger::open(&left).unwrap();
        assert_eq!(again.slots().await, ledger.slots().await);
        assert_eq!(again.all_progress(&target()).await, ledger.all_progress(&target()).await);
        assert_eq!(
            again.take_slot(&slot(99), SlotLimits::in_all(99)).await,
            Ok(SlotOutcome::Acquired)
        );
    }
}

/// While the disk is full every write fails with that error. No successful write is lost. Once
/// there is space, the ledger continues by itself, and so does one that is opened meanwhile.
#[tokio::test]
async fn a_disk_that_was_full_is_forgotten() {
    let (_kept, path) = fixture();
    let disk = FillableDisk::default();
    let ledger = FileLedger::open_on(disk.clone(), &path).unwrap();
    ledger.take_slot(&slot(1), SlotLimits::in_all(9)).await.unwrap();
    disk.fill();
    for number in 2..5 {
        let error = ledger.take_slot(&slot(number), SlotLimits::in_all(9)).await.unwrap_err();
        assert!(error.to_string().contains("ledger file"), "{error}");
    }
    disk.free();
    assert_eq!(ledger.slots().await.unwrap().len(), 1);
    assert_eq!(ledger.take_slot(&slot(2), SlotLimits::in_all(9)).await, Ok(SlotOutcome::Acquired));
    drop(ledger);
    assert_eq!(FileLedger::open(&path).unwrap().slots().await.unwrap().len(), 2);
}

/// A ledger whose file is moved away refuses everything, and creates no new file. When the file is
/// put back, it continues.
#[tokio::test]
async fn a_file_that_is_gone_is_told() {
    let (directory, path) = fixture();
    let away = directory.path().join("away.db");
    let ledger = FileLedger::open(&path).unwrap();
    ledger.take_slot(&slot(1), SlotLimits::in_all(9)).await.unwrap();
    std::fs::rename(&path, &away).unwrap();
    let error = ledger.slots().await.unwrap_err();
    assert!(error.to_string().contains("it was moved, removed or replaced"), "{error}");
    assert!(ledger.take_slot(&slot(2), SlotLimits::in_all(9)).await.is_err());
    assert!(!path.exists());
    std::fs::write(&path, "something else").unwrap();
    assert!(ledger.slots().await.is_err());
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(ledger.take_slot(&slot(2), SlotLimits::in_all(9)).await, Ok(SlotOutcome::Acquired));
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_named() {
    let (_kept, path) = fixture();
    std::os::unix::fs::symlink("nowhere/ledger.db", &path).unwrap();
    let error = refused(&path);
    assert!(matches!(error, FileError::DanglingLink { .. }), "{error}");
    assert!(error.to_string().contains("symbolic link to nowhere/ledger.db"), "{error}");
}

/// The environment variable of the process that is killed: the ledger that it writes.
const TO_WRITE: &str = "GROUNDCREW_LEDGER_TO_WRITE";

#[test]
fn a_killed_host_leaves_all_that_it_was_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    if let Some(path) = std::env::var_os(TO_WRITE) {
        let ledger = FileLedger::open(path).unwrap();
        for number in 0.. {
            runtime
                .block_on(ledger.take_slot(&slot(number), SlotLimits::in_all(usize::MAX)))
                .unwrap();
            println!("answered {number}");
        }
    }
    for answers in [1, 10, 50] {
        let (_kept, path) = fixture();
        // This same test, in a process of its own.
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_host_leaves_all_that_it_was_answered", "--nocapture"])
            .env(TO_WRITE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(host.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut answered = lines.filter(|line| line.starts_with("answered "));
        assert_eq!(answered.nth(answers - 1), Some(format!("answered {}", answers - 1)));
        let error = refused(&path);
        assert!(matches!(error, FileError::InUse { .. }), "{error}");
        host.kill().unwrap();
        host.wait().unwrap();
        // Its output until it died is still in the pipe.
        let answered = answers + answered.count();
        let ledger = FileLedger::open(&path).unwrap();
        let slots = runtime.block_on(ledger.slots()).unwrap();
        assert!([answered, answered + 1].contains(&slots.len()), "{answered}, {}", slots.len());
        assert_eq!(slots, (0..slots.len()).map(slot).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_serves_one_at_a_time() {
    let (_kept, path) = fixture();
    let first = FileLedger::open(&path).unwrap();
    let error = refused(&path);
    assert!(matches!(error, FileError::InUse { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "ledger file {}: another groundcrew has it open, and it serves one at a time: stop \
             the other, give this one a file of its own, or let both share a DynamoDB table",
            path.display()
        )
    );
    drop(first);
    FileLedger::open(&path).unwrap();
}

#[test]
fn a_missing_directory_is_named() {
    let (directory, _) = fixture();
    let error = refused(&directory.path().join("state/ledger.db"));
    assert!(matches!(error, FileError::NoDirectory { .. }), "{error}");
    let named = format!("there is no directory {}", directory.path().join("state").display());
    assert!(error.to_string().contains(&named), "{error}");
}

#[test]
fn what_is_no_ledger_stays_as_it_is() {
    let (directory, path) = fixture();
    let text = "[ledger]\nfile = \"groundcrew.db\"\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    for path in [path.as_path(), directory.path()] {
        let error = refused(path);
        assert!(matches!(error, FileError::NotALedger { .. }), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_database_of_something_else_is_no_ledger() {
    const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("elsewhere");
    let (_kept, path) = fixture();
    let database = Database::create(&path).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(TABLE).unwrap().insert(1, 2).unwrap();
    writing.commit().unwrap();
    drop(database);
    let error = refused(&path);
    assert!(matches!(error, FileError::NotALedger { .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("groundcrew ledger");
    let (_kept, path) = fixture();
    drop(FileLedger::open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(ABOUT).unwrap().insert("format", 2).unwrap();
    writing.commit().unwrap();
    drop(database);
    let error = refused(&path);
    assert!(matches!(error, FileError::Newer { found: 2, expected: 1, .. }), "{error}");
}

#[test]
fn an_empty_file_becomes_a_ledger() {
    let (_kept, path) = fixture();
    std::fs::write(&path, "").unwrap();
    drop(FileLedger::open(&path).unwrap());
    FileLedger::open(&path).unwrap();
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_damaged() {
    let (_kept, path) = fixture();
    let ledger = FileLedger::open(&path).unwrap();
    for number in 0..100 {
        ledger.free_slot(&slot(number), Some(&failed(1)), None).await.unwrap();
    }
    drop(ledger);
    let length = std::fs::metadata(&path).unwrap().len();
    for part in [16, 512, length / 2, length - 1] {
        let cut = path.with_extension(part.to_string());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&cut, &whole[..usize::try_from(part).unwrap()]).unwrap();
        let error = refused(&cut);
        assert!(matches!(error, FileError::Damaged { .. }), "{part}: {error}");
    }
}
