//! The trait that the author of a policy implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Candidate, Context, Failure, NamedLanes, PolicyDecision, Problem};

/// A policy: decides whether, when and in which lane groundcrew does something.
pub trait Policy: Sized + 'static {
    /// The user's settings under `[policies.settings]`. They are checked against their JSON Schema
    /// before [`configure`](Self::configure) gets them; `#[serde(deny_unknown_fields)]` makes a
    /// misspelt key an error.
    type Settings: DeserializeOwned + JsonSchema;

    /// Makes the policy from its settings.
    ///
    /// # Errors
    /// All problems of the settings that the schema can't express, at once.
    fn configure(settings: Self::Settings, context: &Context) -> Result<Self, Vec<Problem>>;

    /// The lanes that [`evaluate`](Self::evaluate) may name. With this the host finds lanes that no
    /// policy names.
    fn named_lanes(&self) -> NamedLanes {
        NamedLanes::Any
    }

    /// Decides. A pure function of the candidate and the settings.
    ///
    /// # Errors
    /// When no decision can be made. To decide against an update is not an error: it is
    /// [`PolicyDecision::Skip`].
    fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, Failure>;
}
