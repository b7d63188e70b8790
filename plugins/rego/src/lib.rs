//! Asks a script in Rego what to do: OPA's language for policies, version 1.
//!
//! The script is one module, in a package of any name. Its rule `decision` is the answer, and
//! may be
//!
//! | value | meaning |
//! |---|---|
//! | `"abstain"` | the script has nothing to say about the candidate |
//! | `"proceed"` | do it |
//! | `{"proceed": lane}` | do it in that lane |
//! | `{"skip": reason}` | don't |
//! | `{"hold": reason, "until": time}` | not before then; RFC 3339, or nanoseconds as of Rego's `time` |
//!
//! Anything else is a [`Failure`], and so are an undefined `decision`, rules that contradict
//! each other, and a built-in function that fails: evaluation is strict. An error that silently
//! became undefined would turn `not frozen` true.
//!
//! - `input` is the candidate ([`mod@input`] has its form). What isn't known is absent. In
//!   particular, tags that can't be read are: a rule that looks at `input.account.tags` is
//!   undefined then, and `input.account.tags_unreadable` says why.
//! - `data` is what the user wrote, and `data.lanes` the names of the lanes in order.
//! - `time.now_ns()` is the candidate's time, `input.now_ns`.
//! - `print(…)` writes to the host's log.
//!
//! Three rules are optional, and evaluated when the script is loaded, without `input` or time:
//!
//! - `schema`, the form of its data, in a part of JSON Schema. The other two are asked only where
//!   the data has that form.
//! - `problems`, what else the script finds wrong with its data: texts, or objects with `message`
//!   and `at`, a JSON pointer into the data.
//! - `lanes`, the lanes that `decision` may name.
//!
//! There is no built-in function that reaches out or is not pure: no `http.send`,
//! `opa.runtime`, `rand.intn` or `uuid.rfc4122`. A script is refused when it is loaded if it
//! names what isn't there: a function, a variable, another script, a path below `input` or `data`,
//! a lane; or if it has a decision written out that is none, or rules that contradict each other
//! for certain.

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

/// The rule that decides.
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
