//! What a plugin author writes.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Candidate, Context, Failure, NamedLanes, PolicyDecision, Problem};

/// A policy: decides whether, when and in which lane something is done.
pub trait Policy: Sized + 'static {
    /// What the user writes under `[policies.settings]`. Its JSON Schema is checked
    /// before [`configure`](Self::configure) sees it; `#[serde(deny_unknown_fields)]`
    /// makes a misspelt key an error.
    type Settings: DeserializeOwned + JsonSchema;

    /// Takes the settings.
    ///
    /// # Errors
    /// Everything that is wrong with them and that the schema can't say, all at once.
    fn configure(settings: Self::Settings, context: &Context) -> Result<Self, Vec<Problem>>;

    /// Which lanes [`evaluate`](Self::evaluate) may name. Saying so lets the host find
    /// lanes that nothing can reach.
    fn named_lanes(&self) -> NamedLanes {
        NamedLanes::Any
    }

    /// Decides. A pure function of the candidate and the settings.
    ///
    /// # Errors
    /// When no decision can be made. Saying no is not an error: it is [`PolicyDecision::Skip`].
    fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, Failure>;
}
