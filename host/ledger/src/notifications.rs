//! Notifications and markers: an item for each, and one with the time when the ledger began.
//! Notifications that were tried and not delivered are also on a list.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use async_trait::async_trait;
use groundcrew_core::notification::{
    Claim, ClaimOutcome, NotificationEntry, NotificationKey, NotificationState,
};
use groundcrew_core::ports::{LedgerError, NotificationLedger};
use jiff::Timestamp;

use crate::store::{Key, Store};
use crate::store_ledger::StoreLedger;
use crate::undelivered::{UNDELIVERED, Undelivered, is_undelivered, undelivered_key};

fn began_key() -> Key {
    Key::only("began")
}

fn notification_key(key: &NotificationKey) -> Key {
    Key::only(format!("notification/{key}"))
}

fn marker_key(what: &str) -> Key {
    Key::only(format!("note/{what}"))
}

impl<S> StoreLedger<S> {
    fn own_claims(&self) -> MutexGuard<'_, BTreeMap<NotificationKey, (NotificationEntry, u64)>> {
        // No statement can leave it half-changed, so a poisoned one is valid.
        self.own_claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: Store> NotificationLedger for StoreLedger<S> {
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError> {
        self.update(&began_key(), |began| match began {
            Some(began) => (began, None),
            None => (now, Some(now)),
        })
        .await
    }

    async fn claim(&self, claim: &Claim) -> Result<ClaimOutcome, LedgerError> {
        // Nearly every claim is the first of its notification, and needs no read.
        if let ClaimOutcome::Acquired(entry) = claim.decide(None)
            && let Some(version) = self.insert(notification_key(&claim.key), &entry).await?
        {
            self.own_claims().insert(claim.key.clone(), (entry.clone(), version));
            return Ok(ClaimOutcome::Acquired(entry));
        }
        self.update(&notification_key(&claim.key), |known| {
            let claimed = claim.decide(known.as_ref());
            let new = match &claimed {
                ClaimOutcome::Acquired(entry) => Some(entry.clone()),
                ClaimOutcome::Completed(_)
                | ClaimOutcome::ClaimedByOther { .. }
                | ClaimOutcome::Held { .. } => None,
            };
            (claimed, new)
        })
        .await
    }

    async fn complete(
        &self,
        key: &NotificationKey,
        by: &str,
        state: &NotificationState,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let still_has = |entry: &NotificationEntry| matches!(&entry.state, NotificationState::Claimed { by: holder, .. } if holder == by);
        let completed = |entry: NotificationEntry| NotificationEntry {
            state: state.clone(),
            changed_at: now,
            ..entry
        };
        let claimed = self.own_claims().remove(key).filter(|(entry, _)| still_has(entry));
        // A notification that was claimed for the first time and is delivered now was never on the
        // list.
        if let Some((entry, version)) = claimed.filter(|_| !is_undelivered(state))
            && self
                .replace(notification_key(key), Some(version), &completed(entry))
                .await?
                .is_some()
        {
            return Ok(true);
        }
        let (still_has, completed) = (&still_has, &completed);
        self.commit(|| async move {
            let stored = self.load::<NotificationEntry>(notification_key(key)).await?;
            let Some(entry) = stored.value.clone().filter(still_has).map(completed) else {
                return Ok((false, vec![]));
            };
            let mut writes = vec![stored.replace(&entry)?];
            let list = self.load::<Undelivered>(undelivered_key(key)).await?;
            let before = list.value.clone().unwrap_or_default();
            let mut undelivered = before.clone();
            undelivered.update(key, &entry);
            if undelivered != before {
                writes.push(list.replace(&undelivered)?);
            }
            Ok((true, writes))
        })
        .await
    }

    async fn insert_if_absent(
        &self,
        key: &NotificationKey,
        entry: &NotificationEntry,
    ) -> Result<bool, LedgerError> {
        Ok(self.insert(notification_key(key), entry).await?.is_some())
    }

    async fn notification(
        &self,
        key: &NotificationKey,
    ) -> Result<Option<NotificationEntry>, LedgerError> {
        Ok(self.load(notification_key(key)).await?.value)
    }

    async fn undelivered(
        &self,
    ) -> Result<BTreeMap<NotificationKey, NotificationEntry>, LedgerError> {
        let items = self.list::<Undelivered>(UNDELIVERED).await?;
        Ok(items.into_iter().flat_map(|(_, undelivered)| undelivered.0).collect())
    }

    async fn record_marker(&self, what: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.update(&marker_key(what), |has_marker: Option<Timestamp>| match has_marker {
            Some(_) => ((), None),
            None => ((), Some(now)),
        })
        .await
    }

    async fn has_marker(&self, what: &str) -> Result<bool, LedgerError> {
        Ok(self.load::<Timestamp>(marker_key(what)).await?.value.is_some())
    }
}
