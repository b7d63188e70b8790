//! The Account Factory product: its versions, and the portfolios and launch paths through which
//! callers launch it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Artifact, PAGE, SEARCH_PAGE, ServiceCatalog, invalid, not_found, page, with_token};
use crate::fleet::versions;
use crate::ids;
use crate::names::{MANAGEMENT_ACCOUNT, PORTFOLIO_NAME, PRODUCT_NAME, REGION, ROLE};
use crate::protocol::ApiError;
use crate::time;

const OWNER: &str = "AWS Control Tower";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeProduct {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SearchProducts {
    filters: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProductRequest {
    product_id: String,
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PagedRequest {
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PortfolioRequest {
    portfolio_id: String,
    page_token: Option<String>,
    page_size: Option<usize>,
}

impl ServiceCatalog {
    /// Adds a new artifact.
    pub(crate) fn release(&mut self, now: Timestamp) {
        let known = |id: &String| self.artifacts.iter().any(|artifact| artifact.id == *id);
        let number = self.artifacts.len();
        let id = versions::generated_ids().skip(number).find(|id| !known(id)).unwrap_or_default();
        self.artifacts.push(Artifact::new(id, now));
    }

    /// Id of the newest active artifact.
    pub(crate) fn newest_id(&self) -> &str {
        self.artifacts.get(self.newest() as usize).map_or("", |artifact| &artifact.id)
    }

    /// Number of the newest active artifact.
    pub(crate) fn newest(&self) -> u32 {
        self.artifacts.iter().rposition(|artifact| artifact.active).unwrap_or(0) as u32
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
            "CreatedTime": time::epoch_seconds(self.created),
        })
    }

    pub(super) fn describe_product(&self, request: &DescribeProduct) -> Result<Value, ApiError> {
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
                    "CreatedTime": time::epoch_seconds(artifact.created),
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

    pub(super) fn search_products(&self, request: &SearchProducts) -> Result<Value, ApiError> {
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

    pub(super) fn list_artifacts(&self, request: &ProductRequest) -> Result<Value, ApiError> {
        self.check_product(&request.product_id)?;
        let artifacts: Vec<Value> = self
            .artifacts
            .iter()
            .map(|artifact| {
                json!({
                    "Id": artifact.id,
                    "Name": artifact.name,
                    "Type": "CLOUD_FORMATION_TEMPLATE",
                    "CreatedTime": time::epoch_seconds(artifact.created),
                    "Active": artifact.active,
                    "Guidance": "DEFAULT",
                })
            })
            .collect();
        Ok(json!({ "ProvisioningArtifactDetails": artifacts }))
    }

    pub(super) fn list_paths(&self, request: &ProductRequest) -> Result<Value, ApiError> {
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

    /// Names of the portfolios: Account Factory's own, and those of the other launch paths.
    fn portfolios(&self) -> Vec<&str> {
        let mut names = vec![PORTFOLIO_NAME];
        for path in &self.paths {
            if !names.contains(&path.portfolio.as_str()) {
                names.push(&path.portfolio);
            }
        }
        names
    }

    pub(super) fn list_portfolios(&self, request: &PagedRequest) -> Result<Value, ApiError> {
        let names = self.portfolios();
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, SEARCH_PAGE, names.len())?;
        let details: Vec<Value> = range
            .filter_map(|number| {
                let id = ids::write(ids::PORTFOLIO, number as u32);
                Some(json!({
                    "ARN": format!("arn:aws:catalog:{REGION}:{MANAGEMENT_ACCOUNT}:portfolio/{id}"),
                    "Id": id,
                    "DisplayName": names.get(number)?,
                    "ProviderName": OWNER,
                    "CreatedTime": time::epoch_seconds(self.created),
                }))
            })
            .collect();
        Ok(with_token(json!({ "PortfolioDetails": details }), next))
    }

    /// The product is in every portfolio.
    pub(super) fn list_portfolios_of(&self, request: &ProductRequest) -> Result<Value, ApiError> {
        self.check_product(&request.product_id)?;
        let (page_token, page_size) = (request.page_token.clone(), request.page_size);
        self.list_portfolios(&PagedRequest { page_token, page_size })
    }

    /// A launch path through a portfolio exists for its principals. So the caller's role is a
    /// principal of each portfolio with a launch path, besides the users of Identity Center.
    pub(super) fn list_principals(&self, request: &PortfolioRequest) -> Result<Value, ApiError> {
        let names = self.portfolios();
        let name = ids::read(ids::PORTFOLIO, &request.portfolio_id)
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

    pub(super) fn check_product(&self, id: &str) -> Result<(), ApiError> {
        if id == self.product_id {
            Ok(())
        } else {
            Err(not_found(&format!("Product {id} not found.")))
        }
    }
}
