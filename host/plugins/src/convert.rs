//! Conversion between the contract's types and core's own: what both worlds share, and candidates
//! and decisions. Notifications and receipts are in [`crate::delivery`].

use std::collections::BTreeMap;

use groundcrew_core::account::{Account, AccountState, Tags};
use groundcrew_core::catalog::{ArtifactId, ProductStatus, ProvisionedProduct};
use groundcrew_core::decision::{
    Action, Candidate, Cause, NamedLanes, PolicyDecision, SettingProblem,
};
use groundcrew_core::event::Event;
use jiff::Timestamp;
use tracing::Level;

use crate::bindings::exports::groundcrew::plugin::{decide, settings};
use crate::bindings::groundcrew::plugin::{log, types};
use crate::call_error::CallError;

/// Longest reason and lane name, in bytes. They are shown in logs and tables.
const MAX_TEXT: usize = 1 << 10;
/// Bytes of a failure's message that are kept.
const MAX_MESSAGE: usize = 4 << 10;

/// What a borrowed account borrows from, in addition to the account itself.
pub(crate) struct AccountParts<'a> {
    tags: Vec<types::Tag<'a>>,
    units: Vec<types::OrganizationalUnit<'a>>,
}

impl<'a> AccountParts<'a> {
    pub(crate) fn new(account: &'a Account, tags: &'a Tags) -> Self {
        let tags = match tags {
            Tags::Known(tags) => lower_tags(tags),
            Tags::Unreadable(_) => Vec::new(),
        };
        let units = account.organizational_units.iter();
        let units = units
            .map(|unit| types::OrganizationalUnit { id: &unit.id, name: &unit.name })
            .collect();
        Self { tags, units }
    }
}

fn lower_tags(tags: &BTreeMap<String, String>) -> Vec<types::Tag<'_>> {
    tags.iter().map(|(key, value)| types::Tag { key, value }).collect()
}

/// The candidate as the plugin sees it. Nothing is copied on the host's side.
pub(crate) fn candidate<'a>(
    candidate: &'a Candidate,
    parts: &'a AccountParts<'a>,
) -> types::Candidate<'a> {
    types::Candidate {
        action: candidate.action.into(),
        cause: candidate.cause.into(),
        account: account(&candidate.account, &candidate.tags, parts),
        product: candidate.product.as_ref().map(|(product, target)| lower_product(product, target)),
        event: candidate.event.as_deref().map(event),
        now: candidate.now.as_second(),
    }
}

/// The account as the plugin sees it, its tags included.
pub(crate) fn account<'a>(
    account: &'a Account,
    tags: &'a Tags,
    parts: &'a AccountParts<'a>,
) -> types::Account<'a> {
    types::Account {
        id: account.id.as_str(),
        name: &account.name,
        email: &account.email,
        organizational_units: &parts.units,
        tags: match tags {
            Tags::Known(_) => types::Tags::Known(&parts.tags),
            Tags::Unreadable(why) => types::Tags::Unreadable(why),
        },
        joined: account.joined.map(Timestamp::as_second),
        state: account.state.into(),
    }
}

/// No account, as the plugin sees it: all fields are empty.
pub(crate) fn no_account<'a>() -> types::Account<'a> {
    types::Account {
        id: "",
        name: "",
        email: "",
        organizational_units: &[],
        tags: types::Tags::Known(&[]),
        joined: None,
        state: types::AccountState::Unknown,
    }
}

/// The event as the plugin sees it.
pub(crate) fn event(event: &Event) -> types::Event<'_> {
    types::Event { id: &event.id, name: &event.name, source: &event.source, json: &event.json }
}

fn lower_product<'a>(
    product: &'a ProvisionedProduct,
    target: &'a ArtifactId,
) -> types::ProvisionedProduct<'a> {
    types::ProvisionedProduct {
        id: product.id.as_str(),
        name: &product.name,
        status: product.status.into(),
        artifact: product.artifact.as_str(),
        target_artifact: target.as_str(),
    }
}

impl From<Option<AccountState>> for types::AccountState {
    fn from(state: Option<AccountState>) -> Self {
        match state {
            None => Self::Unknown,
            Some(AccountState::PendingActivation) => Self::PendingActivation,
            Some(AccountState::Active) => Self::Active,
            Some(AccountState::Suspended) => Self::Suspended,
            Some(AccountState::PendingClosure) => Self::PendingClosure,
            Some(AccountState::Closed) => Self::Closed,
        }
    }
}

impl From<Action> for types::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Onboard => Self::Onboard,
            Action::Update => Self::Update,
            Action::Vend => Self::Vend,
        }
    }
}

impl From<Cause> for types::Cause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Artifact => Self::Artifact,
            Cause::LandingZone => Self::LandingZone,
            Cause::OrganizationalUnitMoved => Self::OrganizationalUnitMoved,
            Cause::Tainted => Self::Tainted,
            Cause::Error => Self::Error,
            Cause::Lifecycle => Self::Lifecycle,
        }
    }
}

impl From<ProductStatus> for types::ProductStatus {
    fn from(status: ProductStatus) -> Self {
        match status {
            ProductStatus::Available => Self::Available,
            ProductStatus::UnderChange => Self::UnderChange,
            ProductStatus::Tainted => Self::Tainted,
            ProductStatus::Error => Self::Error,
            ProductStatus::PlanInProgress => Self::PlanInProgress,
        }
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Debug => Self::DEBUG,
            log::Level::Info => Self::INFO,
            log::Level::Warn => Self::WARN,
            log::Level::Error => Self::ERROR,
        }
    }
}

impl From<settings::NamedLanes> for NamedLanes {
    fn from(lanes: settings::NamedLanes) -> Self {
        match lanes {
            settings::NamedLanes::Any => Self::Any,
            settings::NamedLanes::Only(names) => Self::Only(names),
        }
    }
}

pub(crate) fn problem(problem: types::Problem) -> SettingProblem {
    SettingProblem { at: problem.at, message: problem.message }
}

/// The plugin's decision, checked.
pub(crate) fn policy_decision(
    plugin: &str,
    lanes: &[String],
    answer: Result<decide::PolicyDecision, types::Failure>,
) -> Result<PolicyDecision, CallError> {
    let invalid = |reason: String| CallError::invalid(plugin, reason);
    match answer.map_err(|error| failure(plugin, error))? {
        decide::PolicyDecision::Abstain => Ok(PolicyDecision::Abstain),
        decide::PolicyDecision::Proceed(None) => Ok(PolicyDecision::Proceed(None)),
        decide::PolicyDecision::Proceed(Some(lane)) => {
            Ok(PolicyDecision::Proceed(Some(known_lane(lane, lanes).map_err(invalid)?)))
        }
        decide::PolicyDecision::Skip(reason) => {
            check_reason(&reason).map_err(invalid)?;
            Ok(PolicyDecision::Skip(reason))
        }
        decide::PolicyDecision::Hold(decide::PolicyHold { until, reason, lane }) => {
            check_reason(&reason).map_err(invalid)?;
            let lane = lane.map(|lane| known_lane(lane, lanes)).transpose().map_err(invalid)?;
            let until = Timestamp::from_second(until)
                .map_err(|error| invalid(format!("it holds until {until}: {error}")))?;
            Ok(PolicyDecision::Hold { until, reason, lane })
        }
    }
}

/// A lane that a policy names, which must be one of the config.
fn known_lane(mut lane: String, lanes: &[String]) -> Result<String, String> {
    if lanes.contains(&lane) {
        return Ok(lane);
    }
    truncate(&mut lane, MAX_TEXT);
    Err(format!("no lane is called {lane:?}, expected one of: {}", lanes.join(", ")))
}

pub(crate) fn check_reason(reason: &str) -> Result<(), String> {
    match reason.len() {
        0 => Err("a reason is empty: expected a short text".to_owned()),
        length if length > MAX_TEXT => {
            Err(format!("a reason has {length} bytes: expected at most {MAX_TEXT}"))
        }
        _ => Ok(()),
    }
}

fn failure(plugin: &str, failure: types::Failure) -> CallError {
    let types::Failure { kind, code, message, .. } = truncate_failure(failure);
    CallError::Failure {
        plugin: plugin.to_owned(),
        code,
        message,
        transient: kind == types::FailureKind::Transient,
    }
}

/// The failure with texts of a bounded length: they are shown in logs and alerts.
pub(crate) fn truncate_failure(mut failure: types::Failure) -> types::Failure {
    truncate(&mut failure.code, MAX_TEXT);
    truncate(&mut failure.message, MAX_MESSAGE);
    failure
}

pub(crate) fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
}
