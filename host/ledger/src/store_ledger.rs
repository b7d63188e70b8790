//! A ledger over a store: it reads, decides and writes, and repeats that if another host wrote in
//! between.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use groundcrew_core::notification::{NotificationEntry, NotificationKey};
use groundcrew_core::ports::LedgerError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Item, Key, Store, Write};

/// How often a change is tried. Each time that it fails another writer's succeeds, so that this is
/// enough for a hundred writers of the same item at once.
const MAX_ATTEMPTS: u32 = 16;

/// The longest wait after the first try. It doubles with every further try.
const INITIAL_BACKOFF: Duration = Duration::from_millis(25);

/// The longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// A ledger whose items are in `S`. Any number of ledgers may share one store.
#[derive(Debug, Default)]
pub struct StoreLedger<S> {
    store: S,
    /// The notifications that were claimed through this ledger and are not completed: the entry
    /// that was written, and its version. So their results can be written without reading them
    /// first.
    pub(crate) own_claims: Mutex<BTreeMap<NotificationKey, (NotificationEntry, u64)>>,
}

/// An item that was read in order to be replaced.
pub(crate) struct StoredItem<V> {
    key: Key,
    version: Option<u64>,
    /// The value, if there is one.
    pub(crate) value: Option<V>,
}

impl<V: Serialize> StoredItem<V> {
    /// A write that replaces the version that was read, and no other.
    pub(crate) fn replace(&self, value: &V) -> Result<Write, LedgerError> {
        let json = serde_json::to_string(value)
            .map_err(|error| LedgerError::unwritable(&self.key.partition, &self.key.sort, error))?;
        Ok(Write::new(self.key.clone(), self.version, Some(json)))
    }
}

impl<S: Store> StoreLedger<S> {
    /// The store with its items.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// A ledger over this store.
    pub fn with_store(store: S) -> Self {
        Self { store, own_claims: Mutex::default() }
    }

    /// Reads the item under a key.
    pub(crate) async fn load<V: DeserializeOwned>(
        &self,
        key: Key,
    ) -> Result<StoredItem<V>, LedgerError> {
        let item = self.store.get(&key).await?;
        let version = item.as_ref().map(|item| item.version);
        let value = item.map(|item| parse(&key, &item)).transpose()?;
        Ok(StoredItem { key, version, value })
    }

    /// Reads every value of a partition, each with its sort key.
    pub(crate) async fn list<V: DeserializeOwned>(
        &self,
        partition: &str,
    ) -> Result<Vec<(String, V)>, LedgerError> {
        let items = self.store.list(partition).await?;
        let parse = |(sort, item): (String, Item)| {
            let value = parse(&Key::new(partition, sort.as_str()), &item)?;
            Ok((sort, value))
        };
        items.into_iter().map(parse).collect()
    }

    /// Writes an item unless there is one. Returns its version, or `None` if there is one.
    pub(crate) async fn insert<V: Serialize>(
        &self,
        key: Key,
        value: &V,
    ) -> Result<Option<u64>, LedgerError> {
        self.replace(key, None, value).await
    }

    /// Replaces the item under a key at this version. Returns its new version, or `None` if the
    /// item has another version.
    pub(crate) async fn replace<V: Serialize>(
        &self,
        key: Key,
        version: Option<u64>,
        value: &V,
    ) -> Result<Option<u64>, LedgerError> {
        let write = StoredItem { key, version, value: None::<V> }.replace(value)?;
        let version = write.version;
        let written = self.store.commit(&[write]).await?;
        Ok(written.then_some(version))
    }

    /// Changes one item: `decide` gets its value, and returns the result and the new value, if it
    /// changes.
    pub(crate) async fn update<V, T>(
        &self,
        key: &Key,
        decide: impl Fn(Option<V>) -> (T, Option<V>),
    ) -> Result<T, LedgerError>
    where
        V: Serialize + DeserializeOwned,
    {
        let decide = &decide;
        self.commit(|| async move {
            let mut stored = self.load(key.clone()).await?;
            let (answer, new) = decide(stored.value.take());
            let write = new.map(|new| stored.replace(&new)).transpose()?;
            Ok((answer, Vec::from_iter(write)))
        })
        .await
    }

    /// Commits the writes of `plan`, or calls `plan` again if another host wrote meanwhile. Returns
    /// the result of the plan that was committed.
    pub(crate) async fn commit<T, F>(&self, plan: impl Fn() -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<(T, Vec<Write>), LedgerError>>,
    {
        let mut backoff = INITIAL_BACKOFF;
        for _ in 0..MAX_ATTEMPTS {
            let (answer, writes) = plan().await?;
            if writes.is_empty() || self.store.commit(&writes).await? {
                return Ok(answer);
            }
            tokio::time::sleep(backoff.mul_f64(fastrand::f64())).await;
            backoff = MAX_BACKOFF.min(backoff * 2);
        }
        Err(LedgerError::Busy { tries: MAX_ATTEMPTS })
    }
}

fn parse<V: DeserializeOwned>(key: &Key, item: &Item) -> Result<V, LedgerError> {
    serde_json::from_str(&item.json)
        .map_err(|error| LedgerError::unreadable(&key.partition, &key.sort, error))
}
