//! The caller and its organization.

use groundcrew_core::doctor::{Caller, Fact, Organization, ReadFailure};

use super::{incomplete, read_failure};
use crate::clients::Clients;
use crate::error::credentials_error;

pub(super) async fn caller(clients: &Clients) -> Fact<Caller> {
    const OPERATION: &str = "GetCallerIdentity";
    let answer =
        clients.sts.get_caller_identity().send().await.map_err(|error| match credentials_error(
            &error,
        ) {
            Some(text) => ReadFailure::no_credentials("sts:GetCallerIdentity", text),
            None => read_failure("sts", OPERATION)(error),
        })?;
    match (answer.account, answer.arn) {
        (Some(account), Some(arn)) => Ok(Caller { account, arn }),
        _ => Err(incomplete("sts", OPERATION, "Arn")),
    }
}

pub(super) async fn organization(clients: &Clients) -> Fact<Organization> {
    const OPERATION: &str = "DescribeOrganization";
    let answer = clients
        .organizations
        .describe_organization()
        .send()
        .await
        .map_err(read_failure("organizations", OPERATION))?;
    let read = answer.organization.and_then(|organization| {
        Some(Organization {
            id: organization.id?,
            management_account: organization.master_account_id?,
        })
    });
    read.ok_or_else(|| {
        incomplete("organizations", OPERATION, "Organization with its management account")
    })
}
