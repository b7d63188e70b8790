//! Checks literal decisions: their form, and the lanes that they name.

use regorus::Value;
use regorus::unstable::{Expr, Module, Rule, RuleAssign, RuleHead, Span};

use super::conflicts::constant;
use crate::decision::{EXPECTED, parse_until};
use crate::message::shorten;
use crate::names::head;
use crate::schema::nearest;
use crate::{DECISION, names};

/// The invalid literal decisions.
pub(super) fn diagnostics(module: &Module, lanes: Option<&[String]>) -> Vec<(Span, String)> {
    let mut decisions = Decisions { lanes, diagnostics: vec![] };
    let rules = module.policy.iter().filter(|rule| names::root(head(rule)) == DECISION);
    for rule in rules {
        match &**rule {
            Rule::Default { value, .. } => decisions.check_value(value),
            Rule::Spec { head: RuleHead::Compr { assign, span, .. }, bodies, .. } => {
                decisions.check_assignment(assign.as_ref(), span);
                for body in bodies.iter().filter(|body| body.is_else) {
                    decisions.check_assignment(body.assign.as_ref(), &body.span);
                }
            }
            Rule::Spec { .. } => {}
        }
    }
    decisions.diagnostics
}

struct Decisions<'a> {
    lanes: Option<&'a [String]>,
    diagnostics: Vec<(Span, String)>,
}

impl Decisions<'_> {
    fn report(&mut self, at: &Span, message: String) {
        self.diagnostics.push((at.clone(), message));
    }

    /// A rule without a value is true.
    fn check_assignment(&mut self, assign: Option<&RuleAssign>, at: &Span) {
        match assign {
            Some(assign) => self.check_value(&assign.value),
            None => self.report(at, format!("`{DECISION}` is true here: {EXPECTED}")),
        }
    }

    fn check_value(&mut self, value: &Expr) {
        match value {
            Expr::String { .. } | Expr::RawString { .. } => {
                let Some(word) = text(value) else { return };
                if !matches!(word, "abstain" | "proceed") {
                    let near = nearest(word, ["abstain", "proceed"].into_iter());
                    self.report(value.span(), format!("{word:?} is no decision{near}"));
                }
            }
            Expr::Object { fields, .. } => {
                let keys: Option<Vec<_>> = fields
                    .iter()
                    .map(|(_, key, value)| Some((text(key)?, &**key, &**value)))
                    .collect();
                if let Some(fields) = keys {
                    self.check_object(value.span(), &fields);
                }
            }
            Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Array { .. }
            | Expr::Set { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. } => {
                let found = shorten(value.span().text());
                self.report(value.span(), format!("{found} is no decision: {EXPECTED}"));
            }
            _ => {}
        }
    }

    fn check_object(&mut self, span: &Span, fields: &[(&str, &Expr, &Expr)]) {
        const KINDS: [&str; 3] = ["proceed", "skip", "hold"];
        let kinds: Vec<_> = fields.iter().filter(|(key, ..)| KINDS.contains(key)).collect();
        let Some((kind, ..)) = kinds.first() else {
            return match fields.first() {
                Some((key, at, _)) => {
                    let near = nearest(key, KINDS.into_iter());
                    self.report(at.span(), format!("a decision has no key {key:?}{near}"));
                }
                None => self.report(span, format!("{{}} is no decision: {EXPECTED}")),
            };
        };
        let others: &[&str] = if *kind == "hold" { &["until", "lane"] } else { &[] };
        let (mut until, mut strange) = (false, false);
        for (key, at, value) in fields {
            match *key {
                _ if key == kind => match *kind {
                    "proceed" => self.lane(value),
                    _ => self.reason(key, value),
                },
                "until" if *kind == "hold" => {
                    until = true;
                    self.until(value);
                }
                "lane" if *kind == "hold" => self.lane(value),
                _ => {
                    strange = true;
                    let near = match others {
                        [] => ": it has no other".to_owned(),
                        others => nearest(key, others.iter().copied()),
                    };
                    let message = format!("a decision with {kind:?} has no key {key:?}{near}");
                    self.report(at.span(), message);
                }
            }
        }
        // An unknown key may be a misspelt `until`.
        if *kind == "hold" && !until && !strange {
            let message = "a hold has no end: expected {\"hold\": reason, \"until\": time}";
            self.report(span, message.to_owned());
        }
    }

    fn reason(&mut self, key: &str, value: &Expr) {
        if text(value).is_none() && is_never_text(value) {
            let found = shorten(value.span().text());
            self.report(value.span(), format!("{key:?} is {found}: expected a text, the reason"));
        }
    }

    fn until(&mut self, value: &Expr) {
        let written = match constant(value) {
            Some(written) => written,
            None if is_never_text(value) => Value::Null,
            None => return,
        };
        if let Err(message) = parse_until(&written) {
            self.report(value.span(), message);
        }
    }

    fn lane(&mut self, value: &Expr) {
        let Some(name) = text(value) else {
            if is_never_text(value) {
                let found = shorten(value.span().text());
                self.report(value.span(), format!("{found} is no lane: expected its name, a text"));
            }
            return;
        };
        let Some(lanes) = self.lanes else { return };
        if !lanes.iter().any(|lane| lane == name) {
            let near = match lanes {
                [] => ": the script's `lanes` are none".to_owned(),
                lanes => nearest(name, lanes.iter().map(String::as_str)),
            };
            self.report(value.span(), format!("there is no lane {name:?}{near}"));
        }
    }
}

/// Whether an expression can't be a text, for any input.
fn is_never_text(value: &Expr) -> bool {
    matches!(
        value,
        Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Array { .. }
            | Expr::Set { .. }
            | Expr::Object { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. }
    )
}

fn text(value: &Expr) -> Option<&str> {
    match value {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| &**text)
        }
        _ => None,
    }
}
