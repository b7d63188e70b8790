//! Events as EventBridge delivers them, from the fixtures, and texts that are not events.

use groundcrew_core::account::OrganizationalUnit;
use groundcrew_core::event::{Event, EventError, ManagedAccount, UpdateTrigger};
use rstest::rstest;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/events/", $name, ".json"))
    };
}

fn account() -> UpdateTrigger {
    UpdateTrigger::Account("111122223333".parse().unwrap())
}

#[rstest]
#[case::created(fixture!("create-managed-account-succeeded"), "CreateManagedAccount", account())]
#[case::updated(fixture!("update-managed-account-succeeded"), "UpdateManagedAccount", account())]
// Its account id is the text `Not Available`.
#[case::failed(fixture!("create-managed-account-failed"), "CreateManagedAccount", UpdateTrigger::Sweep)]
#[case::landing_zone(fixture!("update-landing-zone-succeeded"), "UpdateLandingZone", UpdateTrigger::Sweep)]
#[case::artifact(fixture!("update-provisioning-artifact"), "UpdateProvisioningArtifact", UpdateTrigger::Sweep)]
fn fixtures_wake_the_engine(#[case] text: &str, #[case] name: &str, #[case] wake: UpdateTrigger) {
    let event = Event::parse(text).unwrap();
    assert_eq!(event.name, name);
    assert_eq!(event.update_trigger(), wake);
    assert!(event.time.is_some());
    assert!(!event.id.is_empty());
}

#[test]
fn the_role_that_called_is_told() {
    let event = Event::parse(fixture!("update-provisioning-artifact")).unwrap();
    let role = "arn:aws:iam::123456789012:role/service-role/AWSControlTowerAdmin";
    assert_eq!(event.caller_role.as_deref(), Some(role));
}

#[rstest]
#[case::unknown_name("aws.controltower", "EnableGuardrail")]
#[case::unknown_source("aws.ec2", "UpdateManagedAccount")]
#[case::our_own_updates("aws.servicecatalog", "UpdateProvisionedProduct")]
fn other_events_wake_nobody(#[case] source: &str, #[case] name: &str) {
    let text = format!("{{\"source\":\"{source}\",\"detail\":{{\"eventName\":\"{name}\"}}}}");
    assert_eq!(Event::parse(&text).unwrap().update_trigger(), UpdateTrigger::None);
}

#[rstest]
#[case("", "the event is not JSON")]
#[case("[]", "the event has no `source`")]
#[case("{\"source\":7}", "the event has no `source`")]
#[case("{\"source\":\"aws.controltower\"}", "the event has no `detail.eventName`")]
fn what_is_no_event_is_told_apart(#[case] text: &str, #[case] told: &str) {
    let error: EventError = Event::parse(text).unwrap_err();
    assert!(error.to_string().starts_with(told), "{error}");
}

fn told_of(text: &str) -> Result<Option<ManagedAccount>, EventError> {
    Event::parse(text).unwrap().managed_account()
}

#[rstest]
#[case(fixture!("create-managed-account-succeeded"))]
#[case(fixture!("update-managed-account-succeeded"))]
fn an_account_that_landed_is_told(#[case] text: &str) {
    let ManagedAccount::Succeeded { id, name, organizational_unit } =
        told_of(text).unwrap().unwrap()
    else {
        panic!("it succeeded")
    };
    assert_eq!(id.as_str(), "111122223333");
    assert_eq!(name.as_deref(), Some("LifeCycle1"));
    let unit = OrganizationalUnit { id: "ou-abcd-l3zc8b3h".to_owned(), name: "Custom".to_owned() };
    assert_eq!(organizational_unit, Some(unit));
}

#[test]
fn a_failed_creation_is_told_as_failed() {
    let told = told_of(fixture!("create-managed-account-failed")).unwrap().unwrap();
    assert!(matches!(told, ManagedAccount::Failed { .. }), "{told:?}");
}

#[rstest]
#[case(fixture!("update-landing-zone-succeeded"))]
#[case(fixture!("update-provisioning-artifact"))]
#[case(r#"{"source":"our.app","detail":{"eventName":"CreateManagedAccount"}}"#)]
#[case(r#"{"source":"aws.controltower","detail-type":"Drift Detected","detail":{}}"#)]
fn other_events_tell_of_no_account(#[case] text: &str) {
    assert_eq!(told_of(text), Ok(None));
}

#[rstest]
#[case::no_body("{}", "has no `detail.serviceEventDetails.createManagedAccountStatus`")]
#[case::no_state(
    r#"{"createManagedAccountStatus":{"account":{"accountId":"111122223333"}}}"#,
    "createManagedAccountStatus.state`: expected `SUCCEEDED` or `FAILED`"
)]
#[case::other_state(
    r#"{"createManagedAccountStatus":{"state":"DONE","account":{"accountId":"111122223333"}}}"#,
    "state` \"DONE\": expected"
)]
#[case::no_account(
    r#"{"createManagedAccountStatus":{"state":"SUCCEEDED"}}"#,
    "has no `detail.serviceEventDetails.createManagedAccountStatus.account.accountId`"
)]
#[case::not_available(
    r#"{"createManagedAccountStatus":{"state":"SUCCEEDED","account":{"accountId":"Not Available"}}}"#,
    "accountId` \"Not Available\": expected twelve digits"
)]
#[case::a_number(
    r#"{"createManagedAccountStatus":{"state":"SUCCEEDED","account":{"accountId":111122223333}}}"#,
    "has no `detail.serviceEventDetails.createManagedAccountStatus.account.accountId`"
)]
fn what_is_missing_is_named(#[case] details: &str, #[case] problem: &str) {
    let text = format!(
        r#"{{"source":"aws.controltower","detail":{{"eventName":"CreateManagedAccount","serviceEventDetails":{details}}}}}"#
    );
    let error = told_of(&text).unwrap_err().to_string();
    assert!(error.starts_with("the event CreateManagedAccount has "), "{error}");
    assert!(error.contains(problem), "{error}");
}

#[rstest]
#[case::rule(r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#, true)]
#[case::scheduler(r#"{"source":"groundcrew","detail-type":"Sweep"}"#, true)]
#[case::anything_else(fixture!("update-provisioning-artifact"), false)]
fn schedules(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(Event::parse(text).unwrap().is_schedule(), expected);
}

/// Two events that differ only in the fields that CloudTrail sets are two events. A repeat of one,
/// under another id of EventBridge's, is the same event.
#[rstest]
#[case::call_without_details("aws.controltower", "null", false)]
#[case::another_service("aws.kms", r#"{"keyId":"k"}"#, false)]
#[case::lifecycle("aws.controltower", r#"{"enableControlStatus":{"state":"SUCCEEDED"}}"#, true)]
fn what_tells_events_apart(#[case] source: &str, #[case] details: &str, #[case] same: bool) {
    let event = |id: &str, trail: &str| {
        let text = format!(
            r#"{{"id":"{id}","source":"{source}","detail-type":"AWS Service Event via CloudTrail",
                "detail":{{"eventName":"A","eventID":"{trail}","serviceEventDetails":{details}}}}}"#
        );
        Event::parse(&text).unwrap().dedup_content()
    };
    assert_eq!(event("1", "x"), event("2", "x"));
    assert_eq!(event("1", "x") == event("2", "y"), same);
}
