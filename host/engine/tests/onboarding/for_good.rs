//! What failed for good while the other system may have it: a second message, ticket or build is worse
//! than none, so that nobody but a person has it sent again.

use std::time::Duration;

use groundcrew_core::ports::NotificationLedger;
use groundcrew_core::rule::Rule;
use groundcrew_engine::notifications::{HandledOutcome, ToldOutcome};

use crate::place::{
    BEGIN, CREATED, Place, SCHEDULED, UPDATED, about, letters, parsed, redrive, route, work,
};

const LANDED: [&str; 2] = ["CreateManagedAccount", "UpdateManagedAccount"];

fn place(queue: bool) -> Place {
    let routes = vec![route(&LANDED, "SUCCEEDED", &["hook"])];
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    Place { routes, queue, lookback, ..Place::new() }
}

/// However often the event comes, a sweep comes by, or another event of the account comes.
#[tokio::test(start_paused = true)]
async fn is_not_sent_again_by_events_and_sweeps() {
    let place = place(false);
    place.ledger().began(BEGIN).await.unwrap();
    let (account, created) = about(&place, CREATED);
    let first = place.handle(&created).await;
    assert_eq!((first.outcome, place.hook.messages()), (HandledOutcome::Failed, 1), "{first:?}");
    assert_eq!(place.sim.alerts().len(), 1);
    let alert = &place.sim.alerts()[0].message;
    assert!(
        alert.contains("not sent again by itself") && alert.contains("groundcrew notify"),
        "{alert}"
    );

    let updated = UPDATED.replace("111122223333", account.as_str());
    for event in [created.as_str(), updated.as_str(), created.as_str()] {
        let again = place.handle(event).await;
        assert_eq!(
            (again.outcome, again.rule),
            (HandledOutcome::Ignored, Some(Rule::FailedForGood))
        );
        assert_eq!(again.notifications[0].outcome, ToldOutcome::Skipped);
        let why = again.notifications[0].detail.as_deref().unwrap();
        assert!(why.contains("answers 200, without `/id`"), "{why}");
        place.handle(SCHEDULED).await;
    }
    assert_eq!((place.hook.messages(), place.sim.alerts().len()), (1, 1));

    // A person has it sent again, once.
    let told = place.host("operator").tell_only(&parsed(&created), "hook").await;
    assert_eq!((told.outcome, place.hook.messages()), (HandledOutcome::Failed, 2));
    place.handle(&created).await;
    assert_eq!(place.hook.messages(), 2);
}

/// Its dead letter is there once, and its alert, whatever events follow; redriven it is sent once more.
#[tokio::test(start_paused = true)]
async fn is_in_the_dead_letter_queue_once() {
    let place = place(true);
    let (account, created) = about(&place, CREATED);
    let updated = UPDATED.replace("111122223333", account.as_str());
    for event in [created.as_str(), updated.as_str(), created.as_str()] {
        place.handle(event).await;
        work(&place).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    assert_eq!((place.hook.messages(), letters(&place).len(), place.sim.alerts().len()), (1, 1, 1));

    let host = place.host("operator");
    assert_eq!(redrive(&place, host.queue().unwrap(), "hook").await, Ok(1));
    work(&place).await;
    assert_eq!((place.hook.messages(), letters(&place).len(), place.sim.alerts().len()), (2, 1, 2));
    place.handle(&created).await;
    work(&place).await;
    assert_eq!((place.hook.messages(), letters(&place).len(), place.sim.alerts().len()), (2, 1, 2));
}

/// A host that dies before people know leaves it to the next, which tells them and sends nothing.
#[tokio::test(start_paused = true)]
async fn is_told_to_people_although_the_host_dies() {
    for polls in 0..60 {
        let place = place(true);
        let (_, created) = about(&place, CREATED);
        place.handle(&created).await;
        let host = place.host("dies");
        let queue = host.queue().unwrap().clone();
        let delivery = queue.receive(Duration::from_secs(20)).await.unwrap().remove(0).unwrap();
        crate::place::kill_after(polls, host.take(queue.as_ref(), &delivery)).await;
        work(&place).await;
        let sent = place.hook.messages();
        // It died between sending and writing that down: nobody can know.
        assert!((1..=2).contains(&sent), "{polls}: {sent} messages");
        assert!(!letters(&place).is_empty() && !place.sim.alerts().is_empty(), "{polls}");
    }
}
