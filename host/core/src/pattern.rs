//! Patterns of events, as EventBridge's rules have them.
//!
//! A pattern is an object with the fields that an event must have. Each field has an object
//! again, or a list of what its value may be: plain values, or one of EventBridge's operators
//! `prefix`, `suffix`, `equals-ignore-case`, `wildcard`, `anything-but`, `exists` and `numeric`.
//! `$or` has a list of patterns of which one must match. Source: "Creating Amazon EventBridge
//! event patterns" and "Comparison operators" of the EventBridge User Guide.

use serde_json::{Map, Value};

/// A pattern that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Fields);

/// A pattern that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{at}`: {problem}")]
pub struct PatternError {
    /// JSON pointer of what is wrong.
    pub at: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    fields: Vec<(String, Field)>,
    /// Of each list one must match.
    either: Vec<Vec<Fields>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Within(Fields),
    /// One of them must match.
    One(Vec<Test>),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Is(Value),
    Prefix(String),
    Suffix(String),
    IgnoringCase(String),
    Wildcard(String),
    /// None of them matches.
    But(Vec<Test>),
    Exists(bool),
    /// All of them hold.
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

const OPERATORS: &str =
    "prefix, suffix, equals-ignore-case, wildcard, anything-but, exists, numeric";

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong first, by its place.
    pub fn read(pattern: &Value) -> Result<Self, PatternError> {
        let Value::Object(fields) = pattern else {
            return Err(wrong("", "expected a table of fields"));
        };
        if fields.is_empty() {
            return Err(wrong("", "it is empty: every event would match"));
        }
        read_fields(fields, "").map(Self)
    }

    /// Whether an event matches.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.match_in(event)
    }
}

fn wrong(at: &str, problem: impl Into<String>) -> PatternError {
    PatternError { at: at.to_owned(), problem: problem.into() }
}

fn read_fields(fields: &Map<String, Value>, at: &str) -> Result<Fields, PatternError> {
    let mut read = Fields::default();
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        if name == "$or" {
            let several = value.as_array().filter(|several| several.len() > 1);
            let several = several.ok_or_else(|| wrong(&at, "expected a list of patterns"))?;
            let either = several.iter().enumerate().map(|(index, one)| {
                let at = format!("{at}/{index}");
                let fields = one.as_object().filter(|one| !one.is_empty());
                read_fields(fields.ok_or_else(|| wrong(&at, "expected a pattern"))?, &at)
            });
            read.either.push(either.collect::<Result<_, _>>()?);
            continue;
        }
        let field = match value {
            Value::Object(fields) if fields.is_empty() => {
                return Err(wrong(&at, "it is empty: expected fields, or a list of values"));
            }
            Value::Object(fields) => Field::Within(read_fields(fields, &at)?),
            Value::Array(values) if !values.is_empty() => {
                let tests = values.iter().enumerate();
                let tests = tests.map(|(index, value)| read_test(value, &format!("{at}/{index}")));
                Field::One(tests.collect::<Result<_, _>>()?)
            }
            other => {
                let problem = format!("expected a list of values, such as [{other}]");
                return Err(wrong(&at, problem));
            }
        };
        read.fields.push((name.clone(), field));
    }
    Ok(read)
}

fn read_test(value: &Value, at: &str) -> Result<Test, PatternError> {
    let operator = match value {
        Value::Object(operator) => operator,
        Value::Array(_) => return Err(wrong(at, "expected a value, not a list")),
        value => return Ok(Test::Is(value.clone())),
    };
    let mut parts = operator.iter();
    let (Some((name, value)), None) = (parts.next(), parts.next()) else {
        return Err(wrong(at, format!("expected one operator: {OPERATORS}")));
    };
    let text = || {
        let text = value.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| wrong(at, format!("`{name}` takes a text")))
    };
    Ok(match name.as_str() {
        "prefix" => Test::Prefix(text()?),
        "suffix" => Test::Suffix(text()?),
        "equals-ignore-case" => Test::IgnoringCase(text()?),
        "wildcard" => Test::Wildcard(text()?),
        "exists" => match value {
            Value::Bool(exists) => Test::Exists(*exists),
            _ => return Err(wrong(at, "`exists` is true or false")),
        },
        "anything-but" => {
            let several = match value {
                Value::Array(several) if several.is_empty() => {
                    return Err(wrong(at, "`anything-but` has an empty list"));
                }
                Value::Array(several) => several.iter().collect(),
                one => vec![one],
            };
            let tests = several.into_iter().map(|one| match read_test(one, at)? {
                Test::But(_) | Test::Exists(_) | Test::Numeric(_) => {
                    Err(wrong(at, "`anything-but` takes values, prefix, suffix or wildcard"))
                }
                test => Ok(test),
            });
            Test::But(tests.collect::<Result<_, _>>()?)
        }
        "numeric" => Test::Numeric(read_numeric(value, at)?),
        other => {
            return Err(wrong(at, format!("`{other}` is no operator; there are {OPERATORS}")));
        }
    })
}

/// `[">", 0, "<=", 5]`
fn read_numeric(value: &Value, at: &str) -> Result<Vec<(Comparison, f64)>, PatternError> {
    let problem = || wrong(at, "`numeric` takes comparisons such as [\">\", 0, \"<=\", 5]");
    let parts = value.as_array().filter(|parts| !parts.is_empty() && parts.len() % 2 == 0);
    let pairs = parts.ok_or_else(problem)?.chunks_exact(2);
    pairs
        .map(|pair| {
            let comparison = match pair[0].as_str() {
                Some("<") => Comparison::Less,
                Some("<=") => Comparison::AtMost,
                Some("=") => Comparison::Equal,
                Some(">=") => Comparison::AtLeast,
                Some(">") => Comparison::More,
                _ => return Err(problem()),
            };
            Ok((comparison, pair[1].as_f64().ok_or_else(problem)?))
        })
        .collect()
}

impl Fields {
    fn match_in(&self, event: &Value) -> bool {
        self.fields.iter().all(|(name, field)| field.matches(find(event, name)))
            && self.either.iter().all(|either| either.iter().any(|one| one.match_in(event)))
    }
}

fn find<'e>(event: &'e Value, name: &str) -> Option<&'e Value> {
    event.as_object()?.get(name)
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Within(fields), Some(Value::Array(several))) => {
                several.iter().any(|one| fields.match_in(one))
            }
            // What isn't there has no fields: `exists = false` holds of each.
            (Self::Within(fields), value) => fields.match_in(value.unwrap_or(&Value::Null)),
            // Of a list one element must match.
            (Self::One(tests), Some(Value::Array(several))) => {
                tests.iter().any(|test| match test {
                    Test::Exists(exists) => *exists != several.is_empty(),
                    test => several.iter().any(|one| test.holds(Some(one))),
                })
            }
            (Self::One(tests), value) => tests.iter().any(|test| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return *self == Self::Exists(false) };
        let text = value.as_str();
        let text_is = |holds: &dyn Fn(&str) -> bool| text.is_some_and(holds);
        match self {
            Self::Is(expected) => match (expected.as_f64(), value.as_f64()) {
                (Some(expected), Some(value)) => expected == value,
                _ => expected == value,
            },
            Self::Prefix(prefix) => text_is(&|text| text.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text_is(&|text| text.ends_with(suffix.as_str())),
            Self::IgnoringCase(other) => {
                text_is(&|text| text.to_lowercase() == other.to_lowercase())
            }
            Self::Wildcard(wildcard) => text_is(&|text| is_like(wildcard, text)),
            Self::But(tests) => !tests.iter().any(|test| test.holds(Some(value))),
            // Only what has a value exists: of an object that can't be asked.
            Self::Exists(exists) => *exists != value.is_object(),
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
                comparisons.iter().all(|(comparison, bound)| match comparison {
                    Comparison::Less => number < *bound,
                    Comparison::AtMost => number <= *bound,
                    Comparison::Equal => number == *bound,
                    Comparison::AtLeast => number >= *bound,
                    Comparison::More => number > *bound,
                })
            }),
        }
    }
}

/// Whether a text is like a wildcard in which `*` stands for any text. Looks at each character
/// of the text as often as there are stars at most.
fn is_like(wildcard: &str, text: &str) -> bool {
    let mut parts = wildcard.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "source": "aws.controltower",
            "account": "111122223333",
            "resources": [],
            "detail": {
                "eventName": "UpdateLandingZone",
                "readOnly": false,
                "nothing": null,
                "attempts": 3,
                "units": [{ "name": "Sandbox" }, { "name": "Prod" }],
                "tags": ["blue", "green"],
                "serviceEventDetails": { "updateLandingZoneStatus": { "state": "FAILED" } },
            },
        })
    }

    #[rstest]
    #[case::value(json!({ "source": ["aws.controltower"] }), true)]
    #[case::another(json!({ "source": ["aws.s3"] }), false)]
    #[case::one_of_them(json!({ "source": ["aws.s3", "aws.controltower"] }), true)]
    #[case::all_fields(json!({ "source": ["aws.controltower"], "account": ["1"] }), false)]
    #[case::nested(json!({ "detail": { "serviceEventDetails":
        { "updateLandingZoneStatus": { "state": ["FAILED"] } } } }), true)]
    #[case::within_nothing(json!({ "detail": { "none": { "state": ["FAILED"] } } }), false)]
    #[case::flag(json!({ "detail": { "readOnly": [false] } }), true)]
    #[case::null(json!({ "detail": { "nothing": [null] } }), true)]
    #[case::number(json!({ "detail": { "attempts": [3.0] } }), true)]
    #[case::element(json!({ "detail": { "tags": ["green"] } }), true)]
    #[case::no_element(json!({ "detail": { "tags": ["red"] } }), false)]
    #[case::field_of_an_element(json!({ "detail": { "units": { "name": ["Prod"] } } }), true)]
    #[case::prefix(json!({ "detail": { "eventName": [{ "prefix": "Update" }] } }), true)]
    #[case::no_prefix(json!({ "detail": { "eventName": [{ "prefix": "Zone" }] } }), false)]
    #[case::suffix(json!({ "detail": { "eventName": [{ "suffix": "Zone" }] } }), true)]
    #[case::case(json!({ "detail": { "eventName":
        [{ "equals-ignore-case": "updatelandingzone" }] } }), true)]
    #[case::wildcard(json!({ "detail": { "eventName": [{ "wildcard": "*Landing*" }] } }), true)]
    #[case::wildcard_ends(json!({ "detail": { "eventName": [{ "wildcard": "*Landing" }] } }), false)]
    #[case::but(json!({ "detail": { "eventName": [{ "anything-but": "X" }] } }), true)]
    #[case::but_it(json!({ "detail": { "eventName":
        [{ "anything-but": ["X", "UpdateLandingZone"] }] } }), false)]
    #[case::but_prefix(json!({ "detail": { "eventName":
        [{ "anything-but": { "prefix": "Up" } }] } }), false)]
    #[case::but_nothing(json!({ "detail": { "none": [{ "anything-but": "X" }] } }), false)]
    #[case::exists(json!({ "account": [{ "exists": true }] }), true)]
    #[case::is_missing(json!({ "detail": { "none": [{ "exists": false }] } }), true)]
    #[case::is_not_missing(json!({ "account": [{ "exists": false }] }), false)]
    #[case::missing_within(json!({ "none": { "deep": [{ "exists": false }] } }), true)]
    #[case::numeric(json!({ "detail": { "attempts": [{ "numeric": [">", 0, "<=", 3] }] } }), true)]
    #[case::numeric_not(json!({ "detail": { "attempts": [{ "numeric": [">", 3] }] } }), false)]
    #[case::either(json!({ "$or": [{ "source": ["x"] }, { "account": ["111122223333"] }] }), true)]
    #[case::neither(json!({ "$or": [{ "source": ["x"] }, { "account": ["1"] }] }), false)]
    fn matching(#[case] pattern: Value, #[case] expected: bool) {
        assert_eq!(Pattern::read(&pattern).unwrap().matches(&event()), expected);
    }

    #[rstest]
    #[case(json!([]), "``: expected a table of fields")]
    #[case(json!({}), "``: it is empty: every event would match")]
    #[case(json!({ "source": "x" }), "`/source`: expected a list of values, such as [\"x\"]")]
    #[case(json!({ "source": [] }), "`/source`: expected a list of values, such as [[]]")]
    #[case(json!({ "a": { "b": {} } }), "`/a/b`: it is empty: expected fields, or a list of values")]
    #[case(json!({ "a": [["b"]] }), "`/a/0`: expected a value, not a list")]
    #[case(json!({ "a": [{ "cidr": "10.0.0.0/8" }] }), "`/a/0`: `cidr` is no operator; there are \
        prefix, suffix, equals-ignore-case, wildcard, anything-but, exists, numeric")]
    #[case(json!({ "a": [{ "prefix": 1 }] }), "`/a/0`: `prefix` takes a text")]
    #[case(json!({ "a": [{ "numeric": [">"] }] }),
        "`/a/0`: `numeric` takes comparisons such as [\">\", 0, \"<=\", 5]")]
    #[case(json!({ "$or": [{ "a": ["b"] }] }), "`/$or`: expected a list of patterns")]
    fn what_is_wrong(#[case] pattern: Value, #[case] expected: &str) {
        assert_eq!(Pattern::read(&pattern).unwrap_err().to_string(), expected);
    }

    #[rstest]
    #[case("*", "", true)]
    #[case("a*a", "a", false)]
    #[case("a*a", "aa", true)]
    #[case("*ab*b", "abab", true)]
    #[case("*ab*b", "ab", false)]
    #[case("", "", true)]
    #[case("ü*", "über", true)]
    fn wildcards(#[case] wildcard: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_like(wildcard, text), expected);
    }
}
