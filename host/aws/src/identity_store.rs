//! Core's identity store on IAM Identity Center.

use async_trait::async_trait;
use aws_sdk_identitystore::Client;
use aws_sdk_identitystore::operation::describe_user::DescribeUserOutput;
use aws_sdk_identitystore::operation::get_user_id::GetUserIdError;
use aws_sdk_identitystore::types::{AlternateIdentifier, ResourceType, UniqueAttribute};
use aws_smithy_types::Document;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::doctor::IdentityCenter;
use groundcrew_core::parameters::IdentityCenterUser;
use groundcrew_core::ports::IdentityStore;
use tokio::sync::OnceCell;

use crate::clients::Clients;
use crate::error::{check_echo, read_error, unexpected};

/// The attributes by which a user is found, in this order: the only unique attributes that
/// GetUserId takes, as its API reference says. Account Factory creates users whose name is their
/// email address. Users from another source may have another name.
const LOOKUP_ATTRIBUTES: [&str; 2] = ["emails.value", "userName"];

/// The identity store of the organization's instance of IAM Identity Center. The clients must use
/// the Region of the instance.
#[derive(Debug)]
pub struct IdentityCenterUsers {
    client: Client,
    sso_admin: aws_sdk_ssoadmin::Client,
    /// The id of the store, which never changes.
    identity_store_id: OnceCell<String>,
}

impl IdentityCenterUsers {
    /// Reads through these clients.
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: clients.identity_store.clone(),
            sso_admin: clients.identity_center.clone(),
            identity_store_id: OnceCell::new(),
        }
    }

    /// Id of the identity store.
    async fn identity_store_id(&self) -> Result<&str, AwsError> {
        let found = self.identity_store_id.get_or_try_init(|| async {
            let instances = instances(&self.sso_admin).await?;
            let active = |instance: &IdentityCenter| {
                instance.status.as_deref().is_none_or(|status| status == "ACTIVE")
            };
            instances.into_iter().find(active).map(|found| found.identity_store).ok_or_else(|| {
                let region = self.sso_admin.config().region().map_or("", |region| region.as_ref());
                unexpected(
                    "ListInstances",
                    // The error concerns all accounts, so it must not count against one.
                    ErrorClass::NotFound,
                    format!(
                        "IAM Identity Center has no active instance in {region}: set \
                         account_factory.identity_center_region to the Region that has it, or \
                         account_factory.parameters = \"previous\" where the landing zone leaves \
                         access to others"
                    ),
                )
            })
        });
        found.await.map(String::as_str)
    }

    /// Id of the user with this value of an attribute, if there is one.
    async fn user_id(
        &self,
        identity_store_id: &str,
        path: &str,
        value: &str,
    ) -> Result<Option<String>, AwsError> {
        const OPERATION: &str = "GetUserId";
        let attribute = UniqueAttribute::builder()
            .attribute_path(path)
            .attribute_value(Document::String(value.to_owned()))
            .build()
            .map_err(|error| unexpected(OPERATION, ErrorClass::Permanent, error.to_string()))?;
        let answer = self
            .client
            .get_user_id()
            .identity_store_id(identity_store_id)
            .alternate_identifier(AlternateIdentifier::UniqueAttribute(attribute))
            .send()
            .await;
        match answer {
            Ok(answer) => {
                check_echo(
                    OPERATION,
                    "IdentityStoreId",
                    Some(&answer.identity_store_id),
                    identity_store_id,
                )?;
                Ok(Some(answer.user_id))
            }
            Err(error) if error.as_service_error().is_some_and(is_user_not_found) => Ok(None),
            Err(error) => Err(read_error(OPERATION, error)),
        }
    }
}

/// Whether the user does not exist, rather than the store or the key that encrypts it. A value that
/// no user can have counts as a user that does not exist.
fn is_user_not_found(error: &GetUserIdError) -> bool {
    match error {
        GetUserIdError::ResourceNotFoundException(error) => {
            error.reason.is_none()
                && error.resource_type.as_ref().is_none_or(|kind| *kind == ResourceType::User)
        }
        GetUserIdError::ValidationException(error) => error.reason.is_none(),
        _ => false,
    }
}

/// Whether a user has this email address, or has it as the name. The comparison ignores case, as
/// mail does.
fn has_email(user: &DescribeUserOutput, email: &str) -> bool {
    let addresses = user.emails().iter().filter_map(|address| address.value());
    let wanted = email.trim().to_lowercase();
    addresses.chain(user.user_name()).any(|known| known.trim().to_lowercase() == wanted)
}

#[async_trait]
impl IdentityStore for IdentityCenterUsers {
    async fn user(&self, email: &str) -> Result<Option<IdentityCenterUser>, AwsError> {
        const OPERATION: &str = "DescribeUser";
        let identity_store_id = self.identity_store_id().await?;
        for path in LOOKUP_ATTRIBUTES {
            let Some(id) = self.user_id(identity_store_id, path, email).await? else { continue };
            let answer = self
                .client
                .describe_user()
                .identity_store_id(identity_store_id)
                .user_id(&id)
                .send()
                .await
                .map_err(|error| read_error(OPERATION, error))?;
            check_echo(OPERATION, "UserId", Some(&answer.user_id), &id)?;
            if !has_email(&answer, email) {
                tracing::warn!(user = id, email, "ignored a user with another name");
                continue;
            }
            let (given_name, family_name) =
                answer.name.map(|name| (name.given_name, name.family_name)).unwrap_or_default();
            return Ok(Some(IdentityCenterUser { given_name, family_name }));
        }
        Ok(None)
    }
}

/// The instances of IAM Identity Center in the client's Region.
pub(crate) async fn instances(
    sso_admin: &aws_sdk_ssoadmin::Client,
) -> Result<Vec<IdentityCenter>, AwsError> {
    let (mut instances, mut next) = (Vec::new(), None);
    loop {
        let answer = sso_admin
            .list_instances()
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| read_error("ListInstances", error))?;
        instances.extend(answer.instances.unwrap_or_default().into_iter().filter_map(|found| {
            Some(IdentityCenter {
                identity_store: found.identity_store_id?,
                status: found.status.map(|status| status.as_str().to_owned()),
                owner: found.owner_account_id,
            })
        }));
        next = answer.next_token;
        if next.is_none() {
            return Ok(instances);
        }
    }
}
