//! AWS Organizations: accounts, organizational units and tags.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fleet::{Fleet, FleetAccount};
use crate::model::MANAGEMENT_ACCOUNT;
use crate::protocol::{ApiError, Call, Cursor, Service};
use crate::throttle::Throttle;
use crate::time;

const ORGANIZATION_ID: &str = "o-groundcrew";
const ROOT_ID: &str = "r-sim1";

/// Most items on a page, and how many when the caller does not say.
const PAGE: usize = 20;

/// Rate of ListOrganizationalUnitsForParent: 5 a second, bursts of 8, as AWS was seen to
/// throttle it.
const OUS_RATE: (f64, f64) = (5.0, 8.0);

/// Rate of ListTagsForResource: chosen, since AWS publishes none.
const TAGS_RATE: (f64, f64) = (20.0, 40.0);

/// The organization.
#[derive(Debug)]
pub(crate) struct Organizations {
    fleet: Arc<Fleet>,
    units: Vec<Unit>,
    /// Unit that holds each account; `None` directly under the root.
    unit_of: Vec<Option<u32>>,
    joined: Timestamp,
    ous_throttle: Throttle,
    tags_throttle: Throttle,
}

#[derive(Debug)]
struct Unit {
    id: String,
    name: String,
    parent: Option<u32>,
    children: Vec<u32>,
    /// From the organization down to this unit, with a closing slash.
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
struct UnitRequest {
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
struct TagsRequest {
    resource_id: String,
}

impl Organizations {
    pub(crate) fn new(fleet: Arc<Fleet>, start: Timestamp) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        let mut by_path: BTreeMap<&[String], u32> = BTreeMap::new();
        let mut unit_of = Vec::new();
        for (_, account) in fleet.iter() {
            let mut parent = None;
            for depth in 1..=account.ou.len() {
                let path = &account.ou[..depth];
                let unit = *by_path.entry(path).or_insert_with(|| {
                    let index = units.len() as u32;
                    let id = format!("ou-{}-{index:08}", &ROOT_ID[2..]);
                    let above =
                        parent.and_then(|parent: u32| units.get(parent as usize)).map_or_else(
                            || format!("{ORGANIZATION_ID}/{ROOT_ID}/"),
                            |unit| unit.path.clone(),
                        );
                    units.push(Unit {
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
            unit_of.push(parent);
        }
        for index in 0..units.len() as u32 {
            if let Some(parent) = units[index as usize].parent {
                units[parent as usize].children.push(index);
            }
        }
        drop(by_path);
        Self {
            units,
            unit_of,
            fleet,
            // Long before any lookback for lost creation events.
            joined: start
                .checked_sub(jiff::SignedDuration::from_hours(400 * 24))
                .unwrap_or(Timestamp::UNIX_EPOCH),
            ous_throttle: Throttle::new(OUS_RATE.0, OUS_RATE.1, start),
            tags_throttle: Throttle::new(TAGS_RATE.0, TAGS_RATE.1, start),
        }
    }

    /// Id of the OU that holds an account, or of the root.
    pub(crate) fn unit_id(&self, account: u32) -> &str {
        self.unit(account).map_or(ROOT_ID, |unit| &unit.id)
    }

    fn unit(&self, account: u32) -> Option<&Unit> {
        self.units.get((*self.unit_of.get(account as usize)?)? as usize)
    }

    fn find_unit(&self, id: &str) -> Option<&Unit> {
        let number: usize =
            id.strip_prefix("ou-")?.strip_prefix(&ROOT_ID[2..])?.strip_prefix('-')?.parse().ok()?;
        self.units.get(number).filter(|unit| unit.id == id)
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        match call.operation {
            "ListAccounts" => self.list_accounts(&call.json()?),
            "DescribeAccount" => self.describe_account(&call.json()?),
            "ListRoots" => Ok(json!({ "Roots": [{
                "Id": ROOT_ID,
                "Arn": format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:root/{ORGANIZATION_ID}/{ROOT_ID}"),
                "Name": "Root",
                "PolicyTypes": [],
            }]})),
            "ListOrganizationalUnitsForParent" => {
                admit(&mut self.ous_throttle, now)?;
                self.list_units(&call.json()?)
            }
            "DescribeOrganizationalUnit" => self.describe_unit(&call.json()?),
            "ListParents" => self.list_parents(&call.json()?),
            "ListTagsForResource" => {
                admit(&mut self.tags_throttle, now)?;
                self.list_tags(&call.json()?)
            }
            _ => Err(call.unknown()),
        }
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
        // `Status` is retired; `State` has taken its place.
        json!({
            "Id": account.id.as_str(),
            "Arn": format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:account/{ORGANIZATION_ID}/{}", account.id),
            "Email": account.email,
            "Name": account.name,
            "State": "ACTIVE",
            "Paths": [format!("{above}{}/", account.id)],
            "JoinedMethod": "CREATED",
            "JoinedTimestamp": time::json(time::later(self.joined, Duration::from_secs(u64::from(index)))),
        })
    }

    fn list_units(&self, request: &ChildrenRequest) -> Result<Value, ApiError> {
        let children: Vec<u32> = if request.parent_id == ROOT_ID {
            (0..self.units.len() as u32)
                .filter(|index| self.units[*index as usize].parent.is_none())
                .collect()
        } else {
            self.find_unit(&request.parent_id).map(|unit| unit.children.clone()).ok_or_else(
                || {
                    ApiError::new(
                        "ParentNotFoundException",
                        "You specified parent that doesn't exist.",
                    )
                },
            )?
        };
        let (range, next) =
            page(request.next_token.as_deref(), request.max_results, children.len())?;
        let units: Vec<Value> = children
            .get(range)
            .into_iter()
            .flatten()
            .filter_map(|index| self.units.get(*index as usize).map(describe))
            .collect();
        Ok(with_token(json!({ "OrganizationalUnits": units }), next))
    }

    fn describe_unit(&self, request: &UnitRequest) -> Result<Value, ApiError> {
        self.find_unit(&request.organizational_unit_id)
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
        } else if let Some(unit) = self.find_unit(&request.child_id) {
            unit.parent.and_then(|parent| self.units.get(parent as usize))
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
        let id = request.resource_id.as_str();
        let tags = match self.fleet.find(id).and_then(|index| self.fleet.get(index)) {
            Some(account) => account.tags.as_ref().ok_or_else(|| {
                ApiError::new(
                    "AccessDeniedException",
                    "You don't have permissions to access this resource.",
                )
            })?,
            // Units and the root carry no tags here.
            None if id == ROOT_ID || self.find_unit(id).is_some() => {
                return Ok(json!({ "Tags": [] }));
            }
            None => {
                return Err(ApiError::new(
                    "TargetNotFoundException",
                    "You specified a target that doesn't exist.",
                ));
            }
        };
        let tags: Vec<Value> =
            tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        Ok(json!({ "Tags": tags }))
    }
}

fn describe(unit: &Unit) -> Value {
    json!({
        "Id": unit.id,
        "Arn": format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:ou/{ORGANIZATION_ID}/{}", unit.id),
        "Name": unit.name,
        "Path": unit.path,
    })
}

fn admit(throttle: &mut Throttle, now: Timestamp) -> Result<(), ApiError> {
    if throttle.admit(now) { Ok(()) } else { Err(ApiError::throttled(Service::Organizations)) }
}

fn page(
    token: Option<&str>,
    size: Option<usize>,
    total: usize,
) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
    let size = size.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return Err(ApiError::new(
            "InvalidInputException",
            format!("MaxResults must be 1 to {PAGE}."),
        ));
    }
    let cursor = Cursor::read(token).ok_or_else(|| {
        ApiError::new("InvalidInputException", "You specified an invalid value for NextToken.")
    })?;
    Ok(cursor.page(size, total))
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    answer
}
