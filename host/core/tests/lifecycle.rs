//! Every lifecycle event of Control Tower, and its parsed content: a line each.

use groundcrew_core::event::{Event, ManagedAccount, UpdateTrigger};
use groundcrew_core::onboarding::{EventAction, action_for_event};
use rstest::rstest;
use serde_json::{Value, json};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/events/", $name, ".json"))
    };
}

const ACCOUNT: Option<&str> = Some("321098765432");
const PROD: Option<&str> = Some("ou-k2m4-3p5q7r9t Prod");
/// A baseline has only the id of its OU.
const PROD_ID: Option<&str> = Some("ou-k2m4-3p5q7r9t ");

/// Name, state, account and OU.
#[rstest]
#[case(fixture!("create-managed-account-succeeded"), "CreateManagedAccount", "SUCCEEDED",
    Some("111122223333"), Some("ou-abcd-l3zc8b3h Custom"))]
#[case(fixture!("create-managed-account-failed"), "CreateManagedAccount", "FAILED",
    None, Some("ou-abcd-l3zc8b3h Custom"))]
#[case(fixture!("update-managed-account-succeeded"), "UpdateManagedAccount", "SUCCEEDED",
    Some("111122223333"), Some("ou-abcd-l3zc8b3h Custom"))]
#[case(fixture!("setup-landing-zone"), "SetupLandingZone", "SUCCEEDED", None, None)]
#[case(fixture!("update-landing-zone-succeeded"), "UpdateLandingZone", "SUCCEEDED",
    None, None)]
#[case(fixture!("register-organizational-unit"), "RegisterOrganizationalUnit", "SUCCEEDED", None, PROD)]
#[case(fixture!("deregister-organizational-unit"), "DeregisterOrganizationalUnit", "SUCCEEDED", None, PROD)]
#[case(fixture!("precheck-organizational-unit-failed"), "PrecheckOrganizationalUnit", "FAILED", None, PROD)]
#[case(fixture!("enable-guardrail"), "EnableGuardrail", "SUCCEEDED", None, PROD)]
#[case(fixture!("disable-guardrail"), "DisableGuardrail", "SUCCEEDED", None, PROD)]
#[case(fixture!("enable-baseline-of-an-account"), "EnableBaseline", "SUCCEEDED", ACCOUNT, None)]
#[case(fixture!("enable-baseline-of-an-account-failed"), "EnableBaseline", "FAILED", ACCOUNT, None)]
#[case(fixture!("enable-baseline-of-an-ou"), "EnableBaseline", "SUCCEEDED", None, PROD_ID)]
#[case(fixture!("reset-enabled-baseline-of-an-ou"), "ResetEnabledBaseline", "SUCCEEDED", None, PROD_ID)]
#[case(fixture!("update-enabled-baseline-of-an-account"), "UpdateEnabledBaseline", "SUCCEEDED", ACCOUNT, None)]
#[case(fixture!("update-enabled-baseline-failed"), "UpdateEnabledBaseline", "FAILED", None, PROD_ID)]
#[case(fixture!("disable-baseline-of-an-ou"), "DisableBaseline", "SUCCEEDED", None, PROD_ID)]
fn lifecycle_events(
    #[case] text: &str,
    #[case] name: &str,
    #[case] state: &str,
    #[case] account: Option<&str>,
    #[case] unit: Option<&str>,
) {
    let event = Event::parse(text).unwrap();
    assert_eq!((event.name.as_str(), event.state().as_deref()), (name, Some(state)));
    assert_eq!(event.account.as_ref().map(|id| id.as_str()), account);
    let named = event.organizational_unit().map(|unit| format!("{} {}", unit.id, unit.name));
    assert_eq!(named.as_deref(), unit);
    assert!(!event.is_api_call() && action_for_event(&event).is_ok());
}

/// The same baseline event with its details directly below `serviceEventDetails`.
#[rstest]
#[case(fixture!("enable-baseline-of-an-account"))]
#[case(fixture!("reset-enabled-baseline-of-an-ou"))]
#[case(fixture!("update-enabled-baseline-failed"))]
#[case(fixture!("disable-baseline-of-an-ou"))]
fn baseline_events_without_a_status(#[case] text: &str) {
    let nested = Event::parse(text).unwrap();
    let mut root: Value = serde_json::from_str(text).unwrap();
    let details = root["detail"]["serviceEventDetails"].as_object().unwrap();
    root["detail"]["serviceEventDetails"] = details.values().next().unwrap().clone();
    let flat = Event::parse(&root.to_string()).unwrap();
    assert_eq!(flat.account, nested.account);
    assert_eq!(flat.state(), nested.state());
    assert_eq!(flat.organizational_unit(), nested.organizational_unit());
    assert_eq!(flat.managed_account(), nested.managed_account());
}

/// The event of a baseline on an account, changed.
fn baseline(target: &str, status: Value, baseline: &str) -> Event {
    let mut root: Value = serde_json::from_str(fixture!("enable-baseline-of-an-account")).unwrap();
    let details = &mut root["detail"]["serviceEventDetails"]["enableBaselineStatus"]["enabledBaselineDetails"];
    details["targetIdentifier"] = target.into();
    details["statusSummary"]["status"] = status;
    details["baselineIdentifier"] = baseline.into();
    Event::parse(&root.to_string()).unwrap()
}

const OF_AN_ACCOUNT: &str = "arn:aws:organizations::210987654321:account/o-9zq8w7e6r5/321098765432";
const OF_MANAGEMENT: &str = "arn:aws:organizations::210987654321:account/o-9zq8w7e6r5/210987654321";
const OF_AN_OU: &str = "arn:aws:organizations::210987654321:ou/o-9zq8w7e6r5/ou-k2m4-3p5q7r9t";
const CONTROL_TOWER: &str = "arn:aws:controltower:eu-central-1::baseline/17BSJV3IGJ2QSGA2";
const UNKNOWN: &str = "arn:aws:controltower:eu-central-1::baseline/ZZZZZZZZZZZZZZZZ";

/// An account is enrolled by any baseline, but not by a baseline on another kind of target.
#[rstest]
#[case::account(OF_AN_ACCOUNT, "SUCCEEDED", CONTROL_TOWER, true)]
#[case::by_another_baseline(OF_AN_ACCOUNT, "SUCCEEDED", UNKNOWN, true)]
#[case::failed(OF_AN_ACCOUNT, "FAILED", CONTROL_TOWER, false)]
#[case::under_change(OF_AN_ACCOUNT, "UNDER_CHANGE", CONTROL_TOWER, false)]
#[case::management(OF_MANAGEMENT, "SUCCEEDED", CONTROL_TOWER, false)]
#[case::unit(OF_AN_OU, "SUCCEEDED", CONTROL_TOWER, false)]
#[case::landing_zone(
    "arn:aws:controltower:eu-central-1:210987654321:landingzone/1A",
    "SUCCEEDED",
    UNKNOWN,
    false
)]
fn accounts_that_land_by_a_baseline(
    #[case] target: &str,
    #[case] status: &str,
    #[case] of: &str,
    #[case] lands: bool,
) {
    match action_for_event(&baseline(target, status.into(), of)).unwrap() {
        EventAction::Deliver(account) => {
            assert_eq!(
                (account.id.as_str(), account.created, lands),
                ("321098765432", false, true)
            );
        }
        other => assert!(!lands, "{other:?}"),
    }
}

/// A real event with broken details is an error; its other fields don't matter.
#[rstest]
#[case::no_details(json!({}), "has no `detail.serviceEventDetails.enableBaselineStatus.enabledBaselineDetails`")]
#[case::no_target(
    json!({ "enableBaselineStatus": { "enabledBaselineDetails": { "statusSummary": { "status": "SUCCEEDED" } } } }),
    "enabledBaselineDetails.targetIdentifier`: expected the ARN of an account or of an OU"
)]
#[case::no_status(
    json!({ "enableBaselineStatus": { "enabledBaselineDetails": { "targetIdentifier": OF_AN_ACCOUNT } } }),
    "enabledBaselineDetails.statusSummary.status`: expected `SUCCEEDED` or `FAILED`"
)]
fn broken_details(#[case] details: Value, #[case] problem: &str) {
    let text = json!({
        "source": "aws.controltower",
        "detail-type": "AWS Service Event via CloudTrail",
        "detail": { "eventName": "EnableBaseline", "eventType": "AwsServiceEvent",
            "serviceEventDetails": details },
    });
    let error = Event::parse(&text.to_string()).unwrap().managed_account().unwrap_err().to_string();
    assert!(
        error.starts_with("the event EnableBaseline has no ") && error.contains(problem),
        "{error}"
    );
}

/// An API call has the name of the event that it leads to.
#[rstest]
#[case("CreateManagedAccount")]
#[case("UpdateManagedAccount")]
#[case("EnableBaseline")]
#[case("UpdateLandingZone")]
fn calls_are_no_lifecycle_events(#[case] name: &str) {
    let call = fixture!("call-of-create-managed-account").replace("CreateManagedAccount", name);
    let by_kind = call.replace("AwsApiCall", "Unknown");
    let by_type = call.replace("AWS API Call via CloudTrail", "Unknown");
    for text in [call, by_kind, by_type] {
        let event = Event::parse(&text).unwrap();
        assert_eq!(event.managed_account(), Ok(None));
        assert!(event.is_api_call());
        assert_eq!(event.update_trigger(), UpdateTrigger::None);
    }
}

/// With details it is a lifecycle event, even if its type is that of a call. An event without
/// details is invalid.
#[test]
fn what_is_called_a_call_and_has_details_is_an_event() {
    let created = fixture!("create-managed-account-succeeded");
    let event = Event::parse(&created.replace("AwsServiceEvent", "AwsApiCall")).unwrap();
    assert!(matches!(event.managed_account(), Ok(Some(ManagedAccount::Succeeded { .. }))));
    let broken = created.replace("serviceEventDetails", "somethingElse");
    assert!(Event::parse(&broken).unwrap().managed_account().is_err());
}
