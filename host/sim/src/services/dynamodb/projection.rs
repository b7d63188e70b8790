//! The parts of an item that a projection asks for.

use super::condition::{Path, Step};
use super::value::{AttributeValue, Item};

/// What of an item is at these paths, of which none leads through another.
pub(crate) fn project(item: &Item, paths: &[Path]) -> Item {
    let ways = |name: &String| -> Vec<&[Step]> {
        paths.iter().filter(|path| path.name == *name).map(|path| path.steps.as_slice()).collect()
    };
    item.iter()
        .filter_map(|(name, value)| Some((name.clone(), part(value, &ways(name))?)))
        .collect()
}

/// What of a value is along these ways into it, if anything.
fn part(value: &AttributeValue, ways: &[&[Step]]) -> Option<AttributeValue> {
    if ways.iter().any(|way| way.is_empty()) {
        return Some(value.clone());
    }
    if ways.is_empty() {
        return None;
    }
    let behind = |step: &Step| -> Vec<&[Step]> {
        ways.iter().filter(|way| way[0] == *step).map(|way| &way[1..]).collect()
    };
    match value {
        AttributeValue::Map(members) => {
            let found: Item = members
                .iter()
                .filter_map(|(name, value)| {
                    let ways = behind(&Step::Member(name.clone()));
                    Some((name.clone(), part(value, &ways)?))
                })
                .collect();
            (!found.is_empty()).then_some(AttributeValue::Map(found))
        }
        AttributeValue::List(elements) => {
            let found: Vec<AttributeValue> = elements
                .iter()
                .enumerate()
                .filter_map(|(place, value)| part(value, &behind(&Step::Element(place))))
                .collect();
            (!found.is_empty()).then_some(AttributeValue::List(found))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::expression::projection;
    use super::super::placeholders::Placeholders;
    use super::super::value::{read_item, write_item};
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case("a", json!({ "a": { "S": "1" } }))]
    #[case("a, absent", json!({ "a": { "S": "1" } }))]
    #[case("m.x", json!({ "m": { "M": { "x": { "S": "2" } } } }))]
    #[case("m.x, a, m.y", json!({ "a": { "S": "1" }, "m": { "M": { "x": { "S": "2" }, "y": { "S": "3" } } } }))]
    #[case("l[2], l[0]", json!({ "l": { "L": [{ "S": "4" }, { "S": "6" }] } }))]
    #[case("m.absent, l[9], a.b", json!({}))]
    fn only_what_is_asked_for_comes(#[case] text: &str, #[case] expected: Value) {
        let item = json!({
            "a": { "S": "1" },
            "m": { "M": { "x": { "S": "2" }, "y": { "S": "3" } } },
            "l": { "L": [{ "S": "4" }, { "S": "5" }, { "S": "6" }] },
        });
        let item = read_item(item.as_object().unwrap()).unwrap();
        let paths = projection(text, &mut Placeholders::default()).unwrap();
        assert_eq!(write_item(&project(&item, &paths)), expected);
    }
}
