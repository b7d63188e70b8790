//! What the doctor reads.

use std::collections::{BTreeMap, BTreeSet};

use super::{Caller, DeadLetterQueue, Fact, NotifierFacts};
use crate::catalog::{ArtifactId, LaunchPathSummary, ProductId};

/// Everything that was read.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The caller.
    pub caller: Fact<Caller>,
    /// The data from AWS; `None` if the credentials are not valid.
    pub aws: Option<AwsFacts>,
    /// The ledger.
    pub ledger: LedgerFacts,
    /// The facts about notifiers, in the order of the config.
    pub notifiers: Vec<NotifierFacts>,
}

/// The data from AWS.
#[derive(Clone, Debug)]
pub struct AwsFacts {
    /// The organization that the calling account is in.
    pub organization: Fact<Organization>,
    /// Control Tower's landing zone, if there is one.
    pub landing_zone: Fact<Option<LandingZoneFacts>>,
    /// Registered OUs, and the OUs of enrolled accounts. `None` without a product, because enrolled
    /// accounts are found through it.
    pub units: Option<Fact<UnitFacts>>,
    /// The instances of IAM Identity Center in its Region.
    pub identity_center: Fact<Vec<IdentityCenter>>,
    /// The Account Factory product.
    pub product: Fact<ProductFacts>,
    /// The updates queue, if configured.
    pub updates_queue: Option<Fact<QueueFacts>>,
    /// The notifications queue, if configured.
    pub notifications_queue: Option<Fact<QueueFacts>>,
    /// The events queue, if configured.
    pub events_queue: Option<Fact<QueueFacts>>,
    /// Attributes of the alerts topic, if configured.
    pub topic: Option<Fact<BTreeMap<String, String>>>,
    /// The service codes that AWS Support offers, of those that notifiers are granted. `None` if no
    /// notifier opens cases.
    pub support_services: Option<Fact<BTreeSet<String>>>,
}

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// For example `o-exampleorgid`.
    pub id: String,
    /// Id of its management account.
    pub management_account: String,
}

/// Control Tower's landing zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingZoneFacts {
    /// Its ARN, with the home Region.
    pub arn: String,
    /// The result of `GetLandingZone`.
    pub detail: Fact<LandingZoneDetail>,
}

/// The details of a landing zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LandingZoneDetail {
    /// The deployed version.
    pub version: String,
    /// The latest version.
    pub latest_version: Option<String>,
    /// `ACTIVE`, `PROCESSING` or `FAILED`.
    pub status: Option<String>,
    /// Whether it was changed outside Control Tower.
    pub drifted: bool,
    /// Whether it gives access through IAM Identity Center, if its manifest says so.
    pub identity_center: Option<bool>,
    /// Name of the OU of its shared accounts, which is governed with the landing zone itself.
    pub security_unit: Option<String>,
}

/// OUs in Control Tower and in Account Factory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// Ids of the OUs with the baseline by which Control Tower governs OUs.
    pub registered: BTreeSet<String>,
    /// OUs with enrolled accounts, by id: the names from the top-level OU down, and the number of
    /// accounts.
    pub enrolled: BTreeMap<String, (Vec<String>, usize)>,
    /// The number of enrolled accounts directly under the root.
    pub under_root: usize,
}

/// An instance of IAM Identity Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityCenter {
    /// For example `d-1234567890`.
    pub identity_store: String,
    /// For example `ACTIVE`.
    pub status: Option<String>,
    /// The account that owns it.
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
    /// For example `port-abcdefghijklm`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The principals that may launch its products.
    pub principals: Fact<Vec<Principal>>,
}

/// A principal that may launch the products of a portfolio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// ARN of a role, a user or a group; or a pattern, without an account.
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
        /// Its state.
        state: LedgerFile,
    },
    /// A DynamoDB table.
    Table {
        /// Its name.
        name: String,
        /// The table; `None` if it was not read, for lack of credentials.
        table: Option<Fact<TableFacts>>,
    },
}

/// The state of a ledger file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerFile {
    /// It exists and can be used.
    Usable,
    /// It does not exist, but can be created.
    Absent,
    /// Another process has it open.
    InUse,
    /// It can't be used; the text says why, and what to do.
    Unusable(String),
}

/// A DynamoDB table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// For example `ACTIVE`.
    pub status: String,
    /// Name and type (`S`, `N` or `B`) of the partition key.
    pub partition: Option<(String, String)>,
    /// Name and type of the sort key.
    pub sort: Option<(String, String)>,
}
