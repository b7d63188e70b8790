//! Notifications that go through their queue.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::onboarding::QueuedNotification;
use groundcrew_core::ports::Clock;
use groundcrew_engine::notifications::{HandledOutcome, ToldOutcome};
use groundcrew_sim::{Fault, Refusal, random_fleet};
use rstest::rstest;

use crate::place::{
    CREATED, Hook, Place, about, kill_after, letters, outcome, redrive, route, work,
};

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
        place.sim.inject_fault("CreateCase", Fault::Refused(Refusal::Throttled));
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
        place.sim.inject_fault("CreateCase", Fault::Refused(Refusal::Throttled));
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
    assert_eq!(redrive(&place, queue, "cmdb").await, Ok(0));
    assert_eq!(redrive(&place, queue, "ams").await, Ok(1));
    assert_eq!(letters(&place).len(), 0);
    let handled = work(&place).await;
    assert_eq!(outcome(&handled[0]).1, [ToldOutcome::Told]);
    assert_eq!((place.cases(), place.sim.alerts().len()), (1, 1));
}

/// Notifications that wait for their turn are hidden for as long as this host lives; once it stops they
/// are there for others at once, and within two minutes after it was killed.
#[rstest]
#[case::it_stops(true, 1)]
#[case::it_is_killed(false, 95)]
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_is_taken_over(#[case] stops: bool, #[case] seconds: u64) {
    let snapshot = random_fleet(30, 0, 1);
    let mut place = Place { queue: true, ..Place::of(snapshot.clone()) };
    // Ten at a time: after 150 s ten are done, ten are being told, and ten have waited all the time.
    place.hook = Arc::new(Hook::slow(Duration::from_secs(100)));
    place.routes = vec![route(&["CreateManagedAccount"], "SUCCEEDED", &["hook"])];
    for account in &snapshot.accounts {
        place.handle(&CREATED.replace("111122223333", &account.id)).await;
    }
    let (host, other) = (place.host("host"), place.host("other"));
    let queue = host.queue().unwrap();
    let mut deliveries = Vec::new();
    while deliveries.len() < 30 {
        deliveries.extend(queue.receive(Duration::from_secs(20)).await.unwrap());
    }
    let stop = tokio::time::sleep(Duration::from_secs(150)).shared();
    let takes = deliveries
        .iter()
        .map(|delivery| host.take_unless(queue.as_ref(), delivery.as_ref().unwrap(), stop.clone()));
    let takes = futures_util::future::join_all(takes);
    let lives = Duration::from_secs(if stops { 151 } else { 149 });
    assert!(tokio::time::timeout(lives, takes).await.is_err(), "ten are being told");
    assert_eq!(place.hook.messages(), 10);
    let others = async || other.queue().unwrap().receive(Duration::ZERO).await.unwrap().len();
    if !stops {
        assert_eq!(others().await, 0);
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!((others().await, others().await), (10, 0));
}

/// Beside a service that fails at once again: what was there is handed over, each once, and what
/// comes meanwhile is left.
#[rstest]
#[case::one(1)]
#[case::more_than_a_batch(23)]
#[tokio::test(start_paused = true)]
async fn a_redrive_beside_a_service_ends(#[case] accounts: usize) {
    let snapshot = random_fleet(accounts, 0, 1);
    let place = Place { queue: true, ..Place::of(snapshot.clone()) };
    place.sim.set_support_plan(false);
    for account in &snapshot.accounts {
        place.handle(&CREATED.replace("111122223333", &account.id)).await;
    }
    work(&place).await;
    assert_eq!(letters(&place).len(), accounts);

    let service = async {
        loop {
            work(&place).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let host = place.host("operator");
    let began = place.sim.clock().now();
    let cleared = tokio::select! {
        biased;
        cleared = host.queue().unwrap().redrive("ams", began) => cleared.unwrap(),
        () = service => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(3600)) => panic!("it does not end"),
    };
    assert_eq!(cleared.taken, accounts);
    work(&place).await;
    assert_eq!(letters(&place).len(), accounts);
}

/// People who redrive again and again without mending the cause are told of the same error once an
/// hour at most, and the service waits longer each time before it tries again.
#[tokio::test(start_paused = true)]
async fn what_fails_again_at_once_is_told_once_an_hour() {
    let place = Place { queue: true, ..Place::new() };
    place.sim.set_support_plan(false);
    place.handle(&about(&place, CREATED).1).await;
    work(&place).await;
    assert_eq!(place.sim.alerts().len(), 1);
    let host = place.host("operator");
    let began = place.sim.clock().now();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(redrive(&place, host.queue().unwrap(), "ams").await, Ok(1));
        work(&place).await;
        assert_eq!(letters(&place).len(), 1);
    }
    let hours = place.sim.clock().now().duration_since(began).as_secs().unsigned_abs() / 3600;
    assert!(hours >= 1, "ten tries within {hours} hours");
    let alerts = place.sim.alerts().len() as u64;
    assert!((2..=hours + 1).contains(&alerts), "{alerts} alerts in {hours} hours");
    // Another error is another matter.
    place.sim.set_support_plan(true);
    place.sim.inject_fault("CreateCase", Fault::Refused(Refusal::Denied));
    assert_eq!(redrive(&place, host.queue().unwrap(), "ams").await, Ok(1));
    work(&place).await;
    assert_eq!(place.sim.alerts().len() as u64, alerts + 1);
}

/// What a redrive has hidden is shown again when it fails, so that it can be repeated.
#[rstest]
#[case::not_handed_over("SendMessage")]
#[case::handed_over_and_not_removed("DeleteMessage")]
#[tokio::test(start_paused = true)]
async fn a_redrive_that_failed_is_repeated_at_once(#[case] operation: &str) {
    let place = Place { queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    place.sim.set_support_plan(false);
    work(&place).await;
    place.sim.set_support_plan(true);
    let host = place.host("operator");
    let queue = host.queue().unwrap();
    place.sim.inject_fault(operation, Fault::Refused(Refusal::Denied));
    let error = redrive(&place, queue, "ams").await.unwrap_err();
    assert_eq!(error.operation, operation);
    assert_eq!(redrive(&place, queue, "ams").await, Ok(1));
    assert_eq!(letters(&place).len(), 0);
    work(&place).await;
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

/// Nothing is lost then, and people know.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_queue_that_refuses_is_told_to_people() {
    let place = Place { queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    place.sim.set_support_plan(false);
    let host = place.host("worker");
    let queue = host.queue().unwrap().clone();
    let delivery = queue.receive(Duration::ZERO).await.unwrap().remove(0).unwrap();
    place.sim.inject_fault("SendMessage", Fault::Refused(Refusal::Denied));
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
