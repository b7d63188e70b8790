//! Baselines of Control Tower, as far as onboarding depends on them.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::account::AccountId;
use crate::aws_error::AwsError;

/// AWS Control Tower, which knows the baselines of each account.
#[async_trait]
pub trait Baselines: Send + Sync {
    /// The accounts that have any baseline from their OU, completely enabled. With auto-enrolment
    /// this is the only way to find them: they have no provisioned product. The accounts of the
    /// landing zone itself are not included: management, audit, log archive, and those for backups.
    /// Empty if there is no landing zone.
    async fn governed_accounts(&self) -> Result<BTreeSet<AccountId>, AwsError>;
}
