//! Patterns of events, in the form of EventBridge's rules.
//!
//! A pattern is an object with the fields that an event must have. The value of each field is
//! another object, or a list of accepted values: plain values (including `null`), or one of
//! EventBridge's operators: [`OPERATORS`]. `$or` has a list of patterns of which one must match.
//! Sources: "Creating Amazon EventBridge event patterns" and "Comparison operators for use in event
//! patterns" of the EventBridge User Guide; for details that these leave open, AWS's own matcher
//! (aws/event-ruler).

use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// A valid pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Fields);

/// A pattern that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{at}`: {problem}")]
pub struct PatternError {
    /// JSON pointer to the problem.
    pub at: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    fields: Vec<(String, Field)>,
    /// One pattern of each list must match.
    alternatives: Vec<Vec<Fields>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Nested(Fields),
    /// One of them must match.
    AnyOf(Vec<Matcher>),
}

#[derive(Clone, Debug, PartialEq)]
enum Matcher {
    Equals(Value),
    Prefix(String),
    Suffix(String),
    /// In lower case, like all texts that are compared without case.
    PrefixIgnoringCase(String),
    SuffixIgnoringCase(String),
    IgnoringCase(String),
    /// The texts between the stars.
    Wildcard(Vec<String>),
    /// None of them matches.
    AnythingBut(Vec<Matcher>),
    Exists(bool),
    /// All of them must hold.
    Numeric(Vec<(Comparison, f64)>),
    /// An address block: its address and the length of its prefix.
    Cidr(IpAddr, u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// The operators that a pattern may use: all operators of EventBridge.
const OPERATORS: &str = "prefix, suffix, equals-ignore-case, wildcard, anything-but, exists, \
                         numeric, cidr";
/// The operators that `anything-but` accepts in place of values.
const NEGATABLE_OPERATORS: &str = "prefix, suffix, equals-ignore-case or wildcard";

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors The first problem, with its place.
    pub fn parse(pattern: &Value) -> Result<Self, PatternError> {
        let Value::Object(fields) = pattern else {
            return Err(pattern_error("", "expected a table of fields"));
        };
        if fields.is_empty() {
            return Err(pattern_error("", "it is empty: every event would match"));
        }
        parse_fields(fields, "").map(Self)
    }

    /// Whether an event matches.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches_object(event)
    }
}

fn pattern_error(at: &str, problem: impl Into<String>) -> PatternError {
    PatternError { at: at.to_owned(), problem: problem.into() }
}

fn parse_fields(fields: &Map<String, Value>, at: &str) -> Result<Fields, PatternError> {
    let mut parsed = Fields::default();
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        if name == "$or" {
            let several = value.as_array().filter(|several| several.len() > 1);
            let several =
                several.ok_or_else(|| pattern_error(&at, "expected a list of patterns"))?;
            let alternatives = several.iter().enumerate().map(|(index, one)| {
                let at = format!("{at}/{index}");
                let fields = one.as_object().filter(|one| !one.is_empty());
                parse_fields(fields.ok_or_else(|| pattern_error(&at, "expected a pattern"))?, &at)
            });
            parsed.alternatives.push(alternatives.collect::<Result<_, _>>()?);
            continue;
        }
        let field = match value {
            Value::Object(fields) if fields.is_empty() => {
                return Err(pattern_error(
                    &at,
                    "it is empty: expected fields, or a list of values",
                ));
            }
            Value::Object(fields) => Field::Nested(parse_fields(fields, &at)?),
            Value::Array(values) if !values.is_empty() => {
                let matchers = values.iter().enumerate();
                let matchers =
                    matchers.map(|(index, value)| parse_matcher(value, &format!("{at}/{index}")));
                Field::AnyOf(matchers.collect::<Result<_, _>>()?)
            }
            other => {
                let problem = format!("expected a list of values, such as [{other}]");
                return Err(pattern_error(&at, problem));
            }
        };
        parsed.fields.push((name.clone(), field));
    }
    Ok(parsed)
}

fn parse_matcher(value: &Value, at: &str) -> Result<Matcher, PatternError> {
    let (name, value) = match value {
        Value::Object(_) => operator(value, at)?,
        Value::Array(_) => return Err(pattern_error(at, "expected a value, not a list")),
        value => return Ok(Matcher::Equals(value.clone())),
    };
    Ok(match name {
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => {
            parse_text_operator(name, value, at)?
        }
        "exists" => match value {
            Value::Bool(exists) => Matcher::Exists(*exists),
            _ => return Err(pattern_error(at, "`exists` is true or false")),
        },
        "anything-but" => Matcher::AnythingBut(parse_anything_but(value, at)?),
        "numeric" => Matcher::Numeric(parse_numeric(value, at)?),
        "cidr" => parse_cidr(value, at)?,
        other => {
            return Err(pattern_error(
                at,
                format!("`{other}` is no operator; there are {OPERATORS}"),
            ));
        }
    })
}

/// The only operator of an object, and its argument.
fn operator<'v>(value: &'v Value, at: &str) -> Result<(&'v str, &'v Value), PatternError> {
    let mut parts = value.as_object().into_iter().flatten();
    match (parts.next(), parts.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(pattern_error(at, format!("expected one operator: {OPERATORS}"))),
    }
}

/// An operator that compares texts.
fn parse_text_operator(name: &str, value: &Value, at: &str) -> Result<Matcher, PatternError> {
    let text = |value: &Value, takes: &str| {
        let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        text.ok_or_else(|| pattern_error(at, format!("`{name}` takes {takes}")))
    };
    if let Value::Object(within) = value
        && matches!(name, "prefix" | "suffix")
    {
        let takes = "a text, or { \"equals-ignore-case\": a text }";
        let inner = within.get("equals-ignore-case").filter(|_| within.len() == 1);
        let inner = text(inner.unwrap_or(&Value::Null), takes)?.to_lowercase();
        return Ok(match name {
            "prefix" => Matcher::PrefixIgnoringCase(inner),
            _ => Matcher::SuffixIgnoringCase(inner),
        });
    }
    let text = text(value, "a text")?;
    Ok(match name {
        "prefix" => Matcher::Prefix(text),
        "suffix" => Matcher::Suffix(text),
        "equals-ignore-case" => Matcher::IgnoringCase(text.to_lowercase()),
        _ => Matcher::Wildcard(parse_wildcard(&text, at)?),
    })
}

/// `"a"`, `["a", "b"]`, or an operator that compares texts, whose text may also be a list.
fn parse_anything_but(value: &Value, at: &str) -> Result<Vec<Matcher>, PatternError> {
    let several = match value {
        Value::Array(several) if several.is_empty() => {
            return Err(pattern_error(at, "`anything-but` has an empty list"));
        }
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    let mut matchers = Vec::new();
    for one in several {
        match one {
            Value::Object(_) => match operator(one, at)? {
                (name @ ("prefix" | "suffix" | "equals-ignore-case" | "wildcard"), value) => {
                    for text in texts(name, value, at)? {
                        matchers.push(parse_text_operator(name, &text, at)?);
                    }
                }
                (name, _) => {
                    let problem = format!(
                        "`anything-but` takes no `{name}`, but values, {NEGATABLE_OPERATORS}"
                    );
                    return Err(pattern_error(at, problem));
                }
            },
            Value::Array(_) => return Err(pattern_error(at, "expected a value, not a list")),
            value => matchers.push(Matcher::Equals(value.clone())),
        }
    }
    Ok(matchers)
}

/// The texts of an operator within `anything-but`, each in the form of the operator alone.
fn texts(name: &str, value: &Value, at: &str) -> Result<Vec<Value>, PatternError> {
    let list = |value: &Value| match value {
        Value::Array(several) if several.is_empty() => {
            Err(pattern_error(at, format!("`{name}` has an empty list")))
        }
        Value::Array(several) => Ok(several.clone()),
        one => Ok(vec![one.clone()]),
    };
    match value.get("equals-ignore-case") {
        Some(inner) if value.as_object().is_some_and(|within| within.len() == 1) => {
            let each = list(inner)?.into_iter();
            Ok(each.map(|one| json!({ "equals-ignore-case": one })).collect())
        }
        _ => list(value),
    }
}

/// The texts between the stars of a wildcard. A backslash escapes a star or a backslash.
fn parse_wildcard(wildcard: &str, at: &str) -> Result<Vec<String>, PatternError> {
    let mut parts = vec![String::new()];
    let mut characters = wildcard.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '*' => {
                parts.push(String::new());
                continue;
            }
            '\\' => {
                characters.next().filter(|next| matches!(next, '*' | '\\')).ok_or_else(|| {
                    let problem =
                        "in a `wildcard` a backslash stands before `*` or a backslash only";
                    pattern_error(at, problem)
                })?
            }
            character => character,
        };
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    Ok(parts)
}

/// `"10.0.0.0/24"`
fn parse_cidr(value: &Value, at: &str) -> Result<Matcher, PatternError> {
    let read = || {
        let (address, bits) = value.as_str()?.split_once('/')?;
        let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
        let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        (bits <= most).then_some(Matcher::Cidr(address, bits))
    };
    let problem = "`cidr` takes a block of addresses such as \"10.0.0.0/24\"";
    read().ok_or_else(|| pattern_error(at, problem))
}

/// `[">", 0, "<=", 5]`
fn parse_numeric(value: &Value, at: &str) -> Result<Vec<(Comparison, f64)>, PatternError> {
    let problem = || pattern_error(at, "`numeric` takes comparisons such as [\">\", 0, \"<=\", 5]");
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
    fn matches_object(&self, event: &Value) -> bool {
        self.fields.iter().all(|(name, field)| field.matches(find(event, name)))
            && self
                .alternatives
                .iter()
                .all(|alternatives| alternatives.iter().any(|one| one.matches_object(event)))
    }
}

fn find<'e>(event: &'e Value, name: &str) -> Option<&'e Value> {
    event.as_object()?.get(name)
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Nested(fields), Some(Value::Array(several))) => {
                several.iter().any(|one| fields.matches_object(one))
            }
            // A missing field has no fields itself: `exists = false` holds for each of them.
            (Self::Nested(fields), value) => fields.matches_object(value.unwrap_or(&Value::Null)),
            (Self::AnyOf(matchers), value) => matchers.iter().any(|test| test.matches_field(value)),
        }
    }
}

impl Matcher {
    /// At least one element of a list must match, at any depth.
    fn matches_field(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(exists), Some(Value::Array(several))) => *exists != several.is_empty(),
            (_, Some(Value::Array(several))) => {
                several.iter().any(|one| self.matches_field(Some(one)))
            }
            // A field exists if it has a value; an object is no value.
            (_, None | Some(Value::Object(_))) => *self == Self::Exists(false),
            (_, Some(value)) => self.matches_value(value),
        }
    }

    fn matches_value(&self, value: &Value) -> bool {
        let text = value.as_str();
        let text_is = |matches_value: &dyn Fn(&str) -> bool| text.is_some_and(matches_value);
        match self {
            Self::Equals(expected) => match (expected.as_f64(), value.as_f64()) {
                (Some(expected), Some(value)) => expected == value,
                _ => expected == value,
            },
            Self::Prefix(prefix) => text_is(&|text| text.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text_is(&|text| text.ends_with(suffix.as_str())),
            Self::PrefixIgnoringCase(prefix) => {
                text_is(&|text| text.to_lowercase().starts_with(prefix.as_str()))
            }
            Self::SuffixIgnoringCase(suffix) => {
                text_is(&|text| text.to_lowercase().ends_with(suffix.as_str()))
            }
            Self::IgnoringCase(other) => text_is(&|text| text.to_lowercase() == *other),
            Self::Wildcard(parts) => text_is(&|text| matches_wildcard(parts, text)),
            Self::AnythingBut(matchers) => !matchers.iter().any(|test| test.matches_value(value)),
            Self::Exists(exists) => *exists,
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
                comparisons.iter().all(|(comparison, bound)| match comparison {
                    Comparison::Less => number < *bound,
                    Comparison::AtMost => number <= *bound,
                    Comparison::Equal => number == *bound,
                    Comparison::AtLeast => number >= *bound,
                    Comparison::More => number > *bound,
                })
            }),
            Self::Cidr(block, bits) => {
                text_is(&|text| text.parse().is_ok_and(|address| is_within(address, *block, *bits)))
            }
        }
    }
}

/// Whether two addresses of one kind have the same first `bits` bits.
fn is_within(address: IpAddr, block: IpAddr, bits: u32) -> bool {
    match (address, block) {
        (IpAddr::V4(address), IpAddr::V4(block)) => {
            (address.to_bits() ^ block.to_bits()).leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(block)) => {
            (address.to_bits() ^ block.to_bits()).leading_zeros() >= bits
        }
        _ => false,
    }
}

/// Whether a text matches a wildcard of these parts, with any text between two parts. Compares each
/// character of the text at most once for each part.
fn matches_wildcard(parts: &[String], text: &str) -> bool {
    let [first, rest @ ..] = parts else { return false };
    let Some(mut text) = text.strip_prefix(first.as_str()) else { return false };
    let [between @ .., last] = rest else { return text.is_empty() };
    for part in between {
        match text.find(part.as_str()) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last.as_str())
}
