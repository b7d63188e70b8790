//! What became of an event.

use std::fmt;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::event::Event;
use groundcrew_core::notification::{
    NotificationEntry, NotificationKey, NotificationState, Verdict,
};
use groundcrew_core::ports::Alert;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The event's name; `None` when it could not be read.
    pub event: Option<String>,
    /// What was done.
    pub outcome: HandledOutcome,
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
    /// Why it was not told.
    pub detail: Option<String>,
    /// Whether telling again can't help.
    pub permanent: bool,
    /// How long to wait before it is told again: the other system asked for it, or a gate holds
    /// it.
    pub retry_after: Option<Duration>,
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
    pub(super) fn of(event: Option<&Event>) -> Self {
        Self {
            event: event.map(|event| event.name.clone()),
            outcome: HandledOutcome::Ignored,
            reason: None,
            notifications: Vec::new(),
            alerts: Vec::new(),
            malformed: false,
        }
    }

    pub(super) fn ignored(self, reason: String) -> Self {
        Self { outcome: HandledOutcome::Ignored, reason: Some(reason), ..self }
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
        if self.outcome == HandledOutcome::Ignored && self.reason.is_none() {
            let held = self.notifications.iter().find(|told| told.outcome == ToldOutcome::Held);
            let reason = match (self.notifications.as_slice(), held) {
                (_, Some(held)) => held.detail.as_deref().unwrap_or("it is held"),
                ([], _) => "no account is to be told of",
                _ => "every notifier was told before, or is not to be told",
            };
            self.reason = Some(reason.to_owned());
        }
        self
    }

    /// It has failed as a whole.
    pub(super) fn broken(mut self, reason: String) -> Self {
        self.outcome = HandledOutcome::Failed;
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
            detail: None,
            permanent: false,
            retry_after: None,
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
                ..self.now(ToldOutcome::AlreadyTold)
            },
            _ => self.now(ToldOutcome::Recorded).because("the account was there before"),
        }
    }

    pub(super) fn with_verdict(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    pub(super) fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}
