//! Accounts whose event was lost.

use std::time::Duration;

use groundcrew_core::notification::{NotificationKey, NotificationState};
use groundcrew_core::ports::NotificationLedger;
use groundcrew_core::rule::Rule;
use groundcrew_engine::notifications::{HandledOutcome, ToldOutcome};
use rstest::rstest;

use crate::place::{
    BEGIN, CREATED, Place, SCHEDULED, TWO_WEEKS, UPDATED, about, letters, outcome, redrive, work,
};

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
    assert_eq!(redrive(&place, place.host("operator").queue().unwrap(), "ams").await, Ok(3));
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

/// An account that joined before the ledger began and was enrolled since is due by its event. The
/// sweep repeats what failed, as the alert about it says, and begins nothing with the others.
#[tokio::test(start_paused = true)]
async fn a_sweep_repeats_what_an_event_began() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let place = Place { lookback, ..Place::new() };
    place.sim.set_support_plan(false);
    let (account, created) = about(&place, CREATED);
    let failed = place.handle(&created).await;
    assert_eq!(outcome(&failed), (HandledOutcome::Failed, vec![ToldOutcome::Failed]));
    place.sim.set_support_plan(true);
    let swept = place.handle(SCHEDULED).await;
    let mut outcomes = outcome(&swept).1;
    outcomes.sort_by_key(|outcome| *outcome == ToldOutcome::Told);
    let [others @ .., ToldOutcome::Told] = outcomes.as_slice() else { panic!("{swept:?}") };
    assert_eq!(others, [ToldOutcome::Recorded; 2]);
    let [case] = place.sim.cases().try_into().unwrap();
    assert!(format!("{case:?}").contains(account.as_str()), "{case:?}");
    assert_eq!(outcome(&place.handle(SCHEDULED).await), (HandledOutcome::Ignored, vec![]));
}

/// So does an update that comes again when the account is no longer new.
#[tokio::test(start_paused = true)]
async fn an_update_repeats_what_an_earlier_one_began() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let mut place = Place { lookback, ..Place::new() };
    place.sim.set_support_plan(false);
    let (_, updated) = about(&place, UPDATED);
    let failed = place.handle(&updated).await;
    assert_eq!(outcome(&failed), (HandledOutcome::Failed, vec![ToldOutcome::Failed]));
    place.sim.set_support_plan(true);
    place.lookback = Duration::from_secs(1);
    let told = place.handle(&updated).await;
    assert_eq!(outcome(&told), (HandledOutcome::Notified, vec![ToldOutcome::Told]));
    assert_eq!(place.cases(), 1);
}

/// Nobody is told of an account that is closed, by whichever way it is found; of one that is opened
/// again everybody is.
#[rstest]
#[case::pending_closure(0, "PENDING_CLOSURE")]
#[case::suspended(600, "SUSPENDED")]
#[tokio::test(start_paused = true)]
async fn a_closed_account_is_not_told_of(#[case] seconds: u64, #[case] state: &str) {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let place = Place { lookback, ..Place::new() };
    place.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    let (account, created) = about(&place, CREATED);
    assert!(place.sim.close_account(&account));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let told = place.handle(&created).await;
    assert_eq!(outcome(&told), (HandledOutcome::Ignored, vec![ToldOutcome::Skipped]));
    let why = &told.notifications[0];
    assert_eq!(why.rule, Some(Rule::Closed));
    assert_eq!(why.detail.as_deref(), Some(format!("the account is closed ({state})").as_str()));
    let swept = place.handle(SCHEDULED).await;
    assert_eq!((place.cases(), swept.notifications.len()), (2, 2), "the two others: {swept:?}");

    assert!(place.sim.reopen_account(&account));
    assert_eq!(place.handle(SCHEDULED).await.outcome, HandledOutcome::Notified);
    assert_eq!(place.cases(), 3);
}
