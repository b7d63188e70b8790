//! The questions to policies, and their possible decisions.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use crate::account::{Account, Tags};
use crate::catalog::{ArtifactId, ProvisionedProduct};
use crate::event::Event;

/// What the host is about to do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    /// Notify other systems of an account that was created or enrolled.
    Onboard,
    /// Update an enrolled account to the current Account Factory version.
    Update,
    /// Create an account from a request.
    Vend,
}

/// Why the host considers the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Account Factory has a newer provisioning artifact.
    Artifact,
    /// The landing zone was updated.
    LandingZone,
    /// The account was moved to another OU.
    OrganizationalUnitMoved,
    /// The provisioned product is tainted and the operator wants it retried.
    Tainted,
    /// The provisioned product is in error and the operator wants it retried.
    Error,
    /// A lifecycle event.
    Lifecycle,
}

/// As the contract has it, and as it is written in JSON.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Artifact => "artifact",
            Self::LandingZone => "landing-zone",
            Self::OrganizationalUnitMoved => "organizational-unit-moved",
            Self::Tainted => "tainted",
            Self::Error => "error",
            Self::Lifecycle => "lifecycle",
        })
    }
}

/// What policies decide about.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What the host is about to do.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// The account.
    pub account: Arc<Account>,
    /// The account's tags.
    pub tags: Tags,
    /// The account's provisioned product and the artifact it would be updated to.
    pub product: Option<(ProvisionedProduct, ArtifactId)>,
    /// The event that led to the candidate, unless a sweep found the account.
    pub event: Option<Arc<Event>>,
    /// The host's time.
    pub now: Timestamp,
}

/// The decision of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyDecision {
    /// The policy has no opinion on this candidate.
    Abstain,
    /// Do it, in the lane of this name, or in the one that another policy names.
    Proceed(Option<String>),
    /// Don't, for this reason.
    Skip(String),
    /// Do not do it before a moment, for this reason.
    Hold {
        /// The policies are evaluated again then.
        until: Timestamp,
        /// Shown to the operator.
        reason: String,
        /// The lane in which the account waits, by its name; `None`: the one that the other
        /// policies name. The lanes after it may wait for the account: see
        /// [`WhenHeld`](crate::scheduler::WhenHeld).
        lane: Option<String>,
    },
}

/// The lanes that a policy may name, as it declares once its settings are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedLanes {
    /// It does not declare which lanes it may name.
    Any,
    /// It names these lanes and no others.
    Only(Vec<String>),
}

/// A setting that a plugin rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// JSON pointer into the settings; empty for the settings as a whole.
    pub at: String,
    /// What is wrong, what was expected and what to write instead.
    pub message: String,
}
