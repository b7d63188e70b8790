//! An account in Service Catalog: the Account Factory product, the provisioned product that stands
//! for one account, and the records of its operations.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::parameters::Parameters;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps an id of AWS.
            pub fn new(id: impl Into<Arc<str>>) -> Self {
                Self(id.into())
            }

            /// The id as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Id of a Service Catalog product, for example `prod-abcdefghijklm`.
    ProductId
);
id!(
    /// Id of a provisioning artifact: one version of a product. Names of artifacts
    /// collide, ids don't.
    ArtifactId
);
id!(
    /// Id of a provisioned product, for example `pp-abcdefghijklm`.
    ProvisionedProductId
);
id!(
    /// Id of a launch path, for example `lpv2-abcdefghijklm`.
    LaunchPathId
);
id!(
    /// Id of a record: one operation on a provisioned product.
    RecordId
);

/// The Account Factory product and the artifact that accounts should be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFactory {
    /// The product.
    pub product: ProductId,
    /// The newest active provisioning artifact: the target of updates.
    pub target: ArtifactId,
}

/// Status of a provisioned product. In files it is written as in AWS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProductStatus {
    /// Nothing runs and the last operation succeeded.
    #[default]
    Available,
    /// An operation runs, whoever started it.
    UnderChange,
    /// The last update failed; the product is usable.
    Tainted,
    /// The last operation failed and the product is not usable.
    Error,
    /// A plan is being made.
    PlanInProgress,
}

/// As AWS writes it.
impl fmt::Display for ProductStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "AVAILABLE",
            Self::UnderChange => "UNDER_CHANGE",
            Self::Tainted => "TAINTED",
            Self::Error => "ERROR",
            Self::PlanInProgress => "PLAN_IN_PROGRESS",
        })
    }
}

/// A provisioned product of Account Factory: stands for one enrolled account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisionedProduct {
    /// Its id.
    pub id: ProvisionedProductId,
    /// Its name.
    pub name: String,
    /// The account it stands for (its physical id).
    pub account: AccountId,
    /// Its status.
    pub status: ProductStatus,
    /// The provisioning artifact it is on. Empty if it was never provisioned.
    pub artifact: ArtifactId,
    /// Its last operation, if there was one.
    pub last_record: Option<RecordId>,
    /// Its last successful provisioning; `None` if it was never provisioned.
    pub last_successful_record: Option<RecordId>,
}

/// Status of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordStatus {
    /// Accepted, not started.
    Created,
    /// Running.
    InProgress,
    /// Rolling back. Not terminal: the product is still under change.
    InProgressInError,
    /// Ended with success.
    Succeeded,
    /// Failed; see [`Record::errors`].
    Failed,
}

impl RecordStatus {
    /// Whether the operation has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// An error of a record, as AWS returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// For example `ResourceInUseException`. AWS sometimes omits it.
    pub code: String,
    /// The description.
    pub description: String,
}

/// One operation on a provisioned product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// The provisioned product it is about.
    pub provisioned_product: ProvisionedProductId,
    /// The provisioning artifact it is about, if AWS returns it.
    pub artifact: Option<ArtifactId>,
    /// Its status.
    pub status: RecordStatus,
    /// The errors, if it failed.
    pub errors: Vec<RecordError>,
}

impl Record {
    /// Why it failed, in AWS's words.
    pub fn failure(&self) -> String {
        let text = |error: &RecordError| match error.code.as_str() {
            "" => error.description.clone(),
            code => format!("{code}: {}", error.description),
        };
        match self.errors.is_empty() {
            true => format!("record {} failed and AWS gave no reason", self.id),
            false => self.errors.iter().map(text).collect::<Vec<_>>().join("; "),
        }
    }
}

/// A launch path that the caller has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPathSummary {
    /// Its id.
    pub id: LaunchPathId,
    /// Name of the portfolio that it leads through.
    pub portfolio: Option<String>,
}

/// Of several launch paths those through the portfolio of this name, if there are any; a single
/// path is always taken. The choice is unique if exactly one is left.
pub fn launch_paths_of(
    mut paths: Vec<LaunchPathSummary>,
    portfolio: &str,
) -> Vec<LaunchPathSummary> {
    let leads = |path: &LaunchPathSummary| path.portfolio.as_deref() == Some(portfolio);
    if paths.len() > 1 && paths.iter().any(leads) {
        paths.retain(leads);
    }
    paths
}

/// An update to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRequest {
    /// What to update.
    pub provisioned_product: ProvisionedProductId,
    /// The Account Factory product.
    pub product: ProductId,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// The path to launch by.
    pub launch_path: LaunchPathId,
    /// The parameters of Account Factory.
    pub parameters: Parameters,
    /// Idempotency token (`UpdateToken`): at most 128 of `[a-zA-Z0-9_-]`, beginning
    /// with a letter or a digit. The same token again starts nothing new.
    pub token: String,
}
