//! Core's [`Ledger`](groundcrew_core::ports::Ledger) and
//! [`NotificationLedger`](groundcrew_core::ports::NotificationLedger) ports: the data that AWS does
//! not keep.
//!
//! [`StoreLedger`] implements the promises of a ledger once, over a [`Store`] that only knows
//! versioned texts. There are four ledgers:
//!
//! - [`FileLedger`], a file, for one host;
//! - [`DynamoLedger`], a DynamoDB table, for Lambda and for several hosts;
//! - [`SharedLedger`], the file of a host that runs, reached through that host: a file can be open
//!   in one process only, and operators read it and give commands meanwhile;
//! - [`MemoryLedger`], which is lost with its process. The simulator uses it in place of a ledger
//!   that outlives its host.

#![deny(missing_docs)]

mod dynamo;
mod dynamo_error;
mod file;
mod file_error;
mod fillable_disk;
mod heartbeats;
mod memory;
mod notifications;
mod orders;
#[cfg(unix)]
mod shared;
mod slots;
mod store;
mod store_ledger;
mod undelivered;

pub use dynamo::{DynamoLedger, DynamoStore};
pub use file::{FileLedger, FileStore};
pub use file_error::FileError;
pub use fillable_disk::FillableDisk;
pub use memory::{MemoryLedger, MemoryStore};
#[cfg(unix)]
pub use shared::{ShareError, SharedLedger, SharedLedgerServer, SharedStore, socket_path};
pub use store::{Item, Key, Store, StoreError, Write};
pub use store_ledger::StoreLedger;
