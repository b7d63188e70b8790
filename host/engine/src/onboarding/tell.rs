//! Telling one notifier of one account, under the ledger's claim.
//!
//! The claim is written before anything is sent, and what became of it after. A host that
//! dies in between leaves a claim that runs out; whoever comes then has the notifier look
//! before it repeats.

use std::time::Duration;

use groundcrew_core::decision::Cause;
use groundcrew_core::notification::{
    Claim, Claimed, Notification, NotificationEntry, NotificationKey, NotificationState,
    NotifyFailure, NotifyFailureKind,
};
use groundcrew_core::ports::LedgerError;
use jiff::Timestamp;
use tokio::time::sleep;

use super::{ConfiguredNotifier, Onboarding, Subject, Told, ToldOutcome};

/// Tries of a transient failure before the event counts as failed. More follow when it is
/// delivered again.
pub(super) const TRIES: u32 = 3;
/// Before the second try; doubled for the third.
const WAIT: Duration = Duration::from_secs(1);
/// The longest wait that another system may ask for here. A longer one is left to the next
/// delivery.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A claim lasts this much longer than telling may take, so that it never runs out under a
/// host that is alive.
const MARGIN: Duration = Duration::from_secs(30);
/// Between two looks at another host's claim.
const LOOK: Duration = Duration::from_millis(500);
/// Tries of writing down what became of a notification.
const SETTLES: u32 = 5;

impl Onboarding {
    /// Tells one notifier, unless it was told or another host tells it.
    pub(super) async fn tell(
        &self,
        subject: &Subject,
        notifier: &ConfiguredNotifier,
        until: Option<Timestamp>,
    ) -> Told {
        let account = &subject.known.account.id;
        let key = NotificationKey::onboard(account, &notifier.name);
        let mut wait = WAIT;
        let mut tries = 0;
        loop {
            let entry = match self.claim(&key, subject, notifier, until).await {
                Ok(Claimed::Ours(entry)) => entry,
                Ok(Claimed::Settled(entry)) => return Told::settled(notifier, &entry),
                Ok(Claimed::Busy { until }) => {
                    let error = format!("another host has been telling it, until {until} at most");
                    return Told::failed(notifier, account, error);
                }
                Err(error) => return Told::failed(notifier, account, error.to_string()),
            };
            tries += 1;
            let failure = match self.try_once(&key, subject, notifier, &entry).await {
                Ok(told) => return told,
                Err(failure) => failure,
            };
            let asked = failure.retry_after.unwrap_or(wait);
            let again = failure.kind == NotifyFailureKind::Transient
                && tries < TRIES
                && asked <= LONGEST_WAIT
                && until.is_none_or(|until| self.ports.clock.now() + asked < until);
            if !again {
                return Told {
                    permanent: failure.kind != NotifyFailureKind::Transient,
                    retry_after: failure.retry_after,
                    ..Told::failed(notifier, account, describe(&failure))
                };
            }
            tracing::warn!(%key, code = failure.code, "telling failed, trying again: {failure}");
            sleep(asked).await;
            wait *= 2;
        }
    }

    /// Claims the notification; waits for another host's claim to end.
    async fn claim(
        &self,
        key: &NotificationKey,
        subject: &Subject,
        notifier: &ConfiguredNotifier,
        patience: Option<Timestamp>,
    ) -> Result<Claimed, LedgerError> {
        loop {
            let now = self.ports.clock.now();
            let claim = Claim {
                key: key.clone(),
                account: subject.known.account.id.clone(),
                notifier: notifier.name.clone(),
                by: self.settings.host.clone(),
                now,
                until: now + notifier.timeout + MARGIN,
            };
            match self.ports.ledger.claim(&claim).await? {
                Claimed::Busy { .. } if patience.is_none_or(|patience| now + LOOK < patience) => {
                    sleep(LOOK).await;
                }
                claimed => return Ok(claimed),
            }
        }
    }

    /// Tells, and writes down what became of it.
    async fn try_once(
        &self,
        key: &NotificationKey,
        subject: &Subject,
        notifier: &ConfiguredNotifier,
        entry: &NotificationEntry,
    ) -> Result<Told, NotifyFailure> {
        let account = &subject.known.account;
        let notification = Notification {
            key: key.clone(),
            cause: Cause::Lifecycle,
            account: account.clone(),
            tags: subject.known.tags.clone(),
            event: subject.event.clone(),
            now: self.ports.clock.now(),
            attempt: entry.attempts,
        };
        tracing::debug!(%key, digest = notifier.digest, attempt = entry.attempts, "telling");
        let answer = notifier.notifier.notify(&notification).await;
        let state = match &answer {
            Ok(receipt) => NotificationState::Told { reference: receipt.reference.clone() },
            Err(failure) => NotificationState::Failed {
                error: failure.to_string(),
                effect_possible: failure.effect_possible,
            },
        };
        let written = self.settle(key, &state).await;
        let receipt = answer?;
        match written {
            Ok(()) => Ok(Told {
                reference: Some(receipt.reference),
                ..Told::new(notifier, &account.id, ToldOutcome::Told)
            }),
            // It was told. Said again it is found by looking; left unsaid, nobody would see
            // that the ledger doesn't work.
            Err(error) => Ok(Told {
                reference: Some(receipt.reference),
                ..Told::failed(
                    notifier,
                    &account.id,
                    format!("it was told, but that could not be written down: {error}"),
                )
            }),
        }
    }

    async fn settle(
        &self,
        key: &NotificationKey,
        state: &NotificationState,
    ) -> Result<(), LedgerError> {
        let ledger = &self.ports.ledger;
        let mut wait = WAIT;
        for tries in 1.. {
            let now = self.ports.clock.now();
            match ledger.settle(key, &self.settings.host, state, now).await {
                Ok(true) => break,
                Ok(false) => {
                    tracing::warn!(%key, "another host has taken over; what it writes counts");
                    break;
                }
                Err(error) if tries >= SETTLES => return Err(error),
                Err(error) => tracing::warn!(%key, %error, "could not write to the ledger"),
            }
            sleep(wait).await;
            wait *= 2;
        }
        Ok(())
    }
}

fn describe(failure: &NotifyFailure) -> String {
    match failure.effect_possible {
        true => format!("{failure} (it may have been told all the same; a repeat looks first)"),
        false => failure.to_string(),
    }
}
