//! Starts operations: checks the quota, and determines how the operation will end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::operation_store::{OperationStart, OperationStore};
use crate::faults::contention::{CONTENTION_MESSAGE, QuotaExceeded};
use crate::faults::{FaultInjector, OperationFailure};
use crate::fleet::Fleet;
use crate::protocol::ApiError;
use crate::schedule::{EventSchedule, ScheduledEvent};
use crate::services::identity_store::IdentityStore;
use crate::services::organizations::Organizations;
use crate::time::saturating_later;

/// The state that the start of an operation needs.
pub(crate) struct OperationStarter<'a> {
    pub(crate) quota: usize,
    pub(crate) fleet: &'a Arc<Fleet>,
    pub(crate) organizations: &'a Organizations,
    pub(crate) identities: &'a mut IdentityStore,
    pub(crate) faults: &'a mut FaultInjector,
    pub(crate) schedule: &'a mut EventSchedule,
}

impl OperationStarter<'_> {
    /// Starts an update for a caller, and returns the number of its record.
    pub(crate) fn start_own(
        &mut self,
        now: Timestamp,
        store: &mut OperationStore,
        product: u32,
        artifact: u32,
        token: &str,
    ) -> Result<u32, ApiError> {
        let refused = || ApiError::new("InvalidParametersException", CONTENTION_MESSAGE);
        if store.running() >= self.quota {
            return match self.faults.quota_exceeded(self.quota) {
                QuotaExceeded::Call(error) => Err(error),
                QuotaExceeded::Record { failure, after } => {
                    let operation = OperationStart::refused(product, artifact, token, after);
                    self.begin(now, store, operation, Some(failure)).ok_or_else(refused)
                }
            };
        }
        let account = self.fleet.get(product).ok_or_else(refused)?;
        let ou = account.ou.last().map_or("Root", String::as_str);
        let closed = Some(self.organizations.state(product)).filter(|state| state.is_closed());
        let failure = closed
            .map(OperationFailure::for_closed_account)
            .or_else(|| self.faults.planned(product, &account.update_failures))
            .or_else(|| self.faults.update(product, ou));
        let share = failure.as_ref().map_or(1.0, |failure| failure.after);
        let operation = OperationStart {
            product,
            artifact,
            token: Some(token),
            foreign: false,
            duration: account.update_time.mul_f64(share).max(Duration::from_secs(1)),
            fails: failure.is_some(),
            refused: false,
        };
        self.begin(now, store, operation, failure).ok_or_else(refused)
    }

    /// Starts an operation of another caller, unless the account is not free or the quota is used
    /// up. Returns whether it started. It succeeds after `duration`, by default the account's own.
    pub(crate) fn start_foreign(
        &mut self,
        now: Timestamp,
        store: &mut OperationStore,
        product: u32,
        artifact: u32,
        duration: Option<Duration>,
    ) -> bool {
        let Some(account) = self.fleet.get(product) else { return false };
        if !store.is_free(product) || store.running() >= self.quota {
            return false;
        }
        let duration = duration.unwrap_or(account.update_time);
        let operation = OperationStart {
            product,
            artifact,
            token: None,
            foreign: true,
            duration,
            fails: false,
            refused: false,
        };
        self.begin(now, store, operation, None).is_some()
    }

    fn begin(
        &mut self,
        now: Timestamp,
        store: &mut OperationStore,
        operation: OperationStart<'_>,
        failure: Option<OperationFailure>,
    ) -> Option<u32> {
        let record = store.begin(now, operation)?;
        let end = ScheduledEvent::OperationEnds { record, failure: failure.map(Box::new) };
        self.schedule.add(saturating_later(now, operation.duration), end);
        Some(record)
    }
}
