//! `[[routes]]`, and the routes that `on` of a notifier stands for.

use serde_json::Value as Json;
use toml::de::DeTable;

use super::keys;
use super::problem::suggestion;
use super::reader::{Reader, Section, Settings};
use super::{Notifier, Policy};
use crate::decision::Action;
use crate::pattern::Pattern;
use crate::route::{OncePer, Route, When};

/// What a notifier listens to that no route names and that says nothing itself.
const CREATED: &str = "CreateManagedAccount";

/// Reads the routes: those that are written, in their order, and then those of `on`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    policies: &[Policy],
    notifiers: &[Notifier],
) -> Vec<Route> {
    let mut routes = Vec::new();
    for section in reader.tables(root, "routes", &keys::ROUTES, &["pattern"]) {
        let when = read_when(reader, &section);
        let asked = policies.iter().filter(|policy| policy.actions.contains(&Action::Onboard));
        let asked: Vec<&str> = asked.map(|policy| policy.component.name.as_str()).collect();
        let policies = section.texts(reader, "policies");
        let what = "a policy that is asked about `onboard`";
        check_names(reader, &section, "policies", policies.as_deref(), &asked, what);
        let known: Vec<&str> =
            notifiers.iter().map(|notifier| notifier.component.name.as_str()).collect();
        let once_per = section.text(reader, "once_per");
        let once_per = once_per.as_deref().map_or(OncePer::Account, OncePer::named);
        let notifiers = section.texts(reader, "notifiers");
        check_names(reader, &section, "notifiers", notifiers.as_deref(), &known, "a notifier");
        if let (Some(when), Some(notifiers)) = (when, notifiers) {
            routes.push(Route { when, policies, notifiers, once_per });
        }
    }
    for notifier in notifiers {
        let name = &notifier.component.name;
        let named = routes.iter().any(|route| route.notifiers.contains(name));
        let events = match &notifier.on {
            Some(on) => on.clone(),
            None if named => continue,
            None => vec![CREATED.to_owned()],
        };
        let when = When::Named { events, states: vec!["SUCCEEDED".to_owned()] };
        let notifiers = vec![name.clone()];
        routes.push(Route { when, policies: None, notifiers, once_per: OncePer::Account });
    }
    routes
}

fn read_when(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<When> {
    let events = section.texts(reader, "events");
    let states = section.texts(reader, "states")?;
    let json = section.text(reader, "pattern_json");
    let pattern = section.table.and_then(|table| table.get_key_value("pattern"));
    let in_toml = pattern.map(|(key, _)| reader.line(key.span().start));
    let in_json = json.is_some().then(|| section.line_of(reader, "pattern_json"));
    match (events, pattern, json) {
        (Some(events), None, None) => Some(When::Named { events, states }),
        (None, Some((_, value)), None) => {
            let line = in_toml.unwrap_or(section.line);
            let Some(table) = value.get_ref().as_table() else {
                reader.problem(line, "`pattern` is not a table");
                return None;
            };
            let settings = Settings::read(reader, table, line);
            read_pattern(reader, "pattern", &settings.json, |at| settings.line(at))
        }
        (None, None, Some(json)) => {
            let line = in_json.unwrap_or(section.line);
            match serde_json::from_str(&json) {
                Ok(json) => read_pattern(reader, "pattern_json", &json, |_| line),
                Err(error) => {
                    reader.problem(line, format!("`pattern_json` is not JSON: {error}"));
                    None
                }
            }
        }
        (Some(_), ..) => {
            let line = in_toml.or(in_json).unwrap_or(section.line);
            let other = if in_toml.is_some() { "pattern" } else { "pattern_json" };
            reader.problem(line, format!("a route has `events` or a `{other}`, not both"));
            None
        }
        (None, Some(_), Some(_)) => {
            let line = in_json.unwrap_or(section.line);
            reader.problem(line, "a route has a `pattern` or a `pattern_json`, not both");
            None
        }
        (None, None, None) => {
            let message = "a route needs `events`, or a `pattern`: otherwise nothing takes it";
            reader.problem(section.line, message);
            None
        }
    }
}

/// Reads the pattern of a key; `line` tells where something of it is written.
fn read_pattern(
    reader: &mut Reader<'_>,
    key: &str,
    pattern: &Json,
    line: impl Fn(&str) -> usize,
) -> Option<When> {
    match Pattern::read(pattern) {
        Ok(pattern) => Some(When::Matches(pattern)),
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
    section: &Section<'_, '_>,
    key: &str,
    names: Option<&[String]>,
    known: &[&str],
    what: &str,
) {
    for name in names.unwrap_or_default() {
        if !known.contains(&name.as_str()) {
            let hint = suggestion(name, known.iter().copied());
            let line = section.line_of(reader, key);
            reader.problem(line, format!("`{name}` in `routes.{key}` is not {what}{hint}"));
        }
    }
}
