//! The identity store of IAM Identity Center: its users.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};

/// Id of the store.
pub(crate) const IDENTITY_STORE_ID: &str = "d-9067a1b2c3";

/// The part of a user's id before its number.
const USER_ID_PREFIX: &str = "9067a1b2c3-00000000-0000-4000-8000-";

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IdentityStore {
    /// `None` for a user that was removed.
    users: Vec<Option<User>>,
    by_email: BTreeMap<String, usize>,
    /// Emails of the users that Account Factory has created during the simulation.
    pub(crate) created: Vec<String>,
}

/// A user. Its name is its email, as for all users that Account Factory creates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) email: String,
    pub(crate) given_name: Option<String>,
    pub(crate) family_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetUserId {
    identity_store_id: String,
    alternate_identifier: AlternateIdentifier,
}

#[derive(Deserialize)]
enum AlternateIdentifier {
    UniqueAttribute(UniqueAttribute),
    ExternalId(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UniqueAttribute {
    attribute_path: String,
    attribute_value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeUser {
    identity_store_id: String,
    user_id: String,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<IdentityStore>)] = &[
    ("DescribeUser", |store, _, call| store.describe(&call.json()?)),
    ("GetUserId", |store, _, call| store.find(call.json()?)),
];

impl IdentityStore {
    /// A user for each enrolled account.
    pub(crate) fn new(fleet: &Fleet) -> Self {
        let mut store = Self { users: Vec::new(), by_email: BTreeMap::new(), created: Vec::new() };
        for (_, account) in fleet.iter().filter(|(_, account)| account.enrolled) {
            store.add(User {
                email: account.sso_user_email(),
                given_name: Some(account.name.clone()),
                family_name: Some("Owner".to_owned()),
            });
        }
        store
    }

    fn add(&mut self, user: User) {
        self.by_email.insert(user.email.clone(), self.users.len());
        self.users.push(Some(user));
    }

    /// The user with this email.
    pub(crate) fn user(&self, email: &str) -> Option<&User> {
        self.users.get(*self.by_email.get(email)?)?.as_ref()
    }

    /// Creates a user, as Account Factory does for an email that no user has.
    pub(crate) fn create(&mut self, user: User) {
        if !self.by_email.contains_key(&user.email) {
            self.created.push(user.email.clone());
            self.add(user);
        }
    }

    /// Changes the names of a user, or removes them.
    pub(crate) fn rename(&mut self, email: &str, given: Option<String>, family: Option<String>) {
        let user = self.by_email.get(email).and_then(|number| self.users.get_mut(*number));
        if let Some(Some(user)) = user {
            (user.given_name, user.family_name) = (given, family);
        }
    }

    /// Removes a user.
    pub(crate) fn remove(&mut self, email: &str) {
        if let Some(user) = self.by_email.remove(email).and_then(|n| self.users.get_mut(n)) {
            *user = None;
        }
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }

    fn find(&self, request: GetUserId) -> Result<Value, ApiError> {
        check_store(&request.identity_store_id)?;
        let attribute = match request.alternate_identifier {
            AlternateIdentifier::UniqueAttribute(attribute) => attribute,
            // No user comes from an external identity provider.
            AlternateIdentifier::ExternalId(_) => return Err(not_found("USER")),
        };
        if !["emails.value", "userName"].contains(&attribute.attribute_path.as_str()) {
            return Err(ApiError::new(
                "ValidationException",
                format!("The attribute path {} is not supported.", attribute.attribute_path),
            ));
        }
        let number = attribute.attribute_value.as_str().and_then(|email| self.by_email.get(email));
        let number = number.ok_or_else(|| not_found("USER"))?;
        let id = format!("{USER_ID_PREFIX}{number:012}");
        Ok(json!({ "IdentityStoreId": IDENTITY_STORE_ID, "UserArn": arn(&id), "UserId": id }))
    }

    fn describe(&self, request: &DescribeUser) -> Result<Value, ApiError> {
        check_store(&request.identity_store_id)?;
        let number =
            request.user_id.strip_prefix(USER_ID_PREFIX).and_then(|number| number.parse().ok());
        let user = number.and_then(|number: usize| self.users.get(number)?.as_ref());
        let user = user.ok_or_else(|| not_found("USER"))?;
        let mut name = json!({});
        for (member, part) in [("GivenName", &user.given_name), ("FamilyName", &user.family_name)] {
            if let Some(part) = part {
                name[member] = part.as_str().into();
            }
        }
        Ok(json!({
            "IdentityStoreId": IDENTITY_STORE_ID,
            "UserArn": arn(&request.user_id),
            "UserId": request.user_id,
            "Revision": "1",
            "UserName": user.email,
            "Name": name,
            "Emails": [{ "Value": user.email, "Type": "work", "Primary": true }],
        }))
    }
}

fn arn(user: &str) -> String {
    format!("arn:aws:identitystore:::user/{user}")
}

fn check_store(id: &str) -> Result<(), ApiError> {
    if id == IDENTITY_STORE_ID { Ok(()) } else { Err(not_found("IDENTITY_STORE")) }
}

fn not_found(what: &str) -> ApiError {
    ApiError::new("ResourceNotFoundException", format!("{what} not found."))
        .with("ResourceType", what.into())
}
