//! A simulated AWS and the hosts on it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_aws::{AwsSupport, Clients};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::decision::{Candidate, PolicyDecision};
use groundcrew_core::event::Event;
use groundcrew_core::notification::{
    GateDecision, Notification, NotifyFailure, NotifyFailureKind, Receipt,
};
use groundcrew_core::ports::{Clock as _, NotificationQueue, Notifier, Policy, PolicyFailure};
use groundcrew_core::route::{EventMatch, OncePer, Route};
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_engine::notifications::{
    ConfiguredNotifier, ConfiguredRoute, DeliveryOutcome, EventOutcome, EventReport,
    NotificationSettings, Notifications,
};
use groundcrew_engine::{ConfiguredPolicy, FailureHandling};
use groundcrew_ledger::DynamoLedger;
use groundcrew_sim::{FaultLevel, SimAws, SimOptions, Snapshot, random_fleet};
pub use groundcrew_testkit::events::{CREATED, FAILED, SCHEDULED, UPDATED};
use groundcrew_testkit::{cases, hosts};
use jiff::Timestamp;

pub const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
pub const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 3600);
/// Opens a case, without a plugin.
pub struct CaseNotifier(AwsSupport);

#[async_trait]
impl Notifier for CaseNotifier {
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure> {
        let account = notification.account.as_ref();
        let annotations = notification.annotations.join(", ");
        let subject = match (account, &notification.event) {
            (Some(account), _) => format!("Onboard {}", account.name),
            (None, Some(event)) => event.name.clone(),
            (None, None) => panic!("about nothing"),
        };
        let body = format!("Account {:?} {annotations}", account.map(|account| &account.id));
        cases::open(&self.0, &notification.key, subject, body).await
    }
}

pub type PolicyFn = fn(&Candidate) -> Result<PolicyDecision, PolicyFailure>;

pub struct FnPolicy(PolicyFn);

#[async_trait]
impl Policy for FnPolicy {
    async fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
        (self.0)(candidate)
    }
}

pub type GateFn = fn(Timestamp) -> Result<GateDecision, NotifyFailure>;

/// A gate that returns the result of a function.
pub struct FnGate(GateFn);

#[async_trait]
impl Notifier for FnGate {
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure> {
        let decision = (self.0)(notification.now)?;
        Ok(Receipt { reference: "looked".into(), decision })
    }
}

/// A webhook that answers 200 with a malformed body: it has the message, and the notifier can't
/// know that. It counts its messages.
#[derive(Default)]
pub struct UnclearWebhook {
    messages: AtomicUsize,
    /// How long it takes to answer.
    takes: Duration,
}

impl UnclearWebhook {
    /// One that answers after this time.
    pub fn slow(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Notifier for UnclearWebhook {
    async fn notify(&self, _: &Notification) -> Result<Receipt, NotifyFailure> {
        tokio::time::sleep(self.takes).await;
        self.messages.fetch_add(1, Ordering::Relaxed);
        Err(NotifyFailure {
            kind: NotifyFailureKind::Permanent,
            code: "unexpected-answer".into(),
            message: "POST https://hook/ answers 200, without `/id`".into(),
            effect_possible: true,
            retry_after: None,
        })
    }
}

/// A simulated AWS, with the ledger in one of its tables, which outlives the hosts.
pub struct Fixture {
    pub hook: Arc<UnclearWebhook>,
    pub sim: SimAws,
    pub lookback: Duration,
    pub policy: Option<PolicyFn>,
    pub queue: bool,
    pub gate: Option<GateFn>,
    pub routes: Vec<Route>,
}

/// The same route with `once_per = "event"`.
pub fn of_each(route: Route) -> Route {
    Route { once_per: OncePer::Event, ..route }
}

/// A route to these notifiers for those of the events that ended in this state.
pub fn route(events: &[&str], state: &str, notifiers: &[&str]) -> Route {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Route {
        when: EventMatch::ByName { events: owned(events), states: owned(&[state]) },
        policies: None,
        notifiers: owned(notifiers),
        once_per: OncePer::Account,
    }
}

impl Fixture {
    pub fn new() -> Self {
        Self::of(random_fleet(3, 0, 1))
    }

    /// A fixture in which no account waits for an update.
    pub fn of(mut snapshot: Snapshot) -> Self {
        snapshot.accounts.iter_mut().for_each(|account| account.outdated = false);
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: BEGIN,
            snapshot,
            faults: FaultLevel::None,
            account_quota: 5,
        });
        let landed = ["CreateManagedAccount", "UpdateManagedAccount"];
        let routes = vec![route(&landed, "SUCCEEDED", &["ams", "gate"])];
        let hook = Arc::default();
        Self { hook, sim, lookback: TWO_WEEKS, policy: None, queue: false, gate: None, routes }
    }

    pub fn clients(&self) -> Clients {
        hosts::clients(&self.sim)
    }

    pub fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(self.clients().dynamodb, self.sim.table_name())
    }

    pub fn host(&self, name: &str) -> Notifications {
        let clients = self.clients();
        let support = AwsSupport::new(clients.support.clone());
        let notifier = |name: &str, notifier: Arc<dyn Notifier>| ConfiguredNotifier {
            name: name.into(),
            digest: "none".into(),
            gate: name == "gate",
            timeout: Duration::from_secs(30),
            notifier,
        };
        let mut notifiers = vec![
            notifier("ams", Arc::new(CaseNotifier(support))),
            notifier("hook", self.hook.clone()),
        ];
        notifiers.extend(self.gate.map(|finding| notifier("gate", Arc::new(FnGate(finding)))));
        let policy = self.policy.map(|policy| ConfiguredPolicy {
            name: "native".into(),
            digest: "none".into(),
            on_failure: FailureHandling::Retry,
            monitored: false,
            policy: Arc::new(FnPolicy(policy)),
        });
        Notifications::new(
            hosts::notifications(&self.sim, Arc::new(self.ledger()), self.queue),
            NotificationSettings {
                routes: self
                    .routes
                    .iter()
                    .map(|route| ConfiguredRoute {
                        route: route.clone(),
                        policies: policy.clone().into_iter().collect(),
                    })
                    .collect(),
                notifiers,
                lookback: self.lookback,
                host: name.to_owned(),
                suggestions: CommandFormatter::with_config("my.toml"),
            },
        )
    }

    pub async fn handle(&self, event: &str) -> EventReport {
        let handled = self.host("host").handle_all(event, None).await;
        handled.into_iter().next().unwrap()
    }

    pub fn cases(&self) -> usize {
        self.sim.cases().len()
    }
}

/// An event about an account that the simulated organization has.
pub fn about(fixture: &Fixture, event: &str) -> (AccountId, String) {
    let snapshot = random_fleet(3, 0, 1);
    let account: AccountId = snapshot.accounts[0].id.parse().unwrap();
    assert!(fixture.sim.current_accounts().contains(&account));
    (account.clone(), event.replace("111122223333", account.as_str()))
}

pub fn outcome(handled: &EventReport) -> (EventOutcome, Vec<DeliveryOutcome>) {
    (handled.outcome, handled.notifications.iter().map(|delivery| delivery.outcome).collect())
}

/// Parses an event.
pub fn parsed(event: &str) -> Arc<Event> {
    Arc::new(Event::parse(event).unwrap())
}

/// Handles the notifications in their queue until it is empty.
pub async fn work(fixture: &Fixture) -> Vec<EventReport> {
    let host = fixture.host("worker");
    let queue = host.queue().unwrap().clone();
    let mut handled = Vec::new();
    while !fixture.sim.messages(&fixture.sim.notifications_url()).is_empty() {
        for message in queue.receive(Duration::from_secs(20)).await.unwrap() {
            let taken = host.process_message(queue.as_ref(), &message.unwrap()).await;
            handled.push(taken.handled);
        }
    }
    handled
}

/// Redrives the dead letters of a notifier. Returns how many were taken out of the dead-letter
/// queue.
pub async fn redrive(
    fixture: &Fixture,
    queue: &Arc<dyn NotificationQueue>,
    notifier: &str,
) -> Result<usize, AwsError> {
    queue.redrive(notifier, fixture.sim.clock().now()).await.map(|removed| removed.removed)
}

pub fn letters(fixture: &Fixture) -> Vec<String> {
    fixture.sim.messages(&fixture.sim.notifications_dlq_url())
}

/// Polls a future at most this often; `None` when it was killed then.
pub async fn kill_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
