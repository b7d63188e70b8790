//! Gates: notifiers that are called before the others.

use std::time::Duration;

use groundcrew_core::notification::{GateDecision, NotifyFailure, NotifyFailureKind};
use groundcrew_core::ports::{Clock, NotificationLedger};
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome};
use groundcrew_sim::{Fault, Rejection};
use jiff::Timestamp;
use rstest::rstest;

use crate::fixture::{BEGIN, CREATED, Fixture, GateFn, SCHEDULED, about, letters, outcome, work};

fn finds_nothing(_: Timestamp) -> Result<GateDecision, NotifyFailure> {
    Ok(GateDecision::Go)
}

fn finds_something(_: Timestamp) -> Result<GateDecision, NotifyFailure> {
    Ok(GateDecision::Annotate { annotations: vec!["no tag owner".into()] })
}

fn stops(_: Timestamp) -> Result<GateDecision, NotifyFailure> {
    Ok(GateDecision::Stop { reason: "wrong OU".into() })
}

fn holds_for_a_day(now: Timestamp) -> Result<GateDecision, NotifyFailure> {
    let until = BEGIN + Duration::from_secs(24 * 3600);
    match now < until {
        true => Ok(GateDecision::Hold { until, reason: "no owner yet".into() }),
        false => Ok(GateDecision::Go),
    }
}

/// Holds for an hour at a time for four days; then it is down for ten minutes.
fn holds_for_days(now: Timestamp) -> Result<GateDecision, NotifyFailure> {
    let released = BEGIN + Duration::from_secs(4 * 24 * 3600);
    if now < released {
        let until = now + Duration::from_secs(3600);
        return Ok(GateDecision::Hold { until, reason: "no owner yet".into() });
    }
    if now < released + Duration::from_secs(600) {
        let failure = is_down(now).unwrap_err();
        return Err(NotifyFailure { kind: NotifyFailureKind::Transient, ..failure });
    }
    Ok(GateDecision::Go)
}

fn is_down(_: Timestamp) -> Result<GateDecision, NotifyFailure> {
    Err(NotifyFailure {
        kind: NotifyFailureKind::Permanent,
        code: "down".into(),
        message: "the gate is broken".into(),
        effect_possible: false,
        retry_after: None,
    })
}

/// A gate's decision counts for the notifications after it, whichever message is received first.
#[rstest]
#[case::nothing(finds_nothing, vec![DeliveryOutcome::Delivered, DeliveryOutcome::Delivered], 1, "111122223333")]
#[case::something(finds_something, vec![DeliveryOutcome::Delivered, DeliveryOutcome::Delivered], 1, "no tag owner")]
#[case::stop(stops, vec![DeliveryOutcome::Delivered, DeliveryOutcome::Skipped], 0, "")]
#[tokio::test(start_paused = true)]
async fn gates_are_asked_before_the_others(
    #[case] gate: GateFn,
    #[case] expected: Vec<DeliveryOutcome>,
    #[case] cases: usize,
    #[case] body: &str,
) {
    let fixture = Fixture { gate: Some(gate), ..Fixture::new() };
    let (account, created) = about(&fixture, CREATED);
    let handled = fixture.handle(&created).await;
    assert_eq!(outcome(&handled).1, expected, "{handled:?}");
    assert_eq!(fixture.cases(), cases);
    let body = body.replace("111122223333", account.as_str());
    assert!(fixture.sim.cases().iter().all(|case| case.body.contains(&body)));

    let fixture = Fixture { gate: Some(gate), queue: true, ..Fixture::new() };
    fixture.handle(&created).await;
    let handled = work(&fixture).await;
    assert_eq!(handled.len(), 2, "{handled:?}");
    assert_eq!((fixture.cases(), letters(&fixture).len()), (cases, 0));
    assert_eq!(fixture.sim.alerts(), []);
}

#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_is_told_later() {
    let fixture = Fixture { gate: Some(holds_for_a_day), queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    work(&fixture).await;
    let took = fixture.sim.clock().now().duration_since(BEGIN).as_hours();
    assert!((24..26).contains(&took), "{took} h: {:?}", letters(&fixture));
    assert_eq!((fixture.cases(), letters(&fixture).len()), (1, 0));
    assert_eq!(fixture.sim.alerts(), []);
}

/// A notification that was held for days is tried as often as any other: neither that of the gate
/// nor that of a notifier that fails then is dead-lettered at once.
#[tokio::test(start_paused = true)]
async fn what_was_held_for_days_is_given_up_no_sooner() {
    let fixture = Fixture { gate: Some(holds_for_days), queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    for _ in 0..10 {
        fixture.sim.inject_fault("CreateCase", Fault::Rejected(Rejection::Throttled));
    }
    work(&fixture).await;
    assert_eq!((fixture.cases(), letters(&fixture)), (1, vec![]));
    assert_eq!(fixture.sim.alerts(), []);
}

/// Without a queue the next sweep after the hold delivers.
#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_is_found_by_a_sweep() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let fixture = Fixture { gate: Some(holds_for_a_day), lookback, ..Fixture::new() };
    fixture.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    let (account, created) = about(&fixture, CREATED);
    let handled = fixture.handle(&created).await;
    assert_eq!(
        outcome(&handled),
        (EventOutcome::Ignored, vec![DeliveryOutcome::Held, DeliveryOutcome::Held])
    );
    assert!(handled.reason.unwrap().contains("no owner yet"));
    fixture.handle(SCHEDULED).await;
    assert_eq!(fixture.cases(), 0);
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    fixture.handle(SCHEDULED).await;
    let cases = fixture.sim.cases();
    let delivered = cases.iter().filter(|case| case.body.contains(account.as_str()));
    assert_eq!(delivered.count(), 1);
}

/// A notification that waits for a gate is in the queue without an entry of its own: no sweep
/// queues it again.
#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_is_handed_over_once() {
    let lookback = Duration::from_secs(4000 * 24 * 3600);
    let fixture = Fixture { gate: Some(holds_for_a_day), lookback, queue: true, ..Fixture::new() };
    fixture.ledger().began(BEGIN - Duration::from_secs(3999 * 24 * 3600)).await.unwrap();
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Queued);
    let waiting = || fixture.sim.messages(&fixture.sim.notifications_url()).len();
    assert_eq!(waiting(), 6);
    let host = fixture.host("worker");
    let queue = host.queue().unwrap().clone();
    for message in queue.receive(Duration::from_secs(20)).await.unwrap() {
        assert!(host.process_message(queue.as_ref(), &message.unwrap()).await.still_queued);
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Ignored);
    assert_eq!(waiting(), 6);
    work(&fixture).await;
    assert_eq!((fixture.cases(), letters(&fixture).len()), (3, 0));
}

/// A gate that can't answer keeps all notifications waiting: each of them causes an alert.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_gate_in_vain_is_a_dead_letter() {
    let fixture = Fixture { gate: Some(is_down), queue: true, ..Fixture::new() };
    fixture.handle(&about(&fixture, CREATED).1).await;
    work(&fixture).await;
    assert_eq!((fixture.cases(), letters(&fixture).len()), (0, 2));
    let alerts = fixture.sim.alerts();
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    assert!(alerts.iter().all(|alert| alert.message.contains("the gate is broken")), "{alerts:?}");
}
