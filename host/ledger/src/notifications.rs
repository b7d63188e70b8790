//! Notifications and notes: an item for each, and one that tells since when they are written. Those
//! that were tried and not told are on a list as well.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use async_trait::async_trait;
use groundcrew_core::notification::{
    Claim, Claimed, NotificationEntry, NotificationKey, NotificationState,
};
use groundcrew_core::ports::{LedgerError, NotificationLedger};
use jiff::Timestamp;

use crate::store::{Key, Store};
use crate::store_ledger::StoreLedger;
use crate::untold::{UNTOLD, Untold, is_untold, untold_with};

fn beginning() -> Key {
    Key::only("began")
}

fn entry_of(key: &NotificationKey) -> Key {
    Key::only(format!("notification/{key}"))
}

fn note_of(what: &str) -> Key {
    Key::only(format!("note/{what}"))
}

impl<S> StoreLedger<S> {
    fn claimed(&self) -> MutexGuard<'_, BTreeMap<NotificationKey, (NotificationEntry, u64)>> {
        // No change of it can panic half-way, so that a poisoned one is whole.
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: Store> NotificationLedger for StoreLedger<S> {
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError> {
        self.change(&beginning(), |began| match began {
            Some(began) => (began, None),
            None => (now, Some(now)),
        })
        .await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, LedgerError> {
        // Nearly every claim is the first of its notification, which needs no reading.
        if let Claimed::Ours(entry) = claim.decide(None)
            && let Some(version) = self.add(entry_of(&claim.key), &entry).await?
        {
            self.claimed().insert(claim.key.clone(), (entry.clone(), version));
            return Ok(Claimed::Ours(entry));
        }
        self.change(&entry_of(&claim.key), |known| {
            let claimed = claim.decide(known.as_ref());
            let new = match &claimed {
                Claimed::Ours(entry) => Some(entry.clone()),
                Claimed::Settled(_) | Claimed::Busy { .. } | Claimed::Held { .. } => None,
            };
            (claimed, new)
        })
        .await
    }

    async fn settle(
        &self,
        key: &NotificationKey,
        by: &str,
        state: &NotificationState,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let still_has = |entry: &NotificationEntry| matches!(&entry.state, NotificationState::Taken { by: holder, .. } if holder == by);
        let settled = |entry: NotificationEntry| NotificationEntry {
            state: state.clone(),
            changed_at: now,
            ..entry
        };
        let claimed = self.claimed().remove(key).filter(|(entry, _)| still_has(entry));
        // What was claimed for the first time and is told now was never on the list.
        if let Some((entry, version)) = claimed.filter(|_| !is_untold(state))
            && self.replace(entry_of(key), Some(version), &settled(entry)).await?.is_some()
        {
            return Ok(true);
        }
        let (still_has, settled) = (&still_has, &settled);
        self.commit(|| async move {
            let held = self.hold::<NotificationEntry>(entry_of(key)).await?;
            let Some(entry) = held.value.clone().filter(still_has).map(settled) else {
                return Ok((false, vec![]));
            };
            let mut writes = vec![held.replace(&entry)?];
            let list = self.hold::<Untold>(untold_with(key)).await?;
            let before = list.value.clone().unwrap_or_default();
            let mut untold = before.clone();
            untold.take_in(key, &entry);
            if untold != before {
                writes.push(list.replace(&untold)?);
            }
            Ok((true, writes))
        })
        .await
    }

    async fn record(
        &self,
        key: &NotificationKey,
        entry: &NotificationEntry,
    ) -> Result<bool, LedgerError> {
        Ok(self.add(entry_of(key), entry).await?.is_some())
    }

    async fn notification(
        &self,
        key: &NotificationKey,
    ) -> Result<Option<NotificationEntry>, LedgerError> {
        Ok(self.hold(entry_of(key)).await?.value)
    }

    async fn untold(&self) -> Result<BTreeMap<NotificationKey, NotificationEntry>, LedgerError> {
        let items = self.list::<Untold>(UNTOLD).await?;
        Ok(items.into_iter().flat_map(|(_, untold)| untold.0).collect())
    }

    async fn note(&self, what: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.change(&note_of(what), |noted: Option<Timestamp>| match noted {
            Some(_) => ((), None),
            None => ((), Some(now)),
        })
        .await
    }

    async fn noted(&self, what: &str) -> Result<bool, LedgerError> {
        Ok(self.hold::<Timestamp>(note_of(what)).await?.value.is_some())
    }
}
