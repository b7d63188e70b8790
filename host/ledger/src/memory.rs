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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<Key, Item>,
    /// How many items were ever written: the version of the last.
    written: u64,
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        // No change of the state can panic half-way, so that a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.state().items.get(key).cloned())
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        let state = self.state();
        let from_partition = state.items.range(Key::new(partition, "")..);
        let items = from_partition.take_while(|(key, _)| key.partition == partition);
        Ok(items.map(|(key, item)| (key.sort.clone(), item.clone())).collect())
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        let mut state = self.state();
        let found = |write: &Write| state.items.get(&write.key).map(|item| item.version);
        if writes.iter().any(|write| found(write) != write.expected) {
            return Ok(false);
        }
        for Write { key, new, .. } in writes.iter().cloned() {
            state.written += 1;
            let version = state.written;
            match new {
                Some(json) => state.items.insert(key, Item { version, json }),
                None => state.items.remove(&key),
            };
        }
        Ok(true)
    }
}
