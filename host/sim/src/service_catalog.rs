//! Service Catalog: the Account Factory product and a provisioned product for each
//! account. What an update does over time is in [`crate::updates`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use groundcrew_core::catalog::ProductStatus;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::fleet::Fleet;
use crate::identity_store::{IdentityStore, User};
use crate::ids;
use crate::model::{MANAGEMENT_ACCOUNT, PRODUCT_NAME, REGION};
use crate::operations;
use crate::organizations::Organizations;
use crate::protocol::{ApiError, Call};
use crate::starter::Starter;
use crate::sts::ROLE;
use crate::time;
use crate::updates::{Ended, Updates};

/// Prefixes of ids.
pub(crate) const PROVISIONED_PRODUCT: &str = "pp-";
pub(crate) const RECORD: &str = "rec-";
const PRODUCT: &str = "prod-";
const ARTIFACT: &str = "pa-";
const PATH: &str = "lpv2-";
const PORTFOLIO: &str = "port-";

const PRODUCT_TYPE: &str = "CONTROL_TOWER_ACCOUNT";
const OWNER: &str = "AWS Control Tower";

/// The parameters of Account Factory: all must be given, with a value or to be kept.
const PARAMETERS: [&str; 6] = [
    ACCOUNT_EMAIL,
    "AccountName",
    ORGANIZATIONAL_UNIT,
    SSO_USER_EMAIL,
    SSO_USER_FIRST_NAME,
    SSO_USER_LAST_NAME,
];
const ACCOUNT_EMAIL: &str = "AccountEmail";
const ORGANIZATIONAL_UNIT: &str = "ManagedOrganizationalUnit";
const SSO_USER_EMAIL: &str = "SSOUserEmail";
const SSO_USER_FIRST_NAME: &str = "SSOUserFirstName";
const SSO_USER_LAST_NAME: &str = "SSOUserLastName";

/// Most items on a page of SearchProvisionedProducts and of portfolios, and of every other
/// listing.
const SEARCH_PAGE: usize = 100;
const PAGE: usize = 20;

/// One version of the product.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) id: String,
    name: String,
    created: Timestamp,
    pub(crate) active: bool,
}

/// Name of the portfolio that holds the Account Factory product.
pub(crate) const PORTFOLIO_NAME: &str = "AWS Control Tower Account Factory Portfolio";

/// A launch path that the caller has.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) id: String,
    /// Name of the portfolio that it leads through.
    pub(crate) portfolio: String,
}

/// The service.
#[derive(Debug)]
pub(crate) struct ServiceCatalog {
    fleet: Arc<Fleet>,
    pub(crate) product_id: String,
    /// Oldest first.
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) paths: Vec<Path>,
    pub(crate) updates: Updates,
    /// The accounts that have a provisioned product.
    enrolled: Vec<u32>,
    /// The parameters of the updates that callers have started, by record.
    pub(crate) given: BTreeMap<u32, BTreeMap<String, String>>,
    /// Accounts, and keys of outputs that their records lack.
    pub(crate) forgotten: BTreeSet<(u32, String)>,
    /// Records that are gone.
    pub(crate) gone: BTreeSet<u32>,
    created: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeProduct {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SearchProducts {
    filters: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfProduct {
    product_id: String,
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Paged {
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfPortfolio {
    portfolio_id: String,
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LevelFilter {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Search {
    access_level_filter: Option<LevelFilter>,
    filters: Option<BTreeMap<String, Vec<String>>>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scan {
    access_level_filter: Option<LevelFilter>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outputs {
    provisioned_product_id: Option<String>,
    provisioned_product_name: Option<String>,
    #[serde(default)]
    output_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneRecord {
    id: String,
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ById {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRequest {
    provisioned_product_id: Option<String>,
    provisioned_product_name: Option<String>,
    product_id: Option<String>,
    provisioning_artifact_id: Option<String>,
    path_id: Option<String>,
    #[serde(default)]
    provisioning_parameters: Vec<Parameter>,
    update_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    key: Option<String>,
    value: Option<String>,
    use_previous_value: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct History {
    search_filter: Option<SearchFilter>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SearchFilter {
    key: Option<String>,
    value: Option<String>,
}

/// What an operation does; starting one takes a starter.
type CatalogOperation =
    fn(&mut ServiceCatalog, Timestamp, &Call<'_>, &mut Starter<'_>) -> Result<Value, ApiError>;

/// What the service offers.
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
    /// The product with an old artifact that is active and a newer one that is not yet.
    pub(crate) fn new(fleet: Arc<Fleet>, start: Timestamp) -> Self {
        let day = |days: i64| {
            start.checked_sub(jiff::SignedDuration::from_hours(24 * days)).unwrap_or(start)
        };
        let created = day(400);
        let updates = Updates::new(&fleet, created);
        Self {
            product_id: ids::write(PRODUCT, 1),
            artifacts: vec![artifact(0, created, true), artifact(1, day(1), false)],
            paths: vec![Path { id: ids::write(PATH, 1), portfolio: PORTFOLIO_NAME.to_owned() }],
            enrolled: updates.products().collect(),
            updates,
            given: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            gone: BTreeSet::new(),
            fleet,
            created,
        }
    }

    /// Makes the next artifact active, and answers its id.
    pub(crate) fn release(&mut self, now: Timestamp) -> String {
        if let Some(waiting) = self.artifacts.iter_mut().find(|artifact| !artifact.active) {
            waiting.active = true;
            return waiting.id.clone();
        }
        let next = artifact(self.artifacts.len() as u32, now, true);
        let id = next.id.clone();
        self.artifacts.push(next);
        id
    }

    /// Number of the newest active artifact.
    pub(crate) fn newest(&self) -> u32 {
        self.artifacts.iter().rposition(|artifact| artifact.active).unwrap_or(0) as u32
    }

    pub(crate) fn call(
        &mut self,
        now: Timestamp,
        call: &Call<'_>,
        starter: &mut Starter<'_>,
    ) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call, starter)
    }

    fn product(&self) -> Value {
        json!({
            "ProductViewSummary": {
                "Id": "prodview-aaaaaaaaaaaab",
                "ProductId": self.product_id,
                "Name": PRODUCT_NAME,
                "Owner": OWNER,
                "Type": "CLOUD_FORMATION_TEMPLATE",
                "HasDefaultPath": false,
            },
            "Status": "AVAILABLE",
            "ProductARN": format!("arn:aws:catalog:{REGION}:{MANAGEMENT_ACCOUNT}:product/{}", self.product_id),
            "CreatedTime": time::json(self.created),
        })
    }

    fn describe_product(&self, request: &DescribeProduct) -> Result<Value, ApiError> {
        let found = match (&request.id, &request.name) {
            (Some(id), _) => *id == self.product_id,
            (None, Some(name)) => name == PRODUCT_NAME,
            (None, None) => return Err(invalid("Either Id or Name must be given.")),
        };
        if !found {
            return Err(not_found("Product not found."));
        }
        let artifacts: Vec<Value> = self
            .artifacts
            .iter()
            .map(|artifact| {
                json!({
                    "Id": artifact.id,
                    "Name": artifact.name,
                    "CreatedTime": time::json(artifact.created),
                })
            })
            .collect();
        Ok(json!({
            "ProductViewDetail": self.product(),
            "ProvisioningArtifactSummaries": artifacts,
            "Tags": [],
            "TagOptions": [],
            "Budgets": [],
        }))
    }

    fn search_products(&self, request: &SearchProducts) -> Result<Value, ApiError> {
        let matches = request.filters.iter().flatten().all(|(key, values)| {
            values.iter().any(|value| match key.as_str() {
                "Owner" => value == OWNER,
                "FullTextSearch" => PRODUCT_NAME.contains(value.as_str()),
                "ProductType" => value == "CLOUD_FORMATION_TEMPLATE",
                _ => false,
            })
        });
        let products = if matches { vec![self.product()] } else { Vec::new() };
        Ok(json!({ "ProductViewDetails": products }))
    }

    fn list_artifacts(&self, request: &OfProduct) -> Result<Value, ApiError> {
        self.check_product(&request.product_id)?;
        let artifacts: Vec<Value> = self
            .artifacts
            .iter()
            .map(|artifact| {
                json!({
                    "Id": artifact.id,
                    "Name": artifact.name,
                    "Type": "CLOUD_FORMATION_TEMPLATE",
                    "CreatedTime": time::json(artifact.created),
                    "Active": artifact.active,
                    "Guidance": "DEFAULT",
                })
            })
            .collect();
        Ok(json!({ "ProvisioningArtifactDetails": artifacts }))
    }

    fn list_paths(&self, request: &OfProduct) -> Result<Value, ApiError> {
        self.check_product(&request.product_id)?;
        if self.paths.is_empty() {
            return Err(not_found(&format!(
                "No launch paths found for resource: {}",
                self.product_id
            )));
        }
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, PAGE, self.paths.len())?;
        let paths: Vec<Value> = self
            .paths
            .get(range)
            .into_iter()
            .flatten()
            .map(|path| {
                json!({
                    "Id": path.id,
                    "ConstraintSummaries": [],
                    "Tags": [],
                    "Name": path.portfolio,
                })
            })
            .collect();
        Ok(with_token(json!({ "LaunchPathSummaries": paths }), next))
    }

    /// Names of the portfolios: Account Factory's own, and those that other launch paths
    /// lead through.
    fn portfolios(&self) -> Vec<&str> {
        let mut names = vec![PORTFOLIO_NAME];
        for path in &self.paths {
            if !names.contains(&path.portfolio.as_str()) {
                names.push(&path.portfolio);
            }
        }
        names
    }

    fn list_portfolios(&self, request: &Paged) -> Result<Value, ApiError> {
        let names = self.portfolios();
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, SEARCH_PAGE, names.len())?;
        let details: Vec<Value> = range
            .filter_map(|number| {
                let id = ids::write(PORTFOLIO, number as u32);
                Some(json!({
                    "ARN": format!("arn:aws:catalog:{REGION}:{MANAGEMENT_ACCOUNT}:portfolio/{id}"),
                    "Id": id,
                    "DisplayName": names.get(number)?,
                    "ProviderName": OWNER,
                    "CreatedTime": time::json(self.created),
                }))
            })
            .collect();
        Ok(with_token(json!({ "PortfolioDetails": details }), next))
    }

    /// The product is in every portfolio.
    fn list_portfolios_of(&self, request: &OfProduct) -> Result<Value, ApiError> {
        self.check_product(&request.product_id)?;
        let (page_token, page_size) = (request.page_token.clone(), request.page_size);
        self.list_portfolios(&Paged { page_token, page_size })
    }

    /// A launch path through a portfolio is what its principals have: so the caller's role
    /// is one where there is a path, besides the people of Identity Center.
    fn list_principals(&self, request: &OfPortfolio) -> Result<Value, ApiError> {
        let names = self.portfolios();
        let name = ids::read(PORTFOLIO, &request.portfolio_id)
            .and_then(|number| names.get(number as usize))
            .ok_or_else(|| not_found(&format!("Portfolio {} not found.", request.portfolio_id)))?;
        let mut principals = vec![json!({
            "PrincipalARN": "arn:aws:iam:::role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_AWSServiceCatalogEndUserAccess_*",
            "PrincipalType": "IAM_PATTERN",
        })];
        if self.paths.iter().any(|path| path.portfolio == *name) {
            principals.push(json!({
                "PrincipalARN": format!("arn:aws:iam::{MANAGEMENT_ACCOUNT}:role/{ROLE}"),
                "PrincipalType": "IAM",
            }));
        }
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, PAGE, principals.len())?;
        let principals = principals.get(range).unwrap_or_default();
        Ok(with_token(json!({ "Principals": principals }), next))
    }

    fn check_product(&self, id: &str) -> Result<(), ApiError> {
        if id == self.product_id {
            Ok(())
        } else {
            Err(not_found(&format!("Product {id} not found.")))
        }
    }

    fn search(&self, request: &Search) -> Result<Value, ApiError> {
        let matching = if self.sees_all(request.access_level_filter.as_ref())? {
            self.matching(request.filters.as_ref())?
        } else {
            Matching::These(Vec::new())
        };
        let total = match &matching {
            Matching::All => self.enrolled.len(),
            Matching::These(indices) => indices.len(),
        };
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, SEARCH_PAGE, total)?;
        let products: Vec<Value> = range
            .filter_map(|place| match &matching {
                Matching::All => self.attributes(*self.enrolled.get(place)?),
                Matching::These(indices) => self.attributes(*indices.get(place)?),
            })
            .collect();
        Ok(with_token(json!({ "ProvisionedProducts": products, "TotalResultsCount": total }), next))
    }

    fn scan(&self, request: &Scan) -> Result<Value, ApiError> {
        let sees_all = self.sees_all(request.access_level_filter.as_ref())?;
        let total = if sees_all { self.enrolled.len() } else { 0 };
        let (range, next) = page(request.page_token.as_deref(), request.page_size, PAGE, total)?;
        let products: Vec<Value> =
            range.filter_map(|place| self.detail(*self.enrolled.get(place)?)).collect();
        Ok(with_token(json!({ "ProvisionedProducts": products }), next))
    }

    /// Control Tower provisioned the products, so that a caller who asks for their own
    /// (as user or as role) sees none.
    fn sees_all(&self, filter: Option<&LevelFilter>) -> Result<bool, ApiError> {
        let Some(filter) = filter else { return Ok(true) };
        if filter.value.as_deref() != Some("self") {
            return Err(invalid("The value of AccessLevelFilter must be `self`."));
        }
        match filter.key.as_deref() {
            Some("Account") => Ok(true),
            Some("Role" | "User") => Ok(false),
            _ => Err(invalid("The key of AccessLevelFilter must be Account, Role or User.")),
        }
    }

    fn matching(
        &self,
        filters: Option<&BTreeMap<String, Vec<String>>>,
    ) -> Result<Matching, ApiError> {
        let Some(filters) = filters.filter(|filters| !filters.is_empty()) else {
            return Ok(Matching::All);
        };
        let query = match filters.get("SearchQuery").map(Vec::as_slice) {
            Some([query]) if filters.len() == 1 => query,
            _ => return Err(invalid("Filters must hold one SearchQuery with one value.")),
        };
        let (field, value) = query
            .split_once(':')
            .ok_or_else(|| invalid("A SearchQuery has the form `field:value`."))?;
        let value = value.trim_matches('"');
        let one = |index: Option<u32>| {
            let enrolled = |index: &u32| self.updates.product(*index).is_some();
            Matching::These(index.into_iter().filter(enrolled).collect())
        };
        Ok(match field {
            "productId" if value == self.product_id => Matching::All,
            "type" if value == PRODUCT_TYPE => Matching::All,
            "productId" | "type" => one(None),
            "physicalId" => one(self.fleet.find(value)),
            "id" => one(self.find(value)),
            "status" if value == "UNDER_CHANGE" => {
                Matching::These(self.updates.under_change().collect())
            }
            "status" => Matching::These(
                self.updates
                    .products()
                    .filter(|index| {
                        self.updates
                            .status(*index)
                            .is_some_and(|status| status.to_string() == *value)
                    })
                    .collect(),
            ),
            "name" => Matching::These(
                self.fleet
                    .iter()
                    .filter(|(_, account)| account.enrolled && account.name == value)
                    .map(|(index, _)| index)
                    .collect(),
            ),
            _ => return Err(invalid(&format!("The simulated AWS can't search by `{field}`."))),
        })
    }

    fn find(&self, id: &str) -> Option<u32> {
        ids::read(PROVISIONED_PRODUCT, id).filter(|index| self.updates.product(*index).is_some())
    }

    /// What SearchProvisionedProducts and DescribeProvisionedProduct both answer.
    fn detail(&self, index: u32) -> Option<Value> {
        let account = self.fleet.get(index)?;
        let product = self.updates.product(index)?;
        let mut answer = json!({
            "Name": provisioned_name(&account.name, index),
            "Arn": format!("arn:aws:servicecatalog:{REGION}:{MANAGEMENT_ACCOUNT}:stack/{}/{}", provisioned_name(&account.name, index), ids::write(PROVISIONED_PRODUCT, index)),
            "Type": PRODUCT_TYPE,
            "Id": ids::write(PROVISIONED_PRODUCT, index),
            "Status": product.status,
            "CreatedTime": time::json(self.created),
            "LastRecordId": ids::write(RECORD, product.last_record),
            "LastProvisioningRecordId": ids::write(RECORD, product.last_record),
            "LastSuccessfulProvisioningRecordId": ids::write(RECORD, product.last_successful),
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.artifacts.get(product.artifact as usize)?.id,
        });
        if let Some(Ended::Failed(failure)) = self.updates.ended(product.last_record)
            && product.status != ProductStatus::UnderChange
        {
            answer["StatusMessage"] = failure.description.clone().into();
        }
        Some(answer)
    }

    fn attributes(&self, index: u32) -> Option<Value> {
        let mut answer = self.detail(index)?;
        let product = self.updates.product(index)?;
        answer["PhysicalId"] = self.fleet.get(index)?.id.as_str().into();
        answer["ProductName"] = PRODUCT_NAME.into();
        answer["ProvisioningArtifactName"] =
            self.artifacts.get(product.artifact as usize)?.name.as_str().into();
        answer["Tags"] = json!([]);
        Some(answer)
    }

    fn describe(&self, request: &ById) -> Result<Value, ApiError> {
        let index = self.find_product(request.id.as_deref(), request.name.as_deref())?;
        let detail =
            self.detail(index).ok_or_else(|| not_found("Provisioned product not found."))?;
        Ok(json!({ "ProvisionedProductDetail": detail, "CloudWatchDashboards": [] }))
    }

    /// The provisioned product with this id, or else of this name.
    fn find_product(&self, id: Option<&str>, name: Option<&str>) -> Result<u32, ApiError> {
        let index = match (id, name) {
            (Some(id), _) => self.find(id),
            (None, Some(name)) => self
                .fleet
                .iter()
                .filter(|(_, account)| account.enrolled)
                .find(|(index, account)| provisioned_name(&account.name, *index) == name)
                .map(|(index, _)| index),
            (None, None) => {
                return Err(invalid(
                    "The id or the name of the provisioned product must be given.",
                ));
            }
        };
        index.ok_or_else(|| not_found("Provisioned product not found."))
    }

    fn update(
        &mut self,
        now: Timestamp,
        request: UpdateRequest,
        starter: &mut Starter<'_>,
    ) -> Result<Value, ApiError> {
        check_token(&request.update_token)?;
        let index = self.find_product(
            request.provisioned_product_id.as_deref(),
            request.provisioned_product_name.as_deref(),
        )?;
        if let Some(record) = self.updates.by_token(&request.update_token) {
            return if self.updates.record(record).is_some_and(|known| known.product == index) {
                self.started(now, record)
            } else {
                Err(invalid("The update token was used for another provisioned product."))
            };
        }
        if let Some(product) = &request.product_id {
            self.check_product(product)?;
        }
        let artifact = request
            .provisioning_artifact_id
            .as_deref()
            .and_then(|id| {
                self.artifacts.iter().position(|artifact| artifact.id == id && artifact.active)
            })
            .ok_or_else(|| not_found("Provisioning artifact not found."))?
            as u32;
        match &request.path_id {
            Some(path) if !self.paths.iter().any(|known| known.id == *path) => {
                return Err(not_found(&format!("Launch path {path} not found.")));
            }
            None if self.paths.len() > 1 => {
                return Err(invalid("More than one launch path ids exist"));
            }
            None if self.paths.is_empty() => {
                return Err(not_found("No launch paths found for resource"));
            }
            _ => {}
        }
        let parameters = self.taken(index, request.provisioning_parameters, starter)?;
        if !self.updates.is_free(index) {
            return Err(ApiError::new(
                "ResourceInUseException",
                "The provisioned product can't be updated because another execution is in progress.",
            ));
        }
        let record = starter.own(now, &mut self.updates, index, artifact, &request.update_token)?;
        let of = |key: &str| parameters.get(key).cloned();
        starter.identities.create(User {
            email: of(SSO_USER_EMAIL).unwrap_or_default(),
            given_name: of(SSO_USER_FIRST_NAME),
            family_name: of(SSO_USER_LAST_NAME),
        });
        self.given.insert(record, parameters);
        self.started(now, record)
    }

    /// The parameters that an update takes: those that are given, and the rest as they were.
    /// Where both a value and `UsePreviousValue` are given the value was seen to win.
    fn taken(
        &self,
        index: u32,
        given: Vec<Parameter>,
        starter: &Starter<'_>,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        check_parameters(&given)?;
        let mut parameters = self
            .parameters(index, starter.organizations, starter.identities)
            .ok_or_else(|| not_found("Provisioned product not found."))?;
        for parameter in given {
            let (Some(key), Some(value)) = (parameter.key, parameter.value) else { continue };
            if key == ORGANIZATIONAL_UNIT && !starter.organizations.knows(&value) {
                return Err(invalid(&format!(
                    "The parent organizational unit '{value}' is not enrolled in AWS Control Tower."
                )));
            }
            parameters.insert(key, value);
        }
        Ok(parameters)
    }

    /// The parameters of the last operation on an account that succeeded.
    pub(crate) fn parameters(
        &self,
        index: u32,
        organizations: &Organizations,
        identities: &IdentityStore,
    ) -> Option<BTreeMap<String, String>> {
        let product = self.updates.product(index)?;
        if let Some(given) = self.given.get(&product.last_successful) {
            return Some(given.clone());
        }
        let account = self.fleet.get(index)?;
        let email = account.sso_user_email();
        let user = identities.user(&email).cloned();
        let (given_name, family_name) =
            user.map(|user| (user.given_name, user.family_name)).unwrap_or_default();
        let values = [
            account.email.clone(),
            account.name.clone(),
            organizations.unit_parameter(index),
            email,
            given_name.unwrap_or_default(),
            family_name.unwrap_or_default(),
        ];
        Some(PARAMETERS.map(str::to_owned).into_iter().zip(values).collect())
    }

    fn started(&self, now: Timestamp, record: u32) -> Result<Value, ApiError> {
        let detail =
            self.record_detail(now, record).ok_or_else(|| not_found("Record not found."))?;
        Ok(json!({ "RecordDetail": detail }))
    }

    fn record_detail(&self, now: Timestamp, number: u32) -> Option<Value> {
        let record = self.updates.record(number)?;
        let account = self.fleet.get(record.product)?;
        let errors = match &record.ended {
            Some((_, Ended::Failed(failure))) => {
                json!([{ "Code": failure.code, "Description": failure.description }])
            }
            _ => json!([]),
        };
        Some(json!({
            "RecordId": ids::write(RECORD, number),
            "ProvisionedProductName": provisioned_name(&account.name, record.product),
            "Status": record.status(now),
            "CreatedTime": time::json(record.created),
            "UpdatedTime": time::json(record.ended.as_ref().map_or(record.created, |(time, _)| *time)),
            "ProvisionedProductType": PRODUCT_TYPE,
            "RecordType": if record.provisioning { "PROVISION_PRODUCT" } else { "UPDATE_PROVISIONED_PRODUCT" },
            "ProvisionedProductId": ids::write(PROVISIONED_PRODUCT, record.product),
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.artifacts.get(record.artifact as usize)?.id,
            "PathId": self.paths.first().map(|path| &path.id),
            "RecordErrors": errors,
            "RecordTags": [],
        }))
    }

    fn describe_record(&self, now: Timestamp, request: &OneRecord) -> Result<Value, ApiError> {
        let found = ids::read(RECORD, &request.id)
            .filter(|number| !self.gone.contains(number))
            .and_then(|number| Some((number, self.record_detail(now, number)?)));
        let (number, detail) = found.ok_or_else(|| not_found("Record not found."))?;
        let outputs = self.outputs(number);
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, PAGE, outputs.len())?;
        let outputs = outputs.get(range).unwrap_or_default();
        Ok(with_token(json!({ "RecordDetail": detail, "RecordOutputs": outputs }), next))
    }

    /// The outputs of a record: those that others have seen with an account's.
    fn outputs(&self, number: u32) -> Vec<Value> {
        let Some(record) = self.updates.record(number) else { return Vec::new() };
        let (Some((_, Ended::Succeeded)), Some(account)) =
            (&record.ended, self.fleet.get(record.product))
        else {
            return Vec::new();
        };
        let given = |key: &str| self.given.get(&number).and_then(|given| given.get(key)).cloned();
        [
            (ACCOUNT_EMAIL, given(ACCOUNT_EMAIL).unwrap_or_else(|| account.email.clone())),
            ("AccountId", account.id.to_string()),
            (SSO_USER_EMAIL, given(SSO_USER_EMAIL).unwrap_or_else(|| account.sso_user_email())),
        ]
        .into_iter()
        .filter(|(key, _)| !self.forgotten.contains(&(record.product, (*key).to_owned())))
        .map(|(key, value)| json!({ "OutputKey": key, "OutputValue": value }))
        .collect()
    }

    /// The outputs of the last operation that succeeded.
    fn product_outputs(&self, request: &Outputs) -> Result<Value, ApiError> {
        let index = self.find_product(
            request.provisioned_product_id.as_deref(),
            request.provisioned_product_name.as_deref(),
        )?;
        let product = self.updates.product(index).ok_or_else(|| not_found("Record not found."))?;
        let mut outputs = self.outputs(product.last_successful);
        if !request.output_keys.is_empty() {
            outputs.retain(|output| {
                request.output_keys.iter().any(|key| output["OutputKey"] == **key)
            });
        }
        Ok(json!({ "Outputs": outputs }))
    }

    fn history(&self, now: Timestamp, request: &History) -> Result<Value, ApiError> {
        let filter = request.search_filter.as_ref();
        let key = filter.and_then(|filter| filter.key.as_deref());
        let value = filter.and_then(|filter| filter.value.as_deref()).unwrap_or_default();
        // Newest first.
        let numbers: Vec<u32> = match key {
            Some("provisionedproduct") => {
                let product = self.find(value).and_then(|index| self.updates.product(index));
                std::iter::successors(product.map(|product| product.last_record), |number| {
                    self.updates.record(*number)?.previous
                })
                .collect()
            }
            Some("product") if value != self.product_id => Vec::new(),
            Some("product") | None => (0..self.updates.records()).rev().collect(),
            Some(_) => {
                return Err(invalid(
                    "The search filter key must be `provisionedproduct` or `product`.",
                ));
            }
        };
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, PAGE, numbers.len())?;
        let records: Vec<Value> = numbers
            .get(range)
            .into_iter()
            .flatten()
            .filter_map(|number| self.record_detail(now, *number))
            .collect();
        Ok(with_token(json!({ "RecordDetails": records }), next))
    }
}

/// Which provisioned products a search finds.
enum Matching {
    All,
    These(Vec<u32>),
}

fn artifact(number: u32, created: Timestamp, active: bool) -> Artifact {
    Artifact {
        id: ids::write(ARTIFACT, number + 1),
        name: "AWS Control Tower Account Factory".to_owned(),
        created,
        active,
    }
}

/// Names of provisioned products allow fewer characters than those of accounts.
fn provisioned_name(account: &str, index: u32) -> String {
    let mut name: String = account
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(100)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, 'a');
    }
    name.push_str(&format!("-{index}"));
    name
}

fn check_token(token: &str) -> Result<(), ApiError> {
    let good = (1..=128).contains(&token.len())
        && token.starts_with(|c: char| c.is_ascii_alphanumeric())
        && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if good {
        Ok(())
    } else {
        Err(invalid(
            "UpdateToken must match [a-zA-Z0-9][a-zA-Z0-9_-]* and have at most 128 characters.",
        ))
    }
}

fn check_parameters(parameters: &[Parameter]) -> Result<(), ApiError> {
    for name in PARAMETERS {
        let given = parameters.iter().any(|parameter| {
            parameter.key.as_deref() == Some(name)
                && (parameter.use_previous_value == Some(true)
                    || parameter.value.as_ref().is_some_and(|value| !value.is_empty()))
        });
        if !given {
            return Err(invalid(&format!("Parameters: [{name}] must have values")));
        }
    }
    for parameter in parameters {
        let key = parameter.key.as_deref().unwrap_or_default();
        if !PARAMETERS.contains(&key) {
            return Err(invalid(&format!("Parameters: [{key}] do not exist in the template")));
        }
    }
    Ok(())
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
