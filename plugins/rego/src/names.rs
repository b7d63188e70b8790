//! Finds unknown names and invalid calls in a script. regorus would find them only when a candidate
//! first reaches them.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{
    BUILTINS, Expr, Import, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleHead,
    Span,
};

use crate::builtins::is_overridden;

/// The problems with their places. `holds` says whether the data has a name.
pub(crate) fn diagnostics(
    module: &Module,
    package: &str,
    holds: impl Fn(&str) -> bool,
) -> Vec<(Span, String)> {
    let mut names = NameChecker {
        package,
        rules: module.policy.iter().map(|rule| root(head(rule))).collect(),
        functions: module.policy.iter().filter_map(|rule| function(rule)).collect(),
        imports: module.imports.iter().filter_map(alias).collect(),
        locals: vec![],
        diagnostics: vec![],
    };
    for import in &module.imports {
        names.visit_import(import, &holds);
    }
    module.policy.iter().for_each(|rule| names.visit_rule(rule));
    names.diagnostics
}

/// What a rule defines: a name, or a path into it.
pub(crate) fn head(rule: &Rule) -> &Expr {
    match rule {
        Rule::Spec {
            head:
                RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. },
            ..
        }
        | Rule::Default { refr, .. } => refr,
    }
}

/// The first name of a reference.
pub(crate) fn root(refr: &Expr) -> &str {
    match refr {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => root(refr),
        other => other.span().text(),
    }
}

/// The name of a function that a rule defines, and how many arguments it takes.
fn function(rule: &Rule) -> Option<(String, usize)> {
    match rule {
        Rule::Spec { head: RuleHead::Func { refr, args, .. }, .. } => {
            Some((path(refr)?, args.len()))
        }
        Rule::Default { refr, args, .. } if !args.is_empty() => Some((path(refr)?, args.len())),
        _ => None,
    }
}

/// The alias and the path of an import.
fn alias(import: &Import) -> Option<(String, String)> {
    let path = path(&import.refr)?;
    let name = match &import.r#as {
        Some(name) => name.text(),
        None => path.rsplit('.').next()?,
    };
    Some((name.to_owned(), path))
}

/// A reference whose parts are all names, such as `time.clock`.
fn path(refr: &Expr) -> Option<String> {
    match refr {
        Expr::Var { span, .. } => Some(span.text().to_owned()),
        Expr::RefDot { refr, field, .. } => Some(format!("{}.{}", path(refr)?, field.0.text())),
        _ => None,
    }
}

/// The known names, and the problems that were found.
struct NameChecker<'a> {
    package: &'a str,
    rules: BTreeSet<&'a str>,
    /// The script's own functions, with their numbers of arguments.
    functions: BTreeMap<String, usize>,
    imports: BTreeMap<String, String>,
    /// Arguments and variables, innermost last.
    locals: Vec<BTreeSet<&'a str>>,
    diagnostics: Vec<(Span, String)>,
}

impl<'a> NameChecker<'a> {
    fn report(&mut self, span: &Span, message: String) {
        self.diagnostics.push((span.clone(), message));
    }

    /// Of `data`, a script may import its own rules and existing data, but not another script.
    fn visit_import(&mut self, import: &Import, holds: impl Fn(&str) -> bool) {
        let Some(path) = path(&import.refr) else { return };
        let Some(within) = path.strip_prefix("data.") else { return };
        let is_own = path == self.package || path.starts_with(&format!("{}.", self.package));
        if !is_own && !holds(within.split('.').next().unwrap_or(within)) {
            self.report(
                &import.span,
                format!(
                    "there is no `{path}`: a script can't import another, and of data only what \
                     is there"
                ),
            );
        }
    }

    fn visit_rule(&mut self, rule: &'a Rule) {
        let (head, bodies) = match rule {
            Rule::Spec { head, bodies, .. } => (head, bodies),
            Rule::Default { value, .. } => return self.visit_constant(value),
        };
        let (refr, args, key, assign): (_, &[_], _, _) = match head {
            RuleHead::Compr { refr, assign, .. } => (refr, &[], None, assign.as_ref()),
            RuleHead::Set { refr, key, .. } => (refr, &[], key.as_ref(), None),
            RuleHead::Func { refr, args, assign, .. } => (refr, args, None, assign.as_ref()),
        };
        let (own, others) = match bodies.split_first() {
            Some((own, others)) if !own.is_else => (Some(&*own.query), others),
            _ => (None, &bodies[..]),
        };
        let value = |assign: Option<&'a RuleAssign>| assign.map(|assign| &*assign.value);
        let args = args.iter().map(|arg| &**arg);
        self.locals.push(variables(args.clone()));
        let head = args.chain([&**refr]).chain(key.map(|key| &**key)).chain(value(assign));
        self.visit_query(own, head);
        for body in others {
            self.visit_query(Some(&body.query), value(body.assign.as_ref()));
        }
        self.locals.pop();
    }

    /// Visits a query and the expressions that use its variables. Within it regorus checks the
    /// variables.
    fn visit_query(&mut self, query: Option<&'a Query>, terms: impl IntoIterator<Item = &'a Expr>) {
        let statements = query.map_or(&[][..], |query| &query.stmts);
        self.locals.push(bound(statements));
        for LiteralStmt { literal, with_mods, .. } in statements {
            match literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    self.visit_all(key);
                    self.visit_all([value, collection]);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.visit_expr(expr),
                Literal::Every { key, value, domain, query, .. } => {
                    self.visit_expr(domain);
                    self.locals.push(key.iter().chain([value]).map(Span::text).collect());
                    self.visit_query(Some(query), []);
                    self.locals.pop();
                }
            }
            for with in with_mods {
                // The replacement may itself be a function.
                if path(&with.r#as).is_none_or(|path| self.arity(&path).is_none()) {
                    self.visit_expr(&with.r#as);
                }
            }
        }
        terms.into_iter().for_each(|term| self.visit_expr(term));
        self.locals.pop();
    }

    fn visit_all(&mut self, expressions: impl IntoIterator<Item = &'a Ref<Expr>>) {
        expressions.into_iter().for_each(|expression| self.visit_expr(expression));
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Var { span, .. } if !self.is_defined(span.text()) => {
                self.report(span, format!("there is no rule or variable `{}`", span.text()));
            }
            Expr::Call { span, fcn, params, .. } => {
                if let Some(name) = path(fcn) {
                    self.visit_call(span, &name, params.len());
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.visit_query(Some(query), [&**term]);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.visit_query(Some(query), [&**key, &**value]);
            }
            _ => {}
        }
        self.visit_all(parts(expression));
    }

    fn visit_call(&mut self, span: &Span, name: &str, given: usize) {
        let Some(takes) = self.arity(name) else {
            return self.report(span, format!("there is no function `{name}`"));
        };
        let Some(takes) = takes else { return };
        // One more argument takes the result, as in `walk(input, [path, value])`.
        let may_take_result = !is_overridden(name);
        if given != takes && !(may_take_result && given == takes + 1) {
            let arguments = if takes == 1 { "argument" } else { "arguments" };
            self.report(span, format!("`{name}` takes {takes} {arguments}, found {given}"));
        }
    }

    /// A default is evaluated first, so it can't refer to anything.
    fn visit_constant(&mut self, value: &'a Expr) {
        match value {
            Expr::Var { span, .. } | Expr::Call { span, .. } => {
                self.report(span, "a default must be a constant".to_owned());
            }
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {
                self.visit_expr(value);
            }
            _ => parts(value).into_iter().for_each(|part| self.visit_constant(part)),
        }
    }

    fn is_defined(&self, name: &str) -> bool {
        matches!(name, "input" | "data" | "_")
            || self.rules.contains(name)
            || self.imports.contains_key(name)
            || self.locals.iter().any(|locals| locals.contains(name))
    }

    /// How many arguments a function takes, or that it takes any number; `None` if it doesn't
    /// exist.
    fn arity(&self, name: &str) -> Option<Option<usize>> {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let name = match self.imports.get(first) {
            Some(path) => format!("{path}.{rest}").trim_end_matches('.').to_owned(),
            None => name.to_owned(),
        };
        let within = name.strip_prefix(self.package).and_then(|rest| rest.strip_prefix('.'));
        let own = self.functions.get(within.unwrap_or(&name)).copied();
        match own.or_else(|| Some(BUILTINS.get(&*name)?.1.into())) {
            None if name == "print" => Some(None),
            takes => takes.map(Some),
        }
    }
}

/// The direct parts of an expression, within its own scope.
pub(crate) fn parts(expression: &Expr) -> Vec<&Ref<Expr>> {
    match expression {
        Expr::Call { params: items, .. } | Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().collect()
        }
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [key, value]).collect()
        }
        Expr::UnaryExpr { expr: one, .. } | Expr::RefDot { refr: one, .. } => vec![one],
        Expr::RefBrack { refr: one, index: other, .. }
        | Expr::BinExpr { lhs: one, rhs: other, .. }
        | Expr::BoolExpr { lhs: one, rhs: other, .. }
        | Expr::ArithExpr { lhs: one, rhs: other, .. }
        | Expr::AssignExpr { lhs: one, rhs: other, .. } => vec![one, other],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).collect()
        }
        Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. }
        | Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => vec![],
    }
}

/// The names in expressions, within their own scope.
fn variables<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut left: Vec<_> = expressions.into_iter().collect();
    while let Some(expression) = left.pop() {
        if let Expr::Var { span, .. } = expression {
            found.insert(span.text());
        }
        left.extend(parts(expression).into_iter().map(|part| &**part));
    }
    found
}

/// The names in statements, within their own scope: regorus treats all of them as bound.
fn bound(statements: &[LiteralStmt]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for LiteralStmt { literal, .. } in statements {
        let expressions: Vec<&Expr> = match literal {
            Literal::SomeVars { vars, .. } => {
                found.extend(vars.iter().map(Span::text));
                vec![]
            }
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).map(|part| &**part).collect()
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => vec![expr],
            Literal::Every { domain, .. } => vec![domain],
        };
        found.extend(variables(expressions));
    }
    found
}
