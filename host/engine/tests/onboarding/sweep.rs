//! Accounts whose event was lost.

use std::time::Duration;

use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::{NotificationKey, NotificationState};
use groundcrew_core::ports::NotificationLedger;
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome};
use rstest::rstest;

use crate::fixture::{
    BEGIN, CREATED, Fixture, SCHEDULED, TWO_WEEKS, UPDATED, about, letters, outcome, redrive, work,
};

/// Lost events are backfilled; accounts from before the ledger are not.
#[tokio::test(start_paused = true)]
async fn a_sweep_makes_up_for_lost_events() {
    let fixture = Fixture { lookback: Duration::from_secs(4000 * 24 * 3600), ..Fixture::new() };
    fixture.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    let swept = fixture.handle(SCHEDULED).await;
    assert_eq!(swept.outcome, EventOutcome::Notified, "{swept:?}");
    assert_eq!(fixture.cases(), 3);
    let again = fixture.handle(SCHEDULED).await;
    assert_eq!(outcome(&again), (EventOutcome::Ignored, vec![]));
    assert_eq!(fixture.cases(), 3);
}

#[tokio::test(start_paused = true)]
async fn accounts_older_than_the_ledger_are_recorded_and_never_told() {
    let fixture = Fixture { lookback: Duration::from_secs(4000 * 24 * 3600), ..Fixture::new() };
    let swept = fixture.handle(SCHEDULED).await;
    assert_eq!(outcome(&swept), (EventOutcome::Ignored, vec![DeliveryOutcome::Suppressed; 3]));
    let (account, updated) = about(&fixture, UPDATED);
    let handled = fixture.handle(&updated).await;
    assert_eq!(outcome(&handled), (EventOutcome::Ignored, vec![DeliveryOutcome::Suppressed]));
    let key = NotificationKey::for_onboarding(&account, "ams");
    let entry = fixture.ledger().notification(&key).await.unwrap().unwrap();
    assert_eq!((entry.state, fixture.cases()), (NotificationState::Suppressed, 0));
}

/// With a queue a sweep queues the notifications without an entry, once, and ignores those that
/// were dead-lettered.
#[tokio::test(start_paused = true)]
async fn a_sweep_hands_over_to_the_queue() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let fixture = Fixture { lookback, queue: true, ..Fixture::new() };
    fixture.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Queued);
    assert_eq!(fixture.cases(), 0);
    fixture.sim.set_support_plan(false);
    work(&fixture).await;
    assert_eq!((letters(&fixture).len(), fixture.sim.alerts().len()), (3, 3));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Ignored);

    fixture.sim.set_support_plan(true);
    assert_eq!(redrive(&fixture, fixture.host("operator").queue().unwrap(), "ams").await, Ok(3));
    work(&fixture).await;
    assert_eq!((fixture.cases(), letters(&fixture).len()), (3, 0));
}

/// A notification that a sweep has queued is delivered, however long it has waited in the queue.
#[tokio::test(start_paused = true)]
async fn what_a_sweep_has_handed_over_stays_due() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let mut fixture = Fixture { lookback, queue: true, ..Fixture::new() };
    fixture.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Queued);
    // With a lookback of exactly their age the accounts are no longer new.
    fixture.lookback = TWO_WEEKS;
    work(&fixture).await;
    assert_eq!((fixture.cases(), letters(&fixture).len()), (3, 0));
    assert_eq!(fixture.sim.alerts(), []);
}

/// An account that joined before the ledger began and was enrolled since is due by its event. The
/// sweep retries the notification that failed, as its alert says, and begins none for the other
/// accounts.
#[tokio::test(start_paused = true)]
async fn a_sweep_repeats_what_an_event_began() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let fixture = Fixture { lookback, ..Fixture::new() };
    fixture.sim.set_support_plan(false);
    let (account, created) = about(&fixture, CREATED);
    let failed = fixture.handle(&created).await;
    assert_eq!(outcome(&failed), (EventOutcome::Failed, vec![DeliveryOutcome::Failed]));
    fixture.sim.set_support_plan(true);
    let swept = fixture.handle(SCHEDULED).await;
    let mut outcomes = outcome(&swept).1;
    outcomes.sort_by_key(|outcome| *outcome == DeliveryOutcome::Delivered);
    let [others @ .., DeliveryOutcome::Delivered] = outcomes.as_slice() else {
        panic!("{swept:?}")
    };
    assert_eq!(others, [DeliveryOutcome::Suppressed; 2]);
    let [case] = fixture.sim.cases().try_into().unwrap();
    assert!(format!("{case:?}").contains(account.as_str()), "{case:?}");
    assert_eq!(outcome(&fixture.handle(SCHEDULED).await), (EventOutcome::Ignored, vec![]));
}

/// An event of an update that comes again, when the account is no longer new, retries too.
#[tokio::test(start_paused = true)]
async fn an_update_repeats_what_an_earlier_one_began() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let mut fixture = Fixture { lookback, ..Fixture::new() };
    fixture.sim.set_support_plan(false);
    let (_, updated) = about(&fixture, UPDATED);
    let failed = fixture.handle(&updated).await;
    assert_eq!(outcome(&failed), (EventOutcome::Failed, vec![DeliveryOutcome::Failed]));
    fixture.sim.set_support_plan(true);
    fixture.lookback = Duration::from_secs(1);
    let handled = fixture.handle(&updated).await;
    assert_eq!(outcome(&handled), (EventOutcome::Notified, vec![DeliveryOutcome::Delivered]));
    assert_eq!(fixture.cases(), 1);
}

/// No notifier is notified of a closed account, however it is found; all are notified of one that
/// is reopened.
#[rstest]
#[case::pending_closure(0, "PENDING_CLOSURE")]
#[case::suspended(600, "SUSPENDED")]
#[tokio::test(start_paused = true)]
async fn a_closed_account_is_not_told_of(#[case] seconds: u64, #[case] state: &str) {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let fixture = Fixture { lookback, ..Fixture::new() };
    fixture.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    let (account, created) = about(&fixture, CREATED);
    assert!(fixture.sim.close_account(&account));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let handled = fixture.handle(&created).await;
    assert_eq!(outcome(&handled), (EventOutcome::Ignored, vec![DeliveryOutcome::Skipped]));
    let why = &handled.notifications[0];
    assert_eq!(why.rule, Some(NoDeliveryReason::Closed));
    assert_eq!(why.detail.as_deref(), Some(format!("the account is closed ({state})").as_str()));
    let swept = fixture.handle(SCHEDULED).await;
    assert_eq!((fixture.cases(), swept.notifications.len()), (2, 2), "the two others: {swept:?}");

    assert!(fixture.sim.reopen_account(&account));
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Notified);
    assert_eq!(fixture.cases(), 3);
}
