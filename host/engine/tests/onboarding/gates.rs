//! Notifiers that are asked before the others.

use std::time::Duration;

use groundcrew_core::notification::{NotifyFailure, NotifyFailureKind, Verdict as Says};
use groundcrew_core::ports::{Clock, NotificationLedger};
use groundcrew_engine::notifications::{HandledOutcome, ToldOutcome};
use groundcrew_sim::{Fault, Refusal};
use jiff::Timestamp;
use rstest::rstest;

use crate::place::{BEGIN, CREATED, Finding, Place, SCHEDULED, about, letters, outcome, work};

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

/// By the hour for four days; then it is down for ten minutes.
fn holds_for_days(now: Timestamp) -> Result<Says, NotifyFailure> {
    let released = BEGIN + Duration::from_secs(4 * 24 * 3600);
    if now < released {
        let until = now + Duration::from_secs(3600);
        return Ok(Says::Hold { until, reason: "no owner yet".into() });
    }
    if now < released + Duration::from_secs(600) {
        let failure = is_down(now).unwrap_err();
        return Err(NotifyFailure { kind: NotifyFailureKind::Transient, ..failure });
    }
    Ok(Says::Go)
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

/// What was held for days is tried as often as anything else: neither the gate nor the notifier
/// that fails then is given up at once.
#[tokio::test(start_paused = true)]
async fn what_was_held_for_days_is_given_up_no_sooner() {
    let place = Place { gate: Some(holds_for_days), queue: true, ..Place::new() };
    place.handle(&about(&place, CREATED).1).await;
    for _ in 0..10 {
        place.sim.inject_fault("CreateCase", Fault::Refused(Refusal::Throttled));
    }
    work(&place).await;
    assert_eq!((place.cases(), letters(&place)), (1, vec![]));
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

/// What waits for a gate is in the queue without an entry of its own: no sweep puts it there again.
#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_is_handed_over_once() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let place = Place { gate: Some(holds_for_a_day), lookback, queue: true, ..Place::new() };
    place.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    assert_eq!(place.handle(SCHEDULED).await.outcome, HandledOutcome::Queued);
    let waiting = || place.sim.messages(&place.sim.notifications_url()).len();
    assert_eq!(waiting(), 6);
    let host = place.host("worker");
    let queue = host.queue().unwrap().clone();
    for delivery in queue.receive(Duration::from_secs(20)).await.unwrap() {
        assert!(host.take(queue.as_ref(), &delivery.unwrap()).await.stays);
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(place.handle(SCHEDULED).await.outcome, HandledOutcome::Ignored);
    assert_eq!(waiting(), 6);
    work(&place).await;
    assert_eq!((place.cases(), letters(&place).len()), (3, 0));
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
