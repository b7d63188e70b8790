//! The built-in functions that differ from OPA's, or whose errors matter.

mod patterns;
mod sprintf;
mod strings;
mod times;

use std::io;

use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use crate::message::{shorten, without_position};

/// The time function that the host provides.
pub(crate) const NOW: &str = "time.now_ns";

/// A function that replaces one of regorus.
type Function = fn(&[Value]) -> Result<Value, String>;

/// The functions whose results in regorus differ from OPA's, or that fail silently there.
const OVERRIDES: &[(&str, Function)] = &[
    ("array.slice", |args| call("array.slice", args)),
    ("bits.lsh", |args| call("bits.lsh", args)),
    ("bits.rsh", |args| call("bits.rsh", args)),
    ("count", strings::count),
    ("format_int", strings::format_int),
    ("glob.match", patterns::glob_match),
    ("glob.quote_meta", patterns::quote_meta),
    ("indexof", |args| strings::indexof("indexof", args)),
    ("indexof_n", |args| strings::indexof("indexof_n", args)),
    ("json.filter", |args| strings::by_path("json.filter", args)),
    ("json.marshal", |args| strings::marshal("json.marshal", args)),
    ("json.marshal_with_options", |args| strings::marshal("json.marshal_with_options", args)),
    ("json.remove", |args| strings::by_path("json.remove", args)),
    ("lower", strings::lower),
    ("numbers.range", |args| call("numbers.range", args)),
    ("numbers.range_step", |args| call("numbers.range_step", args)),
    ("object.subset", strings::subset),
    ("regex.find_all_string_submatch_n", |args| {
        patterns::with_pattern("regex.find_all_string_submatch_n", 0, args)
    }),
    ("regex.find_n", |args| patterns::with_pattern("regex.find_n", 0, args)),
    ("regex.is_valid", patterns::is_valid),
    ("regex.match", |args| patterns::with_pattern("regex.match", 0, args)),
    ("regex.replace", patterns::replace),
    ("regex.split", patterns::split),
    ("regex.template_match", patterns::template_match),
    ("replace", strings::replace),
    ("semver.compare", strings::semver_compare),
    ("semver.is_valid", strings::semver_is_valid),
    ("sprintf", sprintf::sprintf),
    ("strings.count", strings::strings_count),
    ("strings.replace_n", strings::replace_n),
    ("substring", strings::substring),
    ("time.add_date", times::add_date),
    ("time.clock", |args| times::clock_parts("time.clock", args)),
    ("time.date", |args| times::clock_parts("time.date", args)),
    ("time.diff", times::diff),
    ("time.format", times::format),
    ("time.parse_duration_ns", times::parse_duration),
    ("time.parse_ns", times::parse),
    ("time.parse_rfc3339_ns", times::parse_rfc3339),
    ("time.weekday", |args| times::clock_parts("time.weekday", args)),
    ("to_number", strings::to_number),
    ("units.parse", strings::units_parse),
    ("units.parse_bytes", strings::units_parse_bytes),
    ("upper", strings::upper),
];

/// Whether a function takes only its arguments, and no extra one for its result.
pub(crate) fn is_overridden(name: &str) -> bool {
    name == NOW || OVERRIDES.binary_search_by_key(&name, |(own, _)| own).is_ok()
}

/// Replaces these functions of regorus. Their errors have the function and the reason.
pub(crate) fn install_overrides(engine: &mut Engine) -> Result<(), String> {
    for &(name, function) in OVERRIDES {
        let arity = BUILTINS.get(name).map(|&(_, arity)| arity);
        let arity = arity.ok_or_else(|| format!("there is no function `{name}`"))?;
        let overriding = move |args: Vec<Value>| {
            let answer = function(&args).and_then(|value| match value {
                Value::Undefined => Err(failed(name, &args, "has no value")),
                value => Ok(value),
            });
            answer.map_err(|message| io::Error::other(shorten(&message)).into())
        };
        engine
            .add_extension(name.to_owned(), arity, Box::new(overriding))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Calls a built-in function of regorus.
///
/// # Errors
/// The call, and its error.
pub(crate) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let Some((function, _)) = BUILTINS.get(name) else {
        return Err(format!("there is no function `{name}`"));
    };
    // The position for errors of regorus. The caller knows the real one.
    let nowhere = Source::from_contents(String::new(), String::new());
    let source = nowhere.map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let param = |_| Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let params: Vec<_> = args.iter().map(param).collect();
    function(&span, &params, args, true)
        .map_err(|error| failed(name, args, &without_position(&error.to_string())))
}

fn failed(name: &str, args: &[Value], why: &str) -> String {
    let args: Vec<_> = args.iter().map(Value::to_string).collect();
    format!("{name}({}): {why}", shorten(&args.join(", ")))
}

/// An argument that must be a text.
fn text(args: &[Value], at: usize) -> Result<&str, String> {
    match args.get(at) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("expects a text, found {}", shorten(&other.to_string()))),
        None => Err("expects another argument".to_owned()),
    }
}
