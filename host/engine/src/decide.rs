//! Asking the policies about a candidate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::pipeline::{Decision, Fallback, Hearing, Outcome};
use groundcrew_core::ports::{Alert, Policy, PolicyFailure};

use crate::{Engine, Notice};

/// A policy and what the operator said about it.
#[derive(Clone)]
pub struct AskedPolicy {
    /// Its name in the config.
    pub name: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// What happens when it fails.
    pub on_failure: OnFailure,
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
pub(crate) struct Panel {
    policies: Vec<AskedPolicy>,
    lanes: Vec<String>,
    fallback: Fallback,
    /// Timeouts of each policy in a row.
    timeouts: Mutex<BTreeMap<String, u32>>,
}

/// What became of asking.
pub(crate) struct Heard<'a> {
    pub(crate) decision: Decision,
    /// The policies that failed meanwhile; the last of them may have decided by that.
    pub(crate) failures: Vec<(&'a AskedPolicy, PolicyFailure)>,
}

impl Panel {
    pub(crate) fn new(policies: Vec<AskedPolicy>, lanes: Vec<String>, fallback: Fallback) -> Self {
        Self { policies, lanes, fallback, timeouts: Mutex::default() }
    }

    /// The name of a lane that a decision names.
    pub(crate) fn lane(&self, index: usize) -> &str {
        self.lanes.get(index).map_or("", String::as_str)
    }

    /// Asks policies that have been timing out again from now on.
    pub(crate) fn forgive(&self) {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks the policies in their order and composes their answers, and logs the decision.
    /// A policy that fails never stops the others.
    pub(crate) async fn hear(&self, candidate: &Candidate) -> Heard<'_> {
        let started = std::time::Instant::now();
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
        tracing::info!(
            account = %candidate.account.id,
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
        let mut hearing = Hearing::new(&self.lanes, self.fallback, candidate.now);
        let mut failures = Vec::new();
        for asked in &self.policies {
            let asks = if asked.on_failure == OnFailure::Retry { ASKS } else { 1 };
            let mut failure = None;
            for _ in 0..asks {
                let answer = self.ask(asked, candidate).await;
                let heard = answer.and_then(|verdict| {
                    hearing.hear(&asked.name, verdict).map_err(|unknown| PolicyFailure {
                        code: "unknown-lane".into(),
                        message: format!("policy `{}` {unknown}", asked.name),
                        transient: false,
                    })
                });
                match heard {
                    Ok(Some(decision)) => return Heard { decision, failures },
                    Ok(None) => {
                        failure = None;
                        break;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            let Some(failure) = failure else { continue };
            tracing::warn!(
                account = %candidate.account.id,
                policy = asked.name,
                code = failure.code,
                "policy failed: {failure}"
            );
            let reason = format!("policy-failed: {}", failure.code);
            failures.push((asked, failure));
            if asked.on_failure != OnFailure::Abstain {
                let outcome = Outcome::Skip { reason };
                let decision = Decision { outcome, policy: Some(asked.name.clone()) };
                return Heard { decision, failures };
            }
        }
        Heard { decision: hearing.conclude(), failures }
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

impl Engine {
    /// Asks the policies about an update, and tells of those that fail.
    pub(crate) async fn decide(&self, candidate: &Candidate) -> Decision {
        let heard = self.panel.hear(candidate).await;
        for (asked, failure) in &heard.failures {
            let alert = Alert {
                subject: format!("Policy {} fails", asked.name),
                message: format!(
                    "First seen with account {}: {failure}\nOther accounts may be affected; each \
                     is listed with its reason in the log.",
                    candidate.account.id
                ),
            };
            self.alert_once(&format!("policy {}", asked.name), &alert).await;
        }
        let notice = Notice::Decided { account: &candidate.account.id, decision: &heard.decision };
        self.ports.witness.see(self.now(), notice);
        heard.decision
    }
}
