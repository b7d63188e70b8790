//! Notifications that go through their queue.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::onboarding::QueuedNotification;
use groundcrew_core::ports::Clock;
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome};
use groundcrew_sim::{Fault, Rejection, random_fleet};
use rstest::rstest;

use crate::fixture::{
    CREATED, Fixture, UnclearWebhook, about, kill_after, letters, outcome, redrive, route, work,
};

#[tokio::test(start_paused = true)]
async fn with_a_queue_it_hands_over() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    let (account, created) = about(&fixture, CREATED);
    let handled = fixture.handle(&created).await;
    assert_eq!(outcome(&handled), (EventOutcome::Queued, vec![DeliveryOutcome::Queued]));
    // Within the deduplication window SQS drops the repeat.
    fixture.handle(&created).await;
    let messages = fixture.sim.messages(&fixture.sim.notifications_url());
    assert_eq!((messages.len(), fixture.cases()), (1, 0));
    assert!(messages[0].contains(&format!("onboard/{account}/ams")), "{messages:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_told_once() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    let (_, created) = about(&fixture, CREATED);
    for event in [created.clone(), created.replace("999cccaa", "000cccaa")] {
        assert_eq!(fixture.handle(&event).await.outcome, EventOutcome::Queued);
    }
    let handled = work(&fixture).await;
    let outcomes: Vec<_> = handled.iter().flat_map(|one| outcome(one).1).collect();
    assert_eq!(outcomes, [DeliveryOutcome::Delivered, DeliveryOutcome::AlreadyDelivered]);
    assert_eq!((fixture.cases(), letters(&fixture).len()), (1, 0));
    assert_eq!(fixture.sim.alerts(), []);
}

/// Each delivery tries three times; the waits between deliveries grow.
#[rstest]
#[case::twice(2, 30 + 60)]
#[case::nine_times(9, 30 + 60 + 120 + 240 + 480 + 960 + 1920 + 3600 + 3600)]
#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_is_told_later(#[case] deliveries: usize, #[case] waits: u64) {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    for _ in 0..3 * deliveries {
        fixture.sim.inject_fault("CreateCase", Fault::Rejected(Rejection::Throttled));
    }
    let before = fixture.sim.clock().now();
    let handled = work(&fixture).await;
    assert_eq!(handled.len(), deliveries + 1);
    let took = fixture.sim.clock().now().duration_since(before).as_secs().unsigned_abs();
    assert!(took >= waits && took < waits + 60 * deliveries as u64, "{took} s");
    assert_eq!((fixture.cases(), letters(&fixture).len()), (1, 0));
    assert_eq!(fixture.sim.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_delivery_it_is_a_dead_letter_and_an_alert() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    let (account, created) = about(&fixture, CREATED);
    fixture.handle(&created).await;
    for _ in 0..3 * 10 {
        fixture.sim.inject_fault("CreateCase", Fault::Rejected(Rejection::Throttled));
    }
    assert_eq!(work(&fixture).await.len(), 10);
    assert_eq!((fixture.cases(), letters(&fixture).len()), (0, 1));
    let alerts = fixture.sim.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].subject, format!("Notifier ams failed for account {account}"));
    assert!(alerts[0].message.contains("after 10 deliveries"), "{alerts:?}");
    assert!(alerts[0].message.contains("LifeCycle1"), "the event is there to redo it by hand");
}

/// A failure that no retry can fix is not retried; once the cause is fixed, the notification is
/// redriven.
#[tokio::test(start_paused = true)]
async fn what_is_redriven_is_told() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    fixture.sim.set_support_plan(false);
    let handled = work(&fixture).await;
    assert_eq!((handled.len(), letters(&fixture).len(), fixture.sim.alerts().len()), (1, 1, 1));
    assert!(
        letters(&fixture)[0].contains("SubscriptionRequiredException"),
        "{:?}",
        letters(&fixture)
    );

    fixture.sim.set_support_plan(true);
    let host = fixture.host("operator");
    let queue = host.queue().unwrap();
    assert_eq!(redrive(&fixture, queue, "cmdb").await, Ok(0));
    assert_eq!(redrive(&fixture, queue, "ams").await, Ok(1));
    assert_eq!(letters(&fixture).len(), 0);
    let handled = work(&fixture).await;
    assert_eq!(outcome(&handled[0]).1, [DeliveryOutcome::Delivered]);
    assert_eq!((fixture.cases(), fixture.sim.alerts().len()), (1, 1));
}

/// Notifications that wait for their turn are hidden while this host lives. After it stops, other
/// hosts can receive them at once; after it was killed, within two minutes.
#[rstest]
#[case::it_stops(true, 1)]
#[case::it_is_killed(false, 95)]
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_is_taken_over(#[case] stops: bool, #[case] seconds: u64) {
    let snapshot = random_fleet(30, 0, 1);
    let mut fixture = Fixture { queue: true, ..Fixture::of(snapshot.clone()) };
    // Ten at a time: after 150 s ten are delivered, ten are being delivered, and ten have waited
    // all the time.
    fixture.hook = Arc::new(UnclearWebhook::slow(Duration::from_secs(100)));
    fixture.routes = vec![route(&["CreateManagedAccount"], "SUCCEEDED", &["hook"])];
    for account in &snapshot.accounts {
        fixture.handle(&CREATED.replace("111122223333", &account.id)).await;
    }
    let (host, other) = (fixture.host("host"), fixture.host("other"));
    let queue = host.queue().unwrap();
    let mut deliveries = Vec::new();
    while deliveries.len() < 30 {
        deliveries.extend(queue.receive(Duration::from_secs(20)).await.unwrap());
    }
    let stop = tokio::time::sleep(Duration::from_secs(150)).shared();
    let takes = deliveries.iter().map(|message| {
        host.process_message_unless(queue.as_ref(), message.as_ref().unwrap(), stop.clone())
    });
    let takes = futures_util::future::join_all(takes);
    let lives = Duration::from_secs(if stops { 151 } else { 149 });
    assert!(tokio::time::timeout(lives, takes).await.is_err(), "ten are being told");
    assert_eq!(fixture.hook.messages(), 10);
    let others = async || other.queue().unwrap().receive(Duration::ZERO).await.unwrap().len();
    if !stops {
        assert_eq!(others().await, 0);
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!((others().await, others().await), (10, 0));
}

/// Beside a service whose deliveries fail again at once: each dead letter that was there is moved
/// once, and dead letters that come meanwhile stay.
#[rstest]
#[case::one(1)]
#[case::more_than_a_batch(23)]
#[tokio::test(start_paused = true)]
async fn a_redrive_beside_a_service_ends(#[case] accounts: usize) {
    let snapshot = random_fleet(accounts, 0, 1);
    let fixture = Fixture { queue: true, ..Fixture::of(snapshot.clone()) };
    fixture.sim.set_support_plan(false);
    for account in &snapshot.accounts {
        fixture.handle(&CREATED.replace("111122223333", &account.id)).await;
    }
    work(&fixture).await;
    assert_eq!(letters(&fixture).len(), accounts);

    let service = async {
        loop {
            work(&fixture).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let host = fixture.host("operator");
    let began = fixture.sim.clock().now();
    let cleared = tokio::select! {
        biased;
        cleared = host.queue().unwrap().redrive("ams", began) => cleared.unwrap(),
        () = service => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(3600)) => panic!("it does not end"),
    };
    assert_eq!(cleared.removed, accounts);
    work(&fixture).await;
    assert_eq!(letters(&fixture).len(), accounts);
}

/// If operators redrive again and again without fixing the cause, the same error causes an alert
/// once an hour at most, and the service waits longer each time before the next try.
#[tokio::test(start_paused = true)]
async fn what_fails_again_at_once_is_told_once_an_hour() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    fixture.sim.set_support_plan(false);
    fixture.handle(&about(&fixture, CREATED).1).await;
    work(&fixture).await;
    assert_eq!(fixture.sim.alerts().len(), 1);
    let host = fixture.host("operator");
    let began = fixture.sim.clock().now();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(redrive(&fixture, host.queue().unwrap(), "ams").await, Ok(1));
        work(&fixture).await;
        assert_eq!(letters(&fixture).len(), 1);
    }
    let hours = fixture.sim.clock().now().duration_since(began).as_secs().unsigned_abs() / 3600;
    assert!(hours >= 1, "ten tries within {hours} hours");
    let alerts = fixture.sim.alerts().len() as u64;
    assert!((2..=hours + 1).contains(&alerts), "{alerts} alerts in {hours} hours");
    // Another error has an alert of its own.
    fixture.sim.set_support_plan(true);
    fixture.sim.inject_fault("CreateCase", Fault::Rejected(Rejection::Denied));
    assert_eq!(redrive(&fixture, host.queue().unwrap(), "ams").await, Ok(1));
    work(&fixture).await;
    assert_eq!(fixture.sim.alerts().len() as u64, alerts + 1);
}

/// When a redrive fails, the messages that it has hidden become visible again, so that it can be
/// repeated.
#[rstest]
#[case::not_handed_over("SendMessage")]
#[case::handed_over_and_not_removed("DeleteMessage")]
#[tokio::test(start_paused = true)]
async fn a_redrive_that_failed_is_repeated_at_once(#[case] operation: &str) {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    fixture.sim.set_support_plan(false);
    work(&fixture).await;
    fixture.sim.set_support_plan(true);
    let host = fixture.host("operator");
    let queue = host.queue().unwrap();
    fixture.sim.inject_fault(operation, Fault::Rejected(Rejection::Denied));
    let error = redrive(&fixture, queue, "ams").await.unwrap_err();
    assert_eq!(error.operation, operation);
    assert_eq!(redrive(&fixture, queue, "ams").await, Ok(1));
    assert_eq!(letters(&fixture).len(), 0);
    work(&fixture).await;
    assert_eq!((fixture.cases(), fixture.sim.alerts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_for_nobody_is_kept_and_told_to_people() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    let (account, created) = about(&fixture, CREATED);
    let host = fixture.host("host");
    let notification = QueuedNotification {
        key: NotificationKey::for_onboarding(&account, "gone"),
        notifier: "gone".into(),
        account: Some(account),
        event: Some(created),
        redriven: 0,
    };
    host.queue().unwrap().send(&notification).await.unwrap();
    work(&fixture).await;
    assert!(
        letters(&fixture)[0].contains("no notifier is named `gone`"),
        "{:?}",
        letters(&fixture)
    );
    assert_eq!((fixture.cases(), fixture.sim.alerts().len()), (0, 1));
}

/// An event that no route matches any more is kept, and causes an alert.
#[tokio::test(start_paused = true)]
async fn what_no_route_leads_anywhere_is_kept() {
    let mut fixture = Fixture { queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    fixture.routes = vec![route(&["UpdateLandingZone"], "FAILED", &["ams"])];
    work(&fixture).await;
    assert!(letters(&fixture)[0].contains("no route leads account"), "{:?}", letters(&fixture));
    assert_eq!((fixture.cases(), fixture.sim.alerts().len()), (0, 1));
}

/// Nothing is lost then, and an alert is published.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_queue_that_refuses_is_told_to_people() {
    let fixture = Fixture { queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    fixture.sim.set_support_plan(false);
    let host = fixture.host("worker");
    let queue = host.queue().unwrap().clone();
    let message = queue.receive(Duration::ZERO).await.unwrap().remove(0).unwrap();
    fixture.sim.inject_fault("SendMessage", Fault::Rejected(Rejection::Denied));
    let taken = host.process_message(queue.as_ref(), &message).await;
    assert!(taken.still_queued);
    assert!(
        fixture.sim.alerts()[0].subject.contains("can't be moved"),
        "{:?}",
        fixture.sim.alerts()
    );
    work(&fixture).await;
    assert_eq!(letters(&fixture).len(), 1);
}

/// Killed at any await point and started again: there is one case, and the message is deleted.
#[tokio::test(start_paused = true)]
async fn a_worker_that_is_killed_anywhere_tells_once() {
    for polls in 0..60 {
        let fixture = Fixture { queue: true, ..Fixture::new() };
        fixture.handle(&about(&fixture, CREATED).1).await;
        let _ = kill_after(polls, work(&fixture)).await;
        work(&fixture).await;
        assert_eq!(
            (fixture.cases(), letters(&fixture).len()),
            (1, 0),
            "killed after {polls} polls"
        );
    }
}
