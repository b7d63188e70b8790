//! What became of an event.

use std::fmt;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::event::Event;
use groundcrew_core::notification::{
    NotificationEntry, NotificationKey, NotificationState, Verdict,
};
use groundcrew_core::ports::Alert;
use groundcrew_core::rule::Rule;
use jiff::Timestamp;

use crate::{Notice, Witness};

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The event's name; `None` when it could not be read.
    pub event: Option<String>,
    /// What was done.
    pub outcome: HandledOutcome,
    /// By which rule it was ignored; `None` if it was not.
    pub rule: Option<Rule>,
    /// Why nothing was done, or what went wrong with the event as a whole.
    pub reason: Option<String>,
    /// What became of each notification.
    pub notifications: Vec<Told>,
    /// The alerts that are out.
    pub alerts: Vec<Alert>,
    /// Whether the event itself is wrong: delivering it again can't help.
    pub malformed: bool,
}

/// What was done about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandledOutcome {
    /// At least one notifier was told, and none failed.
    Notified,
    /// It was handed over to the notifications queue.
    Queued,
    /// There was nothing to do.
    Ignored,
    /// Something could not be done. Delivering the event again repeats only that.
    Failed,
}

impl fmt::Display for HandledOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notified => "notified",
            Self::Queued => "queued",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        })
    }
}

/// What became of one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Name of the notifier.
    pub notifier: String,
    /// What the ledger knows it by.
    pub key: NotificationKey,
    /// What it is about, for people: `account 111122223333`, or an event.
    pub about: String,
    /// The account, if it is about one.
    pub account: Option<AccountId>,
    /// What became of it.
    pub outcome: ToldOutcome,
    /// What the other system calls the result.
    pub reference: Option<String>,
    /// By which rule it was not told; `None` if it was told, or was to be.
    pub rule: Option<Rule>,
    /// Why it was not told.
    pub detail: Option<String>,
    /// Whether telling again can't help.
    pub permanent: bool,
    /// How long to wait before it is told again: the other system asked for it, or a gate holds
    /// it.
    pub retry_after: Option<Duration>,
    /// It failed for good, and the other system may have it: it is told again by nobody but a
    /// person. How often it had been redriven by then.
    pub for_good: Option<u32>,
    /// How often it was tried.
    pub attempts: u32,
    /// What a gate says about those that come after it.
    pub verdict: Verdict,
}

/// What became of one notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldOutcome {
    /// The other system was told now.
    Told,
    /// It was told before.
    AlreadyTold,
    /// The account is older than the ledger: it is written down as not to be told.
    Recorded,
    /// A policy or a gate says not to tell.
    Skipped,
    /// It is not told yet: a gate holds it, or has not answered.
    Held,
    /// It is in the notifications queue.
    Queued,
    /// It could not be told.
    Failed,
}

impl fmt::Display for ToldOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Told => "told",
            Self::AlreadyTold => "already-told",
            Self::Recorded => "recorded",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Failed => "failed",
        })
    }
}

impl Handled {
    /// Shows what became of the notifications, and the alerts that are out.
    pub(crate) fn show(&self, witness: &dyn Witness, now: Timestamp) {
        self.notifications.iter().for_each(|told| witness.see(now, Notice::Told(told)));
        self.alerts.iter().for_each(|alert| witness.see(now, Notice::Alerted(alert)));
    }

    pub(super) fn of(event: Option<&Event>) -> Self {
        Self {
            event: event.map(|event| event.name.clone()),
            outcome: HandledOutcome::Ignored,
            rule: None,
            reason: None,
            notifications: Vec::new(),
            alerts: Vec::new(),
            malformed: false,
        }
    }

    pub(super) fn ignored(self, rule: Rule, reason: String) -> Self {
        let (rule, reason) = (Some(rule), Some(reason));
        Self { outcome: HandledOutcome::Ignored, rule, reason, ..self }
    }

    /// With these notifications, which say what the outcome is.
    pub(super) fn with(mut self, told: Vec<Told>) -> Self {
        self.notifications.extend(told);
        let any = |outcome| self.notifications.iter().any(|told| told.outcome == outcome);
        self.outcome = if any(ToldOutcome::Failed) || self.outcome == HandledOutcome::Failed {
            HandledOutcome::Failed
        } else if any(ToldOutcome::Told) {
            HandledOutcome::Notified
        } else if any(ToldOutcome::Queued) {
            HandledOutcome::Queued
        } else {
            HandledOutcome::Ignored
        };
        self.rule = None;
        if self.outcome == HandledOutcome::Ignored {
            let (rule, reason) = by_rule(&self.notifications);
            self.rule = Some(rule);
            self.reason.get_or_insert(reason);
        }
        self
    }

    /// It has failed as a whole.
    pub(super) fn broken(mut self, reason: String) -> Self {
        self.outcome = HandledOutcome::Failed;
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

impl Told {
    pub(super) fn of(
        notifier: &str,
        key: NotificationKey,
        about: String,
        account: Option<AccountId>,
    ) -> Self {
        Self {
            notifier: notifier.to_owned(),
            key,
            about,
            account,
            outcome: ToldOutcome::Queued,
            reference: None,
            rule: None,
            detail: None,
            permanent: false,
            retry_after: None,
            for_good: None,
            attempts: 0,
            verdict: Verdict::Go,
        }
    }

    pub(super) fn now(self, outcome: ToldOutcome) -> Self {
        Self { outcome, ..self }
    }

    pub(super) fn failed(self, error: impl Into<String>) -> Self {
        self.now(ToldOutcome::Failed).because(error)
    }

    /// As the ledger has it.
    pub(super) fn settled(self, entry: &NotificationEntry) -> Self {
        match &entry.state {
            NotificationState::Told { reference, verdict } => Self {
                reference: Some(reference.clone()),
                verdict: verdict.clone(),
                rule: Some(match self.key.is_of_landed() {
                    true => Rule::OncePerAccount,
                    false => Rule::OncePerEvent,
                }),
                ..self.now(ToldOutcome::AlreadyTold)
            },
            NotificationState::Failed { error, for_good, .. } => Self {
                permanent: true,
                for_good: *for_good,
                attempts: entry.attempts,
                ..self.failed(for_good_reason(error)).by(Rule::FailedForGood)
            },
            _ => self
                .now(ToldOutcome::Recorded)
                .by(Rule::JoinedBefore)
                .because("the account was there before"),
        }
    }

    /// Whether it failed for good at an earlier time, and was not tried now.
    pub(super) fn failed_before(&self) -> bool {
        self.outcome == ToldOutcome::Failed && self.rule == Some(Rule::FailedForGood)
    }

    /// What the ledger notes once people know that it failed for good.
    pub(super) fn note_of_failing_for_good(&self) -> Option<String> {
        Some(format!("failed for good {} {}", self.key, self.for_good?))
    }

    pub(super) fn with_verdict(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    pub(super) fn by(self, rule: Rule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    pub(super) fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// Why what failed for good is not tried again.
pub(super) fn for_good_reason(error: &str) -> String {
    format!(
        "{error} (the other system may have it all the same, so it is not sent again by itself)"
    )
}

/// The rule by which nobody was told, and why, for people. What is held comes first: it is not over.
fn by_rule(notifications: &[Told]) -> (Rule, String) {
    let held = notifications.iter().find(|told| told.outcome == ToldOutcome::Held);
    let Some(first) = held.or(notifications.first()) else {
        return (Rule::NothingLost, "no account is to be told of".to_owned());
    };
    let rule = first.rule.unwrap_or(Rule::NoRoute);
    let detail = || first.detail.clone().unwrap_or_else(|| "it is not to be told".to_owned());
    let alike = notifications.iter().all(|told| told.rule == first.rule);
    let reason = match rule {
        _ if held.is_some() => detail(),
        _ if !alike => "every notifier was told before, or is not to be told".to_owned(),
        Rule::OncePerAccount => {
            "every notifier was told of the account before, and is told once for \
                                 each account (`once_per = \"account\"`)"
                .to_owned()
        }
        Rule::OncePerEvent => "every notifier was told of this very event before".to_owned(),
        Rule::JoinedBefore => "the account is not new: it joined before the lookback \
                               (`ledger.onboarding_lookback`), or before the ledger began"
            .to_owned(),
        _ => detail(),
    };
    (rule, reason)
}
