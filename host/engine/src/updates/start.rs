//! Starts an update: reads the account again, evaluates the policies again, rebuilds the
//! parameters, takes a slot in the ledger, and starts. The order matters: after a crash at any
//! point the slot is either not taken, or it leads back to the one update that it was taken for.

use std::collections::BTreeSet;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::{
    ArtifactId, LaunchPathId, ProductId, ProvisionedProduct, ProvisionedProductId, RecordId,
    UpdateRequest,
};
use groundcrew_core::decision_combiner::DecisionOutcome;
use groundcrew_core::lane::LaneId;
use groundcrew_core::ports::{LedgerError, QueuedUpdate, Slot, SlotLimits, SlotOutcome};
use groundcrew_core::scheduler::{AccountUpdateState, StartOutcome};
use groundcrew_core::start_failure::StartFailure;
use groundcrew_core::update_need::UpdateNeed;
use sha2::{Digest, Sha256};

use super::Updates;
use super::sweep::{candidate_state, is_busy, ou};
use crate::EngineEvent;
use crate::retry::retry_until_success;

/// How often a start whose response was lost is tried at once. The token makes a repeat harmless.
const MAX_START_ATTEMPTS: u32 = 3;

/// Why an update was not started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Refused(#[from] StartFailure),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<AwsError> for StartError {
    fn from(error: AwsError) -> Self {
        Self::Refused(error.into())
    }
}

impl Updates {
    pub(super) async fn start(&self, queued_update: &QueuedUpdate) -> StartOutcome {
        match self.try_start(queued_update).await {
            Ok(outcome) => outcome,
            Err(StartError::Refused(refusal)) => StartOutcome::Refused(refusal),
            Err(StartError::Ledger(error)) => {
                tracing::warn!(account = %queued_update.account, %error, "nothing is started: the ledger fails");
                StartOutcome::LedgerUnavailable
            }
        }
    }

    async fn try_start(&self, queued_update: &QueuedUpdate) -> Result<StartOutcome, StartError> {
        let catalog = &self.ports.catalog;
        // Everything is read again, concurrently: the sweep's data may be a day old.
        let (product, account, tags, progress) = tokio::join!(
            catalog.provisioned_product(&queued_update.provisioned_product),
            self.ports.directory.account(&queued_update.account),
            self.tags(&queued_update.account),
            self.ports.ledger.progress(&queued_update.account, &queued_update.target),
        );
        self.cache_account(&queued_update.account, &account);
        // Closed or no longer enrolled since the sweep. No other account is affected.
        if is_gone(&product) || is_gone(&account) {
            return Ok(StartOutcome::DecisionChanged(AccountUpdateState::Skipped));
        }
        let product = product.map_err(as_transient)?;
        if product.account != queued_update.account {
            // It would get the parameters of this account. The next sweep finds the right product.
            let (product, other) = (&product.id, &product.account);
            tracing::warn!(account = %queued_update.account, %product, %other, "a queued update \
                                                                                names a product \
                                                                                of another \
                                                                                account: dropped");
            return Ok(StartOutcome::DecisionChanged(AccountUpdateState::Skipped));
        }
        // Another host may have tried to update the account meanwhile.
        let progress = progress?;
        let account = account.map_err(as_transient)?;
        if is_busy(&product) {
            return self.adopt(queued_update, &product, &account).await;
        }
        let failed_attempts = progress.failed_attempts;
        let own_failure = failed_attempts > 0 || progress.redriven > 0;
        let cause =
            match self.update_need(&product, &queued_update.target, Some(&account), own_failure) {
                UpdateNeed::Current => return Ok(StartOutcome::Current),
                // It was closed since the sweep.
                UpdateNeed::Closed(state) => {
                    self.log_closed(&queued_update.account, state);
                    return Ok(StartOutcome::DecisionChanged(AccountUpdateState::Closed));
                }
                UpdateNeed::Excluded(_) => {
                    return Ok(StartOutcome::DecisionChanged(AccountUpdateState::Skipped));
                }
                UpdateNeed::Update(cause) => cause,
            };
        let decision =
            self.decide_update(account.clone(), tags, &product, &queued_update.target, cause).await;
        let lane = match decision.outcome {
            DecisionOutcome::Proceed { lane }
                if self.pipeline.lane_name(lane) == queued_update.lane =>
            {
                lane
            }
            _ => {
                let candidate_state = candidate_state(&decision, &product, &account, &progress);
                return Ok(StartOutcome::DecisionChanged(candidate_state));
            }
        };
        if failed_attempts + 1 != queued_update.attempt {
            let candidate_state = candidate_state(&decision, &product, &account, &progress);
            return Ok(StartOutcome::DecisionChanged(candidate_state));
        }
        let under_change = catalog.under_change().await.map_err(as_transient)?;
        let quota = self.settings.account_quota.saturating_sub(self.settings.reserve);
        let free = quota.saturating_sub(under_change.len());
        if free == 0 {
            return Ok(StartOutcome::NoCapacity);
        }
        let slot = self.slot(queued_update, &product, &account, None);
        let request = self.build_request(&slot, &account, &product).await?;
        match self.take_slot(&slot, lane).await? {
            SlotOutcome::Acquired => match self.has_quota_left(&slot, &under_change, free).await {
                Ok(true) => {}
                Ok(false) => {
                    self.free_slot(&slot).await;
                    return Ok(StartOutcome::NoCapacity);
                }
                Err(error) => {
                    self.free_slot(&slot).await;
                    return Err(error.into());
                }
            },
            // An earlier run of this host took it for this same start.
            SlotOutcome::AlreadyHeld(held) if held.token == slot.token => {}
            refused => return Ok(outcome_without_slot(&refused, lane)),
        }
        let started = match self.start_with_retries(&slot, &request).await {
            Ok(started) => started,
            Err(error) => {
                self.free_slot(&slot).await;
                return Err(error.into());
            }
        };
        match started {
            Some(record) => {
                let slot = self.record_start(slot, record).await;
                self.report_started(&slot, "update started");
                Ok(StartOutcome::Started(slot))
            }
            None => {
                let lost =
                    "update started, perhaps: its answer was lost, and its record is looked for";
                self.report_started(&slot, lost);
                Ok(StartOutcome::Unconfirmed(slot))
            }
        }
    }

    /// Logs that an update runs, and emits the event.
    fn report_started(&self, slot: &Slot, what: &str) {
        tracing::info!(
            account = %slot.account,
            lane = slot.lane,
            attempt = slot.attempt,
            record = slot.record.as_ref().map_or("", RecordId::as_str),
            token = slot.token,
            artifact = %slot.target,
            "{what}"
        );
        self.ports.observer.observe(self.now(), EngineEvent::Started(slot));
    }

    /// Caches the newest data of an account for the next sweep. Otherwise the next sweep would
    /// decide with the old data, and the start after it with the new data again.
    fn cache_account(&self, id: &AccountId, account: &Result<Arc<Account>, AwsError>) {
        let mut cache = self.cache();
        let Some((_, listing)) = &mut cache.accounts else { return };
        match account {
            Ok(account) if listing.get(id) != Some(account) => {
                Arc::make_mut(listing).insert(id.clone(), account.clone());
            }
            Err(error) if error.class == ErrorClass::NotFound && listing.contains_key(id) => {
                Arc::make_mut(listing).remove(id);
            }
            _ => {}
        }
    }

    /// Handles an account with a running operation. An update to this target is adopted, whoever
    /// started it: it is tracked, and holds a slot. For any other operation the account waits.
    async fn adopt(
        &self,
        queued_update: &QueuedUpdate,
        product: &ProvisionedProduct,
        account: &Account,
    ) -> Result<StartOutcome, StartError> {
        let Some(last) = &product.last_record else {
            return Ok(StartOutcome::AccountBusy);
        };
        let record = self.ports.catalog.record(&product.id, last).await.map_err(as_transient)?;
        if record.artifact.as_ref() != Some(&queued_update.target) || record.status.is_terminal() {
            return Ok(StartOutcome::AccountBusy);
        }
        let Some(lane) = self.settings.rules.lane_named(&queued_update.lane) else {
            return Ok(StartOutcome::AccountBusy);
        };
        let slot = self.slot(queued_update, product, account, Some(record.id));
        match self.take_slot(&slot, lane).await? {
            SlotOutcome::Acquired => {
                self.report_started(
                    &slot,
                    "an update towards the target runs already: it is followed",
                );
                Ok(StartOutcome::Started(slot))
            }
            refused => Ok(outcome_without_slot(&refused, lane)),
        }
    }

    fn slot(
        &self,
        queued_update: &QueuedUpdate,
        product: &ProvisionedProduct,
        account: &Account,
        record: Option<RecordId>,
    ) -> Slot {
        Slot {
            account: queued_update.account.clone(),
            provisioned_product: product.id.clone(),
            target: queued_update.target.clone(),
            lane: queued_update.lane.clone(),
            attempt: queued_update.attempt,
            token: token(&product.id, &queued_update.target, product.last_record.as_ref()),
            record,
            taken_at: self.now(),
            host: self.settings.host.clone(),
            ou: ou(account),
            landing_zone: self.cache().landing_zone.clone(),
        }
    }

    async fn take_slot(&self, slot: &Slot, lane: LaneId) -> Result<SlotOutcome, LedgerError> {
        let rules = &self.settings.rules;
        let limits = SlotLimits {
            total: rules.lane(lane).concurrency.min(rules.max_concurrent_operations),
            per_ou: rules.per_ou_limit,
        };
        self.ports.ledger.take_slot(slot, limits).await
    }

    /// Whether this slot may use one of the `free` operations of the quota. Other starts, of this
    /// host and of others, may have read the same number. Each start writes its slot before it
    /// calls this, so that a later call sees the slots of the earlier ones. The earliest slots go
    /// first.
    async fn has_quota_left(
        &self,
        slot: &Slot,
        under_change: &BTreeSet<ProvisionedProductId>,
        free: usize,
    ) -> Result<bool, LedgerError> {
        let slots = self.ports.ledger.slots().await?;
        let rank = |slot: &Slot| (slot.record.is_none(), slot.taken_at, slot.account.clone());
        let before = slots.iter().filter(|other| {
            !under_change.contains(&other.provisioned_product) && rank(other) < rank(slot)
        });
        Ok(before.count() < free)
    }

    async fn free_slot(&self, slot: &Slot) {
        retry_until_success("free a slot", || self.ports.ledger.free_slot(slot, None, None)).await;
    }

    /// Writes the record of a start into the ledger.
    pub(super) async fn record_start(&self, mut slot: Slot, record: RecordId) -> Slot {
        retry_until_success("record the record of a start", || {
            self.ports.ledger.record_start(&slot, &record)
        })
        .await;
        slot.record = Some(record);
        slot
    }

    /// The request for the update of a slot. All of its data is read here, so that nothing can fail
    /// between the slot and the start.
    pub(super) async fn build_request(
        &self,
        slot: &Slot,
        account: &Account,
        product: &ProvisionedProduct,
    ) -> Result<UpdateRequest, StartFailure> {
        let parameters = self.parameters(account, product).await?;
        let factory = self.product().await.map_err(as_transient)?;
        Ok(UpdateRequest {
            provisioned_product: slot.provisioned_product.clone(),
            launch_path: self.launch_path(&factory).await.map_err(as_transient)?,
            product: factory,
            target: slot.target.clone(),
            parameters,
            token: slot.token.clone(),
        })
    }

    /// Starts the update of a slot. `None` when it may have started and its record is not known.
    ///
    /// # Errors
    /// When the update has certainly not started.
    pub(super) async fn start_with_retries(
        &self,
        slot: &Slot,
        request: &UpdateRequest,
    ) -> Result<Option<RecordId>, AwsError> {
        let mut unsure = false;
        for _ in 0..MAX_START_ATTEMPTS {
            match self.ports.catalog.start_update(request).await {
                Ok(record) => return Ok(Some(record)),
                // Whatever the response to a repeat is, the first call may have taken effect.
                Err(error) if unsure || error.effect_possible => {
                    unsure = true;
                    tracing::warn!(account = %slot.account, %error, "no answer to the start");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The Account Factory product, as the last sweep found it.
    async fn product(&self) -> Result<ProductId, AwsError> {
        if let Some(product) = self.cache().product.clone() {
            return Ok(product);
        }
        Ok(self.ports.catalog.account_factory().await?.product)
    }

    async fn launch_path(&self, product: &ProductId) -> Result<LaunchPathId, AwsError> {
        if let Some(path) = self.cache().launch_path.clone() {
            return Ok(path);
        }
        let path = self.ports.catalog.launch_path(product).await?;
        self.cache().launch_path = Some(path.clone());
        Ok(path)
    }
}

/// The outcome of a start that got no slot.
fn outcome_without_slot(outcome: &SlotOutcome, lane: LaneId) -> StartOutcome {
    match outcome {
        SlotOutcome::Acquired | SlotOutcome::AlreadyHeld(_) => StartOutcome::AccountBusy,
        SlotOutcome::LimitReached => StartOutcome::NoCapacity,
        SlotOutcome::OuLimitReached => StartOutcome::OuLimitReached,
        SlotOutcome::DeadLettered => {
            StartOutcome::DecisionChanged(AccountUpdateState::DeadLettered { lane })
        }
    }
}

fn is_gone<T>(answer: &Result<T, AwsError>) -> bool {
    answer.as_ref().is_err_and(|error| error.class == ErrorClass::NotFound)
}

/// Makes the error of a read before the start transient: nothing has run, and the account is not
/// the cause, so the update does not fail for good.
pub(super) fn as_transient(error: AwsError) -> AwsError {
    match error.class {
        ErrorClass::Permanent | ErrorClass::Unknown => {
            AwsError { class: ErrorClass::Transient, ..error }
        }
        _ => error,
    }
}

/// The idempotency token of a start. It identifies the state before the start by the product's last
/// record: a repeat of the same start gives the same token, and a later try of the same account
/// gives another one.
pub(super) fn token(
    product: &ProvisionedProductId,
    target: &ArtifactId,
    last_record: Option<&RecordId>,
) -> String {
    let mut hash = Sha256::new();
    for part in [product.as_str(), target.as_str(), last_record.map_or("", RecordId::as_str)] {
        hash.update(part);
        hash.update([0]);
    }
    format!("groundcrew-{}", HEXLOWER.encode(&hash.finalize()))
}
