//! Onboarding against the simulated AWS through the real SDKs: one case for each account,
//! whatever is killed, lost or done twice. In virtual time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use groundcrew_aws::{
    AwsSupport, Clients, Environment, LaunchPath, OrganizationsDirectory, ServiceCatalog,
    SnsAlerts, SqsNotifications,
};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::Class;
use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};
use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::event::Event;
use groundcrew_core::notification::{
    Notification, NotificationKey, NotificationState, NotifyFailure, NotifyFailureKind, Receipt,
    Verdict as Says,
};
use groundcrew_core::onboarding::QueuedNotification;
use groundcrew_core::ports::{
    Clock, DeadLetter, NotificationLedger, Notifier, Policy, PolicyFailure, SupportCases,
};
use groundcrew_core::route::{Route, When};
use groundcrew_core::support_case::SupportCase;
use groundcrew_engine::onboarding::{
    ConfiguredNotifier, ConfiguredRoute, Handled, HandledOutcome, Onboarding, OnboardingPorts,
    OnboardingSettings, ToldOutcome,
};
use groundcrew_engine::{AskedPolicy, OnFailure};
use groundcrew_ledger::DynamoLedger;
use groundcrew_sim::{FaultLevel, NextCall, SimAws, SimOptions, Snapshot};
use jiff::Timestamp;
use rstest::rstest;

const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 3600);

const CREATED: &str = include_str!("../../../tests/events/create-managed-account-succeeded.json");
const UPDATED: &str = include_str!("../../../tests/events/update-managed-account-succeeded.json");
const FAILED: &str = include_str!("../../../tests/events/create-managed-account-failed.json");

/// Opens a case, without a plugin.
struct CaseNotifier(AwsSupport);

#[async_trait]
impl Notifier for CaseNotifier {
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure> {
        let account = notification.account.as_ref();
        let annotations = notification.annotations.join(", ");
        let case = SupportCase {
            subject: match (account, &notification.event) {
                (Some(account), _) => format!("Onboard {}", account.name),
                (None, Some(event)) => event.name.clone(),
                (None, None) => panic!("about nothing"),
            },
            body: format!("Account {:?} {annotations}", account.map(|account| &account.id)),
            service_code: "service-ams-operations-service-request".into(),
            category_code: "onboarding-or-offboarding".into(),
            severity_code: "low".into(),
            cc_email_addresses: vec![],
            language: "en".into(),
            issue_type: "technical".into(),
        };
        match self.0.open(&notification.key, &case).await {
            Ok(reference) => Ok(Receipt { reference, verdict: Says::Go }),
            Err(error) => Err(NotifyFailure {
                kind: match error.class {
                    Class::Denied => NotifyFailureKind::Denied,
                    Class::NotFound | Class::Permanent => NotifyFailureKind::Permanent,
                    _ => NotifyFailureKind::Transient,
                },
                code: error.code.clone(),
                message: error.to_string(),
                effect_possible: error.effect_possible,
                retry_after: None,
            }),
        }
    }
}

type Answer = fn(&Candidate) -> Result<Verdict, PolicyFailure>;

struct Asked(Answer);

#[async_trait]
impl Policy for Asked {
    async fn evaluate(&self, candidate: &Candidate) -> Result<Verdict, PolicyFailure> {
        (self.0)(candidate)
    }
}

type Finding = fn(Timestamp) -> Result<Says, NotifyFailure>;

/// A gate that finds what it is told to.
struct Gate(Finding);

#[async_trait]
impl Notifier for Gate {
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure> {
        let verdict = (self.0)(notification.now)?;
        Ok(Receipt { reference: "looked".into(), verdict })
    }
}

/// A simulated AWS, with the ledger in one of its tables, which outlives the hosts.
struct Place {
    sim: SimAws,
    lookback: Duration,
    policy: Option<Answer>,
    queue: bool,
    gate: Option<Finding>,
    routes: Vec<Route>,
}

/// Of these events those that ended so, to notifiers.
fn route(events: &[&str], state: &str, notifiers: &[&str]) -> Route {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Route {
        when: When::Named { events: owned(events), states: owned(&[state]) },
        policies: None,
        notifiers: owned(notifiers),
    }
}

impl Place {
    fn new() -> Self {
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: BEGIN,
            snapshot: Snapshot::generate(3, 0, 1),
            faults: FaultLevel::None,
            account_quota: 5,
        });
        let landed = ["CreateManagedAccount", "UpdateManagedAccount"];
        let routes = vec![route(&landed, "SUCCEEDED", &["ams", "gate"])];
        Self { sim, lookback: TWO_WEEKS, policy: None, queue: false, gate: None, routes }
    }

    fn clients(&self) -> Clients {
        let (key, secret) = self.sim.credentials();
        let credentials = Credentials::new(key, secret, None, None, "simulation");
        Environment::new(
            self.sim.region(),
            SharedCredentialsProvider::new(credentials),
            self.sim.http_client(),
            self.sim.time_source(),
        )
        .clients()
    }

    fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(self.clients().dynamodb, self.sim.table_name())
    }

    fn host(&self, name: &str) -> Onboarding {
        let clients = self.clients();
        let support = AwsSupport::new(clients.support.clone());
        let notifier = |name: &str, notifier: Arc<dyn Notifier>| ConfiguredNotifier {
            name: name.into(),
            digest: "none".into(),
            gate: name == "gate",
            timeout: Duration::from_secs(30),
            notifier,
        };
        let mut notifiers = vec![notifier("ams", Arc::new(CaseNotifier(support)))];
        notifiers.extend(self.gate.map(|finding| notifier("gate", Arc::new(Gate(finding)))));
        let policy = self.policy.map(|policy| AskedPolicy {
            name: "native".into(),
            digest: "none".into(),
            on_failure: OnFailure::Retry,
            monitored: false,
            policy: Arc::new(Asked(policy)),
        });
        let path = LaunchPath::OfPortfolio(self.sim.portfolio_name().to_owned());
        let queue = SqsNotifications::new(clients.sqs.clone(), self.sim.notifications_url());
        Onboarding::new(
            OnboardingPorts {
                catalog: Arc::new(ServiceCatalog::new(
                    clients.service_catalog.clone(),
                    self.sim.product_name(),
                    path,
                )),
                directory: Arc::new(OrganizationsDirectory::new(clients.organizations.clone())),
                alerts: Arc::new(SnsAlerts::new(clients.sns.clone(), self.sim.topic_arn())),
                ledger: Arc::new(self.ledger()),
                queue: self.queue.then(|| Arc::new(queue) as _),
                clock: Arc::new(self.sim.clock()),
            },
            OnboardingSettings {
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
            },
        )
    }

    async fn handle(&self, event: &str) -> Handled {
        self.host("host").handle(event, None).await
    }

    fn cases(&self) -> usize {
        self.sim.cases().len()
    }
}

/// An event about an account that the simulated organization has.
fn about(place: &Place, event: &str) -> (AccountId, String) {
    let snapshot = Snapshot::generate(3, 0, 1);
    let account: AccountId = snapshot.accounts[0].id.parse().unwrap();
    assert!(place.sim.current_accounts().contains(&account));
    (account.clone(), event.replace("111122223333", account.as_str()))
}

fn outcome(handled: &Handled) -> (HandledOutcome, Vec<ToldOutcome>) {
    (handled.outcome, handled.notifications.iter().map(|told| told.outcome).collect())
}

/// Lets a future run until it has waited so often; `None` when it was killed there.
async fn kill_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
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

#[tokio::test(start_paused = true)]
async fn a_created_account_opens_one_case_whatever_comes_after() {
    let place = Place::new();
    let (account, created) = about(&place, CREATED);
    let told = place.handle(&created).await;
    assert_eq!(outcome(&told), (HandledOutcome::Notified, vec![ToldOutcome::Told]));
    let case = &place.sim.cases()[0];
    assert_eq!(told.notifications[0].reference.as_deref(), Some(case.id.as_str()));
    assert!(case.body.ends_with(&format!("Ref: groundcrew/onboard/{account}/ams")), "{case:?}");

    let again = created.replace("999cccaa", "000cccaa");
    let updated = UPDATED.replace("111122223333", account.as_str());
    for event in [&created, &again, &updated] {
        let told = place.handle(event).await;
        assert_eq!(outcome(&told), (HandledOutcome::Ignored, vec![ToldOutcome::AlreadyTold]));
        assert_eq!(told.notifications[0].reference.as_deref(), Some(case.id.as_str()));
    }
    assert_eq!(place.cases(), 1);
    assert_eq!(place.sim.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_can_not_be_looked_up_is_told_as_the_event_says() {
    let place = Place::new();
    let told = place.handle(CREATED).await;
    assert_eq!(told.outcome, HandledOutcome::Notified);
    assert_eq!(place.sim.cases()[0].subject, "Onboard LifeCycle1");
}

#[rstest]
#[case::failed(FAILED.to_owned(), HandledOutcome::Ignored, 0)]
#[case::not_available(CREATED.replace("111122223333", "Not Available"), HandledOutcome::Failed, 1)]
#[case::no_state(CREATED.replace("\"state\"", "\"status\""), HandledOutcome::Failed, 1)]
#[case::no_account(CREATED.replace("accountId", "id"), HandledOutcome::Failed, 1)]
#[case::other(CREATED.replace("CreateManagedAccount", "EnableGuardrail"), HandledOutcome::Ignored, 0)]
#[case::not_json("{".to_owned(), HandledOutcome::Failed, 1)]
#[case::updated_unknown(UPDATED.to_owned(), HandledOutcome::Failed, 1)]
#[tokio::test(start_paused = true)]
async fn what_is_no_account_that_landed_opens_no_case(
    #[case] event: String,
    #[case] expected: HandledOutcome,
    #[case] alerts: usize,
) {
    let place = Place::new();
    let handled = place.handle(&event).await;
    assert_eq!(handled.outcome, expected, "{handled:?}");
    assert!(handled.reason.is_some() || !handled.notifications.is_empty());
    // Lambda tries again: one alert is enough.
    place.handle(&event).await;
    let published = place.sim.alerts();
    assert_eq!((place.cases(), published.len()), (0, alerts), "{published:?}");
    for alert in published {
        assert!(alert.subject.len() < 100 && !alert.subject.contains('\n'), "{alert:?}");
        assert!(alert.message.contains(event.trim()), "{alert:?}");
    }
}

/// Killed at every point where it waits, and started again.
#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_loses_nothing_and_opens_no_second_case() {
    let mut points = 0;
    loop {
        let place = Place::new();
        let (_, created) = about(&place, CREATED);
        let host = place.host("first");
        let killed = kill_after(points, host.handle(&created, None)).await.is_none();
        drop(host);
        if !killed {
            assert_eq!(place.cases(), 1);
            break;
        }
        let told = place.host("second").handle(&created, None).await;
        assert_ne!(told.outcome, HandledOutcome::Failed, "killed at {points}: {told:?}");
        assert_eq!(place.cases(), 1, "killed at {points}");
        points += 1;
    }
    assert!(points > 10, "only {points} points to be killed at");
}

/// Each call that has an effect takes it, and its reply is lost.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lost_reply_opens_no_second_case(
    #[values("CreateCase", "PutItem", "TransactWriteItems", "DescribeCases", "GetItem")]
    operation: &str,
    #[values(1, 2)] times: usize,
    #[values(0, 3, 60)] delay: u64,
) {
    let place = Place::new();
    place.sim.set_case_delay(Duration::from_secs(delay));
    let (_, created) = about(&place, CREATED);
    (0..times).for_each(|_| place.sim.next_call(operation, NextCall::ReplyLost));
    // Until it is told: Lambda and people try again, a minute later.
    for _ in 0..4 {
        place.handle(&created).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let last = place.handle(&created).await;
    assert_eq!(outcome(&last), (HandledOutcome::Ignored, vec![ToldOutcome::AlreadyTold]));
    // A case that AWS does not list yet can't be found: what is left is to wait before the
    // next attempt, as long as Lambda does.
    let expected = if operation == "CreateCase" && delay == 60 { 1..=1 + times } else { 1..=1 };
    assert!(expected.contains(&place.cases()), "{} cases", place.cases());
}

#[tokio::test(start_paused = true)]
async fn two_hosts_at_once_open_one_case() {
    let place = Place::new();
    let (_, created) = about(&place, CREATED);
    let (first, second) = (place.host("first"), place.host("second"));
    let (a, b) = tokio::join!(first.handle(&created, None), second.handle(&created, None));
    assert_eq!(place.cases(), 1);
    let outcomes = [a.outcome, b.outcome];
    assert!(outcomes.contains(&HandledOutcome::Notified), "{outcomes:?}");
    assert!(outcomes.contains(&HandledOutcome::Ignored), "{outcomes:?}");
    assert_eq!(a.notifications[0].reference, b.notifications[0].reference);
}

/// The second host has less time than the first one's claim lasts.
#[tokio::test(start_paused = true)]
async fn a_host_that_can_not_wait_says_so_and_opens_no_case() {
    let place = Place::new();
    let (account, created) = about(&place, CREATED);
    place.sim.next_call("DescribeCases", NextCall::Hung);
    let (first, second) = (place.host("first"), place.host("second"));
    let soon = place.sim.clock().now() + Duration::from_secs(5);
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.handle(&created, Some(soon)).await
    };
    let (a, b) = tokio::join!(first.handle(&created, None), late);
    assert_eq!(a.outcome, HandledOutcome::Notified, "{a:?}");
    assert_eq!(b.outcome, HandledOutcome::Failed);
    let detail = b.notifications[0].detail.as_deref().unwrap();
    assert!(detail.starts_with("another host has been telling it"), "{detail}");
    assert_eq!(place.cases(), 1);
    assert!(place.sim.alerts()[0].subject.contains(account.as_str()));
}

#[tokio::test(start_paused = true)]
async fn without_a_support_plan_it_fails_once_and_says_why() {
    let place = Place::new();
    place.sim.set_support_plan(false);
    let (_, created) = about(&place, CREATED);
    let failed = place.handle(&created).await;
    assert_eq!(outcome(&failed), (HandledOutcome::Failed, vec![ToldOutcome::Failed]));
    let alert = &place.sim.alerts()[0];
    assert!(alert.message.contains("SubscriptionRequiredException"), "{alert:?}");
    place.sim.set_support_plan(true);
    assert_eq!(place.handle(&created).await.outcome, HandledOutcome::Notified);
    assert_eq!(place.cases(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_case_is_tried_again_at_once() {
    let place = Place::new();
    let (_, created) = about(&place, CREATED);
    (0..2).for_each(|_| place.sim.next_call("CreateCase", NextCall::Throttled));
    assert_eq!(place.handle(&created).await.outcome, HandledOutcome::Notified);
    assert_eq!((place.cases(), place.sim.alerts().len()), (1, 0));
}

fn skips(_: &Candidate) -> Result<Verdict, PolicyFailure> {
    Ok(Verdict::Skip("sandbox".into()))
}

fn fails(_: &Candidate) -> Result<Verdict, PolicyFailure> {
    Err(PolicyFailure { code: "trap".into(), message: "trapped".into(), transient: false })
}

#[rstest]
#[case::skips(skips, HandledOutcome::Ignored, "policy `native`: sandbox")]
#[case::fails(fails, HandledOutcome::Failed, "trapped")]
#[tokio::test(start_paused = true)]
async fn policies_are_asked(
    #[case] policy: Answer,
    #[case] expected: HandledOutcome,
    #[case] detail: &str,
) {
    let place = Place { policy: Some(policy), ..Place::new() };
    let (_, created) = about(&place, CREATED);
    let handled = place.handle(&created).await;
    assert_eq!(handled.outcome, expected);
    assert_eq!(handled.notifications[0].detail.as_deref(), Some(detail));
    assert_eq!(place.cases(), 0);
}

const SCHEDULED: &str = r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;

/// Events that were lost are made good; accounts from before the ledger are left alone.
#[tokio::test(start_paused = true)]
async fn a_sweep_makes_up_for_lost_events() {
    let place = Place { lookback: Duration::from_secs(4000 * 24 * 3600), ..Place::new() };
    place.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    let swept = place.handle(SCHEDULED).await;
    assert_eq!(swept.outcome, HandledOutcome::Notified, "{swept:?}");
    assert_eq!(place.cases(), 3);
    let again = place.handle(SCHEDULED).await;
    assert_eq!(outcome(&again), (HandledOutcome::Ignored, vec![]));
    assert_eq!(place.cases(), 3);
}

#[tokio::test(start_paused = true)]
async fn accounts_older_than_the_ledger_are_recorded_and_never_told() {
    let place = Place { lookback: Duration::from_secs(4000 * 24 * 3600), ..Place::new() };
    let swept = place.handle(SCHEDULED).await;
    assert_eq!(outcome(&swept), (HandledOutcome::Ignored, vec![ToldOutcome::Recorded; 3]));
    let (account, updated) = about(&place, UPDATED);
    let told = place.handle(&updated).await;
    assert_eq!(outcome(&told), (HandledOutcome::Ignored, vec![ToldOutcome::Recorded]));
    let key = NotificationKey::onboard(&account, "ams");
    let entry = place.ledger().notification(&key).await.unwrap().unwrap();
    assert_eq!((entry.state, place.cases()), (NotificationState::Recorded, 0));
}

/// A fleet update sends this event for every account.
#[tokio::test(start_paused = true)]
async fn an_update_of_an_account_that_joined_long_ago_opens_no_case() {
    let place = Place::new();
    let (_, updated) = about(&place, UPDATED);
    let told = place.handle(&updated).await;
    assert_eq!(outcome(&told), (HandledOutcome::Ignored, vec![ToldOutcome::Recorded]));
    assert_eq!(place.cases(), 0);
}

#[tokio::test(start_paused = true)]
async fn with_a_queue_it_hands_over() {
    let place = Place { queue: true, ..Place::new() };
    let (account, created) = about(&place, CREATED);
    let handled = place.handle(&created).await;
    assert_eq!(outcome(&handled), (HandledOutcome::Queued, vec![ToldOutcome::Queued]));
    // Within the deduplication window SQS swallows the repeat.
    place.handle(&created).await;
    let messages = place.sim.messages(&place.sim.notifications_url());
    assert_eq!((messages.len(), place.cases()), (1, 0));
    assert!(messages[0].contains(&format!("onboard/{account}/ams")), "{messages:?}");
}

/// Takes what is in the notifications queue until nothing is left in it.
async fn work(place: &Place) -> Vec<Handled> {
    let host = place.host("worker");
    let queue = host.queue().unwrap().clone();
    let mut handled = Vec::new();
    while !place.sim.messages(&place.sim.notifications_url()).is_empty() {
        for delivery in queue.receive(Duration::from_secs(20)).await.unwrap() {
            let taken = host.take(queue.as_ref(), &delivery.unwrap()).await;
            handled.push(taken.handled);
        }
    }
    handled
}

fn letters(place: &Place) -> Vec<String> {
    place.sim.messages(&place.sim.notifications_dead_url())
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_told_once() {
    let place = Place { queue: true, ..Place::new() };
    let (_, created) = about(&place, CREATED);
    for event in [created.clone(), created.replace("999cccaa", "000cccaa")] {
        assert_eq!(place.handle(&event).await.outcome, HandledOutcome::Queued);
    }
    let handled = work(&place).await;
    let outcomes: Vec<_> = handled.iter().flat_map(|one| outcome(one).1).collect();
    assert_eq!(outcomes, [ToldOutcome::Told, ToldOutcome::AlreadyTold]);
    assert_eq!((place.cases(), letters(&place).len()), (1, 0));
    assert_eq!(place.sim.alerts(), []);
}

/// Each delivery tries three times; the waits between deliveries grow.
#[rstest]
#[case::twice(2, 30 + 60)]
#[case::nine_times(9, 30 + 60 + 120 + 240 + 480 + 960 + 1920 + 3600 + 3600)]
#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_is_told_later(#[case] deliveries: usize, #[case] waits: u64) {
    let place = Place { queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    for _ in 0..3 * deliveries {
        place.sim.next_call("CreateCase", NextCall::Throttled);
    }
    let before = place.sim.clock().now();
    let handled = work(&place).await;
    assert_eq!(handled.len(), deliveries + 1);
    let took = place.sim.clock().now().duration_since(before).as_secs().unsigned_abs();
    assert!(took >= waits && took < waits + 60 * deliveries as u64, "{took} s");
    assert_eq!((place.cases(), letters(&place).len()), (1, 0));
    assert_eq!(place.sim.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_delivery_it_is_a_dead_letter_and_an_alert() {
    let place = Place { queue: true, ..Place::new() };
    let (account, created) = about(&place, CREATED);
    place.handle(&created).await;
    for _ in 0..3 * 10 {
        place.sim.next_call("CreateCase", NextCall::Throttled);
    }
    assert_eq!(work(&place).await.len(), 10);
    assert_eq!((place.cases(), letters(&place).len()), (0, 1));
    let alerts = place.sim.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].subject, format!("Notifier ams was not told of account {account}"));
    assert!(alerts[0].message.contains("after 10 deliveries"), "{alerts:?}");
    assert!(alerts[0].message.contains("LifeCycle1"), "the event is there to redo it by hand");
}

/// What no repetition mends is not repeated; once it is mended it is redriven.
#[tokio::test(start_paused = true)]
async fn what_is_redriven_is_told() {
    let place = Place { queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    place.sim.set_support_plan(false);
    let handled = work(&place).await;
    assert_eq!((handled.len(), letters(&place).len(), place.sim.alerts().len()), (1, 1, 1));
    assert!(letters(&place)[0].contains("SubscriptionRequiredException"), "{:?}", letters(&place));

    place.sim.set_support_plan(true);
    let host = place.host("operator");
    let queue = host.queue().unwrap();
    assert_eq!(queue.redrive("cmdb").await, Ok(0));
    assert_eq!(queue.redrive("ams").await, Ok(1));
    assert_eq!(letters(&place).len(), 0);
    let handled = work(&place).await;
    assert_eq!(outcome(&handled[0]).1, [ToldOutcome::Told]);
    assert_eq!((place.cases(), place.sim.alerts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_for_nobody_is_kept_and_told_to_people() {
    let place = Place { queue: true, ..Place::new() };
    let (account, created) = about(&place, CREATED);
    let host = place.host("host");
    let notification = QueuedNotification {
        key: NotificationKey::onboard(&account, "gone"),
        notifier: "gone".into(),
        account: Some(account),
        event: Some(created),
        redriven: 0,
    };
    host.queue().unwrap().send(&notification).await.unwrap();
    work(&place).await;
    assert!(letters(&place)[0].contains("no notifier is named `gone`"), "{:?}", letters(&place));
    assert_eq!((place.cases(), place.sim.alerts().len()), (0, 1));
}

const LANDING_ZONE: &str = include_str!("../../../tests/events/update-landing-zone-succeeded.json");

/// What is about no account is told once too, under whichever id it comes.
#[rstest]
#[tokio::test(start_paused = true)]
async fn any_event_can_be_routed(#[values(false, true)] queue: bool) {
    let routes = vec![
        route(&["UpdateLandingZone"], "FAILED", &["ams"]),
        route(&["CreateManagedAccount"], "FAILED", &["ams"]),
        route(&["AccountUpdateFailed"], "FAILED", &["ams"]),
    ];
    let place = Place { queue, routes, ..Place::new() };
    assert_eq!(place.handle(LANDING_ZONE).await.outcome, HandledOutcome::Ignored);
    let failed = LANDING_ZONE.replace("SUCCEEDED", "FAILED");
    let (account, not_created) = about(&place, FAILED);
    let letter = DeadLetter {
        account: account.clone(),
        provisioned_product: ProvisionedProductId::new("pp-1"),
        target: ArtifactId::new("pa-2"),
        lane: "all".into(),
        reason: "A stack named X already exists".into(),
        attempts: 5,
        redriven: 0,
    };
    let given_up = Event::of_given_up(&letter, BEGIN).json;
    for event in [&failed, &failed.replace("\"id\": \"", "\"id\": \"a"), &not_created, &given_up] {
        place.handle(event).await;
        if queue {
            work(&place).await;
        }
    }
    let cases = place.sim.cases();
    let subjects: Vec<&str> = cases.iter().map(|case| case.subject.as_str()).collect();
    let name = format!("Onboard {}", Snapshot::generate(3, 0, 1).accounts[0].name);
    assert_eq!(subjects, ["UpdateLandingZone", "CreateManagedAccount", &name]);
    assert!(cases[0].body.contains("Ref: groundcrew/event/UpdateLandingZone-"), "{cases:?}");
    // Redriven and given up once more, it is another event.
    let again = Event::of_given_up(&DeadLetter { redriven: 1, ..letter }, BEGIN).json;
    assert_ne!(place.handle(&again).await.outcome, HandledOutcome::Ignored);
    assert_eq!(place.sim.alerts(), []);
}

/// An event that nobody's config knows any more is kept and told to people.
#[tokio::test(start_paused = true)]
async fn what_no_route_leads_anywhere_is_kept() {
    let mut place = Place { queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    place.routes = vec![route(&["UpdateLandingZone"], "FAILED", &["ams"])];
    work(&place).await;
    assert!(letters(&place)[0].contains("no route leads account"), "{:?}", letters(&place));
    assert_eq!((place.cases(), place.sim.alerts().len()), (0, 1));
}

fn finds_nothing(_: Timestamp) -> Result<Says, NotifyFailure> {
    Ok(Says::Go)
}

fn finds_something(_: Timestamp) -> Result<Says, NotifyFailure> {
    Ok(Says::Annotate { annotations: vec!["no tag owner".into()] })
}

fn stops(_: Timestamp) -> Result<Says, NotifyFailure> {
    Ok(Says::Stop { reason: "wrong OU".into() })
}

fn holds_for_a_day(now: Timestamp) -> Result<Says, NotifyFailure> {
    let until = BEGIN + Duration::from_secs(24 * 3600);
    match now < until {
        true => Ok(Says::Hold { until, reason: "no owner yet".into() }),
        false => Ok(Says::Go),
    }
}

fn is_down(_: Timestamp) -> Result<Says, NotifyFailure> {
    Err(NotifyFailure {
        kind: NotifyFailureKind::Permanent,
        code: "down".into(),
        message: "the gate is broken".into(),
        effect_possible: false,
        retry_after: None,
    })
}

/// What a gate says counts for those that come after it, whichever message is taken first.
#[rstest]
#[case::nothing(finds_nothing, vec![ToldOutcome::Told, ToldOutcome::Told], 1, "111122223333")]
#[case::something(finds_something, vec![ToldOutcome::Told, ToldOutcome::Told], 1, "no tag owner")]
#[case::stop(stops, vec![ToldOutcome::Told, ToldOutcome::Skipped], 0, "")]
#[tokio::test(start_paused = true)]
async fn gates_are_asked_before_the_others(
    #[case] gate: Finding,
    #[case] expected: Vec<ToldOutcome>,
    #[case] cases: usize,
    #[case] body: &str,
) {
    let place = Place { gate: Some(gate), ..Place::new() };
    let (account, created) = about(&place, CREATED);
    let handled = place.handle(&created).await;
    assert_eq!(outcome(&handled).1, expected, "{handled:?}");
    assert_eq!(place.cases(), cases);
    let body = body.replace("111122223333", account.as_str());
    assert!(place.sim.cases().iter().all(|case| case.body.contains(&body)));

    let place = Place { gate: Some(gate), queue: true, ..Place::new() };
    place.handle(&created).await;
    let handled = work(&place).await;
    assert_eq!(handled.len(), 2, "{handled:?}");
    assert_eq!((place.cases(), letters(&place).len()), (cases, 0));
    assert_eq!(place.sim.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_is_told_later() {
    let place = Place { gate: Some(holds_for_a_day), queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    work(&place).await;
    let took = place.sim.clock().now().duration_since(BEGIN).as_hours();
    assert!((24..26).contains(&took), "{took} h: {:?}", letters(&place));
    assert_eq!((place.cases(), letters(&place).len()), (1, 0));
    assert_eq!(place.sim.alerts(), []);
}

/// Without a queue the next sweep after it tells.
#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_is_found_by_a_sweep() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let place = Place { gate: Some(holds_for_a_day), lookback, ..Place::new() };
    place.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    let (account, created) = about(&place, CREATED);
    let handled = place.handle(&created).await;
    assert_eq!(
        outcome(&handled),
        (HandledOutcome::Ignored, vec![ToldOutcome::Held, ToldOutcome::Held])
    );
    assert!(handled.reason.unwrap().contains("no owner yet"));
    place.handle(SCHEDULED).await;
    assert_eq!(place.cases(), 0);
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    place.handle(SCHEDULED).await;
    let cases = place.sim.cases();
    let told = cases.iter().filter(|case| case.body.contains(account.as_str()));
    assert_eq!(told.count(), 1);
}

/// A gate that can't answer lets nothing through: people hear of each that waits for it.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_gate_in_vain_is_a_dead_letter() {
    let place = Place { gate: Some(is_down), queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    work(&place).await;
    assert_eq!((place.cases(), letters(&place).len()), (0, 2));
    let alerts = place.sim.alerts();
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    assert!(alerts.iter().all(|alert| alert.message.contains("the gate is broken")), "{alerts:?}");
}

/// With a queue a sweep hands over what has no entry, once, and leaves what was given up alone.
#[tokio::test(start_paused = true)]
async fn a_sweep_hands_over_to_the_queue() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let place = Place { lookback, queue: true, ..Place::new() };
    place.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    assert_eq!(place.handle(SCHEDULED).await.outcome, HandledOutcome::Queued);
    assert_eq!(place.cases(), 0);
    place.sim.set_support_plan(false);
    work(&place).await;
    assert_eq!((letters(&place).len(), place.sim.alerts().len()), (3, 3));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(place.handle(SCHEDULED).await.outcome, HandledOutcome::Ignored);

    place.sim.set_support_plan(true);
    assert_eq!(place.host("operator").queue().unwrap().redrive("ams").await, Ok(3));
    work(&place).await;
    assert_eq!((place.cases(), letters(&place).len()), (3, 0));
}

/// What a sweep has handed over is told however long it has waited in the queue.
#[tokio::test(start_paused = true)]
async fn what_a_sweep_has_handed_over_stays_due() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let mut place = Place { lookback, queue: true, ..Place::new() };
    place.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    assert_eq!(place.handle(SCHEDULED).await.outcome, HandledOutcome::Queued);
    // As long ago as the accounts joined, it is over.
    place.lookback = TWO_WEEKS;
    work(&place).await;
    assert_eq!((place.cases(), letters(&place).len()), (3, 0));
    assert_eq!(place.sim.alerts(), []);
}

/// Nothing is lost then, and people know.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_queue_that_refuses_is_told_to_people() {
    let place = Place { queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    place.sim.set_support_plan(false);
    let host = place.host("worker");
    let queue = host.queue().unwrap().clone();
    let delivery = queue.receive(Duration::ZERO).await.unwrap().remove(0).unwrap();
    place.sim.next_call("SendMessage", NextCall::Denied);
    let taken = host.take(queue.as_ref(), &delivery).await;
    assert!(taken.stays);
    assert!(place.sim.alerts()[0].subject.contains("can't be moved"), "{:?}", place.sim.alerts());
    work(&place).await;
    assert_eq!(letters(&place).len(), 1);
}

/// Killed at any await point, and begun again: one case, and the message is gone.
#[tokio::test(start_paused = true)]
async fn a_worker_that_is_killed_anywhere_tells_once() {
    for polls in 0..60 {
        let place = Place { queue: true, ..Place::new() };
        place.handle(&about(&place, CREATED).1).await;
        let _ = kill_after(polls, work(&place)).await;
        work(&place).await;
        assert_eq!((place.cases(), letters(&place).len()), (1, 0), "killed after {polls} polls");
    }
}
