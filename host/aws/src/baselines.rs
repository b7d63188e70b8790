//! Core's baselines on AWS Control Tower.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_controltower::types::EnablementStatus;
use aws_smithy_types::Document;
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::baseline::BaselineTarget;
use groundcrew_core::ports::Baselines;

use crate::error::{read_error, unexpected};
use crate::landing_zone::ControlTower;

#[async_trait]
impl Baselines for ControlTower {
    async fn governed_accounts(&self) -> Result<BTreeSet<AccountId>, AwsError> {
        let Some(shared) = self.shared_accounts().await? else { return Ok(BTreeSet::new()) };
        let mut governed = BTreeSet::new();
        let mut next = None;
        loop {
            let page = self.client.list_enabled_baselines().include_children(true);
            let answer = page.set_next_token(next).send().await;
            let answer = answer.map_err(|error| read_error("ListEnabledBaselines", error))?;
            for enabled in answer.enabled_baselines {
                let status = enabled.status_summary.and_then(|summary| summary.status);
                // A baseline without a parent belongs to the landing zone, not to an OU.
                if enabled.parent_identifier.is_some()
                    && status == Some(EnablementStatus::Succeeded)
                    && let BaselineTarget::Account { id, is_management: false } =
                        BaselineTarget::from_arn(&enabled.target_identifier)
                {
                    governed.insert(id);
                }
            }
            next = answer.next_token;
            if next.is_none() {
                break;
            }
        }
        governed.retain(|id| !shared.contains(id));
        Ok(governed)
    }
}

impl ControlTower {
    /// The shared accounts of the landing zone, without the management account. `None` without a
    /// landing zone. Its manifest names each of them under a key of its own, as `accountId`. These
    /// keys differ between the versions of the landing zone.
    async fn shared_accounts(&self) -> Result<Option<BTreeSet<AccountId>>, AwsError> {
        const OPERATION: &str = "GetLandingZone";
        let Some(arn) = self.landing_zone_arn().await? else { return Ok(None) };
        let get = self.client.get_landing_zone().landing_zone_identifier(arn);
        let answer = get.send().await.map_err(|error| read_error(OPERATION, error))?;
        let zone = answer.landing_zone.ok_or_else(|| {
            let what = "the answer has no landingZone".to_owned();
            unexpected(OPERATION, ErrorClass::Transient, what)
        })?;
        let mut accounts = BTreeSet::new();
        collect_account_ids(&zone.manifest, &mut accounts);
        Ok(Some(accounts))
    }
}

/// The account ids anywhere in a manifest.
fn collect_account_ids(document: &Document, accounts: &mut BTreeSet<AccountId>) {
    match document {
        Document::Object(fields) => {
            for (key, value) in fields {
                match value.as_string() {
                    Some(id) if key == "accountId" => accounts.extend(id.parse()),
                    _ => collect_account_ids(value, accounts),
                }
            }
        }
        Document::Array(several) => {
            several.iter().for_each(|one| collect_account_ids(one, accounts))
        }
        _ => {}
    }
}
