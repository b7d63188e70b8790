//! The updates in flight: from the ledger, with their state in Service Catalog.

use std::time::Duration;

use futures_util::future::join_all;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ProvisionedProductId, RecordId, RecordStatus};
use groundcrew_core::ports::{Catalog, Slot};
use jiff::Timestamp;
use serde::Serialize;

use crate::formatting::format_duration;

/// Time limit for Service Catalog: the rest of the status doesn't need it.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(3);

/// An update that has a slot in the ledger.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct InFlight {
    pub account: AccountId,
    pub lane: String,
    #[serde(skip)]
    pub product: ProvisionedProductId,
    pub record: Option<String>,
    pub attempt: u32,
    pub age_seconds: u64,
    pub state: RecordState,
    /// Why it failed, or why Service Catalog does not return its state.
    pub error: Option<String>,
}

/// The state of an update's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordState {
    Running,
    /// It has ended. A host completes it when it polls the record next.
    Succeeded,
    Failed,
    /// It has no record yet, or Service Catalog did not respond.
    Unknown,
}

impl InFlight {
    /// The update of a slot.
    pub fn from_slot(slot: &Slot, now: Timestamp) -> Self {
        Self {
            account: slot.account.clone(),
            lane: slot.lane.clone(),
            product: slot.provisioned_product.clone(),
            record: slot.record.as_ref().map(|record| record.as_str().to_owned()),
            attempt: slot.attempt,
            age_seconds: slot.age(now).as_secs(),
            state: RecordState::Unknown,
            error: None,
        }
    }

    /// Whether it has ended according to Service Catalog.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, RecordState::Succeeded | RecordState::Failed)
    }

    /// Its state for a line of the status: a word, and the rest.
    pub fn describe(&self) -> (&'static str, String) {
        let Self { account, lane, attempt, record, error, .. } = self;
        let age = format_duration(Duration::from_secs(self.age_seconds));
        let error = error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
        let record = record.as_deref().unwrap_or("no record yet");
        let unnoticed = "no host has noticed it yet";
        match self.state {
            RecordState::Running => {
                ("in flight", format!("{account} in {lane} for {age}, attempt {attempt}: {record}"))
            }
            RecordState::Succeeded | RecordState::Failed => {
                let how = if self.state == RecordState::Failed { "failed" } else { "succeeded" };
                let what = format!("{account} in {lane}, attempt {attempt}: {record}");
                ("ended", format!("{what} has {how}, {unnoticed}{error}"))
            }
            // It may have ended.
            RecordState::Unknown => (
                "begun",
                format!("{account} in {lane} {age} ago, attempt {attempt}: {record}{error}"),
            ),
        }
    }

    async fn refresh(&mut self, catalog: &dyn Catalog) {
        let Some(record) = &self.record else { return };
        match catalog.record(&self.product, &RecordId::new(record.as_str())).await {
            Ok(record) => {
                self.state = match record.status {
                    RecordStatus::Created
                    | RecordStatus::InProgress
                    | RecordStatus::InProgressInError => RecordState::Running,
                    RecordStatus::Succeeded => RecordState::Succeeded,
                    RecordStatus::Failed => RecordState::Failed,
                };
                if self.state == RecordState::Failed {
                    self.error = Some(record.failure());
                }
            }
            Err(error) => self.error = Some(error.to_string()),
        }
    }
}

/// Reads the state of all updates from Service Catalog at the same time.
pub async fn refresh(all: &mut [InFlight], catalog: &dyn Catalog) {
    let asked = join_all(all.iter_mut().map(|one| one.refresh(catalog)));
    if tokio::time::timeout(CATALOG_TIMEOUT, asked).await.is_err() {
        for one in
            all.iter_mut().filter(|one| one.record.is_some() && one.state == RecordState::Unknown)
        {
            let silent =
                format!("Service Catalog has not answered in {} s", CATALOG_TIMEOUT.as_secs());
            one.error.get_or_insert(silent);
        }
    }
}
