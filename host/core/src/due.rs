//! Whether an account needs an update, and why: what Service Catalog and Organizations say of
//! it, held against what the operator wants. Policies are asked afterwards.

use serde::{Deserialize, Serialize};

use crate::account::AccountState;
use crate::catalog::{ArtifactId, ProductStatus, ProvisionedProduct, RecordId};
use crate::decision::Cause;

/// For which causes beyond a newer artifact accounts are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Causes {
    /// The account is in another OU than after its last successful operation.
    pub moved: bool,
    /// The landing zone has another version than then.
    pub landing_zone: bool,
    /// The last update of its product failed, and not one of ours.
    pub tainted: bool,
    /// Its product is in error, and not because of us.
    pub error: bool,
}

impl Default for Causes {
    fn default() -> Self {
        Self { moved: true, landing_zone: true, tainted: true, error: false }
    }
}

/// How things stood around an account after its last successful operation, as far as this
/// host's ledger knows: AWS remembers none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footing {
    /// That operation.
    pub record: RecordId,
    /// Id of the OU that the account was directly in; `None`: under the root.
    pub ou: Option<String>,
    /// Version of the landing zone, where there was one.
    pub landing_zone: Option<String>,
}

/// What is to be done about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing: it is as it should be.
    Current,
    /// Nothing, although something could be done.
    LeftAlone(&'static str),
    /// Nothing: the account is closed.
    Closed(AccountState),
    /// It is to be updated, unless a policy says no.
    Update(Cause),
}

/// Why an account is left alone that has just been created.
const NOT_ACTIVE_YET: &str = "it is not active yet (PENDING_ACTIVATION)";

/// What is known of an account.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its provisioned product.
    pub product: &'a ProvisionedProduct,
    /// How things stood after its last successful operation, if that was noted.
    pub before: Option<&'a Footing>,
    /// How they stand now; `None` where that is not known.
    pub now: Option<&'a Footing>,
    /// Whether updates of this host have failed: then it is this host that goes on.
    pub ours: bool,
    /// The account's state in the organization, where that is known.
    pub state: Option<AccountState>,
}

impl Causes {
    /// Whether anything is to be noted after operations.
    pub fn need_footing(&self) -> bool {
        self.moved || self.landing_zone
    }

    /// What is to be done about an account whose product should be on `target`.
    pub fn due(&self, target: &ArtifactId, known: Known<'_>) -> Due {
        let Known { product, before, now, ours, state } = known;
        match state {
            Some(state) if state.is_closed() => return Due::Closed(state),
            Some(AccountState::PendingActivation) => return Due::LeftAlone(NOT_ACTIVE_YET),
            _ => {}
        }
        if product.last_successful_record.is_none() {
            return Due::LeftAlone("it was never provisioned");
        }
        let failed = match product.status {
            ProductStatus::Tainted if self.tainted || ours => Some(Cause::Tainted),
            ProductStatus::Tainted => return Due::LeftAlone("it is tainted (on_tainted)"),
            ProductStatus::Error if self.error || ours => Some(Cause::Error),
            ProductStatus::Error => return Due::LeftAlone("it is in error (on_error)"),
            _ => None,
        };
        if product.artifact != *target {
            return Due::Update(Cause::Artifact);
        }
        if let Some(cause) = failed {
            return Due::Update(cause);
        }
        // Whatever has succeeded since the footing was noted has put things right.
        let (Some(before), Some(now)) = (before, now) else { return Due::Current };
        if Some(&before.record) != product.last_successful_record.as_ref() {
            return Due::Current;
        }
        if self.moved && before.ou != now.ou {
            return Due::Update(Cause::OrganizationalUnitMoved);
        }
        if self.landing_zone && before.landing_zone != now.landing_zone {
            return Due::Update(Cause::LandingZone);
        }
        Due::Current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ProvisionedProductId;
    use rstest::rstest;

    fn footing(record: &str, ou: &str, zone: &str) -> Footing {
        Footing {
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
        assert_eq!(causes.need_footing(), needed);
    }

    #[rstest]
    #[case::newer_artifact(
        NONE,
        "pa-1",
        ProductStatus::Available,
        false,
        Due::Update(Cause::Artifact)
    )]
    #[case::current(ALL, "pa-2", ProductStatus::Available, false, Due::Current)]
    #[case::tainted_is_retried(
        ALL,
        "pa-2",
        ProductStatus::Tainted,
        false,
        Due::Update(Cause::Tainted)
    )]
    #[case::tainted_and_outdated(
        ALL,
        "pa-1",
        ProductStatus::Tainted,
        false,
        Due::Update(Cause::Artifact)
    )]
    #[case::tainted_is_left(
        NONE,
        "pa-1",
        ProductStatus::Tainted,
        false,
        Due::LeftAlone("it is tainted (on_tainted)")
    )]
    #[case::tainted_by_us_goes_on(
        NONE,
        "pa-1",
        ProductStatus::Tainted,
        true,
        Due::Update(Cause::Artifact)
    )]
    #[case::error_is_retried(ALL, "pa-2", ProductStatus::Error, false, Due::Update(Cause::Error))]
    #[case::error_is_left(
        NONE,
        "pa-2",
        ProductStatus::Error,
        false,
        Due::LeftAlone("it is in error (on_error)")
    )]
    fn what_service_catalog_says(
        #[case] causes: Causes,
        #[case] artifact: &str,
        #[case] status: ProductStatus,
        #[case] ours: bool,
        #[case] expected: Due,
    ) {
        let product = product(artifact, status);
        let known = Known { product: &product, before: None, now: None, ours, state: None };
        assert_eq!(causes.due(&ArtifactId::new("pa-2"), known), expected);
    }

    #[rstest]
    #[case::nothing_changed(ALL, footing("rec-1", "ou-a", "3.2"), Due::Current)]
    #[case::moved(
        ALL,
        footing("rec-1", "ou-b", "3.2"),
        Due::Update(Cause::OrganizationalUnitMoved)
    )]
    #[case::landing_zone(ALL, footing("rec-1", "ou-a", "3.1"), Due::Update(Cause::LandingZone))]
    #[case::not_wanted(NONE, footing("rec-1", "ou-b", "3.1"), Due::Current)]
    #[case::put_right_since(ALL, footing("rec-0", "ou-b", "3.1"), Due::Current)]
    fn what_has_changed_since(
        #[case] causes: Causes,
        #[case] before: Footing,
        #[case] expected: Due,
    ) {
        let product = product("pa-2", ProductStatus::Available);
        let now = footing("rec-1", "ou-a", "3.2");
        let known = Known {
            product: &product,
            before: Some(&before),
            now: Some(&now),
            ours: false,
            state: None,
        };
        assert_eq!(causes.due(&ArtifactId::new("pa-2"), known), expected);
        let unknown = Known { now: None, ..known };
        assert_eq!(causes.due(&ArtifactId::new("pa-2"), unknown), Due::Current);
    }

    /// Whatever else is said of it.
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
        #[values(false, true)] ours: bool,
    ) {
        let product = product(artifact, status);
        let known = Known { product: &product, before: None, now: None, ours, state: Some(state) };
        let due = ALL.due(&ArtifactId::new("pa-2"), known);
        assert_eq!(due == Due::Closed(state), closed, "{due:?}");
    }

    #[test]
    fn what_is_not_active_yet_is_left_alone() {
        let product = product("pa-1", ProductStatus::Available);
        let state = Some(AccountState::PendingActivation);
        let known = Known { product: &product, before: None, now: None, ours: false, state };
        assert_eq!(ALL.due(&ArtifactId::new("pa-2"), known), Due::LeftAlone(NOT_ACTIVE_YET));
    }

    #[test]
    fn what_was_never_provisioned_is_left_alone() {
        let product = ProvisionedProduct {
            last_successful_record: None,
            ..product("pa-1", ProductStatus::Error)
        };
        let known = Known { product: &product, before: None, now: None, ours: true, state: None };
        assert!(matches!(ALL.due(&ArtifactId::new("pa-2"), known), Due::LeftAlone(_)));
    }
}
