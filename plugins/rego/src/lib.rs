//! Evaluates a policy script in Rego, version 1: the policy language of OPA.
//!
//! The script is one module, in a package of any name. Its rule `decision` is the decision. Its
//! values are
//!
//! | value | meaning |
//! |---|---|
//! | `"abstain"` | the script makes no decision about the candidate |
//! | `"proceed"` | do it |
//! | `{"proceed": lane}` | do it in that lane |
//! | `{"skip": reason}` | don't |
//! | `{"hold": reason, "until": time}` | not before then; RFC 3339, or nanoseconds as of Rego's `time` |
//!
//! Anything else is a [`Failure`]. So are an undefined `decision`, rules that contradict each
//! other, and a built-in function that fails: evaluation is strict. If errors became undefined, as
//! in OPA's default mode, an error in `frozen` would make `not frozen` true.
//!
//! - `input` is the candidate ([`mod@input`] has its form). Unknown values are absent. So are tags
//!   that can't be read: a rule that uses `input.account.tags` is undefined then, and
//!   `input.account.tags_unreadable` contains the reason.
//! - `data` is the user's data, and `data.lanes` contains the names of the lanes in order.
//! - `time.now_ns()` is the candidate's time, `input.now_ns`.
//! - `print(…)` writes to the host's log.
//!
//! Three rules are optional, and evaluated when the script is loaded, without `input` or time:
//!
//! - `schema`, the form of its data, in a subset of JSON Schema. The other two are evaluated only
//!   if the data has that form.
//! - `problems`, other problems of its data that the script finds: texts, or objects with `message`
//!   and `at`, a JSON pointer into the data.
//! - `lanes`, the lanes that `decision` may name.
//!
//! No built-in function has side effects or is impure: there is no `http.send`, `opa.runtime`,
//! `rand.intn` or `uuid.rfc4122`. A script is refused when it is loaded if it names something that
//! doesn't exist: a function, a variable, another script, a path below `input` or `data`, or a
//! lane. It is also refused if it contains an invalid literal decision, or rules that certainly
//! contradict each other.

#![deny(missing_docs)]

mod analysis;
mod builtins;
mod coverage;
mod decision;
pub mod input;
mod message;
mod metadata;
mod names;
mod schema;
mod script;
mod settings;
#[cfg(test)]
mod tests;

use groundcrew_sdk::{Candidate, Context, Failure, NamedLanes, Policy, PolicyDecision, Problem};

use script::{Script, ScriptTime};
pub use settings::Settings;

/// The rule with the decision.
const DECISION: &str = "decision";

/// A script with its data.
pub struct Rego {
    script: Script,
    lanes: NamedLanes,
}

impl Policy for Rego {
    type Settings = Settings;

    fn configure(settings: Settings, context: &Context) -> Result<Self, Vec<Problem>> {
        let data = settings.data.clone().into();
        let script = Script::new(settings, context)?;
        let lanes = metadata::check(&script, &data, context)?;
        Ok(Self { script, lanes })
    }

    fn named_lanes(&self) -> NamedLanes {
        self.lanes.clone()
    }

    fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, Failure> {
        let invalid = |message: String| {
            Failure::invalid(DECISION, format!("{}: {message}", self.script.file()))
        };
        let now = ScriptTime::from_seconds(candidate.now).ok_or_else(|| {
            invalid(format!("{} is no time that Rego can express", candidate.now))
        })?;
        let input = input::from_candidate(candidate).map_err(invalid)?;
        let value = self
            .script
            .evaluate(DECISION, input, now)
            .map_err(|message| Failure::invalid(DECISION, message))?;
        decision::parse(&value)
            .map_err(|problem| invalid(format!("{} is {problem}", self.script.path(DECISION))))
    }
}

groundcrew_sdk::policy!(Rego);
