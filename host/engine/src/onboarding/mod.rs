//! Onboarding: an account has landed, and the notifiers are told, once each.
//!
//! [`Onboarding::handle`] takes one event, wherever it comes from. `account` looks up what
//! is known of the account, `tell` tells one notifier under the ledger's claim, `queue` takes
//! notifications out of their queue, `sweep` looks for accounts whose event was lost, `report`
//! is what is said of it all.

mod account;
mod queue;
mod report;
mod sweep;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::event::{Event, EventError};
use groundcrew_core::notification::{NotificationEntry, NotificationKey, NotificationState};
use groundcrew_core::onboarding::{Due, Found, Landed, Plan, QueuedNotification, due, plan};
use groundcrew_core::pipeline::{Fallback, Outcome};
use groundcrew_core::ports::{
    Alert, Alerts, Catalog, Clock, Directory, LedgerError, NotificationLedger, NotificationQueue,
    Notifier,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::Panel;
use crate::{AskedPolicy, OnFailure};
use account::Known;
pub use report::{Handled, HandledOutcome, Told, ToldOutcome};

/// The world as onboarding reaches it.
#[derive(Clone)]
pub struct OnboardingPorts {
    /// Service Catalog, which knows the enrolled accounts.
    pub catalog: Arc<dyn Catalog>,
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
pub struct OnboardingSettings {
    /// The policies that are asked about onboarding, in their order.
    pub policies: Vec<AskedPolicy>,
    /// The notifiers, in the order of the config.
    pub notifiers: Vec<ConfiguredNotifier>,
    /// Accounts that joined within this time and have no entry have lost their event.
    pub lookback: Duration,
    /// Name of this host in the ledger: no two that run have the same.
    pub host: String,
}

/// A notifier and what the operator said about it.
#[derive(Clone)]
pub struct ConfiguredNotifier {
    /// Its name in the config.
    pub name: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// The lifecycle events that it listens to.
    pub on: Vec<String>,
    /// How long telling may take: its claim in the ledger lasts a little longer.
    pub timeout: Duration,
    /// The notifier.
    pub notifier: Arc<dyn Notifier>,
}

/// Tells notifiers of accounts that landed.
pub struct Onboarding {
    ports: OnboardingPorts,
    settings: OnboardingSettings,
    panel: Panel,
    /// When the ledger began: once known, it doesn't change.
    began: OnceCell<Timestamp>,
}

/// What is to be told, and of whom.
struct Subject {
    found: Found,
    known: Known,
    event: Option<Arc<Event>>,
}

impl Onboarding {
    /// Ready to take events.
    pub fn new(ports: OnboardingPorts, settings: OnboardingSettings) -> Self {
        let panel = Panel::new(settings.policies.clone(), vec![String::new()], Fallback::Proceed);
        Self { ports, settings, panel, began: OnceCell::new() }
    }

    /// Takes one event: EventBridge's JSON. Never panics, whatever the event says. Waits no
    /// longer than `until` for another host that is telling the same; `None` waits as long
    /// as that host's claim lasts.
    ///
    /// Safe to be called again with the same event, at the same time too, and to be killed
    /// at any moment.
    pub async fn handle(&self, text: &str, until: Option<Timestamp>) -> Handled {
        let handled = self.plan(text, until).await;
        self.conclude(handled, text).await
    }

    /// Looks for accounts whose event was lost and tells of them, as the event of a
    /// schedule has [`Self::handle`] do.
    pub async fn make_up(&self) -> Handled {
        let handled = self.sweep(Handled::of(None), None).await;
        self.conclude(handled, "none: a sweep found the account").await
    }

    /// Logs what was done, and sees to it that people hear of what was not.
    async fn conclude(&self, mut handled: Handled, text: &str) -> Handled {
        handled.notifications.iter().for_each(log);
        let failed: Vec<&Told> =
            handled.notifications.iter().filter(|t| t.outcome == ToldOutcome::Failed).collect();
        let alerts: Vec<(String, Alert)> =
            failed.into_iter().map(|told| self.failed(told, text)).collect();
        for (what, alert) in alerts {
            self.alert_once(&mut handled, &what, alert).await;
        }
        handled
    }

    async fn plan(&self, text: &str, until: Option<Timestamp>) -> Handled {
        let event = match Event::parse(text) {
            Ok(event) => Arc::new(event),
            Err(error) => return self.malformed(Handled::of(None), text, &error).await,
        };
        let handled = Handled::of(Some(&event));
        match plan(&event) {
            Err(error) => self.malformed(handled, text, &error).await,
            Ok(Plan::Nothing { reason }) => handled.ignored(reason),
            Ok(Plan::Sweep) => self.sweep(handled, until).await,
            Ok(Plan::Tell(landed)) => {
                let listening: Vec<&ConfiguredNotifier> = self
                    .settings
                    .notifiers
                    .iter()
                    .filter(|notifier| notifier.on.contains(&event.name))
                    .collect();
                if listening.is_empty() {
                    let reason = format!("no notifier listens to {}", event.name);
                    return handled.ignored(reason);
                }
                match &self.ports.queue {
                    Some(queue) => {
                        let queue = queue.as_ref();
                        self.hand_over(handled, queue, &event, &landed, &listening).await
                    }
                    None => self.landed(handled, event, &landed, &listening, until).await,
                }
            }
        }
    }

    /// Puts a message for each notifier into the queue.
    async fn hand_over(
        &self,
        handled: Handled,
        queue: &dyn NotificationQueue,
        event: &Event,
        landed: &Landed,
        listening: &[&ConfiguredNotifier],
    ) -> Handled {
        let sent = listening.iter().map(async |notifier| {
            let message = QueuedNotification {
                key: NotificationKey::onboard(&landed.id, &notifier.name),
                notifier: notifier.name.clone(),
                account: landed.id.clone(),
                event: event.json.clone(),
                redriven: 0,
            };
            match queue.send(&message).await {
                Ok(()) => Told::new(notifier, &landed.id, ToldOutcome::Queued),
                Err(error) => Told::failed(notifier, &landed.id, error.to_string()),
            }
        });
        handled.with(join_all(sent).await)
    }

    /// Tells of an account that an event says has landed.
    async fn landed(
        &self,
        handled: Handled,
        event: Arc<Event>,
        landed: &Landed,
        listening: &[&ConfiguredNotifier],
        until: Option<Timestamp>,
    ) -> Handled {
        // What the ledger knows is cheaper to ask than all else: most events are repeats or
        // routine updates. Where no policy is to be asked about a new account, claiming the
        // notification asks it as well.
        let claimed_at_once = landed.created && self.settings.policies.is_empty();
        let entries = join_all(listening.iter().map(async |notifier| match claimed_at_once {
            true => (*notifier, Ok(None)),
            false => (*notifier, self.entry(notifier, landed).await),
        }));
        let (entries, known) = match landed.created {
            true => {
                let began = self.began(self.ports.clock.now());
                // One that fails now is asked for again when it is needed.
                let (entries, known, _) = tokio::join!(entries, self.known(landed), began);
                (entries, Some(known))
            }
            false => (entries.await, None),
        };
        let (settled, open): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(_, entry)| entry.as_ref().is_ok_and(is_settled));
        let mut told: Vec<Told> = settled
            .into_iter()
            .filter_map(|(notifier, entry)| Some(Told::settled(notifier, &entry.ok()??)))
            .collect();
        if !open.is_empty() {
            let known = match known {
                Some(known) => known,
                None => self.known(landed).await,
            };
            let found = if landed.created { Found::Created } else { Found::Updated };
            let subject = Subject { found, known, event: Some(event) };
            let open: Vec<&ConfiguredNotifier> =
                open.into_iter().map(|(notifier, _)| notifier).collect();
            told.extend(self.due(&subject, &open, until).await);
        }
        handled.with(told)
    }

    /// When the ledger began. The first to ask begins it.
    async fn began(&self, now: Timestamp) -> Result<Timestamp, LedgerError> {
        self.began.get_or_try_init(|| self.ports.ledger.began(now)).await.copied()
    }

    async fn entry(
        &self,
        notifier: &ConfiguredNotifier,
        landed: &Landed,
    ) -> Result<Option<NotificationEntry>, LedgerError> {
        let key = NotificationKey::onboard(&landed.id, &notifier.name);
        self.ports.ledger.notification(&key).await
    }

    /// Does what is due to an account without entries for these notifiers.
    async fn due(
        &self,
        subject: &Subject,
        open: &[&ConfiguredNotifier],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        let account = &subject.known.account;
        let fail = |error: &str| -> Vec<Told> {
            open.iter().map(|notifier| Told::failed(notifier, &account.id, error)).collect()
        };
        let now = self.ports.clock.now();
        let began = match self.began(now).await {
            Ok(began) => began,
            Err(error) => return fail(&error.to_string()),
        };
        match due(subject.found, account.joined, began, now, self.settings.lookback) {
            Due::Nothing => Vec::new(),
            Due::Unknown => fail(&format!(
                "an update of the account does not tell whether it is new, and when it joined can't \
                 be looked up in AWS Organizations: {}. Allow this host \
                 organizations:DescribeAccount, or leave UpdateManagedAccount out of `on`",
                subject.known.trouble.as_deref().unwrap_or("it has no date")
            )),
            Due::Record => {
                join_all(open.iter().map(|notifier| self.record(subject, notifier))).await
            }
            Due::Tell => match self.ask(subject).await {
                Asked::Go => {
                    let tell = open.iter().map(|notifier| self.tell(subject, notifier, until));
                    join_all(tell).await
                }
                Asked::Not(reason) => open
                    .iter()
                    .map(|notifier| {
                        Told::new(notifier, &account.id, ToldOutcome::Skipped).because(&reason)
                    })
                    .collect(),
                Asked::Failed(error) => fail(&error),
            },
        }
    }

    /// Writes down that an account is not to be told.
    async fn record(&self, subject: &Subject, notifier: &ConfiguredNotifier) -> Told {
        let account = &subject.known.account.id;
        let entry = NotificationEntry {
            account: account.clone(),
            notifier: notifier.name.clone(),
            state: NotificationState::Recorded,
            attempts: 0,
            changed_at: self.ports.clock.now(),
        };
        let key = NotificationKey::onboard(account, &notifier.name);
        match self.ports.ledger.record(&key, &entry).await {
            Ok(_) => Told::settled(notifier, &entry),
            Err(error) => Told::failed(notifier, account, error.to_string()),
        }
    }

    /// Asks the policies.
    async fn ask(&self, subject: &Subject) -> Asked {
        let candidate = Candidate {
            action: Action::Onboard,
            cause: Cause::Lifecycle,
            account: subject.known.account.clone(),
            tags: subject.known.tags.clone(),
            product: None,
            event: subject.event.clone(),
            now: self.ports.clock.now(),
        };
        let heard = self.panel.hear(&candidate).await;
        let failed = heard
            .failures()
            .find(|(asked, _)| !asked.monitored && asked.on_failure == OnFailure::Retry);
        if let Some((_, failure)) = failed {
            // A lost onboarding is worse than a late one.
            return Asked::Failed(failure.to_string());
        }
        let by = heard.decision.policy.as_deref().unwrap_or("default");
        match heard.decision.outcome {
            Outcome::Proceed { .. } => Asked::Go,
            Outcome::Skip { reason } => Asked::Not(format!("policy `{by}`: {reason}")),
            Outcome::Hold { until, reason } => {
                Asked::Not(format!("policy `{by}` holds it until {until}: {reason}"))
            }
        }
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
    fn failed(&self, told: &Told, text: &str) -> (String, Alert) {
        let error = told.detail.as_deref().unwrap_or("unknown");
        let key = NotificationKey::onboard(&told.account, &told.notifier);
        let alert = Alert {
            subject: format!("Notifier {} was not told of account {}", told.notifier, told.account),
            message: format!(
                "It is tried again when the event is delivered again, and by the next sweep.\n\
                 Error: {error}\nNotification: {key}\nEvent: {}",
                shown(text)
            ),
        };
        (format!("failed {key} {}", digest(error)), alert)
    }

    /// Publishes an alert unless it went out before: AWS delivers events again, Lambda tries
    /// again, and one alert is enough. What can't be looked up goes out. Answers whether it is
    /// out.
    async fn alert_once(&self, handled: &mut Handled, what: &str, alert: Alert) -> bool {
        tracing::warn!(subject = alert.subject, message = alert.message, "alert");
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
        account = %told.account,
        outcome = %told.outcome,
        reference = told.reference.as_deref().unwrap_or(""),
        detail = told.detail.as_deref().unwrap_or(""),
        "notification"
    );
}

/// What the policies say.
enum Asked {
    Go,
    /// It is not to be told, or not yet.
    Not(String),
    /// They can't be asked.
    Failed(String),
}

fn is_settled(entry: &Option<NotificationEntry>) -> bool {
    entry.as_ref().is_some_and(|entry| {
        matches!(entry.state, NotificationState::Told { .. } | NotificationState::Recorded)
    })
}

/// Most of an event that an alert carries, in bytes: SNS takes 256 KiB.
const SHOWN: usize = 200 << 10;

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
