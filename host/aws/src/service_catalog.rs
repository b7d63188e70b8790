//! Core's catalog on Service Catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_servicecatalog::Client;
use aws_sdk_servicecatalog::error::ProvideErrorMetadata;
use aws_sdk_servicecatalog::types::{
    AccessLevelFilter, AccessLevelFilterKey, ProvisionedProductAttribute, ProvisionedProductStatus,
    ProvisionedProductViewFilterBy, RecordStatus as SdkRecordStatus, UpdateProvisioningParameter,
};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::{
    AccountFactory, ArtifactId, LaunchPathId, LaunchPathSummary, ProductId, ProductStatus,
    ProvisionedProduct, ProvisionedProductId, Record, RecordError, RecordId, RecordStatus,
    UpdateRequest, launch_paths_of,
};
use groundcrew_core::parameters::{PARAMETER_KEYS, Parameters};
use groundcrew_core::ports::{Catalog, Page};

use crate::error::{UncertainAttempts, check_echo, read_error, unexpected};

/// The largest page of SearchProvisionedProducts.
const PAGE: i32 = 100;

/// Type of the provisioned products of Account Factory. Service Catalog uses it, but it is
/// undocumented.
const ACCOUNT_TYPE: &str = "CONTROL_TOWER_ACCOUNT";

/// How to select the launch path of the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchPathSelector {
    /// The launch path with this id.
    ById(LaunchPathId),
    /// The only launch path. If there are several, the one of the portfolio with this name.
    ByPortfolio(String),
}

/// Service Catalog with one Account Factory product.
#[derive(Debug)]
pub struct ServiceCatalog {
    client: Client,
    product_name: String,
    launch_path: LaunchPathSelector,
    /// Accounts of the provisioned products that were read. They never change, and
    /// DescribeProvisionedProduct does not return them.
    accounts: Mutex<BTreeMap<ProvisionedProductId, AccountId>>,
}

impl ServiceCatalog {
    /// Service Catalog with the product of this name.
    pub fn new(
        client: Client,
        product_name: impl Into<String>,
        launch_path: LaunchPathSelector,
    ) -> Self {
        Self {
            client,
            product_name: product_name.into(),
            launch_path,
            accounts: Mutex::new(BTreeMap::new()),
        }
    }

    /// Id of the product.
    pub(crate) async fn product(&self) -> Result<ProductId, AwsError> {
        const OPERATION: &str = "DescribeProductAsAdmin";
        let answer = self
            .client
            .describe_product_as_admin()
            .name(&self.product_name)
            .send()
            .await
            .map_err(|error| {
                let mut error = read_error(OPERATION, error);
                if error.class == ErrorClass::NotFound {
                    error.message = format!(
                        "{} (no product is named `{}`: set account_factory.product_name, and run where Control Tower's management account and home Region are)",
                        error.message, self.product_name
                    );
                }
                error
            })?;
        let summary = answer.product_view_detail().and_then(|detail| detail.product_view_summary());
        let name = summary.and_then(|summary| summary.name());
        check_echo(OPERATION, "Name", name, &self.product_name)?;
        summary.and_then(|summary| summary.product_id()).map(ProductId::new).ok_or_else(|| {
            unexpected(OPERATION, ErrorClass::Transient, "the answer has no ProductId")
        })
    }

    /// Id and name of the newest active artifact, if any artifact is active.
    pub(crate) async fn newest_artifact(
        &self,
        product: &ProductId,
    ) -> Result<Option<(ArtifactId, String)>, AwsError> {
        let artifacts = self
            .client
            .list_provisioning_artifacts()
            .product_id(product.as_str())
            .send()
            .await
            .map_err(|error| read_error("ListProvisioningArtifacts", error))?;
        Ok(artifacts
            .provisioning_artifact_details()
            .iter()
            .filter(|artifact| artifact.active() == Some(true))
            .max_by_key(|artifact| {
                artifact.created_time().map(|time| (time.secs(), time.subsec_nanos()))
            })
            .and_then(|artifact| {
                let name = artifact.name().unwrap_or_default().to_owned();
                Some((ArtifactId::new(artifact.id()?), name))
            }))
    }

    /// The caller's launch paths to the product.
    pub(crate) async fn launch_paths(
        &self,
        product: &ProductId,
    ) -> Result<Vec<LaunchPathSummary>, AwsError> {
        let (mut paths, mut next) = (Vec::new(), None);
        loop {
            let answer = self
                .client
                .list_launch_paths()
                .product_id(product.as_str())
                .set_page_token(next)
                .send()
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                // AWS returns this error if there are none.
                Err(error)
                    if error.message().is_some_and(|text| text.contains("No launch paths")) =>
                {
                    return Ok(Vec::new());
                }
                Err(error) => return Err(read_error("ListLaunchPaths", error)),
            };
            // The name of a path is the name of its portfolio.
            let summaries = answer.launch_path_summaries.unwrap_or_default();
            paths.extend(summaries.into_iter().filter_map(|path| {
                Some(LaunchPathSummary { id: LaunchPathId::new(path.id?), portfolio: path.name })
            }));
            next = answer.next_page_token;
            if next.is_none() {
                return Ok(paths);
            }
        }
    }

    /// One page of a search over all provisioned products of the account.
    async fn search(
        &self,
        query: String,
        page: Option<&str>,
    ) -> Result<Page<ProvisionedProductAttribute>, AwsError> {
        let answer = self
            .client
            .search_provisioned_products()
            .access_level_filter(
                AccessLevelFilter::builder()
                    .key(AccessLevelFilterKey::Account)
                    .value("self")
                    .build(),
            )
            .filters(ProvisionedProductViewFilterBy::SearchQuery, vec![query])
            .page_size(PAGE)
            .set_page_token(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| read_error("SearchProvisionedProducts", error))?;
        Ok(Page {
            items: answer.provisioned_products.unwrap_or_default(),
            next: answer.next_page_token,
        })
    }

    /// Every result of a search with few results.
    async fn search_all(&self, query: &str) -> Result<Vec<ProvisionedProductAttribute>, AwsError> {
        let (mut items, mut next) = (Vec::new(), None);
        loop {
            let page: Page<_> = self.search(query.to_owned(), next.as_deref()).await?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    /// Reads a search result and caches its account. `None` for a product without an account: its
    /// creation has failed, so there is nothing to update.
    fn parse_product(&self, item: &ProvisionedProductAttribute) -> Option<ProvisionedProduct> {
        let id = ProvisionedProductId::new(item.id()?);
        let account: AccountId = item.physical_id()?.parse().ok()?;
        self.cache_account(&id, &account);
        Some(ProvisionedProduct {
            id,
            name: item.name().unwrap_or_default().to_owned(),
            account,
            status: product_status(item.status()),
            artifact: ArtifactId::new(item.provisioning_artifact_id().unwrap_or_default()),
            last_record: item.last_record_id().map(RecordId::new),
            last_successful_record: item
                .last_successful_provisioning_record_id()
                .map(RecordId::new),
        })
    }

    fn cache_account(&self, id: &ProvisionedProductId, account: &AccountId) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if !accounts.contains_key(id) {
            accounts.insert(id.clone(), account.clone());
        }
    }

    fn cached_account(&self, id: &ProvisionedProductId) -> Option<AccountId> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The account of a provisioned product.
    async fn resolve_account(&self, id: &ProvisionedProductId) -> Result<AccountId, AwsError> {
        if let Some(account) = self.cached_account(id) {
            return Ok(account);
        }
        // A search matches words, so it may return other products.
        let found = self.search_all(&format!("id:{id}")).await?;
        let mut found = found.iter().filter(|item| item.id() == Some(id.as_str()));
        found.find_map(|item| self.parse_product(item)).map(|product| product.account).ok_or_else(
            || {
                unexpected(
                    "SearchProvisionedProducts",
                    ErrorClass::NotFound,
                    format!("the provisioned product {id} names no account in its PhysicalId"),
                )
            },
        )
    }
}

#[async_trait]
impl Catalog for ServiceCatalog {
    async fn account_factory(&self) -> Result<AccountFactory, AwsError> {
        let product = self.product().await?;
        let newest = self.newest_artifact(&product).await?;
        let (target, _) = newest.ok_or_else(|| {
            unexpected(
                "ListProvisioningArtifacts",
                ErrorClass::NotFound,
                format!("the product {product} has no active provisioning artifact"),
            )
        })?;
        Ok(AccountFactory { product, target })
    }

    async fn provisioned_products(
        &self,
        product: &ProductId,
        page: Option<&str>,
    ) -> Result<Page<ProvisionedProduct>, AwsError> {
        let page = self.search(format!("productId:{product}"), page).await?;
        let items = page
            .items
            .iter()
            // A search matches words.
            .filter(|item| item.product_id().is_none_or(|found| found == product.as_str()))
            .filter_map(|item| {
                let read = self.parse_product(item);
                if read.is_none() {
                    tracing::debug!(id = item.id(), "provisioned product without an account");
                }
                read
            })
            .collect();
        Ok(Page { items, next: page.next })
    }

    async fn provisioned_product(
        &self,
        id: &ProvisionedProductId,
    ) -> Result<ProvisionedProduct, AwsError> {
        const OPERATION: &str = "DescribeProvisionedProduct";
        // The search may lag behind, this call does not.
        let answer = self
            .client
            .describe_provisioned_product()
            .id(id.as_str())
            .send()
            .await
            .map_err(|error| read_error(OPERATION, error))?;
        let detail = answer.provisioned_product_detail.ok_or_else(|| {
            unexpected(
                OPERATION,
                ErrorClass::Transient,
                "the answer has no ProvisionedProductDetail",
            )
        })?;
        check_echo(OPERATION, "Id", detail.id(), id.as_str())?;
        Ok(ProvisionedProduct {
            id: id.clone(),
            account: self.resolve_account(id).await?,
            name: detail.name.unwrap_or_default(),
            status: product_status(detail.status.as_ref()),
            artifact: ArtifactId::new(detail.provisioning_artifact_id.unwrap_or_default()),
            last_record: detail.last_record_id.map(RecordId::new),
            last_successful_record: detail
                .last_successful_provisioning_record_id
                .map(RecordId::new),
        })
    }

    /// Only operations on accounts use Control Tower's quota, so other products do not count.
    async fn under_change(&self) -> Result<BTreeSet<ProvisionedProductId>, AwsError> {
        let found = self.search_all("status:UNDER_CHANGE").await?;
        Ok(found
            .iter()
            .filter(|item| item.r#type().is_none_or(|kind| kind == ACCOUNT_TYPE))
            .filter(|item| {
                item.status().is_none_or(|status| *status == ProvisionedProductStatus::UnderChange)
            })
            .map(|item| ProvisionedProductId::new(item.id().unwrap_or_default()))
            .collect())
    }

    async fn launch_path(&self, product: &ProductId) -> Result<LaunchPathId, AwsError> {
        const OPERATION: &str = "ListLaunchPaths";
        let portfolio = match &self.launch_path {
            LaunchPathSelector::ById(path) => return Ok(path.clone()),
            LaunchPathSelector::ByPortfolio(name) => name,
        };
        match launch_paths_of(self.launch_paths(product).await?, portfolio).as_slice() {
            [path] => Ok(path.id.clone()),
            [] => Err(unexpected(
                OPERATION,
                ErrorClass::NotFound,
                format!(
                    "no launch path leads to the product {product}: associate the role that groundcrew runs as with the Account Factory portfolio (servicecatalog:AssociatePrincipalWithPortfolio)"
                ),
            )),
            several => Err(unexpected(
                OPERATION,
                // Detected at one account, but it concerns all, so it must not count against one.
                ErrorClass::NotFound,
                format!(
                    "several launch paths lead to the product {product}: set account_factory.launch_path to one of {}",
                    several.iter().map(|path| path.id.as_str()).collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }

    async fn start_update(&self, request: &UpdateRequest) -> Result<RecordId, AwsError> {
        const OPERATION: &str = "UpdateProvisionedProduct";
        let parameter = |key: &str| UpdateProvisioningParameter::builder().key(key);
        let parameters = match &request.parameters {
            Parameters::Previous => {
                PARAMETER_KEYS.map(|key| parameter(key).use_previous_value(true).build())
            }
            Parameters::Rebuilt(rebuilt) => {
                rebuilt.pairs().map(|(key, value)| parameter(key).value(value).build())
            }
        };
        let uncertain = UncertainAttempts::default();
        // The token makes retries by the SDK harmless.
        let answer = self
            .client
            .update_provisioned_product()
            .provisioned_product_id(request.provisioned_product.as_str())
            .product_id(request.product.as_str())
            .provisioning_artifact_id(request.target.as_str())
            .path_id(request.launch_path.as_str())
            .set_provisioning_parameters(Some(parameters.to_vec()))
            .update_token(&request.token)
            .customize()
            .interceptor(uncertain.clone())
            .send()
            .await
            .map_err(|error| uncertain.write_error(OPERATION, error))?;
        // The update was accepted, even if the response is about something else.
        let believed = |error| AwsError { effect_possible: true, ..error };
        let detail = answer.record_detail;
        let product = detail.as_ref().and_then(|detail| detail.provisioned_product_id());
        if product.is_some() {
            let asked = request.provisioned_product.as_str();
            check_echo(OPERATION, "ProvisionedProductId", product, asked).map_err(believed)?;
        }
        detail.and_then(|detail| detail.record_id).map(RecordId::new).ok_or_else(|| {
            believed(unexpected(OPERATION, ErrorClass::Transient, "the answer has no RecordId"))
        })
    }

    async fn record(
        &self,
        product: &ProvisionedProductId,
        id: &RecordId,
    ) -> Result<Record, AwsError> {
        const OPERATION: &str = "DescribeRecord";
        let answer = self
            .client
            .describe_record()
            .id(id.as_str())
            .send()
            .await
            .map_err(|error| read_error(OPERATION, error))?;
        let incomplete = |what| {
            unexpected(
                OPERATION,
                ErrorClass::Transient,
                format!("the answer for {id} has no {what}"),
            )
        };
        let detail = answer.record_detail.ok_or_else(|| incomplete("RecordDetail"))?;
        check_echo(OPERATION, "RecordId", detail.record_id(), id.as_str())?;
        let about = detail.provisioned_product_id();
        check_echo(OPERATION, "ProvisionedProductId", about, product.as_str())?;
        Ok(Record {
            id: id.clone(),
            provisioned_product: product.clone(),
            artifact: detail.provisioning_artifact_id.map(ArtifactId::new),
            status: match detail.status {
                Some(SdkRecordStatus::Created) => RecordStatus::Created,
                Some(SdkRecordStatus::InProgress) => RecordStatus::InProgress,
                Some(SdkRecordStatus::InProgressInError) => RecordStatus::InProgressInError,
                Some(SdkRecordStatus::Succeeded) => RecordStatus::Succeeded,
                Some(SdkRecordStatus::Failed) => RecordStatus::Failed,
                // A status that AWS has added since. It is not a known end.
                Some(_) => RecordStatus::InProgress,
                None => return Err(incomplete("Status")),
            },
            errors: detail
                .record_errors
                .unwrap_or_default()
                .into_iter()
                .map(|error| RecordError {
                    code: error.code.unwrap_or_default(),
                    description: error.description.unwrap_or_default(),
                })
                .collect(),
        })
    }

    async fn outputs(&self, id: &RecordId) -> Result<BTreeMap<String, String>, AwsError> {
        const OPERATION: &str = "DescribeRecord";
        let (mut outputs, mut next) = (BTreeMap::new(), None);
        loop {
            let answer = self
                .client
                .describe_record()
                .id(id.as_str())
                .set_page_token(next)
                .send()
                .await
                .map_err(|error| read_error(OPERATION, error))?;
            let record = answer.record_detail().and_then(|detail| detail.record_id());
            check_echo(OPERATION, "RecordId", record, id.as_str())?;
            let page = answer.record_outputs.unwrap_or_default().into_iter();
            outputs.extend(page.filter_map(|one| Some((one.output_key?, one.output_value?))));
            next = answer.next_page_token;
            if next.is_none() {
                return Ok(outputs);
            }
        }
    }
}

/// An unknown status counts as busy, so that groundcrew does not act on it.
fn product_status(status: Option<&ProvisionedProductStatus>) -> ProductStatus {
    match status {
        Some(ProvisionedProductStatus::Available) => ProductStatus::Available,
        Some(ProvisionedProductStatus::UnderChange) => ProductStatus::UnderChange,
        Some(ProvisionedProductStatus::Tainted) => ProductStatus::Tainted,
        Some(ProvisionedProductStatus::Error) => ProductStatus::Error,
        _ => ProductStatus::PlanInProgress,
    }
}
