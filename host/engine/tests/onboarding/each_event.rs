//! Routes with `once_per = "event"`, and the rules by which events are ignored.

use std::time::Duration;

use groundcrew_core::decision::{Candidate, PolicyDecision};
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::GateDecision;
use groundcrew_core::pattern::Pattern;
use groundcrew_core::ports::{NotificationLedger as _, PolicyFailure};
use groundcrew_core::route::{EventMatch, OncePer, Route};
use groundcrew_engine::notifications::{DeliveryOutcome, EventOutcome};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{
    BEGIN, CREATED, FAILED, Fixture, SCHEDULED, UPDATED, about, of_each, outcome, route, work,
};

const CALL: &str = include_str!("../../../../tests/events/call-of-create-managed-account.json");
const OF_AN_OU: &str =
    include_str!("../../../../tests/events/reset-enabled-baseline-of-an-ou.json");

fn updates() -> Vec<Route> {
    vec![of_each(route(&["UpdateManagedAccount"], "SUCCEEDED", &["ams"]))]
}

/// The same update as in this event, an hour later.
fn later(event: &str) -> String {
    event.replace("21:42:17+0000", "22:42:17+0000")
}

/// Every update of an account is notified of, even if the account joined long ago; the same event
/// is not delivered again, whatever its id.
#[rstest]
#[case::at_once(false)]
#[case::by_the_queue(true)]
#[tokio::test(start_paused = true)]
async fn each_update_is_told_once(#[case] queue: bool) {
    let fixture = Fixture { routes: updates(), queue, ..Fixture::new() };
    let (_, updated) = about(&fixture, UPDATED);
    let again = updated.replace("999cccaa", "000cccaa").replace("0000000-0000", "1111111-0000");
    for (event, cases) in [(&updated, 1), (&again, 1), (&updated, 1), (&later(&updated), 2)] {
        let handled = fixture.handle(event).await;
        match queue {
            true => assert!(work(&fixture).await.iter().all(|h| h.outcome != EventOutcome::Failed)),
            false if handled.outcome == EventOutcome::Ignored => {
                assert_eq!(handled.rule, Some(NoDeliveryReason::OncePerEvent));
            }
            false => assert_eq!(handled.outcome, EventOutcome::Notified),
        }
        assert_eq!(fixture.cases(), cases, "{event}");
    }
    assert_eq!(fixture.sim.alerts(), []);
}

/// Notifications once per account and once per event are independent.
#[tokio::test(start_paused = true)]
async fn onboarding_stays_once_beside_each_event() {
    let mut routes = updates();
    routes.push(route(&["CreateManagedAccount"], "SUCCEEDED", &["ams"]));
    let fixture = Fixture { routes, ..Fixture::new() };
    let (_, created) = about(&fixture, CREATED);
    let (_, updated) = about(&fixture, UPDATED);
    for (event, cases) in [(&created, 1), (&updated, 2), (&created, 2), (&later(&updated), 3)] {
        fixture.handle(event).await;
        assert_eq!(fixture.cases(), cases);
    }
}

/// The content of a lost event is unknown: a sweep backfills onboarding only.
#[tokio::test(start_paused = true)]
async fn a_sweep_makes_up_no_event() {
    let long = Duration::from_secs(4000 * 24 * 3600);
    let created = of_each(route(&["CreateManagedAccount"], "SUCCEEDED", &["ams"]));
    let fixture = Fixture { routes: vec![created], lookback: long, ..Fixture::new() };
    fixture.ledger().began(BEGIN - long).await.unwrap();
    assert_eq!(outcome(&fixture.handle(SCHEDULED).await), (EventOutcome::Ignored, vec![]));
    assert_eq!(fixture.cases(), 0);
}

/// A gate of onboarding is also called for each event, before the notifiers with `once_per =
/// "event"`.
#[tokio::test(start_paused = true)]
async fn a_gate_is_asked_for_each_event() {
    let mut routes = updates();
    routes.push(route(&["UpdateManagedAccount"], "SUCCEEDED", &["gate"]));
    let stop = |_| Ok(GateDecision::Stop { reason: "frozen".into() });
    let fixture = Fixture { routes, gate: Some(stop), ..Fixture::new() };
    let (_, updated) = about(&fixture, UPDATED);
    let handled = fixture.handle(&updated).await;
    let ams = handled.notifications.iter().find(|delivery| delivery.notifier == "ams").unwrap();
    assert_eq!((ams.outcome, ams.rule), (DeliveryOutcome::Skipped, Some(NoDeliveryReason::Gate)));
    assert_eq!(fixture.cases(), 0);
}

fn frozen(_: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
    Ok(PolicyDecision::Skip("frozen".into()))
}

/// The report of every ignored event has the rule and a reason.
#[rstest]
#[case::not_routed(
    OF_AN_OU,
    NoDeliveryReason::NoRoute,
    "ResetEnabledBaseline of aws.controltower reports no new account; no route takes it"
)]
#[case::failed(FAILED, NoDeliveryReason::NoRoute, "CreateManagedAccount has failed: ")]
#[case::call(
    CALL,
    NoDeliveryReason::ApiCall,
    "CreateManagedAccount is a call of the API, recorded by CloudTrail"
)]
#[case::nothing_lost(SCHEDULED, NoDeliveryReason::NothingLost, "no account needs a notification")]
#[tokio::test(start_paused = true)]
async fn what_is_ignored_says_why(
    #[case] event: &str,
    #[case] rule: NoDeliveryReason,
    #[case] reason: &str,
) {
    let handled = Fixture::new().handle(event).await;
    assert_eq!((handled.outcome, handled.rule), (EventOutcome::Ignored, Some(rule)));
    assert!(handled.reason.as_deref().unwrap().starts_with(reason), "{handled:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_told_or_is_old_or_forbidden_says_why() {
    let fixture = Fixture::new();
    let (_, created) = about(&fixture, CREATED);
    fixture.handle(&created).await;
    let again = fixture.handle(&created).await;
    assert_eq!(
        (again.rule, again.notifications[0].rule),
        (Some(NoDeliveryReason::OncePerAccount), Some(NoDeliveryReason::OncePerAccount))
    );
    assert!(again.reason.unwrap().contains("`once_per = \"account\"`"));

    let fixture = Fixture::new();
    let (_, updated) = about(&fixture, UPDATED);
    let old = fixture.handle(&updated).await;
    assert_eq!(
        (old.rule, old.notifications[0].rule),
        (Some(NoDeliveryReason::JoinedBefore), Some(NoDeliveryReason::JoinedBefore))
    );
    assert!(old.reason.unwrap().contains("onboarding_lookback"));

    let fixture = Fixture { policy: Some(frozen), ..Fixture::new() };
    let (_, created) = about(&fixture, CREATED);
    let skipped = fixture.handle(&created).await;
    assert_eq!(
        (skipped.rule, skipped.notifications[0].rule),
        (Some(NoDeliveryReason::Policy), Some(NoDeliveryReason::Policy))
    );
    assert_eq!(skipped.reason.as_deref(), Some("policy `native`: frozen"));
}

/// An API call causes no alert, and is delivered if a pattern matches it.
#[tokio::test(start_paused = true)]
async fn a_call_of_the_api_is_no_creation() {
    let fixture = Fixture::new();
    fixture.handle(CALL).await;
    assert_eq!((fixture.cases(), fixture.sim.alerts().len()), (0, 0));
    let pattern =
        json!({ "detail": { "eventType": ["AwsApiCall"], "errorCode": [{ "exists": false }] } });
    let when = EventMatch::ByPattern(Pattern::parse(&pattern).unwrap());
    let asked =
        Route { when, policies: None, notifiers: vec!["ams".into()], once_per: OncePer::Account };
    let fixture = Fixture { routes: vec![asked], ..Fixture::new() };
    assert_eq!(fixture.handle(CALL).await.outcome, EventOutcome::Notified);
    let broken = CREATED.replace("serviceEventDetails", "details");
    assert_eq!(fixture.handle(&broken).await.outcome, EventOutcome::Failed);
}

const BASELINE: &str = include_str!("../../../../tests/events/enable-baseline-of-an-account.json");

/// A route that names an event gets it, whatever the order of the routes: a route that gets the
/// event only because it enrolls an account does not take precedence.
#[rstest]
#[case::onboarding_first(false)]
#[case::each_first(true)]
#[tokio::test(start_paused = true)]
async fn a_route_that_names_an_event_has_it(#[case] reversed: bool) {
    let mut routes = vec![
        route(&["CreateManagedAccount"], "SUCCEEDED", &["ams"]),
        of_each(route(&["EnableBaseline"], "SUCCEEDED", &["ams"])),
    ];
    if reversed {
        routes.reverse();
    }
    let fixture = Fixture { routes, ..Fixture::new() };
    let (account, _) = about(&fixture, CREATED);
    let first = BASELINE.replace("321098765432", account.as_str());
    let second = first.replace("17BSJV3IGJ2QSGA2", "3WPD0NA6TJ9AOMU2");
    for (event, cases) in [(&first, 1), (&first, 1), (&second, 2)] {
        fixture.handle(event).await;
        assert_eq!(fixture.cases(), cases);
    }
}
