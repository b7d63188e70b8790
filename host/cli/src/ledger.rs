//! The ledger that a config names, opened for a host or reached for an operator.

use std::path::PathBuf;
use std::sync::Arc;

use groundcrew_aws::Clients;
use groundcrew_core::config::LedgerLocation;
use groundcrew_core::ports::{Ledger, NotificationLedger};
use groundcrew_ledger::{
    DynamoLedger, FileError, FileLedger, MemoryLedger, SharedLedger, Store, StoreLedger,
};

use crate::failure::Failure;
use crate::loaded::Read;

/// A ledger.
#[derive(Clone)]
pub struct OpenLedger {
    pub updates: Arc<dyn Ledger>,
    pub notifications: Arc<dyn NotificationLedger>,
    /// The file, if it is one and this process has it open.
    pub file: Option<(PathBuf, Arc<FileLedger>)>,
    /// Whether it is a file that another process, which runs now, has open.
    pub shared: bool,
}

impl OpenLedger {
    /// For a host: a file is locked against every other.
    pub fn of(read: &Read, clients: &Clients) -> Result<Self, Failure> {
        match &read.config.ledger.location {
            LedgerLocation::Table(table) => {
                Ok(Self::over(DynamoLedger::new(clients.dynamodb.clone(), table.clone())))
            }
            LedgerLocation::File(file) => {
                let path = read.path(file);
                let ledger = FileLedger::open(&path).map_err(failed)?;
                if ledger.store().is_new() {
                    tracing::warn!(
                        file = %path.display(),
                        "started a new ledger: there was none, or an empty file; groundcrew finds \
                         running updates in AWS again, but attempts, pauses, approvals and \
                         delivered notifications are unknown"
                    );
                }
                let ledger = Arc::new(ledger);
                Ok(Self { file: Some((path, ledger.clone())), ..Self::shared_by(ledger) })
            }
        }
    }

    /// For a command: a file that a running host has open is reached through that host.
    pub async fn reach(read: &Read, clients: &Clients) -> Result<Self, Failure> {
        let LedgerLocation::File(file) = &read.config.ledger.location else {
            return Self::of(read, clients);
        };
        let path = read.path(file);
        let in_use = match FileLedger::open(&path) {
            Ok(ledger) => return Ok(Self::over(ledger)),
            Err(error @ FileError::InUse { .. }) => error,
            Err(error) => return Err(failed(error)),
        };
        match SharedLedger::connect(&path).await {
            Ok(ledger) => Ok(Self { shared: true, ..Self::over(ledger) }),
            Err(error) => Err(Failure::Other(format!(
                "{in_use}. It can't be asked either: {error}; only `groundcrew run` can, by the \
                 user that runs it"
            ))),
        }
    }

    /// For a command that only looks: it makes no file. Where there is none, the ledger is an empty
    /// one.
    pub async fn look(read: &Read, clients: &Clients) -> Result<Self, Failure> {
        if let LedgerLocation::File(file) = &read.config.ledger.location {
            let path = read.path(file);
            let is_empty =
                std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == 0);
            let is_absent = matches!(path.try_exists(), Ok(false));
            if is_absent && let Ok(to) = std::fs::read_link(&path) {
                return Err(failed(FileError::DanglingLink { path, to }));
            }
            if is_empty || is_absent {
                return Ok(Self::over(MemoryLedger::new()));
            }
        }
        Self::reach(read, clients).await
    }

    fn over<S: Store + 'static>(ledger: StoreLedger<S>) -> Self {
        Self::shared_by(Arc::new(ledger))
    }

    fn shared_by<S: Store + 'static>(ledger: Arc<StoreLedger<S>>) -> Self {
        Self { updates: ledger.clone(), notifications: ledger, file: None, shared: false }
    }
}

fn failed(error: FileError) -> Failure {
    Failure::Other(error.to_string())
}
