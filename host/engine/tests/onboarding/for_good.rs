//! Notifications that failed for good while the other system may have them: a second message,
//! ticket or build is worse than none, so that only an operator can send them again.

use std::time::Duration;

use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::ports::NotificationLedger;
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome};

use crate::fixture::{
    BEGIN, CREATED, Fixture, SCHEDULED, UPDATED, about, letters, parsed, redrive, route, work,
};

const LANDED: [&str; 2] = ["CreateManagedAccount", "UpdateManagedAccount"];

fn fixture(queue: bool) -> Fixture {
    let routes = vec![route(&LANDED, "SUCCEEDED", &["hook"])];
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    Fixture { routes, queue, lookback, ..Fixture::new() }
}

/// However often the event, a sweep or another event of the account comes.
#[tokio::test(start_paused = true)]
async fn is_not_sent_again_by_events_and_sweeps() {
    let fixture = fixture(false);
    fixture.ledger().began(BEGIN).await.unwrap();
    let (account, created) = about(&fixture, CREATED);
    let first = fixture.handle(&created).await;
    assert_eq!((first.outcome, fixture.hook.messages()), (EventOutcome::Failed, 1), "{first:?}");
    assert_eq!(fixture.sim.alerts().len(), 1);
    let alert = &fixture.sim.alerts()[0].message;
    assert!(
        alert.contains("not sent again by itself") && alert.contains("groundcrew notify"),
        "{alert}"
    );

    let updated = UPDATED.replace("111122223333", account.as_str());
    for event in [created.as_str(), updated.as_str(), created.as_str()] {
        let again = fixture.handle(event).await;
        assert_eq!(
            (again.outcome, again.rule),
            (EventOutcome::Ignored, Some(NoDeliveryReason::FailedForGood))
        );
        assert_eq!(again.notifications[0].outcome, DeliveryOutcome::Skipped);
        let why = again.notifications[0].detail.as_deref().unwrap();
        assert!(why.contains("answers 200, without `/id`"), "{why}");
        fixture.handle(SCHEDULED).await;
    }
    assert_eq!((fixture.hook.messages(), fixture.sim.alerts().len()), (1, 1));

    // An operator sends it again, once.
    let handled = fixture.host("operator").deliver_to(&parsed(&created), "hook").await;
    assert_eq!((handled.outcome, fixture.hook.messages()), (EventOutcome::Failed, 2));
    fixture.handle(&created).await;
    assert_eq!(fixture.hook.messages(), 2);
}

/// There is one dead letter and one alert, whatever events follow; after a redrive it is sent once
/// more.
#[tokio::test(start_paused = true)]
async fn is_in_the_dead_letter_queue_once() {
    let fixture = fixture(true);
    let (account, created) = about(&fixture, CREATED);
    let updated = UPDATED.replace("111122223333", account.as_str());
    for event in [created.as_str(), updated.as_str(), created.as_str()] {
        fixture.handle(event).await;
        work(&fixture).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    assert_eq!(
        (fixture.hook.messages(), letters(&fixture).len(), fixture.sim.alerts().len()),
        (1, 1, 1)
    );

    let host = fixture.host("operator");
    assert_eq!(redrive(&fixture, host.queue().unwrap(), "hook").await, Ok(1));
    work(&fixture).await;
    assert_eq!(
        (fixture.hook.messages(), letters(&fixture).len(), fixture.sim.alerts().len()),
        (2, 1, 2)
    );
    fixture.handle(&created).await;
    work(&fixture).await;
    assert_eq!(
        (fixture.hook.messages(), letters(&fixture).len(), fixture.sim.alerts().len()),
        (2, 1, 2)
    );
}

/// If a host dies before the alert, the next host publishes it and sends nothing to the notifier.
#[tokio::test(start_paused = true)]
async fn is_told_to_people_although_the_host_dies() {
    for polls in 0..60 {
        let fixture = fixture(true);
        let (_, created) = about(&fixture, CREATED);
        fixture.handle(&created).await;
        let host = fixture.host("dies");
        let queue = host.queue().unwrap().clone();
        let message = queue.receive(Duration::from_secs(20)).await.unwrap().remove(0).unwrap();
        crate::fixture::kill_after(polls, host.process_message(queue.as_ref(), &message)).await;
        work(&fixture).await;
        let sent = fixture.hook.messages();
        // It died between the delivery and its record: no host can know whether it was sent.
        assert!((1..=2).contains(&sent), "{polls}: {sent} messages");
        assert!(!letters(&fixture).is_empty() && !fixture.sim.alerts().is_empty(), "{polls}");
    }
}
