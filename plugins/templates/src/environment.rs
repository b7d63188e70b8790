//! The filters of templates, and how inserted values are written.

use std::fmt::Write as _;

use minijinja::{
    AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value, filters, tests,
};

/// The escaping of URLs. The names of URL templates begin with it.
const URL: &str = "url:";

/// The name of a URL template.
pub(crate) fn url_name(at: &str) -> String {
    format!("{URL}{at}")
}

/// Only few of minijinja's filters and tests: all of them together are as large as the rest of a
/// plugin, and nearly none is useful in a notification.
pub(crate) fn new() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // So that errors contain the names of undefined variables.
    environment.set_debug(true);
    environment.set_auto_escape_callback(|name| match name.starts_with(URL) {
        true => AutoEscape::Custom(URL.into()),
        false => AutoEscape::None,
    });
    environment.set_formatter(write);
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

/// Writes the value of `{{ … }}`.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    // A safe value was written here before: a part of the template that was captured.
    if *state.auto_escape() == AutoEscape::None || value.is_safe() {
        write!(out, "{value}")?;
        return Ok(());
    }
    for byte in value.to_string().bytes() {
        // RFC 3986, 2.3.
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.write_char(byte.into())?,
            false => write!(out, "%{byte:02X}")?,
        }
    }
    Ok(())
}
