//! Asking the policies about a candidate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use groundcrew_core::account::AccountId;
use groundcrew_core::decision::{Action, Candidate, Verdict};
use groundcrew_core::lane::{LaneId, Lanes};
use groundcrew_core::pipeline::{Decision, Fallback, Hearing, Outcome};
use groundcrew_core::ports::{Policy, PolicyFailure};

use crate::changes::Changes;

/// A policy and what the operator said about it.
#[derive(Clone)]
pub struct AskedPolicy {
    /// Its name in the config.
    pub name: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Whether it is only watched: asked and logged, and without a say.
    pub monitored: bool,
    /// The policy.
    pub policy: Arc<dyn Policy>,
}

/// What happens to an account when a policy fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is skipped.
    Skip,
    /// The policy counts as abstaining.
    Abstain,
    /// The policy is asked twice more; then an update is skipped, and onboarding has failed.
    Retry,
}

/// How often a policy is asked with [`OnFailure::Retry`].
const ASKS: u32 = 3;
/// After so many timeouts in a row a policy isn't asked again before the next sweep: at
/// two seconds each, ten thousand accounts would take it five hours.
const TIMEOUTS: u32 = 3;

/// The policies that are asked, and how their answers become one.
pub struct Panel {
    policies: Vec<AskedPolicy>,
    lanes: Lanes,
    fallback: Fallback,
    /// Timeouts of each policy in a row.
    timeouts: Mutex<BTreeMap<String, u32>>,
    /// What was logged last of each account.
    logged: Changes,
}

/// What became of asking.
pub struct Heard<'a> {
    /// What is done.
    pub decision: Decision,
    /// What would be done if the monitored policies had a say, where that is something else.
    pub instead: Option<Decision>,
    /// What each policy said that was asked, in their order.
    pub answers: Vec<Answer<'a>>,
}

/// What one policy said.
pub struct Answer<'a> {
    /// The policy.
    pub policy: &'a AskedPolicy,
    /// Its verdict, or how it failed at last.
    pub said: Result<Verdict, PolicyFailure>,
    /// How long it took, repeats included.
    pub took: Duration,
}

impl<'a> Heard<'a> {
    /// The policies that failed; the last of them may have decided by that.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'a AskedPolicy, &PolicyFailure)> {
        self.answers.iter().filter_map(|answer| Some((answer.policy, answer.said.as_ref().err()?)))
    }
}

impl Panel {
    /// The panel of these policies, which may name these lanes.
    pub fn new(policies: Vec<AskedPolicy>, lanes: Lanes, fallback: Fallback) -> Self {
        Self { policies, lanes, fallback, timeouts: Mutex::default(), logged: Changes::default() }
    }

    /// Whether nobody is to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The name of a lane that a decision names.
    pub fn lane(&self, lane: LaneId) -> &str {
        self.lanes.name(lane)
    }

    /// Asks policies that have been timing out again from now on.
    pub(crate) fn forgive(&self) {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether this is not what was logged last of an account: a decision, or why nobody is asked.
    pub(crate) fn is_news(&self, account: &AccountId, action: Action, what: &str) -> bool {
        self.logged.changes(format!("{account} {action}"), what)
    }

    /// Asks the policies in their order and composes their answers, and logs the decision.
    /// A policy that fails never stops the others.
    pub async fn hear(&self, candidate: &Candidate) -> Heard<'_> {
        let started = Instant::now();
        let heard = self.ask_all(candidate).await;
        let decision = &heard.decision;
        let (verdict, detail) = match &decision.outcome {
            Outcome::Proceed { lane } => ("proceed", self.lane(*lane)),
            Outcome::Skip { reason } => ("skip", reason.as_str()),
            Outcome::Hold { reason, .. } => ("hold", reason.as_str()),
        };
        let digest = decision.policy.as_ref().and_then(|name| {
            self.policies.iter().find(|asked| asked.name == *name).map(|asked| &asked.digest)
        });
        // Every sweep decides about every account: what has not changed was logged before.
        let account = &candidate.account.id;
        let what = format!("{} {verdict} {detail} {:?}", candidate.action, decision.policy);
        if !self.is_news(account, candidate.action, &what) {
            return heard;
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
        heard
    }

    async fn ask_all(&self, candidate: &Candidate) -> Heard<'_> {
        let hearing = || {
            let hearing = Hearing::new(&self.lanes, self.fallback, candidate.now);
            match candidate.action {
                Action::Onboard => hearing.without_lanes(),
                Action::Update | Action::Vend => hearing,
            }
        };
        // What counts, and what would if monitored policies had a say.
        let (mut counting, mut trial) = (hearing(), hearing());
        let mut decided_by_trial = None;
        let mut answers = Vec::with_capacity(self.policies.len());
        for policy in &self.policies {
            let started = Instant::now();
            let said = self.insist(policy, candidate, &counting).await;
            let heard = |hearing: &mut Hearing<'_>| match &said {
                Ok(verdict) => hearing.hear(&policy.name, verdict.clone()).unwrap_or_default(),
                Err(failure) => policy.decided_by_failing(failure, hearing),
            };
            if decided_by_trial.is_none() {
                decided_by_trial = heard(&mut trial);
            }
            let decided = if policy.monitored { None } else { heard(&mut counting) };
            let took = started.elapsed();
            self.log(candidate, policy, &said);
            answers.push(Answer { policy, said, took });
            if let Some(decision) = decided {
                // A monitored policy may hold, while another's failure decides what counts.
                let trial = decided_by_trial.unwrap_or_else(|| trial.conclude());
                let instead = Some(trial).filter(|trial| trial.outcome != decision.outcome);
                return Heard { decision, instead, answers };
            }
        }
        let decision = counting.conclude();
        let trial = decided_by_trial.unwrap_or_else(|| trial.conclude());
        let instead = Some(trial).filter(|trial| trial.outcome != decision.outcome);
        Heard { decision, instead, answers }
    }

    /// Asks one policy, again if it fails and the operator said so. A lane that it names is
    /// one of the config.
    async fn insist(
        &self,
        policy: &AskedPolicy,
        candidate: &Candidate,
        hearing: &Hearing<'_>,
    ) -> Result<Verdict, PolicyFailure> {
        let mut asks = if policy.on_failure == OnFailure::Retry { ASKS } else { 1 };
        loop {
            asks -= 1;
            let said = self.ask(policy, candidate).await.and_then(|verdict| {
                // Only updates have lanes: a policy that is asked about both may name one.
                let verdict = match (verdict, candidate.action) {
                    (Verdict::Proceed(_), Action::Onboard) => Verdict::Proceed(None),
                    (Verdict::Hold { until, reason, .. }, Action::Onboard) => {
                        Verdict::Hold { until, reason, lane: None }
                    }
                    (verdict, _) => verdict,
                };
                match hearing.check(&verdict) {
                    Ok(()) => Ok(verdict),
                    Err(unknown) => Err(PolicyFailure {
                        code: "unknown-lane".into(),
                        message: format!("policy `{}` {unknown}", policy.name),
                        transient: false,
                    }),
                }
            });
            if said.is_ok() || asks == 0 {
                return said;
            }
        }
    }

    /// Asks one policy, unless it has been timing out.
    async fn ask(
        &self,
        asked: &AskedPolicy,
        candidate: &Candidate,
    ) -> Result<Verdict, PolicyFailure> {
        let seen = || self.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
        let timeouts = seen().get(&asked.name).copied().unwrap_or(0);
        if timeouts >= TIMEOUTS {
            return Err(PolicyFailure {
                code: "suspended".into(),
                message: format!(
                    "policy `{}` timed out {TIMEOUTS} times in a row and is not asked again \
                     before the next sweep",
                    asked.name
                ),
                transient: true,
            });
        }
        let answer = asked.policy.evaluate(candidate).await;
        let timed_out = answer.as_ref().is_err_and(|failure| failure.code == "timeout");
        if timed_out || timeouts > 0 {
            let timeouts = if timed_out { timeouts + 1 } else { 0 };
            seen().insert(asked.name.clone(), timeouts);
        }
        answer
    }
}

impl AskedPolicy {
    /// What its failure decides, if anything.
    fn decided_by_failing(
        &self,
        failure: &PolicyFailure,
        hearing: &mut Hearing<'_>,
    ) -> Option<Decision> {
        match self.on_failure {
            OnFailure::Abstain => None,
            OnFailure::Skip | OnFailure::Retry => {
                hearing.hear_failure(&self.name, format!("policy-failed: {}", failure.code))
            }
        }
    }
}

impl Panel {
    /// Logs what deserves a line of its own: that a policy failed, and what a monitored one said.
    /// Once for as long as it is the same.
    fn log(
        &self,
        candidate: &Candidate,
        policy: &AskedPolicy,
        said: &Result<Verdict, PolicyFailure>,
    ) {
        let (account, monitored) = (&candidate.account.id, policy.monitored);
        let key = format!("{account} {} {}", candidate.action, policy.name);
        match said {
            Err(failure) if self.logged.changes(key.clone(), &failure.to_string()) => {
                tracing::warn!(
                    %account,
                    policy = policy.name,
                    monitored,
                    code = failure.code,
                    "policy failed: {failure}"
                );
            }
            Ok(verdict)
                if monitored && self.logged.changes(key.clone(), &format!("{verdict:?}")) =>
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
