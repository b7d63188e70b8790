//! The findings of `groundcrew doctor`: one for each thing that has to be in place, with the fix.
//!
//! [`Facts`] are the data that was read, or why it could not be; [`evaluate`] turns them into
//! [`Finding`]s. Nothing here calls anything.
//!
//! A check *fails* if groundcrew can't do what the config requires. It *warns* if groundcrew works,
//! but not as intended. It is *unknown* if the required data could not be read; groundcrew itself
//! may be able to work.

mod account_factory;
mod caller;
mod control_tower;
mod facts;
mod grants;
mod ledger;
mod notifiers;
mod queues;
mod read_failure;
mod requests;
mod support;
mod topic;

use serde::Serialize;

pub use caller::Caller;
pub use facts::{
    AwsFacts, Facts, IdentityCenter, LandingZoneDetail, LandingZoneFacts, LedgerFacts, LedgerFile,
    Organization, Portfolio, Principal, ProductFacts, QueueFacts, TableFacts, UnitFacts,
};
pub use notifiers::{
    ConnectionFailure, ConnectionFailureKind, GrantFacts, NotifierFacts, Probe, SecretFacts,
};
pub use queues::{DeadLetterQueue, RedrivePolicy};
pub use read_failure::{ReadFailure, ReadFailureReason};
pub use support::granted_service_codes;

use crate::config::{Config, NotifierConfig};
use queues::QueueRole;

/// Data that was read, or why it could not be.
pub type Fact<T> = Result<T, ReadFailure>;

/// The subject of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // `name` says it
pub enum Check {
    Config,
    Credentials,
    Organization,
    HomeRegion,
    LandingZone,
    OrganizationalUnits,
    IdentityCenter,
    Product,
    Artifact,
    LaunchPath,
    Portfolio,
    UpdatesQueue,
    NotificationsQueue,
    EventsQueue,
    Topic,
    Ledger,
    Support,
    Notifiers,
}

impl Check {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Credentials => "credentials",
            Self::Organization => "organization",
            Self::HomeRegion => "home Region",
            Self::LandingZone => "landing zone",
            Self::OrganizationalUnits => "OUs",
            Self::IdentityCenter => "Identity Center",
            Self::Product => "product",
            Self::Artifact => "artifact",
            Self::LaunchPath => "launch path",
            Self::Portfolio => "portfolio",
            Self::UpdatesQueue => "updates queue",
            Self::NotificationsQueue => "notifications queue",
            Self::EventsQueue => "events queue",
            Self::Topic => "topic",
            Self::Ledger => "ledger",
            Self::Support => "support plan",
            Self::Notifiers => "notifier",
        }
    }

    /// The group that it belongs to.
    pub fn group(self) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::Credentials | Self::Organization => "Caller",
            Self::HomeRegion
            | Self::LandingZone
            | Self::OrganizationalUnits
            | Self::IdentityCenter => "Control Tower",
            Self::Product | Self::Artifact | Self::LaunchPath | Self::Portfolio => {
                "Account Factory"
            }
            Self::UpdatesQueue | Self::NotificationsQueue | Self::EventsQueue => "Queues",
            Self::Topic => "Alerts",
            Self::Ledger => "Ledger",
            Self::Support => "AWS Support",
            Self::Notifiers => "Other systems",
        }
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Everything is in order.
    Ok,
    /// groundcrew works, but not as intended.
    Warning,
    /// groundcrew can't do what the config requires.
    Failed,
    /// The data could not be read.
    Unknown,
    /// The config doesn't use it.
    NotConfigured,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check. A queue with three problems has three findings.
    pub check: Check,
    /// The result.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do, if there is something to do.
    pub fix: Option<String>,
}

impl Finding {
    /// Everything is in order.
    pub fn ok(check: Check, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), fix: None }
    }

    /// Not used by the config.
    pub fn not_configured(check: Check, found: impl Into<String>) -> Self {
        Self { check, status: Status::NotConfigured, found: found.into(), fix: None }
    }

    /// It works, but not as intended.
    pub fn warning(check: Check, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Warning, found: found.into(), fix: Some(fix.into()) }
    }

    /// It does not work.
    pub fn failed(check: Check, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Failed, found: found.into(), fix: Some(fix.into()) }
    }

    /// It is unknown.
    pub fn unknown(check: Check, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Unknown, found: found.into(), fix: Some(fix.into()) }
    }

    /// Not checked, because there are no AWS credentials.
    fn without_credentials(check: Check) -> Self {
        let found = "not checked: see the credentials".to_owned();
        Self { check, status: Status::Unknown, found, fix: None }
    }

    /// A failure that affects only updates is a warning if there are no updates.
    fn downgraded_without_updates(self, config: &Config) -> Self {
        match self.status {
            Status::Failed if config.queues.updates_url.is_none() => Self {
                status: Status::Warning,
                found: format!(
                    "{}. Only updates need it, and without queues.updates_url there are none",
                    self.found.trim_end_matches('.')
                ),
                ..self
            },
            _ => self,
        }
    }
}

/// Requests that a bundled notifier would make and that none of its grants covers, as far as its
/// settings show, each with the fix.
pub fn ungranted_requests(notifier: &NotifierConfig) -> Vec<Finding> {
    grants::ungranted_requests(notifier)
}

/// The findings for everything that was read, in the order in which they are shown.
pub fn evaluate(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![caller::credentials(&facts.caller)];
    match &facts.aws {
        Some(aws) => evaluate_aws(config, facts, aws, &mut findings),
        None => findings.extend(CHECKS_WITH_CREDENTIALS.map(Finding::without_credentials)),
    }
    findings.extend(ledger::ledger(facts));
    findings.extend(notifiers::notifiers(config, &facts.notifiers));
    findings.sort_by_key(|finding| finding.check);
    findings
}

/// The checks that are impossible without credentials. The ledger is not one of them, because it
/// may be a file.
const CHECKS_WITH_CREDENTIALS: [Check; 14] = [
    Check::Organization,
    Check::HomeRegion,
    Check::LandingZone,
    Check::OrganizationalUnits,
    Check::IdentityCenter,
    Check::Product,
    Check::Artifact,
    Check::LaunchPath,
    Check::Portfolio,
    Check::UpdatesQueue,
    Check::NotificationsQueue,
    Check::EventsQueue,
    Check::Topic,
    Check::Support,
];

fn evaluate_aws(config: &Config, facts: &Facts, aws: &AwsFacts, findings: &mut Vec<Finding>) {
    let caller = facts.caller.as_ref().ok();
    findings.push(caller::organization(config, caller, &aws.organization));
    findings.push(control_tower::home_region(config, &aws.landing_zone));
    findings.extend(control_tower::landing_zone(&aws.landing_zone));
    findings.push(control_tower::units(&aws.landing_zone, &aws.units));
    findings.push(control_tower::identity_center(config, &aws.landing_zone, &aws.identity_center));
    findings.extend(account_factory::evaluate(config, caller, &aws.product));
    let queues = &config.queues;
    for (role, url, queue) in [
        (QueueRole::Updates, &queues.updates_url, &aws.updates_queue),
        (QueueRole::Notifications, &queues.notifications_url, &aws.notifications_queue),
        (QueueRole::Events, &queues.events_url, &aws.events_queue),
    ] {
        findings.extend(queues::queue(config, role, url.as_deref(), queue.as_ref()));
    }
    findings.extend(topic::topic(config, aws.topic.as_ref()));
    findings.extend(support::support(config, aws.support_services.as_ref()));
}

/// `one`, `one and another`, `one, another and a third`.
fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `1 account`, `2 accounts`.
fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
