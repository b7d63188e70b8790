//! Routes: which events are told to which notifiers, through which policies.

use std::fmt;

use serde_json::Value;

use crate::event::Event;
use crate::pattern::Pattern;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which events take it.
    pub when: When,
    /// Names of the policies that are asked; `None`: all that are asked about onboarding.
    pub policies: Option<Vec<String>>,
    /// Names of the notifiers that are told.
    pub notifiers: Vec<String>,
}

/// Which events take a route.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Those of these names and states.
    Named {
        /// Names of lifecycle events.
        events: Vec<String>,
        /// How they ended: one of these. An event that doesn't say has no state.
        states: Vec<String>,
    },
    /// Those that match.
    Matches(Pattern),
}

impl Route {
    /// Whether an event takes it.
    pub fn takes(&self, event: &Event) -> bool {
        match &self.when {
            When::Named { events, states } => {
                events.contains(&event.name)
                    && event.state().is_some_and(|state| states.contains(&state))
            }
            When::Matches(pattern) => serde_json::from_str::<Value>(&event.json)
                .is_ok_and(|event| pattern.matches(&event)),
        }
    }
}

/// For people: `CreateManagedAccount or UpdateManagedAccount`, with its state unless that is
/// `SUCCEEDED`.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { events, states } => {
                f.write_str(&events.join(" or "))?;
                match states.as_slice() {
                    [state] if state == "SUCCEEDED" => Ok(()),
                    states => write!(f, " ({})", states.join(" or ")),
                }
            }
            Self::Matches(_) => f.write_str("events of a pattern"),
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

    fn named(events: &[&str], states: &[&str]) -> When {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        When::Named { events: owned(events), states: owned(states) }
    }

    #[rstest]
    #[case(named(&["A", "B"], &["SUCCEEDED"]), "A or B")]
    #[case(named(&["A"], &["FAILED"]), "A (FAILED)")]
    #[case(When::Matches(Pattern::read(&json!({ "a": ["b"] })).unwrap()), "events of a pattern")]
    fn are_shown(#[case] when: When, #[case] expected: &str) {
        assert_eq!(when.to_string(), expected);
    }

    #[rstest]
    #[case(named(&["CreateManagedAccount"], &["SUCCEEDED"]), CREATED, true)]
    #[case(named(&["CreateManagedAccount"], &["SUCCEEDED"]), NOT_CREATED, false)]
    #[case(named(&["CreateManagedAccount"], &["FAILED"]), NOT_CREATED, true)]
    #[case(named(&["UpdateManagedAccount"], &["SUCCEEDED"]), CREATED, false)]
    #[case(named(&["Scheduled Event"], &["SUCCEEDED"]),
        r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#, false)]
    #[case(
        When::Matches(Pattern::read(&json!({ "source": ["aws.controltower"] })).unwrap()),
        NOT_CREATED,
        true
    )]
    fn takes(#[case] when: When, #[case] event: &str, #[case] expected: bool) {
        let route = Route { when, policies: None, notifiers: vec![] };
        assert_eq!(route.takes(&Event::parse(event).unwrap()), expected);
    }
}
