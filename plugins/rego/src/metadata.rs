//! The optional rules that are evaluated when a script is loaded.

use groundcrew_sdk::{Context, NamedLanes, Problem};
use regorus::Value;

use crate::message::shorten;
use crate::schema::Schema;
use crate::script::{Script, ScriptTime};

/// The rule with the schema of the script's data.
const SCHEMA: &str = "schema";
/// The rule with the lanes that the script may name.
const LANES: &str = "lanes";
/// The rule with the problems that the script finds in its data.
const PROBLEMS: &str = "problems";
/// The rules that are evaluated when the script is loaded.
pub(crate) const RULES: [&str; 3] = [SCHEMA, LANES, PROBLEMS];

/// Checks whether the user's data has the form that the script expects, and whether the script's
/// paths into it exist. Returns the lanes that the script may name.
///
/// # Errors
/// The problems of the data and the script, and those that the script finds.
pub(crate) fn check(
    script: &Script,
    data: &serde_json::Value,
    context: &Context,
) -> Result<NamedLanes, Vec<Problem>> {
    let schema = schema(script).map_err(|problem| vec![problem])?;
    let mut problems = schema.as_ref().map_or(vec![], |schema| schema.check(data, "/data"));
    // The other rules rely on data that matches the schema.
    let lanes = problems.is_empty().then(|| lanes(script, context));
    let may_name = match &lanes {
        Some(Ok(NamedLanes::Only(lanes))) => Some(&lanes[..]),
        // The config may have no lanes: then they are not checked.
        Some(Ok(NamedLanes::Any)) => Some(&context.lanes[..]).filter(|lanes| !lanes.is_empty()),
        Some(Err(_)) | None => None,
    };
    problems.extend(script.diagnostics(schema.as_ref(), may_name));
    match lanes.unwrap_or(Ok(NamedLanes::Any)) {
        Ok(lanes) if problems.is_empty() => return Ok(lanes),
        Ok(_) => {}
        Err(others) => problems.extend(others),
    }
    Err(problems)
}

/// The schema of the script's data, if it has one.
fn schema(script: &Script) -> Result<Option<Schema>, Problem> {
    let Some(schema) = value(script, SCHEMA)? else { return Ok(None) };
    let json = schema.to_json_str().map_err(|error| error.to_string());
    let schema =
        json.and_then(|json| serde_json::from_str(&json).map_err(|error| error.to_string()));
    schema.map(Some).map_err(|error| {
        rule_problem(script, SCHEMA, &format!("is no schema: {}", shorten(&error)))
    })
}

/// The lanes that the script may name.
fn lanes(script: &Script, context: &Context) -> Result<NamedLanes, Vec<Problem>> {
    let mut problems = script_problems(script).unwrap_or_else(|problem| vec![problem]);
    let lanes = named_lanes(script).and_then(|lanes| check_lanes(script, lanes, context));
    match lanes {
        Ok(lanes) if problems.is_empty() => return Ok(lanes),
        Ok(_) => {}
        Err(problem) => problems.push(problem),
    }
    Err(problems)
}

/// The problems that the script finds.
fn script_problems(script: &Script) -> Result<Vec<Problem>, Problem> {
    let Some(items) = list(script, PROBLEMS)? else { return Ok(vec![]) };
    let problem = |item: &Value| match item {
        Value::String(message) => Some(Problem::new("/data", &**message)),
        Value::Object(fields) => {
            let at = fields.get(&"at".into()).and_then(text);
            let message = fields.get(&"message".into()).and_then(text)?;
            let is_pointer = |at: &&str| at.is_empty() || at.starts_with('/');
            match (fields.len(), at.filter(is_pointer)) {
                (1, None) => Some(Problem::new("/data", message)),
                (2, Some(at)) => Some(Problem::new(format!("/data{at}"), message)),
                _ => None,
            }
        }
        _ => None,
    };
    items
        .iter()
        .map(|item| {
            problem(item).ok_or_else(|| {
                let expected = "expected a text, or {\"at\": \"/key\", \"message\": text}";
                rule_problem(
                    script,
                    PROBLEMS,
                    &format!("has {}: {expected}", shorten(&item.to_string())),
                )
            })
        })
        .collect()
}

/// The lanes that the script declares.
fn named_lanes(script: &Script) -> Result<NamedLanes, Problem> {
    let Some(items) = list(script, LANES)? else { return Ok(NamedLanes::Any) };
    let names = items.iter().map(|item| {
        text(item).map(str::to_owned).ok_or_else(|| {
            let has = shorten(&item.to_string());
            rule_problem(script, LANES, &format!("has {has}: expected the name of a lane"))
        })
    });
    names.collect::<Result<_, _>>().map(NamedLanes::Only)
}

/// The lanes, if the config has all of them.
fn check_lanes(
    script: &Script,
    lanes: NamedLanes,
    context: &Context,
) -> Result<NamedLanes, Problem> {
    let NamedLanes::Only(names) = &lanes else { return Ok(lanes) };
    match names.iter().find(|name| !context.lanes.contains(name)) {
        None => Ok(lanes),
        Some(name) => {
            let known = match context.lanes.as_slice() {
                [] => "none".to_owned(),
                lanes => lanes.join(", "),
            };
            let what = format!("names {name:?}, which is no lane of the config: it has {known}");
            Err(rule_problem(script, LANES, &what))
        }
    }
}

/// The elements of a rule that is an array or a set; `None` when there is no such rule.
fn list(script: &Script, rule: &str) -> Result<Option<Vec<Value>>, Problem> {
    match value(script, rule)? {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.iter().cloned().collect())),
        Some(Value::Set(items)) => Ok(Some(items.iter().cloned().collect())),
        Some(other) => {
            let what = format!("is {}: expected an array or a set", shorten(&other.to_string()));
            Err(rule_problem(script, rule, &what))
        }
    }
}

/// The value of a rule; `None` when there is no such rule.
fn value(script: &Script, rule: &str) -> Result<Option<Value>, Problem> {
    if !script.declares(rule) {
        return Ok(None);
    }
    let value = script.evaluate(rule, Value::Undefined, ScriptTime::NONE);
    match value.map_err(|message| Problem::new("", message))? {
        Value::Undefined => Err(rule_problem(
            script,
            rule,
            "is undefined: it is evaluated when the script is loaded, without `input` or time",
        )),
        value => Ok(Some(value)),
    }
}

fn rule_problem(script: &Script, rule: &str, what: &str) -> Problem {
    Problem::new("", format!("{}: {} {what}", script.file(), script.path(rule)))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
