//! Events as EventBridge delivers them, from the fixtures, and texts that are none.

use groundcrew_core::event::{Event, EventError, Wake};
use rstest::rstest;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/events/", $name, ".json"))
    };
}

fn account() -> Wake {
    Wake::Account("111122223333".parse().unwrap())
}

#[rstest]
#[case::created(fixture!("create-managed-account-succeeded"), "CreateManagedAccount", account())]
#[case::updated(fixture!("update-managed-account-succeeded"), "UpdateManagedAccount", account())]
// Its account id is the text `Not Available`.
#[case::failed(fixture!("create-managed-account-failed"), "CreateManagedAccount", Wake::Sweep)]
#[case::landing_zone(fixture!("update-landing-zone-succeeded"), "UpdateLandingZone", Wake::Sweep)]
#[case::artifact(fixture!("update-provisioning-artifact"), "UpdateProvisioningArtifact", Wake::Sweep)]
fn fixtures_wake_the_engine(#[case] text: &str, #[case] name: &str, #[case] wake: Wake) {
    let event = Event::parse(text).unwrap();
    assert_eq!(event.name, name);
    assert_eq!(event.wake(), wake);
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
    assert_eq!(Event::parse(&text).unwrap().wake(), Wake::None);
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
