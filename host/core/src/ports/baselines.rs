//! Baselines of Control Tower, as far as onboarding depends on them.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::account::AccountId;
use crate::aws_error::AwsError;

/// AWS Control Tower, which knows what each account is governed by.
#[async_trait]
pub trait Baselines: Send + Sync {
    /// The accounts that have a baseline from their OU, whichever it is, and have it enabled
    /// completely. With auto-enrolment that is all there is to find them by: they have no provisioned
    /// product. The accounts that the landing zone itself is made of are left out: management,
    /// audit, log archive, and those for backups. None where there is no landing zone.
    async fn governed_accounts(&self) -> Result<BTreeSet<AccountId>, AwsError>;
}
