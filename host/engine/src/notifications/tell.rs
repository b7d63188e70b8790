//! Telling one notifier of one account, under the ledger's claim.
//!
//! The claim is written before anything is sent, and what became of it after. A host that
//! dies in between leaves a claim that runs out; whoever comes then has the notifier look
//! before it repeats.

use std::time::Duration;

use groundcrew_core::backoff::Backoff;
use groundcrew_core::decision::Cause;
use groundcrew_core::notification::{
    Claim, Claimed, Notification, NotificationEntry, NotificationKey, NotificationState,
    NotifyFailure, NotifyFailureKind, Verdict,
};
use groundcrew_core::ports::LedgerError;
use groundcrew_core::rule::Rule;
use jiff::Timestamp;
use tokio::time::sleep;

use super::due::Listener;
use super::report::for_good_reason;
use super::subject::Subject;
use super::{ConfiguredNotifier, Notifications, Told, ToldOutcome};

/// Tries of a transient failure before the event counts as failed. More follow when it is
/// delivered again.
pub(super) const TRIES: u32 = 3;
/// Before the second try, and between tries of writing down what became of it.
const WAITS: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// The longest wait that another system may ask for here. A longer one is left to the next
/// delivery.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A claim lasts this much longer than telling may take, so that it never runs out under a
/// host that is alive.
const MARGIN: Duration = Duration::from_secs(30);
/// Between two looks at another host's claim.
const LOOK: Duration = Duration::from_millis(500);
/// A gate that holds is asked again after so long at the earliest.
const SHORTEST_HOLD: Duration = Duration::from_secs(60);
/// Tries of writing down what became of a notification.
const SETTLES: u32 = 5;

impl Notifications {
    /// Tells one notifier, unless it was told or another host tells it.
    pub(super) async fn tell(
        &self,
        subject: &Subject,
        listener: Listener<'_>,
        annotations: &[String],
        until: Option<Timestamp>,
    ) -> Told {
        let Listener { notifier, redriven, .. } = listener;
        let told = subject.matter.told(&notifier.name);
        let key = told.key.clone();
        let (mut tries, mut waits) = (0, WAITS);
        loop {
            let entry = match self.claim(&key, subject, listener, until).await {
                Ok(Claimed::Ours(entry)) => entry,
                Ok(Claimed::Settled(entry)) => return told.settled(&entry),
                Ok(Claimed::Held { until, reason }) => {
                    return self.held(told, Verdict::Hold { until, reason });
                }
                Ok(Claimed::Busy { until }) => {
                    let error = format!("another host has been telling it, until {until} at most");
                    return told.failed(error);
                }
                Err(error) => return told.failed(error.to_string()),
            };
            tries += 1;
            let told = Told { attempts: entry.attempts, ..told.clone() };
            let try_once = self.try_once(told.clone(), subject, listener, annotations, &entry);
            let failure = match try_once.await {
                Ok(told) => return told,
                Err(failure) => failure,
            };
            let asked = failure.retry_after.unwrap_or_else(|| waits.wait());
            let again = failure.kind == NotifyFailureKind::Transient
                && tries < TRIES
                && asked <= LONGEST_WAIT
                && until.is_none_or(|until| self.ports.clock.now() + asked < until);
            if !again {
                return Told {
                    permanent: failure.kind != NotifyFailureKind::Transient,
                    retry_after: failure.retry_after,
                    for_good: is_for_good(&failure, notifier).then_some(redriven),
                    ..told.failed(describe(&failure, notifier))
                };
            }
            tracing::warn!(%key, code = failure.code, "telling failed, trying again: {failure}");
            sleep(asked).await;
        }
    }

    /// Claims the notification; waits for another host's claim to end.
    async fn claim(
        &self,
        key: &NotificationKey,
        subject: &Subject,
        listener: Listener<'_>,
        patience: Option<Timestamp>,
    ) -> Result<Claimed, LedgerError> {
        let Listener { notifier, redriven, .. } = listener;
        loop {
            let now = self.ports.clock.now();
            let claim = Claim {
                key: key.clone(),
                account: subject.matter.account().cloned(),
                notifier: notifier.name.clone(),
                by: self.settings.host.clone(),
                now,
                until: now + notifier.timeout + MARGIN,
                redriven,
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
        told: Told,
        subject: &Subject,
        listener: Listener<'_>,
        annotations: &[String],
        entry: &NotificationEntry,
    ) -> Result<Told, NotifyFailure> {
        let Listener { notifier, redriven, .. } = listener;
        let key = &told.key;
        let notification = Notification {
            key: key.clone(),
            cause: Cause::Lifecycle,
            account: subject.account.clone(),
            tags: subject.tags.clone(),
            event: subject.event.clone(),
            annotations: annotations.to_vec(),
            now: self.ports.clock.now(),
            attempt: entry.attempts,
        };
        tracing::debug!(%key, digest = notifier.digest, attempt = entry.attempts, "telling");
        let mut answer = notifier.notifier.notify(&notification).await;
        if let Ok(receipt) = &mut answer {
            let verdict = std::mem::take(&mut receipt.verdict);
            receipt.verdict = self.checked(verdict, notifier);
        }
        let state = match &answer {
            Ok(receipt) => match receipt.verdict.clone() {
                Verdict::Hold { until, reason } => NotificationState::Held { until, reason },
                verdict => {
                    NotificationState::Told { reference: receipt.reference.clone(), verdict }
                }
            },
            Err(failure) => NotificationState::Failed {
                error: failure.to_string(),
                effect_possible: failure.effect_possible,
                for_good: is_for_good(failure, notifier).then_some(redriven),
            },
        };
        let written = self.settle(key, &state).await;
        let receipt = answer?;
        if let Verdict::Hold { .. } = receipt.verdict {
            return Ok(self.held(told, receipt.verdict));
        }
        let told = Told { reference: Some(receipt.reference), verdict: receipt.verdict, ..told };
        Ok(match written {
            Ok(()) => told.now(ToldOutcome::Told),
            // It was told. Said again it is found by looking; left unsaid, nobody would see
            // that the ledger doesn't work.
            Err(error) => {
                told.failed(format!("it was told, but that could not be written down: {error}"))
            }
        })
    }

    /// What a notifier says about those that come after it: only a gate has such.
    fn checked(&self, verdict: Verdict, notifier: &ConfiguredNotifier) -> Verdict {
        match verdict {
            Verdict::Go => Verdict::Go,
            verdict if !notifier.gate => {
                tracing::warn!(
                    notifier = notifier.name,
                    ?verdict,
                    "only what a notifier with `gate = true` says about others counts"
                );
                Verdict::Go
            }
            Verdict::Hold { until, reason } => {
                Verdict::Hold { until: until.max(self.ports.clock.now() + SHORTEST_HOLD), reason }
            }
            verdict => verdict,
        }
    }

    /// A gate holds what comes after it.
    fn held(&self, told: Told, verdict: Verdict) -> Told {
        let Verdict::Hold { until, reason } = &verdict else { return told };
        let wait = Duration::try_from(*until - self.ports.clock.now()).unwrap_or_default();
        let why = format!("it holds it until {until}: {reason}");
        Told { retry_after: Some(wait), ..told.now(ToldOutcome::Held).by(Rule::Gate).because(why) }
            .with_verdict(verdict)
    }

    async fn settle(
        &self,
        key: &NotificationKey,
        state: &NotificationState,
    ) -> Result<(), LedgerError> {
        let ledger = &self.ports.ledger;
        for (tries, wait) in (1..).zip(WAITS) {
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
        }
        Ok(())
    }
}

/// Whether nobody but a person is to try again: it can't help, and the other system may have it. A
/// gate is asked again, since others wait for it.
fn is_for_good(failure: &NotifyFailure, notifier: &ConfiguredNotifier) -> bool {
    failure.kind != NotifyFailureKind::Transient && failure.effect_possible && !notifier.gate
}

fn describe(failure: &NotifyFailure, notifier: &ConfiguredNotifier) -> String {
    match failure.effect_possible {
        true if is_for_good(failure, notifier) => for_good_reason(&failure.to_string()),
        true => format!("{failure} (the other system may have it all the same)"),
        false => failure.to_string(),
    }
}
