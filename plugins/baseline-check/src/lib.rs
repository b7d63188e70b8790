//! A gate that checks a new account before the other notifiers are called: whether it has the
//! required tags, whether it is in an allowed OU, and whether its name and email match. The
//! findings annotate, hold or stop the other notifications.
//!
//! It calls no other system: it only evaluates the account data of the host.

#![deny(missing_docs)]

mod check;
mod finding;
mod ou_pattern;
mod settings;
#[cfg(test)]
mod tests;

use groundcrew_sdk::{
    Context, Event, Failure, GateDecision, Hold, Notification, Notifier, Problem, Receipt,
    Timestamp,
};
use serde::Deserialize;

use check::Checks;
use finding::Finding;
pub use settings::{AfterHold, FindingAction, OuCheck, PatternCheck, Settings, TagCheck};

/// The notifier.
#[derive(Debug)]
pub struct BaselineCheck {
    checks: Checks,
    /// Seconds until the next check.
    hold_for: i64,
    /// Seconds after the account joined, after which nothing is held.
    hold_at_most: i64,
    /// The action that replaces a hold then.
    after_hold: FindingAction,
}

impl Notifier for BaselineCheck {
    type Settings = Settings;

    fn configure(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        settings.into_notifier()
    }

    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        if notification.account.id.is_empty() {
            return Ok(Receipt::new(finding::count(&[])));
        }
        let findings = self.checks.findings(&notification.account);
        let decision = self.decision(&findings, notification);
        Ok(Receipt::new(finding::count(&findings)).with_decision(decision))
    }
}

impl BaselineCheck {
    /// The strictest action wins. All findings are reported, whatever the action is.
    fn decision(&self, findings: &[Finding], notification: &Notification) -> GateDecision {
        let now = notification.now;
        let latest = hold_since(notification).map(|since| since.saturating_add(self.hold_at_most));
        let held_enough = latest.is_some_and(|latest| latest <= now);
        let action = |finding: &Finding| match finding.action {
            FindingAction::Hold if held_enough => self.after_hold,
            action => action,
        };
        match findings.iter().map(action).max() {
            None => GateDecision::Go,
            Some(FindingAction::Annotate) => GateDecision::Annotate(finding::lines(findings)),
            Some(FindingAction::Hold) => {
                let next = now.saturating_add(self.hold_for);
                let until = latest.map_or(next, |latest| latest.min(next));
                GateDecision::Hold(Hold { until, reason: finding::reason(findings) })
            }
            Some(FindingAction::Stop) => GateDecision::Stop(finding::reason(findings)),
        }
    }
}

/// The beginning of a hold: when the account joined, or else the time of the event.
fn hold_since(notification: &Notification) -> Option<Timestamp> {
    notification.account.joined.or_else(|| notification.event.as_ref().and_then(event_time))
}

/// The time of the event.
fn event_time(event: &Event) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Envelope {
        time: jiff::Timestamp,
    }
    let envelope: Envelope = serde_json::from_str(&event.json).ok()?;
    Some(envelope.time.as_second())
}

groundcrew_sdk::notifier!(BaselineCheck);
