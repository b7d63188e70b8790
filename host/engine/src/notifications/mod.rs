//! Notifications: an account was enrolled, and each notifier is notified once.
//!
//! [`Notifications::handle`] takes one event, from any source; the routes choose its recipients.
//! `subject` is the subject of a notification and looks up the account, `recipients` finds the
//! recipients and evaluates policies, `gates` calls gates before the others, `deliver` delivers to
//! one notifier under the ledger's claim, `queue` receives notifications from their queue, `worker` does so for a host,
//! `backfill` finds accounts whose event was lost, and `report` is the result of all this.

mod backfill;
mod deliver;
mod gates;
mod queue;
mod recipients;
mod report;
mod subject;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::envelope;
use groundcrew_core::event::{Event, EventError, InvalidEvent};
use groundcrew_core::lane::LaneNames;
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::NotificationState;
use groundcrew_core::onboarding::{Discovery, EventAction, QueuedNotification, action_for_event};
use groundcrew_core::ports::{
    AccountDirectory, Alert, Alerts, Baselines, Catalog, Clock, LedgerError, NotificationLedger,
    NotificationQueue, Notifier,
};
use groundcrew_core::route::{OncePer, Route};
use groundcrew_core::suggestions::{CommandFormatter, shell_quote};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::alerts::excerpt;
use crate::{ConfiguredPolicy, PolicyPipeline};
use recipients::{Recipient, split_by_once_per};
use subject::NotificationSubject;

pub use queue::MessageOutcome;
pub(crate) use worker::{DeliveryWorker, NotificationLoop};

pub use report::{Delivery, DeliveryOutcome, EventOutcome, EventReport};

/// The ports of the notifications.
#[derive(Clone)]
pub struct NotificationPorts {
    /// Service Catalog, which knows the enrolled accounts.
    pub catalog: Arc<dyn Catalog>,
    /// Control Tower, which knows those that have no provisioned product.
    pub baselines: Arc<dyn Baselines>,
    /// AWS Organizations.
    pub directory: Arc<dyn AccountDirectory>,
    /// The topic for alerts.
    pub alerts: Arc<dyn Alerts>,
    /// The notifications that were delivered, and those that are under way.
    pub ledger: Arc<dyn NotificationLedger>,
    /// The queue that notifications are sent to. Without a queue they are delivered at once.
    pub queue: Option<Arc<dyn NotificationQueue>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The settings of the notifications.
#[derive(Clone)]
pub struct NotificationSettings {
    /// Which events go to which notifiers, in the order of the config.
    pub routes: Vec<ConfiguredRoute>,
    /// The notifiers, in the order of the config.
    pub notifiers: Vec<ConfiguredNotifier>,
    /// An account that joined within this time and has no entry has lost its event.
    pub lookback: Duration,
    /// Name of this host in the ledger: no two running hosts share one.
    pub host: String,
    /// How alerts suggest commands.
    pub suggestions: CommandFormatter,
}

/// A route, and the policies that are evaluated for its events, in their order.
#[derive(Clone)]
pub struct ConfiguredRoute {
    /// The route.
    pub route: Route,
    /// The policies.
    pub policies: Vec<ConfiguredPolicy>,
}

/// A notifier and its configuration.
#[derive(Clone)]
pub struct ConfiguredNotifier {
    /// Its name in the config.
    pub name: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// Whether it is a gate: called before the other notifiers, and able to hold or stop their
    /// notifications.
    pub gate: bool,
    /// How long a delivery may take: its claim in the ledger lasts a little longer.
    pub timeout: Duration,
    /// The notifier.
    pub notifier: Arc<dyn Notifier>,
}

/// The most deliveries to one notifier at once, so that a notifier that is down leaves room for the
/// others.
const MAX_CONCURRENT_PER_NOTIFIER: usize = 10;

/// Delivers the notifications of enrolled accounts, and of all other events that are routed to
/// notifiers.
pub struct Notifications {
    ports: NotificationPorts,
    settings: NotificationSettings,
    /// The policies of each route.
    pipelines: Vec<PolicyPipeline>,
    /// The permits for deliveries to each notifier, by its name.
    permits_by_notifier: BTreeMap<String, Semaphore>,
    /// When the ledger began. Cached, since it doesn't change.
    began: OnceCell<Timestamp>,
}

impl Notifications {
    /// Ready to take events.
    pub fn new(ports: NotificationPorts, settings: NotificationSettings) -> Self {
        let pipeline = |route: &ConfiguredRoute| {
            PolicyPipeline::new(route.policies.clone(), LaneNames::default(), Fallback::Proceed)
        };
        let permit = |notifier: &ConfiguredNotifier| {
            (notifier.name.clone(), Semaphore::new(MAX_CONCURRENT_PER_NOTIFIER))
        };
        let pipelines = settings.routes.iter().map(pipeline).collect();
        let permits_by_notifier = settings.notifiers.iter().map(permit).collect();
        Self { ports, settings, pipelines, permits_by_notifier, began: OnceCell::new() }
    }

    /// Handles one event. Never panics, whatever the event contains. If another host is delivering
    /// the same notification, waits for it no longer than `until`; `None` waits as long as that
    /// host's claim lasts.
    ///
    /// It is safe to call this again with the same event, even at the same time, and to kill it at
    /// any moment.
    pub async fn handle(&self, event: &Arc<Event>, until: Option<Timestamp>) -> EventReport {
        let handled = self.process(event, until).await;
        self.finish(handled, Some(event)).await
    }

    /// Publishes an alert about a text that is no event.
    pub async fn reject(&self, wrong: &InvalidEvent) -> EventReport {
        self.reject_malformed(EventReport::for_event(None), &wrong.text, &wrong.error).await
    }

    /// Handles every event in a text, one after the other. The text is an event, or an envelope of
    /// events such as a message of SNS or a batch of SQS. An event that fails does not stop the
    /// others. The result is never empty.
    pub async fn handle_all(&self, text: &str, until: Option<Timestamp>) -> Vec<EventReport> {
        let mut handled = Vec::new();
        for event in envelope::events(text) {
            handled.push(match event {
                Ok(event) => self.handle(&Arc::new(event), until).await,
                Err(wrong) => self.reject(&wrong).await,
            });
        }
        handled
    }

    /// Notifies one notifier of an event on an operator's command, regardless of routes, policies
    /// and gates. A notification that was delivered before is not delivered again. A failure causes
    /// no alert.
    pub async fn deliver_to(&self, event: &Arc<Event>, notifier: &str) -> EventReport {
        let event = Arc::clone(event);
        let handled = EventReport::for_event(Some(&event));
        let subject = match subject_for(&event) {
            // The operator's command means that the account is new.
            Ok(Some(NotificationSubject::Onboarding(enrolled, _))) => {
                NotificationSubject::Onboarding(enrolled, Discovery::Created)
            }
            Ok(Some(subject)) => subject,
            Ok(None) => {
                return handled.failed_as_a_whole("the event needs no notification".to_owned());
            }
            Err(error) => return handled.failed_as_a_whole(error.to_string()),
        };
        let Some(notifier) = self.settings.notifiers.iter().find(|one| one.name == notifier) else {
            return handled.failed_as_a_whole(format!("no notifier is named `{notifier}`"));
        };
        // The notifier's route, if it has one, says whether it is notified once for each account.
        let recipients = self.recipients(&event);
        let own = recipients.iter().find(|one| one.notifier.name == notifier.name);
        let once_per = own.map_or(OncePer::Account, |recipient| recipient.once_per);
        let subject = match once_per {
            OncePer::Account => subject,
            OncePer::Event => subject.as_event(&event),
        };
        let pipeline = PolicyPipeline::new(Vec::new(), LaneNames::default(), Fallback::Proceed);
        // The operator wants it delivered although it failed for good.
        let known = self.ports.ledger.notification(&subject.key(&notifier.name)).await;
        let redriven = match known.ok().flatten().map(|entry| entry.state) {
            Some(NotificationState::Failed { for_good: Some(last), .. }) => last.saturating_add(1),
            _ => 0,
        };
        let recipient =
            Recipient { notifier, pipeline: &pipeline, once_per, in_progress: false, redriven };
        let deliveries = self.deliver_all(subject, Some(event), &[recipient], None).await;
        deliveries.iter().for_each(log);
        handled.with_deliveries(deliveries)
    }

    /// Finds accounts whose event was lost and delivers their notifications, as [`Self::handle`]
    /// does for the event of a schedule.
    pub async fn backfill(&self) -> EventReport {
        let handled = self.run_backfill(EventReport::for_event(None), None).await;
        self.finish(handled, None).await
    }

    /// Logs the deliveries, and publishes alerts about those that failed.
    async fn finish(&self, mut handled: EventReport, event: Option<&Event>) -> EventReport {
        handled.notifications.iter().for_each(log);
        let failed: Vec<&Delivery> =
            handled.notifications.iter().filter(|t| t.outcome == DeliveryOutcome::Failed).collect();
        let alerts: Vec<(String, Alert)> =
            failed.into_iter().map(|delivery| self.failure_alert(delivery, event)).collect();
        let mut known = BTreeSet::new();
        for (what, alert) in alerts {
            if self.alert_once(&mut handled, &what, alert).await {
                known.insert(what);
            }
        }
        // A notification that failed for good before, and with an alert, is no failure of this
        // event.
        let is_known = |delivery: &Delivery| {
            delivery.failed_before()
                && delivery.failed_for_good_marker().is_some_and(|marker| known.contains(&marker))
        };
        if handled.notifications.iter().any(is_known) {
            for delivery in handled.notifications.iter_mut().filter(|delivery| is_known(delivery)) {
                delivery.outcome = DeliveryOutcome::Skipped;
            }
            if handled.outcome == EventOutcome::Failed && handled.reason.is_none() {
                handled.outcome = EventOutcome::Ignored;
            }
            handled = handled.with_deliveries(Vec::new());
        }
        handled
    }

    async fn process(&self, event: &Arc<Event>, until: Option<Timestamp>) -> EventReport {
        let handled = EventReport::for_event(Some(event));
        let subject = match subject_for(event) {
            Err(error) => return self.reject_malformed(handled, &event.json, &error).await,
            Ok(None) => return self.run_backfill(handled, until).await,
            Ok(Some(subject)) => subject,
        };
        let recipients = self.recipients(event);
        if recipients.is_empty() {
            let rule = if event.is_api_call() {
                NoDeliveryReason::ApiCall
            } else {
                NoDeliveryReason::NoRoute
            };
            return handled.ignored(
                rule,
                match action_for_event(event) {
                    Ok(EventAction::Other { reason, .. }) if rule == NoDeliveryReason::ApiCall => {
                        reason
                    }
                    Ok(EventAction::Other { reason, .. }) => format!("{reason}; no route takes it"),
                    _ => format!("no notifier listens to {}", event.name),
                },
            );
        }
        let mut deliveries = Vec::new();
        match &self.ports.queue {
            Some(queue) => {
                let (each, once): (Vec<_>, Vec<_>) =
                    recipients.into_iter().partition(|one| one.once_per == OncePer::Event);
                let queue = queue.as_ref();
                deliveries.extend(self.enqueue(queue, &subject, Some(event), &once).await);
                let subject = subject.as_event(event);
                deliveries.extend(self.enqueue(queue, &subject, Some(event), &each).await);
            }
            None => {
                for (subject, recipients) in split_by_once_per(subject, event, recipients) {
                    deliveries.extend(
                        self.deliver_all(subject, Some(event.clone()), &recipients, until).await,
                    );
                }
            }
        }
        handled.with_deliveries(deliveries)
    }

    /// Puts a message for each notifier into the queue.
    async fn enqueue(
        &self,
        queue: &dyn NotificationQueue,
        subject: &NotificationSubject,
        event: Option<&Event>,
        recipients: &[Recipient<'_>],
    ) -> Vec<Delivery> {
        let sent = recipients.iter().map(async |recipient| {
            let name = &recipient.notifier.name;
            let message = QueuedNotification {
                key: subject.key(name),
                notifier: name.clone(),
                account: subject.account().cloned(),
                event: event.map(|event| event.json.clone()),
                redriven: 0,
            };
            let delivery = subject.delivery(name);
            match queue.send(&message).await {
                Ok(()) => delivery.with_outcome(DeliveryOutcome::Queued),
                Err(error) => delivery.failed(error.to_string()),
            }
        });
        join_all(sent).await
    }

    /// When the ledger began. The first call begins it.
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError> {
        self.began.get_or_try_init(|| self.ports.ledger.began(now)).await.copied()
    }

    async fn reject_malformed(
        &self,
        mut handled: EventReport,
        text: &str,
        error: &EventError,
    ) -> EventReport {
        handled = handled.failed_as_a_whole(error.to_string());
        let alert = Alert {
            subject: "An event can't be understood".into(),
            message: format!(
                "groundcrew did nothing about it. If it is about a new account, the next sweep \
                 finds the account.\nError: {error}\nEvent: {}",
                excerpt(text)
            ),
        };
        // Until its alert is published, the event has to come again.
        handled.malformed =
            self.alert_once(&mut handled, &format!("event {}", digest(text)), alert).await;
        handled
    }

    /// The alert about a notification that could not be delivered, and the ledger's marker for it.
    fn failure_alert(&self, delivery: &Delivery, event: Option<&Event>) -> (String, Alert) {
        let text = event.map_or("none: a sweep found the account", |event| &event.json);
        let error = delivery.detail.as_deref().unwrap_or("unknown");
        let key = &delivery.key;
        let notifier = &delivery.notifier;
        let by_hand = format!("notify --notifier {} --event EVENT.json", shell_quote(notifier));
        let by_hand = self.settings.suggestions.command(&by_hand);
        let again = match event {
            _ if delivery.for_good.is_some() => format!(
                "It is not sent again by itself, since the other system may have it. Look there. If it \
                 does not, put the event below into the file EVENT.json:\n\n  {by_hand}"
            ),
            Some(event) if event.is_own() && self.ports.queue.is_none() => format!(
                "Nothing tries it again. Once the cause is fixed, put the event below into the \
                 file EVENT.json:\n\n  {by_hand}\n\nWith queues.notifications_url it would be \
                 tried again."
            ),
            Some(event) if !delivery.key.is_onboarding() => {
                format!("It is tried again when {} is delivered again.", event.name)
            }
            _ => "It is tried again when the event is delivered again, and by the next sweep."
                .to_owned(),
        };
        let alert = Alert {
            subject: format!("Notifier {notifier} failed for {}", delivery.description),
            message: format!(
                "{again}\nError: {error}\nNotification: {key}\nEvent: {}",
                excerpt(text)
            ),
        };
        let what = delivery.failed_for_good_marker();
        (what.unwrap_or_else(|| format!("failed {key} {}", digest(error))), alert)
    }

    /// Publishes an alert unless it was published before: AWS delivers events again, Lambda
    /// retries, and one alert is enough. If the ledger can't be read, the alert is published.
    /// Returns whether it has been published.
    async fn alert_once(&self, handled: &mut EventReport, what: &str, alert: Alert) -> bool {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        match self.ports.ledger.has_marker(what).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "could not look up whether an alert is out"),
        }
        match self.ports.alerts.publish(&alert).await {
            Ok(()) => {
                if let Err(error) =
                    self.ports.ledger.record_marker(what, self.ports.clock.now()).await
                {
                    tracing::warn!(%error, "could not record that an alert is published");
                }
                handled.alerts.push(alert);
                true
            }
            Err(error) => {
                tracing::error!(%error, "could not publish an alert");
                handled.add_reason(format!("an alert could not be published: {error}"));
                false
            }
        }
    }
}

fn log(delivery: &Delivery) {
    tracing::info!(
        notifier = delivery.notifier,
        about = delivery.description,
        outcome = %delivery.outcome,
        reference = delivery.reference.as_deref().unwrap_or(""),
        detail = delivery.detail.as_deref().unwrap_or(""),
        "notification"
    );
}

/// The subject of an event's notifications; `None` when the event requests a sweep.
fn subject_for(event: &Arc<Event>) -> Result<Option<NotificationSubject>, EventError> {
    Ok(match action_for_event(event)? {
        EventAction::Backfill => None,
        EventAction::Deliver(enrolled) => {
            let found = if enrolled.created { Discovery::Created } else { Discovery::Updated };
            Some(NotificationSubject::Onboarding(enrolled, found))
        }
        EventAction::Other { account, .. } => {
            Some(NotificationSubject::Event(Arc::clone(event), account))
        }
    })
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}
