//! Core's directory on AWS Organizations.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_organizations::Client;
use aws_sdk_organizations::primitives::DateTime;
use aws_sdk_organizations::types::{
    Account as SdkAccount, AccountState as SdkState, AccountStatus, ParentType,
};
use groundcrew_core::account::{Account, AccountId, AccountState, OrganizationalUnit};
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::ports::{AccountDirectory, Page};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::error::{check_echo, read_error, unexpected};

/// The largest page of ListAccounts.
const PAGE: i32 = 20;

/// AWS Organizations. Its client must retry for long when it is throttled: see
/// [`Environment::clients`](crate::Environment::clients).
#[derive(Debug)]
pub struct OrganizationsDirectory {
    client: Client,
    ou_cache: Mutex<OuCache>,
}

/// The cached OUs. The cache is cleared when a listing of the accounts begins, so that the listing
/// shows renamed OUs.
#[derive(Debug, Default)]
struct OuCache {
    names: BTreeMap<String, String>,
    /// By the ids of the OUs from the root down, so that the accounts of one OU share a path.
    paths: BTreeMap<Vec<String>, Arc<[OrganizationalUnit]>>,
}

impl OrganizationsDirectory {
    /// Reads through this client.
    pub fn new(client: Client) -> Self {
        Self { client, ou_cache: Mutex::new(OuCache::default()) }
    }

    /// Converts an account. With `refresh` the names of its OUs are read again, otherwise cached
    /// names are used.
    async fn to_account(
        &self,
        account: SdkAccount,
        refresh: bool,
    ) -> Result<Arc<Account>, AwsError> {
        const OPERATION: &str = "DescribeAccount";
        let id: AccountId =
            account.id().unwrap_or_default().parse().map_err(|error| {
                unexpected(OPERATION, ErrorClass::Permanent, format!("{error}"))
            })?;
        let path_ids = match account.paths().first() {
            Some(path) => {
                path.split('/').filter(|id| id.starts_with("ou-")).map(str::to_owned).collect()
            }
            None => self.walk_parents(&id).await?,
        };
        Ok(Arc::new(Account {
            organizational_units: self.resolve_path(path_ids, refresh).await?,
            state: account_state(&account),
            id,
            name: account.name.unwrap_or_default(),
            email: account.email.unwrap_or_default(),
            joined: account.joined_timestamp.and_then(timestamp),
        }))
    }

    /// Ids of the OUs above an account, for an Organizations that returns no paths.
    async fn walk_parents(&self, account: &AccountId) -> Result<Vec<String>, AwsError> {
        let (mut path_ids, mut child) = (Vec::new(), account.as_str().to_owned());
        loop {
            let answer = self
                .client
                .list_parents()
                .child_id(&child)
                .send()
                .await
                .map_err(|error| read_error("ListParents", error))?;
            // A child has exactly one parent.
            let parent = answer.parents.unwrap_or_default().into_iter().next();
            match parent.map(|parent| (parent.r#type, parent.id)) {
                Some((Some(ParentType::OrganizationalUnit), Some(id))) => {
                    path_ids.insert(0, id.clone());
                    child = id;
                }
                _ => return Ok(path_ids),
            }
        }
    }

    async fn resolve_path(
        &self,
        path_ids: Vec<String>,
        refresh: bool,
    ) -> Result<Arc<[OrganizationalUnit]>, AwsError> {
        // Locked during the calls, so that many accounts of a new OU read it once.
        let mut ou_cache = self.ou_cache.lock().await;
        if let Some(known) = ou_cache.paths.get(&path_ids).filter(|_| !refresh) {
            return Ok(Arc::clone(known));
        }
        let mut named = Vec::with_capacity(path_ids.len());
        for id in &path_ids {
            let name = match ou_cache.names.get(id) {
                Some(name) if !refresh => name.clone(),
                _ => {
                    let name = self.ou_name(id).await?;
                    ou_cache.names.insert(id.clone(), name.clone());
                    name
                }
            };
            named.push(OrganizationalUnit { id: id.clone(), name });
        }
        let named: Arc<[OrganizationalUnit]> = named.into();
        ou_cache.paths.insert(path_ids, Arc::clone(&named));
        Ok(named)
    }

    async fn ou_name(&self, id: &str) -> Result<String, AwsError> {
        const OPERATION: &str = "DescribeOrganizationalUnit";
        let answer = self
            .client
            .describe_organizational_unit()
            .organizational_unit_id(id)
            .send()
            .await
            .map_err(|error| read_error(OPERATION, error))?;
        let unit = answer.organizational_unit;
        check_echo(OPERATION, "Id", unit.as_ref().and_then(|unit| unit.id()), id)?;
        unit.and_then(|unit| unit.name).ok_or_else(|| {
            unexpected(OPERATION, ErrorClass::Transient, format!("the answer for {id} has no Name"))
        })
    }
}

/// AWS sends milliseconds, as a number on the wire that is not quite exact.
fn timestamp(time: DateTime) -> Option<Timestamp> {
    let nanos = i64::from(time.subsec_nanos());
    let millis = time.secs().checked_mul(1_000)?.checked_add((nanos + 500_000) / 1_000_000)?;
    Timestamp::from_millisecond(millis).ok()
}

/// The state of an account, or its predecessor `Status` if Organizations returns no state.
fn account_state(account: &SdkAccount) -> Option<AccountState> {
    match (account.state(), account.status()) {
        (Some(SdkState::PendingActivation), _) => Some(AccountState::PendingActivation),
        (Some(SdkState::Active), _) | (None, Some(AccountStatus::Active)) => {
            Some(AccountState::Active)
        }
        (Some(SdkState::Suspended), _) | (None, Some(AccountStatus::Suspended)) => {
            Some(AccountState::Suspended)
        }
        (Some(SdkState::PendingClosure), _) | (None, Some(AccountStatus::PendingClosure)) => {
            Some(AccountState::PendingClosure)
        }
        (Some(SdkState::Closed), _) => Some(AccountState::Closed),
        _ => None,
    }
}

#[async_trait]
impl AccountDirectory for OrganizationsDirectory {
    async fn accounts(&self, page: Option<&str>) -> Result<Page<Arc<Account>>, AwsError> {
        if page.is_none() {
            *self.ou_cache.lock().await = OuCache::default();
        }
        let answer = self
            .client
            .list_accounts()
            .max_results(PAGE)
            .set_next_token(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| read_error("ListAccounts", error))?;
        let mut items = Vec::new();
        for account in answer.accounts.unwrap_or_default() {
            items.push(self.to_account(account, false).await?);
        }
        Ok(Page { items, next: answer.next_token })
    }

    async fn account(&self, id: &AccountId) -> Result<Arc<Account>, AwsError> {
        const OPERATION: &str = "DescribeAccount";
        let answer = self
            .client
            .describe_account()
            .account_id(id.as_str())
            .send()
            .await
            .map_err(|error| read_error(OPERATION, error))?;
        let account = answer.account.ok_or_else(|| {
            unexpected(
                OPERATION,
                ErrorClass::Transient,
                format!("the answer for {id} has no Account"),
            )
        })?;
        check_echo(OPERATION, "Id", account.id(), id.as_str())?;
        self.to_account(account, true).await
    }

    async fn tags(&self, id: &AccountId) -> Result<BTreeMap<String, String>, AwsError> {
        let (mut tags, mut next) = (BTreeMap::new(), None);
        loop {
            let answer = self
                .client
                .list_tags_for_resource()
                .resource_id(id.as_str())
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| read_error("ListTagsForResource", error))?;
            tags.extend(
                answer.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)),
            );
            next = answer.next_token;
            if next.is_none() {
                return Ok(tags);
            }
        }
    }
}
