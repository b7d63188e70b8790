//! Accounts that are enrolled by a baseline alone: auto-enrolment sends no `CreateManagedAccount`,
//! and these accounts have no provisioned product.

use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::ports::NotificationLedger as _;
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome, EventReport};
use groundcrew_sim::{Fault, LandingZone, Rejection, Snapshot, SnapshotAccount};
use rstest::rstest;

use crate::fixture::{BEGIN, CREATED, Fixture, SCHEDULED, outcome, work};

const NEW: &str = "444455556666";
const OLD: &str = "555566667777";
const AUDIT: &str = "666677778888";
const LOGS: &str = "777788889999";
const MANAGEMENT: &str = "123456789012";
const UNENROLLED: &str = "888899990000";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn id(id: &str) -> AccountId {
    id.parse().unwrap()
}

/// An organization with an account of Account Factory, and with these accounts without products: a
/// new account, one that joined a year ago, the accounts of the landing zone, and one that is never
/// enrolled. The accounts that joined lately did so a day after the ledger began.
fn fixture() -> Fixture {
    let account = |id: &str, ou: &[&str], days: u32, enrolled| SnapshotAccount {
        ou: ou.iter().map(|&name| name.to_owned()).collect(),
        joined: Some(BEGIN - DAY * days),
        enrolled,
        outdated: false,
        ..SnapshotAccount::new(id, format!("account-{id}"))
    };
    let accounts = vec![
        account("111122220000", &["Workloads"], 300, true),
        account(NEW, &[], 1, false),
        account(OLD, &[], 365, false),
        account(AUDIT, &["Security"], 1, false),
        account(LOGS, &["Security"], 1, false),
        account(MANAGEMENT, &[], 1, false),
        account(UNENROLLED, &["Workloads"], 1, false),
    ];
    let fixture = Fixture::of(Snapshot { accounts, ..Snapshot::default() });
    fixture.sim.set_landing_zone(Some(LandingZone {
        audit_account: Some(AUDIT.to_owned()),
        log_archive_account: Some(LOGS.to_owned()),
        ..LandingZone::default()
    }));
    fixture
}

async fn begun(fixture: &Fixture) {
    fixture.ledger().began(BEGIN - DAY * 2).await.unwrap();
}

/// Handles the events that arrived at the events queue since the last call.
async fn handle_events(fixture: &Fixture, seen: &mut usize) -> Vec<EventReport> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let events = fixture.sim.messages(&fixture.sim.events_url());
    let mut handled = Vec::new();
    for event in &events[*seen..] {
        handled.push(fixture.handle(event).await);
    }
    *seen = events.len();
    handled
}

fn told_of(handled: &[EventReport]) -> Vec<(EventOutcome, Vec<DeliveryOutcome>)> {
    handled.iter().map(outcome).collect()
}

const TOLD: (EventOutcome, [DeliveryOutcome; 1]) =
    (EventOutcome::Notified, [DeliveryOutcome::Delivered]);

/// It is notified of by its event, and not again by a sweep, by the event of its creation or when
/// its OU is reset.
#[tokio::test(start_paused = true)]
async fn an_account_that_lands_by_a_baseline_is_told_once() {
    let (fixture, mut seen) = (fixture(), 0);
    begun(&fixture).await;
    assert!(fixture.sim.auto_enroll(&id(NEW), &["Workloads"]));
    let told = handle_events(&fixture, &mut seen).await;
    assert_eq!(told_of(&told), [(TOLD.0, TOLD.1.to_vec())]);
    let again = fixture.handle(&CREATED.replace("111122223333", NEW)).await;
    assert_eq!(outcome(&again), (EventOutcome::Ignored, vec![DeliveryOutcome::AlreadyDelivered]));
    assert_eq!(again.rule, Some(NoDeliveryReason::OncePerAccount));
    assert_eq!(fixture.handle(SCHEDULED).await.rule, Some(NoDeliveryReason::NothingLost));
    assert!(fixture.sim.reset_ou_baseline(&id(NEW)));
    for handled in handle_events(&fixture, &mut seen).await {
        assert_eq!(
            (handled.outcome, handled.rule),
            (EventOutcome::Ignored, Some(NoDeliveryReason::NoRoute))
        );
    }
    let [case] = fixture.sim.cases().try_into().unwrap();
    assert!(case.body.ends_with(&format!("Ref: groundcrew/onboard/{NEW}/ams")), "{case:?}");
    assert_eq!(fixture.sim.alerts(), []);
}

/// If Account Factory creates it, the event of its creation comes first.
#[tokio::test(start_paused = true)]
async fn a_created_account_that_gets_its_baseline_is_told_once() {
    let (fixture, mut seen) = (fixture(), 0);
    begun(&fixture).await;
    let created = fixture.handle(&CREATED.replace("111122223333", NEW)).await;
    assert_eq!(created.outcome, EventOutcome::Notified);
    assert!(fixture.sim.auto_enroll(&id(NEW), &["Workloads"]));
    let [told] = handle_events(&fixture, &mut seen).await.try_into().unwrap();
    assert_eq!(outcome(&told), (EventOutcome::Ignored, vec![DeliveryOutcome::AlreadyDelivered]));
    assert_eq!(fixture.cases(), 1);
}

/// Its event was lost: a sweep finds it by its baseline, and finds no other account without a
/// product.
#[rstest]
#[case::told_at_once(false)]
#[case::by_the_queue(true)]
#[tokio::test(start_paused = true)]
async fn a_sweep_finds_an_account_without_a_product(#[case] queue: bool) {
    let fixture = Fixture { queue, ..fixture() };
    begun(&fixture).await;
    assert_eq!(fixture.handle(SCHEDULED).await.rule, Some(NoDeliveryReason::NothingLost));
    assert!(fixture.sim.auto_enroll(&id(NEW), &["Workloads"]));
    let swept = fixture.handle(SCHEDULED).await;
    assert_eq!(swept.notifications.len(), 1, "{swept:?}");
    if queue {
        work(&fixture).await;
    }
    let [case] = fixture.sim.cases().try_into().unwrap();
    assert!(case.body.contains(NEW), "{case:?}");
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Ignored);
}

/// An account that joined long ago is recorded when it gets a baseline, and never notified of.
#[tokio::test(start_paused = true)]
async fn an_account_of_long_ago_is_not_told_of() {
    let (fixture, mut seen) = (fixture(), 0);
    begun(&fixture).await;
    assert!(fixture.sim.auto_enroll(&id(OLD), &["Workloads"]));
    let [told] = handle_events(&fixture, &mut seen).await.try_into().unwrap();
    assert_eq!(outcome(&told), (EventOutcome::Ignored, vec![DeliveryOutcome::Suppressed]));
    assert_eq!(
        (told.rule, told.notifications[0].rule),
        (Some(NoDeliveryReason::JoinedBefore), Some(NoDeliveryReason::JoinedBefore))
    );
    assert_eq!(fixture.handle(SCHEDULED).await.rule, Some(NoDeliveryReason::NothingLost));
    assert_eq!(fixture.cases(), 0);
}

/// A sweep that can't read baselines delivers the notifications of all other accounts, and reports
/// the failed read.
#[tokio::test(start_paused = true)]
async fn a_sweep_that_can_not_read_baselines_is_incomplete() {
    let fixture = fixture();
    begun(&fixture).await;
    fixture.sim.auto_enroll(&id(NEW), &["Workloads"]);
    fixture.sim.inject_fault("ListEnabledBaselines", Fault::Rejected(Rejection::Denied));
    let swept = fixture.handle(SCHEDULED).await;
    assert_eq!((swept.outcome, swept.rule), (EventOutcome::Failed, None));
    let reason = swept.reason.unwrap();
    assert!(reason.contains("controltower:ListEnabledBaselines"), "{reason}");
    assert_eq!(fixture.handle(SCHEDULED).await.outcome, EventOutcome::Notified);
    assert_eq!(fixture.cases(), 1);
}

/// If every account that joined lately has a product, the baselines are not read.
#[tokio::test(start_paused = true)]
async fn baselines_are_read_only_where_a_product_is_missing() {
    let fixture = Fixture { lookback: Duration::from_secs(4000 * 24 * 3600), ..Fixture::new() };
    fixture.handle(SCHEDULED).await;
    assert_eq!(fixture.sim.calls().get("ListEnabledBaselines"), None);
}
