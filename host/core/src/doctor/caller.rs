//! The caller, and its place in the organization.

use super::{Check, Fact, Finding, Organization, Principal};
use crate::config::Config;

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Id of the account.
    pub account: String,
    /// As STS returns it: for a role `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
    pub arn: String,
}

impl Caller {
    /// For example `role groundcrew` or `user ops/ann`.
    pub fn name(&self) -> String {
        match self.kind() {
            ("assumed-role", name) => {
                format!("role {}", name.split('/').next().unwrap_or_default())
            }
            (kind, "") => kind.to_owned(),
            (kind, name) => format!("{kind} {name}"),
        }
    }

    /// The ARN that a portfolio is associated with. STS does not return the path of a role; the
    /// reader has to add it.
    pub(super) fn principal_arn(&self) -> String {
        let partition = self.arn.split(':').nth(1).unwrap_or("aws");
        match self.kind() {
            ("assumed-role", name) => {
                let role = name.split('/').next().unwrap_or_default();
                format!("arn:{partition}:iam::{}:role/{role}", self.account)
            }
            _ => self.arn.clone(),
        }
    }

    /// Whether a principal of a portfolio is this caller; `None` if that is unknown.
    pub(super) fn is(&self, principal: &Principal) -> Option<bool> {
        let mut parts = principal.arn.splitn(6, ':').skip(4);
        let (account, resource) = (parts.next()?, parts.next()?);
        let (kind, name) = resource.split_once('/')?;
        if !account.is_empty() && account != self.account {
            return Some(false);
        }
        let own = match (kind, self.kind()) {
            // Roles of one account have different names, whatever their paths.
            ("role", ("assumed-role", session)) => session.split('/').next()?,
            ("user", ("user", name)) => name.rsplit('/').next()?,
            // STS does not return the groups of a user.
            ("group", ("user", _)) => return None,
            _ => return Some(false),
        };
        let wanted = name.rsplit('/').next()?;
        Some(match principal.pattern {
            true => matches(&wanted.to_ascii_lowercase(), &own.to_ascii_lowercase()),
            false => wanted.eq_ignore_ascii_case(own),
        })
    }

    /// `assumed-role`, `user`, `root` and the like, and the name after it.
    fn kind(&self) -> (&str, &str) {
        let resource = self.arn.splitn(6, ':').nth(5).unwrap_or_default();
        resource.split_once('/').unwrap_or((resource, ""))
    }
}

/// Whether a text matches a pattern, in which `*` stands for any text and `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    let mut left = pattern.chars();
    match left.next() {
        None => text.is_empty(),
        Some('*') => {
            let pattern = left.as_str();
            text.char_indices()
                .map(|(at, _)| &text[at..])
                .chain([""])
                .any(|text| matches(pattern, text))
        }
        Some(one) => {
            rest.next().is_some_and(|c| one == '?' || one == c)
                && matches(left.as_str(), rest.as_str())
        }
    }
}

pub(super) fn credentials(caller: &Fact<Caller>) -> Finding {
    match caller {
        Ok(caller) => Finding::ok(
            Check::Credentials,
            format!("account {}, {}", caller.account, caller.name()),
        ),
        Err(read_failure) => read_failure.required_finding(Check::Credentials),
    }
}

pub(super) fn organization(
    config: &Config,
    caller: Option<&Caller>,
    organization: &Fact<Organization>,
) -> Finding {
    const CHECK: Check = Check::Organization;
    let organization = match organization {
        Ok(organization) => organization,
        Err(read_failure) if read_failure.message.contains("AWSOrganizationsNotInUseException") => {
            return Finding::failed(
                CHECK,
                "the account is in no organization",
                "use credentials of the organization's management account",
            );
        }
        Err(read_failure) => return read_failure.optional_finding(CHECK),
    };
    let Organization { id, management_account } = organization;
    match caller {
        Some(caller) if caller.account == *management_account => {
            Finding::ok(CHECK, format!("{id}, called from its management account"))
        }
        Some(caller) => Finding::failed(
            CHECK,
            format!(
                "{id} is called from its member account {}; Account Factory is in the management \
                 account {management_account}",
                caller.account
            ),
            format!("use credentials of a role in {management_account}"),
        )
        .downgraded_without_updates(config),
        None => {
            Finding::ok(CHECK, format!("{id}, with the management account {management_account}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use rstest::rstest;

    const ROLE: &str = "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123/ann";
    const USER: &str = "arn:aws:iam::111122223333:user/ops/ann";

    fn caller(arn: &str) -> Caller {
        Caller { account: "111122223333".into(), arn: arn.into() }
    }

    #[rstest]
    #[case(ROLE, "role AWSReservedSSO_Admin_0123")]
    #[case(USER, "user ops/ann")]
    #[case("arn:aws:iam::111122223333:root", "root")]
    fn callers_are_named(#[case] arn: &str, #[case] name: &str) {
        assert_eq!(caller(arn).name(), name);
    }

    #[rstest]
    #[case(ROLE, "IAM", "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123", Some(true))]
    #[case(ROLE, "IAM", "arn:aws:iam::111122223333:role/a/b/AWSReservedSSO_Admin_0123", Some(true))]
    #[case(ROLE, "IAM", "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin", Some(false))]
    #[case(ROLE, "IAM", "arn:aws:iam::999922223333:role/AWSReservedSSO_Admin_0123", Some(false))]
    #[case(ROLE, "IAM", "arn:aws:iam::111122223333:group/all", Some(false))]
    #[case(
        ROLE,
        "IAM_PATTERN",
        "arn:aws:iam:::role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Adm?n_*",
        Some(true)
    )]
    #[case(ROLE, "IAM_PATTERN", "arn:aws:iam:::role/*", Some(true))]
    #[case(ROLE, "IAM_PATTERN", "arn:aws:iam:::role/Other*", Some(false))]
    #[case(ROLE, "IAM_PATTERN", "arn:aws:iam:::user/*", Some(false))]
    #[case(USER, "IAM", "arn:aws:iam::111122223333:user/ops/ann", Some(true))]
    #[case(USER, "IAM", "arn:aws:iam::111122223333:role/ann", Some(false))]
    #[case(USER, "IAM", "arn:aws:iam::111122223333:group/ops", None)]
    #[case(USER, "IAM", "nonsense", None)]
    fn principals_are_matched(
        #[case] arn: &str,
        #[case] kind: &str,
        #[case] principal: &str,
        #[case] expected: Option<bool>,
    ) {
        let principal = Principal { arn: principal.into(), pattern: kind == "IAM_PATTERN" };
        assert_eq!(caller(arn).is(&principal), expected);
    }

    #[rstest]
    #[case("111122223333", true, Status::Ok, "called from its management account")]
    #[case("444455556666", true, Status::Failed, "member account 111122223333")]
    #[case("444455556666", false, Status::Warning, "Only updates need it")]
    fn the_management_account_is_told_apart(
        #[case] management: &str,
        #[case] updates: bool,
        #[case] status: Status,
        #[case] told: &str,
    ) {
        let text = "[queues]\nupdates_url = \"https://sqs.us-east-1.amazonaws.com/1/u.fifo\"\n";
        let config = Config::parse("c", if updates { text } else { "" }).unwrap();
        let found =
            Organization { id: "o-example".into(), management_account: management.to_owned() };
        let finding = organization(&config, Some(&caller(ROLE)), &Ok(found));
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(told), "{finding:?}");
    }
}
