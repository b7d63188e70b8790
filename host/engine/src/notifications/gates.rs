//! Gates: notifiers that are called before the others, and decide about their notifications.

use std::time::Duration;

use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::GateDecision;
use jiff::Timestamp;

use super::recipients::Recipient;
use super::subject::ResolvedSubject;
use super::{Delivery, DeliveryOutcome, Notifications};

/// The decision of the gates.
enum GatesOutcome {
    Open {
        annotations: Vec<String>,
    },
    /// The other notifiers are not notified.
    Stopped(String),
    /// The other notifiers are not notified yet.
    Held {
        why: String,
        wait: Option<Duration>,
    },
}

impl Notifications {
    /// Calls the gates, and notifies the others if the gates are open.
    pub(super) async fn deliver_through_gates(
        &self,
        resolved: &ResolvedSubject,
        recipients: &[Recipient<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Delivery> {
        let delivery =
            |recipient: &Recipient<'_>| resolved.subject.delivery(&recipient.notifier.name);
        let (gates, others): (Vec<_>, Vec<_>) =
            recipients.iter().copied().partition(|recipient| recipient.notifier.gate);
        let mut all = self.evaluate_and_deliver(resolved, &gates, &[], until).await;
        let rest = match combine_gates(&all, self.ports.clock.now()) {
            GatesOutcome::Open { annotations } => {
                self.evaluate_and_deliver(resolved, &others, &annotations, until).await
            }
            GatesOutcome::Stopped(why) => others
                .iter()
                .map(|other| {
                    delivery(other)
                        .with_outcome(DeliveryOutcome::Skipped)
                        .with_rule(NoDeliveryReason::Gate)
                        .with_detail(&why)
                })
                .collect(),
            GatesOutcome::Held { why, wait } => others
                .iter()
                .map(|other| Delivery {
                    retry_after: wait,
                    ..delivery(other)
                        .with_outcome(DeliveryOutcome::Held)
                        .with_rule(NoDeliveryReason::Gate)
                        .with_detail(&why)
                })
                .collect(),
        };
        all.extend(rest);
        all
    }
}

/// Combines the decisions of the gates: a stop wins, then a hold.
fn combine_gates(gates: &[Delivery], now: Timestamp) -> GatesOutcome {
    let mut annotations = Vec::new();
    let mut held = None;
    for gate in gates {
        let name = &gate.notifier;
        match (&gate.decision, gate.outcome) {
            (GateDecision::Stop { reason }, _) => {
                return GatesOutcome::Stopped(format!("gate `{name}`: {reason}"));
            }
            (GateDecision::Hold { until, reason }, _) => {
                let wait = Duration::try_from(*until - now).unwrap_or_default();
                let why = format!("gate `{name}` holds it until {until}: {reason}");
                held = Some(GatesOutcome::Held { why, wait: Some(wait) });
            }
            (_, DeliveryOutcome::Failed) => {
                let detail = gate.detail.as_deref().unwrap_or_default();
                let why = format!("gate `{name}` has not answered: {detail}");
                held.get_or_insert(GatesOutcome::Held { why, wait: None });
            }
            (GateDecision::Annotate { annotations: lines }, _) => annotations.extend(lines.clone()),
            (GateDecision::Go, _) => {}
        }
    }
    held.unwrap_or(GatesOutcome::Open { annotations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::notification::NotificationKey;
    use rstest::rstest;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(1_700_000_000 + second, 0)
    }

    fn gate(outcome: DeliveryOutcome, decision: GateDecision) -> Delivery {
        let account = "111122223333".parse().unwrap();
        let key = NotificationKey::for_onboarding(&account, "gate");
        let delivery = Delivery::new("gate", key, "account".into(), Some(account));
        Delivery { decision, detail: Some("down".into()), ..delivery.with_outcome(outcome) }
    }

    fn annotation(text: &str) -> Delivery {
        gate(DeliveryOutcome::Delivered, GateDecision::Annotate { annotations: vec![text.into()] })
    }

    fn hold() -> Delivery {
        gate(DeliveryOutcome::Held, GateDecision::Hold { until: at(60), reason: "no owner".into() })
    }

    fn stop() -> Delivery {
        gate(DeliveryOutcome::AlreadyDelivered, GateDecision::Stop { reason: "wrong OU".into() })
    }

    #[rstest]
    #[case::none(vec![], "open []")]
    #[case::go(vec![gate(DeliveryOutcome::Delivered, GateDecision::Go)], "open []")]
    #[case::notes(vec![annotation("a"), annotation("b")], "open [\"a\", \"b\"]")]
    #[case::stop(vec![annotation("a"), hold(), stop()], "stopped: gate `gate`: wrong OU")]
    #[case::hold(
        vec![annotation("a"), gate(DeliveryOutcome::Failed, GateDecision::Go), hold()],
        "held 60: gate `gate` holds it until 2023-11-14T22:14:20Z: no owner"
    )]
    #[case::no_answer(
        vec![gate(DeliveryOutcome::Failed, GateDecision::Go), annotation("a")],
        "held later: gate `gate` has not answered: down"
    )]
    fn gate_decisions(#[case] gates: Vec<Delivery>, #[case] expected: &str) {
        let said = match combine_gates(&gates, at(0)) {
            GatesOutcome::Open { annotations } => format!("open {annotations:?}"),
            GatesOutcome::Stopped(why) => format!("stopped: {why}"),
            GatesOutcome::Held { why, wait: Some(wait) } => {
                format!("held {}: {why}", wait.as_secs())
            }
            GatesOutcome::Held { why, wait: None } => format!("held later: {why}"),
        };
        assert_eq!(said, expected);
    }
}
