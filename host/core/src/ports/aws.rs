//! The AWS services that the engine reads from, starts updates in and publishes alerts to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::Page;
use crate::account::{Account, AccountId};
use crate::aws_error::AwsError;
use crate::catalog::{
    AccountFactory, LaunchPathId, ProductId, ProvisionedProduct, ProvisionedProductId, Record,
    RecordId, UpdateRequest,
};
use crate::http::Secret;
use crate::notification::NotificationKey;
use crate::parameters::IdentityCenterUser;
use crate::support_case::SupportCase;

/// Service Catalog: the authoritative state of what is outdated, under change or failed.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The Account Factory product and its newest active provisioning artifact.
    async fn account_factory(&self) -> Result<AccountFactory, AwsError>;

    /// A page of the provisioned products of Account Factory: one for each enrolled account.
    async fn provisioned_products(
        &self,
        product: &ProductId,
        page: Option<&str>,
    ) -> Result<Page<ProvisionedProduct>, AwsError>;

    /// One provisioned product as it is now.
    async fn provisioned_product(
        &self,
        id: &ProvisionedProductId,
    ) -> Result<ProvisionedProduct, AwsError>;

    /// The accounts' provisioned products that are under change, by an operation of anyone.
    async fn under_change(&self) -> Result<BTreeSet<ProvisionedProductId>, AwsError>;

    /// The launch path by which this caller may launch the product.
    async fn launch_path(&self, product: &ProductId) -> Result<LaunchPathId, AwsError>;

    /// Starts an update. A repeat with the same token starts nothing and returns the record of the
    /// first start.
    async fn start_update(&self, request: &UpdateRequest) -> Result<RecordId, AwsError>;

    /// A record of this provisioned product as it is now. If AWS returns a record of another one,
    /// that is an error, and a retry may succeed.
    async fn record(
        &self,
        product: &ProvisionedProductId,
        id: &RecordId,
    ) -> Result<Record, AwsError>;

    /// The outputs of a record, by their keys.
    async fn outputs(&self, id: &RecordId) -> Result<BTreeMap<String, String>, AwsError>;
}

/// The users of IAM Identity Center, which has a Region of its own.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// The user with this email address, if there is one.
    async fn user(&self, email: &str) -> Result<Option<IdentityCenterUser>, AwsError>;
}

/// AWS Organizations.
#[async_trait]
pub trait AccountDirectory: Send + Sync {
    /// A page of the organization's accounts.
    async fn accounts(&self, page: Option<&str>) -> Result<Page<Arc<Account>>, AwsError>;

    /// One account as it is now.
    async fn account(&self, id: &AccountId) -> Result<Arc<Account>, AwsError>;

    /// The tags of one account as they are now.
    async fn tags(&self, id: &AccountId) -> Result<BTreeMap<String, String>, AwsError>;
}

/// An index of the tags of many accounts (Resource Groups Tagging API). AWS does not document
/// whether it covers accounts, so callers compare it with [`AccountDirectory::tags`].
#[async_trait]
pub trait TagIndex: Send + Sync {
    /// A page of the accounts that have a tag or once had one, with their tags.
    async fn tagged(
        &self,
        page: Option<&str>,
    ) -> Result<Page<(AccountId, BTreeMap<String, String>)>, AwsError>;
}

/// The landing zone, as far as updates depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingZoneState {
    /// Its version, for example `3.3`.
    pub version: String,
    /// Whether it is being changed (status `PROCESSING`). Accounts are updated only afterwards.
    pub changing: bool,
}

/// AWS Control Tower.
#[async_trait]
pub trait LandingZones: Send + Sync {
    /// The landing zone in the home Region; `None` when there is none.
    async fn landing_zone(&self) -> Result<Option<LandingZoneState>, AwsError>;
}

/// A message for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Under 100 characters, no line breaks (SNS refuses others); cut to fit.
    pub subject: String,
    /// Everything that is known.
    pub message: String,
}

/// Where alerts go (SNS).
#[async_trait]
pub trait Alerts: Send + Sync {
    /// Publishes. SNS has no idempotency: a repeat arrives twice.
    async fn publish(&self, alert: &Alert) -> Result<(), AwsError>;
}

/// AWS Support, in the Region where it lives.
#[async_trait]
pub trait SupportCases: Send + Sync {
    /// Opens the case and returns its id. The body of the case ends with the reference line of the
    /// key. Before every attempt, the implementation searches the open and the resolved cases for
    /// one that ends with this line, and returns that one instead. It never repeats a `CreateCase`
    /// blindly.
    async fn open(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError>;
}

/// Where secrets are kept (AWS Secrets Manager).
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The text of a secret, by its name or ARN. It may be some minutes old.
    async fn secret(&self, id: &str) -> Result<Secret, AwsError>;

    /// Makes the next [`secret`](Self::secret) of that name or ARN read it again, because the value
    /// that it returned was refused.
    fn forget(&self, id: &str);
}
