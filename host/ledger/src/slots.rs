//! Slots, attempts, and lanes.
//!
//! All slots are one item: whoever takes one has seen all the others. The progress of an
//! account is an item of its own, in a partition for each target; so is each lane.

use std::collections::BTreeMap;

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, RecordId};
use groundcrew_core::ports::{
    Ended, LaneRecord, Ledger, LedgerError, Pause, Progress, Slot, Taken,
};

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

const LANES: &str = "lanes";

fn record_of(lane: &str) -> Key {
    Key::new(LANES, lane)
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

    async fn note_record(&self, slot: &Slot, record: &RecordId) -> Result<(), LedgerError> {
        self.change(&slots(), |slots: Option<Slots>| {
            let mut slots = slots.unwrap_or_default();
            match slots.get_mut(&slot.account) {
                Some(held) if held.token == slot.token && held.record.as_ref() != Some(record) => {
                    held.record = Some(record.clone());
                    ((), Some(slots))
                }
                _ => ((), None),
            }
        })
        .await
    }

    async fn free_slot(
        &self,
        slot: &Slot,
        progress: Option<&Progress>,
        ended: Option<Ended>,
    ) -> Result<LaneRecord, LedgerError> {
        self.commit(|| async move {
            let mut writes = Vec::new();
            let held = self.hold::<Slots>(slots()).await?;
            let lane = self.hold::<LaneRecord>(record_of(&slot.lane)).await?;
            let mut record = lane.value.clone().unwrap_or_default();
            let slots = held.value.clone().unwrap_or_default();
            let is_held = match slots.get(&slot.account) {
                Some(other) if other.token != slot.token => return Ok((record, writes)),
                Some(_) => {
                    let others = slots.into_iter().filter(|(account, _)| *account != slot.account);
                    writes.push(held.replace(&others.collect())?);
                    true
                }
                // It was freed already, or there was none: AWS refused the start.
                None => false,
            };
            if let Some(progress) = progress {
                let held = self.hold::<Progress>(progress_of(&slot.account, &slot.target)).await?;
                let known = held.value.clone().unwrap_or_default();
                // A late repeat must not take back what has happened since.
                if known != *progress
                    && (is_held || known.failed_attempts < progress.failed_attempts)
                {
                    writes.push(held.replace(progress)?);
                }
            }
            // Where there is nothing else to write, this was written before.
            if let (Some(ended), false) = (ended, writes.is_empty()) {
                record.end(ended);
                writes.push(lane.replace(&record)?);
            }
            Ok((record, writes))
        })
        .await
    }

    async fn lanes(&self) -> Result<BTreeMap<String, LaneRecord>, LedgerError> {
        Ok(self.list(LANES).await?.into_iter().collect())
    }

    async fn pause_lane(
        &self,
        lane: &str,
        pause: Option<&Pause>,
    ) -> Result<LaneRecord, LedgerError> {
        self.change(&record_of(lane), |record: Option<LaneRecord>| {
            let mut record = record.unwrap_or_default();
            record.paused = pause.cloned();
            if pause.is_none() {
                record.failures_in_a_row = 0;
            }
            (record.clone(), Some(record))
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
