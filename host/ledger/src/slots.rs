//! Slots, attempts, lanes, pending plans, published alerts, applied states and sweeps.
//!
//! All slots are one item: a host that takes one has read all the others. The progress of an
//! account is an item of its own, in a partition for each target; so is each lane. Applied states
//! are kept in a hundred items in all, since a sweep may record thousands at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, RecordId};
use groundcrew_core::lease::is_lease_active;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    ALERT_LEASE, AlertClaim, FreedSlot, LaneRecord, Ledger, LedgerError, Orders, Pause, PlanRecord,
    Slot, SlotLimits, SlotOutcome, SweepRecord, UpdateEnd, UpdateProgress,
};
use groundcrew_core::update_need::AccountAppliedState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{Key, Store};
use crate::store_ledger::StoreLedger;

/// The value of the item of the slots.
type Slots = BTreeMap<AccountId, Slot>;

fn slots_key() -> Key {
    Key::only("slots")
}

fn progress_partition(target: &ArtifactId) -> String {
    format!("progress/{target}")
}

pub(crate) fn progress_key(account: &AccountId, target: &ArtifactId) -> Key {
    Key::new(progress_partition(target), account.as_str())
}

const LANES: &str = "lanes";

pub(crate) fn lane_key(lane: &str) -> Key {
    Key::new(LANES, lane)
}

pub(crate) fn orders_key() -> Key {
    Key::only("orders")
}

pub(crate) fn last_sweep_key() -> Key {
    Key::only("sweep")
}

fn alert_key(what: &str) -> Key {
    Key::new("told", what)
}

/// The host that claimed an alert, and whether it has published it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AlertRecord {
    host: String,
    at: Timestamp,
    done: bool,
}

const APPLIED_STATES: &str = "footings";

/// Applied states by account, of the accounts whose ids end in the same two digits.
type AppliedStates = BTreeMap<AccountId, AccountAppliedState>;

fn applied_states_key(account: &AccountId) -> Key {
    let id = account.as_str();
    Key::new(APPLIED_STATES, &id[id.len().saturating_sub(2)..])
}

#[async_trait]
impl<S: Store> Ledger for StoreLedger<S> {
    async fn slots(&self) -> Result<Vec<Slot>, LedgerError> {
        let slots = self.load::<Slots>(slots_key()).await?.value.unwrap_or_default();
        Ok(slots.into_values().collect())
    }

    async fn take_slot(&self, slot: &Slot, limits: SlotLimits) -> Result<SlotOutcome, LedgerError> {
        self.commit(|| async move {
            let stored = self.load::<Slots>(slots_key()).await?;
            let mut slots = stored.value.clone().unwrap_or_default();
            if let Some(taken) = slots.get(&slot.account) {
                return Ok((SlotOutcome::AlreadyHeld(taken.clone()), vec![]));
            }
            if slots.len() >= limits.total {
                return Ok((SlotOutcome::LimitReached, vec![]));
            }
            let beside = slots.values().filter(|other| other.ou == slot.ou).count();
            if limits.per_ou.is_some_and(|per_ou| beside >= per_ou) {
                return Ok((SlotOutcome::OuLimitReached, vec![]));
            }
            // Read after the slots: a host that dead-letters an account frees its slot in the same
            // commit, so that either this read sees it or the write below fails.
            let key = progress_key(&slot.account, &slot.target);
            if self
                .load::<UpdateProgress>(key)
                .await?
                .value
                .is_some_and(|known| known.dead_lettered)
            {
                return Ok((SlotOutcome::DeadLettered, vec![]));
            }
            slots.insert(slot.account.clone(), slot.clone());
            Ok((SlotOutcome::Acquired, vec![stored.replace(&slots)?]))
        })
        .await
    }

    async fn record_start(&self, slot: &Slot, record: &RecordId) -> Result<(), LedgerError> {
        self.update(&slots_key(), |slots: Option<Slots>| {
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
        progress: Option<&UpdateProgress>,
        ended: Option<UpdateEnd>,
    ) -> Result<FreedSlot, LedgerError> {
        self.commit(|| async move {
            let mut writes = Vec::new();
            let stored = self.load::<Slots>(slots_key()).await?;
            let lane = self.load::<LaneRecord>(lane_key(&slot.lane)).await?;
            let mut record = lane.value.clone().unwrap_or_default();
            let slots = stored.value.clone().unwrap_or_default();
            let is_held = match slots.get(&slot.account) {
                Some(other) if other.token != slot.token => {
                    return Ok((FreedSlot { lane: record, written: false }, writes));
                }
                Some(_) => {
                    let others = slots.into_iter().filter(|(account, _)| *account != slot.account);
                    writes.push(stored.replace(&others.collect())?);
                    true
                }
                // It was freed already, or there was no slot, since AWS refused the start.
                None => false,
            };
            if let Some(progress) = progress {
                let stored =
                    self.load::<UpdateProgress>(progress_key(&slot.account, &slot.target)).await?;
                let known = stored.value.clone().unwrap_or_default();
                let progress = &UpdateProgress { redriven: known.redriven, ..progress.clone() };
                // A late repeat must not undo later changes.
                if known != *progress
                    && (is_held || known.failed_attempts < progress.failed_attempts)
                {
                    writes.push(stored.replace(progress)?);
                }
            }
            // If there is nothing else to write, the lane's record was written before.
            if let (Some(ended), false) = (ended, writes.is_empty()) {
                record.record_end(slot.taken_at, ended);
                writes.push(lane.replace(&record)?);
            }
            Ok((FreedSlot { lane: record, written: !writes.is_empty() }, writes))
        })
        .await
    }

    async fn lanes(&self) -> Result<BTreeMap<String, LaneRecord>, LedgerError> {
        Ok(self.list(LANES).await?.into_iter().collect())
    }

    async fn pause_lane(&self, lane: &str, pause: &Pause) -> Result<LaneRecord, LedgerError> {
        self.update(&lane_key(lane), |record: Option<LaneRecord>| {
            let mut record = record.unwrap_or_default();
            let is_new = record.pause(pause).is_none();
            (record.clone(), is_new.then_some(record))
        })
        .await
    }

    async fn record_pending_plan(
        &self,
        plan: &PlanId,
        since: Timestamp,
    ) -> Result<PlanRecord, LedgerError> {
        self.update(&orders_key(), |orders: Option<Orders>| {
            let mut orders = orders.unwrap_or_default();
            if let Some(known) = orders.plans.get(plan) {
                return (known.clone(), None);
            }
            let record = PlanRecord { since, approved: None };
            orders.plans.insert(plan.clone(), record.clone());
            while orders.plans.len() > Orders::MAX_PLANS {
                let oldest = orders.plans.iter().min_by_key(|(_, record)| record.since);
                let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
                orders.plans.remove(&oldest);
            }
            (record, Some(orders))
        })
        .await
    }

    async fn applied_states(
        &self,
    ) -> Result<BTreeMap<AccountId, AccountAppliedState>, LedgerError> {
        let items = self.list::<AppliedStates>(APPLIED_STATES).await?;
        Ok(items.into_iter().flat_map(|(_, applied_states)| applied_states).collect())
    }

    async fn record_applied_states(
        &self,
        applied_states: &BTreeMap<AccountId, AccountAppliedState>,
    ) -> Result<(), LedgerError> {
        let mut by_item: BTreeMap<String, (Key, AppliedStates)> = BTreeMap::new();
        for (account, applied_state) in applied_states {
            let key = applied_states_key(account);
            let item = by_item.entry(key.sort.clone()).or_insert((key, AppliedStates::new()));
            item.1.insert(account.clone(), applied_state.clone());
        }
        for (key, new) in by_item.into_values() {
            self.update(&key, |known: Option<AppliedStates>| {
                let known = known.unwrap_or_default();
                let mut all = known.clone();
                all.extend(new.clone());
                ((), (all != known).then_some(all))
            })
            .await?;
        }
        Ok(())
    }

    async fn record_sweep(&self, sweep: &SweepRecord) -> Result<(), LedgerError> {
        self.update(&last_sweep_key(), |_: Option<SweepRecord>| ((), Some(sweep.clone()))).await
    }

    async fn last_sweep(&self) -> Result<Option<SweepRecord>, LedgerError> {
        Ok(self.load(last_sweep_key()).await?.value)
    }

    async fn claim_alert(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<AlertClaim, LedgerError> {
        self.update(&alert_key(what), |known: Option<AlertRecord>| match known {
            Some(AlertRecord { done: true, .. }) => (AlertClaim::Published, None),
            Some(other)
                if other.host != host && is_lease_active(other.at, other.at + ALERT_LEASE, now) =>
            {
                (AlertClaim::ClaimedByOther, None)
            }
            _ => (
                AlertClaim::Acquired,
                Some(AlertRecord { host: host.to_owned(), at: now, done: false }),
            ),
        })
        .await
    }

    async fn record_alerted(
        &self,
        what: &str,
        host: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.update(&alert_key(what), |known: Option<AlertRecord>| match known {
            Some(AlertRecord { done: true, .. }) => ((), None),
            _ => ((), Some(AlertRecord { host: host.to_owned(), at: now, done: true })),
        })
        .await
    }

    async fn progress(
        &self,
        account: &AccountId,
        target: &ArtifactId,
    ) -> Result<UpdateProgress, LedgerError> {
        Ok(self.load(progress_key(account, target)).await?.value.unwrap_or_default())
    }

    async fn all_progress(
        &self,
        target: &ArtifactId,
    ) -> Result<BTreeMap<AccountId, UpdateProgress>, LedgerError> {
        let partition = progress_partition(target);
        let read = |(account, progress): (String, UpdateProgress)| match account.parse() {
            Ok(account) => Ok((account, progress)),
            Err(error) => Err(LedgerError::unreadable(&partition, &account, error)),
        };
        self.list(&partition).await?.into_iter().map(read).collect()
    }
}
