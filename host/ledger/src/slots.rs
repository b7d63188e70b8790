//! Slots and attempts.
//!
//! All slots are one item: whoever takes one has seen all the others. The progress of an
//! account is an item of its own, in a partition for each target.

use std::collections::BTreeMap;

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, RecordId};
use groundcrew_core::ports::{Ledger, LedgerError, Progress, Slot, Taken};

use crate::store::{Key, Store};
use crate::store_ledger::StoreLedger;

/// What is in the item of the slots.
type Slots = BTreeMap<AccountId, Slot>;

fn slots() -> Key {
    Key::only("slots")
}

fn progress_towards(target: &ArtifactId) -> String {
    format!("progress/{target}")
}

fn progress_of(account: &AccountId, target: &ArtifactId) -> Key {
    Key::new(progress_towards(target), account.as_str())
}

#[async_trait]
impl<S: Store> Ledger for StoreLedger<S> {
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError> {
        let slots = self.hold::<Slots>(slots()).await?.value.unwrap_or_default();
        Ok(slots.into_values().collect())
    }

    async fn take_slot(&self, slot: &Slot, cap: usize) -> Result<Taken, LedgerError> {
        self.change(&slots(), |slots: Option<Slots>| {
            let mut slots = slots.unwrap_or_default();
            if let Some(taken) = slots.get(&slot.account) {
                return (Taken::Already(taken.clone()), None);
            }
            if slots.len() >= cap {
                return (Taken::Full, None);
            }
            slots.insert(slot.account.clone(), slot.clone());
            (Taken::Yes, Some(slots))
        })
        .await
    }

    async fn note_record(&self, account: &AccountId, record: &RecordId) -> Result<(), LedgerError> {
        self.change(&slots(), |slots: Option<Slots>| {
            let mut slots = slots.unwrap_or_default();
            match slots.get_mut(account) {
                Some(slot) if slot.record.as_ref() != Some(record) => {
                    slot.record = Some(record.clone());
                    ((), Some(slots))
                }
                _ => ((), None),
            }
        })
        .await
    }

    async fn free_slot(
        &self,
        account: &AccountId,
        target: &ArtifactId,
        progress: Option<&Progress>,
    ) -> Result<(), LedgerError> {
        self.commit(|| async move {
            let mut writes = Vec::new();
            let mut held = self.hold::<Slots>(slots()).await?;
            let mut slots = held.value.take().unwrap_or_default();
            if slots.remove(account).is_some() {
                writes.push(held.replace(&slots)?);
            }
            if let Some(progress) = progress {
                let held = self.hold::<Progress>(progress_of(account, target)).await?;
                if held.value.as_ref() != Some(progress) {
                    writes.push(held.replace(progress)?);
                }
            }
            Ok(((), writes))
        })
        .await
    }

    async fn progress(
        &self,
        account: &AccountId,
        target: &ArtifactId,
    ) -> Result<Progress, LedgerError> {
        Ok(self.hold(progress_of(account, target)).await?.value.unwrap_or_default())
    }

    async fn all_progress(
        &self,
        target: &ArtifactId,
    ) -> Result<BTreeMap<AccountId, Progress>, LedgerError> {
        let partition = progress_towards(target);
        let read = |(account, progress): (String, Progress)| match account.parse() {
            Ok(account) => Ok((account, progress)),
            Err(error) => Err(LedgerError(format!("partition `{partition}`: {error}"))),
        };
        self.list(&partition).await?.into_iter().map(read).collect()
    }
}
