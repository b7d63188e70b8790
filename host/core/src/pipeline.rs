//! How the answers of several policies become one decision.

use jiff::Timestamp;

use crate::decision::Verdict;

/// What is done with a candidate, and whose word it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub outcome: Outcome,
    /// The policy that decided; `None` when the configured default did.
    pub policy: Option<String>,
}

/// What is done with a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, in this lane: an index into the configured lanes.
    Proceed {
        /// Index of the lane.
        lane: usize,
    },
    /// It is not done.
    Skip {
        /// Why.
        reason: String,
    },
    /// It is not done before a moment.
    Hold {
        /// The account is looked at again then.
        until: Timestamp,
        /// Why.
        reason: String,
    },
}

/// What happens to a candidate when every policy abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It is done, in the first lane.
    Proceed,
    /// It is skipped.
    Skip,
}

/// A policy named a lane that is not configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("named the lane `{lane}`, which is not one of [[lanes]]: {}", known.join(", "))]
pub struct UnknownLane {
    /// The name.
    pub lane: String,
    /// The names of the configured lanes.
    pub known: Vec<String>,
}

/// The answers heard so far about one candidate.
///
/// Policies are heard in the order of the config. The first skip or hold wins and ends
/// the hearing; otherwise the first lane named wins; when all abstain, the fallback does.
#[derive(Debug)]
pub struct Hearing<'a> {
    lanes: &'a [String],
    fallback: Fallback,
    now: Timestamp,
    /// The first policy that said to proceed.
    proceed: Option<String>,
    /// The first that named a lane.
    named: Option<(usize, String)>,
}

impl<'a> Hearing<'a> {
    /// Begins. `lanes` are the names of the configured lanes, in their order.
    pub fn new(lanes: &'a [String], fallback: Fallback, now: Timestamp) -> Self {
        Self { lanes, fallback, now, proceed: None, named: None }
    }

    /// Whether a verdict can be heard.
    ///
    /// # Errors
    /// When it names a lane that is not configured.
    pub fn check(&self, verdict: &Verdict) -> Result<(), UnknownLane> {
        match verdict {
            Verdict::Proceed(Some(lane)) => self.lane(lane).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Hears one policy. `Some` is the decision: no further policy needs to be asked.
    ///
    /// # Errors
    /// When the policy names a lane that is not configured. The hearing is as it was.
    pub fn hear(
        &mut self,
        policy: &str,
        verdict: Verdict,
    ) -> Result<Option<Decision>, UnknownLane> {
        let outcome = match verdict {
            Verdict::Abstain => return Ok(None),
            // A hold that is over holds nothing.
            Verdict::Hold { until, .. } if until <= self.now => return Ok(None),
            Verdict::Proceed(lane) => {
                if let Some(lane) = lane {
                    let index = self.lane(&lane)?;
                    self.named.get_or_insert_with(|| (index, policy.to_owned()));
                }
                self.proceed.get_or_insert_with(|| policy.to_owned());
                return Ok(None);
            }
            Verdict::Skip(reason) => Outcome::Skip { reason },
            Verdict::Hold { until, reason } => Outcome::Hold { until, reason },
        };
        Ok(Some(Decision { outcome, policy: Some(policy.to_owned()) }))
    }

    /// Concludes when every policy was heard and none skipped or held.
    pub fn conclude(self) -> Decision {
        match (self.named, self.proceed, self.fallback) {
            (Some((lane, policy)), _, _) => {
                Decision { outcome: Outcome::Proceed { lane }, policy: Some(policy) }
            }
            (None, Some(policy), _) => {
                Decision { outcome: Outcome::Proceed { lane: 0 }, policy: Some(policy) }
            }
            (None, None, Fallback::Proceed) => {
                Decision { outcome: Outcome::Proceed { lane: 0 }, policy: None }
            }
            (None, None, Fallback::Skip) => Decision {
                outcome: Outcome::Skip { reason: "every-policy-abstained".into() },
                policy: None,
            },
        }
    }

    fn lane(&self, name: &str) -> Result<usize, UnknownLane> {
        self.lanes
            .iter()
            .position(|lane| *lane == name)
            .ok_or_else(|| UnknownLane { lane: name.to_owned(), known: self.lanes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

    fn lane(name: &str) -> Verdict {
        Verdict::Proceed(Some(name.into()))
    }
    fn hold(seconds: i64) -> Verdict {
        Verdict::Hold {
            until: Timestamp::constant(1_000_000 + seconds, 0),
            reason: "freeze".into(),
        }
    }

    #[rstest]
    #[case::nobody_asked(vec![], Fallback::Proceed, "proceed 0 by -")]
    #[case::all_abstain_default_skip(vec![Verdict::Abstain], Fallback::Skip, "skip every-policy-abstained by -")]
    #[case::unnamed_lane_is_the_first(vec![Verdict::Abstain, Verdict::Proceed(None)], Fallback::Skip, "proceed 0 by p1")]
    #[case::first_named_lane_wins(vec![Verdict::Proceed(None), lane("b"), lane("a")], Fallback::Skip, "proceed 1 by p1")]
    #[case::skip_beats_an_earlier_lane(vec![lane("b"), Verdict::Skip("no".into())], Fallback::Proceed, "skip no by p1")]
    #[case::first_of_skip_and_hold(vec![hold(60), Verdict::Skip("no".into())], Fallback::Proceed, "hold freeze by p0")]
    #[case::a_hold_that_is_over(vec![hold(0), lane("b")], Fallback::Proceed, "proceed 1 by p1")]
    fn composition(
        #[case] verdicts: Vec<Verdict>,
        #[case] fallback: Fallback,
        #[case] expected: &str,
    ) {
        let lanes = ["a".to_owned(), "b".to_owned()];
        let mut hearing = Hearing::new(&lanes, fallback, NOW);
        let mut decision = None;
        for (index, verdict) in verdicts.into_iter().enumerate() {
            decision = hearing.hear(&format!("p{index}"), verdict).unwrap();
            if decision.is_some() {
                break;
            }
        }
        let Decision { outcome, policy } = decision.unwrap_or_else(|| hearing.conclude());
        let what = match outcome {
            Outcome::Proceed { lane } => format!("proceed {lane}"),
            Outcome::Skip { reason } => format!("skip {reason}"),
            Outcome::Hold { reason, .. } => format!("hold {reason}"),
        };
        assert_eq!(format!("{what} by {}", policy.as_deref().unwrap_or("-")), expected);
    }

    #[test]
    fn a_lane_that_is_not_configured_is_an_error_that_lists_those_that_are() {
        let lanes = ["a".to_owned(), "b".to_owned()];
        let mut hearing = Hearing::new(&lanes, Fallback::Proceed, NOW);
        let error = hearing.hear("p", lane("c")).unwrap_err();
        assert_eq!(error.to_string(), "named the lane `c`, which is not one of [[lanes]]: a, b");
        assert_eq!(hearing.conclude().policy, None);
    }
}
