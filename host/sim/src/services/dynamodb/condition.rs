//! What DynamoDB's conditions mean. How they are written is in [`super::expression`].

use std::borrow::Cow;
use std::cmp::Ordering;

use super::number::Number;
use super::value::{AttributeValue, Item};

/// A condition on an item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Exists(Path),
    NotExists(Path),
    /// The operand is of the type with this name.
    Type(Operand, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Path(Path),
    Value(AttributeValue),
    Size(Box<Operand>),
}

/// The way to an attribute: its name, and the way into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// A step into a map or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
}

impl Condition {
    /// Whether it holds for an item; one that does not exist has no attributes.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Compare(comparator, a, b) => {
                comparator.holds(a.find(item).as_deref(), b.find(item).as_deref())
            }
            Self::Between(value, low, high) => {
                let value = value.find(item);
                let holds = |comparator: Comparator, bound: &Operand| {
                    comparator.holds(value.as_deref(), bound.find(item).as_deref())
                };
                holds(Comparator::GreaterOrEqual, low) && holds(Comparator::LessOrEqual, high)
            }
            Self::In(value, candidates) => {
                let value = value.find(item);
                candidates.iter().any(|candidate| {
                    Comparator::Equal.holds(value.as_deref(), candidate.find(item).as_deref())
                })
            }
            Self::And(parts) => parts.iter().all(|part| part.holds(item)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(item)),
            Self::Not(part) => !part.holds(item),
            Self::Exists(path) => path.find(item).is_some(),
            Self::NotExists(path) => path.find(item).is_none(),
            Self::Type(operand, kind) => {
                operand.find(item).is_some_and(|value| value.kind() == kind)
            }
            Self::BeginsWith(operand, prefix) => {
                matches!(
                    (operand.find(item).as_deref(), prefix.find(item).as_deref()),
                    (Some(value), Some(prefix)) if begins_with(value, prefix)
                )
            }
            Self::Contains(operand, element) => {
                matches!(
                    (operand.find(item).as_deref(), element.find(item).as_deref()),
                    (Some(value), Some(element)) if contains(value, element)
                )
            }
        }
    }

    /// The first attribute it looks at that is one of these.
    pub(crate) fn mentions<'a>(&'a self, names: &[&str]) -> Option<&'a str> {
        let operand = |operand: &'a Operand| operand.name().filter(|name| names.contains(name));
        match self {
            Self::Compare(_, a, b) | Self::BeginsWith(a, b) | Self::Contains(a, b) => {
                operand(a).or_else(|| operand(b))
            }
            Self::Between(a, b, c) => [a, b, c].into_iter().find_map(operand),
            Self::In(a, others) => operand(a).or_else(|| others.iter().find_map(operand)),
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().find_map(|part| part.mentions(names))
            }
            Self::Not(part) => part.mentions(names),
            Self::Exists(path) | Self::NotExists(path) => {
                Some(path.name.as_str()).filter(|name| names.contains(name))
            }
            Self::Type(a, _) => operand(a),
        }
    }
}

impl Comparator {
    /// A value that is missing, or of another type, is unequal and in no order.
    fn holds(self, a: Option<&AttributeValue>, b: Option<&AttributeValue>) -> bool {
        let (Some(a), Some(b)) = (a, b) else { return self == Self::NotEqual };
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => order(a, b).is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order(a, b).is_some_and(Ordering::is_le),
            Self::Greater => order(a, b).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order(a, b).is_some_and(Ordering::is_ge),
        }
    }
}

impl Operand {
    fn find<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, AttributeValue>> {
        match self {
            Self::Path(path) => path.find(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(operand) => {
                let size = length(&*operand.find(item)?)?;
                Some(Cow::Owned(AttributeValue::N(Number::whole(size))))
            }
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(&path.name),
            Self::Value(_) => None,
            Self::Size(operand) => operand.name(),
        }
    }
}

impl Path {
    /// What is there in an item.
    pub(crate) fn find<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        self.steps.iter().try_fold(item.get(&self.name)?, |value, step| match (value, step) {
            (AttributeValue::Map(members), Step::Member(name)) => members.get(name),
            (AttributeValue::List(elements), Step::Element(place)) => elements.get(*place),
            _ => None,
        })
    }
}

/// How two values are ordered, if they are.
pub(crate) fn order(a: &AttributeValue, b: &AttributeValue) -> Option<Ordering> {
    match (a, b) {
        (AttributeValue::S(a), AttributeValue::S(b)) => Some(a.cmp(b)),
        (AttributeValue::N(a), AttributeValue::N(b)) => Some(a.cmp(b)),
        (AttributeValue::B(a), AttributeValue::B(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn begins_with(value: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (value, prefix) {
        (AttributeValue::S(value), AttributeValue::S(prefix)) => value.starts_with(prefix),
        (AttributeValue::B(value), AttributeValue::B(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: &AttributeValue, element: &AttributeValue) -> bool {
    match (value, element) {
        (AttributeValue::S(value), AttributeValue::S(part)) => value.contains(part),
        (AttributeValue::B(value), AttributeValue::B(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::StringSet(set), AttributeValue::S(element)) => set.contains(element),
        (AttributeValue::NumberSet(set), AttributeValue::N(element)) => set.contains(element),
        (AttributeValue::BinarySet(set), AttributeValue::B(element)) => set.contains(element),
        (AttributeValue::List(elements), element) => elements.contains(element),
        _ => false,
    }
}

/// What the function `size` answers; numbers and truth values have none.
fn length(value: &AttributeValue) -> Option<usize> {
    match value {
        AttributeValue::S(text) => Some(text.chars().count()),
        AttributeValue::B(bytes) => Some(bytes.len()),
        AttributeValue::StringSet(set) => Some(set.len()),
        AttributeValue::NumberSet(set) => Some(set.len()),
        AttributeValue::BinarySet(set) => Some(set.len()),
        AttributeValue::List(elements) => Some(elements.len()),
        AttributeValue::Map(members) => Some(members.len()),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => None,
    }
}
