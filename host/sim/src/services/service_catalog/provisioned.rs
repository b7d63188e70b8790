//! Provisioned products: search and description.

use std::collections::BTreeMap;

use groundcrew_core::catalog::ProductStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use super::operation_store::RecordOutcome;
use super::{
    PAGE, PRODUCT_TYPE, SEARCH_PAGE, ServiceCatalog, invalid, not_found, page, with_token,
};
use crate::ids;
use crate::names::{MANAGEMENT_ACCOUNT, PRODUCT_NAME, REGION};
use crate::protocol::ApiError;
use crate::time;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AccessLevelFilter {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SearchProvisionedProducts {
    access_level_filter: Option<AccessLevelFilter>,
    filters: Option<BTreeMap<String, Vec<String>>>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScanProvisionedProducts {
    access_level_filter: Option<AccessLevelFilter>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeProvisionedProduct {
    id: Option<String>,
    name: Option<String>,
}

impl ServiceCatalog {
    pub(super) fn search(&self, request: &SearchProvisionedProducts) -> Result<Value, ApiError> {
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

    pub(super) fn scan(&self, request: &ScanProvisionedProducts) -> Result<Value, ApiError> {
        let sees_all = self.sees_all(request.access_level_filter.as_ref())?;
        let total = if sees_all { self.enrolled.len() } else { 0 };
        let (range, next) = page(request.page_token.as_deref(), request.page_size, PAGE, total)?;
        let products: Vec<Value> =
            range.filter_map(|place| self.detail(*self.enrolled.get(place)?)).collect();
        Ok(with_token(json!({ "ProvisionedProducts": products }), next))
    }

    /// Control Tower provisioned the products, so a caller who asks for their own products (as user
    /// or as role) gets none.
    fn sees_all(&self, filter: Option<&AccessLevelFilter>) -> Result<bool, ApiError> {
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
            let enrolled = |index: &u32| self.store.product(*index).is_some();
            Matching::These(index.into_iter().filter(enrolled).collect())
        };
        Ok(match field {
            "productId" if value == self.product_id => Matching::All,
            "type" if value == PRODUCT_TYPE => Matching::All,
            "productId" | "type" => one(None),
            "physicalId" => one(self.fleet.find(value)),
            "id" => one(self.find(value)),
            "status" if value == "UNDER_CHANGE" => {
                Matching::These(self.store.under_change().collect())
            }
            _ => {
                let member = member(field).ok_or_else(|| {
                    invalid(&format!("The simulated AWS can't search by `{field}`."))
                })?;
                let found = self.store.products().filter(|index| {
                    self.attributes(*index).is_some_and(|product| product[member] == *value)
                });
                Matching::These(found.collect())
            }
        })
    }

    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.fleet.find_by_product(id).filter(|index| self.store.product(*index).is_some())
    }

    /// The details that SearchProvisionedProducts and DescribeProvisionedProduct return.
    fn detail(&self, index: u32) -> Option<Value> {
        let account = self.fleet.get(index)?;
        let product = self.store.product(index)?;
        let mut answer = json!({
            "Name": provisioned_name(&account.name, index),
            "Arn": format!("arn:aws:servicecatalog:{REGION}:{MANAGEMENT_ACCOUNT}:stack/{}/{}", provisioned_name(&account.name, index), account.product),
            "Type": PRODUCT_TYPE,
            "Id": account.product,
            "Status": product.status,
            "CreatedTime": time::epoch_seconds(self.created),
            "LastRecordId": ids::write(ids::RECORD, product.last_record),
            "LastProvisioningRecordId": ids::write(ids::RECORD, product.last_record),
            "LastSuccessfulProvisioningRecordId": ids::write(ids::RECORD, product.last_successful),
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.artifacts.get(product.artifact as usize)?.id,
        });
        if let Some(RecordOutcome::Failed(failure)) = self.store.ended(product.last_record)
            && product.status != ProductStatus::UnderChange
        {
            answer["StatusMessage"] = failure.description.clone().into();
        }
        Some(answer)
    }

    fn attributes(&self, index: u32) -> Option<Value> {
        let mut answer = self.detail(index)?;
        let product = self.store.product(index)?;
        answer["PhysicalId"] = self.fleet.get(index)?.id.as_str().into();
        answer["ProductName"] = PRODUCT_NAME.into();
        answer["ProvisioningArtifactName"] =
            self.artifacts.get(product.artifact as usize)?.name.as_str().into();
        answer["Tags"] = json!([]);
        Some(answer)
    }

    pub(super) fn describe(&self, request: &DescribeProvisionedProduct) -> Result<Value, ApiError> {
        let index = self.find_product(request.id.as_deref(), request.name.as_deref())?;
        let detail =
            self.detail(index).ok_or_else(|| not_found("Provisioned product not found."))?;
        Ok(json!({ "ProvisionedProductDetail": detail, "CloudWatchDashboards": [] }))
    }

    /// The provisioned product with this id, or with this name if there is no id.
    pub(super) fn find_product(
        &self,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Result<u32, ApiError> {
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
}

/// The member of a response that a search field matches. Of the fields in the API reference of
/// SearchProvisionedProducts, `createdTime`, `idempotencyToken`, `tags`, `userArn` and
/// `userArnSession` are not simulated.
fn member(field: &str) -> Option<&'static str> {
    Some(match field {
        "arn" => "Arn",
        "id" => "Id",
        "lastProvisioningRecordId" => "LastProvisioningRecordId",
        "lastRecordId" => "LastRecordId",
        "lastSuccessfulProvisioningRecordId" => "LastSuccessfulProvisioningRecordId",
        "name" => "Name",
        "physicalId" => "PhysicalId",
        "productId" => "ProductId",
        "productName" => "ProductName",
        "provisioningArtifactId" => "ProvisioningArtifactId",
        "provisioningArtifactName" => "ProvisioningArtifactName",
        "status" => "Status",
        "type" => "Type",
        _ => return None,
    })
}

/// The provisioned products that a search finds.
enum Matching {
    All,
    These(Vec<u32>),
}

/// A name for the provisioned product of an account. It allows fewer characters than the name of an
/// account.
pub(super) fn provisioned_name(account: &str, index: u32) -> String {
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
