//! Asking the policies about a candidate.

use std::sync::Arc;

use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::pipeline::{Decision, Hearing, Outcome};
use groundcrew_core::ports::{Alert, Policy, PolicyFailure};
use jiff::Timestamp;

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
    /// The policy is asked twice more, then the account is skipped.
    Retry,
}

/// How often a policy is asked with [`OnFailure::Retry`].
const ASKS: u32 = 3;
/// After so many timeouts in a row a policy isn't asked again before the next sweep: at
/// two seconds each, ten thousand accounts would take it five hours.
const TIMEOUTS: u32 = 3;

impl Engine {
    /// Asks the policies in their order and composes their answers. A policy that fails
    /// never stops the others, nor the run.
    pub(crate) async fn decide(&self, candidate: &Candidate) -> Decision {
        let started = std::time::Instant::now();
        let decision = self.hear(candidate).await;
        let (verdict, detail) = match &decision.outcome {
            Outcome::Proceed { lane } => ("proceed", self.lane_names[*lane].as_str()),
            Outcome::Skip { reason } => ("skip", reason.as_str()),
            Outcome::Hold { reason, .. } => ("hold", reason.as_str()),
        };
        let digest = decision.policy.as_ref().and_then(|name| {
            self.settings.policies.iter().find(|asked| asked.name == *name).map(|p| &p.digest)
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
        let notice = Notice::Decided { account: &candidate.account.id, decision: &decision };
        self.ports.witness.see(self.now(), notice);
        decision
    }

    async fn hear(&self, candidate: &Candidate) -> Decision {
        let now: Timestamp = candidate.now;
        let mut hearing = Hearing::new(&self.lane_names, self.settings.fallback, now);
        for asked in &self.settings.policies {
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
                    Ok(Some(decision)) => return decision,
                    Ok(None) => {
                        failure = None;
                        break;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            let Some(failure) = failure else { continue };
            self.report(asked, candidate, &failure).await;
            if asked.on_failure != OnFailure::Abstain {
                let reason = format!("policy-failed: {}", failure.code);
                return Decision {
                    outcome: Outcome::Skip { reason },
                    policy: Some(asked.name.clone()),
                };
            }
        }
        hearing.conclude()
    }

    /// Asks one policy, unless it has been timing out.
    async fn ask(
        &self,
        asked: &AskedPolicy,
        candidate: &Candidate,
    ) -> Result<Verdict, PolicyFailure> {
        let timeouts = self.state().timeouts.get(&asked.name).copied().unwrap_or(0);
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
            self.state().timeouts.insert(asked.name.clone(), timeouts);
        }
        answer
    }

    async fn report(&self, asked: &AskedPolicy, candidate: &Candidate, failure: &PolicyFailure) {
        tracing::warn!(
            account = %candidate.account.id,
            policy = asked.name,
            code = failure.code,
            "policy failed: {failure}"
        );
        let alert = Alert {
            subject: format!("Policy {} fails", asked.name),
            message: format!(
                "First seen with account {}: {failure}\nOther accounts may be affected; each is \
                 listed with its reason in the log.",
                candidate.account.id
            ),
        };
        self.alert_once(&format!("policy {}", asked.name), &alert).await;
    }
}
