//! Each notification of an event is delivered once, whatever is killed, lost or done twice.

use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};
use groundcrew_core::decision::{Candidate, PolicyDecision};
use groundcrew_core::event::Event;
use groundcrew_core::ports::{Clock, DeadLetter, PolicyFailure};
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome};
use groundcrew_sim::{Fault, Rejection, random_fleet};
use rstest::rstest;

use crate::fixture::{
    BEGIN, CREATED, FAILED, Fixture, PolicyFn, UPDATED, about, kill_after, outcome, parsed, route,
    work,
};

#[tokio::test(start_paused = true)]
async fn a_created_account_opens_one_case_whatever_comes_after() {
    let fixture = Fixture::new();
    let (account, created) = about(&fixture, CREATED);
    let handled = fixture.handle(&created).await;
    assert_eq!(outcome(&handled), (EventOutcome::Notified, vec![DeliveryOutcome::Delivered]));
    let case = &fixture.sim.cases()[0];
    assert_eq!(handled.notifications[0].reference.as_deref(), Some(case.id.as_str()));
    assert!(case.body.ends_with(&format!("Ref: groundcrew/onboard/{account}/ams")), "{case:?}");

    let again = created.replace("999cccaa", "000cccaa");
    let updated = UPDATED.replace("111122223333", account.as_str());
    for event in [&created, &again, &updated] {
        let handled = fixture.handle(event).await;
        assert_eq!(
            outcome(&handled),
            (EventOutcome::Ignored, vec![DeliveryOutcome::AlreadyDelivered])
        );
        assert_eq!(handled.notifications[0].reference.as_deref(), Some(case.id.as_str()));
    }
    assert_eq!(fixture.cases(), 1);
    assert_eq!(fixture.sim.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_can_not_be_looked_up_is_told_as_the_event_says() {
    let fixture = Fixture::new();
    let handled = fixture.handle(CREATED).await;
    assert_eq!(handled.outcome, EventOutcome::Notified);
    assert_eq!(fixture.sim.cases()[0].subject, "Onboard LifeCycle1");
}

#[rstest]
#[case::failed(FAILED.to_owned(), EventOutcome::Ignored, 0)]
#[case::not_available(CREATED.replace("111122223333", "Not Available"), EventOutcome::Failed, 1)]
#[case::no_state(CREATED.replace("\"state\"", "\"status\""), EventOutcome::Failed, 1)]
#[case::no_account(CREATED.replace("accountId", "id"), EventOutcome::Failed, 1)]
#[case::other(CREATED.replace("CreateManagedAccount", "EnableGuardrail"), EventOutcome::Ignored, 0)]
#[case::not_json("{".to_owned(), EventOutcome::Failed, 1)]
#[case::updated_unknown(UPDATED.to_owned(), EventOutcome::Failed, 1)]
#[tokio::test(start_paused = true)]
async fn what_is_no_account_that_landed_opens_no_case(
    #[case] event: String,
    #[case] expected: EventOutcome,
    #[case] alerts: usize,
) {
    let fixture = Fixture::new();
    let handled = fixture.handle(&event).await;
    assert_eq!(handled.outcome, expected, "{handled:?}");
    assert!(handled.reason.is_some() || !handled.notifications.is_empty());
    // Lambda retries: one alert is enough.
    fixture.handle(&event).await;
    let published = fixture.sim.alerts();
    assert_eq!((fixture.cases(), published.len()), (0, alerts), "{published:?}");
    for alert in published {
        assert!(alert.subject.len() < 100 && !alert.subject.contains('\n'), "{alert:?}");
        assert!(alert.message.contains(event.trim()), "{alert:?}");
    }
}

/// The host is killed at every await point, and started again.
#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_loses_nothing_and_opens_no_second_case() {
    let mut points = 0;
    loop {
        let fixture = Fixture::new();
        let (_, created) = about(&fixture, CREATED);
        let host = fixture.host("first");
        let killed = kill_after(points, host.handle(&parsed(&created), None)).await.is_none();
        drop(host);
        if !killed {
            assert_eq!(fixture.cases(), 1);
            break;
        }
        let handled = fixture.host("second").handle(&parsed(&created), None).await;
        assert_ne!(handled.outcome, EventOutcome::Failed, "killed at {points}: {handled:?}");
        assert_eq!(fixture.cases(), 1, "killed at {points}");
        points += 1;
    }
    assert!(points > 10, "only {points} points to be killed at");
}

/// Each call with an effect takes effect, and its response is lost.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lost_reply_opens_no_second_case(
    #[values("CreateCase", "PutItem", "TransactWriteItems", "DescribeCases", "GetItem")]
    operation: &str,
    #[values(1, 2)] times: usize,
    #[values(0, 3, 60)] delay: u64,
) {
    let fixture = Fixture::new();
    fixture.sim.set_case_delay(Duration::from_secs(delay));
    let (_, created) = about(&fixture, CREATED);
    (0..times).for_each(|_| fixture.sim.inject_fault(operation, Fault::ResponseLost));
    // Until it is delivered: Lambda and operators retry, a minute later.
    for _ in 0..4 {
        fixture.handle(&created).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let last = fixture.handle(&created).await;
    assert_eq!(outcome(&last), (EventOutcome::Ignored, vec![DeliveryOutcome::AlreadyDelivered]));
    // A case that AWS does not list yet can't be found: the only remedy is to wait before the next
    // attempt, as long as Lambda does.
    let expected = if operation == "CreateCase" && delay == 60 { 1..=1 + times } else { 1..=1 };
    assert!(expected.contains(&fixture.cases()), "{} cases", fixture.cases());
}

#[tokio::test(start_paused = true)]
async fn two_hosts_at_once_open_one_case() {
    let fixture = Fixture::new();
    let event = parsed(&about(&fixture, CREATED).1);
    let (first, second) = (fixture.host("first"), fixture.host("second"));
    let (a, b) = tokio::join!(first.handle(&event, None), second.handle(&event, None));
    assert_eq!(fixture.cases(), 1);
    let outcomes = [a.outcome, b.outcome];
    assert!(outcomes.contains(&EventOutcome::Notified), "{outcomes:?}");
    assert!(outcomes.contains(&EventOutcome::Ignored), "{outcomes:?}");
    assert_eq!(a.notifications[0].reference, b.notifications[0].reference);
}

/// The second host has less time than the first host's claim lasts.
#[tokio::test(start_paused = true)]
async fn a_host_that_can_not_wait_says_so_and_opens_no_case() {
    let fixture = Fixture::new();
    let (account, created) = about(&fixture, CREATED);
    let event = parsed(&created);
    fixture.sim.inject_fault("DescribeCases", Fault::Hung { takes_effect: false });
    let (first, second) = (fixture.host("first"), fixture.host("second"));
    let soon = fixture.sim.clock().now() + Duration::from_secs(5);
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.handle(&event, Some(soon)).await
    };
    let (a, b) = tokio::join!(first.handle(&event, None), late);
    assert_eq!(a.outcome, EventOutcome::Notified, "{a:?}");
    assert_eq!(b.outcome, EventOutcome::Failed);
    let detail = b.notifications[0].detail.as_deref().unwrap();
    assert!(detail.starts_with("another host delivers it"), "{detail}");
    assert_eq!(fixture.cases(), 1);
    assert!(fixture.sim.alerts()[0].subject.contains(account.as_str()));
}

#[tokio::test(start_paused = true)]
async fn without_a_support_plan_it_fails_once_and_says_why() {
    let fixture = Fixture::new();
    fixture.sim.set_support_plan(false);
    let (_, created) = about(&fixture, CREATED);
    let failed = fixture.handle(&created).await;
    assert_eq!(outcome(&failed), (EventOutcome::Failed, vec![DeliveryOutcome::Failed]));
    let alert = &fixture.sim.alerts()[0];
    assert!(alert.message.contains("SubscriptionRequiredException"), "{alert:?}");
    fixture.sim.set_support_plan(true);
    assert_eq!(fixture.handle(&created).await.outcome, EventOutcome::Notified);
    assert_eq!(fixture.cases(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_case_is_tried_again_at_once() {
    let fixture = Fixture::new();
    let (_, created) = about(&fixture, CREATED);
    (0..2).for_each(|_| {
        fixture.sim.inject_fault("CreateCase", Fault::Rejected(Rejection::Throttled))
    });
    assert_eq!(fixture.handle(&created).await.outcome, EventOutcome::Notified);
    assert_eq!((fixture.cases(), fixture.sim.alerts().len()), (1, 0));
}

fn skips(_: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
    Ok(PolicyDecision::Skip("sandbox".into()))
}

fn fails(_: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
    Err(PolicyFailure { code: "trap".into(), message: "trapped".into(), transient: false })
}

#[rstest]
#[case::skips(skips, EventOutcome::Ignored, "policy `native`: sandbox")]
#[case::fails(fails, EventOutcome::Failed, "trapped")]
#[tokio::test(start_paused = true)]
async fn policies_are_asked(
    #[case] policy: PolicyFn,
    #[case] expected: EventOutcome,
    #[case] detail: &str,
) {
    let fixture = Fixture { policy: Some(policy), ..Fixture::new() };
    let (_, created) = about(&fixture, CREATED);
    let handled = fixture.handle(&created).await;
    assert_eq!(handled.outcome, expected);
    assert_eq!(handled.notifications[0].detail.as_deref(), Some(detail));
    assert_eq!(fixture.cases(), 0);
}

/// A fleet update sends this event for every account.
#[tokio::test(start_paused = true)]
async fn an_update_of_an_account_that_joined_long_ago_opens_no_case() {
    let fixture = Fixture::new();
    let (_, updated) = about(&fixture, UPDATED);
    let handled = fixture.handle(&updated).await;
    assert_eq!(outcome(&handled), (EventOutcome::Ignored, vec![DeliveryOutcome::Suppressed]));
    assert_eq!(fixture.cases(), 0);
}

const LANDING_ZONE: &str =
    include_str!("../../../../tests/events/update-landing-zone-succeeded.json");

/// A dead letter of an account from the updates.
fn letter(account: &AccountId) -> DeadLetter {
    DeadLetter {
        account: account.clone(),
        provisioned_product: ProvisionedProductId::new("pp-1"),
        target: ArtifactId::new("pa-2"),
        lane: "all".into(),
        reason: "A stack named X already exists".into(),
        attempts: 5,
        redriven: 0,
    }
}

fn given_up() -> String {
    Event::for_dead_letter(&letter(&"111122223333".parse().unwrap()), BEGIN).json
}

/// An event about no account is delivered once too, whatever its id.
#[rstest]
#[tokio::test(start_paused = true)]
async fn any_event_can_be_routed(#[values(false, true)] queue: bool) {
    let routes = vec![
        route(&["UpdateLandingZone"], "FAILED", &["ams"]),
        route(&["CreateManagedAccount"], "FAILED", &["ams"]),
        route(&["AccountUpdateFailed"], "FAILED", &["ams"]),
    ];
    let fixture = Fixture { queue, routes, ..Fixture::new() };
    assert_eq!(fixture.handle(LANDING_ZONE).await.outcome, EventOutcome::Ignored);
    let failed = LANDING_ZONE.replace("SUCCEEDED", "FAILED");
    let (account, not_created) = about(&fixture, FAILED);
    let letter = letter(&account);
    let given_up = Event::for_dead_letter(&letter, BEGIN).json;
    for event in [&failed, &failed.replace("\"id\": \"", "\"id\": \"a"), &not_created, &given_up] {
        fixture.handle(event).await;
        if queue {
            work(&fixture).await;
        }
    }
    let cases = fixture.sim.cases();
    let subjects: Vec<&str> = cases.iter().map(|case| case.subject.as_str()).collect();
    let name = format!("Onboard {}", random_fleet(3, 0, 1).accounts[0].name);
    assert_eq!(subjects, ["UpdateLandingZone", "CreateManagedAccount", &name]);
    assert!(cases[0].body.contains("Ref: groundcrew/event/UpdateLandingZone-"), "{cases:?}");
    // After a redrive and another dead letter it is another event.
    let again = Event::for_dead_letter(&DeadLetter { redriven: 1, ..letter }, BEGIN).json;
    assert_ne!(fixture.handle(&again).await.outcome, EventOutcome::Ignored);
    assert_eq!(fixture.sim.alerts(), []);
}

/// The alert says exactly what will happen.
#[rstest]
#[case::landed(CREATED.to_owned(), "and by the next sweep.")]
#[case::another(LANDING_ZONE.to_owned(), "when UpdateLandingZone is delivered again.")]
#[case::its_own(
    given_up(),
    "EVENT.json:\n\n  groundcrew notify --notifier ams --event EVENT.json --config my.toml\n"
)]
#[tokio::test(start_paused = true)]
async fn an_alert_says_what_comes_next(#[case] event: String, #[case] expected: &str) {
    let routes = vec![
        route(&["CreateManagedAccount", "UpdateLandingZone"], "SUCCEEDED", &["ams"]),
        route(&["AccountUpdateFailed"], "FAILED", &["ams"]),
    ];
    let fixture = Fixture { routes, ..Fixture::new() };
    fixture.sim.set_support_plan(false);
    assert_eq!(fixture.handle(&event).await.outcome, EventOutcome::Failed);
    let [alert] = fixture.sim.alerts().try_into().unwrap();
    assert!(alert.message.contains(expected), "{}", alert.message);
    assert_eq!(alert.message.contains("sweep"), expected.contains("sweep"), "{}", alert.message);
}
