//! A ledger in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, RecordId};
use groundcrew_core::ports::{Ledger, LedgerError, Progress, Slot, Taken};

/// A ledger that lives as long as its process.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<AccountId, Slot>,
    progress: BTreeMap<(ArtifactId, AccountId), Progress>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change of the state can panic half-way, so that a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError> {
        Ok(self.state().slots.values().cloned().collect())
    }

    async fn take_slot(&self, slot: &Slot, cap: usize) -> Result<Taken, LedgerError> {
        let mut state = self.state();
        if let Some(taken) = state.slots.get(&slot.account) {
            return Ok(Taken::Already(taken.clone()));
        }
        if state.slots.len() >= cap {
            return Ok(Taken::Full);
        }
        state.slots.insert(slot.account.clone(), slot.clone());
        Ok(Taken::Yes)
    }

    async fn note_record(&self, account: &AccountId, record: &RecordId) -> Result<(), LedgerError> {
        if let Some(slot) = self.state().slots.get_mut(account) {
            slot.record = Some(record.clone());
        }
        Ok(())
    }

    async fn free_slot(
        &self,
        account: &AccountId,
        target: &ArtifactId,
        progress: Option<&Progress>,
    ) -> Result<(), LedgerError> {
        let mut state = self.state();
        state.slots.remove(account);
        if let Some(progress) = progress {
            state.progress.insert((target.clone(), account.clone()), progress.clone());
        }
        Ok(())
    }

    async fn progress(
        &self,
        account: &AccountId,
        target: &ArtifactId,
    ) -> Result<Progress, LedgerError> {
        let key = (target.clone(), account.clone());
        Ok(self.state().progress.get(&key).cloned().unwrap_or_default())
    }

    async fn all_progress(
        &self,
        target: &ArtifactId,
    ) -> Result<BTreeMap<AccountId, Progress>, LedgerError> {
        let state = self.state();
        let of_target = state.progress.iter().filter(|((artifact, _), _)| artifact == target);
        Ok(of_target.map(|((_, account), progress)| (account.clone(), progress.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::ProvisionedProductId;
    use jiff::Timestamp;

    fn slot(number: u32) -> Slot {
        Slot {
            account: format!("{number:012}").parse().unwrap(),
            provisioned_product: ProvisionedProductId::new(format!("pp-{number}")),
            target: ArtifactId::new("pa-2"),
            lane: "all".into(),
            attempt: 1,
            token: format!("token-{number}"),
            record: None,
            taken_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn slots_are_taken_once_each_and_never_more_than_the_cap() {
        let ledger = MemoryLedger::new();
        assert_eq!(ledger.take_slot(&slot(1), 2).await, Ok(Taken::Yes));
        assert_eq!(ledger.take_slot(&slot(1), 2).await, Ok(Taken::Already(slot(1))));
        assert_eq!(ledger.take_slot(&slot(2), 2).await, Ok(Taken::Yes));
        assert_eq!(ledger.take_slot(&slot(3), 2).await, Ok(Taken::Full));
        let target = ArtifactId::new("pa-2");
        let failed = Progress { failed_attempts: 1, ..Progress::default() };
        ledger.free_slot(&slot(1).account, &target, Some(&failed)).await.unwrap();
        assert_eq!(ledger.take_slot(&slot(3), 2).await, Ok(Taken::Yes));
        assert_eq!(ledger.progress(&slot(1).account, &target).await, Ok(failed));
        let other = ArtifactId::new("pa-3");
        assert_eq!(ledger.progress(&slot(1).account, &other).await, Ok(Progress::default()));
        assert_eq!(ledger.all_progress(&target).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_record_is_kept_with_its_slot() {
        let ledger = MemoryLedger::new();
        ledger.take_slot(&slot(1), 1).await.unwrap();
        ledger.note_record(&slot(1).account, &RecordId::new("rec-1")).await.unwrap();
        let slots = ledger.slots().await.unwrap();
        assert_eq!(slots[0].record, Some(RecordId::new("rec-1")));
    }
}
