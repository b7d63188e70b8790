//! EventBridge events, parsed leniently: what AWS sends varies between versions, and
//! an event is never more than a wake-up or a hint.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::account::{Account, AccountId, OrganizationalUnit};
use crate::baseline::BaselineTarget;
use crate::envelope;
use crate::ports::DeadLetter;

/// Names of Control Tower's lifecycle events, and of groundcrew's own
/// [`ACCOUNT_UPDATE_FAILED`]. Source: "Lifecycle events in AWS Control Tower".
pub const EVENT_NAMES: [&str; 14] = [
    "CreateManagedAccount",
    "UpdateManagedAccount",
    "SetupLandingZone",
    "UpdateLandingZone",
    "RegisterOrganizationalUnit",
    "DeregisterOrganizationalUnit",
    "PrecheckOrganizationalUnit",
    "EnableGuardrail",
    "DisableGuardrail",
    "EnableBaseline",
    "ResetEnabledBaseline",
    "UpdateEnabledBaseline",
    "DisableBaseline",
    ACCOUNT_UPDATE_FAILED,
];

/// An account was given up by the update engine.
pub const ACCOUNT_UPDATE_FAILED: &str = "AccountUpdateFailed";

/// The source of this host's own events.
const OWN_SOURCE: &str = "groundcrew";

/// An EventBridge event that groundcrew understands enough to act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// EventBridge's id of this delivery; a repeated event may carry another one.
    pub id: String,
    /// For example `aws.controltower`.
    pub source: String,
    /// `detail.eventName`, for example `CreateManagedAccount`; of events that are no API
    /// call and no service event, the `detail-type`, for example `Scheduled Event`.
    pub name: String,
    /// When it happened, where the event says so in a form that can be read.
    pub time: Option<Timestamp>,
    /// The account that the event is about, where it names one.
    pub account: Option<AccountId>,
    /// ARN of the role whose call caused the event, for calls recorded by CloudTrail.
    pub caller_role: Option<String>,
    /// The event as it came, for plugins and queues.
    pub json: String,
    /// The same, read.
    root: Value,
}

/// A text that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct InvalidEvent {
    /// The text.
    pub text: String,
    /// Why it is none.
    pub error: EventError,
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
    /// It is something else that AWS writes.
    #[error("this is {what}; {advice}")]
    Other {
        /// What it looks like.
        what: &'static str,
        /// How to get an event.
        advice: &'static str,
    },
    /// An account was created, enrolled or updated, but which or how is not told as it should be.
    #[error("the event {event} {problem}")]
    Lifecycle {
        /// Its name.
        event: String,
        /// What is wrong and what was expected.
        problem: String,
    },
}

/// What `CreateManagedAccount`, `UpdateManagedAccount` and, of an account, `EnableBaseline` tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedAccount {
    /// Control Tower has created, enrolled or updated the account.
    Succeeded {
        /// The account.
        id: AccountId,
        /// Its name, where the event tells.
        name: Option<String>,
        /// The OU that holds it, where the event tells.
        organizational_unit: Option<OrganizationalUnit>,
    },
    /// Control Tower could not; there may be no account.
    Failed {
        /// What Control Tower says, in words that change.
        message: String,
    },
}

/// What an event means to the update engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateTrigger {
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
    /// When the text is not JSON, or lacks `source`, or `detail.eventName` where it comes by
    /// CloudTrail.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        let root: Value =
            serde_json::from_str(text).map_err(|error| EventError::NotJson(error.to_string()))?;
        Self::from_json_value(text.to_owned(), root)
    }

    /// The event of a text that was read already.
    pub(crate) fn from_json_value(json: String, root: Value) -> Result<Self, EventError> {
        let source = string(&root, "/source").ok_or_else(|| {
            let other = envelope::describe_non_event(&root);
            other.map_or(EventError::Missing { field: "source" }, |(what, advice)| {
                EventError::Other { what, advice }
            })
        })?;
        let other = || {
            let kind = string(&root, "/detail-type")?;
            (!kind.ends_with("via CloudTrail")).then_some(kind)
        };
        let name = string(&root, "/detail/eventName")
            .or_else(other)
            .ok_or(EventError::Missing { field: "detail.eventName" })?;
        Ok(Self {
            id: string(&root, "/id").unwrap_or_default(),
            account: account(&root, &name),
            time: string(&root, "/time").and_then(|text| text.parse().ok()),
            caller_role: string(&root, "/detail/userIdentity/sessionContext/sessionIssuer/arn"),
            source,
            name,
            json,
            root,
        })
    }

    /// What the event tells of an account that landed; `None` for every other event.
    ///
    /// A baseline that was enabled on an account tells that it landed: with auto-enrolment no other
    /// event does. Whichever baseline it is, the account is governed from then on. That of the
    /// management account tells nothing new.
    ///
    /// # Errors
    /// When it is such an event, but its state or account can't be read. The texts of its
    /// messages are never looked at: they change.
    pub fn managed_account(&self) -> Result<Option<ManagedAccount>, EventError> {
        if self.source != "aws.controltower" || self.is_api_call() {
            return Ok(None);
        }
        match self.name.as_str() {
            "CreateManagedAccount" | "UpdateManagedAccount" => self.factory_account().map(Some),
            "EnableBaseline" => self.baseline_account(),
            _ => Ok(None),
        }
    }

    fn lifecycle_error(&self, problem: String) -> EventError {
        EventError::Lifecycle { event: self.name.clone(), problem }
    }

    /// The account that Account Factory has created, enrolled or updated.
    fn factory_account(&self) -> Result<ManagedAccount, EventError> {
        let lifecycle_error = |problem: String| self.lifecycle_error(problem);
        let path =
            format!("detail.serviceEventDetails.{}", status_key(&self.name).unwrap_or_default());
        let status = status(&self.root, &self.name)
            .ok_or_else(|| lifecycle_error(format!("has no `{path}`")))?;
        let text = |pointer: &str| string(status, pointer);
        let state = text("/state").ok_or_else(|| {
            lifecycle_error(format!("has no `{path}.state`: expected `SUCCEEDED` or `FAILED`"))
        })?;
        match state.as_str() {
            "SUCCEEDED" => {}
            "FAILED" => {
                let message = text("/message").unwrap_or_default();
                return Ok(ManagedAccount::Failed { message });
            }
            other => {
                let problem =
                    format!("has the `{path}.state` {other:?}: expected `SUCCEEDED` or `FAILED`");
                return Err(lifecycle_error(problem));
            }
        }
        let id = text("/account/accountId").ok_or_else(|| {
            lifecycle_error(format!("has no `{path}.account.accountId`: expected twelve digits"))
        })?;
        let id = id.parse().map_err(|_| {
            lifecycle_error(format!(
                "has the `{path}.account.accountId` {id:?}: expected twelve digits"
            ))
        })?;
        Ok(ManagedAccount::Succeeded {
            id,
            name: text("/account/accountName"),
            organizational_unit: unit(status),
        })
    }

    /// The account that a baseline was enabled on, if it was one.
    fn baseline_account(&self) -> Result<Option<ManagedAccount>, EventError> {
        let path = format!(
            "detail.serviceEventDetails.{}.enabledBaselineDetails",
            status_key(&self.name).unwrap_or_default()
        );
        let details = baseline(&self.root, &self.name)
            .ok_or_else(|| self.lifecycle_error(format!("has no `{path}`")))?;
        let arn = string(details, "/targetIdentifier").ok_or_else(|| {
            let expected = "expected the ARN of an account or of an OU";
            self.lifecycle_error(format!("has no `{path}.targetIdentifier`: {expected}"))
        })?;
        let BaselineTarget::Account { id, is_management: false } = BaselineTarget::from_arn(&arn)
        else {
            return Ok(None);
        };
        let state = string(details, "/statusSummary/status").ok_or_else(|| {
            let expected = "expected `SUCCEEDED` or `FAILED`";
            self.lifecycle_error(format!("has no `{path}.statusSummary.status`: {expected}"))
        })?;
        Ok(match state.as_str() {
            "SUCCEEDED" => {
                Some(ManagedAccount::Succeeded { id, name: None, organizational_unit: None })
            }
            "FAILED" => Some(ManagedAccount::Failed { message: String::new() }),
            // Still under change: another event tells how it ended.
            _ => None,
        })
    }

    /// Whether it tells of an account that landed, and is no event of Account Factory: with
    /// auto-enrolment no other comes.
    pub fn is_enrolled_by_baseline(&self) -> bool {
        self.name == "EnableBaseline"
            && matches!(self.managed_account(), Ok(Some(ManagedAccount::Succeeded { .. })))
    }

    /// How it ended, where the event says so: `SUCCEEDED`, `FAILED` or a status of a baseline.
    pub fn state(&self) -> Option<String> {
        let state = status(&self.root, &self.name).and_then(|status| string(status, "/state"));
        state.or_else(|| string(baseline(&self.root, &self.name)?, "/statusSummary/status"))
    }

    /// The OU that the event is about, or that holds the account that it is about, where it names
    /// one alone. Of a baseline's only the id is known.
    pub fn organizational_unit(&self) -> Option<OrganizationalUnit> {
        let status = status(&self.root, &self.name);
        if let Some(unit) = status.and_then(unit) {
            return Some(unit);
        }
        let arn = string(baseline(&self.root, &self.name)?, "/targetIdentifier")?;
        match BaselineTarget::from_arn(&arn) {
            BaselineTarget::OrganizationalUnit(id) => {
                Some(OrganizationalUnit { id, name: String::new() })
            }
            _ => None,
        }
    }

    /// Whether CloudTrail has recorded it as a call of Control Tower's API. Such a call has the name
    /// of the lifecycle event that it leads to, and tells nothing of how it ends.
    pub fn is_api_call(&self) -> bool {
        let root = &self.root;
        let is = |pointer: &str, expected: &str| {
            root.pointer(pointer).and_then(Value::as_str) == Some(expected)
        };
        self.source == "aws.controltower"
            && root.pointer("/detail/serviceEventDetails").is_none_or(Value::is_null)
            && (is("/detail-type", "AWS API Call via CloudTrail")
                || is("/detail/eventType", "AwsApiCall"))
    }

    /// What happened, for telling repeats of the event from another: a repeat may carry
    /// another id, but says the same. Control Tower's details, and this host's own, have the times
    /// and the operation; those of other services may be the same each time, so that CloudTrail's id
    /// belongs to it.
    pub fn dedup_content(&self) -> String {
        let part =
            |pointer: &str| self.root.pointer(pointer).filter(|part| !part.is_null()).cloned();
        let details = part("/detail/serviceEventDetails");
        let details = match (details, part("/detail/eventID")) {
            (Some(details), _)
                if matches!(self.source.as_str(), "aws.controltower" | OWN_SOURCE) =>
            {
                details
            }
            (Some(details), Some(id)) => json!([details, id]),
            (Some(details), None) => json!([details, part("/time")]),
            (None, Some(id)) => id,
            (None, None) => Value::from(self.id.as_str()),
        };
        format!("{} {} {details}", self.source, self.name)
    }

    /// What Control Tower would have said of an account that landed, as far as that is known
    /// when its event was lost.
    pub fn for_enrolled_account(account: &Account) -> Self {
        let name = "CreateManagedAccount";
        let mut status = json!({
            "account": { "accountName": account.name, "accountId": account.id.as_str() },
            "state": "SUCCEEDED",
        });
        if let Some(unit) = account.organizational_units.last() {
            status["organizationalUnit"] =
                json!({ "organizationalUnitName": unit.name, "organizationalUnitId": unit.id });
        }
        Self::lifecycle("aws.controltower", name, Some(account.id.clone()), None, status)
    }

    /// That the update engine has given up an account.
    pub fn for_dead_letter(dead_letter: &DeadLetter, at: Timestamp) -> Self {
        let status = json!({
            "account": { "accountId": dead_letter.account.as_str() },
            "state": "FAILED",
            "message": dead_letter.reason,
            "lane": dead_letter.lane,
            "provisionedProductId": dead_letter.provisioned_product.as_str(),
            "provisioningArtifactId": dead_letter.target.as_str(),
            "failedUpdates": dead_letter.attempts,
            "redriven": dead_letter.redriven,
        });
        let account = Some(dead_letter.account.clone());
        Self::lifecycle(OWN_SOURCE, ACCOUNT_UPDATE_FAILED, account, Some(at), status)
    }

    /// An event in the form of Control Tower's.
    fn lifecycle(
        source: &str,
        name: &str,
        account: Option<AccountId>,
        time: Option<Timestamp>,
        status: Value,
    ) -> Self {
        let key = status_key(name).unwrap_or_default();
        let mut root = json!({
            "version": "0",
            "detail-type": "AWS Service Event via CloudTrail",
            "source": source,
            "resources": [],
            "detail": { "eventName": name, "serviceEventDetails": { key: status } },
        });
        if let Some(time) = time {
            root["time"] = time.to_string().into();
        }
        Self {
            id: String::new(),
            source: source.to_owned(),
            name: name.to_owned(),
            time,
            account,
            caller_role: None,
            json: root.to_string(),
            root,
        }
    }

    /// The event, read.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Whether it tells of what this host did itself: then AWS delivers it to nobody.
    pub fn is_own(&self) -> bool {
        self.source == OWN_SOURCE
    }

    /// Whether a schedule sent it: time to look for what lost events would have told.
    /// EventBridge rules send `aws.events`; an EventBridge Scheduler target is given this
    /// host's own source.
    pub fn is_schedule(&self) -> bool {
        matches!(
            (self.source.as_str(), self.name.as_str()),
            ("aws.events" | "aws.scheduler", "Scheduled Event") | (OWN_SOURCE, "Sweep")
        )
    }

    /// What this event means to the update engine. Only names are looked at: no real
    /// body of the Service Catalog calls is documented.
    pub fn update_trigger(&self) -> UpdateTrigger {
        if self.is_api_call() {
            return UpdateTrigger::None;
        }
        match (self.source.as_str(), self.name.as_str()) {
            (
                "aws.servicecatalog",
                "CreateProvisioningArtifact" | "UpdateProvisioningArtifact" | "UpgradeProduct",
            ) => UpdateTrigger::Sweep,
            ("aws.controltower", "UpdateManagedAccount" | "CreateManagedAccount") => {
                self.account.clone().map_or(UpdateTrigger::Sweep, UpdateTrigger::Account)
            }
            ("aws.controltower", "SetupLandingZone" | "UpdateLandingZone") => UpdateTrigger::Sweep,
            _ => UpdateTrigger::None,
        }
    }
}

fn string(root: &Value, pointer: &str) -> Option<String> {
    root.pointer(pointer)?.as_str().map(str::to_owned)
}

/// The key of an event's body, named after the event: `createManagedAccountStatus`.
fn status_key(name: &str) -> Option<String> {
    let mut letters = name.chars();
    let first = letters.next()?.to_ascii_lowercase();
    Some(format!("{first}{}Status", letters.as_str()))
}

/// The body of a lifecycle event.
fn status<'v>(root: &'v Value, name: &str) -> Option<&'v Value> {
    root.pointer("/detail/serviceEventDetails")?.get(status_key(name)?)
}

/// What a baseline event says of its baseline: within its status, as every lifecycle event has one,
/// or without it, as older descriptions have it.
fn baseline<'v>(root: &'v Value, name: &str) -> Option<&'v Value> {
    let within = |value: &'v Value| {
        value.get("enabledBaselineDetails").or_else(|| value.get("baselineDetails"))
    };
    let details = root.pointer("/detail/serviceEventDetails")?;
    status(root, name).and_then(within).or_else(|| within(details))
}

/// The OU of a status, if it names one alone. Those of a landing zone are what it is made of, and
/// not what its events are about.
fn unit(status: &Value) -> Option<OrganizationalUnit> {
    let several = status.get("organizationalUnits").filter(|_| status.get("guardrails").is_some());
    let several = several.and_then(Value::as_array);
    let unit = status.get("organizationalUnit").or_else(|| match several?.as_slice() {
        [unit] => Some(unit),
        _ => None,
    })?;
    let field = |field: &str| string(unit, &format!("/organizationalUnit{field}"));
    match (field("Id"), field("Name")) {
        (None, None) => None,
        (id, name) => {
            Some(OrganizationalUnit { id: id.unwrap_or_default(), name: name.unwrap_or_default() })
        }
    }
}

fn account(root: &Value, name: &str) -> Option<AccountId> {
    let named = status(root, name).and_then(|status| string(status, "/account/accountId"));
    match named {
        Some(id) => id.parse().ok(),
        None => {
            let arn = string(baseline(root, name)?, "/targetIdentifier")?;
            BaselineTarget::from_arn(&arn).account().cloned()
        }
    }
}
