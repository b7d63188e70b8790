//! What a doctor reads.

use std::collections::{BTreeMap, BTreeSet};

use super::{Caller, DeadLetterQueue, Fact, NotifierFacts};
use crate::catalog::{ArtifactId, LaunchPathSummary, ProductId};

/// Everything that was read.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who calls.
    pub caller: Fact<Caller>,
    /// What AWS says; nothing when the credentials are no good.
    pub aws: Option<AwsFacts>,
    /// The ledger.
    pub ledger: LedgerFacts,
    /// What was found out about notifiers, in the order of the config.
    pub notifiers: Vec<NotifierFacts>,
}

/// What AWS says.
#[derive(Clone, Debug)]
pub struct AwsFacts {
    /// The organization that the calling account is in.
    pub organization: Fact<Organization>,
    /// Control Tower's landing zone, if there is one.
    pub landing_zone: Fact<Option<LandingZoneFacts>>,
    /// Registered OUs, and those of enrolled accounts. `None` without a product, by which
    /// enrolled accounts are found.
    pub units: Option<Fact<UnitFacts>>,
    /// The instances of IAM Identity Center in its Region.
    pub identity_center: Fact<Vec<IdentityCenter>>,
    /// The Account Factory product.
    pub product: Fact<ProductFacts>,
    /// The updates queue, where configured.
    pub updates_queue: Option<Fact<QueueFacts>>,
    /// The notifications queue, where configured.
    pub notifications_queue: Option<Fact<QueueFacts>>,
    /// The events queue, where configured.
    pub events_queue: Option<Fact<QueueFacts>>,
    /// Attributes of the alerts topic, where configured.
    pub topic: Option<Fact<BTreeMap<String, String>>>,
    /// Of the service codes that notifiers are granted, those that AWS Support offers. Nothing
    /// when no notifier opens cases.
    pub support_services: Option<Fact<BTreeSet<String>>>,
}

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// As in `o-exampleorgid`.
    pub id: String,
    /// Id of its management account.
    pub management_account: String,
}

/// Control Tower's landing zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingZoneFacts {
    /// Its ARN, with the home Region.
    pub arn: String,
    /// What `GetLandingZone` says of it.
    pub detail: Fact<LandingZoneDetail>,
}

/// What a landing zone says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LandingZoneDetail {
    /// What is deployed.
    pub version: String,
    /// What could be deployed.
    pub latest_version: Option<String>,
    /// `ACTIVE`, `PROCESSING` or `FAILED`.
    pub status: Option<String>,
    /// Whether it was changed behind Control Tower's back.
    pub drifted: bool,
    /// Whether it gives access by IAM Identity Center, where its manifest says.
    pub identity_center: Option<bool>,
    /// Name of the OU of its shared accounts, which is governed with the landing zone itself.
    pub security_unit: Option<String>,
}

/// OUs by what Control Tower and Account Factory say of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// Ids of those that have the baseline by which Control Tower governs OUs.
    pub registered: BTreeSet<String>,
    /// By id, those that hold enrolled accounts: names from the top-level one down, and how
    /// many accounts.
    pub enrolled: BTreeMap<String, (Vec<String>, usize)>,
    /// Enrolled accounts that are directly under the root.
    pub under_root: usize,
}

/// An instance of IAM Identity Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityCenter {
    /// As in `d-1234567890`.
    pub identity_store: String,
    /// As in `ACTIVE`.
    pub status: Option<String>,
    /// Account that it belongs to.
    pub owner: Option<String>,
}

/// The Account Factory product.
#[derive(Clone, Debug)]
pub struct ProductFacts {
    /// Its id.
    pub id: ProductId,
    /// Id and name of its newest active artifact, if there is one.
    pub artifact: Fact<Option<(ArtifactId, String)>>,
    /// The launch paths that the caller has.
    pub paths: Fact<Vec<LaunchPathSummary>>,
    /// The portfolios that it is in.
    pub portfolios: Fact<Vec<Portfolio>>,
}

/// A portfolio of Service Catalog.
#[derive(Clone, Debug)]
pub struct Portfolio {
    /// As in `port-abcdefghijklm`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who may launch what is in it.
    pub principals: Fact<Vec<Principal>>,
}

/// Who may launch what is in a portfolio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Of a role, a user or a group; or a pattern, without an account.
    pub arn: String,
    /// Whether it is a pattern: `IAM_PATTERN` rather than `IAM`.
    pub pattern: bool,
}

/// An SQS queue.
#[derive(Clone, Debug)]
pub struct QueueFacts {
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The queue that its redrive policy names, if it has one.
    pub dead_letters: Option<DeadLetterQueue>,
}

/// The ledger.
#[derive(Clone, Debug)]
pub enum LedgerFacts {
    /// A file.
    File {
        /// Its path.
        path: String,
        /// How it is.
        state: LedgerFile,
    },
    /// A DynamoDB table.
    Table {
        /// Its name.
        name: String,
        /// How it is; `None` when it was not looked at for want of credentials.
        table: Option<Fact<TableFacts>>,
    },
}

/// How a ledger file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerFile {
    /// It is there and can be used.
    Usable,
    /// It isn't there, but can be made.
    Absent,
    /// Another process has it open.
    InUse,
    /// It can't be used, and why, with what to do.
    Unusable(String),
}

/// A DynamoDB table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// As in `ACTIVE`.
    pub status: String,
    /// Name and type (`S`, `N` or `B`) of the partition key.
    pub partition: Option<(String, String)>,
    /// Name and type of the sort key.
    pub sort: Option<(String, String)>,
}
