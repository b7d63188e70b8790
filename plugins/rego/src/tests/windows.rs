//! `maintenance-window.rego` holds exactly as long as necessary.

use groundcrew_sdk::{Action, Policy as _, PolicyDecision};
use rstest::rstest;
use serde_json::json;

use super::cases::ready_made;
use super::fleet;

/// At the end of a hold the window is open, and at no time before that.
#[rstest]
#[case("Europe/Berlin")]
#[case("America/New_York")]
#[case("Australia/Lord_Howe")]
#[case("Pacific/Kiritimati")]
fn a_hold_ends_when_it_opens(#[case] timezone: &str) {
    let settings = json!({
        "timezone": timezone,
        "windows": [
            { "days": ["Friday", "Saturday"], "start": "22:00", "end": "04:00" },
            { "days": ["Tuesday"], "start": "00:00", "end": "00:00" },
            { "days": ["Sunday"], "start": "11:30", "end": "24:00" },
        ],
        "freezes": [
            { "name": "a", "from": "2026-05-01T00:00:00Z", "until": "2026-06-13T23:00:00Z" },
            { "name": "b", "from": "2026-12-18T00:00:00Z", "until": "2027-01-02T00:00:00Z" },
            { "name": "c", "from": "2027-01-01T00:00:00Z", "until": "2027-02-04T00:00:00Z" },
        ],
    });
    let serde_json::Value::Object(settings) = settings else { panic!("{settings}") };
    let policy = ready_made("maintenance-window.rego", settings, vec![]);
    let mut held = 0;
    for mut candidate in fleet::candidates(7).take(60) {
        candidate.action = Action::Update;
        let now = candidate.now;
        let Ok(PolicyDecision::Hold(hold)) = policy.evaluate(&candidate) else { continue };
        held += 1;
        for part in 1..=10 {
            candidate.now = hold.until - (hold.until - now) / 10 * part;
            let answer = policy.evaluate(&candidate);
            let Ok(PolicyDecision::Hold(again)) = answer else { panic!("{now}: {candidate:?}") };
            assert_eq!(again.until, hold.until, "{now}: {candidate:?}");
        }
        candidate.now = hold.until - 1;
        assert!(
            matches!(policy.evaluate(&candidate), Ok(PolicyDecision::Hold(_))),
            "{candidate:?}"
        );
        candidate.now = hold.until;
        assert_eq!(policy.evaluate(&candidate), Ok(PolicyDecision::Abstain), "{candidate:?}");
    }
    assert!(held > 20, "{held}");
}
