//! The results of handling events and notifications.

use std::fmt;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::event::Event;
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::{
    GateDecision, NotificationEntry, NotificationKey, NotificationState,
};
use groundcrew_core::ports::Alert;
use jiff::Timestamp;

use crate::{EngineEvent, Observer};

/// The result of handling one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReport {
    /// The event's name; `None` when it could not be read.
    pub event: Option<String>,
    /// The outcome.
    pub outcome: EventOutcome,
    /// The rule by which it was ignored; `None` if it was not.
    pub rule: Option<NoDeliveryReason>,
    /// Why it was ignored, or why the event failed as a whole.
    pub reason: Option<String>,
    /// The result of each notification.
    pub notifications: Vec<Delivery>,
    /// The alerts that were published.
    pub alerts: Vec<Alert>,
    /// Whether the event itself is malformed: delivering it again can't help.
    pub malformed: bool,
}

/// The outcome of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// At least one notification was delivered, and none failed.
    Notified,
    /// Its notifications were sent to the notifications queue.
    Queued,
    /// There was nothing to do.
    Ignored,
    /// Something failed. Delivering the event again repeats only that part.
    Failed,
}

impl fmt::Display for EventOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notified => "notified",
            Self::Queued => "queued",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        })
    }
}

/// The result of one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Name of the notifier.
    pub notifier: String,
    /// Its key in the ledger.
    pub key: NotificationKey,
    /// What it is about, for people: `account 111122223333`, or an event.
    pub description: String,
    /// The account, if it is about one.
    pub account: Option<AccountId>,
    /// The outcome.
    pub outcome: DeliveryOutcome,
    /// The other system's name for the result.
    pub reference: Option<String>,
    /// The rule by which it was not delivered; `None` if it was delivered, or should have been.
    pub rule: Option<NoDeliveryReason>,
    /// Why it was not delivered.
    pub detail: Option<String>,
    /// Whether a retry can't help.
    pub permanent: bool,
    /// How long to wait before the next try, because the other system asked for that or a gate
    /// holds it.
    pub retry_after: Option<Duration>,
    /// Set if it failed for good and the other system may have it, so that only an operator can
    /// send it again: how often it had been redriven by then.
    pub for_good: Option<u32>,
    /// The number of tries.
    pub attempts: u32,
    /// The decision of a gate about the notifications after it.
    pub decision: GateDecision,
}

/// The result of one notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It was delivered now.
    Delivered,
    /// It was delivered before.
    AlreadyDelivered,
    /// The account is older than the ledger: it is recorded as needing no notification.
    Suppressed,
    /// A policy or a gate decided against it.
    Skipped,
    /// It is not delivered yet: a gate holds it, or has not answered.
    Held,
    /// It is in the notifications queue.
    Queued,
    /// It could not be delivered.
    Failed,
}

impl fmt::Display for DeliveryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delivered => "told",
            Self::AlreadyDelivered => "already-told",
            Self::Suppressed => "recorded",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Failed => "failed",
        })
    }
}

impl EventReport {
    /// Emits the results of the notifications and the published alerts to an observer.
    pub(crate) fn report_to(&self, observer: &dyn Observer, now: Timestamp) {
        self.notifications
            .iter()
            .for_each(|delivery| observer.observe(now, EngineEvent::NotificationHandled(delivery)));
        self.alerts.iter().for_each(|alert| observer.observe(now, EngineEvent::Alerted(alert)));
    }

    pub(super) fn for_event(event: Option<&Event>) -> Self {
        Self {
            event: event.map(|event| event.name.clone()),
            outcome: EventOutcome::Ignored,
            rule: None,
            reason: None,
            notifications: Vec::new(),
            alerts: Vec::new(),
            malformed: false,
        }
    }

    pub(super) fn ignored(self, rule: NoDeliveryReason, reason: String) -> Self {
        let (rule, reason) = (Some(rule), Some(reason));
        Self { outcome: EventOutcome::Ignored, rule, reason, ..self }
    }

    /// Adds these notifications, and sets the outcome that follows from them.
    pub(super) fn with_deliveries(mut self, deliveries: Vec<Delivery>) -> Self {
        self.notifications.extend(deliveries);
        let any = |outcome| self.notifications.iter().any(|delivery| delivery.outcome == outcome);
        self.outcome = if any(DeliveryOutcome::Failed) || self.outcome == EventOutcome::Failed {
            EventOutcome::Failed
        } else if any(DeliveryOutcome::Delivered) {
            EventOutcome::Notified
        } else if any(DeliveryOutcome::Queued) {
            EventOutcome::Queued
        } else {
            EventOutcome::Ignored
        };
        self.rule = None;
        if self.outcome == EventOutcome::Ignored {
            let (rule, reason) = ignored_because(&self.notifications);
            self.rule = Some(rule);
            self.reason.get_or_insert(reason);
        }
        self
    }

    /// Marks it as failed as a whole.
    pub(super) fn failed_as_a_whole(mut self, reason: String) -> Self {
        self.outcome = EventOutcome::Failed;
        self.rule = None;
        self.add_reason(reason);
        self
    }

    pub(super) fn add_reason(&mut self, reason: String) {
        self.reason = Some(match self.reason.take() {
            Some(earlier) => format!("{earlier}; {reason}"),
            None => reason,
        });
    }
}

impl Delivery {
    pub(super) fn new(
        notifier: &str,
        key: NotificationKey,
        description: String,
        account: Option<AccountId>,
    ) -> Self {
        Self {
            notifier: notifier.to_owned(),
            key,
            description,
            account,
            outcome: DeliveryOutcome::Queued,
            reference: None,
            rule: None,
            detail: None,
            permanent: false,
            retry_after: None,
            for_good: None,
            attempts: 0,
            decision: GateDecision::Go,
        }
    }

    pub(super) fn with_outcome(self, outcome: DeliveryOutcome) -> Self {
        Self { outcome, ..self }
    }

    pub(super) fn failed(self, error: impl Into<String>) -> Self {
        self.with_outcome(DeliveryOutcome::Failed).with_detail(error)
    }

    /// The result that the ledger's entry means.
    pub(super) fn with_entry(self, entry: &NotificationEntry) -> Self {
        match &entry.state {
            NotificationState::Delivered { reference, decision } => Self {
                reference: Some(reference.clone()),
                decision: decision.clone(),
                rule: Some(match self.key.is_onboarding() {
                    true => NoDeliveryReason::OncePerAccount,
                    false => NoDeliveryReason::OncePerEvent,
                }),
                ..self.with_outcome(DeliveryOutcome::AlreadyDelivered)
            },
            NotificationState::Failed { error, for_good, .. } => Self {
                permanent: true,
                for_good: *for_good,
                attempts: entry.attempts,
                ..self
                    .failed(failed_for_good_reason(error))
                    .with_rule(NoDeliveryReason::FailedForGood)
            },
            _ => self
                .with_outcome(DeliveryOutcome::Suppressed)
                .with_rule(NoDeliveryReason::JoinedBefore)
                .with_detail("the account was there before"),
        }
    }

    /// Whether it failed for good earlier, and was not tried now.
    pub(super) fn failed_before(&self) -> bool {
        self.outcome == DeliveryOutcome::Failed
            && self.rule == Some(NoDeliveryReason::FailedForGood)
    }

    /// The ledger's marker that the alert about its failure for good was published.
    pub(super) fn failed_for_good_marker(&self) -> Option<String> {
        Some(format!("failed for good {} {}", self.key, self.for_good?))
    }

    pub(super) fn with_decision(self, decision: GateDecision) -> Self {
        Self { decision, ..self }
    }

    pub(super) fn with_rule(self, rule: NoDeliveryReason) -> Self {
        Self { rule: Some(rule), ..self }
    }

    pub(super) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// Why a notification that failed for good is not retried.
pub(super) fn failed_for_good_reason(error: &str) -> String {
    format!(
        "{error} (the other system may have it all the same, so it is not sent again by itself)"
    )
}

/// The rule by which no notification was delivered, and the reason, for operators. A held
/// notification comes first, since it is not over.
fn ignored_because(notifications: &[Delivery]) -> (NoDeliveryReason, String) {
    let held = notifications.iter().find(|delivery| delivery.outcome == DeliveryOutcome::Held);
    let Some(first) = held.or(notifications.first()) else {
        return (NoDeliveryReason::NothingLost, "no account needs a notification".to_owned());
    };
    let rule = first.rule.unwrap_or(NoDeliveryReason::NoRoute);
    let detail = || first.detail.clone().unwrap_or_else(|| "it needs no notification".to_owned());
    let alike = notifications.iter().all(|delivery| delivery.rule == first.rule);
    let reason = match rule {
        _ if held.is_some() => detail(),
        _ if !alike => "every notification was delivered before, or is not due".to_owned(),
        NoDeliveryReason::OncePerAccount => {
            "every notifier was notified of the account before, and is notified once for each \
                                 account (`once_per = \"account\"`)"
                .to_owned()
        }
        NoDeliveryReason::OncePerEvent => {
            "every notifier was notified of this event before".to_owned()
        }
        NoDeliveryReason::JoinedBefore => "the account is not new: it joined before the lookback \
                               (`ledger.onboarding_lookback`), or before the ledger began"
            .to_owned(),
        _ => detail(),
    };
    (rule, reason)
}
