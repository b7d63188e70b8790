//! Polls a running update until it ends, and records its completion.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::{RecordId, RecordStatus};
use groundcrew_core::event::Event;
use groundcrew_core::ports::{Alert, DeadLetter, FreedSlot, LaneRecord, Slot, UpdateEnd};
use groundcrew_core::scheduler::{Completion, PollResult};
use groundcrew_core::start_failure::StartFailure;
use groundcrew_core::update_need::AccountAppliedState;

use super::Updates;
use super::start::{as_transient, token};
use super::sweep::is_busy;
use crate::EngineEvent;
use crate::observer::UpdateEnding;
use crate::retry::retry_until_success;

impl Updates {
    pub(super) async fn poll(&self, slot: &Slot) -> PollResult {
        match self.try_poll(slot).await {
            Ok(poll_result) => poll_result,
            // The provisioned product does not exist any more, so its update does not either.
            Err(error) if error.class == ErrorClass::NotFound => {
                PollResult::NeverStarted(error.into())
            }
            Err(error) => {
                tracing::warn!(account = %slot.account, %error, "could not poll an update");
                PollResult::PollFailed(error)
            }
        }
    }

    async fn try_poll(&self, slot: &Slot) -> Result<PollResult, AwsError> {
        let catalog = &self.ports.catalog;
        let Some(record) = &slot.record else {
            return self.find_record(slot).await;
        };
        let record = catalog.record(&slot.provisioned_product, record).await?;
        match record.status {
            RecordStatus::Created | RecordStatus::InProgress | RecordStatus::InProgressInError => {
                Ok(PollResult::Running)
            }
            RecordStatus::Failed => Ok(PollResult::Failed(record)),
            RecordStatus::Succeeded => {
                // The record alone is not proof: the update succeeded if the product is on the
                // target.
                let product = catalog.provisioned_product(&slot.provisioned_product).await?;
                Ok(match () {
                    () if is_busy(&product) => PollResult::Running,
                    () if product.artifact == slot.target => PollResult::Succeeded,
                    () => PollResult::Superseded,
                })
            }
        }
    }

    /// Handles a slot without a record: its start was interrupted, or the response was lost. The
    /// token is a hash over the product's last record before the start. If that record still is the
    /// last one, nothing has started, and the update is started now. Otherwise the last record is
    /// the update's, unless it is about another artifact.
    async fn find_record(&self, slot: &Slot) -> Result<PollResult, AwsError> {
        let product = self.ports.catalog.provisioned_product(&slot.provisioned_product).await?;
        let last = product.last_record.as_ref();
        if token(&product.id, &slot.target, last) != slot.token
            && let Some(last) = last
        {
            let record = self.ports.catalog.record(&product.id, last).await?;
            if record.artifact.as_ref().is_none_or(|artifact| *artifact == slot.target) {
                return Ok(PollResult::Adopted(
                    self.record_start(slot.clone(), last.clone()).await,
                ));
            }
            // Another client was first, with an update to another artifact.
            return Ok(match record.status.is_terminal() {
                true => PollResult::Superseded,
                false => PollResult::Running,
            });
        }
        let request = async {
            let account =
                self.ports.directory.account(&slot.account).await.map_err(as_transient)?;
            self.build_request(slot, &account, &product).await
        };
        let request = match request.await {
            Ok(request) => request,
            // It is polled again; the slot stays taken.
            Err(StartFailure::Aws(error)) if error.class.is_retryable() => return Err(error),
            Err(refusal) => return Ok(PollResult::NeverStarted(refusal)),
        };
        match self.start_with_retries(slot, &request).await {
            Ok(Some(record)) => {
                Ok(PollResult::Adopted(self.record_start(slot.clone(), record).await))
            }
            Ok(None) => Ok(PollResult::Running),
            Err(error) => Ok(PollResult::NeverStarted(error.into())),
        }
    }

    /// Records the completion of an update. The dead letter and the alert are sent before the slot
    /// is freed: if the host is killed in between, the next run finds the slot and repeats the
    /// completion. Returns the lane's record, or `None` when another host is doing all this.
    pub(super) async fn complete(&self, completion: &Completion) -> Option<LaneRecord> {
        let Completion { slot, ended, progress, dead_letter, reason } = completion;
        if let Some(dead_letter) = dead_letter
            && !self.dead_letter(dead_letter).await
        {
            return None;
        }
        if let (Some(UpdateEnd { succeeded: true, .. }), Some(record)) = (ended, &slot.record)
            && self.settings.causes.need_applied_state()
        {
            self.record_applied_state(slot, record).await;
        }
        let tries = AtomicU32::new(0);
        let free = || {
            tries.fetch_add(1, Ordering::Relaxed);
            self.ports.ledger.free_slot(slot, progress.as_ref(), *ended)
        };
        let FreedSlot { lane, written } = retry_until_success("settle an update", free).await;
        let reason = reason.as_deref().unwrap_or_default();
        let ending = match (dead_letter, ended) {
            (Some(_), _) => UpdateEnding::DeadLettered(reason),
            (None, Some(UpdateEnd { succeeded: true, .. })) => UpdateEnding::Succeeded,
            (None, _) => UpdateEnding::Retried(reason),
        };
        // If another host has written the completion, it has reported it too. After a retry the
        // write may have been this host's, with a lost response.
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
            self.ports.observer.observe(self.now(), EngineEvent::Ended { slot, ending });
        }
        Some(lane)
    }

    /// Dead-letters an account for its target: once, even if several hosts see that it failed.
    /// Returns `false` when another host is doing it.
    async fn dead_letter(&self, (dead_letter, alert): &(DeadLetter, Alert)) -> bool {
        let DeadLetter { account, target, .. } = dead_letter;
        let ledger = &self.ports.ledger;
        let progress =
            retry_until_success("read the ledger", || ledger.progress(account, target)).await;
        let what = format!("given up: {account}, {target}, {}", progress.redriven);
        let dead_letter = &DeadLetter { redriven: progress.redriven, ..dead_letter.clone() };
        self.alerter
            .run_once_across_hosts(&what, async || {
                // Concurrently, so that a queue that refuses the dead letter does not keep back the
                // alert.
                tokio::join!(
                    retry_until_success("dead-letter an update", || self
                        .ports
                        .queue
                        .dead_letter(dead_letter)),
                    self.alerter.publish(alert),
                    self.emit(Event::for_dead_letter(dead_letter, self.now())),
                );
            })
            .await
    }

    /// Emits an event about this host's work to the event sink, if there is one.
    async fn emit(&self, event: Event) {
        if let Some(event_sink) = &self.event_sink {
            event_sink.emit(event).await;
        }
    }

    /// Records the applied state of an account that was updated.
    async fn record_applied_state(&self, slot: &Slot, record: &RecordId) {
        let applied_state = AccountAppliedState {
            record: record.clone(),
            ou: slot.ou.clone(),
            landing_zone: slot.landing_zone.clone(),
        };
        let applied_states = BTreeMap::from([(slot.account.clone(), applied_state)]);
        let write = || self.ports.ledger.record_applied_states(&applied_states);
        retry_until_success("record what an account was updated to", write).await;
        self.cache().applied_states.extend(applied_states);
    }
}
