//! Where a ledger's items are kept: texts under two-part keys, each with a version by which
//! a writer says what it has seen.

use async_trait::async_trait;
use groundcrew_core::ports::LedgerError;
use serde::{Deserialize, Serialize};

/// Where an item is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What is listed together. Not empty.
    pub partition: String,
    /// Which item of the partition it is. Not empty.
    pub sort: String,
}

impl Key {
    /// The item `sort` of a partition.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }

    /// The only item of a partition.
    pub fn only(partition: impl Into<String>) -> Self {
        Self::new(partition, "-")
    }
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Differs from every version that was under this key before, that of a deleted item
    /// included.
    pub version: u64,
    /// The value.
    pub json: String,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// What is changed.
    pub key: Key,
    /// The version that must be there for the change to be made; `None`: no item.
    pub expected: Option<u64>,
    /// The new value; `None` deletes.
    pub new: Option<String>,
    /// The version that the item has from then on.
    pub version: u64,
}

impl Write {
    /// A change of what is under a key at this version.
    pub fn new(key: Key, expected: Option<u64>, new: Option<String>) -> Self {
        // The first begins anywhere: a slow writer may still expect a version of an item that
        // was deleted meanwhile, and must not meet it again.
        let first = || fastrand::u32(..).into();
        let version = expected.map_or_else(first, |version| version.wrapping_add(1));
        Self { key, expected, new, version }
    }
}

/// A store that can't be read or written: what happened, and what to do about it.
///
/// It holds texts, since the host that has a ledger file open sends it to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StoreError {
    /// The AWS credentials for the table are missing or no good.
    #[error("{0}")]
    Credentials(String),
    /// DynamoDB did not answer, or refused.
    #[error("{0}")]
    Table(String),
    /// An item in the table that no groundcrew wrote.
    #[error("{0}")]
    ForeignItem(String),
    /// The ledger file can't be read or written: a [`FileError`](crate::FileError).
    #[error("{0}")]
    File(String),
    /// The groundcrew that has the ledger file open does not answer, or not what it was asked.
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
    /// The item under a key: what the last commit wrote, whoever made it.
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Every item of a partition, in the order of the sort keys.
    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError>;

    /// Makes all of the changes, which are of different items, or none. Has them on durable
    /// storage before it answers.
    ///
    /// `false`: none was made, since something else was there than a write expected, or was
    /// about to be. After an error they may have been made or not.
    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError>;
}
