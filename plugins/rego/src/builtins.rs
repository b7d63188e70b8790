//! The built-in functions, where it matters how they fail.

use std::io;

use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use crate::message::{shown, what};

/// The one function for times that is replaced.
pub(crate) const NOW: &str = "time.now_ns";

/// Whether a function tells by [`place_errors`] where it fails.
pub(crate) fn is_placed(name: &str) -> bool {
    name.starts_with("time.")
}

/// Lets the functions for times tell where they fail and of what, which regorus doesn't.
pub(crate) fn place_errors(engine: &mut Engine) -> Result<(), String> {
    for (&name, &(_, arity)) in BUILTINS.iter() {
        if is_placed(name) && name != NOW {
            let placed = move |args: Vec<Value>| {
                call(name, &args).map_err(|message| io::Error::other(message).into())
            };
            engine
                .add_extension(name.to_owned(), arity, Box::new(placed))
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Calls a built-in function.
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
    function(&span, &params, args, true).map_err(|error| {
        let args: Vec<_> = args.iter().map(Value::to_string).collect();
        format!("{name}({}): {}", shown(&args.join(", ")), what(&error.to_string()))
    })
}
