//! Control Tower's landing zone, the OUs that it governs, and Identity Center.

use std::collections::BTreeSet;

use aws_sdk_controltower::types::{EnabledBaselineFilter, LandingZoneDriftStatus};
use aws_smithy_types::Document;
use groundcrew_core::doctor::{Fact, IdentityCenter, LandingZoneDetail, LandingZoneFacts};

use super::{failure_of_service, incomplete, read_failure};
use crate::clients::Clients;
use crate::error::check_echo;
use crate::identity_store::instances;

/// The prefix of the permissions.
const SERVICE: &str = "controltower";

/// Name of the baseline of a registered OU.
const OU_BASELINE: &str = "AWSControlTowerBaseline";

pub(super) async fn landing_zone(clients: &Clients) -> Fact<Option<LandingZoneFacts>> {
    let answer = clients
        .control_tower
        .list_landing_zones()
        .send()
        .await
        .map_err(read_failure(SERVICE, "ListLandingZones"))?;
    // An organization has at most one.
    let Some(arn) = answer.landing_zones.into_iter().find_map(|zone| zone.arn) else {
        return Ok(None);
    };
    Ok(Some(LandingZoneFacts { detail: detail(clients, &arn).await, arn }))
}

async fn detail(clients: &Clients, arn: &str) -> Fact<LandingZoneDetail> {
    const OPERATION: &str = "GetLandingZone";
    let answer = clients
        .control_tower
        .get_landing_zone()
        .landing_zone_identifier(arn)
        .send()
        .await
        .map_err(read_failure(SERVICE, OPERATION))?;
    let zone = answer.landing_zone.ok_or_else(|| incomplete(SERVICE, OPERATION, "landingZone"))?;
    check_echo(OPERATION, "arn", zone.arn(), arn).map_err(failure_of_service(SERVICE))?;
    let in_manifest = |path: &[&str]| {
        path.iter().try_fold(&zone.manifest, |document, key| document.as_object()?.get(*key))
    };
    Ok(LandingZoneDetail {
        drifted: zone
            .drift_status()
            .and_then(|drift| drift.status())
            .is_some_and(|status| *status == LandingZoneDriftStatus::Drifted),
        identity_center: in_manifest(&["accessManagement", "enabled"]).and_then(Document::as_bool),
        security_unit: in_manifest(&["organizationStructure", "security", "name"])
            .and_then(Document::as_string)
            .map(str::to_owned),
        status: zone.status().map(|status| status.as_str().to_owned()),
        latest_version: zone.latest_available_version().map(str::to_owned),
        version: zone.version,
    })
}

/// Ids of the OUs that have the baseline of registered OUs.
pub(super) async fn registered_ous(clients: &Clients) -> Fact<BTreeSet<String>> {
    let mut units = BTreeSet::new();
    let Some(baseline) = ou_baseline(clients).await? else { return Ok(units) };
    let filter = EnabledBaselineFilter::builder().baseline_identifiers(&baseline).build();
    let mut next = None;
    loop {
        let answer = clients
            .control_tower
            .list_enabled_baselines()
            .filter(filter.clone())
            .set_next_token(next)
            .send()
            .await
            .map_err(read_failure(SERVICE, "ListEnabledBaselines"))?;
        // arn:aws:organizations::ACCOUNT:ou/ORGANIZATION/OU
        // An OU that has only another baseline is not registered.
        let ours = answer.enabled_baselines.iter();
        let ours = ours.filter(|enabled| {
            arn_resource_id(&enabled.baseline_identifier) == arn_resource_id(&baseline)
        });
        units.extend(ours.filter_map(|enabled| {
            let unit = arn_resource_id(&enabled.target_identifier);
            unit.starts_with("ou-").then(|| unit.to_owned())
        }));
        next = answer.next_token;
        if next.is_none() {
            return Ok(units);
        }
    }
}

/// The last part of an ARN.
fn arn_resource_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// ARN of the baseline of registered OUs.
async fn ou_baseline(clients: &Clients) -> Fact<Option<String>> {
    let mut next = None;
    loop {
        let answer = clients
            .control_tower
            .list_baselines()
            .set_next_token(next)
            .send()
            .await
            .map_err(read_failure(SERVICE, "ListBaselines"))?;
        let found = answer.baselines.into_iter().find(|baseline| baseline.name == OU_BASELINE);
        next = answer.next_token;
        if found.is_some() || next.is_none() {
            return Ok(found.map(|baseline| baseline.arn));
        }
    }
}

pub(super) async fn identity_center(clients: &Clients) -> Fact<Vec<IdentityCenter>> {
    instances(&clients.identity_center).await.map_err(failure_of_service("sso"))
}
