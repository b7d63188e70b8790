//! EventBridge events, parsed leniently: what AWS sends varies between versions, and
//! an event is never more than a wake-up or a hint.

use jiff::Timestamp;
use serde_json::Value;

use crate::account::AccountId;

/// An EventBridge event that groundcrew understands enough to act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// EventBridge's id of this delivery; a repeated event may carry another one.
    pub id: String,
    /// For example `aws.controltower`.
    pub source: String,
    /// `detail.eventName`, for example `CreateManagedAccount`.
    pub name: String,
    /// When it happened, where the event says so in a form that can be read.
    pub time: Option<Timestamp>,
    /// The account that the event is about, where it names one.
    pub account: Option<AccountId>,
    /// ARN of the role whose call caused the event, for calls recorded by CloudTrail.
    pub caller_role: Option<String>,
    /// The event as it came.
    pub json: String,
}

/// An event that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is not JSON.
    #[error("the event is not JSON: {0}")]
    NotJson(String),
    /// A field that every event has is missing or of another type.
    #[error("the event has no `{field}`: expected an EventBridge event with `{field}` as a string")]
    Missing {
        /// Path of the field.
        field: &'static str,
    },
}

/// What an event means to the update engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something that makes accounts outdated may have happened: sweep.
    Sweep,
    /// An operation on this account has ended: look at its record now.
    Account(AccountId),
    /// Nothing to the update engine.
    None,
}

impl Event {
    /// Reads an event from JSON text.
    ///
    /// # Errors
    /// When the text is not JSON, or lacks `source`, `detail` or `detail.eventName`.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        let root: Value =
            serde_json::from_str(text).map_err(|error| EventError::NotJson(error.to_string()))?;
        let source = string(&root, "/source").ok_or(EventError::Missing { field: "source" })?;
        let name = string(&root, "/detail/eventName")
            .ok_or(EventError::Missing { field: "detail.eventName" })?;
        Ok(Self {
            id: string(&root, "/id").unwrap_or_default(),
            account: account(&root, &name),
            time: string(&root, "/time").and_then(|text| text.parse().ok()),
            caller_role: string(&root, "/detail/userIdentity/sessionContext/sessionIssuer/arn"),
            source,
            name,
            json: text.to_owned(),
        })
    }

    /// What this event means to the update engine. Only names are looked at: no real
    /// body of the Service Catalog calls is documented.
    pub fn wake(&self) -> Wake {
        match (self.source.as_str(), self.name.as_str()) {
            (
                "aws.servicecatalog",
                "CreateProvisioningArtifact" | "UpdateProvisioningArtifact" | "UpgradeProduct",
            ) => Wake::Sweep,
            ("aws.controltower", "UpdateManagedAccount" | "CreateManagedAccount") => {
                self.account.clone().map_or(Wake::Sweep, Wake::Account)
            }
            ("aws.controltower", "SetupLandingZone" | "UpdateLandingZone") => Wake::Sweep,
            _ => Wake::None,
        }
    }
}

fn string(root: &Value, pointer: &str) -> Option<String> {
    root.pointer(pointer)?.as_str().map(str::to_owned)
}

/// The body is under a key named after the event, `createManagedAccountStatus`.
fn account(root: &Value, name: &str) -> Option<AccountId> {
    let mut letters = name.chars();
    let first = letters.next()?.to_ascii_lowercase();
    let key = format!("{first}{}Status", letters.as_str());
    root.pointer("/detail/serviceEventDetails")?
        .get(key)?
        .pointer("/account/accountId")?
        .as_str()?
        .parse()
        .ok()
}
