//! The built-in functions, where they differ from OPA's or it matters how they fail.

mod patterns;
mod sprintf;
mod texts;
mod times;

use std::io;

use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use crate::message::{shown, what};

/// The one function for times that is the host's.
pub(crate) const NOW: &str = "time.now_ns";

/// A function in the place of regorus's.
type Function = fn(&[Value]) -> Result<Value, String>;

/// The functions that regorus would answer differently from OPA, or where it would fail without
/// saying so.
const OWN: &[(&str, Function)] = &[
    ("array.slice", |args| call("array.slice", args)),
    ("bits.lsh", |args| call("bits.lsh", args)),
    ("bits.rsh", |args| call("bits.rsh", args)),
    ("count", texts::count),
    ("format_int", texts::format_int),
    ("glob.match", patterns::glob_match),
    ("glob.quote_meta", patterns::quote_meta),
    ("indexof", |args| texts::indexof("indexof", args)),
    ("indexof_n", |args| texts::indexof("indexof_n", args)),
    ("json.filter", |args| texts::by_path("json.filter", args)),
    ("json.marshal", |args| texts::marshal("json.marshal", args)),
    ("json.marshal_with_options", |args| texts::marshal("json.marshal_with_options", args)),
    ("json.remove", |args| texts::by_path("json.remove", args)),
    ("lower", texts::lower),
    ("numbers.range", |args| call("numbers.range", args)),
    ("numbers.range_step", |args| call("numbers.range_step", args)),
    ("object.subset", texts::subset),
    ("regex.find_all_string_submatch_n", |args| {
        patterns::with_pattern("regex.find_all_string_submatch_n", 0, args)
    }),
    ("regex.find_n", |args| patterns::with_pattern("regex.find_n", 0, args)),
    ("regex.is_valid", patterns::is_valid),
    ("regex.match", |args| patterns::with_pattern("regex.match", 0, args)),
    ("regex.replace", patterns::replace),
    ("regex.split", patterns::split),
    ("regex.template_match", patterns::template_match),
    ("replace", texts::replace),
    ("semver.compare", texts::semver_compare),
    ("semver.is_valid", texts::semver_is_valid),
    ("sprintf", sprintf::sprintf),
    ("strings.count", texts::strings_count),
    ("strings.replace_n", texts::replace_n),
    ("substring", texts::substring),
    ("time.add_date", times::add_date),
    ("time.clock", |args| times::of_moment("time.clock", args)),
    ("time.date", |args| times::of_moment("time.date", args)),
    ("time.diff", times::diff),
    ("time.format", times::format),
    ("time.parse_duration_ns", times::parse_duration),
    ("time.parse_ns", times::parse),
    ("time.parse_rfc3339_ns", times::parse_rfc3339),
    ("time.weekday", |args| times::of_moment("time.weekday", args)),
    ("to_number", texts::to_number),
    ("units.parse", texts::units_parse),
    ("units.parse_bytes", texts::units_parse_bytes),
    ("upper", texts::upper),
];

/// Whether a function takes its arguments only, and not one more for its result.
pub(crate) fn is_placed(name: &str) -> bool {
    name == NOW || OWN.binary_search_by_key(&name, |(own, _)| own).is_ok()
}

/// Puts these functions in the place of regorus's. They tell where they fail and of what.
pub(crate) fn place_errors(engine: &mut Engine) -> Result<(), String> {
    for &(name, function) in OWN {
        let arity = BUILTINS.get(name).map(|&(_, arity)| arity);
        let arity = arity.ok_or_else(|| format!("there is no function `{name}`"))?;
        let placed = move |args: Vec<Value>| {
            let answer = function(&args).and_then(|value| match value {
                Value::Undefined => Err(failed(name, &args, "has no value")),
                value => Ok(value),
            });
            answer.map_err(|message| io::Error::other(shown(&message)).into())
        };
        engine
            .add_extension(name.to_owned(), arity, Box::new(placed))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Calls a built-in function of regorus.
///
/// # Errors
/// The call, and what is wrong with it.
pub(crate) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let Some((function, _)) = BUILTINS.get(name) else {
        return Err(format!("there is no function `{name}`"));
    };
    // Where regorus would point to. The caller knows that better.
    let nowhere = Source::from_contents(String::new(), String::new());
    let source = nowhere.map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let param = |_| Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let params: Vec<_> = args.iter().map(param).collect();
    function(&span, &params, args, true)
        .map_err(|error| failed(name, args, &what(&error.to_string())))
}

fn failed(name: &str, args: &[Value], why: &str) -> String {
    let args: Vec<_> = args.iter().map(Value::to_string).collect();
    format!("{name}({}): {why}", shown(&args.join(", ")))
}

/// An argument that has to be a text.
fn text(args: &[Value], at: usize) -> Result<&str, String> {
    match args.get(at) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("expects a text, found {}", shown(&other.to_string()))),
        None => Err("expects another argument".to_owned()),
    }
}
