//! Routes with `once_per = "event"`, and by which rule an event is ignored.

use std::time::Duration;

use groundcrew_core::decision::{Candidate, Verdict};
use groundcrew_core::notification::Verdict as Says;
use groundcrew_core::pattern::Pattern;
use groundcrew_core::ports::{NotificationLedger as _, PolicyFailure};
use groundcrew_core::route::{OncePer, Route, When};
use groundcrew_core::rule::Rule;
use groundcrew_engine::notifications::{HandledOutcome, ToldOutcome};
use rstest::rstest;
use serde_json::json;

use crate::place::{
    BEGIN, CREATED, FAILED, Place, SCHEDULED, UPDATED, about, of_each, outcome, route, work,
};

const CALL: &str = include_str!("../../../../tests/events/call-of-create-managed-account.json");
const OF_AN_OU: &str =
    include_str!("../../../../tests/events/reset-enabled-baseline-of-an-ou.json");

fn updates() -> Vec<Route> {
    vec![of_each(route(&["UpdateManagedAccount"], "SUCCEEDED", &["ams"]))]
}

/// The update that this event tells of, an hour later.
fn later(event: &str) -> String {
    event.replace("21:42:17+0000", "22:42:17+0000")
}

/// Every update of an account is told, of one that joined long ago as well; the very same event is
/// not told again, whatever its id.
#[rstest]
#[case::at_once(false)]
#[case::by_the_queue(true)]
#[tokio::test(start_paused = true)]
async fn each_update_is_told_once(#[case] queue: bool) {
    let place = Place { routes: updates(), queue, ..Place::new() };
    let (_, updated) = about(&place, UPDATED);
    let again = updated.replace("999cccaa", "000cccaa").replace("0000000-0000", "1111111-0000");
    for (event, cases) in [(&updated, 1), (&again, 1), (&updated, 1), (&later(&updated), 2)] {
        let handled = place.handle(event).await;
        match queue {
            true => assert!(work(&place).await.iter().all(|h| h.outcome != HandledOutcome::Failed)),
            false if handled.outcome == HandledOutcome::Ignored => {
                assert_eq!(handled.rule, Some(Rule::OncePerEvent));
            }
            false => assert_eq!(handled.outcome, HandledOutcome::Notified),
        }
        assert_eq!(place.cases(), cases, "{event}");
    }
    assert_eq!(place.sim.alerts(), []);
}

/// Notifications and the telling of each event don't know of each other.
#[tokio::test(start_paused = true)]
async fn onboarding_stays_once_beside_each_event() {
    let mut routes = updates();
    routes.push(route(&["CreateManagedAccount"], "SUCCEEDED", &["ams"]));
    let place = Place { routes, ..Place::new() };
    let (_, created) = about(&place, CREATED);
    let (_, updated) = about(&place, UPDATED);
    for (event, cases) in [(&created, 1), (&updated, 2), (&created, 2), (&later(&updated), 3)] {
        place.handle(event).await;
        assert_eq!(place.cases(), cases);
    }
}

/// Nobody knows what a lost event said: a sweep tells onboarding alone.
#[tokio::test(start_paused = true)]
async fn a_sweep_makes_up_no_event() {
    let long = Duration::from_secs(4000 * 24 * 3600);
    let created = of_each(route(&["CreateManagedAccount"], "SUCCEEDED", &["ams"]));
    let place = Place { routes: vec![created], lookback: long, ..Place::new() };
    place.ledger().began(BEGIN - long).await.unwrap();
    assert_eq!(outcome(&place.handle(SCHEDULED).await), (HandledOutcome::Ignored, vec![]));
    assert_eq!(place.cases(), 0);
}

/// A gate of onboarding is asked before those that are told of each event, for each.
#[tokio::test(start_paused = true)]
async fn a_gate_is_asked_for_each_event() {
    let mut routes = updates();
    routes.push(route(&["UpdateManagedAccount"], "SUCCEEDED", &["gate"]));
    let stop = |_| Ok(Says::Stop { reason: "frozen".into() });
    let place = Place { routes, gate: Some(stop), ..Place::new() };
    let (_, updated) = about(&place, UPDATED);
    let handled = place.handle(&updated).await;
    let ams = handled.notifications.iter().find(|told| told.notifier == "ams").unwrap();
    assert_eq!((ams.outcome, ams.rule), (ToldOutcome::Skipped, Some(Rule::Gate)));
    assert_eq!(place.cases(), 0);
}

fn frozen(_: &Candidate) -> Result<Verdict, PolicyFailure> {
    Ok(Verdict::Skip("frozen".into()))
}

/// Every event that is ignored says by which rule, with a word about it.
#[rstest]
#[case::not_routed(
    OF_AN_OU,
    Rule::NoRoute,
    "ResetEnabledBaseline of aws.controltower tells of no account that landed; no route takes it"
)]
#[case::failed(FAILED, Rule::NoRoute, "CreateManagedAccount has failed: ")]
#[case::call(
    CALL,
    Rule::ApiCall,
    "CreateManagedAccount is a call of the API, recorded by CloudTrail"
)]
#[case::nothing_lost(SCHEDULED, Rule::NothingLost, "no account is to be told of")]
#[tokio::test(start_paused = true)]
async fn what_is_ignored_says_why(#[case] event: &str, #[case] rule: Rule, #[case] reason: &str) {
    let handled = Place::new().handle(event).await;
    assert_eq!((handled.outcome, handled.rule), (HandledOutcome::Ignored, Some(rule)));
    assert!(handled.reason.as_deref().unwrap().starts_with(reason), "{handled:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_told_or_is_old_or_forbidden_says_why() {
    let place = Place::new();
    let (_, created) = about(&place, CREATED);
    place.handle(&created).await;
    let again = place.handle(&created).await;
    assert_eq!(
        (again.rule, again.notifications[0].rule),
        (Some(Rule::OncePerAccount), Some(Rule::OncePerAccount))
    );
    assert!(again.reason.unwrap().contains("`once_per = \"account\"`"));

    let place = Place::new();
    let (_, updated) = about(&place, UPDATED);
    let old = place.handle(&updated).await;
    assert_eq!(
        (old.rule, old.notifications[0].rule),
        (Some(Rule::JoinedBefore), Some(Rule::JoinedBefore))
    );
    assert!(old.reason.unwrap().contains("onboarding_lookback"));

    let place = Place { policy: Some(frozen), ..Place::new() };
    let (_, created) = about(&place, CREATED);
    let skipped = place.handle(&created).await;
    assert_eq!(
        (skipped.rule, skipped.notifications[0].rule),
        (Some(Rule::Policy), Some(Rule::Policy))
    );
    assert_eq!(skipped.reason.as_deref(), Some("policy `native`: frozen"));
}

/// A call of the API alarms nobody, and is told where a pattern asks for it.
#[tokio::test(start_paused = true)]
async fn a_call_of_the_api_is_no_creation() {
    let place = Place::new();
    place.handle(CALL).await;
    assert_eq!((place.cases(), place.sim.alerts().len()), (0, 0));
    let pattern =
        json!({ "detail": { "eventType": ["AwsApiCall"], "errorCode": [{ "exists": false }] } });
    let when = When::Matches(Pattern::read(&pattern).unwrap());
    let asked =
        Route { when, policies: None, notifiers: vec!["ams".into()], once_per: OncePer::Account };
    let place = Place { routes: vec![asked], ..Place::new() };
    assert_eq!(place.handle(CALL).await.outcome, HandledOutcome::Notified);
    let broken = CREATED.replace("serviceEventDetails", "details");
    assert_eq!(place.handle(&broken).await.outcome, HandledOutcome::Failed);
}

const BASELINE: &str = include_str!("../../../../tests/events/enable-baseline-of-an-account.json");

/// A route that names an event has it, in whichever order the routes are written: the one that only
/// hears of accounts that land by it doesn't take it away.
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
    let place = Place { routes, ..Place::new() };
    let (account, _) = about(&place, CREATED);
    let first = BASELINE.replace("321098765432", account.as_str());
    let second = first.replace("17BSJV3IGJ2QSGA2", "3WPD0NA6TJ9AOMU2");
    for (event, cases) in [(&first, 1), (&first, 1), (&second, 2)] {
        place.handle(event).await;
        assert_eq!(place.cases(), cases);
    }
}
