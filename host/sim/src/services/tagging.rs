//! The Resource Groups Tagging API: the tags of accounts in batches. The only resources here are
//! accounts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::protocol::operations;
use crate::protocol::{ApiError, Call, Service};
use crate::services::organizations::Organizations;
use crate::services::token_bucket::TokenBucket;

/// Most resources on a page, and the default number of resources.
const PAGE: usize = 100;
const DEFAULT_PAGE_SIZE: usize = 50;

/// Rate of GetResources: an assumption, since AWS publishes none.
const RATE: (f64, f64) = (20.0, 40.0);

/// The only resource type here.
const TYPE: &str = "organizations:account";

/// How completely the index knows the tags of accounts. AWS does not document that it knows any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TagIndexState {
    /// The same tags as Organizations.
    #[default]
    #[serde(rename = "Whole")]
    Complete,
    /// No account.
    Empty,
    /// Every second account with tags is missing.
    Incomplete,
    /// The values are old.
    Stale,
}

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tagging {
    pub(crate) state: TagIndexState,
    throttle: TokenBucket,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetResources {
    pagination_token: Option<String>,
    #[serde(default)]
    tag_filters: Vec<TagFilter>,
    resources_per_page: Option<usize>,
    #[serde(default)]
    resource_type_filters: Vec<String>,
    #[serde(default, rename = "ResourceARNList")]
    resource_arns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagFilter {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

type TaggingOperation =
    fn(&mut Tagging, Timestamp, &Call<'_>, &Organizations) -> Result<Value, ApiError>;

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, TaggingOperation)] =
    &[("GetResources", |tagging, now, call, organizations| {
        if !tagging.throttle.admit(now) {
            return Err(ApiError::throttled(Service::Tagging));
        }
        tagging.resources(&call.json()?, organizations)
    })];

impl Tagging {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { state: TagIndexState::Complete, throttle: TokenBucket::new(RATE.0, RATE.1, start) }
    }

    pub(crate) fn call(
        &mut self,
        now: Timestamp,
        call: &Call<'_>,
        organizations: &Organizations,
    ) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call, organizations)
    }

    fn resources(
        &self,
        request: &GetResources,
        organizations: &Organizations,
    ) -> Result<Value, ApiError> {
        let by_arn = !request.resource_arns.is_empty();
        if by_arn && !(request.resource_type_filters.is_empty() && request.tag_filters.is_empty()) {
            return Err(invalid("ResourceARNList can't be used together with filters."));
        }
        if by_arn && (request.resources_per_page.is_some() || request.pagination_token.is_some()) {
            return Err(invalid("ResourceARNList can't be used together with pagination."));
        }
        let size = request.resources_per_page.unwrap_or(DEFAULT_PAGE_SIZE);
        if !(1..=PAGE).contains(&size) {
            return Err(invalid("ResourcesPerPage must be 1 to 100."));
        }
        // The token of the last page is empty, and an empty token requests the first page.
        let token = request.pagination_token.as_deref().filter(|token| !token.is_empty());
        let cursor =
            Cursor::read(token).ok_or_else(|| invalid("The PaginationToken is not valid."))?;
        let types = &request.resource_type_filters;
        let wanted = types.is_empty() || types.iter().any(|t| t == TYPE || t == "organizations");
        let found: Vec<_> = self
            .indexed_tags(organizations)
            .filter(|(arn, tags)| {
                wanted
                    && (!by_arn || request.resource_arns.contains(arn))
                    && request.tag_filters.iter().all(|filter| filter.admits(tags))
            })
            .collect();
        let (range, next) = cursor.page(if by_arn { PAGE } else { size }, found.len());
        let page: Vec<Value> = found[range]
            .iter()
            .map(|(arn, tags)| {
                let tags: Vec<Value> =
                    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
                json!({ "ResourceARN": arn, "Tags": tags })
            })
            .collect();
        Ok(json!({ "PaginationToken": next.unwrap_or_default(), "ResourceTagMappingList": page }))
    }

    /// The tags in the index, which may be wrong.
    fn indexed_tags<'o>(
        &self,
        organizations: &'o Organizations,
    ) -> impl Iterator<Item = (String, Cow<'o, BTreeMap<String, String>>)> {
        let state = self.state;
        let tagged = organizations.tagged().enumerate();
        tagged.filter_map(move |(number, (arn, tags))| match state {
            TagIndexState::Complete => Some((arn, Cow::Borrowed(tags))),
            TagIndexState::Empty => None,
            TagIndexState::Incomplete => (number % 2 == 0).then_some((arn, Cow::Borrowed(tags))),
            TagIndexState::Stale => {
                let old = tags.keys().map(|key| (key.clone(), "old".to_owned())).collect();
                Some((arn, Cow::Owned(old)))
            }
        })
    }
}

impl TagFilter {
    /// A filter without values matches any value. A filter without a key matches everything.
    fn admits(&self, tags: &BTreeMap<String, String>) -> bool {
        let Some(key) = &self.key else { return true };
        tags.get(key).is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, &[], true)]
    #[case(Some("team"), &[], true)]
    #[case(Some("team"), &["x", "y"], true)]
    #[case(Some("team"), &["x"], false)]
    #[case(Some("owner"), &[], false)]
    fn filters(#[case] key: Option<&str>, #[case] values: &[&str], #[case] admits: bool) {
        let filter = TagFilter {
            key: key.map(str::to_owned),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let tags = [("team".to_owned(), "y".to_owned())].into();
        assert_eq!(filter.admits(&tags), admits);
    }
}
