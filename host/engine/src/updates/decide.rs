//! Evaluates the policies for an update.

use groundcrew_core::decision::Candidate;
use groundcrew_core::decision_combiner::FinalDecision;
use groundcrew_core::ports::Alert;

use super::Updates;
use crate::EngineEvent;

impl Updates {
    /// Evaluates the policies for an update, and publishes alerts about those that fail.
    pub(super) async fn decide(&self, candidate: &Candidate) -> FinalDecision {
        let evaluation = self.pipeline.evaluate(candidate).await;
        for (asked, failure) in evaluation.failures() {
            let alert = Alert {
                subject: format!("Policy {} fails", asked.name),
                message: format!(
                    "First seen with account {}: {failure}\nOther accounts may be affected; each \
                     is listed with its reason in the log.",
                    candidate.account.id
                ),
            };
            self.alerter.publish_rate_limited(&format!("policy {}", asked.name), &alert).await;
        }
        let event =
            EngineEvent::Decided { account: &candidate.account.id, decision: &evaluation.decision };
        self.ports.observer.observe(self.now(), event);
        evaluation.decision
    }
}
