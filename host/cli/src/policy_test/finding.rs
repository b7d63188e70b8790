//! Compares the expected decision of a case with the actual one.

use std::fmt;

use groundcrew_core::decision::PolicyDecision;
use groundcrew_core::ports::PolicyFailure;

use super::cases::{Expect, Expected};

/// The result of a policy.
pub type PolicyOutcome = Result<PolicyDecision, PolicyFailure>;

/// Whether a result differs from the expected one. A missing field matches anything.
pub fn mismatches(expect: &Expect, outcome: &PolicyOutcome) -> bool {
    let (decision, lane, reason, until) = match outcome {
        Ok(PolicyDecision::Abstain) => (Expected::Abstain, None, None, None),
        Ok(PolicyDecision::Proceed(lane)) => (Expected::Proceed, lane.as_deref(), None, None),
        Ok(PolicyDecision::Skip(reason)) => (Expected::Skip, None, Some(reason.as_str()), None),
        Ok(PolicyDecision::Hold { until, reason, lane }) => {
            (Expected::Hold, lane.as_deref(), Some(reason.as_str()), Some(*until))
        }
        Err(failure) => (Expected::Failure, None, Some(failure.message.as_str()), None),
    };
    let reason_differs =
        |pattern: &regex::Regex| !reason.is_some_and(|text| pattern.is_match(text));
    decision != expect.decision
        || expect.lane.as_deref().is_some_and(|expected| lane != Some(expected))
        || expect.reason.as_ref().is_some_and(reason_differs)
        || expect.until.is_some_and(|expected| until != Some(expected))
}

/// A result in one line.
pub fn describe(outcome: &PolicyOutcome) -> String {
    match outcome {
        Ok(PolicyDecision::Abstain) => "abstain".to_owned(),
        Ok(PolicyDecision::Proceed(None)) => "proceed".to_owned(),
        Ok(PolicyDecision::Proceed(Some(lane))) => format!("proceed, lane \"{lane}\""),
        Ok(PolicyDecision::Skip(reason)) => format!("skip, reason \"{reason}\""),
        Ok(PolicyDecision::Hold { until, reason, lane }) => {
            let lane = lane.as_ref().map(|lane| format!(", lane \"{lane}\"")).unwrap_or_default();
            format!("hold{lane}, until {until}, reason \"{reason}\"")
        }
        Err(failure) => format!("failure, reason \"{}\"", failure.message),
    }
}

/// The expectation in one line, in the words of [`describe`].
impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.decision {
            Expected::Abstain => "abstain",
            Expected::Proceed => "proceed",
            Expected::Skip => "skip",
            Expected::Hold => "hold",
            Expected::Failure => "failure",
        })?;
        if let Some(lane) = &self.lane {
            write!(f, ", lane \"{lane}\"")?;
        }
        if let Some(until) = &self.until {
            write!(f, ", until {until}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ", reason matching \"{reason}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::decision::PolicyDecision::{Abstain, Proceed, Skip};
    use jiff::Timestamp;
    use rstest::rstest;

    fn hold(until: i64) -> PolicyOutcome {
        Ok(PolicyDecision::Hold {
            until: Timestamp::constant(until, 0),
            reason: "frozen".into(),
            lane: Some("canary".into()),
        })
    }

    fn failure() -> PolicyOutcome {
        let message = "`data.p.decision` is 7".into();
        Err(PolicyFailure { code: "shape".into(), message, transient: false })
    }

    #[rstest]
    #[case::bare(r#"decision = "proceed""#, Ok(Proceed(Some("a".into()))), true)]
    #[case::other_decision(r#"decision = "abstain""#, Ok(Proceed(None)), false)]
    #[case::lane("decision = 'proceed'\nlane = 'a'", Ok(Proceed(Some("a".into()))), true)]
    #[case::other_lane("decision = 'proceed'\nlane = 'a'", Ok(Proceed(Some("b".into()))), false)]
    #[case::no_lane("decision = 'proceed'\nlane = 'a'", Ok(Proceed(None)), false)]
    #[case::reason("decision = 'skip'\nreason = '^un'", Ok(Skip("untagged".into())), true)]
    #[case::other_reason("decision = 'skip'\nreason = 'x'", Ok(Skip("untagged".into())), false)]
    #[case::a_reason_of_nothing("decision = 'abstain'\nreason = ''", Ok(Abstain), false)]
    #[case::until("decision = 'hold'\nuntil = '1970-01-01T00:00:07Z'", hold(7), true)]
    #[case::other_until("decision = 'hold'\nuntil = '1970-01-01T00:00:07Z'", hold(8), false)]
    #[case::failure("decision = 'failure'\nreason = 'p.decision'", failure(), true)]
    #[case::unexpected_failure("decision = 'skip'", failure(), false)]
    fn what_is_written_must_be_so(
        #[case] expect: &str,
        #[case] outcome: PolicyOutcome,
        #[case] as_expected: bool,
    ) {
        let expect: Expect = toml::from_str(expect).unwrap();
        assert_eq!(
            mismatches(&expect, &outcome),
            !as_expected,
            "{expect} / {}",
            describe(&outcome)
        );
    }
}
