//! `[[routes]]`, and the routes for the key `on` of a notifier.

use serde_json::Value as Json;
use toml::de::DeTable;

use super::keys;
use super::problem::suggestion;
use super::reader::{KeyValue, Reader, Section};
use super::{NotifierConfig, PolicyConfig};
use crate::decision::Action;
use crate::pattern::Pattern;
use crate::route::{EventMatch, OncePer, Route};

/// The event of a notifier without `on` that no route names.
const CREATED: &str = "CreateManagedAccount";

/// Reads the routes: those of the config, in their order, and then those of `on`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: Option<&DeTable<'_>>,
    policies: &[PolicyConfig],
    notifiers: &[NotifierConfig],
) -> Vec<Route> {
    let mut routes = Vec::new();
    let asked = policies.iter().filter(|policy| policy.actions.contains(&Action::Onboard));
    let asked: Vec<&str> = asked.map(|policy| policy.plugin_config.name.as_str()).collect();
    let known = notifiers.iter().map(|notifier| notifier.plugin_config.name.as_str());
    let known: Vec<&str> = known.collect();
    for section in reader.tables::<keys::Routes>(root) {
        let when = read_when(reader, &section);
        let route = section.keys;
        let what = "a policy that is asked about `onboard`";
        check_names(reader, "routes.policies", &route.policies, &asked, what);
        check_names(reader, "routes.notifiers", &route.notifiers, &known, "a notifier");
        if let (Some(when), Some(notifiers)) = (when, route.notifiers.value) {
            let (policies, once_per) = (route.policies.value, route.once_per.value);
            routes.push(Route { when, policies, notifiers, once_per });
        }
    }
    for notifier in notifiers {
        let name = &notifier.plugin_config.name;
        let named = routes.iter().any(|route| route.notifiers.contains(name));
        let events = match &notifier.on {
            Some(on) => on.clone(),
            None if named => continue,
            None => vec![CREATED.to_owned()],
        };
        let when = EventMatch::ByName { events, states: vec!["SUCCEEDED".to_owned()] };
        let notifiers = vec![name.clone()];
        routes.push(Route { when, policies: None, notifiers, once_per: OncePer::Account });
    }
    routes
}

fn read_when(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_, keys::Routes>,
) -> Option<EventMatch> {
    let keys::Routes { events, states, pattern_json: json, .. } = &section.keys;
    let pattern = reader.freeform_table(section.table, &keys::ROUTE_PATTERN);
    match (&events.value, pattern, &json.value) {
        (Some(events), None, None) => {
            Some(EventMatch::ByName { events: events.clone(), states: states.value.clone() })
        }
        (None, Some(pattern), None) => {
            let settings = pattern.read(reader)?;
            read_pattern(reader, "pattern", &settings.json, |at| settings.line(at))
        }
        (None, None, Some(text)) => match serde_json::from_str(text) {
            Ok(pattern) => read_pattern(reader, "pattern_json", &pattern, |_| json.line),
            Err(error) => {
                reader.problem(json.line, format!("`pattern_json` is not JSON: {error}"));
                None
            }
        },
        (Some(_), pattern, _) => {
            let (line, other) = match pattern {
                Some(pattern) => (pattern.line, "pattern"),
                None => (json.line, "pattern_json"),
            };
            reader.problem(line, format!("a route has `events` or a `{other}`, not both"));
            None
        }
        (None, Some(_), Some(_)) => {
            reader.problem(json.line, "a route has a `pattern` or a `pattern_json`, not both");
            None
        }
        (None, None, None) => {
            let message = "a route needs `events`, or a `pattern`: otherwise nothing takes it";
            reader.problem(section.line, message);
            None
        }
    }
}

/// Reads the pattern of a key; `line` returns the line of a part of it.
fn read_pattern(
    reader: &mut Reader<'_>,
    key: &str,
    pattern: &Json,
    line: impl Fn(&str) -> usize,
) -> Option<EventMatch> {
    match Pattern::parse(pattern) {
        Ok(pattern) => Some(EventMatch::ByPattern(pattern)),
        Err(error) => {
            let at = error.at.trim_start_matches('/').replace('/', ".");
            let at = if at.is_empty() { String::new() } else { format!(".{at}") };
            reader.problem(line(&error.at), format!("`{key}{at}`: {}", error.problem));
            None
        }
    }
}

fn check_names(
    reader: &mut Reader<'_>,
    key: &str,
    names: &KeyValue<Option<Vec<String>>>,
    known: &[&str],
    what: &str,
) {
    for name in names.value.iter().flatten() {
        if !known.contains(&name.as_str()) {
            let hint = suggestion(name, known.iter().copied());
            reader.problem(names.line, format!("`{name}` in `{key}` is not {what}{hint}"));
        }
    }
}
