//! Asking the policies about an update.

use groundcrew_core::decision::Candidate;
use groundcrew_core::pipeline::Decision;
use groundcrew_core::ports::Alert;

use super::Updates;
use crate::Notice;

impl Updates {
    /// Asks the policies about an update, and tells of those that fail.
    pub(super) async fn decide(&self, candidate: &Candidate) -> Decision {
        let heard = self.panel.hear(candidate).await;
        for (asked, failure) in heard.failures() {
            let alert = Alert {
                subject: format!("Policy {} fails", asked.name),
                message: format!(
                    "First seen with account {}: {failure}\nOther accounts may be affected; each \
                     is listed with its reason in the log.",
                    candidate.account.id
                ),
            };
            self.alerter.alert_once(&format!("policy {}", asked.name), &alert).await;
        }
        let notice = Notice::Decided { account: &candidate.account.id, decision: &heard.decision };
        self.ports.witness.see(self.now(), notice);
        heard.decision
    }
}
