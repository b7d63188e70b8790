//! Slots, attempts, lanes, plans that are needed, and what was told and seen.
//!
//! All slots are one item: whoever takes one has seen all the others. The progress of an
//! account is an item of its own, in a partition for each target; so is each lane. Footings
//! are kept a hundred items in all, since a sweep may note thousands at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, RecordId};
use groundcrew_core::due::Footing;
use groundcrew_core::lease::is_taken;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    Cap, Ended, Freed, LaneRecord, Ledger, LedgerError, Orders, Pause, PlanRecord, Progress, Slot,
    SweepRecord, TELLING_LEASE, Taken, Telling,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

pub(crate) fn progress_of(account: &AccountId, target: &ArtifactId) -> Key {
    Key::new(progress_towards(target), account.as_str())
}

const LANES: &str = "lanes";

pub(crate) fn record_of(lane: &str) -> Key {
    Key::new(LANES, lane)
}

pub(crate) fn orders() -> Key {
    Key::only("orders")
}

pub(crate) fn last_sweep() -> Key {
    Key::only("sweep")
}

fn told(what: &str) -> Key {
    Key::new("told", what)
}

/// Who has taken it on to tell something.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    host: String,
    at: Timestamp,
    done: bool,
}

const FOOTINGS: &str = "footings";

/// Footings by account, of those whose ids end in the same two digits.
type Footings = BTreeMap<AccountId, Footing>;

fn footings_with(account: &AccountId) -> Key {
    let id = account.as_str();
    Key::new(FOOTINGS, &id[id.len().saturating_sub(2)..])
}

#[async_trait]
impl<S: Store> Ledger for StoreLedger<S> {
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError> {
        let slots = self.hold::<Slots>(slots()).await?.value.unwrap_or_default();
        Ok(slots.into_values().collect())
    }

    async fn take_slot(&self, slot: &Slot, cap: Cap) -> Result<Taken, LedgerError> {
        self.commit(|| async move {
            let held = self.hold::<Slots>(slots()).await?;
            let mut slots = held.value.clone().unwrap_or_default();
            if let Some(taken) = slots.get(&slot.account) {
                return Ok((Taken::Already(taken.clone()), vec![]));
            }
            if slots.len() >= cap.total {
                return Ok((Taken::Full, vec![]));
            }
            let beside = slots.values().filter(|other| other.ou == slot.ou).count();
            if cap.per_ou.is_some_and(|per_ou| beside >= per_ou) {
                return Ok((Taken::OuFull, vec![]));
            }
            // Read after the slots: whoever gives an account up frees its slot in the same step,
            // so that either this sees it or the write below fails.
            let key = progress_of(&slot.account, &slot.target);
            if self.hold::<Progress>(key).await?.value.is_some_and(|known| known.dead_lettered) {
                return Ok((Taken::GivenUp, vec![]));
            }
            slots.insert(slot.account.clone(), slot.clone());
            Ok((Taken::Yes, vec![held.replace(&slots)?]))
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
    ) -> Result<Freed, LedgerError> {
        self.commit(|| async move {
            let mut writes = Vec::new();
            let held = self.hold::<Slots>(slots()).await?;
            let lane = self.hold::<LaneRecord>(record_of(&slot.lane)).await?;
            let mut record = lane.value.clone().unwrap_or_default();
            let slots = held.value.clone().unwrap_or_default();
            let is_held = match slots.get(&slot.account) {
                Some(other) if other.token != slot.token => {
                    return Ok((Freed { lane: record, written: false }, writes));
                }
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
                let progress = &Progress { redriven: known.redriven, ..progress.clone() };
                // A late repeat must not take back what has happened since.
                if known != *progress
                    && (is_held || known.failed_attempts < progress.failed_attempts)
                {
                    writes.push(held.replace(progress)?);
                }
            }
            // Where there is nothing else to write, this was written before.
            if let (Some(ended), false) = (ended, writes.is_empty()) {
                record.end(slot.taken_at, ended);
                writes.push(lane.replace(&record)?);
            }
            Ok((Freed { lane: record, written: !writes.is_empty() }, writes))
        })
        .await
    }

    async fn lanes(&self) -> Result<BTreeMap<String, LaneRecord>, LedgerError> {
        Ok(self.list(LANES).await?.into_iter().collect())
    }

    async fn pause_lane(&self, lane: &str, pause: &Pause) -> Result<LaneRecord, LedgerError> {
        self.change(&record_of(lane), |record: Option<LaneRecord>| {
            let mut record = record.unwrap_or_default();
            let is_new = record.pause(pause).is_none();
            (record.clone(), is_new.then_some(record))
        })
        .await
    }

    async fn need_plan(&self, plan: &PlanId, since: Timestamp) -> Result<PlanRecord, LedgerError> {
        self.change(&orders(), |orders: Option<Orders>| {
            let mut orders = orders.unwrap_or_default();
            if let Some(known) = orders.plans.get(plan) {
                return (known.clone(), None);
            }
            let record = PlanRecord { since, approved: None };
            orders.plans.insert(plan.clone(), record.clone());
            while orders.plans.len() > Orders::PLANS {
                let oldest = orders.plans.iter().min_by_key(|(_, record)| record.since);
                let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
                orders.plans.remove(&oldest);
            }
            (record, Some(orders))
        })
        .await
    }

    async fn footings(&self) -> Result<BTreeMap<AccountId, Footing>, LedgerError> {
        let items = self.list::<Footings>(FOOTINGS).await?;
        Ok(items.into_iter().flat_map(|(_, footings)| footings).collect())
    }

    async fn note_footings(
        &self,
        footings: &BTreeMap<AccountId, Footing>,
    ) -> Result<(), LedgerError> {
        let mut by_item: BTreeMap<String, (Key, Footings)> = BTreeMap::new();
        for (account, footing) in footings {
            let key = footings_with(account);
            let item = by_item.entry(key.sort.clone()).or_insert((key, Footings::new()));
            item.1.insert(account.clone(), footing.clone());
        }
        for (key, new) in by_item.into_values() {
            self.change(&key, |known: Option<Footings>| {
                let known = known.unwrap_or_default();
                let mut all = known.clone();
                all.extend(new.clone());
                ((), (all != known).then_some(all))
            })
            .await?;
        }
        Ok(())
    }

    async fn note_sweep(&self, sweep: &SweepRecord) -> Result<(), LedgerError> {
        self.change(&last_sweep(), |_: Option<SweepRecord>| ((), Some(sweep.clone()))).await
    }

    async fn last_sweep(&self) -> Result<Option<SweepRecord>, LedgerError> {
        Ok(self.hold(last_sweep()).await?.value)
    }

    async fn claim_telling(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<Telling, LedgerError> {
        self.change(&told(what), |known: Option<Told>| match known {
            Some(Told { done: true, .. }) => (Telling::Done, None),
            Some(other)
                if other.host != host && is_taken(other.at, other.at + TELLING_LEASE, now) =>
            {
                (Telling::Theirs, None)
            }
            _ => (Telling::Ours, Some(Told { host: host.to_owned(), at: now, done: false })),
        })
        .await
    }

    async fn note_told(&self, what: &str, host: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.change(&told(what), |known: Option<Told>| match known {
            Some(Told { done: true, .. }) => ((), None),
            _ => ((), Some(Told { host: host.to_owned(), at: now, done: true })),
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
            Err(error) => Err(LedgerError::unreadable(&partition, &account, error)),
        };
        self.list(&partition).await?.into_iter().map(read).collect()
    }
}
