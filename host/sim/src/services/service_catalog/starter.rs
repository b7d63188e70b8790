//! Starting operations: the quota, and what their end will be.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::updates::{Begun, Updates};
use crate::agenda::{Agenda, Happening};
use crate::faults::busy::{BUSY, OverQuota};
use crate::faults::{Failure, Faults};
use crate::fleet::Fleet;
use crate::protocol::ApiError;
use crate::services::identity_store::IdentityStore;
use crate::services::organizations::Organizations;
use crate::time::later;

/// What is needed to start an operation.
pub(crate) struct Starter<'a> {
    pub(crate) quota: usize,
    pub(crate) fleet: &'a Arc<Fleet>,
    pub(crate) organizations: &'a Organizations,
    pub(crate) identities: &'a mut IdentityStore,
    pub(crate) faults: &'a mut Faults,
    pub(crate) agenda: &'a mut Agenda,
}

impl Starter<'_> {
    /// Starts an update that a caller asked for, and answers the number of its record.
    pub(crate) fn own(
        &mut self,
        now: Timestamp,
        updates: &mut Updates,
        product: u32,
        artifact: u32,
        token: &str,
    ) -> Result<u32, ApiError> {
        let refused = || ApiError::new("InvalidParametersException", BUSY);
        if updates.running() >= self.quota {
            return match self.faults.over_quota(self.quota) {
                OverQuota::Call(error) => Err(error),
                OverQuota::Record { failure, after } => {
                    let begun = Begun::refused(product, artifact, token, after);
                    self.begin(now, updates, begun, Some(failure)).ok_or_else(refused)
                }
            };
        }
        let account = self.fleet.get(product).ok_or_else(refused)?;
        let ou = account.ou.last().map_or("Root", String::as_str);
        let closed = Some(self.organizations.state(product)).filter(|state| state.is_closed());
        let failure = closed
            .map(Failure::of_closed)
            .or_else(|| self.faults.planned(product, &account.update_failures))
            .or_else(|| self.faults.update(product, ou));
        let share = failure.as_ref().map_or(1.0, |failure| failure.after);
        let begun = Begun {
            product,
            artifact,
            token: Some(token),
            foreign: false,
            duration: account.update_time.mul_f64(share).max(Duration::from_secs(1)),
            fails: failure.is_some(),
            refused: false,
        };
        self.begin(now, updates, begun, failure).ok_or_else(refused)
    }

    /// Starts an operation of someone else, unless the account is not free or the quota
    /// is used up; answers whether it did. It succeeds after `duration`, by default the
    /// account's own.
    pub(crate) fn foreign(
        &mut self,
        now: Timestamp,
        updates: &mut Updates,
        product: u32,
        artifact: u32,
        duration: Option<Duration>,
    ) -> bool {
        let Some(account) = self.fleet.get(product) else { return false };
        if !updates.is_free(product) || updates.running() >= self.quota {
            return false;
        }
        let duration = duration.unwrap_or(account.update_time);
        let begun = Begun {
            product,
            artifact,
            token: None,
            foreign: true,
            duration,
            fails: false,
            refused: false,
        };
        self.begin(now, updates, begun, None).is_some()
    }

    fn begin(
        &mut self,
        now: Timestamp,
        updates: &mut Updates,
        begun: Begun<'_>,
        failure: Option<Failure>,
    ) -> Option<u32> {
        let record = updates.begin(now, begun)?;
        let end = Happening::OperationEnds { record, failure: failure.map(Box::new) };
        self.agenda.add(later(now, begun.duration), end);
        Some(record)
    }
}
