//! A store in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::store::{Item, Key, Store, StoreError, Write};
use crate::store_ledger::StoreLedger;

/// A ledger that lives as long as its process.
pub type MemoryLedger = StoreLedger<MemoryStore>;

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A store that lives as long as its process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    items: Mutex<BTreeMap<Key, Item>>,
}

impl MemoryStore {
    fn items(&self) -> MutexGuard<'_, BTreeMap<Key, Item>> {
        // No statement can leave the items half-changed, so poisoned ones are valid.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.items().get(key).cloned())
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        let items = self.items();
        let from_partition = items.range(Key::new(partition, "")..);
        let items = from_partition.take_while(|(key, _)| key.partition == partition);
        Ok(items.map(|(key, item)| (key.sort.clone(), item.clone())).collect())
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        let mut items = self.items();
        let found = |write: &Write| items.get(&write.key).map(|item| item.version);
        if writes.iter().any(|write| found(write) != write.expected) {
            return Ok(false);
        }
        for Write { key, new, version, .. } in writes.iter().cloned() {
            match new {
                Some(json) => items.insert(key, Item { version, json }),
                None => items.remove(&key),
            };
        }
        Ok(true)
    }
}
