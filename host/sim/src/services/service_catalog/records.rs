//! Records of operations, and their outputs.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::operation_store::RecordOutcome;
use super::provisioned::provisioned_name;
use super::update::{ACCOUNT_EMAIL, SSO_USER_EMAIL};
use super::{PAGE, PRODUCT_TYPE, ServiceCatalog, invalid, not_found, page, with_token};
use crate::ids;
use crate::protocol::ApiError;
use crate::time;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetProvisionedProductOutputs {
    provisioned_product_id: Option<String>,
    provisioned_product_name: Option<String>,
    #[serde(default)]
    output_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeRecord {
    id: String,
    page_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRecordHistory {
    search_filter: Option<SearchFilter>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SearchFilter {
    key: Option<String>,
    value: Option<String>,
}

impl ServiceCatalog {
    pub(super) fn started(&self, now: Timestamp, record: u32) -> Result<Value, ApiError> {
        let detail =
            self.record_detail(now, record).ok_or_else(|| not_found("Record not found."))?;
        Ok(json!({ "RecordDetail": detail }))
    }

    fn record_detail(&self, now: Timestamp, number: u32) -> Option<Value> {
        let record = self.store.record(number)?;
        let account = self.fleet.get(record.product)?;
        let errors = match &record.ended {
            Some((_, RecordOutcome::Failed(failure))) => {
                json!([{ "Code": failure.code, "Description": failure.description }])
            }
            _ => json!([]),
        };
        Some(json!({
            "RecordId": ids::write(ids::RECORD, number),
            "ProvisionedProductName": provisioned_name(&account.name, record.product),
            "Status": record.status(now),
            "CreatedTime": time::epoch_seconds(record.created),
            "UpdatedTime": time::epoch_seconds(record.ended.as_ref().map_or(record.created, |(time, _)| *time)),
            "ProvisionedProductType": PRODUCT_TYPE,
            "RecordType": if record.provisioning { "PROVISION_PRODUCT" } else { "UPDATE_PROVISIONED_PRODUCT" },
            "ProvisionedProductId": account.product,
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.artifacts.get(record.artifact as usize)?.id,
            "PathId": self.paths.first().map(|path| &path.id),
            "RecordErrors": errors,
            "RecordTags": [],
        }))
    }

    pub(super) fn describe_record(
        &self,
        now: Timestamp,
        request: &DescribeRecord,
    ) -> Result<Value, ApiError> {
        let found = ids::read(ids::RECORD, &request.id)
            .filter(|number| !self.gone.contains(number))
            .and_then(|number| Some((number, self.record_detail(now, number)?)));
        let (number, detail) = found.ok_or_else(|| not_found("Record not found."))?;
        let outputs = self.outputs(number);
        let (range, next) =
            page(request.page_token.as_deref(), request.page_size, PAGE, outputs.len())?;
        let outputs = outputs.get(range).unwrap_or_default();
        Ok(with_token(json!({ "RecordDetail": detail, "RecordOutputs": outputs }), next))
    }

    /// The outputs of a record: those that users have reported for accounts.
    fn outputs(&self, number: u32) -> Vec<Value> {
        let Some(record) = self.store.record(number) else { return Vec::new() };
        let (Some((_, RecordOutcome::Succeeded)), Some(account)) =
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

    /// The outputs of the last successful operation.
    pub(super) fn product_outputs(
        &self,
        request: &GetProvisionedProductOutputs,
    ) -> Result<Value, ApiError> {
        let index = self.find_product(
            request.provisioned_product_id.as_deref(),
            request.provisioned_product_name.as_deref(),
        )?;
        let product = self.store.product(index).ok_or_else(|| not_found("Record not found."))?;
        let mut outputs = self.outputs(product.last_successful);
        if !request.output_keys.is_empty() {
            outputs.retain(|output| {
                request.output_keys.iter().any(|key| output["OutputKey"] == **key)
            });
        }
        Ok(json!({ "Outputs": outputs }))
    }

    pub(super) fn history(
        &self,
        now: Timestamp,
        request: &ListRecordHistory,
    ) -> Result<Value, ApiError> {
        let filter = request.search_filter.as_ref();
        let key = filter.and_then(|filter| filter.key.as_deref());
        let value = filter.and_then(|filter| filter.value.as_deref()).unwrap_or_default();
        // Newest first.
        let numbers: Vec<u32> = match key {
            Some("provisionedproduct") => {
                let product = self.find(value).and_then(|index| self.store.product(index));
                std::iter::successors(product.map(|product| product.last_record), |number| {
                    self.store.record(*number)?.previous
                })
                .collect()
            }
            Some("product") if value != self.product_id => Vec::new(),
            Some("product") | None => (0..self.store.records()).rev().collect(),
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
