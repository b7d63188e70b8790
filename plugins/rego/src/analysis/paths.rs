//! Checks paths below `input` and `data`, also under other names: imports, variables, rules that
//! are one path, and elements of an iteration.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{
    AssignOp, Expr, Literal, LiteralStmt, Module, Query, Rule, RuleAssign, RuleHead, Span,
};

use super::{AnalysisContext, Shape};
use crate::names::{head, parts, root};
use crate::schema::nearest;

/// How many rules, or variables, may refer to one another in a row.
const MAX_ALIAS_DEPTH: usize = 4;

/// The paths that don't exist.
pub(super) fn diagnostics(
    module: &Module,
    known: &AnalysisContext<'_>,
    input: &Shape,
) -> Vec<(Span, String)> {
    let mut paths = Paths {
        input,
        known,
        rules: module.policy.iter().map(|rule| root(head(rule))).collect(),
        typed_paths: BTreeMap::new(),
        scopes: vec![BTreeMap::new()],
        mocked: false,
        diagnostics: vec![],
    };
    for import in &module.imports {
        let name = match (&import.r#as, &*import.refr) {
            (Some(name), _) => name.text(),
            (None, Expr::RefDot { field, .. }) => field.0.text(),
            _ => continue,
        };
        let typed_path = paths.visit_expr(&import.refr);
        paths.typed_paths.insert(name, typed_path);
    }
    let imported = std::mem::take(&mut paths.diagnostics);
    // A rule may refer to a path by a rule further down.
    for _ in 0..MAX_ALIAS_DEPTH {
        for rule in &module.policy {
            let typed_path = paths.visit_rule(rule);
            let name = root(head(rule));
            let is_only = module.policy.iter().filter(|one| root(head(one)) == name).count() == 1;
            if is_only && typed_path.is_some() {
                paths.typed_paths.insert(name, typed_path);
            }
        }
        paths.diagnostics.clear();
    }
    for rule in &module.policy {
        paths.visit_rule(rule);
    }
    let mut diagnostics = imported;
    diagnostics.extend(paths.diagnostics);
    diagnostics.sort_by_key(|(span, _)| (span.line, span.col));
    diagnostics.dedup_by_key(|(span, message)| (span.line, span.col, message.clone()));
    diagnostics
}

/// A value of the candidate or of the data.
#[derive(Clone)]
struct TypedPath<'a> {
    path: String,
    shape: &'a Shape,
}

struct Paths<'a> {
    input: &'a Shape,
    known: &'a AnalysisContext<'a>,
    rules: BTreeSet<&'a str>,
    /// Imports and rules that are a path.
    typed_paths: BTreeMap<&'a str, Option<TypedPath<'a>>>,
    /// Variables, innermost last; `None` for one that may be anything.
    scopes: Vec<BTreeMap<&'a str, Option<TypedPath<'a>>>>,
    /// Whether `with` replaces `input` or `data` here.
    mocked: bool,
    diagnostics: Vec<(Span, String)>,
}

impl<'a> Paths<'a> {
    /// The path of a rule, if the rule is one path.
    fn visit_rule(&mut self, rule: &'a Rule) -> Option<TypedPath<'a>> {
        let Rule::Spec { head, bodies, .. } = rule else { return None };
        let (refr, args, key, assign): (_, &[_], _, _) = match head {
            RuleHead::Compr { refr, assign, .. } => (refr, &[], None, assign.as_ref()),
            RuleHead::Set { refr, key, .. } => (refr, &[], key.as_ref(), None),
            RuleHead::Func { refr, args, assign, .. } => (refr, args, None, assign.as_ref()),
        };
        let (own, others) = match bodies.split_first() {
            Some((own, others)) if !own.is_else => (Some(&*own.query), others),
            _ => (None, &bodies[..]),
        };
        let mut arguments = BTreeMap::new();
        args.iter().for_each(|arg| unknown(arg, &mut arguments));
        self.scopes.push(arguments);
        let value = |assign: Option<&'a RuleAssign>| assign.map(|assign| &*assign.value);
        if !matches!(&**refr, Expr::Var { .. }) {
            self.visit_query(own, parts(refr).into_iter().map(|part| &**part));
        }
        let typed_paths =
            self.visit_query(own, key.map(|key| &**key).into_iter().chain(value(assign)));
        for body in others {
            self.visit_query(Some(&body.query), value(body.assign.as_ref()));
        }
        self.scopes.pop();
        let is_value = matches!(head, RuleHead::Compr { .. })
            && matches!(&**refr, Expr::Var { .. })
            && others.is_empty();
        typed_paths.into_iter().next().flatten().filter(|_| is_value)
    }

    /// Visits a query and the expressions that use its variables.
    fn visit_query(
        &mut self,
        query: Option<&'a Query>,
        terms: impl IntoIterator<Item = &'a Expr>,
    ) -> Vec<Option<TypedPath<'a>>> {
        let statements = query.map_or(&[][..], |query| &query.stmts);
        self.scopes.push(BTreeMap::new());
        // Statements may be in any order.
        let found = self.diagnostics.len();
        for _ in 0..MAX_ALIAS_DEPTH {
            statements.iter().for_each(|statement| self.bind(statement));
            self.diagnostics.truncate(found);
        }
        for statement in statements {
            self.visit_statement(statement);
        }
        let typed_paths = terms.into_iter().map(|term| self.visit_expr(term)).collect();
        self.scopes.pop();
        typed_paths
    }

    /// Binds the variables of a statement.
    fn bind(&mut self, statement: &'a LiteralStmt) {
        let mocked = self.mocked;
        self.mocked |= is_mocked(statement);
        let mut names = BTreeMap::new();
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                names.extend(vars.iter().map(|name| (name.text(), None)));
            }
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().for_each(|key| unknown(key, &mut names));
                unknown(value, &mut names);
                if let Expr::Var { span, .. } = &**value {
                    let collection = self.visit_expr(collection);
                    names.insert(span.text(), collection.map(|typed_path| typed_path.element()));
                }
            }
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { op, lhs, rhs, .. } = &**expr {
                    self.bind_assigned(op, lhs, rhs, &mut names);
                }
            }
            Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
        self.mocked = mocked;
        if let Some(scope) = self.scopes.last_mut() {
            scope.extend(names);
        }
    }

    fn bind_assigned(
        &mut self,
        op: &AssignOp,
        lhs: &'a Expr,
        rhs: &'a Expr,
        names: &mut BTreeMap<&'a str, Option<TypedPath<'a>>>,
    ) {
        match (op, lhs) {
            (AssignOp::ColEq, Expr::Var { span, .. }) => {
                let typed_path = self.visit_expr(rhs);
                names.insert(span.text(), typed_path);
            }
            (AssignOp::ColEq, _) => unknown(lhs, names),
            // `=` compares if the variable has a value already.
            (AssignOp::Eq, Expr::Var { span, .. }) => {
                let name = span.text();
                let is_new = !self.rules.contains(name)
                    && !self.typed_paths.contains_key(name)
                    && !self.scopes.iter().any(|scope| scope.contains_key(name));
                if is_new {
                    let typed_path = self.visit_expr(rhs);
                    names.insert(name, typed_path);
                }
            }
            (AssignOp::Eq, _) => {}
        }
    }

    fn visit_statement(&mut self, statement: &'a LiteralStmt) {
        for with in &statement.with_mods {
            self.visit_expr(&with.r#as);
        }
        let mocked = self.mocked;
        self.mocked |= is_mocked(statement);
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| {
                    self.visit_expr(part);
                });
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                self.visit_expr(expr);
            }
            Literal::Every { key, value, domain, query, .. } => {
                let element = self.visit_expr(domain).map(|typed_path| typed_path.element());
                let mut names: BTreeMap<_, _> = key.iter().map(|key| (key.text(), None)).collect();
                names.insert(value.text(), element);
                self.scopes.push(names);
                self.visit_query(Some(query), []);
                self.scopes.pop();
            }
        }
        self.mocked = mocked;
    }

    /// The path of an expression, if it is known. Reports every wrong path in it.
    fn visit_expr(&mut self, expression: &'a Expr) -> Option<TypedPath<'a>> {
        match expression {
            Expr::Var { span, .. } => self.named(span.text()),
            Expr::RefDot { refr, field, .. } => {
                let typed_path = self.visit_expr(refr)?;
                self.step(typed_path, field.0.text(), &field.0)
            }
            Expr::RefBrack { refr, index, .. } => {
                let typed_path = self.visit_expr(refr);
                self.visit_expr(index);
                let typed_path = typed_path?;
                match literal(index) {
                    Some(name) => self.step(typed_path, name, index.span()),
                    None => Some(typed_path.element()),
                }
            }
            Expr::Call { fcn, params, .. } => {
                let typed_paths: Vec<_> =
                    params.iter().map(|param| self.visit_expr(param)).collect();
                if let (true, [Some(typed_path), ..], [_, key, _]) =
                    (fcn.span().text() == "object.get", &typed_paths[..], &params[..])
                {
                    self.visit_path(typed_path.clone(), key);
                }
                None
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.visit_query(Some(query), [&**term]);
                None
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.visit_query(Some(query), [&**key, &**value]);
                None
            }
            _ => {
                for part in parts(expression) {
                    self.visit_expr(part);
                }
                None
            }
        }
    }

    fn named(&self, name: &str) -> Option<TypedPath<'a>> {
        if let Some(typed_path) = self.scopes.iter().rev().find_map(|scope| scope.get(name)) {
            return typed_path.clone();
        }
        let typed_path = |shape| Some(TypedPath { path: name.to_owned(), shape });
        match name {
            "input" | "data" if self.mocked => None,
            "input" => typed_path(self.input),
            "data" => typed_path(self.known.data),
            _ => self.typed_paths.get(name).cloned().flatten(),
        }
    }

    /// The path argument of `object.get`: a name, or an array of names.
    fn visit_path(&mut self, from: TypedPath<'a>, key: &'a Expr) {
        let names = match key {
            Expr::Array { items, .. } => items.iter().map(|item| &**item).collect(),
            other => vec![other],
        };
        let mut typed_path = Some(from);
        for part in names {
            let Some(from) = typed_path else { return };
            typed_path = match literal(part) {
                Some(name) => self.step(from, name, part.span()),
                None => Some(from.element()),
            };
        }
    }

    fn step(&mut self, from: TypedPath<'a>, name: &str, span: &Span) -> Option<TypedPath<'a>> {
        let path = format!("{}.{name}", from.path);
        // The script's own rules.
        if path == self.known.package || self.known.package.starts_with(&format!("{path}.")) {
            let shape = &Shape::Any;
            return (path != self.known.package).then_some(TypedPath { path, shape });
        }
        let message = match from.shape {
            Shape::Any => return None,
            Shape::Leaf => format!("there is no `{path}`: `{}` has nothing below it", from.path),
            Shape::List(_) => {
                format!("there is no `{path}`: `{0}` is an array, as in `some x in {0}`", from.path)
            }
            Shape::Object(fields, rest) => match fields.get(name).or(rest.as_deref()) {
                Some(shape) => return Some(TypedPath { path, shape }),
                None => {
                    let whose = match from.path.starts_with("data") {
                        true => " in the script's `schema`",
                        false => "",
                    };
                    let known = fields.keys().map(String::as_str);
                    format!("there is no `{path}`{whose}{}", nearest(name, known))
                }
            },
        };
        self.diagnostics.push((span.clone(), message));
        None
    }
}

impl TypedPath<'_> {
    fn element(self) -> Self {
        Self { path: format!("{}[_]", self.path), shape: self.shape.element() }
    }
}

/// Binds variables to unknown values.
fn unknown<'a>(pattern: &'a Expr, names: &mut BTreeMap<&'a str, Option<TypedPath<'a>>>) {
    if let Expr::Var { span, .. } = pattern {
        names.insert(span.text(), None);
    }
    parts(pattern).into_iter().for_each(|part| unknown(part, names));
}

/// Whether a statement replaces `input` or `data`, or a part of it.
fn is_mocked(statement: &LiteralStmt) -> bool {
    statement.with_mods.iter().any(|with| matches!(root(&with.refr), "input" | "data"))
}

/// A name that is written as a literal text.
fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| &**text)
        }
        _ => None,
    }
}
