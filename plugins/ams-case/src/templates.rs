//! Subject and body: found to be wrong before they are used.

use groundcrew_sdk::{Failure, Notification, Problem};
use minijinja::{Environment, Error, ErrorKind, Template, UndefinedBehavior, filters, tests};

use crate::variables::{self, NAMES};

/// The settings that are templates, by whose names they go here.
const SUBJECT: &str = "subject";
const BODY: &str = "body";

/// Longest body that AWS Support takes, in characters, the host's reference line included.
const MAX_BODY: usize = 8000;

/// Both templates.
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    /// Compiles the templates and tries them on samples.
    ///
    /// # Errors
    /// What is wrong with them: of each template every name that is not known, or else its
    /// first other problem.
    pub(crate) fn new(subject: &str, body: &str) -> Result<Self, Vec<Problem>> {
        let mut environment = environment();
        let problems: Vec<_> = [(SUBJECT, subject), (BODY, body)]
            .into_iter()
            .flat_map(|(name, source)| {
                let problems = match environment.add_template_owned(name, source.to_owned()) {
                    Ok(()) => check(&environment, name),
                    Err(error) => vec![describe(&error)],
                };
                problems.into_iter().map(move |problem| Problem::new(format!("/{name}"), problem))
            })
            .collect();
        if problems.is_empty() { Ok(Self(environment)) } else { Err(problems) }
    }

    /// Subject and body for a notification.
    ///
    /// # Errors
    /// When a template makes nothing of it that can be sent.
    pub(crate) fn render(&self, notification: &Notification) -> Result<(String, String), Failure> {
        let render = |name| {
            render(&self.0, name, notification).map_err(|problem| {
                Failure::invalid("template", format!("the setting `{name}`: {problem}"))
            })
        };
        Ok((render(SUBJECT)?, render(BODY)?))
    }
}

/// What templates can use. Few of minijinja's filters and tests: all of them are as large as
/// the rest of this plugin, and nearly none is of use to a case.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // So that errors have the names of what is undefined.
    environment.set_debug(true);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("indent", filters::indent);
    environment.add_filter("items", filters::items);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("title", filters::title);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("startingwith", tests::is_startingwith);
    environment
}

/// What is wrong with a template that could be compiled.
fn check(environment: &Environment<'static>, name: &str) -> Vec<String> {
    let unknown = environment.get_template(name).map(|template| unknown(&template));
    if let Ok(problems) = unknown
        && !problems.is_empty()
    {
        return problems;
    }
    let [full, sparse] = variables::samples();
    let problem = render(environment, name, &full).err().or_else(|| {
        let problem = render(environment, name, &sparse).err()?;
        Some(format!("{problem}, when only id and name of the account are known"))
    });
    problem.into_iter().collect()
}

/// The names in a template that it can't refer to, wherever they are in it.
fn unknown(template: &Template<'_, '_>) -> Vec<String> {
    let mut names: Vec<_> = template
        .undeclared_variables(true)
        .into_iter()
        .filter(|name| !is_known(name))
        .map(|name| (line_of(template.source(), &name), name))
        .collect();
    names.sort_unstable();
    let known = NAMES.join(", ");
    names
        .into_iter()
        .map(|(line, name)| format!("line {line}: `{name}` is not known; known are {known}"))
        .collect()
}

/// Whether a template can refer to it: to one of [`NAMES`], to a part of such a one that has
/// parts, or to several at once, as `account`.
fn is_known(name: &str) -> bool {
    let within = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    NAMES.iter().any(|known| within(name, known))
        || within("account.tags", name)
        || within("account.organizational_units", name)
}

/// The first line that has the name in a tag.
fn line_of(source: &str, name: &str) -> usize {
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

/// Renders a template to a text that can be sent.
fn render(
    environment: &Environment<'_>,
    name: &str,
    notification: &Notification,
) -> Result<String, String> {
    let text = environment
        .get_template(name)
        .and_then(|template| template.render(variables::of(notification)))
        .map_err(|error| describe(&error))?;
    if text.trim().is_empty() {
        return Err("renders to nothing: expected a text".to_owned());
    }
    let length = text.trim_end().chars().count() + reference(&notification.key);
    if name == BODY && length > MAX_BODY {
        return Err(format!(
            "renders to {length} characters, the host's reference line included: AWS Support \
             takes {MAX_BODY}"
        ));
    }
    Ok(text)
}

/// How many characters the host adds to close the body.
fn reference(key: &str) -> usize {
    "\n\nRef: groundcrew/".len() + key.chars().count()
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
