//! Whether an account needs an update, and why: compares the state in Service Catalog and
//! Organizations with the config. Policies are evaluated afterwards.

use serde::{Deserialize, Serialize};

use crate::account::AccountState;
use crate::catalog::{ArtifactId, ProductStatus, ProvisionedProduct, RecordId};
use crate::decision::Cause;

/// The causes, other than a newer artifact, for which accounts are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Causes {
    /// The account is in another OU than after its last successful operation.
    pub moved: bool,
    /// The version of the landing zone is not the same as after that operation.
    pub landing_zone: bool,
    /// The last update of its product failed, and it was not one of groundcrew's.
    pub tainted: bool,
    /// Its product is in error, and not after an update of groundcrew.
    pub error: bool,
}

impl Default for Causes {
    fn default() -> Self {
        Self { moved: true, landing_zone: true, tainted: true, error: false }
    }
}

/// The state in which the last successful operation left an account, as far as the ledger knows.
/// AWS remembers none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAppliedState {
    /// The operation.
    pub record: RecordId,
    /// Id of the OU that the account was directly in; `None`: under the root.
    pub ou: Option<String>,
    /// Version of the landing zone, where there was one.
    pub landing_zone: Option<String>,
}

/// Whether an account needs an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateNeed {
    /// None: the account is current.
    Current,
    /// None, although the account could be updated.
    Excluded(&'static str),
    /// None: the account is closed.
    Closed(AccountState),
    /// It is updated, unless a policy decides otherwise.
    Update(Cause),
}

/// Why an account is excluded that has just been created.
const PENDING_ACTIVATION_REASON: &str = "it is not active yet (PENDING_ACTIVATION)";

/// The known state of an account.
#[derive(Clone, Copy, Debug)]
pub struct ObservedAccount<'a> {
    /// Its provisioned product.
    pub product: &'a ProvisionedProduct,
    /// Its applied state, if one was recorded.
    pub before: Option<&'a AccountAppliedState>,
    /// The present state; `None` if it is not known.
    pub now: Option<&'a AccountAppliedState>,
    /// Whether updates of groundcrew have failed: then groundcrew continues with the account.
    pub own_failure: bool,
    /// The account's state in the organization, if it is known.
    pub state: Option<AccountState>,
}

impl Causes {
    /// Whether applied states are to be recorded after operations.
    pub fn need_applied_state(&self) -> bool {
        self.moved || self.landing_zone
    }

    /// Whether an account needs an update, if its product should be on `target`.
    pub fn update_need(&self, target: &ArtifactId, observed: ObservedAccount<'_>) -> UpdateNeed {
        let ObservedAccount { product, before, now, own_failure, state } = observed;
        match state {
            Some(state) if state.is_closed() => return UpdateNeed::Closed(state),
            Some(AccountState::PendingActivation) => {
                return UpdateNeed::Excluded(PENDING_ACTIVATION_REASON);
            }
            _ => {}
        }
        if product.last_successful_record.is_none() {
            return UpdateNeed::Excluded("it was never provisioned");
        }
        let failed = match product.status {
            ProductStatus::Tainted if self.tainted || own_failure => Some(Cause::Tainted),
            ProductStatus::Tainted => return UpdateNeed::Excluded("it is tainted (on_tainted)"),
            ProductStatus::Error if self.error || own_failure => Some(Cause::Error),
            ProductStatus::Error => return UpdateNeed::Excluded("it is in error (on_error)"),
            _ => None,
        };
        if product.artifact != *target {
            return UpdateNeed::Update(Cause::Artifact);
        }
        if let Some(cause) = failed {
            return UpdateNeed::Update(cause);
        }
        // A later success means that the applied state is out of date, and the account is current.
        let (Some(before), Some(now)) = (before, now) else { return UpdateNeed::Current };
        if Some(&before.record) != product.last_successful_record.as_ref() {
            return UpdateNeed::Current;
        }
        if self.moved && before.ou != now.ou {
            return UpdateNeed::Update(Cause::OrganizationalUnitMoved);
        }
        if self.landing_zone && before.landing_zone != now.landing_zone {
            return UpdateNeed::Update(Cause::LandingZone);
        }
        UpdateNeed::Current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ProvisionedProductId;
    use rstest::rstest;

    fn applied_state(record: &str, ou: &str, zone: &str) -> AccountAppliedState {
        AccountAppliedState {
            record: RecordId::new(record),
            ou: Some(ou.to_owned()),
            landing_zone: Some(zone.to_owned()),
        }
    }

    fn product(artifact: &str, status: ProductStatus) -> ProvisionedProduct {
        ProvisionedProduct {
            id: ProvisionedProductId::new("pp-1"),
            name: "one".into(),
            account: "111122223333".parse().unwrap(),
            status,
            artifact: ArtifactId::new(artifact),
            last_record: Some(RecordId::new("rec-2")),
            last_successful_record: Some(RecordId::new("rec-1")),
        }
    }

    const ALL: Causes = Causes { moved: true, landing_zone: true, tainted: true, error: true };
    const NONE: Causes = Causes { moved: false, landing_zone: false, tainted: false, error: false };

    #[rstest]
    #[case(NONE, false)]
    #[case(Causes { tainted: true, error: true, ..NONE }, false)]
    #[case(Causes { moved: true, ..NONE }, true)]
    #[case(Causes { landing_zone: true, ..NONE }, true)]
    fn footings_are_noted_where_they_matter(#[case] causes: Causes, #[case] needed: bool) {
        assert_eq!(causes.need_applied_state(), needed);
    }

    #[rstest]
    #[case::newer_artifact(
        NONE,
        "pa-1",
        ProductStatus::Available,
        false,
        UpdateNeed::Update(Cause::Artifact)
    )]
    #[case::current(ALL, "pa-2", ProductStatus::Available, false, UpdateNeed::Current)]
    #[case::tainted_is_retried(
        ALL,
        "pa-2",
        ProductStatus::Tainted,
        false,
        UpdateNeed::Update(Cause::Tainted)
    )]
    #[case::tainted_and_outdated(
        ALL,
        "pa-1",
        ProductStatus::Tainted,
        false,
        UpdateNeed::Update(Cause::Artifact)
    )]
    #[case::tainted_is_left(
        NONE,
        "pa-1",
        ProductStatus::Tainted,
        false,
        UpdateNeed::Excluded("it is tainted (on_tainted)")
    )]
    #[case::tainted_by_us_goes_on(
        NONE,
        "pa-1",
        ProductStatus::Tainted,
        true,
        UpdateNeed::Update(Cause::Artifact)
    )]
    #[case::error_is_retried(
        ALL,
        "pa-2",
        ProductStatus::Error,
        false,
        UpdateNeed::Update(Cause::Error)
    )]
    #[case::error_is_left(
        NONE,
        "pa-2",
        ProductStatus::Error,
        false,
        UpdateNeed::Excluded("it is in error (on_error)")
    )]
    fn what_service_catalog_says(
        #[case] causes: Causes,
        #[case] artifact: &str,
        #[case] status: ProductStatus,
        #[case] own_failure: bool,
        #[case] expected: UpdateNeed,
    ) {
        let product = product(artifact, status);
        let observed = ObservedAccount {
            product: &product,
            before: None,
            now: None,
            own_failure,
            state: None,
        };
        assert_eq!(causes.update_need(&ArtifactId::new("pa-2"), observed), expected);
    }

    #[rstest]
    #[case::nothing_changed(ALL, applied_state("rec-1", "ou-a", "3.2"), UpdateNeed::Current)]
    #[case::moved(
        ALL,
        applied_state("rec-1", "ou-b", "3.2"),
        UpdateNeed::Update(Cause::OrganizationalUnitMoved)
    )]
    #[case::landing_zone(
        ALL,
        applied_state("rec-1", "ou-a", "3.1"),
        UpdateNeed::Update(Cause::LandingZone)
    )]
    #[case::not_wanted(NONE, applied_state("rec-1", "ou-b", "3.1"), UpdateNeed::Current)]
    #[case::put_right_since(ALL, applied_state("rec-0", "ou-b", "3.1"), UpdateNeed::Current)]
    fn what_has_changed_since(
        #[case] causes: Causes,
        #[case] before: AccountAppliedState,
        #[case] expected: UpdateNeed,
    ) {
        let product = product("pa-2", ProductStatus::Available);
        let now = applied_state("rec-1", "ou-a", "3.2");
        let observed = ObservedAccount {
            product: &product,
            before: Some(&before),
            now: Some(&now),
            own_failure: false,
            state: None,
        };
        assert_eq!(causes.update_need(&ArtifactId::new("pa-2"), observed), expected);
        let unknown = ObservedAccount { now: None, ..observed };
        assert_eq!(causes.update_need(&ArtifactId::new("pa-2"), unknown), UpdateNeed::Current);
    }

    /// Whatever else is known of it.
    #[rstest]
    #[case::suspended(AccountState::Suspended, true)]
    #[case::pending_closure(AccountState::PendingClosure, true)]
    #[case::closed(AccountState::Closed, true)]
    #[case::active(AccountState::Active, false)]
    fn what_is_closed_is_not_due(
        #[case] state: AccountState,
        #[case] closed: bool,
        #[values("pa-1", "pa-2")] artifact: &str,
        #[values(ProductStatus::Available, ProductStatus::Tainted, ProductStatus::Error)]
        status: ProductStatus,
        #[values(false, true)] own_failure: bool,
    ) {
        let product = product(artifact, status);
        let observed = ObservedAccount {
            product: &product,
            before: None,
            now: None,
            own_failure,
            state: Some(state),
        };
        let due = ALL.update_need(&ArtifactId::new("pa-2"), observed);
        assert_eq!(due == UpdateNeed::Closed(state), closed, "{due:?}");
    }

    #[test]
    fn what_is_not_active_yet_is_left_alone() {
        let product = product("pa-1", ProductStatus::Available);
        let state = Some(AccountState::PendingActivation);
        let observed = ObservedAccount {
            product: &product,
            before: None,
            now: None,
            own_failure: false,
            state,
        };
        assert_eq!(
            ALL.update_need(&ArtifactId::new("pa-2"), observed),
            UpdateNeed::Excluded(PENDING_ACTIVATION_REASON)
        );
    }

    #[test]
    fn what_was_never_provisioned_is_left_alone() {
        let product = ProvisionedProduct {
            last_successful_record: None,
            ..product("pa-1", ProductStatus::Error)
        };
        let observed = ObservedAccount {
            product: &product,
            before: None,
            now: None,
            own_failure: true,
            state: None,
        };
        assert!(matches!(
            ALL.update_need(&ArtifactId::new("pa-2"), observed),
            UpdateNeed::Excluded(_)
        ));
    }
}
