//! Receives notifications from their queue. Each is one event for one notifier, so that a system
//! that is down delays no other, and a retry repeats only the part that failed.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::backoff::Backoff;
use groundcrew_core::event::Event;
use groundcrew_core::onboarding::{Discovery, QueuedNotification};
use groundcrew_core::ports::{Alert, NotificationQueue, ReceivedNotification};
use groundcrew_core::suggestions::{CommandFormatter, shell_quote};

use super::deliver::{MAX_ATTEMPTS, MAX_RETRY_AFTER};
use super::recipients::Recipient;
use super::subject::onboarding_subject;
use super::{
    ConfiguredNotifier, Delivery, DeliveryOutcome, EventOutcome, EventReport, Notifications,
    digest, log, subject_for,
};
use crate::alerts::excerpt;

/// Deliveries of one notification, each with tries of its own, before it goes to the dead-letter
/// queue. With the waits below they take some three and a half hours.
const MAX_DELIVERIES: u32 = 10;
/// Deliveries of a notification that can't even be tried, since the ledger can't be read. Each
/// waits for up to an hour. With gates the limit is [`MAX_HELD_DELIVERIES`] instead: a message's
/// deliveries include those during which a gate held it, and these are not counted separately.
const MAX_UNTRIED_DELIVERIES: u32 = 60;
/// Deliveries of a notification that a gate holds, or has not answered about. After the first
/// [`PROMPT_HELD_DELIVERIES`] they are an hour apart, so that all of them take about 13 days,
/// however long each hold is. SQS deletes a message after 14 days, and no alert would be published
/// then.
const MAX_HELD_DELIVERIES: u32 = 13 * 24;
/// So many deliveries come as soon as the gate says.
const PROMPT_HELD_DELIVERIES: u32 = 24;
/// The wait after the first delivery that failed; doubled with each.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(30), MAX_BACKOFF);
/// The longest of these waits.
const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);
/// A message stays hidden for as long as a delivery may take, and so much longer.
const VISIBILITY_MARGIN: Duration = Duration::from_secs(60);
/// A message is hidden for so long at a time while it waits for other deliveries of its notifier,
/// and the timeout is renewed before it ends. If this host is gone, another one receives the
/// message within this time.
const TURN_VISIBILITY: Duration = Duration::from_secs(120);
/// The visibility timeout is renewed so long before it ends.
const VISIBILITY_RENEWAL: Duration = Duration::from_secs(60);
/// A notification may be redriven so often before its next try has to wait. This slows down an
/// operator who redrives again and again without fixing the cause.
const PROMPT_REDRIVES: u32 = 2;
/// An alert about a notification that fails with the same error again is published at most once in
/// this time.
const SAME_ALERT_SECONDS: i64 = 60 * 60;

/// The result of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageOutcome {
    /// The result of the notification.
    pub handled: EventReport,
    /// Whether the message is still in the queue, hidden until the next try. Otherwise it was
    /// deleted.
    pub still_queued: bool,
}

impl Notifications {
    /// The queue that notifications are sent to, if there is one.
    pub fn queue(&self) -> Option<&Arc<dyn NotificationQueue>> {
        self.ports.queue.as_ref()
    }

    /// Delivers a notification from the queue to its notifier. Then the message is deleted, hidden
    /// until the next try, or moved to the dead-letter queue with an alert.
    ///
    /// It is safe to kill this at any moment: the message comes again, and a notification that was
    /// delivered is not delivered again.
    pub async fn process_message(
        &self,
        queue: &dyn NotificationQueue,
        message: &ReceivedNotification,
    ) -> MessageOutcome {
        let never = std::future::pending();
        let still_queued =
            || MessageOutcome { handled: EventReport::for_event(None), still_queued: true };
        self.process_message_unless(queue, message, never).await.unwrap_or_else(still_queued)
    }

    /// The same, unless `stop` is ready while it waits for its turn: then the message becomes
    /// visible to other hosts again, and the result is `None`.
    pub async fn process_message_unless(
        &self,
        queue: &dyn NotificationQueue,
        message: &ReceivedNotification,
        stop: impl Future<Output = ()>,
    ) -> Option<MessageOutcome> {
        let notification = &message.notification;
        if let Some(wait) = redrive_delay(notification.redriven, message.receive_count) {
            if let Err(error) = queue.postpone(&message.receipt_handle, wait).await {
                tracing::warn!(%error, "could not postpone a notification; it comes again");
            }
            let why = "it was redriven again and again, and waits before the next try";
            tracing::info!(notification = %notification.key, wait = ?wait, "{why}");
            return Some(MessageOutcome {
                handled: EventReport::for_event(None),
                still_queued: true,
            });
        }
        let named = self.settings.notifiers.iter().find(|one| one.name == notification.notifier);
        let handled = match named {
            None => EventReport::for_event(None).failed_as_a_whole(format!(
                "no notifier is named `{}`: it was renamed or removed from the config",
                notification.notifier
            )),
            Some(notifier) => {
                let hide = async |long: Duration| {
                    if let Err(error) = queue.postpone(&message.receipt_handle, long).await {
                        tracing::warn!(%error, "could not extend the visibility timeout of a \
                                                notification");
                    }
                };
                let permit = self.permits_by_notifier.get(&notifier.name);
                let _turn = match permit.map(|permit| (permit, permit.try_acquire())) {
                    Some((permit, Err(_))) => {
                        let keep_hidden = async {
                            loop {
                                hide(TURN_VISIBILITY).await;
                                tokio::time::sleep(TURN_VISIBILITY - VISIBILITY_RENEWAL).await;
                            }
                        };
                        tokio::select! {
                            permit = permit.acquire() => permit.ok(),
                            () = keep_hidden => None,
                            () = stop => {
                                hide(Duration::ZERO).await;
                                return None;
                            }
                        }
                    }
                    Some((_, permit)) => permit.ok(),
                    None => None,
                };
                // No other host may receive it meanwhile.
                hide(self.max_delivery_time(notifier)).await;
                self.deliver_queued(notification, notifier).await
            }
        };
        handled.notifications.iter().for_each(log);
        Some(self.finish_message(queue, message, handled).await)
    }

    /// How long a delivery may take, with the gates before it.
    fn max_delivery_time(&self, notifier: &ConfiguredNotifier) -> Duration {
        let gates = self.settings.notifiers.iter().filter(|one| one.gate);
        let gates = gates.map(|gate| gate.timeout).max().unwrap_or_default();
        (notifier.timeout + gates + MAX_RETRY_AFTER) * MAX_ATTEMPTS + VISIBILITY_MARGIN
    }

    async fn deliver_queued(
        &self,
        notification: &QueuedNotification,
        notifier: &ConfiguredNotifier,
    ) -> EventReport {
        let event = match notification.event.as_deref().map(Event::parse).transpose() {
            Ok(event) => event.map(Arc::new),
            Err(error) => return EventReport::for_event(None).failed_as_a_whole(error.to_string()),
        };
        let handled = EventReport::for_event(event.as_deref());
        let (subject, recipients) = match (&event, &notification.account) {
            (Some(event), _) => match subject_for(event) {
                // The key decides, even if the config has changed since.
                Ok(Some(subject))
                    if subject.is_onboarding() && !notification.key.is_onboarding() =>
                {
                    (subject.as_event(event), self.recipients(event))
                }
                Ok(Some(subject)) => (subject, self.recipients(event)),
                Ok(None) => {
                    return handled.failed_as_a_whole("its event needs no notification".to_owned());
                }
                Err(error) => return handled.failed_as_a_whole(error.to_string()),
            },
            // A sweep found the account: there is no event.
            (None, Some(id)) => match self.ports.directory.account(id).await {
                Ok(account) => {
                    let recipients = self.recipients(&Event::for_enrolled_account(&account));
                    (onboarding_subject(&account, Discovery::Queued), recipients)
                }
                Err(error) => {
                    let key = notification.key.clone();
                    let description = format!("account {id}");
                    let delivery =
                        Delivery::new(&notifier.name, key, description, Some(id.clone()));
                    return handled.with_deliveries(vec![delivery.failed(error.to_string())]);
                }
            },
            (None, None) => return handled.failed_as_a_whole("it is about nothing".to_owned()),
        };
        let is_one = |one: &&Recipient<'_>| one.notifier.name == notifier.name;
        if !recipients.iter().any(|one| is_one(&one)) {
            return handled.failed_as_a_whole(format!(
                "no route leads {} to the notifier `{}`: the config has changed since",
                subject.description(),
                notifier.name
            ));
        }
        // The gates are called before it, even if their own messages were not received yet.
        let is_evaluated =
            |one: &&Recipient<'_>| is_one(one) || one.notifier.gate && !notifier.gate;
        let redriven = notification.redriven;
        let recipients = recipients.iter().filter(is_evaluated);
        let recipients: Vec<_> = recipients.map(|one| Recipient { redriven, ..*one }).collect();
        let mut deliveries = self.deliver_all(subject, event, &recipients, None).await;
        deliveries.retain(|delivery| delivery.notifier == notifier.name);
        handled.with_deliveries(deliveries)
    }

    /// Publishes an alert unless the same one was published within the last hour: while a
    /// notification keeps failing, operators are alerted from time to time. Returns whether the
    /// alert has been published.
    async fn alert_at_most_hourly(
        &self,
        handled: &mut EventReport,
        what: &str,
        alert: Alert,
    ) -> bool {
        let hour = self.ports.clock.now().as_second().div_euclid(SAME_ALERT_SECONDS);
        let before = format!("{what} {}", hour - 1);
        match self.ports.ledger.has_marker(&before).await {
            Ok(true) => true,
            Ok(false) | Err(_) => self.alert_once(handled, &format!("{what} {hour}"), alert).await,
        }
    }

    /// Marks notifications that failed for good before as skipped. Their dead letters and alerts
    /// exist, and a later event of the same account leads to no second one.
    async fn skip_known_failures(&self, handled: &mut EventReport) {
        let mut changed = false;
        for delivery in handled.notifications.iter_mut().filter(|delivery| delivery.failed_before())
        {
            let Some(marker) = delivery.failed_for_good_marker() else { continue };
            if self.ports.ledger.has_marker(&marker).await.unwrap_or(false) {
                delivery.outcome = DeliveryOutcome::Skipped;
                changed = true;
            }
        }
        if changed {
            handled.outcome = EventOutcome::Ignored;
            *handled = std::mem::replace(handled, EventReport::for_event(None))
                .with_deliveries(Vec::new());
        }
    }

    /// Deletes, postpones or dead-letters the message, according to the result of the notification.
    async fn finish_message(
        &self,
        queue: &dyn NotificationQueue,
        message: &ReceivedNotification,
        mut handled: EventReport,
    ) -> MessageOutcome {
        let ReceivedNotification { notification, receipt_handle, receive_count } = message;
        let redriven = notification.redriven;
        self.skip_known_failures(&mut handled).await;
        let open = handled.notifications.iter().find(|delivery| {
            matches!(delivery.outcome, DeliveryOutcome::Failed | DeliveryOutcome::Held)
        });
        let (reason, again) = match (open, &handled.reason) {
            (Some(delivery), _) => {
                let gated = self.settings.notifiers.iter().any(|one| one.gate);
                let again = next_delivery_delay(delivery, *receive_count, redriven, gated);
                (delivery.detail.clone().unwrap_or_default(), again)
            }
            // The message itself is invalid.
            (None, Some(reason)) if handled.notifications.is_empty() => (reason.clone(), None),
            (None, _) => {
                // If it stays in the queue, it comes again, and its notification turns out to be
                // delivered.
                if let Err(error) = queue.delete(receipt_handle).await {
                    tracing::warn!(%error, "could not delete a notification; it comes again");
                }
                return MessageOutcome { handled, still_queued: false };
            }
        };
        if let Some(wait) = again {
            if let Err(error) = queue.postpone(receipt_handle, wait).await {
                tracing::warn!(%error, "could not postpone a notification; it comes again");
            }
            return MessageOutcome { handled, still_queued: true };
        }
        // The dead letter first, so that an operator who reads the alert finds it. Whatever fails
        // here is repeated when the message comes again.
        if let Err(error) = queue.dead_letter(notification, &reason).await {
            tracing::error!(%error, "could not move a notification to the dead-letter queue");
            let what = format!("unmoved {} {redriven}", notification.key);
            self.alert_once(
                &mut handled,
                &what,
                dead_letter_failure_alert(notification, &reason, &error),
            )
            .await;
            return MessageOutcome { handled, still_queued: true };
        }
        let (what, alert) =
            dead_letter_alert(notification, &reason, *receive_count, &self.settings.suggestions);
        let out = self.alert_at_most_hourly(&mut handled, &what, alert).await;
        let markers = handled.notifications.iter().filter_map(Delivery::failed_for_good_marker);
        for marker in markers.filter(|_| out) {
            // Without the marker the next event of the account leads to another alert.
            if let Err(error) =
                self.ports.ledger.record_marker(&marker, self.ports.clock.now()).await
            {
                tracing::warn!(%error, "could not write down that people know of a failure");
            }
        }
        if out && let Err(error) = queue.delete(receipt_handle).await {
            tracing::warn!(%error, "could not delete a notification; it comes again");
        }
        MessageOutcome { handled, still_queued: !out }
    }
}

/// How long a notification that was redriven again and again waits when it is received for the
/// first time.
fn redrive_delay(redriven: u32, receive_count: u32) -> Option<Duration> {
    (receive_count == 1 && redriven > PROMPT_REDRIVES)
        .then(|| backoff_after(redriven - PROMPT_REDRIVES))
}

/// How long to wait before the next delivery; `None` when there is none.
///
/// Deliveries that could not even try don't count: the ledger has the number of tries, across all
/// redrives. Deliveries that were held don't count either, so that a notification that was held for
/// days is tried as often as any other after the hold.
fn next_delivery_delay(
    delivery: &Delivery,
    receive_count: u32,
    redriven: u32,
    gated: bool,
) -> Option<Duration> {
    if delivery.outcome == DeliveryOutcome::Held {
        // The gate has a message of its own, with its own deliveries and an alert after the last.
        let retry_after = delivery.retry_after.unwrap_or_else(|| backoff_after(receive_count));
        // SQS counts whole seconds. Rounded down, a message would come back within the last second
        // of the hold, be hidden for zero seconds, and use up its receives at once.
        let retry_after =
            Duration::from_secs(retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0));
        let wait = if receive_count <= PROMPT_HELD_DELIVERIES {
            retry_after.min(MAX_BACKOFF)
        } else {
            MAX_BACKOFF
        };
        return (receive_count < MAX_HELD_DELIVERIES).then_some(wait);
    }
    let earlier = redriven.saturating_mul(MAX_DELIVERIES);
    let deliveries = match delivery.attempts.div_ceil(MAX_ATTEMPTS) {
        0 => receive_count,
        tried => tried.saturating_sub(earlier),
    };
    let fruitless = if gated { MAX_HELD_DELIVERIES } else { MAX_UNTRIED_DELIVERIES };
    let most = if delivery.attempts == 0 { fruitless } else { MAX_DELIVERIES };
    if delivery.permanent || deliveries >= most || receive_count >= fruitless {
        return None;
    }
    let wait = backoff_after(deliveries);
    Some(delivery.retry_after.map_or(wait, |retry_after| retry_after.max(wait)))
}

/// The wait after this number of deliveries.
fn backoff_after(deliveries: u32) -> Duration {
    BACKOFF.after(deliveries)
}

/// The alert about a notification that can't be dead-lettered.
fn dead_letter_failure_alert(
    notification: &QueuedNotification,
    reason: &str,
    error: &dyn std::fmt::Display,
) -> Alert {
    let QueuedNotification { key, notifier, .. } = notification;
    Alert {
        subject: format!("A notification of {notifier} can't be moved to the dead-letter queue"),
        message: format!(
            "It stays in the notifications queue and is tried again.\nError: {error}\n\
             Reason: {reason}\nNotification: {key}"
        ),
    }
}

/// The alert about a notification that is dead-lettered, and the ledger's marker for it.
fn dead_letter_alert(
    notification: &QueuedNotification,
    reason: &str,
    receive_count: u32,
    suggestions: &CommandFormatter,
) -> (String, Alert) {
    let QueuedNotification { key, notifier, account, event, redriven: _ } = notification;
    let event = event.as_deref().unwrap_or("none: a sweep found the account");
    let again = suggestions.command(&format!("redrive --notifier {}", shell_quote(notifier)));
    let description = match account {
        Some(account) => format!("account {account}"),
        None => key.to_string(),
    };
    let alert = Alert {
        subject: format!("Notifier {notifier} failed for {description}"),
        message: format!(
            "It is in the dead-letter queue after {receive_count} deliveries. After you have fixed the cause:\n\n  \
             {again}\n\n\
             Error: {reason}\nNotification: {key}\nEvent: {}",
            excerpt(event)
        ),
    };
    (format!("given up {key} {} {}", digest(event), digest(reason)), alert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::notification::NotificationKey;
    use rstest::rstest;

    /// A notification that failed after so many attempts.
    fn tried(attempts: u32) -> Delivery {
        let account = "111122223333".parse().unwrap();
        let key = NotificationKey::for_onboarding(&account, "cmdb");
        let delivery = Delivery::new("cmdb", key, "account 111122223333".into(), Some(account));
        Delivery { attempts, ..delivery.failed("down") }
    }

    fn with_retry_after(delivery: Delivery, seconds: u64) -> Delivery {
        Delivery { retry_after: Some(Duration::from_secs(seconds)), ..delivery }
    }

    fn for_a_moment() -> Delivery {
        let moment = Duration::from_millis(200);
        Delivery { retry_after: Some(moment), ..tried(0).with_outcome(DeliveryOutcome::Held) }
    }

    #[rstest]
    #[case::first(tried(3), 1, 0, Some(30))]
    #[case::backoff_after(tried(9), 3, 0, Some(120))]
    #[case::at_most_an_hour(tried(27), 9, 0, Some(3600))]
    #[case::the_last(tried(30), 10, 0, None)]
    #[case::permanent(Delivery { permanent: true, ..tried(1) }, 1, 0, None)]
    #[case::asked_for_more(with_retry_after(tried(3), 900), 1, 0, Some(900))]
    #[case::asked_for_less(with_retry_after(tried(9), 1), 3, 0, Some(120))]
    #[case::waiting_costs_nothing(tried(3), 40, 0, Some(30))]
    #[case::but_not_for_ever(tried(3), 60, 0, None)]
    #[case::it_could_not_be_tried(tried(0), 12, 0, Some(3600))]
    #[case::never(tried(0), 60, 0, None)]
    #[case::redriven(tried(33), 1, 1, Some(30))]
    #[case::redriven_in_vain(tried(60), 10, 1, None)]
    #[case::held(with_retry_after(tried(30).with_outcome(DeliveryOutcome::Held), 600), 20, 0, Some(600))]
    #[case::held_for_long(with_retry_after(tried(30).with_outcome(DeliveryOutcome::Held), 40_000), 20, 0, Some(3600))]
    #[case::held_for_days(with_retry_after(tried(0).with_outcome(DeliveryOutcome::Held), 600), 60, 0, Some(3600))]
    #[case::held_for_a_week(with_retry_after(tried(56).with_outcome(DeliveryOutcome::Held), 3600), 168, 0, Some(3600))]
    #[case::not_answered(tried(0).with_outcome(DeliveryOutcome::Held), 2, 0, Some(60))]
    #[case::not_answered_after_days(tried(0).with_outcome(DeliveryOutcome::Held), 100, 0, Some(3600))]
    #[case::held_in_vain(with_retry_after(tried(0).with_outcome(DeliveryOutcome::Held), 40_000), 312, 0, None)]
    #[case::held_for_a_moment_more(for_a_moment(), 1, 0, Some(1))]
    fn waits(
        #[case] delivery: Delivery,
        #[case] receive_count: u32,
        #[case] redriven: u32,
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(
            next_delivery_delay(&delivery, receive_count, redriven, false),
            expected.map(Duration::from_secs)
        );
    }

    /// The wait after a notification was held for many deliveries.
    #[rstest]
    #[case::the_other_is_down(tried(3), 80, Some(30))]
    #[case::for_good(tried(30), 89, None)]
    #[case::it_could_not_be_tried(tried(0), 80, Some(3600))]
    #[case::but_not_for_ever(tried(3), 312, None)]
    fn waits_where_there_are_gates(
        #[case] delivery: Delivery,
        #[case] receive_count: u32,
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(
            next_delivery_delay(&delivery, receive_count, 0, true),
            expected.map(Duration::from_secs)
        );
    }
}
