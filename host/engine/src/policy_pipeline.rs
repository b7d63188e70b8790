//! Evaluates the policies for a candidate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use groundcrew_core::account::AccountId;
use groundcrew_core::decision::{Action, Candidate, PolicyDecision};
use groundcrew_core::decision_combiner::{
    DecisionCombiner, DecisionOutcome, Fallback, FinalDecision,
};
use groundcrew_core::lane::{LaneId, LaneNames};
use groundcrew_core::ports::{Policy, PolicyFailure};

use crate::log_dedup::LogDedup;

/// A policy and its configuration.
#[derive(Clone)]
pub struct ConfiguredPolicy {
    /// Its name in the config.
    pub name: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// What happens when it fails.
    pub on_failure: FailureHandling,
    /// Whether it is only monitored: evaluated and logged, and its decision ignored.
    pub monitored: bool,
    /// The policy.
    pub policy: Arc<dyn Policy>,
}

/// What happens to an account when a policy fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureHandling {
    /// It is skipped.
    Skip,
    /// The policy counts as abstaining.
    Abstain,
    /// The policy is evaluated twice more; after that an update is skipped, and a notification has
    /// failed.
    Retry,
}

/// How often a policy is evaluated with [`FailureHandling::Retry`].
const RETRY_ATTEMPTS: u32 = 3;
/// After so many timeouts in a row a policy isn't evaluated again before the next sweep: at two
/// seconds each, it would take five hours for ten thousand accounts.
const MAX_TIMEOUTS_IN_A_ROW: u32 = 3;

/// The policies that are evaluated, and how their decisions are combined.
pub struct PolicyPipeline {
    policies: Vec<ConfiguredPolicy>,
    lanes: LaneNames,
    fallback: Fallback,
    /// Each policy's number of timeouts in a row.
    timeouts: Mutex<BTreeMap<String, u32>>,
    /// What was logged last about each account.
    logged: LogDedup,
}

/// The result of all policies for one candidate.
pub struct Evaluation<'a> {
    /// The decision that counts.
    pub decision: FinalDecision,
    /// The decision if the monitored policies counted too, where it is a different one.
    pub with_monitored: Option<FinalDecision>,
    /// The result of each policy that was evaluated, in their order.
    pub results: Vec<PolicyResult<'a>>,
}

/// The result of one policy.
pub struct PolicyResult<'a> {
    /// The policy.
    pub policy: &'a ConfiguredPolicy,
    /// Its decision, or the failure of its last try.
    pub result: Result<PolicyDecision, PolicyFailure>,
    /// How long it took, retries included.
    pub took: Duration,
}

impl<'a> Evaluation<'a> {
    /// The policies that failed; the failure of the last one may have decided.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'a ConfiguredPolicy, &PolicyFailure)> {
        self.results
            .iter()
            .filter_map(|answer| Some((answer.policy, answer.result.as_ref().err()?)))
    }
}

impl PolicyPipeline {
    /// A pipeline of these policies, which may name these lanes.
    pub fn new(policies: Vec<ConfiguredPolicy>, lanes: LaneNames, fallback: Fallback) -> Self {
        Self { policies, lanes, fallback, timeouts: Mutex::default(), logged: LogDedup::default() }
    }

    /// Whether there are no policies.
    pub(crate) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The name of a lane that a decision names.
    pub fn lane_name(&self, lane: LaneId) -> &str {
        self.lanes.name(lane)
    }

    /// Evaluates policies that have been timing out again from now on.
    pub(crate) fn reset_timeouts(&self) {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether this differs from what was logged last about an account: a decision, or why no
    /// policy is evaluated.
    pub(crate) fn differs_from_logged(
        &self,
        account: &AccountId,
        action: Action,
        what: &str,
    ) -> bool {
        self.logged.is_change(format!("{account} {action}"), what)
    }

    /// Evaluates the policies in their order, combines their decisions, and logs the final
    /// decision. A policy that fails never stops the others.
    pub async fn evaluate(&self, candidate: &Candidate) -> Evaluation<'_> {
        let started = Instant::now();
        let evaluation = self.evaluate_all(candidate).await;
        let decision = &evaluation.decision;
        let (verdict, detail) = match &decision.outcome {
            DecisionOutcome::Proceed { lane } => ("proceed", self.lane_name(*lane)),
            DecisionOutcome::Skip { reason } => ("skip", reason.as_str()),
            DecisionOutcome::Hold { reason, .. } => ("hold", reason.as_str()),
        };
        let digest = decision.policy.as_ref().and_then(|name| {
            self.policies.iter().find(|policy| policy.name == *name).map(|policy| &policy.digest)
        });
        // Every sweep decides about every account: a decision that has not changed was logged
        // before.
        let account = &candidate.account.id;
        let what = format!("{} {verdict} {detail} {:?}", candidate.action, decision.policy);
        if !self.differs_from_logged(account, candidate.action, &what) {
            return evaluation;
        }
        tracing::info!(
            %account,
            action = %candidate.action,
            verdict,
            detail,
            policy = decision.policy.as_deref().unwrap_or("default"),
            digest = digest.map_or("", |digest| digest.as_str()),
            micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "decision"
        );
        evaluation
    }

    async fn evaluate_all(&self, candidate: &Candidate) -> Evaluation<'_> {
        let combiner = || {
            let combiner = DecisionCombiner::new(&self.lanes, self.fallback, candidate.now);
            match candidate.action {
                Action::Onboard => combiner.without_lanes(),
                Action::Update | Action::Vend => combiner,
            }
        };
        // The decision that counts, and the one if monitored policies counted too.
        let (mut enforced, mut monitored_too) = (combiner(), combiner());
        let mut decided_with_monitored = None;
        let mut results = Vec::with_capacity(self.policies.len());
        for policy in &self.policies {
            let started = Instant::now();
            let result = self.evaluate_with_retries(policy, candidate, &enforced).await;
            let combine = |combiner: &mut DecisionCombiner<'_>| match &result {
                Ok(decision) => combiner.add(&policy.name, decision.clone()).unwrap_or_default(),
                Err(failure) => policy.decision_on_failure(failure, combiner),
            };
            if decided_with_monitored.is_none() {
                decided_with_monitored = combine(&mut monitored_too);
            }
            let decided = if policy.monitored { None } else { combine(&mut enforced) };
            let took = started.elapsed();
            self.log(candidate, policy, &result);
            results.push(PolicyResult { policy, result, took });
            if let Some(decision) = decided {
                // A monitored policy may hold while the failure of another policy decides.
                let monitored_too =
                    decided_with_monitored.unwrap_or_else(|| monitored_too.finish());
                let with_monitored = Some(monitored_too)
                    .filter(|monitored_too| monitored_too.outcome != decision.outcome);
                return Evaluation { decision, with_monitored, results };
            }
        }
        let decision = enforced.finish();
        let monitored_too = decided_with_monitored.unwrap_or_else(|| monitored_too.finish());
        let with_monitored =
            Some(monitored_too).filter(|monitored_too| monitored_too.outcome != decision.outcome);
        Evaluation { decision, with_monitored, results }
    }

    /// Evaluates one policy, and retries if it fails and is configured so. Fails if the policy
    /// names a lane that the config does not have.
    async fn evaluate_with_retries(
        &self,
        policy: &ConfiguredPolicy,
        candidate: &Candidate,
        combiner: &DecisionCombiner<'_>,
    ) -> Result<PolicyDecision, PolicyFailure> {
        let mut attempts_left =
            if policy.on_failure == FailureHandling::Retry { RETRY_ATTEMPTS } else { 1 };
        loop {
            attempts_left -= 1;
            let result = self.evaluate_policy(policy, candidate).await.and_then(|decision| {
                // Only updates have lanes: a policy for both actions may name one.
                let decision = match (decision, candidate.action) {
                    (PolicyDecision::Proceed(_), Action::Onboard) => PolicyDecision::Proceed(None),
                    (PolicyDecision::Hold { until, reason, .. }, Action::Onboard) => {
                        PolicyDecision::Hold { until, reason, lane: None }
                    }
                    (decision, _) => decision,
                };
                match combiner.check(&decision) {
                    Ok(()) => Ok(decision),
                    Err(unknown) => Err(PolicyFailure {
                        code: "unknown-lane".into(),
                        message: format!("policy `{}` {unknown}", policy.name),
                        transient: false,
                    }),
                }
            });
            if result.is_ok() || attempts_left == 0 {
                return result;
            }
        }
    }

    /// Evaluates one policy, unless it has been timing out.
    async fn evaluate_policy(
        &self,
        policy: &ConfiguredPolicy,
        candidate: &Candidate,
    ) -> Result<PolicyDecision, PolicyFailure> {
        let seen = || self.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
        let timeouts = seen().get(&policy.name).copied().unwrap_or(0);
        if timeouts >= MAX_TIMEOUTS_IN_A_ROW {
            return Err(PolicyFailure {
                code: "suspended".into(),
                message: format!(
                    "policy `{}` timed out {MAX_TIMEOUTS_IN_A_ROW} times in a row and is not \
                     evaluated again before the next sweep",
                    policy.name
                ),
                transient: true,
            });
        }
        let answer = policy.policy.evaluate(candidate).await;
        let timed_out = answer.as_ref().is_err_and(|failure| failure.code == "timeout");
        if timed_out || timeouts > 0 {
            let timeouts = if timed_out { timeouts + 1 } else { 0 };
            seen().insert(policy.name.clone(), timeouts);
        }
        answer
    }
}

impl ConfiguredPolicy {
    /// The decision that its failure leads to, if any.
    fn decision_on_failure(
        &self,
        failure: &PolicyFailure,
        combiner: &mut DecisionCombiner<'_>,
    ) -> Option<FinalDecision> {
        match self.on_failure {
            FailureHandling::Abstain => None,
            FailureHandling::Skip | FailureHandling::Retry => {
                combiner.add_failure(&self.name, format!("policy-failed: {}", failure.code))
            }
        }
    }
}

impl PolicyPipeline {
    /// Logs what has a line of its own: the failure of a policy, and the decision of a monitored
    /// one. Once for as long as it stays the same.
    fn log(
        &self,
        candidate: &Candidate,
        policy: &ConfiguredPolicy,
        result: &Result<PolicyDecision, PolicyFailure>,
    ) {
        let (account, monitored) = (&candidate.account.id, policy.monitored);
        let key = format!("{account} {} {}", candidate.action, policy.name);
        match result {
            Err(failure) if self.logged.is_change(key.clone(), &failure.to_string()) => {
                tracing::warn!(
                    %account,
                    policy = policy.name,
                    monitored,
                    code = failure.code,
                    "policy failed: {failure}"
                );
            }
            Ok(verdict)
                if monitored && self.logged.is_change(key.clone(), &format!("{verdict:?}")) =>
            {
                tracing::info!(%account, policy = policy.name, ?verdict, "monitored policy");
            }
            Err(_) => {}
            Ok(_) => {
                if !monitored {
                    self.logged.forget(&key);
                }
            }
        }
    }
}
