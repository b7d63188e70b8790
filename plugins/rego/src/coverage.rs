//! Which lines of the script evaluations have reached. They are written to the log, from which the
//! host extracts them.
//!
//! The interpreter records the lines that it evaluates, mostly conditions. It doesn't record which
//! values are taken, which is what a test case checks. So each value of a rule or an `else` is
//! wrapped in a call that records it.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, PoisonError};

use groundcrew_sdk::log;
use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead, Span};
use regorus::{Engine, Value};
use serde::Serialize;

use crate::{metadata, names};

/// The beginning of a coverage line in the log.
const COVERAGE_PREFIX: &str = "coverage ";

/// The function that records that a value is taken. Its arguments are the number of the value and
/// the value, which it returns.
const MARKER_FUNCTION: &str = "groundcrew.taken";

/// The lines of one script that can be evaluated.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LineCoverage<'r> {
    file: &'r str,
    reached: BTreeSet<u32>,
    missed: BTreeSet<u32>,
}

/// The coverage data of one script.
pub(crate) struct Coverage {
    /// The lines in which the values begin, by the numbers of the values.
    values: Vec<u32>,
    reached_values: Arc<Mutex<BTreeSet<usize>>>,
    /// The lines of the rules that are evaluated when the script is loaded: no candidate reaches
    /// them.
    load_time_lines: Vec<RangeInclusive<u32>>,
}

impl Coverage {
    /// Prepares an engine for a script of these modules. Returns the script for that engine: with
    /// the same lines, and with each value wrapped.
    ///
    /// # Errors
    /// Why the engine can't be prepared.
    pub(crate) fn prepare(
        engine: &mut Engine,
        script: &str,
        modules: &[Ref<Module>],
    ) -> Result<(String, Self), String> {
        let rules = || modules.iter().flat_map(|module| &module.policy);
        let load_time_lines =
            |rule: &&Ref<Rule>| metadata::RULES.contains(&names::root(names::head(rule)));
        let unloaded = rules().filter(|rule| !load_time_lines(rule));
        let mut values: Vec<Range<usize>> = unloaded
            .flat_map(|rule| self::values(rule))
            .map(|value| byte_range(value, script))
            .collect();
        // From the end, so that the positions before it stay valid.
        values.sort_by_key(|value| value.start);
        let mut wrapped = script.to_owned();
        for (number, value) in values.iter().enumerate().rev() {
            if script.get(value.clone()).is_some() {
                wrapped.insert(value.end, ')');
                wrapped.insert_str(value.start, &format!("{MARKER_FUNCTION}({number}, "));
            }
        }
        let reached_values: Arc<Mutex<BTreeSet<usize>>> = Arc::default();
        let notes = reached_values.clone();
        let note = move |mut parameters: Vec<Value>| {
            let value = parameters.pop().unwrap_or(Value::Undefined);
            let number = parameters.pop().and_then(|number| number.as_u64().ok());
            let number = number.and_then(|number| usize::try_from(number).ok());
            notes.lock().unwrap_or_else(PoisonError::into_inner).extend(number);
            Ok(value)
        };
        engine
            .add_extension(MARKER_FUNCTION.to_owned(), 2, Box::new(note))
            .map_err(|error| error.to_string())?;
        engine.set_enable_coverage(true);
        let coverage = Self {
            values: values.iter().map(|value| line(script, value.start)).collect(),
            reached_values,
            load_time_lines: rules()
                .filter(load_time_lines)
                .map(|rule| lines(rule.span()))
                .collect(),
        };
        Ok((wrapped, coverage))
    }

    /// Drops the values, for a script in which they can't be wrapped.
    pub(crate) fn without_values(self) -> Self {
        Self { values: vec![], ..self }
    }

    /// Logs the lines that were reached since the script was loaded.
    pub(crate) fn log_reached(&self, engine: &Engine) {
        let files = match engine.get_coverage_report() {
            Ok(report) => report.files,
            Err(error) => return log::error(&format!("no coverage is known: {error}")),
        };
        for file in &files {
            let lines = self.lines(&file.path, &file.covered, &file.not_covered);
            match serde_json::to_string(&lines) {
                Ok(lines) => log::debug(&format!("{COVERAGE_PREFIX}{lines}")),
                Err(error) => log::error(&format!("no coverage is known: {error}")),
            }
        }
    }

    /// The reached lines, from the lines that the interpreter has recorded.
    pub(crate) fn lines<'r>(
        &self,
        file: &'r str,
        evaluated: &BTreeSet<u32>,
        not_evaluated: &BTreeSet<u32>,
    ) -> LineCoverage<'r> {
        let reached_values = self.reached_values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reached = evaluated.clone();
        // A line may contain several expressions: it is reached with the first.
        let mut missed = not_evaluated - evaluated;
        // A value that is never taken is missed, even if its line was reached.
        for (number, line) in self.values.iter().enumerate() {
            let (to, from) = match reached_values.contains(&number) {
                true => (&mut reached, &mut missed),
                false => (&mut missed, &mut reached),
            };
            from.remove(line);
            to.insert(*line);
        }
        let counts = |line: &u32| !self.load_time_lines.iter().any(|lines| lines.contains(line));
        reached.retain(counts);
        missed.retain(counts);
        LineCoverage { file, reached, missed }
    }
}

/// The values of a rule. A default is constant and can't be wrapped.
fn values(rule: &Rule) -> Vec<&Expr> {
    let Rule::Spec { head, bodies, .. } = rule else { return vec![] };
    let of_head = match head {
        RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
            assign.as_ref().map(|assign| &assign.value)
        }
        RuleHead::Set { key, .. } => key.as_ref(),
    };
    let of_bodies = bodies.iter().filter_map(|body| body.assign.as_ref());
    of_head.into_iter().chain(of_bodies.map(|assign| &assign.value)).map(|value| &**value).collect()
}

/// The range of a value in the script, in bytes.
fn byte_range(value: &Expr, script: &str) -> Range<usize> {
    let Range { start, end } = value.span().start as usize..value.span().end as usize;
    // The parser's span of an object begins at the last of several keys.
    let start = match value {
        Expr::Object { fields, .. } => {
            let first = fields.first().map_or(start, |(_, key, _)| byte_range(key, script).start);
            let before = script.get(..first.min(start + 1)).unwrap_or_default();
            before.rfind('{').unwrap_or(start)
        }
        _ => start,
    };
    // The parser's span of a text excludes the quotation marks.
    let is_mark = |at: Option<usize>| {
        at.and_then(|at| script.as_bytes().get(at)).is_some_and(|byte| b"\"`".contains(byte))
    };
    let begins = start - usize::from(is_mark(start.checked_sub(1)));
    begins..end + usize::from(is_mark(Some(end)))
}

/// The line of a byte in the script, counted from 1.
fn line(script: &str, at: usize) -> u32 {
    let breaks = script.get(..at).unwrap_or_default().matches('\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
}

/// The lines of a part of the script.
fn lines(span: &Span) -> RangeInclusive<u32> {
    let breaks = span.text().trim_end().matches('\n').count();
    span.line..=span.line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "d := {\"skip\": \"a\"} if {\n\tinput.x\n} else := 3",
        "d := T(0, {\"skip\": \"a\"}) if {\n\tinput.x\n} else := T(1, 3)"
    )]
    #[case::keys(
        r#"d := {"a": {"b": 1, "c": 2}, "d": x["{"]}"#,
        r#"d := T(0, {"a": {"b": 1, "c": 2}, "d": x["{"]})"#
    )]
    #[case::texts("g contains \"a\" if { 1 == 1 }", "g contains T(0, \"a\") if { 1 == 1 }")]
    #[case::raw("g := `a`", "g := T(0, `a`)")]
    #[case::comparison("g := \"a\" == \"b\"", "g := T(0, \"a\" == \"b\")")]
    #[case::membership("g := \"a\" in input.x", "g := T(0, \"a\" in input.x)")]
    #[case::parentheses("f(x) := (x + 1) if x > 2", "f(x) := (T(0, x + 1)) if x > 2")]
    #[case::sets("g contains sprintf(\"%d\", [1])", "g contains T(0, sprintf(\"%d\", [1]))")]
    #[case::comprehensions("g := [x | some x in [1]]", "g := T(0, [x | some x in [1]])")]
    #[case::references("g := input.tags[\"a\"].b", "g := T(0, input.tags[\"a\"].b)")]
    #[case::without_a_value("g if input.x", "g if input.x")]
    #[case::defaults("default g := {}", "default g := {}")]
    #[case::load_time_lines(
        "problems contains \"x\" if input.x",
        "problems contains \"x\" if input.x"
    )]
    fn values_are_wrapped(#[case] rule: &str, #[case] expected: &str) {
        let script = format!("package t\n{rule}\n");
        let mut engine = Engine::new();
        engine.add_policy("t.rego".into(), script.clone()).unwrap();
        let modules = engine.get_modules().clone();
        let mut engine = Engine::new();
        let (wrapped, _) = Coverage::prepare(&mut engine, &script, &modules).unwrap();
        assert_eq!(
            wrapped,
            format!("package t\n{}\n", expected.replace("T(", "groundcrew.taken("))
        );
        engine.add_policy("t.rego".into(), wrapped).unwrap();
        let again = engine.get_modules().clone();
        let of = |modules: &[Ref<Module>]| {
            modules.iter().flat_map(|m| &m.policy).map(|r| values(r).len()).sum::<usize>()
        };
        assert_eq!(of(&again), of(&modules));
    }
}
