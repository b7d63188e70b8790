//! The parameters of Account Factory, rebuilt from the data of an account in AWS.
//!
//! An update has to pass all six. AWS's own instructions for updating a provisioned product by hand
//! say where to find them (Control Tower user guide, "Update the provisioned product in Service
//! Catalog"): both emails in the details of the provisioned product, the names of the user in IAM
//! Identity Center. Users of other tools report the same: the outputs of the last successful record
//! have the keys `AccountEmail`, `AccountId` and `SSOUserEmail`. The account's name and OU are the
//! current ones in AWS Organizations.
//!
//! If Identity Center does not know the email of a user, Account Factory creates a user, and the
//! old one keeps its access. So a value that is not known for certain is never made up: see
//! [`rebuild`].

use std::collections::BTreeMap;

use strum::{Display, EnumString, VariantNames};

use crate::account::{Account, AccountId, OrganizationalUnit};
use crate::catalog::RecordId;

/// Parameter, and key of the output, that holds the email address of the account's root user.
const ACCOUNT_EMAIL: &str = "AccountEmail";
/// Parameter, and key of the output, that holds the email address of the user of IAM Identity
/// Center who is given access.
const SSO_USER_EMAIL: &str = "SSOUserEmail";
/// Key of the output that holds the account's id.
const ACCOUNT_ID: &str = "AccountId";
const ACCOUNT_NAME: &str = "AccountName";
const ORGANIZATIONAL_UNIT: &str = "ManagedOrganizationalUnit";
const SSO_USER_FIRST_NAME: &str = "SSOUserFirstName";
const SSO_USER_LAST_NAME: &str = "SSOUserLastName";

/// The keys of all six.
pub const PARAMETER_KEYS: [&str; 6] = [
    ACCOUNT_EMAIL,
    ACCOUNT_NAME,
    ORGANIZATIONAL_UNIT,
    SSO_USER_EMAIL,
    SSO_USER_FIRST_NAME,
    SSO_USER_LAST_NAME,
];

/// The source of an update's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ParameterSource {
    /// The data of the account in AWS now.
    #[default]
    Rebuild,
    /// The operation before: Service Catalog keeps its values.
    Previous,
}

/// The parameters of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// None: all values are kept (`UsePreviousValue`).
    Previous,
    /// All of them.
    Rebuilt(AccountParameters),
}

/// The parameters of one account, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountParameters {
    /// Email address of the account's root user.
    pub account_email: String,
    /// The account's name.
    pub account_name: String,
    /// The OU that the account is in: `Name`, or `Name (ou-id)` when it is nested.
    pub organizational_unit: String,
    /// Email address of the user of IAM Identity Center.
    pub sso_user_email: String,
    /// That user's given name.
    pub sso_user_first_name: String,
    /// That user's family name.
    pub sso_user_last_name: String,
}

impl AccountParameters {
    /// Keys and values.
    pub fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            (ACCOUNT_EMAIL, &self.account_email),
            (ACCOUNT_NAME, &self.account_name),
            (ORGANIZATIONAL_UNIT, &self.organizational_unit),
            (SSO_USER_EMAIL, &self.sso_user_email),
            (SSO_USER_FIRST_NAME, &self.sso_user_first_name),
            (SSO_USER_LAST_NAME, &self.sso_user_last_name),
        ]
    }
}

/// A user of IAM Identity Center. The names may be unknown there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityCenterUser {
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub family_name: Option<String>,
}

/// The outputs of an account's last successful operation, by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// No operation has succeeded yet.
    NeverSucceeded,
    /// Service Catalog no longer has the record.
    Gone(RecordId),
    /// The outputs.
    Found(RecordId, BTreeMap<String, String>),
}

impl Outputs {
    /// Email address of the user of IAM Identity Center.
    pub fn sso_user_email(&self) -> Option<&str> {
        self.get(SSO_USER_EMAIL).ok()
    }

    /// An output of the record, which must be a record of this account; or why there is none.
    fn for_account(&self, account: &AccountId, key: &str) -> Result<&str, String> {
        match (self, self.get(ACCOUNT_ID)) {
            (Self::Found(record, _), Ok(other)) if other.trim() != account.as_str() => {
                Err(format!("the last successful record {record} is about account {other}"))
            }
            _ => self.get(key),
        }
    }

    /// An output, or why there is none.
    fn get(&self, key: &str) -> Result<&str, String> {
        match self {
            Self::NeverSucceeded => Err("no operation of Account Factory has succeeded yet".into()),
            Self::Gone(record) => {
                Err(format!("Service Catalog no longer has the last successful record {record}"))
            }
            Self::Found(record, outputs) => {
                outputs.get(key).map(String::as_str).and_then(non_empty).ok_or_else(|| {
                    format!("the last successful record {record} has no output {key}")
                })
            }
        }
    }
}

/// Parameters whose values are unknown, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the update was not started, since these parameters of account {account} are unknown: {}. \
     Update its provisioned product once in the Service Catalog console, with all six parameters; \
     or set account_factory.parameters = \"previous\"",
    missing.iter().map(|(key, why)| format!("{key} ({why})")).collect::<Vec<_>>().join(", ")
)]
pub struct MissingParameters {
    /// The account.
    pub account: AccountId,
    /// Keys, and why there is no value.
    pub missing: Vec<(&'static str, String)>,
}

/// Rebuilds the parameters of an account. `user` is the user in the outputs, if Identity Center
/// knows it.
///
/// # Errors If any of the six is unknown: all unknown ones at once.
pub fn rebuild(
    account: &Account,
    outputs: &Outputs,
    user: Option<&IdentityCenterUser>,
) -> Result<AccountParameters, MissingParameters> {
    let name_of_user =
        |name: fn(&IdentityCenterUser) -> Option<&str>| match (outputs.sso_user_email(), user) {
            (None, _) => Err("without its email the user is unknown".to_owned()),
            (Some(email), None) => Err(format!("IAM Identity Center has no user {email}")),
            (Some(email), Some(user)) => name(user)
                .and_then(non_empty)
                .ok_or_else(|| format!("the user {email} has none in IAM Identity Center")),
        };
    let mut missing = Vec::new();
    let mut take = |key, found: Result<&str, String>| match found {
        Ok(value) => value.to_owned(),
        Err(why) => {
            missing.push((key, why));
            String::new()
        }
    };
    let unit = ou_parameter(&account.organizational_units);
    let parameters = AccountParameters {
        account_email: take(ACCOUNT_EMAIL, outputs.for_account(&account.id, ACCOUNT_EMAIL)),
        account_name: take(
            ACCOUNT_NAME,
            non_empty(&account.name).ok_or_else(|| "AWS Organizations has none".into()),
        ),
        organizational_unit: take(
            ORGANIZATIONAL_UNIT,
            unit.as_deref().ok_or_else(|| "the account is directly under the root".into()),
        ),
        sso_user_email: take(SSO_USER_EMAIL, outputs.for_account(&account.id, SSO_USER_EMAIL)),
        sso_user_first_name: take(
            SSO_USER_FIRST_NAME,
            name_of_user(|user| user.given_name.as_deref()),
        ),
        sso_user_last_name: take(
            SSO_USER_LAST_NAME,
            name_of_user(|user| user.family_name.as_deref()),
        ),
    };
    match missing.is_empty() {
        true => Ok(parameters),
        false => Err(MissingParameters { account: account.id.clone(), missing }),
    }
}

/// How Account Factory names the last OU of a path from the top-level one down: `Name` when it
/// is directly under the root, `Name (ou-id)` when it is nested, since names of nested OUs
/// may repeat. Nothing for the root, which Control Tower governs no accounts in.
fn ou_parameter(path: &[OrganizationalUnit]) -> Option<String> {
    match path {
        [] => None,
        [top] => Some(top.name.clone()),
        [.., nested] => Some(format!("{} ({})", nested.name, nested.id)),
    }
}

/// A text that is not empty.
fn non_empty(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_error::ErrorClass;
    use crate::start_failure::StartFailure;
    use rstest::rstest;

    const RECORD: &str = "rec-aaaaaaaaaaaab";

    fn account(units: &[(&str, &str)]) -> Account {
        Account {
            id: "111122223333".parse().unwrap(),
            name: "Payments".into(),
            email: "another@example.com".into(),
            organizational_units: units
                .iter()
                .map(|(id, name)| OrganizationalUnit { id: (*id).into(), name: (*name).into() })
                .collect(),
            joined: None,
            state: None,
        }
    }

    fn outputs(outputs: &[(&str, &str)]) -> Outputs {
        let outputs = outputs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Outputs::Found(RecordId::new(RECORD), outputs.collect())
    }

    fn emails() -> Outputs {
        outputs(&[
            ("AccountEmail", "payments@example.com"),
            ("AccountId", "111122223333"),
            ("SSOUserEmail", "ada@example.com"),
        ])
    }

    fn user(given: &str, family: &str) -> IdentityCenterUser {
        IdentityCenterUser { given_name: Some(given.into()), family_name: Some(family.into()) }
    }

    #[rstest]
    #[case::top_level(&[("ou-abcd-11111111", "Sandbox")], "Sandbox")]
    #[case::nested(
        &[("ou-abcd-11111111", "Workloads"), ("ou-abcd-22222222", "Prod")],
        "Prod (ou-abcd-22222222)"
    )]
    #[case::deeper(
        &[("ou-abcd-11111111", "A"), ("ou-abcd-22222222", "B"), ("ou-abcd-33333333", "C (old)")],
        "C (old) (ou-abcd-33333333)"
    )]
    fn all_six_are_rebuilt(#[case] units: &[(&str, &str)], #[case] unit: &str) {
        let rebuilt = rebuild(&account(units), &emails(), Some(&user("Ada", "Lovelace"))).unwrap();
        assert_eq!(
            rebuilt.pairs(),
            [
                ("AccountEmail", "payments@example.com"),
                ("AccountName", "Payments"),
                ("ManagedOrganizationalUnit", unit),
                ("SSOUserEmail", "ada@example.com"),
                ("SSOUserFirstName", "Ada"),
                ("SSOUserLastName", "Lovelace"),
            ]
        );
        assert_eq!(rebuilt.pairs().map(|(key, _)| key), PARAMETER_KEYS);
    }

    #[rstest]
    #[case::never_provisioned(
        Outputs::NeverSucceeded,
        None,
        &[
            ("AccountEmail", "no operation of Account Factory has succeeded yet"),
            ("SSOUserEmail", "no operation of Account Factory has succeeded yet"),
            ("SSOUserFirstName", "without its email the user is unknown"),
            ("SSOUserLastName", "without its email the user is unknown"),
        ]
    )]
    #[case::record_gone(
        Outputs::Gone(RecordId::new(RECORD)),
        None,
        &[
            ("AccountEmail", "no longer has the last successful record rec-aaaaaaaaaaaab"),
            ("SSOUserEmail", "no longer has the last successful record rec-aaaaaaaaaaaab"),
            ("SSOUserFirstName", "without its email the user is unknown"),
            ("SSOUserLastName", "without its email the user is unknown"),
        ]
    )]
    #[case::no_account_email(
        outputs(&[("SSOUserEmail", "ada@example.com")]),
        Some(user("Ada", "Lovelace")),
        &[("AccountEmail", "record rec-aaaaaaaaaaaab has no output AccountEmail")]
    )]
    #[case::an_empty_output_is_none(
        outputs(&[("AccountEmail", " "), ("SSOUserEmail", "ada@example.com")]),
        Some(user("Ada", "Lovelace")),
        &[("AccountEmail", "has no output AccountEmail")]
    )]
    #[case::of_another_account(
        outputs(&[
            ("AccountEmail", "payments@example.com"),
            ("AccountId", "444455556666"),
            ("SSOUserEmail", "ada@example.com"),
        ]),
        Some(user("Ada", "Lovelace")),
        &[
            ("AccountEmail", "record rec-aaaaaaaaaaaab is about account 444455556666"),
            ("SSOUserEmail", "record rec-aaaaaaaaaaaab is about account 444455556666"),
        ]
    )]
    #[case::no_user(
        emails(),
        None,
        &[
            ("SSOUserFirstName", "IAM Identity Center has no user ada@example.com"),
            ("SSOUserLastName", "IAM Identity Center has no user ada@example.com"),
        ]
    )]
    #[case::no_given_name(
        emails(),
        Some(IdentityCenterUser { given_name: None, ..user("", "Lovelace") }),
        &[("SSOUserFirstName", "the user ada@example.com has none in IAM Identity Center")]
    )]
    #[case::an_empty_family_name_is_none(
        emails(),
        Some(user("Ada", "")),
        &[("SSOUserLastName", "the user ada@example.com has none in IAM Identity Center")]
    )]
    fn whatever_is_unknown_is_named(
        #[case] outputs: Outputs,
        #[case] user: Option<IdentityCenterUser>,
        #[case] expected: &[(&str, &str)],
    ) {
        let account = account(&[("ou-abcd-11111111", "Sandbox")]);
        let error = rebuild(&account, &outputs, user.as_ref()).unwrap_err();
        let keys: Vec<&str> = error.missing.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, expected.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        for ((_, why), (key, expected)) in error.missing.iter().zip(expected) {
            assert!(why.contains(expected), "{key}: {why}");
        }
    }

    #[test]
    fn the_root_is_no_unit_and_a_name_is_needed() {
        let nameless = Account { name: String::new(), ..account(&[]) };
        let error = rebuild(&nameless, &emails(), Some(&user("Ada", "Lovelace"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the update was not started, since these parameters of account 111122223333 are \
             unknown: AccountName (AWS Organizations has none), ManagedOrganizationalUnit (the \
             account is directly under the root). Update its provisioned product once in the \
             Service Catalog console, with all six parameters; or set \
             account_factory.parameters = \"previous\""
        );
        assert_eq!(StartFailure::from(error).class(), ErrorClass::Permanent);
    }
}
