//! Taking notifications out of their queue: each is one event for one notifier, so that a system
//! that is down delays no other, and a repeat repeats only what failed.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::backoff::Backoff;
use groundcrew_core::event::Event;
use groundcrew_core::onboarding::{Found, QueuedNotification};
use groundcrew_core::ports::{Alert, Delivery, NotificationQueue};
use groundcrew_core::suggested::{Suggested, word};

use super::due::Listener;
use super::subject::landed;
use super::tell::{LONGEST_WAIT, TRIES};
use super::{
    ConfiguredNotifier, Handled, HandledOutcome, Notifications, Told, ToldOutcome, digest, log,
    matter,
};
use crate::alerts::shown;

/// Deliveries of one notification, each with tries of its own, before it goes to the dead-letter
/// queue. With the waits below they take some three and a half hours.
const DELIVERIES: u32 = 10;
/// Deliveries of a notification that can't even be tried, since the ledger can't be read. Each waits
/// for up to an hour. Where there are gates these are [`HELD`] instead: nobody counts how many of a
/// message's deliveries were spent on being held.
const FRUITLESS: u32 = 60;
/// Deliveries of a notification that a gate holds, or has not answered about. After the first of
/// them they come by the hour, so that they take about 13 days, however long it holds and however
/// often it looks: what SQS has kept for 14 days it drops, and nobody would hear of it.
const HELD: u32 = 13 * 24;
/// So many come as soon as the gate says.
const HELD_AT_FIRST: u32 = 24;
/// After the first delivery that failed; doubled with each.
const WAITS: Backoff = Backoff::new(Duration::from_secs(30), WAIT_MAX);
/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);
/// A message stays hidden for as long as telling may take, and so much longer.
const MARGIN: Duration = Duration::from_secs(60);
/// A message is hidden for so long at a time while others of its notifier are told, and again before
/// that ends: once this host is gone, another one finds it within this time.
const QUEUEING: Duration = Duration::from_secs(120);
/// So long before that ends it is hidden again.
const AHEAD: Duration = Duration::from_secs(60);
/// So often a notification is redriven before the next try waits: whoever redrives again and again
/// without mending the cause is slowed down.
const PROMPT: u32 = 2;
/// An alert about a notification that fails with the same error again goes out at most once in this
/// time.
const SAME_ERROR: i64 = 60 * 60;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What was done about the notification.
    pub handled: Handled,
    /// Whether the message is still in the queue, hidden until the next try. Otherwise it was
    /// deleted.
    pub stays: bool,
}

impl Notifications {
    /// The queue that notifications are handed over to, if there is one.
    pub fn queue(&self) -> Option<&Arc<dyn NotificationQueue>> {
        self.ports.queue.as_ref()
    }

    /// Tells one notifier what came out of the queue. Then the message is deleted, hidden until
    /// the next try, or in the dead-letter queue with an alert out.
    ///
    /// Safe to be killed at any moment: the message comes again, and what was told is not told
    /// again.
    pub async fn take(&self, queue: &dyn NotificationQueue, delivery: &Delivery) -> Taken {
        let never = std::future::pending();
        let stays = || Taken { handled: Handled::of(None), stays: true };
        self.take_unless(queue, delivery, never).await.unwrap_or_else(stays)
    }

    /// The same, unless `stop` is ready while it waits for its turn: then the message is shown to
    /// other hosts again, and the answer is `None`.
    pub async fn take_unless(
        &self,
        queue: &dyn NotificationQueue,
        delivery: &Delivery,
        stop: impl Future<Output = ()>,
    ) -> Option<Taken> {
        let notification = &delivery.notification;
        if let Some(wait) = slowed_down(notification.redriven, delivery.times) {
            if let Err(error) = queue.postpone(&delivery.receipt, wait).await {
                tracing::warn!(%error, "could not postpone a notification; it comes again");
            }
            let why = "it was redriven again and again, and waits before the next try";
            tracing::info!(notification = %notification.key, wait = ?wait, "{why}");
            return Some(Taken { handled: Handled::of(None), stays: true });
        }
        let named = self.settings.notifiers.iter().find(|one| one.name == notification.notifier);
        let handled = match named {
            None => Handled::of(None).broken(format!(
                "no notifier is named `{}`: it was renamed or removed from the config",
                notification.notifier
            )),
            Some(notifier) => {
                let hide = async |long: Duration| {
                    if let Err(error) = queue.postpone(&delivery.receipt, long).await {
                        tracing::warn!(%error, "could not hide a notification while it is told");
                    }
                };
                let turn = self.turns.get(&notifier.name);
                let _turn = match turn.map(|turn| (turn, turn.try_acquire())) {
                    Some((turn, Err(_))) => {
                        let keep_hidden = async {
                            loop {
                                hide(QUEUEING).await;
                                tokio::time::sleep(QUEUEING - AHEAD).await;
                            }
                        };
                        tokio::select! {
                            turn = turn.acquire() => turn.ok(),
                            () = keep_hidden => None,
                            () = stop => {
                                hide(Duration::ZERO).await;
                                return None;
                            }
                        }
                    }
                    Some((_, turn)) => turn.ok(),
                    None => None,
                };
                // Until then nobody else is to take it.
                hide(self.longest(notifier)).await;
                self.tell_queued(notification, notifier).await
            }
        };
        handled.notifications.iter().for_each(log);
        Some(self.put_away(queue, delivery, handled).await)
    }

    /// How long telling may take: the gates come before it.
    fn longest(&self, notifier: &ConfiguredNotifier) -> Duration {
        let gates = self.settings.notifiers.iter().filter(|one| one.gate);
        let gates = gates.map(|gate| gate.timeout).max().unwrap_or_default();
        (notifier.timeout + gates + LONGEST_WAIT) * TRIES + MARGIN
    }

    async fn tell_queued(
        &self,
        notification: &QueuedNotification,
        notifier: &ConfiguredNotifier,
    ) -> Handled {
        let event = match notification.event.as_deref().map(Event::parse).transpose() {
            Ok(event) => event.map(Arc::new),
            Err(error) => return Handled::of(None).broken(error.to_string()),
        };
        let handled = Handled::of(event.as_deref());
        let (matter, listeners) = match (&event, &notification.account) {
            (Some(event), _) => match matter(event) {
                // As its key has it, whatever the config says by now.
                Ok(Some(matter)) if matter.is_landed() && !notification.key.is_of_landed() => {
                    (matter.of_event(event), self.listeners(event))
                }
                Ok(Some(matter)) => (matter, self.listeners(event)),
                Ok(None) => return handled.broken("its event tells of nothing".to_owned()),
                Err(error) => return handled.broken(error.to_string()),
            },
            // A sweep found the account.
            (None, Some(id)) => match self.ports.directory.account(id).await {
                Ok(account) => {
                    let listeners = self.listeners(&Event::of_landed(&account));
                    (landed(&account, Found::Queued), listeners)
                }
                Err(error) => {
                    let key = notification.key.clone();
                    let about = format!("account {id}");
                    let told = Told::of(&notifier.name, key, about, Some(id.clone()));
                    return handled.with(vec![told.failed(error.to_string())]);
                }
            },
            (None, None) => return handled.broken("it is about nothing".to_owned()),
        };
        let is_one = |one: &&Listener<'_>| one.notifier.name == notifier.name;
        if !listeners.iter().any(|one| is_one(&one)) {
            return handled.broken(format!(
                "no route leads {} to the notifier `{}`: the config has changed since",
                matter.about(),
                notifier.name
            ));
        }
        // The gates are asked before it, whether their own messages were taken yet or not.
        let asked = |one: &&Listener<'_>| is_one(one) || one.notifier.gate && !notifier.gate;
        let redriven = notification.redriven;
        let listeners = listeners.iter().filter(asked);
        let listeners: Vec<_> = listeners.map(|one| Listener { redriven, ..*one }).collect();
        let mut told = self.tell_all(matter, event, &listeners, None).await;
        told.retain(|told| told.notifier == notifier.name);
        handled.with(told)
    }

    /// Publishes an alert unless the same went out within the last hour: whatever makes a notification
    /// fail again and again, people hear of it now and then. Answers whether it is out.
    async fn alert_at_most_hourly(&self, handled: &mut Handled, what: &str, alert: Alert) -> bool {
        let hour = self.ports.clock.now().as_second().div_euclid(SAME_ERROR);
        let before = format!("{what} {}", hour - 1);
        match self.ports.ledger.noted(&before).await {
            Ok(true) => true,
            Ok(false) | Err(_) => self.alert_once(handled, &format!("{what} {hour}"), alert).await,
        }
    }

    /// Of what failed for good people are told once: its dead letter is there, and a later event of the
    /// same account makes no second one.
    async fn forget_what_is_known(&self, handled: &mut Handled) {
        let mut changed = false;
        for told in handled.notifications.iter_mut().filter(|told| told.failed_before()) {
            let Some(note) = told.note_of_failing_for_good() else { continue };
            if self.ports.ledger.noted(&note).await.unwrap_or(false) {
                told.outcome = ToldOutcome::Skipped;
                changed = true;
            }
        }
        if changed {
            handled.outcome = HandledOutcome::Ignored;
            *handled = std::mem::replace(handled, Handled::of(None)).with(Vec::new());
        }
    }

    /// Sees to the message, now that it is known what became of the notification.
    async fn put_away(
        &self,
        queue: &dyn NotificationQueue,
        delivery: &Delivery,
        mut handled: Handled,
    ) -> Taken {
        let Delivery { notification, receipt, times } = delivery;
        let redriven = notification.redriven;
        self.forget_what_is_known(&mut handled).await;
        let open = handled
            .notifications
            .iter()
            .find(|told| matches!(told.outcome, ToldOutcome::Failed | ToldOutcome::Held));
        let (reason, again) = match (open, &handled.reason) {
            (Some(told), _) => {
                let gated = self.settings.notifiers.iter().any(|one| one.gate);
                let again = next_try(told, *times, redriven, gated);
                (told.detail.clone().unwrap_or_default(), again)
            }
            // The message itself is wrong.
            (None, Some(reason)) if handled.notifications.is_empty() => (reason.clone(), None),
            (None, _) => {
                // Left in the queue it comes again, and is found told.
                if let Err(error) = queue.delete(receipt).await {
                    tracing::warn!(%error, "could not delete a notification; it comes again");
                }
                return Taken { handled, stays: false };
            }
        };
        if let Some(wait) = again {
            if let Err(error) = queue.postpone(receipt, wait).await {
                tracing::warn!(%error, "could not postpone a notification; it comes again");
            }
            return Taken { handled, stays: true };
        }
        // The letter first: whoever reads the alert finds it. What fails here is done when the
        // message comes again.
        if let Err(error) = queue.dead_letter(notification, &reason).await {
            tracing::error!(%error, "could not move a notification to the dead-letter queue");
            let what = format!("unmoved {} {redriven}", notification.key);
            self.alert_once(&mut handled, &what, unmoved(notification, &reason, &error)).await;
            return Taken { handled, stays: true };
        }
        let (what, alert) = given_up(notification, &reason, *times, &self.settings.suggested);
        let out = self.alert_at_most_hourly(&mut handled, &what, alert).await;
        let notes = handled.notifications.iter().filter_map(Told::note_of_failing_for_good);
        for note in notes.filter(|_| out) {
            // Without it the next event of the account tells people again.
            if let Err(error) = self.ports.ledger.note(&note, self.ports.clock.now()).await {
                tracing::warn!(%error, "could not write down that people know of a failure");
            }
        }
        if out && let Err(error) = queue.delete(receipt).await {
            tracing::warn!(%error, "could not delete a notification; it comes again");
        }
        Taken { handled, stays: !out }
    }
}

/// How long a notification waits that people have redriven again and again, when it comes first.
fn slowed_down(redriven: u32, times: u32) -> Option<Duration> {
    (times == 1 && redriven > PROMPT).then(|| doubled(redriven - PROMPT))
}

/// How long to wait before the next delivery; `None` when there is none.
///
/// Deliveries that could not even try don't count: the ledger knows how often it was tried, in all
/// its lives. Nor do those that were held, so that whoever was held for days is tried as often as
/// anybody once that is over.
fn next_try(told: &Told, times: u32, redriven: u32, gated: bool) -> Option<Duration> {
    if told.outcome == ToldOutcome::Held {
        // A gate that does not answer has deliveries of its own, and an alert after them.
        let asked = told.retry_after.unwrap_or_else(|| doubled(times));
        // SQS counts whole seconds. A message that came back within the last one would find the gate
        // still holding, be hidden for no time at all, and use up its receives in a moment.
        let asked = Duration::from_secs(asked.as_secs() + u64::from(asked.subsec_nanos() > 0));
        let wait = if times <= HELD_AT_FIRST { asked.min(WAIT_MAX) } else { WAIT_MAX };
        return (times < HELD).then_some(wait);
    }
    let earlier = redriven.saturating_mul(DELIVERIES);
    let deliveries = match told.attempts.div_ceil(TRIES) {
        0 => times,
        tried => tried.saturating_sub(earlier),
    };
    let fruitless = if gated { HELD } else { FRUITLESS };
    let most = if told.attempts == 0 { fruitless } else { DELIVERIES };
    if told.permanent || deliveries >= most || times >= fruitless {
        return None;
    }
    let wait = doubled(deliveries);
    Some(told.retry_after.map_or(wait, |asked| asked.max(wait)))
}

/// The wait after so many deliveries.
fn doubled(deliveries: u32) -> Duration {
    WAITS.after(deliveries)
}

/// The alert that a notification can't even be given up.
fn unmoved(
    notification: &QueuedNotification,
    reason: &str,
    error: &dyn std::fmt::Display,
) -> Alert {
    let QueuedNotification { key, notifier, .. } = notification;
    Alert {
        subject: format!("A notification of {notifier} can't be moved to the dead-letter queue"),
        message: format!(
            "It stays in the notifications queue and is tried again.\nError: {error}\n\
             Why it is given up: {reason}\nNotification: {key}"
        ),
    }
}

/// The alert about a notification that is given up, and what it is noted as.
fn given_up(
    notification: &QueuedNotification,
    reason: &str,
    times: u32,
    suggested: &Suggested,
) -> (String, Alert) {
    let QueuedNotification { key, notifier, account, event, redriven: _ } = notification;
    let event = event.as_deref().unwrap_or("none: a sweep found the account");
    let again = suggested.command(&format!("redrive --notifier {}", word(notifier)));
    let about = match account {
        Some(account) => format!("account {account}"),
        None => key.to_string(),
    };
    let alert = Alert {
        subject: format!("Notifier {notifier} was not told of {about}"),
        message: format!(
            "It is in the dead-letter queue after {times} deliveries. Once the cause is mended:\n\n  \
             {again}\n\n\
             Error: {reason}\nNotification: {key}\nEvent: {}",
            shown(event)
        ),
    };
    (format!("given up {key} {} {}", digest(event), digest(reason)), alert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::notification::NotificationKey;
    use rstest::rstest;

    /// Tried so often, and failed.
    fn tried(attempts: u32) -> Told {
        let account = "111122223333".parse().unwrap();
        let key = NotificationKey::onboard(&account, "cmdb");
        let told = Told::of("cmdb", key, "account 111122223333".into(), Some(account));
        Told { attempts, ..told.failed("down") }
    }

    fn asked_for(told: Told, seconds: u64) -> Told {
        Told { retry_after: Some(Duration::from_secs(seconds)), ..told }
    }

    fn for_a_moment() -> Told {
        let moment = Duration::from_millis(200);
        Told { retry_after: Some(moment), ..tried(0).now(ToldOutcome::Held) }
    }

    #[rstest]
    #[case::first(tried(3), 1, 0, Some(30))]
    #[case::doubled(tried(9), 3, 0, Some(120))]
    #[case::at_most_an_hour(tried(27), 9, 0, Some(3600))]
    #[case::the_last(tried(30), 10, 0, None)]
    #[case::permanent(Told { permanent: true, ..tried(1) }, 1, 0, None)]
    #[case::asked_for_more(asked_for(tried(3), 900), 1, 0, Some(900))]
    #[case::asked_for_less(asked_for(tried(9), 1), 3, 0, Some(120))]
    #[case::waiting_costs_nothing(tried(3), 40, 0, Some(30))]
    #[case::but_not_for_ever(tried(3), 60, 0, None)]
    #[case::it_could_not_be_tried(tried(0), 12, 0, Some(3600))]
    #[case::never(tried(0), 60, 0, None)]
    #[case::redriven(tried(33), 1, 1, Some(30))]
    #[case::redriven_in_vain(tried(60), 10, 1, None)]
    #[case::held(asked_for(tried(30).now(ToldOutcome::Held), 600), 20, 0, Some(600))]
    #[case::held_for_long(asked_for(tried(30).now(ToldOutcome::Held), 40_000), 20, 0, Some(3600))]
    #[case::held_for_days(asked_for(tried(0).now(ToldOutcome::Held), 600), 60, 0, Some(3600))]
    #[case::held_for_a_week(asked_for(tried(56).now(ToldOutcome::Held), 3600), 168, 0, Some(3600))]
    #[case::not_answered(tried(0).now(ToldOutcome::Held), 2, 0, Some(60))]
    #[case::not_answered_after_days(tried(0).now(ToldOutcome::Held), 100, 0, Some(3600))]
    #[case::held_in_vain(asked_for(tried(0).now(ToldOutcome::Held), 40_000), 312, 0, None)]
    #[case::held_for_a_moment_more(for_a_moment(), 1, 0, Some(1))]
    fn waits(
        #[case] told: Told,
        #[case] times: u32,
        #[case] redriven: u32,
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(next_try(&told, times, redriven, false), expected.map(Duration::from_secs));
    }

    /// After it was held for so long.
    #[rstest]
    #[case::the_other_is_down(tried(3), 80, Some(30))]
    #[case::for_good(tried(30), 89, None)]
    #[case::it_could_not_be_tried(tried(0), 80, Some(3600))]
    #[case::but_not_for_ever(tried(3), 312, None)]
    fn waits_where_there_are_gates(
        #[case] told: Told,
        #[case] times: u32,
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(next_try(&told, times, 0, true), expected.map(Duration::from_secs));
    }
}
