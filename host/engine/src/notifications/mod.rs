//! Notifications: an account has landed, and the notifiers are told, once each.
//!
//! [`Notifications::handle`] takes one event, wherever it comes from; routes say who is told of it.
//! `subject` is what is told and looks up what is known of it, `due` finds out who is to be told,
//! `tell` tells one notifier under the ledger's claim, `queue` takes notifications out of their
//! queue, `sweep` looks for accounts whose event was lost, `report` is what is said of it all.

mod due;
mod queue;
mod report;
mod subject;
mod sweep;
mod tell;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use groundcrew_core::envelope;
use groundcrew_core::event::{Event, EventError, NotAnEvent};
use groundcrew_core::lane::Lanes;
use groundcrew_core::notification::NotificationState;
use groundcrew_core::onboarding::{Found, Plan, QueuedNotification, plan};
use groundcrew_core::pipeline::Fallback;
use groundcrew_core::ports::{
    Alert, Alerts, Baselines, Catalog, Clock, Directory, LedgerError, NotificationLedger,
    NotificationQueue, Notifier,
};
use groundcrew_core::route::{OncePer, Route};
use groundcrew_core::rule::Rule;
use groundcrew_core::suggested::{Suggested, word};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::alerts::shown;
use crate::{AskedPolicy, Panel};
use due::{Listener, parts};
use subject::Matter;

pub use queue::Taken;
pub(crate) use worker::{NotificationLoop, Worker};

pub use report::{Handled, HandledOutcome, Told, ToldOutcome};

/// The world as onboarding reaches it.
#[derive(Clone)]
pub struct NotificationPorts {
    /// Service Catalog, which knows the enrolled accounts.
    pub catalog: Arc<dyn Catalog>,
    /// Control Tower, which knows those that have no provisioned product.
    pub baselines: Arc<dyn Baselines>,
    /// AWS Organizations.
    pub directory: Arc<dyn Directory>,
    /// Where people are told.
    pub alerts: Arc<dyn Alerts>,
    /// What was told already.
    pub ledger: Arc<dyn NotificationLedger>,
    /// The queue that notifications are handed over to. Without one they are told at once.
    pub queue: Option<Arc<dyn NotificationQueue>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What onboarding goes by.
#[derive(Clone)]
pub struct NotificationSettings {
    /// Which events are told to which notifiers, in their order.
    pub routes: Vec<ConfiguredRoute>,
    /// The notifiers, in the order of the config.
    pub notifiers: Vec<ConfiguredNotifier>,
    /// Accounts that joined within this time and have no entry have lost their event.
    pub lookback: Duration,
    /// Name of this host in the ledger: no two that run have the same.
    pub host: String,
    /// How alerts suggest commands.
    pub suggested: Suggested,
}

/// A route, and the policies that are asked about what takes it, in their order.
#[derive(Clone)]
pub struct ConfiguredRoute {
    /// The route.
    pub route: Route,
    /// The policies.
    pub policies: Vec<AskedPolicy>,
}

/// A notifier and what the operator said about it.
#[derive(Clone)]
pub struct ConfiguredNotifier {
    /// Its name in the config.
    pub name: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// Whether it is asked before the others, and may keep them from being told.
    pub gate: bool,
    /// How long telling may take: its claim in the ledger lasts a little longer.
    pub timeout: Duration,
    /// The notifier.
    pub notifier: Arc<dyn Notifier>,
}

/// So many things are told to one notifier at once, so that one that is down leaves room for the
/// others.
const AT_ONCE: usize = 10;

/// Tells notifiers of accounts that landed, and of whatever else is routed to them.
pub struct Notifications {
    ports: NotificationPorts,
    settings: NotificationSettings,
    /// Of each route its policies.
    panels: Vec<Panel>,
    /// The right to tell something to a notifier now, by its name.
    turns: BTreeMap<String, Semaphore>,
    /// When the ledger began: once known, it doesn't change.
    began: OnceCell<Timestamp>,
}

impl Notifications {
    /// Ready to take events.
    pub fn new(ports: NotificationPorts, settings: NotificationSettings) -> Self {
        let panel = |route: &ConfiguredRoute| {
            Panel::new(route.policies.clone(), Lanes::default(), Fallback::Proceed)
        };
        let turn = |notifier: &ConfiguredNotifier| (notifier.name.clone(), Semaphore::new(AT_ONCE));
        let panels = settings.routes.iter().map(panel).collect();
        let turns = settings.notifiers.iter().map(turn).collect();
        Self { ports, settings, panels, turns, began: OnceCell::new() }
    }

    /// Takes one event. Never panics, whatever the event says. Waits no
    /// longer than `until` for another host that is telling the same; `None` waits as long
    /// as that host's claim lasts.
    ///
    /// Safe to be called again with the same event, at the same time too, and to be killed
    /// at any moment.
    pub async fn handle(&self, event: &Arc<Event>, until: Option<Timestamp>) -> Handled {
        let handled = self.plan(event, until).await;
        self.conclude(handled, Some(event)).await
    }

    /// Tells people of a text that is no event.
    pub async fn refuse(&self, wrong: &NotAnEvent) -> Handled {
        self.malformed(Handled::of(None), &wrong.text, &wrong.error).await
    }

    /// Takes every event in a text, one after the other: an event, or what carries events, such as
    /// a message of SNS or a batch of SQS. One that fails keeps none of the others from being
    /// handled. Never empty.
    pub async fn handle_all(&self, text: &str, until: Option<Timestamp>) -> Vec<Handled> {
        let mut handled = Vec::new();
        for event in envelope::events(text) {
            handled.push(match event {
                Ok(event) => self.handle(&Arc::new(event), until).await,
                Err(wrong) => self.refuse(&wrong).await,
            });
        }
        handled
    }

    /// Tells one notifier of an event, by hand: whatever routes, policies and gates say. Told
    /// before, it is not told again. Nobody is alerted of what fails.
    pub async fn tell_only(&self, event: &Arc<Event>, notifier: &str) -> Handled {
        let event = Arc::clone(event);
        let handled = Handled::of(Some(&event));
        let matter = match matter(&event) {
            // Somebody says that it is new.
            Ok(Some(Matter::Landed(landed, _))) => Matter::Landed(landed, Found::Created),
            Ok(Some(matter)) => matter,
            Ok(None) => return handled.broken("the event tells of nothing".to_owned()),
            Err(error) => return handled.broken(error.to_string()),
        };
        let Some(notifier) = self.settings.notifiers.iter().find(|one| one.name == notifier) else {
            return handled.broken(format!("no notifier is named `{notifier}`"));
        };
        // Its route says whether that is once for each account, where there is one.
        let listeners = self.listeners(&event);
        let own = listeners.iter().find(|one| one.notifier.name == notifier.name);
        let once_per = own.map_or(OncePer::Account, |listener| listener.once_per);
        let matter = match once_per {
            OncePer::Account => matter,
            OncePer::Event => matter.of_event(&event),
        };
        let panel = Panel::new(Vec::new(), Lanes::default(), Fallback::Proceed);
        // Somebody wants it told, although it failed for good.
        let known = self.ports.ledger.notification(&matter.key(&notifier.name)).await;
        let redriven = match known.ok().flatten().map(|entry| entry.state) {
            Some(NotificationState::Failed { for_good: Some(last), .. }) => last.saturating_add(1),
            _ => 0,
        };
        let listener = Listener { notifier, panel: &panel, once_per, begun: false, redriven };
        let told = self.tell_all(matter, Some(event), &[listener], None).await;
        told.iter().for_each(log);
        handled.with(told)
    }

    /// Looks for accounts whose event was lost and tells of them, as the event of a
    /// schedule has [`Self::handle`] do.
    pub async fn make_up(&self) -> Handled {
        let handled = self.sweep(Handled::of(None), None).await;
        self.conclude(handled, None).await
    }

    /// Logs what was done, and sees to it that people hear of what was not.
    async fn conclude(&self, mut handled: Handled, event: Option<&Event>) -> Handled {
        handled.notifications.iter().for_each(log);
        let failed: Vec<&Told> =
            handled.notifications.iter().filter(|t| t.outcome == ToldOutcome::Failed).collect();
        let alerts: Vec<(String, Alert)> =
            failed.into_iter().map(|told| self.failed(told, event)).collect();
        let mut known = BTreeSet::new();
        for (what, alert) in alerts {
            if self.alert_once(&mut handled, &what, alert).await {
                known.insert(what);
            }
        }
        // What people know to have failed for good is no failure of this event.
        let is_known = |told: &Told| {
            told.failed_before()
                && told.note_of_failing_for_good().is_some_and(|note| known.contains(&note))
        };
        if handled.notifications.iter().any(is_known) {
            for told in handled.notifications.iter_mut().filter(|told| is_known(told)) {
                told.outcome = ToldOutcome::Skipped;
            }
            if handled.outcome == HandledOutcome::Failed && handled.reason.is_none() {
                handled.outcome = HandledOutcome::Ignored;
            }
            handled = handled.with(Vec::new());
        }
        handled
    }

    async fn plan(&self, event: &Arc<Event>, until: Option<Timestamp>) -> Handled {
        let handled = Handled::of(Some(event));
        let matter = match matter(event) {
            Err(error) => return self.malformed(handled, &event.json, &error).await,
            Ok(None) => return self.sweep(handled, until).await,
            Ok(Some(matter)) => matter,
        };
        let listeners = self.listeners(event);
        if listeners.is_empty() {
            let rule = if event.is_api_call() { Rule::ApiCall } else { Rule::NoRoute };
            return handled.ignored(
                rule,
                match plan(event) {
                    Ok(Plan::Other { reason, .. }) if rule == Rule::ApiCall => reason,
                    Ok(Plan::Other { reason, .. }) => format!("{reason}; no route takes it"),
                    _ => format!("no notifier listens to {}", event.name),
                },
            );
        }
        let mut told = Vec::new();
        match &self.ports.queue {
            Some(queue) => {
                let (each, once): (Vec<_>, Vec<_>) =
                    listeners.into_iter().partition(|one| one.once_per == OncePer::Event);
                let queue = queue.as_ref();
                told.extend(self.hand_over(queue, &matter, Some(event), &once).await);
                let matter = matter.of_event(event);
                told.extend(self.hand_over(queue, &matter, Some(event), &each).await);
            }
            None => {
                for (matter, listeners) in parts(matter, event, listeners) {
                    told.extend(
                        self.tell_all(matter, Some(event.clone()), &listeners, until).await,
                    );
                }
            }
        }
        handled.with(told)
    }

    /// Puts a message for each notifier into the queue.
    async fn hand_over(
        &self,
        queue: &dyn NotificationQueue,
        matter: &Matter,
        event: Option<&Event>,
        listeners: &[Listener<'_>],
    ) -> Vec<Told> {
        let sent = listeners.iter().map(async |listener| {
            let name = &listener.notifier.name;
            let message = QueuedNotification {
                key: matter.key(name),
                notifier: name.clone(),
                account: matter.account().cloned(),
                event: event.map(|event| event.json.clone()),
                redriven: 0,
            };
            let told = matter.told(name);
            match queue.send(&message).await {
                Ok(()) => told.now(ToldOutcome::Queued),
                Err(error) => told.failed(error.to_string()),
            }
        });
        join_all(sent).await
    }

    /// When the ledger began. The first to ask begins it.
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError> {
        self.began.get_or_try_init(|| self.ports.ledger.began(now)).await.copied()
    }

    async fn malformed(&self, mut handled: Handled, text: &str, error: &EventError) -> Handled {
        handled = handled.broken(error.to_string());
        let alert = Alert {
            subject: "An event can't be understood".into(),
            message: format!(
                "Nothing was done about it. If it is about an account that landed, the next sweep \
                 finds the account.\nError: {error}\nEvent: {}",
                shown(text)
            ),
        };
        // Until somebody knows of it, it has to come again.
        handled.malformed =
            self.alert_once(&mut handled, &format!("event {}", digest(text)), alert).await;
        handled
    }

    /// The alert about a notification that could not be delivered, and what it is noted as.
    fn failed(&self, told: &Told, event: Option<&Event>) -> (String, Alert) {
        let text = event.map_or("none: a sweep found the account", |event| &event.json);
        let error = told.detail.as_deref().unwrap_or("unknown");
        let key = &told.key;
        let notifier = &told.notifier;
        let by_hand = format!("notify --notifier {} --event EVENT.json", word(notifier));
        let by_hand = self.settings.suggested.command(&by_hand);
        let again = match event {
            _ if told.for_good.is_some() => format!(
                "It is not sent again by itself, since the other system may have it. Look there. If it \
                 does not, put the event below into the file EVENT.json:\n\n  {by_hand}"
            ),
            Some(event) if event.is_own() && self.ports.queue.is_none() => format!(
                "Nothing tries it again. Once the cause is mended, put the event below into the \
                 file EVENT.json:\n\n  {by_hand}\n\nWith queues.notifications_url it would be \
                 tried again."
            ),
            Some(event) if !told.key.is_of_landed() => {
                format!("It is tried again when {} is delivered again.", event.name)
            }
            _ => "It is tried again when the event is delivered again, and by the next sweep."
                .to_owned(),
        };
        let alert = Alert {
            subject: format!("Notifier {notifier} was not told of {}", told.about),
            message: format!(
                "{again}\nError: {error}\nNotification: {key}\nEvent: {}",
                shown(text)
            ),
        };
        let what = told.note_of_failing_for_good();
        (what.unwrap_or_else(|| format!("failed {key} {}", digest(error))), alert)
    }

    /// Publishes an alert unless it went out before: AWS delivers events again, Lambda tries
    /// again, and one alert is enough. What can't be looked up goes out. Answers whether it is
    /// out.
    async fn alert_once(&self, handled: &mut Handled, what: &str, alert: Alert) -> bool {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        match self.ports.ledger.noted(what).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "could not look up whether an alert is out"),
        }
        match self.ports.alerts.publish(&alert).await {
            Ok(()) => {
                if let Err(error) = self.ports.ledger.note(what, self.ports.clock.now()).await {
                    tracing::warn!(%error, "could not note that an alert is out");
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

fn log(told: &Told) {
    tracing::info!(
        notifier = told.notifier,
        about = told.about,
        outcome = %told.outcome,
        reference = told.reference.as_deref().unwrap_or(""),
        detail = told.detail.as_deref().unwrap_or(""),
        "notification"
    );
}

/// What there is to tell of an event; `None` when it asks for a sweep.
fn matter(event: &Arc<Event>) -> Result<Option<Matter>, EventError> {
    Ok(match plan(event)? {
        Plan::Sweep => None,
        Plan::Tell(landed) => {
            let found = if landed.created { Found::Created } else { Found::Updated };
            Some(Matter::Landed(landed, found))
        }
        Plan::Other { account, .. } => Some(Matter::Event(Arc::clone(event), account)),
    })
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}
