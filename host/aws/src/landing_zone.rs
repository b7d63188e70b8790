//! Core's landing zones on AWS Control Tower.

use async_trait::async_trait;
use aws_sdk_controltower::Client;
use aws_sdk_controltower::types::LandingZoneStatus;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::ports::{LandingZoneState, LandingZones};

use crate::error::{check_echo, read_error, unexpected};

/// AWS Control Tower in the home Region.
#[derive(Debug)]
pub struct ControlTower {
    pub(crate) client: Client,
}

impl ControlTower {
    /// Control Tower through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// ARN of the landing zone. An organization has at most one.
    pub(crate) async fn landing_zone_arn(&self) -> Result<Option<String>, AwsError> {
        let answer = self.client.list_landing_zones().send().await;
        let answer = answer.map_err(|error| read_error("ListLandingZones", error))?;
        Ok(answer.landing_zones.into_iter().find_map(|zone| zone.arn))
    }
}

#[async_trait]
impl LandingZones for ControlTower {
    async fn landing_zone(&self) -> Result<Option<LandingZoneState>, AwsError> {
        const OPERATION: &str = "GetLandingZone";
        let Some(arn) = self.landing_zone_arn().await? else { return Ok(None) };
        let get = self.client.get_landing_zone().landing_zone_identifier(&arn);
        let answer = get.send().await.map_err(|error| read_error(OPERATION, error))?;
        let zone = answer.landing_zone.ok_or_else(|| {
            let what = "the answer has no landingZone".to_owned();
            unexpected(OPERATION, ErrorClass::Transient, what)
        })?;
        check_echo(OPERATION, "arn", zone.arn(), &arn)?;
        Ok(Some(LandingZoneState {
            changing: zone.status() == Some(&LandingZoneStatus::Processing),
            version: zone.version,
        }))
    }
}
