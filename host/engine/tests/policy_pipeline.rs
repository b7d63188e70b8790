//! Policies are evaluated one after the other, and a monitored one changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use groundcrew_core::account::{Account, Tags};
use groundcrew_core::decision::{Action, Candidate, Cause, PolicyDecision};
use groundcrew_core::decision_combiner::{DecisionOutcome, Fallback, FinalDecision};
use groundcrew_core::lane::LaneNames;
use groundcrew_core::ports::{Policy, PolicyFailure};
use groundcrew_engine::{ConfiguredPolicy, FailureHandling, PolicyPipeline};
use jiff::Timestamp;
use rstest::rstest;

/// Returns the same result each time, and counts its evaluations.
struct FixedPolicy(Result<PolicyDecision, PolicyFailure>, AtomicU32);

#[async_trait]
impl Policy for FixedPolicy {
    async fn evaluate(&self, _: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.clone()
    }
}

fn lanes(names: &[&str]) -> LaneNames {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Parses `name says` or, for a monitored one, `name? says`.
fn policy(text: &str) -> (ConfiguredPolicy, Arc<FixedPolicy>) {
    let (name, says) = text.split_once(' ').unwrap();
    let says = match says.split_once(' ').unwrap_or((says, "")) {
        ("abstain", _) => Ok(PolicyDecision::Abstain),
        ("proceed", "") => Ok(PolicyDecision::Proceed(None)),
        ("proceed", lane) => Ok(PolicyDecision::Proceed(Some(lane.to_owned()))),
        ("skip", reason) => Ok(PolicyDecision::Skip(reason.to_owned())),
        ("hold", lane) => Ok(PolicyDecision::Hold {
            until: Timestamp::MAX,
            reason: "later".to_owned(),
            lane: Some(lane.to_owned()).filter(|lane| !lane.is_empty()),
        }),
        (failure, _) => Err(PolicyFailure {
            code: failure.to_owned(),
            message: "it fails".to_owned(),
            transient: false,
        }),
    };
    let says = Arc::new(FixedPolicy(says, AtomicU32::new(0)));
    let configured = ConfiguredPolicy {
        name: name.trim_end_matches('?').to_owned(),
        digest: "none".to_owned(),
        on_failure: FailureHandling::Skip,
        monitored: name.ends_with('?'),
        policy: says.clone(),
    };
    (configured, says)
}

fn candidate() -> Candidate {
    Candidate {
        action: Action::Update,
        cause: Cause::Artifact,
        account: Arc::new(Account {
            id: "111122223333".parse().unwrap(),
            name: "account".into(),
            email: String::new(),
            organizational_units: [].into(),
            joined: None,
            state: None,
        }),
        tags: Tags::Known(BTreeMap::new()),
        product: None,
        event: None,
        now: Timestamp::UNIX_EPOCH,
    }
}

fn describe(decision: &FinalDecision) -> String {
    let what = match &decision.outcome {
        DecisionOutcome::Proceed { lane } => format!("proceed {}", lane.index()),
        DecisionOutcome::Skip { reason } => format!("skip {reason}"),
        DecisionOutcome::Hold { reason, lane: None, .. } => format!("hold {reason}"),
        DecisionOutcome::Hold { lane: Some(lane), .. } => format!("hold {}", lane.index()),
    };
    format!("{what} by {}", decision.policy.as_deref().unwrap_or("-"))
}

#[rstest]
#[case::a_monitored_skip_is_what_would_be(&["a? skip no", "b proceed slow"], "proceed 1 by b", Some("skip no by a"))]
#[case::a_monitored_lane_is_what_would_be(&["a? proceed slow", "b proceed fast"], "proceed 0 by b", Some("proceed 1 by a"))]
#[case::agreement_is_no_news(&["a? proceed slow", "b proceed slow"], "proceed 1 by b", None)]
#[case::abstaining_changes_nothing(&["a? abstain", "b abstain"], "proceed 0 by -", None)]
#[case::a_monitored_failure_stops_nothing(&["a? trap", "b proceed"], "proceed 0 by b", Some("skip policy-failed: trap by a"))]
#[case::after_a_skip_nothing_would_change(&["a skip no", "b? proceed slow"], "skip no by a", None)]
#[case::the_first_of_two_monitored_ones(&["a? skip one", "b? skip two", "c proceed"], "proceed 0 by c", Some("skip one by a"))]
#[case::a_monitored_hold_in_the_lane_of_another(&["a? hold", "b proceed slow"], "proceed 1 by b", Some("hold 1 by a"))]
#[case::a_hold_in_another_lane(&["a? hold fast", "b hold slow"], "hold 1 by b", Some("hold 0 by a"))]
#[case::a_monitored_lane_of_a_hold(&["a hold", "b? proceed slow"], "hold 0 by a", Some("hold 1 by a"))]
#[case::a_monitored_hold_before_a_failure(&["a? hold", "b trap"], "skip policy-failed: trap by b", Some("hold 0 by a"))]
#[case::a_failure_after_a_hold(&["a hold", "b trap", "c proceed slow"], "hold 1 by a", None)]
#[case::all_are_monitored(&["a? skip no"], "proceed 0 by -", Some("skip no by a"))]
#[tokio::test]
async fn a_monitored_policy_has_no_say(
    #[case] policies: &[&str],
    #[case] expected: &str,
    #[case] with_monitored: Option<&str>,
) {
    let policies = policies.iter().map(|text| policy(text).0).collect();
    let pipeline = PolicyPipeline::new(policies, lanes(&["fast", "slow"]), Fallback::Proceed);
    let evaluation = pipeline.evaluate(&candidate()).await;
    assert_eq!(describe(&evaluation.decision), expected);
    assert_eq!(evaluation.with_monitored.as_ref().map(describe).as_deref(), with_monitored);
}

#[tokio::test]
async fn every_policy_is_asked_until_one_that_counts_ends_it() {
    let texts = ["a? skip trial", "b proceed", "c skip no", "d abstain"];
    let (configured, counts): (Vec<_>, Vec<_>) = texts.iter().map(|text| policy(text)).unzip();
    let pipeline = PolicyPipeline::new(configured, lanes(&["fast"]), Fallback::Proceed);
    let evaluation = pipeline.evaluate(&candidate()).await;
    let names: Vec<_> =
        evaluation.results.iter().map(|answer| answer.policy.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let calls: Vec<_> = counts.iter().map(|says| says.1.load(Ordering::Relaxed)).collect();
    assert_eq!(calls, [1, 1, 1, 0]);
}

#[tokio::test]
async fn onboarding_has_no_lanes_whatever_a_policy_names() {
    let (configured, _) = policy("a proceed slow");
    let pipeline = PolicyPipeline::new(vec![configured], lanes(&[""]), Fallback::Proceed);
    let evaluation = pipeline.evaluate(&Candidate { action: Action::Onboard, ..candidate() }).await;
    assert_eq!(describe(&evaluation.decision), "proceed 0 by a");
}

#[tokio::test]
async fn a_lane_that_is_not_there_is_a_failure_of_the_policy_that_names_it() {
    let (configured, _) = policy("a proceed nowhere");
    let pipeline = PolicyPipeline::new(vec![configured], lanes(&["fast"]), Fallback::Proceed);
    let evaluation = pipeline.evaluate(&candidate()).await;
    assert_eq!(describe(&evaluation.decision), "skip policy-failed: unknown-lane by a");
    let failure = evaluation.results[0].result.as_ref().unwrap_err();
    assert!(failure.message.contains("`nowhere`"), "{failure}");
}
