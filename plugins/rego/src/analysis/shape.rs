//! The known structure of the values below a path.

use std::collections::BTreeMap;

/// The structure of a value.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Anything, or unknown.
    Any,
    /// A text, a number or a boolean: it has nothing below it.
    Leaf,
    /// An array of elements.
    List(Box<Shape>),
    /// An object: its fields, and the shape of other fields; `None` when there are no others.
    Object(BTreeMap<String, Shape>, Option<Box<Shape>>),
}

impl Shape {
    /// An object with these fields and no others.
    fn fields<const N: usize>(fields: [(&str, Shape); N]) -> Self {
        let fields = fields.into_iter().map(|(name, shape)| (name.to_owned(), shape));
        Self::Object(fields.collect(), None)
    }

    /// The shape of its elements or fields.
    pub(crate) fn element(&self) -> &Self {
        match self {
            Self::List(element) => element,
            Self::Object(fields, Some(rest)) if fields.is_empty() => rest,
            _ => &Self::Any,
        }
    }
}

/// The shape of the candidate that `crate::input` makes.
pub(super) fn input() -> Shape {
    use Shape::{Any, Leaf, List, Object};
    let texts = || Object(BTreeMap::new(), Some(Box::new(Leaf)));
    let unit = Shape::fields([("id", Leaf), ("name", Leaf)]);
    Shape::fields([
        ("action", Leaf),
        ("cause", Leaf),
        ("now", Leaf),
        ("now_ns", Leaf),
        (
            "account",
            Shape::fields([
                ("id", Leaf),
                ("name", Leaf),
                ("email", Leaf),
                ("ou", List(Box::new(Leaf))),
                ("organizational_units", List(Box::new(unit))),
                ("state", Leaf),
                ("tags", texts()),
                ("tags_unreadable", Leaf),
                ("joined", Leaf),
                ("joined_ns", Leaf),
            ]),
        ),
        (
            "product",
            Shape::fields([
                ("id", Leaf),
                ("name", Leaf),
                ("status", Leaf),
                ("artifact", Leaf),
                ("target_artifact", Leaf),
            ]),
        ),
        ("event", Shape::fields([("id", Leaf), ("name", Leaf), ("source", Leaf), ("detail", Any)])),
    ])
}

#[cfg(test)]
mod tests {
    use regorus::Value;

    use super::{Shape, input};
    use crate::tests::{candidate, sparse};

    /// The parts of a value that the shape lacks; collects the parts of the shape that the value
    /// has.
    fn missing(shape: &Shape, value: &Value, at: &str, seen: &mut Vec<String>) -> Vec<String> {
        seen.push(at.to_owned());
        match (shape, value) {
            (Shape::Any, _) => vec![],
            (Shape::List(element), Value::Array(items)) => {
                items.iter().flat_map(|item| missing(element, item, at, seen)).collect()
            }
            (Shape::Object(fields, rest), Value::Object(values)) => values
                .iter()
                .flat_map(|(key, value)| {
                    let key = key.as_string().unwrap();
                    let below = format!("{at}.{key}");
                    match fields.get(&**key).or(rest.as_deref()) {
                        Some(shape) => missing(shape, value, &below, seen),
                        None => vec![below],
                    }
                })
                .collect(),
            (Shape::Leaf, Value::String(_) | Value::Number(_) | Value::Bool(_)) => vec![],
            _ => vec![at.to_owned()],
        }
    }

    #[test]
    fn it_is_what_scripts_are_given() {
        let mut full = candidate();
        full.event = Some(groundcrew_sdk::Event {
            id: "1".to_owned(),
            name: "UpdateManagedAccount".to_owned(),
            source: "aws.controltower".to_owned(),
            json: r#"{"detail": {"x": 1}}"#.to_owned(),
        });
        let (shape, mut seen) = (input(), vec![]);
        for candidate in [full, sparse()] {
            let value = crate::input::from_candidate(&candidate).unwrap();
            assert_eq!(missing(&shape, &value, "input", &mut seen), Vec::<String>::new());
        }
        assert_all_seen(&shape, "input", &seen);
    }

    fn assert_all_seen(shape: &Shape, at: &str, seen: &[String]) {
        assert!(seen.iter().any(|path| path == at), "no script is given `{at}`");
        if let Shape::Object(fields, _) = shape {
            for (name, shape) in fields {
                assert_all_seen(shape, &format!("{at}.{name}"), seen);
            }
        }
    }
}
