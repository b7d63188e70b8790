//! The store of a ledger's items: texts under two-part keys, each with a version. A writer names
//! the version that it has read.

use async_trait::async_trait;
use groundcrew_core::ports::LedgerError;
use serde::{Deserialize, Serialize};

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The partition; its items are listed together. Not empty.
    pub partition: String,
    /// The sort key of the item in its partition. Not empty.
    pub sort: String,
}

impl Key {
    /// The item `sort` of a partition.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }

    /// The key of the only item of a partition.
    pub fn only(partition: impl Into<String>) -> Self {
        Self::new(partition, "-")
    }
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Differs from every earlier version under this key, including those of deleted items.
    pub version: u64,
    /// The value.
    pub json: String,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The key of the changed item.
    pub key: Key,
    /// The version that the item must have for the change to be made; `None`: there must be no
    /// item.
    pub expected: Option<u64>,
    /// The new value; `None` deletes.
    pub new: Option<String>,
    /// The new version of the item.
    pub version: u64,
}

impl Write {
    /// A change of the item under a key at this version.
    pub fn new(key: Key, expected: Option<u64>, new: Option<String>) -> Self {
        // The first version is random: a slow writer may still expect a version of an item that was
        // deleted meanwhile, and that version must not come back.
        let first = || fastrand::u32(..).into();
        let version = expected.map_or_else(first, |version| version.wrapping_add(1));
        Self { key, expected, new, version }
    }
}

/// A store that can't be read or written: the problem, and how to fix it.
///
/// It holds texts, since the host that has a ledger file open sends it to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StoreError {
    /// The AWS credentials for the table are missing or invalid.
    #[error("{0}")]
    Credentials(String),
    /// DynamoDB did not answer, or refused the call.
    #[error("{0}")]
    Table(String),
    /// An item in the table was not written by groundcrew.
    #[error("{0}")]
    ForeignItem(String),
    /// The ledger file can't be read or written: a [`FileError`](crate::FileError).
    #[error("{0}")]
    File(String),
    /// The groundcrew that has the ledger file open does not answer, or answers another request.
    #[error("the groundcrew that has the ledger open {0}")]
    Owner(String),
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Credentials(text) => Self::Credentials(text),
            StoreError::Table(_)
            | StoreError::ForeignItem(_)
            | StoreError::File(_)
            | StoreError::Owner(_) => Self::Store(error.to_string()),
        }
    }
}

/// Versioned texts that are changed together or not at all.
#[async_trait]
pub trait Store: Send + Sync {
    /// The item under a key, as the last commit of any writer left it.
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Every item of a partition, in the order of the sort keys.
    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError>;

    /// Makes all of the changes, which are of different items, or none. They are on durable storage
    /// before it returns.
    ///
    /// `false`: none was made, since an item did not have the expected version, or another writer
    /// was changing it. After an error they may have been made or not.
    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError>;
}
