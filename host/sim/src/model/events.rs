//! The EventBridge events of the simulated AWS, in the format of captured ones.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fleet::FleetAccount;
use crate::names::{MANAGEMENT_ACCOUNT, REGION};

/// An event: a provisioning artifact became active.
pub(crate) fn artifact_released(id: &str, now: Timestamp, product: &str, artifact: &str) -> String {
    let time = seconds(now);
    json!({
        "version": "0",
        "id": id,
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.servicecatalog",
        "account": MANAGEMENT_ACCOUNT,
        "time": time,
        "region": REGION,
        "resources": [],
        "detail": {
            "eventVersion": "1.08",
            "eventType": "AwsApiCall",
            "eventSource": "servicecatalog.amazonaws.com",
            "eventName": "UpdateProvisioningArtifact",
            "awsRegion": REGION,
            "eventTime": time,
            "userIdentity": {
                "type": "AssumedRole",
                "arn": format!("arn:aws:sts::{MANAGEMENT_ACCOUNT}:assumed-role/AWSControlTowerAdmin/session"),
                "sessionContext": { "sessionIssuer": {
                    "type": "Role",
                    "arn": format!("arn:aws:iam::{MANAGEMENT_ACCOUNT}:role/service-role/AWSControlTowerAdmin"),
                }},
            },
            "requestParameters": {
                "productId": product,
                "provisioningArtifactId": artifact,
                "active": true,
            },
            "responseElements": {
                "provisioningArtifactDetail": { "id": artifact, "active": true },
            },
        },
    })
    .to_string()
}

/// The end of an update.
pub(crate) struct UpdateEnded<'a> {
    pub(crate) account: &'a FleetAccount,
    pub(crate) ou_id: &'a str,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) failed: bool,
}

impl UpdateEnded<'_> {
    /// The lifecycle event, delivered at `now` under `id`.
    pub(crate) fn event(&self, id: &str, event_id: &str, now: Timestamp) -> String {
        let (state, message) = if self.failed {
            ("FAILED", "AWS Control Tower failed to update a managed account.")
        } else {
            ("SUCCEEDED", "AWS Control Tower successfully updated a managed account.")
        };
        let ou_name = self.account.ou.last().map_or("Root", String::as_str);
        lifecycle(
            id,
            event_id,
            now,
            "UpdateManagedAccount",
            json!({ "updateManagedAccountStatus": {
                "organizationalUnit": {
                    "organizationalUnitName": ou_name,
                    "organizationalUnitId": self.ou_id,
                },
                "account": {
                    "accountName": self.account.name,
                    "accountId": self.account.id.as_str(),
                },
                "state": state,
                "message": message,
                "requestedTimestamp": without_colon(self.started),
                "completedTimestamp": without_colon(self.ended),
            }}),
        )
    }
}

/// A baseline was enabled or reset: `name` is the name of the event, `details` has the target.
pub(crate) fn baseline(
    id: &str,
    event_id: &str,
    now: Timestamp,
    name: &str,
    details: Value,
) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase()).into_iter();
    let key: String = first.chain(letters).chain("Status".chars()).collect();
    let status = json!({
        "enabledBaselineDetails": details,
        "requestedTimestamp": without_colon(now),
        "completedTimestamp": without_colon(now),
    });
    lifecycle(id, event_id, now, name, json!({ key: status }))
}

fn lifecycle(id: &str, event_id: &str, now: Timestamp, name: &str, details: Value) -> String {
    let time = seconds(now);
    json!({
        "version": "0",
        "id": id,
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.controltower",
        "account": MANAGEMENT_ACCOUNT,
        "time": time,
        "region": REGION,
        "resources": [],
        "detail": {
            "eventVersion": "1.08",
            "userIdentity": { "accountId": MANAGEMENT_ACCOUNT, "invokedBy": "AWS Internal" },
            "eventTime": time,
            "eventSource": "controltower.amazonaws.com",
            "eventName": name,
            "awsRegion": REGION,
            "sourceIPAddress": "AWS Internal",
            "userAgent": "AWS Internal",
            "requestParameters": null,
            "responseElements": null,
            "eventID": event_id,
            "readOnly": false,
            "eventType": "AwsServiceEvent",
            "managementEvent": true,
            "recipientAccountId": MANAGEMENT_ACCOUNT,
            "serviceEventDetails": details,
            "eventCategory": "Management",
        },
    })
    .to_string()
}

/// `2026-08-30T21:42:18Z`.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// `2026-08-30T21:42:18+0000`, as lifecycle events carry it.
fn without_colon(time: Timestamp) -> String {
    seconds(time).replace('Z', "+0000")
}
