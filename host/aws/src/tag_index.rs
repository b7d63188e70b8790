//! Core's tag index on the Resource Groups Tagging API.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_resourcegroupstagging::Client;
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::ports::{Page, TagIndex};

use crate::error::read_error;

/// The largest page of GetResources.
const PAGE: i32 = 100;

/// The resource type of accounts, as in their ARNs.
const ACCOUNTS: &str = "organizations:account";

/// The tags of accounts in the Resource Groups Tagging API, in the Region of Organizations.
#[derive(Debug)]
pub struct ResourceTags {
    client: Client,
}

impl ResourceTags {
    /// Reads through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl TagIndex for ResourceTags {
    async fn tagged(
        &self,
        page: Option<&str>,
    ) -> Result<Page<(AccountId, BTreeMap<String, String>)>, AwsError> {
        let answer = self
            .client
            .get_resources()
            .resource_type_filters(ACCOUNTS)
            .resources_per_page(PAGE)
            .set_pagination_token(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| read_error("GetResources", error))?;
        let items = answer.resource_tag_mapping_list.unwrap_or_default().into_iter();
        let items = items.filter_map(|resource| {
            let account = arn_account(resource.resource_arn()?)?;
            let tags = resource.tags.unwrap_or_default().into_iter();
            Some((account, tags.map(|tag| (tag.key, tag.value)).collect()))
        });
        Ok(Page {
            items: items.collect(),
            // The token of the last page is empty.
            next: answer.pagination_token.filter(|token| !token.is_empty()),
        })
    }
}

/// The account id in an ARN such as
/// `arn:aws:organizations::123456789012:account/o-abcdefghij/111122223333`.
fn arn_account(arn: &str) -> Option<AccountId> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    let path = resource.strip_prefix("account/").filter(|_| service == "organizations")?;
    path.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("arn:aws:organizations::123456789012:account/o-abcdefghij/111122223333", true)]
    #[case("arn:aws-us-gov:organizations::123456789012:account/o-abcdefghij/111122223333", true)]
    #[case("arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-11111111", false)]
    #[case("arn:aws:iam::123456789012:account/o-abcdefghij/111122223333", false)]
    #[case("arn:aws:organizations::123456789012", false)]
    #[case("", false)]
    fn arns_of_accounts(#[case] arn: &str, #[case] is_one: bool) {
        let account = arn_account(arn).map(|id| id.to_string());
        assert_eq!(account, is_one.then(|| "111122223333".to_owned()));
    }
}
