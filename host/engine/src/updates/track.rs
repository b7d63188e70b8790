//! Following a running update to its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::catalog::{RecordId, RecordStatus};
use groundcrew_core::due::Footing;
use groundcrew_core::event::Event;
use groundcrew_core::ports::{Alert, DeadLetter, Ended, Freed, LaneRecord, Slot};
use groundcrew_core::scheduler::{Settlement, Sight};
use groundcrew_core::start_refusal::StartRefusal;

use super::Updates;
use super::start::{read, token};
use super::sweep::is_busy;
use crate::Notice;
use crate::retry::insist;
use crate::witness::Ending;

impl Updates {
    pub(super) async fn look(&self, slot: &Slot) -> Sight {
        match self.try_look(slot).await {
            Ok(sight) => sight,
            // The provisioned product is gone, and its update with it.
            Err(error) if error.class == Class::NotFound => Sight::NeverBegan(error.into()),
            Err(error) => {
                tracing::warn!(account = %slot.account, %error, "could not look at an update");
                Sight::Unseen(error)
            }
        }
    }

    async fn try_look(&self, slot: &Slot) -> Result<Sight, AwsError> {
        let catalog = &self.ports.catalog;
        let Some(record) = &slot.record else {
            return self.find_record(slot).await;
        };
        let record = catalog.record(&slot.provisioned_product, record).await?;
        match record.status {
            RecordStatus::Created | RecordStatus::InProgress | RecordStatus::InProgressInError => {
                Ok(Sight::Running)
            }
            RecordStatus::Failed => Ok(Sight::Failed(record)),
            RecordStatus::Succeeded => {
                // The record alone is not proof: success is a product on target.
                let product = catalog.provisioned_product(&slot.provisioned_product).await?;
                Ok(match () {
                    () if is_busy(&product) => Sight::Running,
                    () if product.artifact == slot.target => Sight::Succeeded,
                    () => Sight::Superseded,
                })
            }
        }
    }

    /// A slot without a record: its start was cut short or its answer lost. The token holds
    /// the product's last record from before the start. If that still is the last, nothing
    /// has started, and it is started now; otherwise the last record is the one, unless it
    /// is about another artifact.
    async fn find_record(&self, slot: &Slot) -> Result<Sight, AwsError> {
        let product = self.ports.catalog.provisioned_product(&slot.provisioned_product).await?;
        let last = product.last_record.as_ref();
        if token(&product.id, &slot.target, last) != slot.token
            && let Some(last) = last
        {
            let record = self.ports.catalog.record(&product.id, last).await?;
            if record.artifact.as_ref().is_none_or(|artifact| *artifact == slot.target) {
                return Ok(Sight::Adopted(self.note(slot.clone(), last.clone()).await));
            }
            // Somebody else came first, towards another artifact.
            return Ok(match record.status.is_terminal() {
                true => Sight::Superseded,
                false => Sight::Running,
            });
        }
        let request = async {
            let account = self.ports.directory.account(&slot.account).await.map_err(read)?;
            self.request(slot, &account, &product).await
        };
        let request = match request.await {
            Ok(request) => request,
            // Looked at again; the slot stays taken.
            Err(StartRefusal::Aws(error)) if error.class.is_passing() => return Err(error),
            Err(refusal) => return Ok(Sight::NeverBegan(refusal)),
        };
        match self.begin(slot, &request).await {
            Ok(Some(record)) => Ok(Sight::Adopted(self.note(slot.clone(), record).await)),
            Ok(None) => Ok(Sight::Running),
            Err(error) => Ok(Sight::NeverBegan(error.into())),
        }
    }

    /// Writes down how an update ended. Dead letter and alert go out before the slot is
    /// freed: killed in between, the next run finds the slot, sees the end again and does
    /// it again. Answers what is remembered of the lane, or `None` when another host is about
    /// to do all this.
    pub(super) async fn settle(&self, settlement: &Settlement) -> Option<LaneRecord> {
        let Settlement { slot, ended, progress, burial, reason } = settlement;
        if let Some(burial) = burial
            && !self.bury(burial).await
        {
            return None;
        }
        if let (Some(Ended { succeeded: true, .. }), Some(record)) = (ended, &slot.record)
            && self.settings.causes.need_footing()
        {
            self.note_footing(slot, record).await;
        }
        let tries = AtomicU32::new(0);
        let free = || {
            tries.fetch_add(1, Ordering::Relaxed);
            self.ports.ledger.free_slot(slot, progress.as_ref(), *ended)
        };
        let Freed { lane, written } = insist("settle an update", free).await;
        let reason = reason.as_deref().unwrap_or_default();
        let ending = match (burial, ended) {
            (Some(_), _) => Ending::GivenUp(reason),
            (None, Some(Ended { succeeded: true, .. })) => Ending::Succeeded,
            (None, _) => Ending::Retried(reason),
        };
        // What another host has written down it has told as well. A try whose answer was lost may
        // have been this one's.
        if written || tries.into_inner() > 1 {
            tracing::info!(
                account = %slot.account,
                lane = slot.lane,
                attempt = slot.attempt,
                record = slot.record.as_ref().map_or("", |record| record.as_str()),
                ending = ending.name(),
                reason,
                "update ended"
            );
            self.ports.witness.see(self.now(), Notice::Ended { slot, ending });
        }
        Some(lane)
    }

    /// Gives an account up for its target: once, whichever hosts see that it failed. Answers
    /// `false` when another is about to.
    async fn bury(&self, (letter, alert): &(DeadLetter, Alert)) -> bool {
        let DeadLetter { account, target, .. } = letter;
        let ledger = &self.ports.ledger;
        let progress = insist("read the ledger", || ledger.progress(account, target)).await;
        let what = format!("given up: {account}, {target}, {}", progress.redriven);
        let letter = &DeadLetter { redriven: progress.redriven, ..letter.clone() };
        self.alerter
            .tell_once(&what, async || {
                // At once, so that a queue that refuses the letter keeps nobody from knowing.
                tokio::join!(
                    insist("dead-letter an update", || self.ports.queue.dead_letter(letter)),
                    self.alerter.alert(alert),
                    self.announce(Event::of_given_up(letter, self.now())),
                );
            })
            .await
    }

    /// Tells whoever wants to know of what this host did.
    async fn announce(&self, event: Event) {
        if let Some(announcements) = &self.announcements {
            announcements.announce(event).await;
        }
    }

    /// Notes how things stood around an account that was updated.
    async fn note_footing(&self, slot: &Slot, record: &RecordId) {
        let footing = Footing {
            record: record.clone(),
            ou: slot.ou.clone(),
            landing_zone: slot.landing_zone.clone(),
        };
        let footings = BTreeMap::from([(slot.account.clone(), footing)]);
        let note = || self.ports.ledger.note_footings(&footings);
        insist("note what an account was updated to", note).await;
        self.state().footings.extend(footings);
    }
}
