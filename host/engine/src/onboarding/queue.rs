//! Taking notifications out of their queue: each is one event for one notifier, so that a system
//! that is down delays no other, and a repeat repeats only what failed.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::event::Event;
use groundcrew_core::onboarding::{Plan, QueuedNotification, plan};
use groundcrew_core::ports::{Alert, Delivery, NotificationQueue};

use super::tell::{LONGEST_WAIT, TRIES};
use super::{ConfiguredNotifier, Handled, Onboarding, Told, ToldOutcome, digest, log, shown};

/// Deliveries of one notification before it goes to the dead-letter queue. With the waits below
/// they take some three and a half hours, each with tries of its own.
const DELIVERIES: u32 = 10;
/// After the first delivery that failed; doubled with each.
const WAIT: Duration = Duration::from_secs(30);
/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);
/// A message stays hidden for as long as telling may take, and so much longer.
const MARGIN: Duration = Duration::from_secs(60);

impl Onboarding {
    /// The queue that notifications are handed over to, if there is one.
    pub fn queue(&self) -> Option<&Arc<dyn NotificationQueue>> {
        self.ports.queue.as_ref()
    }

    /// Tells one notifier what came out of the queue. Then the message is deleted, hidden until
    /// the next try, or in the dead-letter queue with an alert out.
    ///
    /// Safe to be killed at any moment: the message comes again, and what was told is not told
    /// again.
    pub async fn take(&self, queue: &dyn NotificationQueue, delivery: &Delivery) -> Handled {
        let notification = &delivery.notification;
        let named = self.settings.notifiers.iter().find(|one| one.name == notification.notifier);
        let handled = match named {
            None => Handled::of(None).broken(format!(
                "no notifier is named `{}`: it was renamed or removed from the config",
                notification.notifier
            )),
            Some(notifier) => {
                // Until then nobody else is to take it.
                let long = notifier.timeout * TRIES + LONGEST_WAIT * TRIES + MARGIN;
                if let Err(error) = queue.postpone(&delivery.receipt, long).await {
                    tracing::warn!(%error, "could not hide a notification while it is told");
                }
                self.tell_queued(notification, notifier).await
            }
        };
        handled.notifications.iter().for_each(log);
        self.put_away(queue, delivery, handled).await
    }

    async fn tell_queued(
        &self,
        notification: &QueuedNotification,
        notifier: &ConfiguredNotifier,
    ) -> Handled {
        let event = match Event::parse(&notification.event) {
            Ok(event) => Arc::new(event),
            Err(error) => return Handled::of(None).broken(error.to_string()),
        };
        let handled = Handled::of(Some(&event));
        match plan(&event) {
            Ok(Plan::Tell(landed)) => self.landed(handled, event, &landed, &[notifier], None).await,
            Ok(Plan::Sweep) => handled.broken("its event is about no account".to_owned()),
            Ok(Plan::Nothing { reason }) => handled.broken(reason),
            Err(error) => handled.broken(error.to_string()),
        }
    }

    /// Sees to the message, now that it is known what became of the notification.
    async fn put_away(
        &self,
        queue: &dyn NotificationQueue,
        delivery: &Delivery,
        mut handled: Handled,
    ) -> Handled {
        let Delivery { notification, receipt, times } = delivery;
        let failed = handled.notifications.iter().find(|t| t.outcome == ToldOutcome::Failed);
        let (reason, again) = match (failed, &handled.reason) {
            (Some(told), _) => (told.detail.clone().unwrap_or_default(), next_try(told, *times)),
            // The message itself is wrong.
            (None, Some(reason)) if handled.notifications.is_empty() => (reason.clone(), None),
            (None, _) => {
                // Left in the queue it comes again, and is found told.
                if let Err(error) = queue.delete(receipt).await {
                    tracing::warn!(%error, "could not delete a notification; it comes again");
                }
                return handled;
            }
        };
        if let Some(wait) = again {
            if let Err(error) = queue.postpone(receipt, wait).await {
                tracing::warn!(%error, "could not postpone a notification; it comes again");
            }
            return handled;
        }
        // The letter first: whoever reads the alert finds it. What fails here is done when the
        // message comes again.
        if let Err(error) = queue.dead_letter(notification, &reason).await {
            tracing::error!(%error, "could not move a notification to the dead-letter queue");
            return handled;
        }
        let (what, alert) = given_up(notification, &reason, *times);
        if self.alert_once(&mut handled, &what, alert).await
            && let Err(error) = queue.delete(receipt).await
        {
            tracing::warn!(%error, "could not delete a notification; it comes again");
        }
        handled
    }
}

/// How long to wait before the next delivery; `None` when there is none.
fn next_try(told: &Told, times: u32) -> Option<Duration> {
    if told.permanent || times >= DELIVERIES {
        return None;
    }
    let wait = WAIT.saturating_mul(1 << times.saturating_sub(1).min(16)).min(WAIT_MAX);
    Some(told.retry_after.map_or(wait, |asked| asked.max(wait)))
}

/// The alert about a notification that is given up, and what it is noted as.
fn given_up(notification: &QueuedNotification, reason: &str, times: u32) -> (String, Alert) {
    let QueuedNotification { key, notifier, account, event, redriven } = notification;
    let alert = Alert {
        subject: format!("Notifier {notifier} was not told of account {account}"),
        message: format!(
            "It is in the dead-letter queue after {times} deliveries. Once the cause is mended:\n\n  \
             groundcrew redrive --notifier {notifier} --config FILE\n\n\
             Error: {reason}\nNotification: {key}\nEvent: {}",
            shown(event)
        ),
    };
    (format!("given up {key} {redriven} {}", digest(event)), alert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn told(permanent: bool, retry_after: Option<u64>) -> Told {
        Told {
            notifier: "cmdb".into(),
            account: "111122223333".parse().unwrap(),
            outcome: ToldOutcome::Failed,
            reference: None,
            detail: None,
            permanent,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[rstest]
    #[case::first(told(false, None), 1, Some(30))]
    #[case::doubled(told(false, None), 3, Some(120))]
    #[case::at_most_an_hour(told(false, None), 9, Some(3600))]
    #[case::the_last(told(false, None), 10, None)]
    #[case::permanent(told(true, None), 1, None)]
    #[case::asked_for_more(told(false, Some(900)), 1, Some(900))]
    #[case::asked_for_less(told(false, Some(1)), 3, Some(120))]
    fn waits(#[case] told: Told, #[case] times: u32, #[case] expected: Option<u64>) {
        assert_eq!(next_try(&told, times), expected.map(Duration::from_secs));
    }
}
