//! The ledger of a config, opened by a host or connected to by an operator's command.

use std::path::PathBuf;
use std::sync::Arc;

use groundcrew_aws::Clients;
use groundcrew_core::config::LedgerLocation;
use groundcrew_core::ports::{Ledger, NotificationLedger};
use groundcrew_ledger::{
    DynamoLedger, FileError, FileLedger, MemoryLedger, SharedLedger, Store, StoreLedger,
};

use crate::command_error::CommandError;
use crate::loaded_config::ParsedConfig;

/// A ledger.
#[derive(Clone)]
pub struct OpenLedger {
    pub updates: Arc<dyn Ledger>,
    pub notifications: Arc<dyn NotificationLedger>,
    /// The file, if it is one and this process has it open.
    pub file: Option<(PathBuf, Arc<FileLedger>)>,
    /// Whether it is a file that another running process has open.
    pub shared: bool,
}

impl OpenLedger {
    /// For a host: a file is locked exclusively.
    pub fn open_exclusive(read: &ParsedConfig, clients: &Clients) -> Result<Self, CommandError> {
        match &read.config.ledger.location {
            LedgerLocation::Table(table) => {
                Ok(Self::from_ledger(DynamoLedger::new(clients.dynamodb.clone(), table.clone())))
            }
            LedgerLocation::File(file) => {
                let path = read.path(file);
                let ledger = FileLedger::open(&path).map_err(open_error)?;
                if ledger.store().is_new() {
                    tracing::warn!(
                        file = %path.display(),
                        "started a new ledger: there was none, or an empty file; groundcrew finds \
                         running updates in AWS again, but attempts, pauses, approvals and \
                         delivered notifications are unknown"
                    );
                }
                let ledger = Arc::new(ledger);
                Ok(Self { file: Some((path, ledger.clone())), ..Self::from_arc(ledger) })
            }
        }
    }

    /// For a command: if a running host has the file open, the command connects to that host.
    pub async fn connect(read: &ParsedConfig, clients: &Clients) -> Result<Self, CommandError> {
        let LedgerLocation::File(file) = &read.config.ledger.location else {
            return Self::open_exclusive(read, clients);
        };
        let path = read.path(file);
        let in_use = match FileLedger::open(&path) {
            Ok(ledger) => return Ok(Self::from_ledger(ledger)),
            Err(error @ FileError::InUse { .. }) => error,
            Err(error) => return Err(open_error(error)),
        };
        match SharedLedger::connect(&path).await {
            Ok(ledger) => Ok(Self { shared: true, ..Self::from_ledger(ledger) }),
            Err(error) => Err(CommandError::Other(format!(
                "{in_use}. It can't be asked either: {error}; only `groundcrew run` can, by the \
                 user that runs it"
            ))),
        }
    }

    /// For a command that only reads: it creates no file. Without a file, the ledger is empty.
    pub async fn connect_read_only(
        read: &ParsedConfig,
        clients: &Clients,
    ) -> Result<Self, CommandError> {
        if let LedgerLocation::File(file) = &read.config.ledger.location {
            let path = read.path(file);
            let is_empty =
                std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == 0);
            let is_absent = matches!(path.try_exists(), Ok(false));
            if is_absent && let Ok(to) = std::fs::read_link(&path) {
                return Err(open_error(FileError::DanglingLink { path, to }));
            }
            if is_empty || is_absent {
                return Ok(Self::from_ledger(MemoryLedger::new()));
            }
        }
        Self::connect(read, clients).await
    }

    fn from_ledger<S: Store + 'static>(ledger: StoreLedger<S>) -> Self {
        Self::from_arc(Arc::new(ledger))
    }

    fn from_arc<S: Store + 'static>(ledger: Arc<StoreLedger<S>>) -> Self {
        Self { updates: ledger.clone(), notifications: ledger, file: None, shared: false }
    }
}

fn open_error(error: FileError) -> CommandError {
    CommandError::Other(error.to_string())
}
