//! EventBridge events. They are parsed leniently: the events of AWS vary between versions, and an
//! event only triggers a check that a sweep would make as well.

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

/// The update engine has dead-lettered an account.
pub const ACCOUNT_UPDATE_FAILED: &str = "AccountUpdateFailed";

/// The source of groundcrew's own events.
const OWN_SOURCE: &str = "groundcrew";

/// An EventBridge event that groundcrew understands enough to act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// EventBridge's id of this delivery; a repeat of the event may have another one.
    pub id: String,
    /// For example `aws.controltower`.
    pub source: String,
    /// `detail.eventName`, for example `CreateManagedAccount`. For events that are neither API
    /// calls nor service events, the `detail-type`, for example `Scheduled Event`.
    pub name: String,
    /// When it happened, if the event has a time that can be parsed.
    pub time: Option<Timestamp>,
    /// The account that the event is about, where it names one.
    pub account: Option<AccountId>,
    /// ARN of the role whose call caused the event, for calls recorded by CloudTrail.
    pub caller_role: Option<String>,
    /// The event as it was received, for plugins and queues.
    pub json: String,
    /// The same, parsed.
    root: Value,
}

/// A text that is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct InvalidEvent {
    /// The text.
    pub text: String,
    /// Why it is not.
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
    /// It is another document of AWS.
    #[error("this is {what}; {advice}")]
    Other {
        /// The kind of document.
        what: &'static str,
        /// How to get an event.
        advice: &'static str,
    },
    /// A lifecycle event of an account whose account or state can't be read.
    #[error("the event {event} {problem}")]
    Lifecycle {
        /// Its name.
        event: String,
        /// What is wrong and what was expected.
        problem: String,
    },
}

/// The content of `CreateManagedAccount`, `UpdateManagedAccount` and, for an account,
/// `EnableBaseline`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedAccount {
    /// Control Tower has created, enrolled or updated the account.
    Succeeded {
        /// The account.
        id: AccountId,
        /// Its name, if the event has it.
        name: Option<String>,
        /// The OU that holds it, if the event has it.
        organizational_unit: Option<OrganizationalUnit>,
    },
    /// Control Tower failed; there may be no account.
    Failed {
        /// The message of Control Tower. Its wording changes.
        message: String,
    },
}

/// The effect of an event on the update engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateTrigger {
    /// Something that makes accounts outdated may have happened: sweep.
    Sweep,
    /// An operation on this account has ended: poll its record now.
    Account(AccountId),
    /// None.
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

    /// An event from a text that was already parsed.
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

    /// The account that was created, enrolled or updated, by this event; `None` for every other
    /// event.
    ///
    /// A baseline that was enabled on an account also means that the account is enrolled: with
    /// auto-enrolment there is no other event. This holds for any baseline, because any of them
    /// governs the account. A baseline of the management account is ignored.
    ///
    /// # Errors If it is such an event, but its state or account can't be read. The texts of its
    /// messages are never evaluated, because they change.
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
            // Still under change: another event follows at the end.
            _ => None,
        })
    }

    /// Whether it is the event of an account that was enrolled by a baseline, and not by Account
    /// Factory: with auto-enrolment there is no other event.
    pub fn is_enrolled_by_baseline(&self) -> bool {
        self.name == "EnableBaseline"
            && matches!(self.managed_account(), Ok(Some(ManagedAccount::Succeeded { .. })))
    }

    /// How it ended, if the event says so: `SUCCEEDED`, `FAILED` or a status of a baseline.
    pub fn state(&self) -> Option<String> {
        let state = status(&self.root, &self.name).and_then(|status| string(status, "/state"));
        state.or_else(|| string(baseline(&self.root, &self.name)?, "/statusSummary/status"))
    }

    /// The OU that the event is about, or that holds its account, if the event names only one. An
    /// event about a baseline has only the id of the OU.
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

    /// Whether CloudTrail recorded it as a call of Control Tower's API. Such a call has the name of
    /// the lifecycle event that it leads to, but not its result.
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

    /// Identifies what happened, to recognise repeats of the event: a repeat may have another id,
    /// but has the same content. The details of Control Tower, and of groundcrew's own events,
    /// include the times and the operation. Those of other services may be the same each time, so
    /// CloudTrail's id is added.
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

    /// The event that Control Tower would have sent for an enrolled account, with what is known
    /// when that event was lost.
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

    /// The event that the update engine has dead-lettered an account.
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

    /// An event in the form of Control Tower's lifecycle events.
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

    /// The event, parsed.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Whether groundcrew itself created the event. AWS does not deliver such an event.
    pub fn is_own(&self) -> bool {
        self.source == OWN_SOURCE
    }

    /// Whether a schedule sent it: time to sweep for accounts whose event was lost. EventBridge
    /// rules send `aws.events`; a target of EventBridge Scheduler gets groundcrew's own source.
    pub fn is_schedule(&self) -> bool {
        matches!(
            (self.source.as_str(), self.name.as_str()),
            ("aws.events" | "aws.scheduler", "Scheduled Event") | (OWN_SOURCE, "Sweep")
        )
    }

    /// The effect of this event on the update engine. Only names count: the bodies of the Service
    /// Catalog calls are not documented.
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

/// The key of the body of a lifecycle event, derived from its name: `createManagedAccountStatus`.
fn status_key(name: &str) -> Option<String> {
    let mut letters = name.chars();
    let first = letters.next()?.to_ascii_lowercase();
    Some(format!("{first}{}Status", letters.as_str()))
}

/// The body of a lifecycle event.
fn status<'v>(root: &'v Value, name: &str) -> Option<&'v Value> {
    root.pointer("/detail/serviceEventDetails")?.get(status_key(name)?)
}

/// The baseline in a baseline event: within its status, as in every lifecycle event, or without
/// one, as in older documentation.
fn baseline<'v>(root: &'v Value, name: &str) -> Option<&'v Value> {
    let within = |value: &'v Value| {
        value.get("enabledBaselineDetails").or_else(|| value.get("baselineDetails"))
    };
    let details = root.pointer("/detail/serviceEventDetails")?;
    status(root, name).and_then(within).or_else(|| within(details))
}

/// The OU of a status, if it names only one. The OUs of a landing zone are its parts, and its
/// events are not about them.
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
