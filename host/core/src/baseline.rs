//! The targets of Control Tower baselines.
//!
//! A baseline on an OU has a child on each account in it. So an account that is moved into a
//! registered OU (auto-enrolment, landing zone 3.1 and later) joins with the baseline alone:
//! without `CreateManagedAccount`, and without a provisioned product. Since landing zone 4.0, any
//! baseline on an account means that it is governed. Therefore the code does not search for a
//! baseline by its id, which is opaque. Source: "Types of baselines" and "Optionally configure
//! auto-enrollment for accounts" of the Control Tower User Guide.

use crate::account::AccountId;

/// The target of a baseline, from its `targetIdentifier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaselineTarget {
    /// An account: `arn:aws:organizations::111122223333:account/o-exampleorg/444455556666`.
    Account {
        /// The account.
        id: AccountId,
        /// Whether it is the management account, whose id is in the ARN of every account.
        is_management: bool,
    },
    /// An OU, by its id: `arn:aws:organizations::111122223333:ou/o-exampleorg/ou-abcd-12345678`.
    OrganizationalUnit(String),
    /// Anything else, such as the landing zone.
    Other,
}

impl BaselineTarget {
    /// The target that an ARN names.
    pub fn from_arn(arn: &str) -> Self {
        // arn:PARTITION:organizations::MANAGEMENT-ACCOUNT:KIND/ORGANIZATION/ID
        let mut parts = arn.splitn(6, ':').skip(2);
        let (service, _, owner, resource) =
            (parts.next(), parts.next(), parts.next(), parts.next().unwrap_or_default());
        let mut path = resource.split('/');
        match (service, path.next(), path.next(), path.next(), path.next()) {
            (Some("organizations"), Some("account"), Some(_), Some(id), None) => {
                match id.parse::<AccountId>() {
                    Ok(id) => Self::Account { is_management: owner == Some(id.as_str()), id },
                    Err(_) => Self::Other,
                }
            }
            (Some("organizations"), Some("ou"), Some(_), Some(id), None) => {
                Self::OrganizationalUnit(id.to_owned())
            }
            _ => Self::Other,
        }
    }

    /// The account, if it is one.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account { id, .. } => Some(id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::account(
        "arn:aws:organizations::210987654321:account/o-9zq8w7e6r5/321098765432",
        "account 321098765432"
    )]
    #[case::of_another_partition(
        "arn:aws-us-gov:organizations::210987654321:account/o-9zq8w7e6r5/321098765432",
        "account 321098765432"
    )]
    #[case::management(
        "arn:aws:organizations::210987654321:account/o-9zq8w7e6r5/210987654321",
        "management 210987654321"
    )]
    #[case::unit(
        "arn:aws:organizations::210987654321:ou/o-9zq8w7e6r5/ou-k2m4-3p5q7r9t",
        "ou ou-k2m4-3p5q7r9t"
    )]
    #[case::landing_zone(
        "arn:aws:controltower:eu-central-1:210987654321:landingzone/1A2B",
        "other"
    )]
    #[case::short("arn:aws:organizations::210987654321:account/321098765432", "other")]
    #[case::no_account(
        "arn:aws:organizations::210987654321:account/o-9zq8w7e6r5/Not Available",
        "other"
    )]
    #[case::nothing("", "other")]
    fn targets(#[case] arn: &str, #[case] expected: &str) {
        let told = match BaselineTarget::from_arn(arn) {
            BaselineTarget::Account { id, is_management: false } => format!("account {id}"),
            BaselineTarget::Account { id, is_management: true } => format!("management {id}"),
            BaselineTarget::OrganizationalUnit(id) => format!("ou {id}"),
            BaselineTarget::Other => "other".to_owned(),
        };
        assert_eq!(told, expected);
    }
}
