//! The start of an update, and its parameters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::starter::OperationStarter;
use super::{ServiceCatalog, invalid, not_found};
use crate::protocol::ApiError;
use crate::services::identity_store::{IdentityStore, User};
use crate::services::organizations::Organizations;

/// The parameters of Account Factory. Each must be given, with a value or with `UsePreviousValue`.
const PARAMETERS: [&str; 6] = [
    ACCOUNT_EMAIL,
    "AccountName",
    ORGANIZATIONAL_UNIT,
    SSO_USER_EMAIL,
    SSO_USER_FIRST_NAME,
    SSO_USER_LAST_NAME,
];
pub(super) const ACCOUNT_EMAIL: &str = "AccountEmail";
const ORGANIZATIONAL_UNIT: &str = "ManagedOrganizationalUnit";
pub(super) const SSO_USER_EMAIL: &str = "SSOUserEmail";
const SSO_USER_FIRST_NAME: &str = "SSOUserFirstName";
const SSO_USER_LAST_NAME: &str = "SSOUserLastName";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateProvisionedProduct {
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
pub(super) struct Parameter {
    key: Option<String>,
    value: Option<String>,
    use_previous_value: Option<bool>,
}

impl ServiceCatalog {
    pub(super) fn update(
        &mut self,
        now: Timestamp,
        request: UpdateProvisionedProduct,
        starter: &mut OperationStarter<'_>,
    ) -> Result<Value, ApiError> {
        check_token(&request.update_token)?;
        let index = self.find_product(
            request.provisioned_product_id.as_deref(),
            request.provisioned_product_name.as_deref(),
        )?;
        if let Some(record) = self.store.by_token(&request.update_token) {
            return if self.store.record(record).is_some_and(|known| known.product == index) {
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
        let parameters =
            self.resolve_parameters(index, request.provisioning_parameters, starter)?;
        if !self.store.is_free(index) {
            return Err(ApiError::new(
                "ResourceInUseException",
                "The provisioned product can't be updated because another execution is in progress.",
            ));
        }
        let record =
            starter.start_own(now, &mut self.store, index, artifact, &request.update_token)?;
        let of = |key: &str| parameters.get(key).cloned();
        starter.identities.create(User {
            email: of(SSO_USER_EMAIL).unwrap_or_default(),
            given_name: of(SSO_USER_FIRST_NAME),
            family_name: of(SSO_USER_LAST_NAME),
        });
        self.given.insert(record, parameters);
        self.started(now, record)
    }

    /// The parameters of an update: those that are given, and the previous values of the others. If
    /// both a value and `UsePreviousValue` are given, the value wins, as observed at AWS.
    fn resolve_parameters(
        &self,
        index: u32,
        given: Vec<Parameter>,
        starter: &OperationStarter<'_>,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        check_parameters(&given)?;
        let mut parameters = self
            .parameters(index, starter.organizations, starter.identities)
            .ok_or_else(|| not_found("Provisioned product not found."))?;
        for parameter in given {
            let (Some(key), Some(value)) = (parameter.key, parameter.value) else { continue };
            if key == ORGANIZATIONAL_UNIT && !starter.organizations.has_ou(&value) {
                return Err(invalid(&format!(
                    "The parent organizational unit '{value}' is not enrolled in AWS Control Tower."
                )));
            }
            parameters.insert(key, value);
        }
        Ok(parameters)
    }

    /// The parameters of the last successful operation on an account.
    pub(crate) fn parameters(
        &self,
        index: u32,
        organizations: &Organizations,
        identities: &IdentityStore,
    ) -> Option<BTreeMap<String, String>> {
        let product = self.store.product(index)?;
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
            organizations.ou_parameter(index),
            email,
            given_name.unwrap_or_default(),
            family_name.unwrap_or_default(),
        ];
        Some(PARAMETERS.map(str::to_owned).into_iter().zip(values).collect())
    }
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
