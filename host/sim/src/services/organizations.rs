//! AWS Organizations: accounts, organizational units and tags.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{AccountId, AccountState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::fleet::{Fleet, FleetAccount};
use crate::names::MANAGEMENT_ACCOUNT;
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call, Service};
use crate::services::token_bucket::TokenBucket;
use crate::time;

const ORGANIZATION_ID: &str = "o-groundcrew";
const ROOT_ID: &str = "r-sim1";

/// Most items on a page, and the default number of items.
const PAGE: usize = 20;

/// Rate of ListOrganizationalUnitsForParent: 5 a second, bursts of 8, as observed at AWS.
const OUS_RATE: (f64, f64) = (5.0, 8.0);

/// Rate of ListTagsForResource: an assumption, since AWS publishes none.
const TAGS_RATE: (f64, f64) = (20.0, 40.0);

/// Most tags of a resource.
const TAGS: usize = 50;

/// The organization.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Organizations {
    #[serde(skip)]
    pub(crate) fleet: Arc<Fleet>,
    #[serde(rename = "units")]
    ous: Vec<OrganizationalUnit>,
    #[serde(rename = "units_by_id")]
    ous_by_id: BTreeMap<String, u32>,
    /// The OU of each account; `None` directly under the root.
    #[serde(rename = "unit_of")]
    ou_of_account: Vec<Option<u32>>,
    /// The OU of each account when it was enrolled.
    #[serde(rename = "unit_at_first")]
    initial_ou: Vec<Option<u32>>,
    /// The changed sets of tags, by account, OU or root. Each set is complete.
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// The states of the accounts whose state has changed.
    states: BTreeMap<u32, AccountState>,
    joined: Timestamp,
    ous_throttle: TokenBucket,
    tags_throttle: TokenBucket,
}

#[derive(Debug, Serialize, Deserialize)]
struct OrganizationalUnit {
    id: String,
    name: String,
    parent: Option<u32>,
    children: Vec<u32>,
    /// The path from the organization down to this OU, with a slash at the end.
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccountRequest {
    account_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeOrganizationalUnit {
    organizational_unit_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChildrenRequest {
    parent_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParentsRequest {
    child_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChildrenOfTypeRequest {
    child_type: String,
    #[serde(flatten)]
    children: ChildrenRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsRequest {
    resource_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagRequest {
    resource_id: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagRequest {
    resource_id: String,
    tag_keys: Vec<String>,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<Organizations>)] = &[
    ("DescribeAccount", |organization, _, call| organization.describe_account(&call.json()?)),
    ("DescribeOrganization", |_, _, _| Ok(organization())),
    ("DescribeOrganizationalUnit", |organization, _, call| organization.describe_ou(&call.json()?)),
    ("ListAccounts", |organization, _, call| organization.list_accounts(&call.json()?)),
    ("ListAccountsForParent", |organization, _, call| {
        organization.list_accounts_for_parent(&call.json()?)
    }),
    ("ListChildren", |organization, _, call| organization.list_children(&call.json()?)),
    ("ListOrganizationalUnitsForParent", |organization, now, call| {
        admit(&mut organization.ous_throttle, now)?;
        organization.list_ous(&call.json()?)
    }),
    ("ListParents", |organization, _, call| organization.list_parents(&call.json()?)),
    ("ListRoots", |_, _, _| Ok(roots())),
    ("ListTagsForResource", |organization, now, call| {
        admit(&mut organization.tags_throttle, now)?;
        organization.list_tags(&call.json()?)
    }),
    ("TagResource", |organization, _, call| organization.tag(call.json()?)),
    ("UntagResource", |organization, _, call| organization.untag(&call.json()?)),
];

impl Organizations {
    pub(crate) fn new(fleet: Arc<Fleet>, start: Timestamp) -> Self {
        let mut ous: Vec<OrganizationalUnit> = Vec::new();
        let mut by_path: BTreeMap<&[String], u32> = BTreeMap::new();
        let mut ou_of_account = Vec::new();
        for (_, account) in fleet.iter() {
            let mut parent = None;
            for depth in 1..=account.ou.len() {
                let path = &account.ou[..depth];
                let unit = *by_path.entry(path).or_insert_with(|| {
                    let index = ous.len() as u32;
                    let made_up = || format!("ou-{}-{index:08}", &ROOT_ID[2..]);
                    let id = account.ou_ids.get(depth - 1).cloned().unwrap_or_else(made_up);
                    let above =
                        parent.and_then(|parent: u32| ous.get(parent as usize)).map_or_else(
                            || format!("{ORGANIZATION_ID}/{ROOT_ID}/"),
                            |unit| unit.path.clone(),
                        );
                    ous.push(OrganizationalUnit {
                        path: format!("{above}{id}/"),
                        id,
                        name: account.ou[depth - 1].clone(),
                        parent,
                        children: Vec::new(),
                    });
                    index
                });
                parent = Some(unit);
            }
            ou_of_account.push(parent);
        }
        for index in 0..ous.len() as u32 {
            if let Some(parent) = ous[index as usize].parent {
                ous[parent as usize].children.push(index);
            }
        }
        drop(by_path);
        Self {
            ous_by_id: (0_u32..).zip(&ous).map(|(i, unit)| (unit.id.clone(), i)).collect(),
            ous,
            initial_ou: ou_of_account.clone(),
            ou_of_account,
            tags: BTreeMap::new(),
            states: BTreeMap::new(),
            fleet,
            // Long before any lookback for new accounts.
            joined: start
                .checked_sub(jiff::SignedDuration::from_hours(400 * 24))
                .unwrap_or(Timestamp::UNIX_EPOCH),
            ous_throttle: TokenBucket::new(OUS_RATE.0, OUS_RATE.1, start),
            tags_throttle: TokenBucket::new(TAGS_RATE.0, TAGS_RATE.1, start),
        }
    }

    /// Id of the OU of an account, or of the root.
    pub(crate) fn ou_id(&self, account: u32) -> &str {
        self.unit(account).map_or(ROOT_ID, |unit| &unit.id)
    }

    /// The OU in which an account was enrolled, as a parameter of Account Factory.
    pub(crate) fn ou_parameter(&self, account: u32) -> String {
        let unit = self.initial_ou.get(account as usize).copied().flatten();
        match unit.and_then(|unit| self.ous.get(unit as usize)) {
            None => "Root".to_owned(),
            Some(OrganizationalUnit { name, parent: None, .. }) => name.clone(),
            Some(OrganizationalUnit { name, id, .. }) => format!("{name} ({id})"),
        }
    }

    /// Whether the OU of an Account Factory parameter exists: `Name` directly under the root, or
    /// `Name (ou-id)` anywhere.
    pub(crate) fn has_ou(&self, parameter: &str) -> bool {
        let nested = parameter.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
        match nested.and_then(|(name, id)| Some((name, self.find_ou(id)?))) {
            Some((name, unit)) => unit.name == name,
            None => self.ous.iter().any(|u| u.parent.is_none() && u.name == parameter),
        }
    }

    /// The state of an account.
    pub(crate) fn state(&self, account: u32) -> AccountState {
        let known = self.states.get(&account).copied();
        known.or_else(|| Some(self.fleet.get(account)?.state)).unwrap_or(AccountState::Closed)
    }

    /// Closes or reopens an account.
    pub(crate) fn set_state(&mut self, account: u32, state: AccountState) {
        self.states.insert(account, state);
    }

    /// Moves an account into the OU with this path. Returns whether the OU exists.
    pub(crate) fn move_account(&mut self, account: u32, path: &[&str]) -> bool {
        let mut unit = None;
        for name in path {
            let below = (0_u32..).zip(&self.ous).find(|(_, u)| u.parent == unit && u.name == *name);
            let Some((found, _)) = below else { return false };
            unit = Some(found);
        }
        match self.ou_of_account.get_mut(account as usize) {
            Some(place) => *place = unit,
            None => return false,
        }
        true
    }

    /// Ids of the OUs.
    pub(crate) fn ou_ids(&self) -> impl Iterator<Item = &str> {
        self.ous.iter().map(|unit| unit.id.as_str())
    }

    /// ARN of an OU.
    pub(crate) fn ou_arn(&self, id: &str) -> String {
        format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:ou/{ORGANIZATION_ID}/{id}")
    }

    /// The accounts directly in an OU.
    pub(crate) fn accounts_in(&self, unit: &str) -> impl Iterator<Item = &FleetAccount> {
        let within = self.fleet.iter().filter(move |(index, _)| self.ou_id(*index) == unit);
        within.map(|(_, account)| account)
    }

    fn unit(&self, account: u32) -> Option<&OrganizationalUnit> {
        self.ous.get((*self.ou_of_account.get(account as usize)?)? as usize)
    }

    /// The accounts that have or had a tag: their ARNs, and the tags.
    pub(crate) fn tagged(&self) -> impl Iterator<Item = (String, &BTreeMap<String, String>)> {
        self.fleet.iter().filter_map(|(_, account)| {
            let at_first = account.tags.as_ref()?;
            let tags = match self.tags.get(account.id.as_str()) {
                Some(changed) => changed,
                None if at_first.is_empty() => return None,
                None => at_first,
            };
            Some((account_arn(&account.id), tags))
        })
    }

    fn find_ou(&self, id: &str) -> Option<&OrganizationalUnit> {
        self.ous.get(*self.ous_by_id.get(id)? as usize)
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }

    fn list_accounts(&self, request: &Listing) -> Result<Value, ApiError> {
        let (range, next) =
            page(request.next_token.as_deref(), request.max_results, self.fleet.len() as usize)?;
        let accounts: Vec<Value> = range
            .filter_map(|index| Some(self.account(index as u32, self.fleet.get(index as u32)?)))
            .collect();
        Ok(with_token(json!({ "Accounts": accounts }), next))
    }

    fn describe_account(&self, request: &AccountRequest) -> Result<Value, ApiError> {
        self.fleet
            .find(&request.account_id)
            .and_then(|index| {
                Some(json!({ "Account": self.account(index, self.fleet.get(index)?) }))
            })
            .ok_or_else(|| {
                ApiError::new(
                    "AccountNotFoundException",
                    "You specified an account that doesn't exist.",
                )
            })
    }

    fn account(&self, index: u32, account: &FleetAccount) -> Value {
        let root = format!("{ORGANIZATION_ID}/{ROOT_ID}/");
        let above = self.unit(index).map_or(root.as_str(), |unit| &unit.path);
        let made_up = time::saturating_later(self.joined, Duration::from_secs(u64::from(index)));
        // `Status` is deprecated in favor of `State`.
        json!({
            "Id": account.id.as_str(),
            "Arn": account_arn(&account.id),
            "Email": account.email,
            "Name": account.name,
            "State": self.state(index),
            "Paths": [format!("{above}{}/", account.id)],
            "JoinedMethod": "CREATED",
            "JoinedTimestamp": time::epoch_seconds(account.joined.unwrap_or(made_up)),
        })
    }

    fn list_ous(&self, request: &ChildrenRequest) -> Result<Value, ApiError> {
        let ous = self.list_child_ous(&request.parent_id)?;
        let (page, next) = request.page(&ous)?;
        let ous: Vec<Value> =
            page.iter().filter_map(|index| self.ous.get(*index as usize).map(describe)).collect();
        Ok(with_token(json!({ "OrganizationalUnits": ous }), next))
    }

    fn list_accounts_for_parent(&self, request: &ChildrenRequest) -> Result<Value, ApiError> {
        let accounts = self.list_child_accounts(&request.parent_id)?;
        let (page, next) = request.page(&accounts)?;
        let accounts: Vec<Value> = page
            .iter()
            .filter_map(|index| Some(self.account(*index, self.fleet.get(*index)?)))
            .collect();
        Ok(with_token(json!({ "Accounts": accounts }), next))
    }

    fn list_children(&self, request: &ChildrenOfTypeRequest) -> Result<Value, ApiError> {
        let parent = &request.children.parent_id;
        let kind = request.child_type.as_str();
        let ids: Vec<&str> = match kind {
            "ACCOUNT" => self
                .list_child_accounts(parent)?
                .into_iter()
                .filter_map(|index| Some(self.fleet.get(index)?.id.as_str()))
                .collect(),
            "ORGANIZATIONAL_UNIT" => self
                .list_child_ous(parent)?
                .into_iter()
                .filter_map(|index| Some(self.ous.get(index as usize)?.id.as_str()))
                .collect(),
            _ => return Err(invalid("INVALID_ENUM", "You specified an invalid ChildType.")),
        };
        let (page, next) = request.children.page(&ids)?;
        let children: Vec<Value> =
            page.iter().map(|id| json!({ "Id": id, "Type": kind })).collect();
        Ok(with_token(json!({ "Children": children }), next))
    }

    /// The OUs directly under an OU or the root.
    fn list_child_ous(&self, parent: &str) -> Result<Vec<u32>, ApiError> {
        if parent == ROOT_ID {
            return Ok((0..self.ous.len() as u32)
                .filter(|index| self.ous[*index as usize].parent.is_none())
                .collect());
        }
        self.find_ou(parent).map(|unit| unit.children.clone()).ok_or_else(parent_not_found)
    }

    /// The accounts directly under an OU or the root.
    fn list_child_accounts(&self, parent: &str) -> Result<Vec<u32>, ApiError> {
        if parent != ROOT_ID && self.find_ou(parent).is_none() {
            return Err(parent_not_found());
        }
        Ok((0..self.fleet.len()).filter(|index| self.ou_id(*index) == parent).collect())
    }

    fn describe_ou(&self, request: &DescribeOrganizationalUnit) -> Result<Value, ApiError> {
        self.find_ou(&request.organizational_unit_id)
            .map(|unit| json!({ "OrganizationalUnit": describe(unit) }))
            .ok_or_else(|| {
                ApiError::new(
                    "OrganizationalUnitNotFoundException",
                    "You specified an organizational unit that doesn't exist.",
                )
            })
    }

    fn list_parents(&self, request: &ParentsRequest) -> Result<Value, ApiError> {
        let parent = if let Some(account) = self.fleet.find(&request.child_id) {
            self.unit(account)
        } else if let Some(unit) = self.find_ou(&request.child_id) {
            unit.parent.and_then(|parent| self.ous.get(parent as usize))
        } else {
            return Err(ApiError::new(
                "ChildNotFoundException",
                "You specified a child that doesn't exist.",
            ));
        };
        let parent = match parent {
            Some(unit) => json!({ "Id": unit.id, "Type": "ORGANIZATIONAL_UNIT" }),
            None => json!({ "Id": ROOT_ID, "Type": "ROOT" }),
        };
        Ok(json!({ "Parents": [parent] }))
    }

    fn list_tags(&self, request: &TagsRequest) -> Result<Value, ApiError> {
        let tags: Vec<Value> = self
            .tags_of(&request.resource_id)?
            .iter()
            .map(|(key, value)| json!({ "Key": key, "Value": value }))
            .collect();
        Ok(json!({ "Tags": tags }))
    }

    fn tag(&mut self, request: TagRequest) -> Result<Value, ApiError> {
        let mut tags = self.tags_of(&request.resource_id)?.into_owned();
        for Tag { key, value } in request.tags {
            check_tag(&key, &value)?;
            tags.insert(key, value);
        }
        if tags.len() > TAGS {
            return Err(ApiError::new(
                "ConstraintViolationException",
                "You have exceeded the number of tags allowed on this resource.",
            )
            .with("Reason", "MAX_TAG_LIMIT_EXCEEDED".into()));
        }
        self.tags.insert(request.resource_id, tags);
        Ok(json!({}))
    }

    fn untag(&mut self, request: &UntagRequest) -> Result<Value, ApiError> {
        let mut tags = self.tags_of(&request.resource_id)?.into_owned();
        tags.retain(|key, _| !request.tag_keys.contains(key));
        self.tags.insert(request.resource_id.clone(), tags);
        Ok(json!({}))
    }

    /// The tags of an account, an OU or the root.
    fn tags_of(&self, id: &str) -> Result<Cow<'_, BTreeMap<String, String>>, ApiError> {
        let account = self.fleet.find(id).and_then(|index| self.fleet.get(index));
        match (account, self.tags.get(id)) {
            (Some(account), _) if account.tags.is_none() => Err(ApiError::new(
                "AccessDeniedException",
                "You don't have permissions to access this resource.",
            )),
            (_, Some(tags)) => Ok(Cow::Borrowed(tags)),
            (Some(account), None) => {
                Ok(account.tags.as_ref().map_or_else(Cow::default, Cow::Borrowed))
            }
            // OUs and the root have no tags at first.
            (None, None) if id == ROOT_ID || self.find_ou(id).is_some() => Ok(Cow::default()),
            (None, None) => Err(ApiError::new(
                "TargetNotFoundException",
                "You specified a target that doesn't exist.",
            )),
        }
    }
}

impl ChildrenRequest {
    /// The requested page of these items.
    fn page<'a, T>(&self, items: &'a [T]) -> Result<(&'a [T], Option<String>), ApiError> {
        let (range, next) = page(self.next_token.as_deref(), self.max_results, items.len())?;
        Ok((&items[range], next))
    }
}

fn check_tag(key: &str, value: &str) -> Result<(), ApiError> {
    let allowed = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
    if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
        return Err(invalid(
            "MAX_LENGTH_EXCEEDED",
            "A tag's key has 1 to 128 characters, and its value at most 256.",
        ));
    }
    if !allowed(key) || !allowed(value) {
        return Err(invalid("INVALID_PATTERN", "A tag has a character that is not allowed."));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(invalid(
            "INVALID_SYSTEM_TAGS_PARAMETER",
            "You specified a tag key that is a system tag. You can't add, edit, or delete system tag keys.",
        ));
    }
    Ok(())
}

fn invalid(reason: &str, message: &str) -> ApiError {
    ApiError::new("InvalidInputException", message).with("Reason", reason.into())
}

fn parent_not_found() -> ApiError {
    ApiError::new("ParentNotFoundException", "You specified parent that doesn't exist.")
}

/// ARN of an account.
pub(crate) fn account_arn(id: &AccountId) -> String {
    format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:account/{ORGANIZATION_ID}/{id}")
}

fn organization() -> Value {
    let arn = format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}");
    json!({ "Organization": {
        "Id": ORGANIZATION_ID,
        "Arn": format!("{arn}:organization/{ORGANIZATION_ID}"),
        "FeatureSet": "ALL",
        "MasterAccountArn": format!("{arn}:account/{ORGANIZATION_ID}/{MANAGEMENT_ACCOUNT}"),
        "MasterAccountId": MANAGEMENT_ACCOUNT,
        "MasterAccountEmail": "management@example.com",
        "AvailablePolicyTypes": [],
    }})
}

fn roots() -> Value {
    json!({ "Roots": [{
        "Id": ROOT_ID,
        "Arn": format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:root/{ORGANIZATION_ID}/{ROOT_ID}"),
        "Name": "Root",
        "PolicyTypes": [],
    }]})
}

fn describe(unit: &OrganizationalUnit) -> Value {
    json!({
        "Id": unit.id,
        "Arn": format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:ou/{ORGANIZATION_ID}/{}", unit.id),
        "Name": unit.name,
        "Path": unit.path,
    })
}

fn admit(throttle: &mut TokenBucket, now: Timestamp) -> Result<(), ApiError> {
    if throttle.admit(now) { Ok(()) } else { Err(ApiError::throttled(Service::Organizations)) }
}

fn page(
    token: Option<&str>,
    size: Option<usize>,
    total: usize,
) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
    let size = size.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return Err(invalid("MAX_VALUE_EXCEEDED", &format!("MaxResults must be 1 to {PAGE}.")));
    }
    let cursor = Cursor::read(token).ok_or_else(|| {
        invalid("INVALID_NEXT_TOKEN", "You specified an invalid value for NextToken.")
    })?;
    Ok(cursor.page(size, total))
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    answer
}
