//! AWS Control Tower: the landing zone, and which OUs are registered with it. It uses REST-JSON, in
//! which the path names the operation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::fleet::FleetAccount;
use crate::names::{MANAGEMENT_ACCOUNT, REGION};
use crate::protocol::operations;
use crate::protocol::{ApiError, Call};
use crate::services::organizations::{Organizations, account_arn};

/// The baselines: their ids, names and descriptions.
const BASELINES: [(&str, &str, &str); 4] = [
    (OU_BASELINE, "AWSControlTowerBaseline", "Governs the accounts of an OU."),
    (SSO_BASELINE, "IdentityCenterBaseline", "Gives access by AWS IAM Identity Center."),
    ("4T4HA1KMO10S6311", "AuditBaseline", "Sets up the audit account."),
    ("J8HX46AHS5MIKQPD", "LogArchiveBaseline", "Sets up the log archive account."),
];

/// The baseline of a registered OU.
const OU_BASELINE: &str = "17BSJV3IGJ2QSGA2";
/// The baseline of a landing zone that manages access through Identity Center.
const SSO_BASELINE: &str = "LN25R72TTG6IGPTQ";

const LANDING_ZONE_ID: &str = "1A2B3C4D5E6F7G8H";

/// Fewest and most items on a page.
const BASELINES_PAGE: std::ops::RangeInclusive<usize> = 4..=100;
const ENABLED_PAGE: std::ops::RangeInclusive<usize> = 5..=100;

/// The landing zone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LandingZone {
    /// The deployed version.
    pub version: String,
    /// The newest version that could be deployed.
    pub latest_available_version: String,
    /// Its status.
    pub status: LandingZoneStatus,
    /// Whether somebody has changed resources that Control Tower set up.
    pub drifted: bool,
    /// Whether it manages access through IAM Identity Center.
    pub identity_center: bool,
    /// Id of the audit account, which has no provisioned product.
    pub audit_account: Option<String>,
    /// Id of the log archive account, which has no provisioned product either.
    pub log_archive_account: Option<String>,
}

impl Default for LandingZone {
    fn default() -> Self {
        Self {
            version: "3.3".to_owned(),
            latest_available_version: "3.3".to_owned(),
            status: LandingZoneStatus::Active,
            drifted: false,
            identity_center: true,
            audit_account: None,
            log_archive_account: None,
        }
    }
}

/// The status of a [`LandingZone`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LandingZoneStatus {
    /// It is in place.
    #[default]
    Active,
    /// It is being set up or updated.
    Processing,
    /// Setting it up or updating it has failed.
    Failed,
}

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ControlTower {
    /// `None` before it is set up.
    pub(crate) landing_zone: Option<LandingZone>,
    /// Ids of the OUs that are not registered. All others are.
    pub(crate) unregistered: BTreeSet<String>,
    /// Ids of the accounts that have their OU's baselines without a provisioned product. They were
    /// moved into the OU, and Control Tower enrolled them by auto-enrolment.
    pub(crate) auto_enrolled: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetLandingZone {
    landing_zone_identifier: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListEnabledBaselines {
    #[serde(default)]
    filter: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    include_children: bool,
    #[serde(flatten)]
    listing: Listing,
}

/// A baseline that is enabled on a target.
struct EnabledBaseline {
    baseline: &'static str,
    target: String,
    /// The baseline of the OU, for an account in it.
    parent: Option<String>,
}

/// The function of an operation. The OUs are those of AWS Organizations.
type TowerOperation = fn(&ControlTower, &Organizations, &Call<'_>) -> Result<Value, ApiError>;

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, TowerOperation)] = &[
    ("GetLandingZone", |tower, _, call| tower.get_landing_zone(&call.json()?)),
    ("ListBaselines", |_, _, call| list_baselines(&call.json()?)),
    ("ListEnabledBaselines", |tower, organization, call| {
        tower.list_enabled(organization, &call.json()?)
    }),
    ("ListLandingZones", |tower, _, _| Ok(tower.list_landing_zones())),
];

impl ControlTower {
    /// The service with an active landing zone.
    pub(crate) fn new() -> Self {
        Self {
            landing_zone: Some(LandingZone::default()),
            unregistered: BTreeSet::new(),
            auto_enrolled: BTreeSet::new(),
        }
    }

    pub(crate) fn call(
        &self,
        organization: &Organizations,
        call: &Call<'_>,
    ) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, organization, call)
    }

    fn list_landing_zones(&self) -> Value {
        let zones: Vec<Value> =
            self.landing_zone.iter().map(|_| json!({ "arn": landing_zone_arn() })).collect();
        json!({ "landingZones": zones })
    }

    fn get_landing_zone(&self, request: &GetLandingZone) -> Result<Value, ApiError> {
        let named = [landing_zone_arn().as_str(), LANDING_ZONE_ID]
            .contains(&request.landing_zone_identifier.as_str());
        let zone = self.landing_zone.as_ref().filter(|_| named).ok_or_else(|| {
            ApiError::new("ResourceNotFoundException", "Landing zone not found.").with_status(404)
        })?;
        let mut manifest = json!({
            "governedRegions": [REGION],
            "organizationStructure": {
                "security": { "name": "Security" },
                "sandbox": { "name": "Sandbox" },
            },
            "accessManagement": { "enabled": zone.identity_center },
        });
        let shared = [
            ("securityRoles", &zone.audit_account),
            ("centralizedLogging", &zone.log_archive_account),
        ];
        for (key, account) in shared {
            if let Some(id) = account {
                manifest[key] = json!({ "accountId": id });
            }
        }
        Ok(json!({ "landingZone": {
            "arn": landing_zone_arn(),
            "version": zone.version,
            "latestAvailableVersion": zone.latest_available_version,
            "status": zone.status,
            "driftStatus": { "status": if zone.drifted { "DRIFTED" } else { "IN_SYNC" } },
            "manifest": manifest,
        }}))
    }

    fn list_enabled(
        &self,
        organization: &Organizations,
        request: &ListEnabledBaselines,
    ) -> Result<Value, ApiError> {
        let mut enabled = self.enabled(organization);
        enabled.retain(|one| request.matches(one));
        let (range, next) = request.listing.page(&ENABLED_PAGE, enabled.len())?;
        let page: Vec<Value> =
            enabled.get(range).into_iter().flatten().map(EnabledBaseline::json).collect();
        Ok(with_token(json!({ "enabledBaselines": page }), next))
    }

    /// Every enabled baseline: that of the landing zone, those of the OUs, and those that the
    /// accounts have from their OUs.
    fn enabled(&self, organization: &Organizations) -> Vec<EnabledBaseline> {
        let Some(zone) = &self.landing_zone else { return Vec::new() };
        let of_zone = zone.identity_center.then(|| EnabledBaseline {
            baseline: SSO_BASELINE,
            target: landing_zone_arn(),
            parent: None,
        });
        let mut all: Vec<EnabledBaseline> = of_zone.into_iter().collect();
        for unit in organization.ou_ids().filter(|id| !self.unregistered.contains(*id)) {
            let target = organization.ou_arn(unit);
            let of_unit = enabled_arn(OU_BASELINE, &target);
            all.push(EnabledBaseline { baseline: OU_BASELINE, target, parent: None });
            let governed = organization.accounts_in(unit).filter(|one| self.governs(zone, one));
            all.extend(governed.map(|account| EnabledBaseline {
                baseline: OU_BASELINE,
                target: account_arn(&account.id),
                parent: Some(of_unit.clone()),
            }));
        }
        all
    }

    /// Whether an account in a registered OU has its baseline. Account Factory, auto-enrolment or
    /// the setup of the landing zone has enrolled it then. Any other account in the OU has none.
    pub(crate) fn governs(&self, zone: &LandingZone, account: &FleetAccount) -> bool {
        let shared = [&zone.audit_account, &zone.log_archive_account];
        account.enrolled
            || self.auto_enrolled.contains(account.id.as_str())
            || shared.into_iter().flatten().any(|id| id == account.id.as_str())
    }

    /// The details in an event about the OU's baseline, on an account or on the OU itself.
    pub(crate) fn details(
        organization: &Organizations,
        unit: &str,
        account: Option<&FleetAccount>,
    ) -> Value {
        let of_unit = organization.ou_arn(unit);
        let parent = account.map(|_| enabled_arn(OU_BASELINE, &of_unit));
        let target = account.map_or(of_unit, |account| account_arn(&account.id));
        EnabledBaseline { baseline: OU_BASELINE, target, parent }.json()
    }
}

impl ListEnabledBaselines {
    /// Whether a baseline matches the filters.
    fn matches(&self, one: &EnabledBaseline) -> bool {
        if one.parent.is_some() && !self.include_children {
            return false;
        }
        self.filter.iter().all(|(name, wanted)| {
            let has = |value: &str| wanted.iter().any(|wanted| wanted == value);
            match name.as_str() {
                "baselineIdentifiers" => has(&baseline_arn(one.baseline)),
                "targetIdentifiers" => has(&one.target),
                "parentIdentifiers" => one.parent.as_deref().is_some_and(has),
                "statuses" => has("SUCCEEDED"),
                _ => has("IN_SYNC"),
            }
        })
    }
}

impl EnabledBaseline {
    fn json(&self) -> Value {
        let mut answer = json!({
            "arn": enabled_arn(self.baseline, &self.target),
            "baselineIdentifier": baseline_arn(self.baseline),
            "targetIdentifier": self.target,
            "statusSummary": { "status": "SUCCEEDED" },
        });
        if self.baseline == OU_BASELINE {
            answer["baselineVersion"] = "4.0".into();
        }
        if let Some(parent) = &self.parent {
            answer["parentIdentifier"] = parent.as_str().into();
        }
        answer
    }
}

impl Listing {
    fn page(
        &self,
        sizes: &std::ops::RangeInclusive<usize>,
        total: usize,
    ) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
        let size = self.max_results.unwrap_or(*sizes.end());
        if !sizes.contains(&size) {
            let (least, most) = (sizes.start(), sizes.end());
            return Err(invalid(&format!("maxResults must be {least} to {most}.")));
        }
        let cursor = Cursor::read(self.next_token.as_deref())
            .ok_or_else(|| invalid("The nextToken is not one that was answered."))?;
        Ok(cursor.page(size, total))
    }
}

fn list_baselines(request: &Listing) -> Result<Value, ApiError> {
    let (range, next) = request.page(&BASELINES_PAGE, BASELINES.len())?;
    let baselines: Vec<Value> = BASELINES
        .get(range)
        .into_iter()
        .flatten()
        .map(|(id, name, description)| {
            json!({ "arn": baseline_arn(id), "name": name, "description": description })
        })
        .collect();
    Ok(with_token(json!({ "baselines": baselines }), next))
}

fn landing_zone_arn() -> String {
    format!("arn:aws:controltower:{REGION}:{MANAGEMENT_ACCOUNT}:landingzone/{LANDING_ZONE_ID}")
}

fn baseline_arn(id: &str) -> String {
    format!("arn:aws:controltower:{REGION}::baseline/{id}")
}

/// The ARN of an enabled baseline. AWS's ids are arbitrary. This one is made from baseline and
/// target, so that it is always the same.
fn enabled_arn(baseline: &str, target: &str) -> String {
    let hash =
        baseline.bytes().chain(target.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("arn:aws:controltower:{REGION}:{MANAGEMENT_ACCOUNT}:enabledbaseline/X{hash:016X}")
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = next.into();
    }
    answer
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationException", message)
}
