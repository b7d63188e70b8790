//! Finds calls of functions that don't exist: left to regorus, they would be found when a
//! candidate first leads there.

use std::collections::BTreeSet;

use regorus::unstable::{
    BUILTINS, Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span,
};

/// Calls of functions that are neither built in nor in the module: where, and of what.
pub(crate) fn unknown(module: &Module, package: &str) -> Vec<(Span, String)> {
    let mut calls = Calls::default();
    module.policy.iter().for_each(|rule| calls.of_rule(rule));

    let own: BTreeSet<_> = module.policy.iter().filter_map(|rule| path(function(rule)?)).collect();
    let aliases: BTreeSet<_> = module.imports.iter().filter_map(alias).collect();
    let is_known = |name: &str| {
        let root = name.split('.').next().unwrap_or(name);
        let within = name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.'));
        name == "print"
            || BUILTINS.contains_key(name)
            || own.contains(name)
            || within.is_some_and(|name| own.contains(name))
            || aliases.contains(root)
    };
    calls.0.retain(|(_, name)| !is_known(name));
    calls.0
}

/// The name of a function that a rule defines.
fn function(rule: &Rule) -> Option<&Expr> {
    match rule {
        Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => Some(refr),
        Rule::Default { refr, args, .. } if !args.is_empty() => Some(refr),
        _ => None,
    }
}

/// What an import is called in the module.
fn alias(import: &regorus::unstable::Import) -> Option<String> {
    match &import.r#as {
        Some(name) => Some(name.text().to_owned()),
        None => path(&import.refr)?.rsplit('.').next().map(str::to_owned),
    }
}

/// A reference whose parts are all names, such as `time.clock`.
fn path(refr: &Expr) -> Option<String> {
    match refr {
        Expr::Var { span, .. } => Some(span.text().to_owned()),
        Expr::RefDot { refr, field, .. } => Some(format!("{}.{}", path(refr)?, field.0.text())),
        _ => None,
    }
}

/// The calls that were found: where, and of what.
#[derive(Default)]
struct Calls(Vec<(Span, String)>);

impl Calls {
    fn of_rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.of(refr);
                        self.of_assignment(assign.as_ref());
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.of(refr);
                        self.of_all(key);
                    }
                    RuleHead::Func { args, assign, .. } => {
                        self.of_all(args);
                        self.of_assignment(assign.as_ref());
                    }
                }
                for body in bodies {
                    self.of_assignment(body.assign.as_ref());
                    self.of_query(&body.query);
                }
            }
            Rule::Default { value, .. } => self.of(value),
        }
    }

    fn of_assignment(&mut self, assign: Option<&RuleAssign>) {
        if let Some(assign) = assign {
            self.of(&assign.value);
        }
    }

    fn of_query(&mut self, query: &Query) {
        for LiteralStmt { literal, with_mods, .. } in &query.stmts {
            match literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    self.of_all(key);
                    self.of(value);
                    self.of(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.of(expr),
                Literal::Every { domain, query, .. } => {
                    self.of(domain);
                    self.of_query(query);
                }
            }
            with_mods.iter().for_each(|with| self.of(&with.r#as));
        }
    }

    fn of_all<'a>(&mut self, expressions: impl IntoIterator<Item = &'a Ref<Expr>>) {
        expressions.into_iter().for_each(|expression| self.of(expression));
    }

    fn of(&mut self, expression: &Expr) {
        match expression {
            Expr::Call { span, fcn, params, .. } => {
                if let Some(name) = path(fcn) {
                    self.0.push((span.clone(), name));
                }
                self.of_all(params);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => self.of_all(items),
            Expr::Object { fields, .. } => {
                fields.iter().for_each(|(_, key, value)| self.of_all([key, value]));
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.of(term);
                self.of_query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.of_all([key, value]);
                self.of_query(query);
            }
            Expr::UnaryExpr { expr, .. } => self.of(expr),
            Expr::RefDot { refr, .. } => self.of(refr),
            Expr::RefBrack { refr, index, .. } => self.of_all([refr, index]),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => self.of_all([lhs, rhs]),
            Expr::Membership { key, value, collection, .. } => {
                self.of_all(key);
                self.of_all([value, collection]);
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => {}
        }
    }
}
