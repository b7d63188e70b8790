//! Service Catalog: the Account Factory product and a provisioned product for each account. Updates
//! over time are in [`operation_store`].

pub(crate) mod operation_store;
mod product;
mod provisioned;
mod records;
pub(crate) mod starter;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cursor::Cursor;
use crate::fleet::Fleet;
use crate::fleet::versions::ArtifactVersions;
use crate::ids;
use crate::names::{PORTFOLIO_NAME, PRODUCT_NAME};
use crate::protocol::operations;
use crate::protocol::{ApiError, Call};
use crate::time::saturating_later;
use operation_store::OperationStore;
use starter::OperationStarter;

const PRODUCT_TYPE: &str = "CONTROL_TOWER_ACCOUNT";

/// Most items on a page of SearchProvisionedProducts and of portfolios, and on a page of any other
/// listing.
const SEARCH_PAGE: usize = 100;
const PAGE: usize = 20;

/// One version of the product.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) id: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(crate) active: bool,
}

impl Artifact {
    fn new(id: String, created: Timestamp) -> Self {
        Self { id, name: PRODUCT_NAME.to_owned(), created, active: true }
    }
}

/// A launch path of the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LaunchPath {
    pub(crate) id: String,
    /// Name of its portfolio.
    pub(crate) portfolio: String,
}

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceCatalog {
    #[serde(skip)]
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) product_id: String,
    /// Oldest first.
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) paths: Vec<LaunchPath>,
    #[serde(rename = "updates")]
    pub(crate) store: OperationStore,
    /// The accounts that have a provisioned product.
    enrolled: Vec<u32>,
    /// The parameters of the updates that callers have started, by record.
    pub(crate) given: BTreeMap<u32, BTreeMap<String, String>>,
    /// Outputs that are missing from the records: accounts, and keys of the outputs.
    pub(crate) forgotten: BTreeSet<(u32, String)>,
    /// Records that were removed.
    pub(crate) gone: BTreeSet<u32>,
    created: Timestamp,
}

/// The function of an operation. Starting an update needs a starter.
type CatalogOperation = fn(
    &mut ServiceCatalog,
    Timestamp,
    &Call<'_>,
    &mut OperationStarter<'_>,
) -> Result<Value, ApiError>;

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, CatalogOperation)] = &[
    ("DescribeProductAsAdmin", |catalog, _, call, _| catalog.describe_product(&call.json()?)),
    ("DescribeProvisionedProduct", |catalog, _, call, _| catalog.describe(&call.json()?)),
    ("DescribeRecord", |catalog, now, call, _| catalog.describe_record(now, &call.json()?)),
    ("GetProvisionedProductOutputs", |catalog, _, call, _| catalog.product_outputs(&call.json()?)),
    ("ListLaunchPaths", |catalog, _, call, _| catalog.list_paths(&call.json()?)),
    ("ListPortfolios", |catalog, _, call, _| catalog.list_portfolios(&call.json()?)),
    ("ListPortfoliosForProduct", |catalog, _, call, _| catalog.list_portfolios_of(&call.json()?)),
    ("ListPrincipalsForPortfolio", |catalog, _, call, _| catalog.list_principals(&call.json()?)),
    ("ListProvisioningArtifacts", |catalog, _, call, _| catalog.list_artifacts(&call.json()?)),
    ("ListRecordHistory", |catalog, now, call, _| catalog.history(now, &call.json()?)),
    ("ScanProvisionedProducts", |catalog, _, call, _| catalog.scan(&call.json()?)),
    ("SearchProductsAsAdmin", |catalog, _, call, _| catalog.search_products(&call.json()?)),
    ("SearchProvisionedProducts", |catalog, _, call, _| catalog.search(&call.json()?)),
    ("UpdateProvisionedProduct", |catalog, now, call, starter| {
        catalog.update(now, call.json()?, starter)
    }),
];

impl ServiceCatalog {
    /// The product, with its id if it is known, and with the versions of the accounts. The newest
    /// version was released a day ago.
    pub(crate) fn new(
        fleet: Arc<Fleet>,
        product: Option<String>,
        versions: ArtifactVersions,
        start: Timestamp,
    ) -> Self {
        let day = |days: i64| {
            start.checked_sub(jiff::SignedDuration::from_hours(24 * days)).unwrap_or(start)
        };
        let created = day(400);
        let store = OperationStore::new(&fleet, created);
        let mut artifacts: Vec<Artifact> = (0_u32..)
            .zip(versions.into_ids())
            .map(|(age, id)| {
                Artifact::new(id, saturating_later(created, Duration::from_secs(age.into())))
            })
            .collect();
        if let Some(newest) = artifacts.last_mut() {
            newest.created = day(1);
        }
        Self {
            product_id: product.unwrap_or_else(|| ids::write(ids::PRODUCT, 1)),
            artifacts,
            paths: vec![LaunchPath {
                id: ids::write(ids::LAUNCH_PATH, 1),
                portfolio: PORTFOLIO_NAME.to_owned(),
            }],
            enrolled: store.products().collect(),
            store,
            given: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            gone: BTreeSet::new(),
            fleet,
            created,
        }
    }

    pub(crate) fn call(
        &mut self,
        now: Timestamp,
        call: &Call<'_>,
        starter: &mut OperationStarter<'_>,
    ) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call, starter)
    }
}

fn page(
    token: Option<&str>,
    size: Option<usize>,
    most: usize,
    total: usize,
) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
    let size = match size {
        None | Some(0) => PAGE,
        Some(size) if size <= most => size,
        Some(_) => return Err(invalid(&format!("PageSize must be at most {most}."))),
    };
    let cursor = Cursor::read(token).ok_or_else(|| invalid("The page token is invalid."))?;
    Ok(cursor.page(size, total))
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextPageToken"] = next.into();
    }
    answer
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidParametersException", message)
}

fn not_found(message: &str) -> ApiError {
    ApiError::new("ResourceNotFoundException", message)
}
