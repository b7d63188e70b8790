//! Delivers one notification to one notifier, under the ledger's claim.
//!
//! The claim is written before anything is sent, and the result after. A host that dies in between
//! leaves a claim that expires. The next host then lets the notifier check whether the first
//! delivery took effect before it repeats it.

use std::time::Duration;

use groundcrew_core::backoff::Backoff;
use groundcrew_core::decision::Cause;
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::{
    Claim, ClaimOutcome, GateDecision, Notification, NotificationEntry, NotificationKey,
    NotificationState, NotifyFailure, NotifyFailureKind,
};
use groundcrew_core::ports::LedgerError;
use jiff::Timestamp;
use tokio::time::sleep;

use super::recipients::Recipient;
use super::report::failed_for_good_reason;
use super::subject::ResolvedSubject;
use super::{ConfiguredNotifier, Delivery, DeliveryOutcome, Notifications};

/// Tries after transient failures before the event counts as failed. More follow when the event is
/// delivered again.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// The wait before the second try, and between tries of recording the result.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// The longest wait of another system that is waited for here. After a longer one the next delivery
/// of the event retries.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);
/// A claim lasts this much longer than a delivery may take, so that it never expires while its host
/// is alive.
const CLAIM_MARGIN: Duration = Duration::from_secs(30);
/// Between two polls of another host's claim.
const CLAIM_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A gate that holds is called again after so long at the earliest.
const MIN_HOLD: Duration = Duration::from_secs(60);
/// Tries of recording the result of a notification.
const MAX_COMPLETION_ATTEMPTS: u32 = 5;

impl Notifications {
    /// Notifies one notifier, unless it was notified before or another host is notifying it.
    pub(super) async fn deliver(
        &self,
        resolved: &ResolvedSubject,
        recipient: Recipient<'_>,
        annotations: &[String],
        until: Option<Timestamp>,
    ) -> Delivery {
        let Recipient { notifier, redriven, .. } = recipient;
        let delivery = resolved.subject.delivery(&notifier.name);
        let key = delivery.key.clone();
        let (mut tries, mut waits) = (0, BACKOFF);
        loop {
            let entry = match self.claim(&key, resolved, recipient, until).await {
                Ok(ClaimOutcome::Acquired(entry)) => entry,
                Ok(ClaimOutcome::Completed(entry)) => return delivery.with_entry(&entry),
                Ok(ClaimOutcome::Held { until, reason }) => {
                    return self.held(delivery, GateDecision::Hold { until, reason });
                }
                Ok(ClaimOutcome::ClaimedByOther { until }) => {
                    let error = format!("another host delivers it, until {until} at most");
                    return delivery.failed(error);
                }
                Err(error) => return delivery.failed(error.to_string()),
            };
            tries += 1;
            let delivery = Delivery { attempts: entry.attempts, ..delivery.clone() };
            let attempt = self.attempt(delivery.clone(), resolved, recipient, annotations, &entry);
            let failure = match attempt.await {
                Ok(delivery) => return delivery,
                Err(failure) => failure,
            };
            let retry_after = failure.retry_after.unwrap_or_else(|| waits.wait());
            let again = failure.kind == NotifyFailureKind::Transient
                && tries < MAX_ATTEMPTS
                && retry_after <= MAX_RETRY_AFTER
                && until.is_none_or(|until| self.ports.clock.now() + retry_after < until);
            if !again {
                return Delivery {
                    permanent: failure.kind != NotifyFailureKind::Transient,
                    retry_after: failure.retry_after,
                    for_good: is_failed_for_good(&failure, notifier).then_some(redriven),
                    ..delivery.failed(describe(&failure, notifier))
                };
            }
            tracing::warn!(%key, code = failure.code, "delivery failed, retrying: {failure}");
            sleep(retry_after).await;
        }
    }

    /// Claims the notification, and waits for another host's claim to end.
    async fn claim(
        &self,
        key: &NotificationKey,
        resolved: &ResolvedSubject,
        recipient: Recipient<'_>,
        give_up_at: Option<Timestamp>,
    ) -> Result<ClaimOutcome, LedgerError> {
        let Recipient { notifier, redriven, .. } = recipient;
        loop {
            let now = self.ports.clock.now();
            let claim = Claim {
                key: key.clone(),
                account: resolved.subject.account().cloned(),
                notifier: notifier.name.clone(),
                by: self.settings.host.clone(),
                now,
                until: now + notifier.timeout + CLAIM_MARGIN,
                redriven,
            };
            match self.ports.ledger.claim(&claim).await? {
                ClaimOutcome::ClaimedByOther { .. }
                    if give_up_at
                        .is_none_or(|give_up_at| now + CLAIM_POLL_INTERVAL < give_up_at) =>
                {
                    sleep(CLAIM_POLL_INTERVAL).await;
                }
                claimed => return Ok(claimed),
            }
        }
    }

    /// Calls the notifier once, and records the result.
    async fn attempt(
        &self,
        delivery: Delivery,
        resolved: &ResolvedSubject,
        recipient: Recipient<'_>,
        annotations: &[String],
        entry: &NotificationEntry,
    ) -> Result<Delivery, NotifyFailure> {
        let Recipient { notifier, redriven, .. } = recipient;
        let key = &delivery.key;
        let notification = Notification {
            key: key.clone(),
            cause: Cause::Lifecycle,
            account: resolved.account.clone(),
            tags: resolved.tags.clone(),
            event: resolved.event.clone(),
            annotations: annotations.to_vec(),
            now: self.ports.clock.now(),
            attempt: entry.attempts,
        };
        tracing::debug!(%key, digest = notifier.digest, attempt = entry.attempts, "delivering");
        let mut answer = notifier.notifier.notify(&notification).await;
        if let Ok(receipt) = &mut answer {
            let decision = std::mem::take(&mut receipt.decision);
            receipt.decision = self.checked(decision, notifier);
        }
        let state = match &answer {
            Ok(receipt) => match receipt.decision.clone() {
                GateDecision::Hold { until, reason } => NotificationState::Held { until, reason },
                decision => {
                    NotificationState::Delivered { reference: receipt.reference.clone(), decision }
                }
            },
            Err(failure) => NotificationState::Failed {
                error: failure.to_string(),
                effect_possible: failure.effect_possible,
                for_good: is_failed_for_good(failure, notifier).then_some(redriven),
            },
        };
        let written = self.complete(key, &state).await;
        let receipt = answer?;
        if let GateDecision::Hold { .. } = receipt.decision {
            return Ok(self.held(delivery, receipt.decision));
        }
        let delivery =
            Delivery { reference: Some(receipt.reference), decision: receipt.decision, ..delivery };
        Ok(match written {
            Ok(()) => delivery.with_outcome(DeliveryOutcome::Delivered),
            // The notification was delivered. It fails all the same, so that operators see that the
            // ledger doesn't work: when it is sent again, the notifier finds that it was delivered.
            Err(error) => delivery.failed(format!(
                "it was delivered, but the ledger could not record it: \
                                         {error}"
            )),
        })
    }

    /// The decision of a notifier about the notifications after it: only a gate's decision counts.
    fn checked(&self, decision: GateDecision, notifier: &ConfiguredNotifier) -> GateDecision {
        match decision {
            GateDecision::Go => GateDecision::Go,
            decision if !notifier.gate => {
                tracing::warn!(
                    notifier = notifier.name,
                    ?decision,
                    "only what a notifier with `gate = true` says about others counts"
                );
                GateDecision::Go
            }
            GateDecision::Hold { until, reason } => {
                GateDecision::Hold { until: until.max(self.ports.clock.now() + MIN_HOLD), reason }
            }
            decision => decision,
        }
    }

    /// The result of a gate that holds the notifications after it.
    fn held(&self, delivery: Delivery, decision: GateDecision) -> Delivery {
        let GateDecision::Hold { until, reason } = &decision else { return delivery };
        let wait = Duration::try_from(*until - self.ports.clock.now()).unwrap_or_default();
        let why = format!("it holds it until {until}: {reason}");
        Delivery {
            retry_after: Some(wait),
            ..delivery
                .with_outcome(DeliveryOutcome::Held)
                .with_rule(NoDeliveryReason::Gate)
                .with_detail(why)
        }
        .with_decision(decision)
    }

    async fn complete(
        &self,
        key: &NotificationKey,
        state: &NotificationState,
    ) -> Result<(), LedgerError> {
        let ledger = &self.ports.ledger;
        for (tries, wait) in (1..).zip(BACKOFF) {
            let now = self.ports.clock.now();
            match ledger.complete(key, &self.settings.host, state, now).await {
                Ok(true) => break,
                Ok(false) => {
                    tracing::warn!(%key, "another host has taken over; what it writes counts");
                    break;
                }
                Err(error) if tries >= MAX_COMPLETION_ATTEMPTS => return Err(error),
                Err(error) => tracing::warn!(%key, %error, "could not write to the ledger"),
            }
            sleep(wait).await;
        }
        Ok(())
    }
}

/// Whether only an operator may send it again: a retry can't help, and the other system may have
/// it. A gate is called again, since other notifications wait for it.
fn is_failed_for_good(failure: &NotifyFailure, notifier: &ConfiguredNotifier) -> bool {
    failure.kind != NotifyFailureKind::Transient && failure.effect_possible && !notifier.gate
}

fn describe(failure: &NotifyFailure, notifier: &ConfiguredNotifier) -> String {
    match failure.effect_possible {
        true if is_failed_for_good(failure, notifier) => {
            failed_for_good_reason(&failure.to_string())
        }
        true => format!("{failure} (the other system may have it all the same)"),
        false => failure.to_string(),
    }
}
