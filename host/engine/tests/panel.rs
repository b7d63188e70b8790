//! How policies are asked one after the other, and what a monitored one changes: nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use groundcrew_core::account::{Account, Tags};
use groundcrew_core::decision::{Action, Candidate, Cause, Verdict};
use groundcrew_core::lane::Lanes;
use groundcrew_core::pipeline::{Decision, Fallback, Outcome};
use groundcrew_core::ports::{Policy, PolicyFailure};
use groundcrew_engine::{AskedPolicy, OnFailure, Panel};
use jiff::Timestamp;
use rstest::rstest;

/// Says always the same, and counts how often it was asked.
struct Says(Result<Verdict, PolicyFailure>, AtomicU32);

#[async_trait]
impl Policy for Says {
    async fn evaluate(&self, _: &Candidate) -> Result<Verdict, PolicyFailure> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.clone()
    }
}

fn lanes(names: &[&str]) -> Lanes {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `name says` or, for a monitored one, `name? says`.
fn policy(text: &str) -> (AskedPolicy, Arc<Says>) {
    let (name, says) = text.split_once(' ').unwrap();
    let says = match says.split_once(' ').unwrap_or((says, "")) {
        ("abstain", _) => Ok(Verdict::Abstain),
        ("proceed", "") => Ok(Verdict::Proceed(None)),
        ("proceed", lane) => Ok(Verdict::Proceed(Some(lane.to_owned()))),
        ("skip", reason) => Ok(Verdict::Skip(reason.to_owned())),
        ("hold", lane) => Ok(Verdict::Hold {
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
    let says = Arc::new(Says(says, AtomicU32::new(0)));
    let asked = AskedPolicy {
        name: name.trim_end_matches('?').to_owned(),
        digest: "none".to_owned(),
        on_failure: OnFailure::Skip,
        monitored: name.ends_with('?'),
        policy: says.clone(),
    };
    (asked, says)
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

fn describe(decision: &Decision) -> String {
    let what = match &decision.outcome {
        Outcome::Proceed { lane } => format!("proceed {}", lane.place()),
        Outcome::Skip { reason } => format!("skip {reason}"),
        Outcome::Hold { reason, lane: None, .. } => format!("hold {reason}"),
        Outcome::Hold { lane: Some(lane), .. } => format!("hold {}", lane.place()),
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
    #[case] instead: Option<&str>,
) {
    let policies = policies.iter().map(|text| policy(text).0).collect();
    let panel = Panel::new(policies, lanes(&["fast", "slow"]), Fallback::Proceed);
    let heard = panel.hear(&candidate()).await;
    assert_eq!(describe(&heard.decision), expected);
    assert_eq!(heard.instead.as_ref().map(describe).as_deref(), instead);
}

#[tokio::test]
async fn every_policy_is_asked_until_one_that_counts_ends_it() {
    let texts = ["a? skip trial", "b proceed", "c skip no", "d abstain"];
    let (asked, counts): (Vec<_>, Vec<_>) = texts.iter().map(|text| policy(text)).unzip();
    let panel = Panel::new(asked, lanes(&["fast"]), Fallback::Proceed);
    let heard = panel.hear(&candidate()).await;
    let names: Vec<_> = heard.answers.iter().map(|answer| answer.policy.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let asked: Vec<_> = counts.iter().map(|says| says.1.load(Ordering::Relaxed)).collect();
    assert_eq!(asked, [1, 1, 1, 0]);
}

#[tokio::test]
async fn onboarding_has_no_lanes_whatever_a_policy_names() {
    let (asked, _) = policy("a proceed slow");
    let panel = Panel::new(vec![asked], lanes(&[""]), Fallback::Proceed);
    let heard = panel.hear(&Candidate { action: Action::Onboard, ..candidate() }).await;
    assert_eq!(describe(&heard.decision), "proceed 0 by a");
}

#[tokio::test]
async fn a_lane_that_is_not_there_is_a_failure_of_the_policy_that_names_it() {
    let (asked, _) = policy("a proceed nowhere");
    let panel = Panel::new(vec![asked], lanes(&["fast"]), Fallback::Proceed);
    let heard = panel.hear(&candidate()).await;
    assert_eq!(describe(&heard.decision), "skip policy-failed: unknown-lane by a");
    let failure = heard.answers[0].said.as_ref().unwrap_err();
    assert!(failure.message.contains("`nowhere`"), "{failure}");
}
