//! Notifications and notes: an item for each, and one that tells since when they are written.

use async_trait::async_trait;
use groundcrew_core::notification::{
    Claim, Claimed, NotificationEntry, NotificationKey, NotificationState,
};
use groundcrew_core::ports::{LedgerError, NotificationLedger};
use jiff::Timestamp;

use crate::store::{Key, Store};
use crate::store_ledger::StoreLedger;

fn beginning() -> Key {
    Key::only("began")
}

fn entry_of(key: &NotificationKey) -> Key {
    Key::only(format!("notification/{key}"))
}

fn note_of(what: &str) -> Key {
    Key::only(format!("note/{what}"))
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
            && self.add(entry_of(&claim.key), &entry).await?
        {
            return Ok(Claimed::Ours(entry));
        }
        self.change(&entry_of(&claim.key), |known| {
            let claimed = claim.decide(known.as_ref());
            let new = match &claimed {
                Claimed::Ours(entry) => Some(entry.clone()),
                Claimed::Settled(_) | Claimed::Busy { .. } => None,
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
        self.change(&entry_of(key), |known: Option<NotificationEntry>| {
            let settled = known.filter(still_has).map(|entry| NotificationEntry {
                state: state.clone(),
                changed_at: now,
                ..entry
            });
            (settled.is_some(), settled)
        })
        .await
    }

    async fn record(
        &self,
        key: &NotificationKey,
        entry: &NotificationEntry,
    ) -> Result<bool, LedgerError> {
        self.change(&entry_of(key), |known| match known {
            Some(_) => (false, None),
            None => (true, Some(entry.clone())),
        })
        .await
    }

    async fn notification(
        &self,
        key: &NotificationKey,
    ) -> Result<Option<NotificationEntry>, LedgerError> {
        Ok(self.hold(entry_of(key)).await?.value)
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
