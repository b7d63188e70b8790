//! Rules of one name that certainly contradict each other: whenever one of them holds, another
//! holds too, with another value. Rules that only may contradict each other are found by an
//! evaluation, which then fails.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{
    AssignOp, Expr, Literal, LiteralStmt, Module, Query, Rule, RuleHead, Span,
};

use crate::names::{head, root};

/// The later rule of each contradicting pair.
pub(super) fn diagnostics(module: &Module) -> Vec<(Span, String)> {
    let mut diagnostics = Vec::new();
    for (index, later) in module.policy.iter().enumerate() {
        let earlier = &module.policy[..index];
        if let Some(first) = earlier.iter().find(|earlier| are_defaults(earlier, later)) {
            let name = head(later).span();
            let message = format!(
                "`{}` has a default in line {} already",
                name.text(),
                head(first).span().line
            );
            diagnostics.push((name.clone(), message));
            continue;
        }
        let Some(one) = LiteralRule::new(later) else { continue };
        let literal_rules = earlier.iter().filter_map(|rule| LiteralRule::new(rule));
        let rival = literal_rules.into_iter().find(|rival| rival.contradicts(&one));
        if let Some(rival) = rival {
            let message = format!(
                "`{}` has another value in line {} whenever this holds: rules with different \
                 values contradict each other; use `else`, or `default` for what holds otherwise",
                one.name, rival.span.line
            );
            diagnostics.push((one.span.clone(), message));
        }
    }
    diagnostics
}

fn are_defaults(one: &Rule, other: &Rule) -> bool {
    let both = matches!((one, other), (Rule::Default { .. }, Rule::Default { .. }));
    both && head(one).span().text() == head(other).span().text()
}

/// A rule with one literal value.
struct LiteralRule<'a> {
    name: &'a str,
    span: &'a Span,
    value: Value,
    statements: BTreeSet<String>,
    /// The statements that declare variables. Their names may mean something else in another rule.
    declaring: BTreeSet<String>,
}

impl<'a> LiteralRule<'a> {
    fn new(rule: &'a Rule) -> Option<Self> {
        let Rule::Spec { head: RuleHead::Compr { refr, assign, .. }, bodies, .. } = rule else {
            return None;
        };
        let Expr::Var { span, .. } = &**refr else { return None };
        let value = match assign {
            Some(assign) => constant(&assign.value)?,
            None => Value::from(true),
        };
        let own = bodies.first().filter(|body| !body.is_else).map(|body| &*body.query);
        let (statements, declaring) = own.map(statements).unwrap_or_default();
        Some(Self { name: root(refr), span, value, statements, declaring })
    }

    /// Whether one of the two rules holds whenever the other does, with another value.
    fn contradicts(&self, other: &Self) -> bool {
        self.name == other.name
            && self.value != other.value
            && (self.is_implied_by(other) || other.is_implied_by(self))
    }

    fn is_implied_by(&self, other: &Self) -> bool {
        self.statements.is_empty()
            || self.statements.is_subset(&other.statements)
                && other.declaring.is_subset(&self.statements)
    }
}

/// The statements of a query, and those of them that declare variables.
fn statements(query: &Query) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut declaring) = (BTreeSet::new(), BTreeSet::new());
    for statement in &query.stmts {
        let text = written(statement);
        let declares = match &statement.literal {
            Literal::SomeVars { .. } | Literal::SomeIn { .. } => true,
            Literal::Expr { expr, .. } => {
                matches!(&**expr, Expr::AssignExpr { op: AssignOp::ColEq, .. })
            }
            Literal::NotExpr { .. } | Literal::Every { .. } => false,
        };
        if declares {
            declaring.insert(text.clone());
        }
        all.insert(text);
    }
    (all, declaring)
}

/// The text of a statement, including its `with` modifiers.
fn written(statement: &LiteralStmt) -> String {
    let with = statement.with_mods.iter().map(|with| with.span.text().trim());
    let parts: Vec<_> = std::iter::once(statement.span.text().trim()).chain(with).collect();
    parts.join(" with ")
}

/// The value of a literal expression.
pub(super) fn constant(expression: &Expr) -> Option<Value> {
    match expression {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => Some(value.clone()),
        Expr::Array { items, .. } => {
            let items: Option<Vec<_>> = items.iter().map(|item| constant(item)).collect();
            items.map(Value::from)
        }
        Expr::Object { fields, .. } => {
            let fields: Option<BTreeMap<_, _>> = fields
                .iter()
                .map(|(_, key, value)| Some((constant(key)?, constant(value)?)))
                .collect();
            fields.map(Value::from)
        }
        _ => None,
    }
}
