//! AWS IAM Identity Center: its instance. The users are in [`crate::services::identity_store`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names::{MANAGEMENT_ACCOUNT, REGION};
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};
use crate::services::identity_store::IDENTITY_STORE_ID;
use crate::time;

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IdentityCenter {
    /// Whether it is enabled in this Region.
    pub(crate) enabled: bool,
    created: Timestamp,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<IdentityCenter>)] =
    &[("ListInstances", |center, _, _| Ok(center.instances()))];

impl IdentityCenter {
    /// The service with an instance for the organization.
    pub(crate) fn new(created: Timestamp) -> Self {
        Self { enabled: true, created }
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }

    fn instances(&self) -> Value {
        let instance = json!({
            "InstanceArn": "arn:aws:sso:::instance/ssoins-7223a1b2c3d4e5f6",
            "IdentityStoreId": IDENTITY_STORE_ID,
            "OwnerAccountId": MANAGEMENT_ACCOUNT,
            "Status": "ACTIVE",
            "CreatedDate": time::epoch_seconds(self.created),
            "PrimaryRegion": REGION,
        });
        let instances = if self.enabled { vec![instance] } else { Vec::new() };
        json!({ "Instances": instances })
    }
}
