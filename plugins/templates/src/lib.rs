//! Templates in the settings of notifiers. Wrong templates are found when the config is checked,
//! not when an account is created.
//!
//! They are Jinja templates, rendered by minijinja. The values of a notification are data to them:
//! one line of text each, with any characters, and never a template. In URLs
//! ([`Templates::add_url`]) inserted values are percent-encoded, and in JSON
//! ([`Templates::add_json`]) they are texts, so that no account name can add a path, a parameter or
//! a field.

#![deny(missing_docs)]

mod environment;
mod json;
#[cfg(test)]
mod tests;
mod variables;

use groundcrew_sdk::{Failure, Notification, Problem};
use minijinja::{Environment, Error, ErrorKind, Template};

use variables::VARIABLE_NAMES;
pub use variables::one_line;

/// A plugin's own variables with their values; for a check, with sample values.
pub type ExtraVariables<'a> = &'a [(&'a str, &'a str)];

/// The templates of one plugin's settings. The key of each is the JSON pointer of its setting.
pub struct Templates(Environment<'static>);

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

impl Templates {
    /// No templates yet.
    pub fn new() -> Self {
        Self(environment::new())
    }

    /// Adds a template, and renders it with samples: with an account with all fields, and with one
    /// that has only id and name. `accept` returns what is wrong with a rendered text.
    ///
    /// Returns the problems: every unknown name, or else the first other problem.
    pub fn add_text(
        &mut self,
        at: &str,
        source: &str,
        extra: ExtraVariables<'_>,
        accept: impl Fn(&Notification, &str) -> Result<(), String>,
    ) -> Vec<Problem> {
        self.add(at, at.to_owned(), source, extra, accept)
    }

    /// Adds the template of a URL, as [`add_text`](Self::add_text) does. Inserted values are
    /// percent-encoded.
    pub fn add_url(&mut self, at: &str, source: &str, extra: ExtraVariables<'_>) -> Vec<Problem> {
        self.add(at, environment::url_name(at), source, extra, |_, url| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
            if host.is_none_or(str::is_empty) {
                return Err("expected a URL that begins with `https://` and a host".to_owned());
            }
            match url.chars().find(|&c| !c.is_ascii_graphic() || "<>\"{}|\\^`".contains(c)) {
                Some(c) => Err(format!("{c:?} must be percent-encoded in a URL")),
                None => Ok(()),
            }
        })
    }

    fn add(
        &mut self,
        at: &str,
        name: String,
        source: &str,
        extra: ExtraVariables<'_>,
        accept: impl Fn(&Notification, &str) -> Result<(), String>,
    ) -> Vec<Problem> {
        let problems = match self.0.add_template_owned(name.clone(), source.to_owned()) {
            Ok(()) => self.check(&name, extra, accept),
            Err(error) => vec![describe(&error)],
        };
        problems.into_iter().map(|problem| Problem::new(at, problem)).collect()
    }

    /// The problems of a template that could be compiled.
    fn check(
        &self,
        name: &str,
        extra: ExtraVariables<'_>,
        accept: impl Fn(&Notification, &str) -> Result<(), String>,
    ) -> Vec<String> {
        let unknown = self.0.get_template(name).map(|template| unknown(&template, extra));
        if let Ok(problems) = unknown
            && !problems.is_empty()
        {
            return problems;
        }
        let [full, sparse] = variables::samples();
        let try_on = |sample: &Notification| {
            self.render_template(name, sample, extra).and_then(|text| accept(sample, &text)).err()
        };
        let problem = try_on(&full).or_else(|| {
            let problem = try_on(&sparse)?;
            Some(format!("{problem}, when only id and name of the account are known"))
        });
        problem.into_iter().collect()
    }

    /// Renders the template of a setting for a notification.
    ///
    /// # Errors
    /// When it can't be rendered for this notification.
    pub fn render(
        &self,
        at: &str,
        notification: &Notification,
        extra: ExtraVariables<'_>,
    ) -> Result<String, Failure> {
        self.render_template(at, notification, extra)
            .map_err(|problem| render_failure(at, &problem))
    }

    /// Renders the URL template of a setting for a notification.
    ///
    /// # Errors
    /// When it can't be rendered for this notification.
    pub fn render_url(
        &self,
        at: &str,
        notification: &Notification,
        extra: ExtraVariables<'_>,
    ) -> Result<String, Failure> {
        let name = environment::url_name(at);
        self.render_template(&name, notification, extra)
            .map_err(|problem| render_failure(at, &problem))
    }

    /// Whether the URL of a setting contains, after the host, the account's id or one of these
    /// variables of the plugin. Then each account has a URL of its own.
    pub fn url_names_account(&self, at: &str, extra: ExtraVariables<'_>) -> bool {
        self.holds_for_two_accounts(at, extra, |place, id| {
            place.contains(id) || extra.iter().any(|(_, value)| place.contains(value))
        })
    }

    /// Whether the path of such a URL contains the account's id. A system may ignore the query.
    pub fn path_names_account(&self, at: &str) -> bool {
        self.holds_for_two_accounts(at, &[], |place, id| {
            place.split(['?', '#']).next().is_some_and(|path| path.contains(id))
        })
    }

    /// Whether the predicate holds for the part of a URL after its host and the account's id. It is
    /// tried with two ids, so that an id that is written in the template doesn't count.
    fn holds_for_two_accounts(
        &self,
        at: &str,
        extra: ExtraVariables<'_>,
        holds: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let name = environment::url_name(at);
        variables::samples().into_iter().all(|sample| {
            ["111122223333", "444455556666"].into_iter().all(|id| {
                let mut sample = sample.clone();
                sample.key = sample.key.replace(&sample.account.id, id);
                sample.account.id = id.to_owned();
                let url = self.render_template(&name, &sample, extra).unwrap_or_default();
                let place = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
                place.is_some_and(|(_, place)| holds(place, id))
            })
        })
    }

    fn render_template(
        &self,
        name: &str,
        notification: &Notification,
        extra: ExtraVariables<'_>,
    ) -> Result<String, String> {
        let variables = variables::variables_for(notification, extra);
        self.0
            .get_template(name)
            .and_then(|template| template.render(variables))
            .map_err(|error| describe(&error))
    }
}

/// The failure when a rendered template can't be used for this notification.
pub fn render_failure(at: &str, problem: &str) -> Failure {
    let setting = at.trim_start_matches('/').replace('/', ".").replace("~1", "/");
    let setting = setting.replace("~0", "~");
    Failure::invalid("template", format!("the setting `{setting}`: {problem}"))
}

/// The failure of a notifier that keeps records of accounts, for an event without an account.
///
/// # Errors
/// When the event has no account.
pub fn require_account(notification: &Notification) -> Result<(), Failure> {
    if !notification.account.id.is_empty() {
        return Ok(());
    }
    let event = notification.event.as_ref().map_or("the event", |event| event.name.as_str());
    Err(Failure::invalid(
        "no-account",
        format!(
            "{event} is about no account, of which alone there are records here: lead it to another notifier"
        ),
    ))
}

/// Accepts every text.
pub fn accept_any(_: &Notification, _: &str) -> Result<(), String> {
    Ok(())
}

/// Accepts every text that is not blank.
///
/// # Errors
/// When it is blank.
pub fn reject_blank(_: &Notification, text: &str) -> Result<(), String> {
    match text.trim().is_empty() {
        true => Err("renders to nothing: expected a text".to_owned()),
        false => Ok(()),
    }
}

/// The unknown names in a template, wherever they are in it.
fn unknown(template: &Template<'_, '_>, extra: ExtraVariables<'_>) -> Vec<String> {
    let extra: Vec<&str> = extra.iter().map(|(name, _)| *name).collect();
    let mut names: Vec<_> = template
        .undeclared_variables(true)
        .into_iter()
        .filter(|name| !is_known(name) && !extra.contains(&name.as_str()))
        .map(|name| (line_number(template.source(), &name), name))
        .collect();
    names.sort_unstable();
    let known: Vec<&str> = VARIABLE_NAMES.into_iter().chain(extra).collect();
    let known = known.join(", ");
    names
        .into_iter()
        .map(|(line, name)| format!("line {line}: `{name}` is not known; known are {known}"))
        .collect()
}

/// Whether a template can refer to the name: it is one of [`VARIABLE_NAMES`], a part of one that
/// has parts, or a common prefix of several, such as `account`.
fn is_known(name: &str) -> bool {
    let within = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    VARIABLE_NAMES.iter().any(|known| within(name, known))
        || within("account.tags", name)
        || within("account.organizational_units", name)
}

/// The first line that contains the name in a tag.
fn line_number(source: &str, name: &str) -> usize {
    let in_tag = |before: &str| {
        let last = |mark: [&str; 2]| mark.iter().filter_map(|mark| before.rfind(mark)).max();
        last(["{{", "{%"]) > last(["}}", "%}"])
    };
    source
        .match_indices(name)
        .map(|(at, _)| &source[..at])
        .find(|before| in_tag(before))
        .map_or(1, |before| before.matches('\n').count() + 1)
}

/// Line and cause of an error.
fn describe(error: &Error) -> String {
    let line = error.line().unwrap_or(1);
    let cause = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError | ErrorKind::SyntaxError, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    format!("line {line}: {cause}")
}
