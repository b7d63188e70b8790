//! Routes: which events lead to notifications by which notifiers, and which policies are evaluated.

use std::fmt;

use strum::{Display, EnumString, VariantNames};

use crate::event::Event;
use crate::pattern::Pattern;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which events it applies to.
    pub when: EventMatch,
    /// Names of the policies that are evaluated; `None`: all that apply to onboarding.
    pub policies: Option<Vec<String>>,
    /// Names of the notifiers that are notified.
    pub notifiers: Vec<String>,
    /// How often they are notified of an account that was enrolled or updated.
    pub once_per: OncePer,
}

/// How often a notifier is notified of an account that was enrolled or updated. It is notified of
/// any other event once for each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum OncePer {
    /// Once in the life of the account, by whichever event: onboarding.
    #[default]
    Account,
    /// Once for each event, for notifiers that need every update or move.
    Event,
}

/// Which events a route applies to.
#[derive(Clone, Debug, PartialEq)]
pub enum EventMatch {
    /// Events with one of these names and states.
    ByName {
        /// Names of lifecycle events.
        events: Vec<String>,
        /// One of these results. An event without a result has no state.
        states: Vec<String>,
    },
    /// Events that match.
    ByPattern(Pattern),
}

impl Route {
    /// Whether the route applies to an event. A route that notifies once of each created account
    /// also applies to accounts that are enrolled by a baseline alone, because they have no event
    /// of that name.
    pub fn matches(&self, event: &Event) -> bool {
        match &self.when {
            EventMatch::ByName { events, states } => {
                let named = |name: &str| events.iter().any(|event| event == name);
                let by_baseline = || {
                    self.once_per == OncePer::Account
                        && named("CreateManagedAccount")
                        && event.is_enrolled_by_baseline()
                };
                (named(&event.name) || by_baseline())
                    && event.state().is_some_and(|state| states.contains(&state))
            }
            EventMatch::ByPattern(pattern) => pattern.matches(event.root()),
        }
    }
}

impl Route {
    /// Whether the route names this event itself. Otherwise it may apply only because the event
    /// reports an enrolled account.
    pub fn names_event(&self, event: &Event) -> bool {
        match &self.when {
            EventMatch::ByName { events, .. } => events.contains(&event.name),
            EventMatch::ByPattern(_) => true,
        }
    }
}

/// For people: `CreateManagedAccount or UpdateManagedAccount`, with its state unless that is
/// `SUCCEEDED`.
impl fmt::Display for EventMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByName { events, states } => {
                f.write_str(&events.join(" or "))?;
                match states.as_slice() {
                    [state] if state == "SUCCEEDED" => Ok(()),
                    states => write!(f, " ({})", states.join(" or ")),
                }
            }
            Self::ByPattern(_) => f.write_str("events of a pattern"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const CREATED: &str =
        include_str!("../../../tests/events/create-managed-account-succeeded.json");
    const NOT_CREATED: &str =
        include_str!("../../../tests/events/create-managed-account-failed.json");

    const BASELINE: &str = include_str!("../../../tests/events/enable-baseline-of-an-account.json");
    const NOT_ENABLED: &str =
        include_str!("../../../tests/events/enable-baseline-of-an-account-failed.json");
    const OF_AN_OU: &str = include_str!("../../../tests/events/enable-baseline-of-an-ou.json");

    /// A notifier that gets each event is notified of the named events, and of no others.
    #[rstest]
    #[case("CreateManagedAccount", false)]
    #[case("EnableBaseline", true)]
    fn a_baseline_once_per_event(#[case] name: &str, #[case] expected: bool) {
        let when = named(&[name], &["SUCCEEDED"]);
        let once_per = OncePer::Event;
        let route = Route { when, policies: None, notifiers: vec![], once_per };
        assert_eq!(route.matches(&Event::parse(BASELINE).unwrap()), expected);
    }

    fn named(events: &[&str], states: &[&str]) -> EventMatch {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        EventMatch::ByName { events: owned(events), states: owned(states) }
    }

    #[rstest]
    #[case(named(&["A", "B"], &["SUCCEEDED"]), "A or B")]
    #[case(named(&["A"], &["FAILED"]), "A (FAILED)")]
    #[case(EventMatch::ByPattern(Pattern::parse(&json!({ "a": ["b"] })).unwrap()), "events of a pattern")]
    fn are_shown(#[case] when: EventMatch, #[case] expected: &str) {
        assert_eq!(when.to_string(), expected);
    }

    #[rstest]
    #[case(named(&["CreateManagedAccount"], &["SUCCEEDED"]), CREATED, true)]
    #[case(named(&["CreateManagedAccount"], &["SUCCEEDED"]), NOT_CREATED, false)]
    #[case(named(&["CreateManagedAccount"], &["FAILED"]), NOT_CREATED, true)]
    #[case(named(&["UpdateManagedAccount"], &["SUCCEEDED"]), CREATED, false)]
    #[case::landed_by_a_baseline(named(&["CreateManagedAccount"], &["SUCCEEDED"]), BASELINE, true)]
    #[case::by_its_own_name(named(&["EnableBaseline"], &["SUCCEEDED"]), BASELINE, true)]
    #[case::not_an_update(named(&["UpdateManagedAccount"], &["SUCCEEDED"]), BASELINE, false)]
    #[case::not_a_failure(named(&["CreateManagedAccount"], &["FAILED"]), BASELINE, false)]
    #[case::not_of_an_ou(named(&["CreateManagedAccount"], &["SUCCEEDED"]), OF_AN_OU, false)]
    #[case::no_baseline_failed(named(&["CreateManagedAccount"], &["FAILED"]), NOT_ENABLED, false)]
    #[case(named(&["Scheduled Event"], &["SUCCEEDED"]),
        r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#, false)]
    #[case(
        EventMatch::ByPattern(Pattern::parse(&json!({ "source": ["aws.controltower"] })).unwrap()),
        NOT_CREATED,
        true
    )]
    fn matches(#[case] when: EventMatch, #[case] event: &str, #[case] expected: bool) {
        let once_per = OncePer::Account;
        let route = Route { when, policies: None, notifiers: vec![], once_per };
        assert_eq!(route.matches(&Event::parse(event).unwrap()), expected);
    }
}
