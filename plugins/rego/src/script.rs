//! A loaded script, and its evaluation.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use groundcrew_sdk::{Context, Problem, Timestamp, log};
use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead};
use regorus::{Engine, Value};
use serde_json::Map;

use crate::analysis::Shape;
use crate::coverage::Coverage;
use crate::message::one_line;
use crate::schema::Schema;
use crate::{DECISION, Settings, analysis, builtins, names};

/// The key of `data` that the host fills.
const LANES: &str = "lanes";

/// A script with its data, ready for evaluation.
pub(crate) struct Script {
    file: String,
    /// The package, such as `data.ring_rollout`.
    package: String,
    modules: Vec<Ref<Module>>,
    /// The engine after loading.
    template_engine: Engine,
    /// The engine that evaluates.
    engine: RefCell<Engine>,
    coverage: Option<Coverage>,
    clock: Clock,
}

impl Script {
    /// Reads the script.
    ///
    /// # Errors
    /// The problems of the script, and where the data conflicts with it.
    pub(crate) fn new(settings: Settings, context: &Context) -> Result<Self, Vec<Problem>> {
        let Settings { file, script, data, coverage } = settings;
        let failed = |error: String| vec![Problem::new("", one_line(&file, &error))];
        let clock = Clock::default();
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.set_gather_prints(true);
        clock.install(&mut engine).map_err(failed)?;
        builtins::install_overrides(&mut engine).map_err(failed)?;
        // Some editors write a byte order mark.
        let script = script.trim_start_matches('\u{feff}').to_owned();
        let mut empty = engine.clone();
        engine
            .add_policy(file.clone(), script.clone())
            .map_err(|error| failed(error.to_string()))?;
        let path = package(&engine).map_err(failed)?;
        let package = package_path(&path);

        let modules = engine.get_modules().clone();
        let holds = |name: &str| name == LANES || data.contains_key(name);
        let mut problems = diagnostics(&mut engine, &file, &package, holds);
        problems.extend(data_collisions(&data, &path, &file));
        let mut measured = None;
        if problems.is_empty() && coverage {
            let (script, coverage) =
                Coverage::prepare(&mut empty, &script, &modules).map_err(failed)?;
            match empty.add_policy(file.clone(), script) {
                Ok(_) => {
                    engine = empty;
                    measured = Some(coverage);
                }
                Err(_) => {
                    engine.set_enable_coverage(true);
                    measured = Some(coverage.without_values());
                }
            }
        }
        if problems.is_empty() {
            let rule = format!("{package}.{DECISION}");
            let prepared = engine
                .add_data(with_lanes(data, context))
                .and_then(|()| engine.compile_with_entrypoint(&rule.as_str().into()));
            problems
                .extend(prepared.err().map(|error| failed(error.to_string())).unwrap_or_default());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let template_engine = engine.clone();
        Ok(Self {
            file,
            package,
            modules,
            template_engine,
            engine: RefCell::new(engine),
            coverage: measured,
            clock,
        })
    }

    /// The name of the script in messages.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The full name of a rule.
    pub(crate) fn path(&self, rule: &str) -> String {
        format!("{}.{rule}", self.package)
    }

    /// Whether the script has such a rule.
    pub(crate) fn declares(&self, rule: &str) -> bool {
        self.template_engine.has_declared_rule_rooted_at(&self.file, rule).unwrap_or(false)
    }

    /// The problems of its paths, of its literal decisions, and of rules that contradict each
    /// other.
    pub(crate) fn diagnostics(
        &self,
        schema: Option<&Schema>,
        lanes: Option<&[String]>,
    ) -> Vec<Problem> {
        let mut data = schema.map_or(Shape::Any, Schema::object);
        if let Shape::Object(fields, _) = &mut data {
            fields.insert(LANES.to_owned(), Shape::List(Box::new(Shape::Leaf)));
        }
        let known = analysis::AnalysisContext { package: &self.package, data: &data, lanes };
        let diagnostics =
            self.modules.iter().flat_map(|module| analysis::diagnostics(module, &known));
        diagnostics
            .map(|(span, diagnostic)| {
                Problem::new("", format!("{}:{}:{}: {diagnostic}", self.file, span.line, span.col))
            })
            .collect()
    }

    /// The value of a rule.
    ///
    /// # Errors
    /// Where and why it has no value, in one line.
    pub(crate) fn evaluate(
        &self,
        rule: &str,
        input: Value,
        now: ScriptTime,
    ) -> Result<Value, String> {
        self.clock.set(now);
        let mut engine = self.engine.borrow_mut();
        engine.set_input(input);
        let value = engine.eval_rule(self.path(rule));
        for line in engine.take_prints().unwrap_or_default() {
            log::info(&line);
        }
        if let Some(coverage) = &self.coverage {
            coverage.log_reached(&engine);
        }
        value.map_err(|error| {
            // An evaluation that ended early leaves state that would disturb the next.
            engine.clone_from(&self.template_engine);
            let asked = format!("{}: {}", self.file, self.path(rule));
            one_line(&asked, &error.to_string())
        })
    }
}

/// The problems of the script that are found without evaluating it.
fn diagnostics(
    engine: &mut Engine,
    file: &str,
    package: &str,
    holds: impl Fn(&str) -> bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |message: String| problems.push(Problem::new("", message));
    let mut decides = false;
    for module in engine.get_modules() {
        for rule in &module.policy {
            let refr = names::head(rule);
            if names::root(refr) != DECISION {
                continue;
            }
            let is_value = match &**rule {
                Rule::Spec { head: RuleHead::Compr { .. }, .. } => matches!(refr, Expr::Var { .. }),
                Rule::Spec { .. } => false,
                Rule::Default { args, .. } => args.is_empty(),
            };
            decides = true;
            if !is_value {
                let span = refr.span();
                problem(format!(
                    "{file}:{}:{}: `{DECISION}` must be one value: write \
                     `{DECISION} := … if {{ … }}`",
                    span.line, span.col
                ));
            }
        }
        for (span, diagnostic) in names::diagnostics(module, package, &holds) {
            problem(format!("{file}:{}:{}: {diagnostic}", span.line, span.col));
        }
    }
    if !decides {
        problem(format!(
            "{file}: no rule `{DECISION}` in `package {}`: it is what groundcrew asks for",
            package.strip_prefix("data.").unwrap_or(package)
        ));
    }
    problems
}

/// The names of the script's package.
fn package(engine: &Engine) -> Result<Vec<String>, String> {
    let packages = engine.get_policy_package_components().map_err(|error| error.to_string())?;
    let only = packages.into_iter().next();
    only.map(|package| package.components).ok_or_else(|| "no package".to_owned())
}

/// The package in Rego's syntax.
fn package_path(path: &[String]) -> String {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    path.iter().fold("data".to_owned(), |written, part| {
        if is_name(part) {
            format!("{written}.{part}")
        } else {
            format!("{written}[{}]", Value::from(part.as_str()))
        }
    })
}

/// Where the user's data conflicts with the lanes or with the script's own rules.
fn data_collisions(
    data: &Map<String, serde_json::Value>,
    path: &[String],
    file: &str,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if data.contains_key(LANES) {
        let message = "`data.lanes` is the config's list of lanes: choose another key";
        problems.push(Problem::new(pointer(&[LANES]), message));
    }
    if path.first().is_some_and(|first| first == LANES) {
        let message = format!(
            "{file}: `data.lanes` is the config's list of lanes: name the package otherwise"
        );
        problems.push(Problem::new("", message));
    }
    let mut here = Some(data);
    for depth in 0..path.len() {
        let below = here.and_then(|map| map.get(&path[depth]));
        here = below.and_then(serde_json::Value::as_object);
        if below.is_some() && (here.is_none() || depth + 1 == path.len()) {
            let path: Vec<_> = path[..=depth].iter().map(String::as_str).collect();
            let message = format!(
                "in the way of the script's rules, whose package is `{}`: choose another key",
                path.join(".")
            );
            problems.push(Problem::new(pointer(&path), message));
            break;
        }
    }
    problems
}

/// A JSON pointer into the data.
fn pointer(path: &[&str]) -> String {
    let escaped = path.iter().map(|part| part.replace('~', "~0").replace('/', "~1"));
    escaped.fold("/data".to_owned(), |pointer, part| format!("{pointer}/{part}"))
}

fn with_lanes(mut data: Map<String, serde_json::Value>, context: &Context) -> Value {
    data.insert(LANES.to_owned(), context.lanes.clone().into());
    Value::from(serde_json::Value::Object(data))
}

/// A time that Rego can express.
#[derive(Clone, Copy)]
pub(crate) struct ScriptTime(Option<i64>);

impl ScriptTime {
    /// There is no time while a script is loaded.
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn from_seconds(seconds: Timestamp) -> Option<Self> {
        seconds.checked_mul(1_000_000_000).map(|nanoseconds| Self(Some(nanoseconds)))
    }
}

/// The result of `time.now_ns()`: the candidate's time, on every machine. In nanoseconds;
/// `i64::MIN` when there is none.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn set(&self, now: ScriptTime) {
        self.0.store(now.0.unwrap_or(i64::MIN), Ordering::Relaxed);
    }

    /// Replaces the built-in function.
    fn install(&self, engine: &mut Engine) -> Result<(), String> {
        let clock = self.clone();
        let now = move |_| match clock.0.load(Ordering::Relaxed) {
            i64::MIN => Ok(Value::Undefined),
            nanoseconds => Ok(Value::from(nanoseconds)),
        };
        engine
            .add_extension(builtins::NOW.to_owned(), 0, Box::new(now))
            .map_err(|error| error.to_string())
    }
}
