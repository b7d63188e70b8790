//! Routes: which events are told to which notifiers, through which policies.

use std::fmt;

use strum::{Display, EnumString, VariantNames};

use crate::event::Event;
use crate::pattern::Pattern;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which events take it.
    pub when: EventMatch,
    /// Names of the policies that are asked; `None`: all that are asked about onboarding.
    pub policies: Option<Vec<String>>,
    /// Names of the notifiers that are told.
    pub notifiers: Vec<String>,
    /// How often they are told of an account that landed or was updated.
    pub once_per: OncePer,
}

/// How often a notifier is told of an account that landed or was updated. Of any other event it is
/// told once for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum OncePer {
    /// Once in the life of the account, whichever event says so: onboarding.
    #[default]
    Account,
    /// Once for each event, for those who want to know of every update or move.
    Event,
}

/// Which events take a route.
#[derive(Clone, Debug, PartialEq)]
pub enum EventMatch {
    /// Those of these names and states.
    ByName {
        /// Names of lifecycle events.
        events: Vec<String>,
        /// How they ended: one of these. An event that doesn't say has no state.
        states: Vec<String>,
    },
    /// Those that match.
    ByPattern(Pattern),
}

impl Route {
    /// Whether an event takes it. Who wants to be told once of each account that is created is told
    /// of those as well that land by a baseline alone, for which no event of that name comes.
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
    /// Whether the route says by itself that it wants this event, and not only for what it tells of an
    /// account that lands.
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

    /// Who wants to know of each event is told of what it names, and of nothing else.
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
