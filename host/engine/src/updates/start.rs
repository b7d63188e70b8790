//! Starting an update: examine the account once more, ask the policies again, rebuild its
//! parameters, write the slot down, start. In that order, so that a crash anywhere leaves a
//! slot that is either not taken, or leads back to the one update it was taken for.

use std::collections::BTreeSet;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::catalog::{
    ArtifactId, LaunchPathId, ProductId, ProvisionedProduct, ProvisionedProductId, RecordId,
    UpdateRequest,
};
use groundcrew_core::due::Due;
use groundcrew_core::lane::LaneId;
use groundcrew_core::pipeline::Outcome;
use groundcrew_core::ports::{Cap, Hint, LedgerError, Slot, Taken};
use groundcrew_core::scheduler::{Standing, StartOutcome};
use groundcrew_core::start_refusal::StartRefusal;
use sha2::{Digest, Sha256};

use super::Updates;
use super::sweep::{is_busy, ou, standing};
use crate::Notice;
use crate::retry::insist;

/// How often a start whose answer was lost is repeated at once. The token makes a repeat
/// harmless.
const REPEATS: u32 = 3;

/// Why an update was not started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Refused(#[from] StartRefusal),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<AwsError> for StartError {
    fn from(error: AwsError) -> Self {
        Self::Refused(error.into())
    }
}

impl Updates {
    pub(super) async fn start(&self, hint: &Hint) -> StartOutcome {
        match self.try_start(hint).await {
            Ok(outcome) => outcome,
            Err(StartError::Refused(refusal)) => StartOutcome::Refused(refusal),
            Err(StartError::Ledger(error)) => {
                tracing::warn!(account = %hint.account, %error, "nothing is started: the ledger fails");
                StartOutcome::LedgerUnread
            }
        }
    }

    async fn try_start(&self, hint: &Hint) -> Result<StartOutcome, StartError> {
        let catalog = &self.ports.catalog;
        // Everything is read anew, at once: what the sweep saw may be a day old.
        let (product, account, tags, progress) = tokio::join!(
            catalog.provisioned_product(&hint.provisioned_product),
            self.ports.directory.account(&hint.account),
            self.tags(&hint.account),
            self.ports.ledger.progress(&hint.account, &hint.target),
        );
        self.remember(&hint.account, &account);
        // Closed, or no longer enrolled, since the sweep: nobody else's trouble.
        if is_gone(&product) || is_gone(&account) {
            return Ok(StartOutcome::Decided(Standing::Skipped));
        }
        let product = product.map_err(read)?;
        if product.account != hint.account {
            // It would get the parameters of this account. The next sweep finds the right one.
            let (product, other) = (&product.id, &product.account);
            tracing::warn!(account = %hint.account, %product, %other, "a hint names a product of another account: dropped");
            return Ok(StartOutcome::Decided(Standing::Skipped));
        }
        // Another host may have tried it meanwhile.
        let progress = progress?;
        let account = account.map_err(read)?;
        if is_busy(&product) {
            return self.adopt(hint, &product, &account).await;
        }
        let failed_attempts = progress.failed_attempts;
        let ours = failed_attempts > 0 || progress.redriven > 0;
        let cause = match self.due(&product, &hint.target, Some(&account), ours) {
            Due::Current => return Ok(StartOutcome::Current),
            // Since the sweep.
            Due::Closed(state) => {
                self.log_closed(&hint.account, state);
                return Ok(StartOutcome::Decided(Standing::Closed));
            }
            Due::LeftAlone(_) => return Ok(StartOutcome::Decided(Standing::Skipped)),
            Due::Update(cause) => cause,
        };
        let decision =
            self.decide_update(account.clone(), tags, &product, &hint.target, cause).await;
        let lane = match decision.outcome {
            Outcome::Proceed { lane } if self.panel.lane(lane) == hint.lane => lane,
            _ => {
                let standing = standing(&decision, &product, &account, &progress);
                return Ok(StartOutcome::Decided(standing));
            }
        };
        if failed_attempts + 1 != hint.attempt {
            let standing = standing(&decision, &product, &account, &progress);
            return Ok(StartOutcome::Decided(standing));
        }
        let under_change = catalog.under_change().await.map_err(read)?;
        let quota = self.settings.account_quota.saturating_sub(self.settings.reserve);
        let free = quota.saturating_sub(under_change.len());
        if free == 0 {
            return Ok(StartOutcome::NothingFree);
        }
        let slot = self.slot(hint, &product, &account, None);
        let request = self.request(&slot, &account, &product).await?;
        match self.take(&slot, lane).await? {
            Taken::Yes => match self.has_room(&slot, &under_change, free).await {
                Ok(true) => {}
                Ok(false) => {
                    self.free(&slot).await;
                    return Ok(StartOutcome::NothingFree);
                }
                Err(error) => {
                    self.free(&slot).await;
                    return Err(error.into());
                }
            },
            // Taken by an earlier run of this host for this very start.
            Taken::Already(taken) if taken.token == slot.token => {}
            refused => return Ok(without_slot(&refused, lane)),
        }
        let begun = match self.begin(&slot, &request).await {
            Ok(begun) => begun,
            Err(error) => {
                self.free(&slot).await;
                return Err(error.into());
            }
        };
        match begun {
            Some(record) => {
                let slot = self.note(slot, record).await;
                self.started(&slot, "update started");
                Ok(StartOutcome::Started(slot))
            }
            None => {
                let lost =
                    "update started, perhaps: its answer was lost, and its record is looked for";
                self.started(&slot, lost);
                Ok(StartOutcome::Unsure(slot))
            }
        }
    }

    /// Tells that an update runs.
    fn started(&self, slot: &Slot, what: &str) {
        tracing::info!(
            account = %slot.account,
            lane = slot.lane,
            attempt = slot.attempt,
            record = slot.record.as_ref().map_or("", RecordId::as_str),
            token = slot.token,
            artifact = %slot.target,
            "{what}"
        );
        self.ports.witness.see(self.now(), Notice::Started(slot));
    }

    /// What a sweep remembers of an account is what was seen of it last: otherwise the next sweep
    /// would decide about it as it was, and this again about it as it is.
    fn remember(&self, id: &AccountId, account: &Result<Arc<Account>, AwsError>) {
        let mut state = self.state();
        let Some((_, listing)) = &mut state.directory else { return };
        match account {
            Ok(account) if listing.get(id) != Some(account) => {
                Arc::make_mut(listing).insert(id.clone(), account.clone());
            }
            Err(error) if error.class == Class::NotFound && listing.contains_key(id) => {
                Arc::make_mut(listing).remove(id);
            }
            _ => {}
        }
    }

    /// Something runs on the account. Towards this target it is as good as ours: it is
    /// tracked, and holds a slot. Anything else is waited for.
    async fn adopt(
        &self,
        hint: &Hint,
        product: &ProvisionedProduct,
        account: &Account,
    ) -> Result<StartOutcome, StartError> {
        let Some(last) = &product.last_record else {
            return Ok(StartOutcome::AccountBusy);
        };
        let record = self.ports.catalog.record(&product.id, last).await.map_err(read)?;
        if record.artifact.as_ref() != Some(&hint.target) || record.status.is_terminal() {
            return Ok(StartOutcome::AccountBusy);
        }
        let Some(lane) = self.settings.rules.lane_named(&hint.lane) else {
            return Ok(StartOutcome::AccountBusy);
        };
        let slot = self.slot(hint, product, account, Some(record.id));
        match self.take(&slot, lane).await? {
            Taken::Yes => {
                self.started(&slot, "an update towards the target runs already: it is followed");
                Ok(StartOutcome::Started(slot))
            }
            refused => Ok(without_slot(&refused, lane)),
        }
    }

    fn slot(
        &self,
        hint: &Hint,
        product: &ProvisionedProduct,
        account: &Account,
        record: Option<RecordId>,
    ) -> Slot {
        Slot {
            account: hint.account.clone(),
            provisioned_product: product.id.clone(),
            target: hint.target.clone(),
            lane: hint.lane.clone(),
            attempt: hint.attempt,
            token: token(&product.id, &hint.target, product.last_record.as_ref()),
            record,
            taken_at: self.now(),
            host: self.settings.host.clone(),
            ou: ou(account),
            landing_zone: self.state().landing_zone.clone(),
        }
    }

    async fn take(&self, slot: &Slot, lane: LaneId) -> Result<Taken, LedgerError> {
        let rules = &self.settings.rules;
        let cap = Cap {
            total: rules.lane(lane).concurrency.min(rules.max_concurrent_operations),
            per_ou: rules.per_ou_limit,
        };
        self.ports.ledger.take_slot(slot, cap).await
    }

    /// Whether one of the `free` operations of the quota is for this slot. Other starts, of this host
    /// and of others, may have seen the same operations free: each has written its slot before it asks
    /// here, so that whoever asks later sees the others. The first come first.
    async fn has_room(
        &self,
        slot: &Slot,
        under_change: &BTreeSet<ProvisionedProductId>,
        free: usize,
    ) -> Result<bool, LedgerError> {
        let slots = self.ports.ledger.slots().await?;
        let place = |slot: &Slot| (slot.record.is_none(), slot.taken_at, slot.account.clone());
        let before = slots.iter().filter(|other| {
            !under_change.contains(&other.provisioned_product) && place(other) < place(slot)
        });
        Ok(before.count() < free)
    }

    async fn free(&self, slot: &Slot) {
        insist("free a slot", || self.ports.ledger.free_slot(slot, None, None)).await;
    }

    /// Writes down the record of a start.
    pub(super) async fn note(&self, mut slot: Slot, record: RecordId) -> Slot {
        insist("note a record", || self.ports.ledger.note_record(&slot, &record)).await;
        slot.record = Some(record);
        slot
    }

    /// The update that a slot is for. Everything that it takes is read here, so that nothing
    /// can fail between the slot and the start.
    pub(super) async fn request(
        &self,
        slot: &Slot,
        account: &Account,
        product: &ProvisionedProduct,
    ) -> Result<UpdateRequest, StartRefusal> {
        let parameters = self.parameters(account, product).await?;
        let factory = self.product().await.map_err(read)?;
        Ok(UpdateRequest {
            provisioned_product: slot.provisioned_product.clone(),
            launch_path: self.launch_path(&factory).await.map_err(read)?,
            product: factory,
            target: slot.target.clone(),
            parameters,
            token: slot.token.clone(),
        })
    }

    /// Starts the update that a slot was taken for. `None` when it may have started and
    /// its record is not known.
    ///
    /// # Errors
    /// When it has certainly not started.
    pub(super) async fn begin(
        &self,
        slot: &Slot,
        request: &UpdateRequest,
    ) -> Result<Option<RecordId>, AwsError> {
        let mut unsure = false;
        for _ in 0..REPEATS {
            match self.ports.catalog.start_update(request).await {
                Ok(record) => return Ok(Some(record)),
                // Whatever a repeat is answered, the first may have taken effect.
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
        if let Some(product) = self.state().product.clone() {
            return Ok(product);
        }
        Ok(self.ports.catalog.account_factory().await?.product)
    }

    async fn launch_path(&self, product: &ProductId) -> Result<LaunchPathId, AwsError> {
        if let Some(path) = self.state().launch_path.clone() {
            return Ok(path);
        }
        let path = self.ports.catalog.launch_path(product).await?;
        self.state().launch_path = Some(path.clone());
        Ok(path)
    }
}

/// What becomes of a start for which no slot was to be had.
fn without_slot(taken: &Taken, lane: LaneId) -> StartOutcome {
    match taken {
        Taken::Yes | Taken::Already(_) => StartOutcome::AccountBusy,
        Taken::Full => StartOutcome::NothingFree,
        Taken::OuFull => StartOutcome::OuBusy,
        Taken::GivenUp => StartOutcome::Decided(Standing::GivenUp { lane }),
    }
}

fn is_gone<T>(answer: &Result<T, AwsError>) -> bool {
    answer.as_ref().is_err_and(|error| error.class == Class::NotFound)
}

/// Whatever a read before the start is answered, nothing has run, and the account is not to
/// blame: it does not fail for good.
pub(super) fn read(error: AwsError) -> AwsError {
    match error.class {
        Class::Permanent | Class::Unknown => AwsError { class: Class::Transient, ..error },
        _ => error,
    }
}

/// The idempotency token of a start. It names the state that the start was decided in, by
/// the product's last record: the same start again gives the same token, a later try of
/// the same account another one.
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
