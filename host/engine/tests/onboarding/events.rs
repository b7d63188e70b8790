//! What is told of an event, once, whatever is killed, lost or done twice.

use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};
use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::event::Event;
use groundcrew_core::ports::{Clock, DeadLetter, PolicyFailure};
use groundcrew_engine::notifications::{HandledOutcome, ToldOutcome};
use groundcrew_sim::{Fault, Refusal, random_fleet};
use rstest::rstest;

use crate::place::{
    Answer, BEGIN, CREATED, FAILED, Place, UPDATED, about, kill_after, outcome, parsed, route, work,
};

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
        let killed = kill_after(points, host.handle(&parsed(&created), None)).await.is_none();
        drop(host);
        if !killed {
            assert_eq!(place.cases(), 1);
            break;
        }
        let told = place.host("second").handle(&parsed(&created), None).await;
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
    (0..times).for_each(|_| place.sim.inject_fault(operation, Fault::ReplyDropped));
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
    let event = parsed(&about(&place, CREATED).1);
    let (first, second) = (place.host("first"), place.host("second"));
    let (a, b) = tokio::join!(first.handle(&event, None), second.handle(&event, None));
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
    let event = parsed(&created);
    place.sim.inject_fault("DescribeCases", Fault::Hung { effect: false });
    let (first, second) = (place.host("first"), place.host("second"));
    let soon = place.sim.clock().now() + Duration::from_secs(5);
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.handle(&event, Some(soon)).await
    };
    let (a, b) = tokio::join!(first.handle(&event, None), late);
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
    (0..2).for_each(|_| place.sim.inject_fault("CreateCase", Fault::Refused(Refusal::Throttled)));
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

/// A fleet update sends this event for every account.
#[tokio::test(start_paused = true)]
async fn an_update_of_an_account_that_joined_long_ago_opens_no_case() {
    let place = Place::new();
    let (_, updated) = about(&place, UPDATED);
    let told = place.handle(&updated).await;
    assert_eq!(outcome(&told), (HandledOutcome::Ignored, vec![ToldOutcome::Recorded]));
    assert_eq!(place.cases(), 0);
}

const LANDING_ZONE: &str =
    include_str!("../../../../tests/events/update-landing-zone-succeeded.json");

/// Of an account that the update engine has given up.
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
    Event::of_given_up(&letter(&"111122223333".parse().unwrap()), BEGIN).json
}

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
    let letter = letter(&account);
    let given_up = Event::of_given_up(&letter, BEGIN).json;
    for event in [&failed, &failed.replace("\"id\": \"", "\"id\": \"a"), &not_created, &given_up] {
        place.handle(event).await;
        if queue {
            work(&place).await;
        }
    }
    let cases = place.sim.cases();
    let subjects: Vec<&str> = cases.iter().map(|case| case.subject.as_str()).collect();
    let name = format!("Onboard {}", random_fleet(3, 0, 1).accounts[0].name);
    assert_eq!(subjects, ["UpdateLandingZone", "CreateManagedAccount", &name]);
    assert!(cases[0].body.contains("Ref: groundcrew/event/UpdateLandingZone-"), "{cases:?}");
    // Redriven and given up once more, it is another event.
    let again = Event::of_given_up(&DeadLetter { redriven: 1, ..letter }, BEGIN).json;
    assert_ne!(place.handle(&again).await.outcome, HandledOutcome::Ignored);
    assert_eq!(place.sim.alerts(), []);
}

/// The alert promises what will happen, and nothing else.
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
    let place = Place { routes, ..Place::new() };
    place.sim.set_support_plan(false);
    assert_eq!(place.handle(&event).await.outcome, HandledOutcome::Failed);
    let [alert] = place.sim.alerts().try_into().unwrap();
    assert!(alert.message.contains(expected), "{}", alert.message);
    assert_eq!(alert.message.contains("sweep"), expected.contains("sweep"), "{}", alert.message);
}
