//! Who calls, and which organization that is in.

use groundcrew_core::aws_error::Class;
use groundcrew_core::doctor::{Caller, Fact, Organization, Unread};

use super::of;
use crate::clients::Clients;
use crate::error::{of_read, unexpected, without_credentials};

pub(super) async fn caller(clients: &Clients) -> Fact<Caller> {
    const OPERATION: &str = "GetCallerIdentity";
    let answer =
        clients.sts.get_caller_identity().send().await.map_err(|error| {
            match without_credentials(&error) {
                Some(text) => Unread::no_credentials("sts:GetCallerIdentity", text),
                None => of("sts")(of_read(OPERATION, error)),
            }
        })?;
    match (answer.account, answer.arn) {
        (Some(account), Some(arn)) => Ok(Caller { account, arn }),
        _ => Err(of("sts")(unexpected(OPERATION, Class::Transient, "the answer has no Arn"))),
    }
}

pub(super) async fn organization(clients: &Clients) -> Fact<Organization> {
    const OPERATION: &str = "DescribeOrganization";
    let answer = clients
        .organizations
        .describe_organization()
        .send()
        .await
        .map_err(|error| of("organizations")(of_read(OPERATION, error)))?;
    let read = answer.organization.and_then(|organization| {
        Some(Organization {
            id: organization.id?,
            management_account: organization.master_account_id?,
        })
    });
    read.ok_or_else(|| {
        let text = "the answer has no Organization with its management account";
        of("organizations")(unexpected(OPERATION, Class::Transient, text))
    })
}
