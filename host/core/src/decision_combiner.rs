//! How the decisions of several policies become one.

use jiff::Timestamp;
use strum::{Display, EnumString, VariantNames};

use crate::decision::PolicyDecision;
use crate::lane::{LaneId, LaneNames};

/// The final decision about a candidate, and the policy that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalDecision {
    /// The decision.
    pub outcome: DecisionOutcome,
    /// The policy that decided; `None` if the configured default did.
    pub policy: Option<String>,
}

/// The final decision about a candidate, without its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionOutcome {
    /// It is done.
    Proceed {
        /// In this lane.
        lane: LaneId,
    },
    /// It is skipped.
    Skip {
        /// Why.
        reason: String,
    },
    /// It is held until a moment.
    Hold {
        /// The policies are evaluated again then.
        until: Timestamp,
        /// Why.
        reason: String,
        /// The lane in which it waits. `None` if the policies after the one that holds would skip
        /// it, so that it will never be in a lane.
        lane: Option<LaneId>,
    },
}

/// What happens to a candidate when every policy abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
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

/// Combines the decisions of the policies about one candidate.
///
/// Policies are added in the order of the config. The first skip or hold wins. Otherwise the first
/// named lane wins. If all policies abstain, the fallback applies.
///
/// A skip ends the evaluation. So does a hold whose lane is known, because the policy itself or an
/// earlier one named it. After a hold without a lane, the policies that follow are evaluated for
/// the lane only: the account waits in the lane that it would have without the hold.
#[derive(Debug)]
pub struct DecisionCombiner<'a> {
    lanes: &'a LaneNames,
    fallback: Fallback,
    now: Timestamp,
    /// Whether the lane in which a held account waits matters.
    lane_matters: bool,
    /// The first hold, if its lane is not found yet: until when, why, and by which policy.
    held: Option<(Timestamp, String, String)>,
    /// The first policy that decided to proceed.
    proceed: Option<String>,
    /// The first policy that named a lane, and the lane.
    named: Option<(LaneId, String)>,
}

impl<'a> DecisionCombiner<'a> {
    /// Before any policy.
    pub fn new(lanes: &'a LaneNames, fallback: Fallback, now: Timestamp) -> Self {
        Self { lanes, fallback, now, lane_matters: true, held: None, proceed: None, named: None }
    }

    /// The same for an action without lanes: a hold ends the evaluation.
    pub fn without_lanes(self) -> Self {
        Self { lane_matters: false, ..self }
    }

    /// Whether a decision is valid.
    ///
    /// # Errors If it names a lane that is not configured.
    pub fn check(&self, policy_decision: &PolicyDecision) -> Result<(), UnknownLane> {
        match policy_decision {
            PolicyDecision::Proceed(Some(lane)) | PolicyDecision::Hold { lane: Some(lane), .. } => {
                self.lane(lane).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Adds the decision of one policy. `Some` is the final decision: no further policy needs to be
    /// evaluated.
    ///
    /// # Errors If the policy names a lane that is not configured. The combiner is then unchanged.
    pub fn add(
        &mut self,
        policy: &str,
        policy_decision: PolicyDecision,
    ) -> Result<Option<FinalDecision>, UnknownLane> {
        match policy_decision {
            PolicyDecision::Abstain => Ok(None),
            // A hold whose time has passed holds nothing.
            PolicyDecision::Hold { until, .. } if until <= self.now => Ok(None),
            PolicyDecision::Proceed(lane) => {
                if let Some(lane) = lane {
                    let lane = self.lane(&lane)?;
                    self.named.get_or_insert_with(|| (lane, policy.to_owned()));
                }
                self.proceed.get_or_insert_with(|| policy.to_owned());
                Ok(self.hold_in_named_lane())
            }
            PolicyDecision::Skip(reason) => Ok(Some(match self.held.take() {
                Some(held) => hold(held, None),
                None => FinalDecision {
                    outcome: DecisionOutcome::Skip { reason },
                    policy: Some(policy.to_owned()),
                },
            })),
            PolicyDecision::Hold { until, reason, lane } => {
                let lane = lane.map(|lane| self.lane(&lane)).transpose()?;
                let first = self.held.is_none();
                let held = (until, reason, policy.to_owned());
                let held = self.held.get_or_insert(held).clone();
                match lane {
                    _ if !self.lane_matters => Ok(Some(hold(held, None))),
                    // There is only one lane to wait in.
                    _ if self.lanes.has_one() => Ok(Some(hold(held, Some(LaneId::FIRST)))),
                    // A lane that the holding policy itself names takes precedence.
                    Some(lane) if first || self.named.is_none() => Ok(Some(hold(held, Some(lane)))),
                    _ => Ok(self.hold_in_named_lane()),
                }
            }
        }
    }

    /// Adds the failure of a policy that skips the account. After a hold it changes nothing: the
    /// hold stays, in the lane that the other policies name.
    pub fn add_failure(&mut self, policy: &str, reason: String) -> Option<FinalDecision> {
        match self.held {
            Some(_) => None,
            None => Some(FinalDecision {
                outcome: DecisionOutcome::Skip { reason },
                policy: Some(policy.to_owned()),
            }),
        }
    }

    /// The decision to hold, if both the hold and a lane are known.
    fn hold_in_named_lane(&mut self) -> Option<FinalDecision> {
        let (lane, _) = self.named.as_ref()?;
        Some(hold(self.held.take()?, Some(*lane)))
    }

    /// The final decision after all policies, if none of them ended the evaluation.
    pub fn finish(self) -> FinalDecision {
        if let Some(held) = self.held {
            // No policy named a lane: together with the hold it would have ended the evaluation.
            let first = self.proceed.is_some() || self.fallback == Fallback::Proceed;
            return hold(held, first.then_some(LaneId::FIRST));
        }
        match (self.named, self.proceed, self.fallback) {
            (Some((lane, policy)), _, _) => {
                FinalDecision { outcome: DecisionOutcome::Proceed { lane }, policy: Some(policy) }
            }
            (None, Some(policy), _) => FinalDecision {
                outcome: DecisionOutcome::Proceed { lane: LaneId::FIRST },
                policy: Some(policy),
            },
            (None, None, Fallback::Proceed) => FinalDecision {
                outcome: DecisionOutcome::Proceed { lane: LaneId::FIRST },
                policy: None,
            },
            (None, None, Fallback::Skip) => FinalDecision {
                outcome: DecisionOutcome::Skip { reason: "every-policy-abstained".into() },
                policy: None,
            },
        }
    }

    fn lane(&self, name: &str) -> Result<LaneId, UnknownLane> {
        let known = || self.lanes.names().to_vec();
        self.lanes.id(name).ok_or_else(|| UnknownLane { lane: name.to_owned(), known: known() })
    }
}

/// The decision to hold, in a lane if there is one.
fn hold(
    (until, reason, policy): (Timestamp, String, String),
    lane: Option<LaneId>,
) -> FinalDecision {
    FinalDecision { outcome: DecisionOutcome::Hold { until, reason, lane }, policy: Some(policy) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

    fn lane(name: &str) -> PolicyDecision {
        PolicyDecision::Proceed(Some(name.into()))
    }
    fn hold(seconds: i64) -> PolicyDecision {
        PolicyDecision::Hold {
            until: Timestamp::constant(1_000_000 + seconds, 0),
            reason: "freeze".into(),
            lane: None,
        }
    }
    fn hold_in(name: &str) -> PolicyDecision {
        PolicyDecision::Hold {
            until: Timestamp::MAX,
            reason: "window".into(),
            lane: Some(name.into()),
        }
    }
    fn skip() -> PolicyDecision {
        PolicyDecision::Skip("no".into())
    }

    #[rstest]
    #[case::nobody_asked(vec![], Fallback::Proceed, "proceed 0 by -")]
    #[case::all_abstain_default_skip(vec![PolicyDecision::Abstain], Fallback::Skip, "skip every-policy-abstained by -")]
    #[case::unnamed_lane_is_the_first(vec![PolicyDecision::Abstain, PolicyDecision::Proceed(None)], Fallback::Skip, "proceed 0 by p1")]
    #[case::first_named_lane_wins(vec![PolicyDecision::Proceed(None), lane("b"), lane("a")], Fallback::Skip, "proceed 1 by p1")]
    #[case::skip_beats_an_earlier_lane(vec![lane("b"), PolicyDecision::Skip("no".into())], Fallback::Proceed, "skip no by p1")]
    #[case::first_of_skip_and_hold(vec![skip(), hold(60)], Fallback::Proceed, "skip no by p0")]
    #[case::a_hold_that_would_be_skipped_has_no_lane(vec![hold(60), skip()], Fallback::Proceed, "hold freeze in - by p0")]
    #[case::a_skip_after_a_lane_and_a_hold(vec![lane("b"), hold(60), skip()], Fallback::Proceed, "hold freeze in 1 by p1")]
    #[case::held_in_the_lane_named_before(vec![lane("b"), hold(60), lane("a")], Fallback::Skip, "hold freeze in 1 by p1")]
    #[case::held_in_the_lane_named_after(vec![hold(60), PolicyDecision::Abstain, lane("b"), lane("a")], Fallback::Skip, "hold freeze in 1 by p0")]
    #[case::held_in_the_lane_it_names(vec![lane("a"), hold_in("b")], Fallback::Skip, "hold window in 1 by p1")]
    #[case::held_twice_the_first_says_why(vec![hold(60), hold_in("b")], Fallback::Skip, "hold freeze in 1 by p0")]
    #[case::held_by_all(vec![hold(60), hold(90)], Fallback::Proceed, "hold freeze in 0 by p0")]
    #[case::held_in_the_first_lane(vec![hold(60), PolicyDecision::Proceed(None)], Fallback::Skip, "hold freeze in 0 by p0")]
    #[case::held_where_the_fallback_skips(vec![hold(60), PolicyDecision::Abstain], Fallback::Skip, "hold freeze in - by p0")]
    #[case::a_hold_that_is_over_is_no_lane(vec![hold(-60), hold_in("b")], Fallback::Proceed, "hold window in 1 by p1")]
    #[case::a_hold_that_is_over(vec![hold(0), lane("b")], Fallback::Proceed, "proceed 1 by p1")]
    fn composition(
        #[case] policy_decisions: Vec<PolicyDecision>,
        #[case] fallback: Fallback,
        #[case] expected: &str,
    ) {
        let lanes: LaneNames = ["a", "b"].map(str::to_owned).into_iter().collect();
        let mut combiner = DecisionCombiner::new(&lanes, fallback, NOW);
        let mut decision = None;
        for (index, policy_decision) in policy_decisions.into_iter().enumerate() {
            decision = combiner.add(&format!("p{index}"), policy_decision).unwrap();
            if decision.is_some() {
                break;
            }
        }
        let FinalDecision { outcome, policy } = decision.unwrap_or_else(|| combiner.finish());
        let what = match outcome {
            DecisionOutcome::Proceed { lane } => format!("proceed {}", lane.index()),
            DecisionOutcome::Skip { reason } => format!("skip {reason}"),
            DecisionOutcome::Hold { reason, lane, .. } => {
                let lane = lane.map_or("-".to_owned(), |lane| lane.index().to_string());
                format!("hold {reason} in {lane}")
            }
        };
        assert_eq!(format!("{what} by {}", policy.as_deref().unwrap_or("-")), expected);
    }

    #[test]
    fn a_failure_after_a_hold_leaves_it_in_the_lane_that_others_name() {
        let lanes: LaneNames = ["a", "b"].map(str::to_owned).into_iter().collect();
        let mut combiner = DecisionCombiner::new(&lanes, Fallback::Skip, NOW);
        assert_eq!(combiner.add("holds", hold(60)).unwrap(), None);
        assert_eq!(combiner.add_failure("fails", "policy-failed: trap".into()), None);
        let decision = combiner.add("names", lane("b")).unwrap().unwrap();
        assert!(
            matches!(decision.outcome, DecisionOutcome::Hold { lane: Some(lane), .. } if lane == LaneId::from_index(1)),
            "{decision:?}"
        );
        let mut combiner = DecisionCombiner::new(&lanes, Fallback::Proceed, NOW);
        let decision = combiner.add_failure("fails", "policy-failed: trap".into()).unwrap();
        assert!(matches!(decision.outcome, DecisionOutcome::Skip { .. }), "{decision:?}");
    }

    #[test]
    fn without_lanes_a_hold_ends_the_hearing() {
        let lanes = LaneNames::default();
        let mut combiner = DecisionCombiner::new(&lanes, Fallback::Proceed, NOW).without_lanes();
        let decision = combiner.add("p", hold(60)).unwrap().unwrap();
        assert!(
            matches!(decision.outcome, DecisionOutcome::Hold { lane: None, .. }),
            "{decision:?}"
        );
    }

    #[test]
    fn a_hold_in_a_lane_that_is_not_configured_is_an_error() {
        let lanes: LaneNames = ["a".to_owned()].into_iter().collect();
        let mut combiner = DecisionCombiner::new(&lanes, Fallback::Proceed, NOW);
        assert!(combiner.check(&hold_in("c")).is_err());
        assert_eq!(combiner.add("p", hold_in("c")).unwrap_err().lane, "c");
        assert_eq!(combiner.finish().policy, None);
    }

    #[test]
    fn a_lane_that_is_not_configured_is_an_error_that_lists_those_that_are() {
        let lanes: LaneNames = ["a", "b"].map(str::to_owned).into_iter().collect();
        let mut combiner = DecisionCombiner::new(&lanes, Fallback::Proceed, NOW);
        let error = combiner.add("p", lane("c")).unwrap_err();
        assert_eq!(error.to_string(), "named the lane `c`, which is not one of [[lanes]]: a, b");
        assert_eq!(combiner.finish().policy, None);
    }
}
