//! How DynamoDB's expressions are written: conditions (of writes, of keys, of filters) and
//! projections.
//!
//! From "Condition and filter expressions, operators, and functions" and "Constraints" in
//! the developer guide: at most 4 KB and 300 operators, no reserved word as a name, no
//! redundant parentheses.

use super::condition::{Comparator, Condition, Operand, Path, Step};
use super::error::invalid;
use super::lexer::{self, Token, Word};
use super::placeholders::Placeholders;
use super::value::AttributeValue;
use crate::protocol::ApiError;

/// Most bytes of an expression.
const LENGTH: usize = 4096;

/// Most operators and functions of an expression.
const OPERATORS: usize = 300;

/// Parentheses nest at most so deep: a limit of this parser.
const NESTING: usize = 100;

const RESERVED: &str = include_str!("reserved_words.txt");

/// Reads a condition, which is the request's member `kind`.
pub(crate) fn condition(
    kind: &str,
    text: &str,
    placeholders: &mut Placeholders,
) -> Result<Condition, ApiError> {
    let mut parser = Parser::new(kind, text, placeholders)?;
    let node = parser.any()?;
    parser.end()?;
    parser.condition(node)
}

/// Reads the paths of a `ProjectionExpression`.
pub(crate) fn projection(
    text: &str,
    placeholders: &mut Placeholders,
) -> Result<Vec<Path>, ApiError> {
    let mut parser = Parser::new("ProjectionExpression", text, placeholders)?;
    let mut paths: Vec<Path> = Vec::new();
    loop {
        let path = parser.path()?;
        let overlaps = |other: &Path| {
            path.name == other.name && path.steps.iter().zip(&other.steps).all(|(a, b)| a == b)
        };
        if paths.iter().any(overlaps) {
            return Err(parser.fail("Two document paths overlap with each other"));
        }
        paths.push(path);
        if !parser.take(",") {
            break;
        }
    }
    parser.end()?;
    Ok(paths)
}

/// A part of an expression: what it is shows only in the end.
struct Node {
    kind: Kind,
    /// Whether parentheses enclose it, which another pair would do in vain.
    enclosed: bool,
}

enum Kind {
    Operand(Operand),
    Condition(Condition),
    /// A function that answers true or false, which can't be compared.
    Function(&'static str, Condition),
}

struct Parser<'a> {
    kind: &'a str,
    text: &'a str,
    words: Vec<Word<'a>>,
    at: usize,
    placeholders: &'a mut Placeholders,
    operators: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(
        kind: &'a str,
        text: &'a str,
        placeholders: &'a mut Placeholders,
    ) -> Result<Self, ApiError> {
        let fail = |message: String| Err(invalid(&format!("Invalid {kind}: {message}")));
        if text.trim().is_empty() {
            return fail("The expression can not be empty;".to_owned());
        }
        if text.len() > LENGTH {
            return fail(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {}",
                text.len()
            ));
        }
        match lexer::words(text) {
            Ok(words) => {
                Ok(Self { kind, text, words, at: 0, placeholders, operators: 0, depth: 0 })
            }
            Err(place) => {
                let token = text[place..].chars().next().unwrap_or(' ');
                fail(format!("Syntax error; token: \"{token}\", near: \"{token}\""))
            }
        }
    }

    fn fail(&self, message: &str) -> ApiError {
        invalid(&format!("Invalid {}: {message}", self.kind))
    }

    /// The next word is not what is due.
    fn unexpected(&self) -> ApiError {
        let word = self.words.get(self.at);
        let from = self.at.checked_sub(1).and_then(|before| self.words.get(before));
        let from = from.or(word).map_or(0, |word| word.start);
        let last = self.words.get(self.at + 1).or(word).or(self.words.last());
        let to = last.map_or(self.text.len(), |word| word.start + word.text.len());
        self.fail(&format!(
            "Syntax error; token: \"{}\", near: \"{}\"",
            word.map_or("<EOF>", |word| word.text),
            &self.text[from..to],
        ))
    }

    fn token(&self) -> Option<Token<'a>> {
        self.words.get(self.at).map(|word| word.token)
    }

    /// Takes the next word if it is this sign.
    fn take(&mut self, sign: &str) -> bool {
        let found = self.token() == Some(Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    /// Takes the next word if it is this keyword, in whatever case.
    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found =
            matches!(self.token(), Some(Token::Name(name)) if name.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), ApiError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end(&self) -> Result<(), ApiError> {
        if self.at == self.words.len() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn count(&mut self) -> Result<(), ApiError> {
        self.operators += 1;
        if self.operators > OPERATORS {
            return Err(self.fail(&format!(
                "The expression contains too many operators; maximum operator count: {OPERATORS}"
            )));
        }
        Ok(())
    }

    /// A condition, with `OR` binding least, or an operand alone.
    fn any(&mut self) -> Result<Node, ApiError> {
        self.chain("OR", Self::conjunction, Condition::Or)
    }

    fn conjunction(&mut self) -> Result<Node, ApiError> {
        self.chain("AND", Self::negation, Condition::And)
    }

    fn chain(
        &mut self,
        keyword: &str,
        part: fn(&mut Self) -> Result<Node, ApiError>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Node, ApiError> {
        let first = part(self)?;
        if !self.take_keyword(keyword) {
            return Ok(first);
        }
        let mut parts = vec![self.condition(first)?];
        loop {
            self.count()?;
            let next = part(self)?;
            parts.push(self.condition(next)?);
            if !self.take_keyword(keyword) {
                return Ok(Node { kind: Kind::Condition(join(parts)), enclosed: false });
            }
        }
    }

    fn negation(&mut self) -> Result<Node, ApiError> {
        if !self.take_keyword("NOT") {
            return self.comparison();
        }
        self.count()?;
        let node = self.comparison()?;
        let condition = Condition::Not(Box::new(self.condition(node)?));
        Ok(Node { kind: Kind::Condition(condition), enclosed: false })
    }

    fn comparison(&mut self) -> Result<Node, ApiError> {
        let node = self.term()?;
        let comparator = match self.token() {
            Some(Token::Sign("=")) => Some(Comparator::Equal),
            Some(Token::Sign("<>")) => Some(Comparator::NotEqual),
            Some(Token::Sign("<")) => Some(Comparator::Less),
            Some(Token::Sign("<=")) => Some(Comparator::LessOrEqual),
            Some(Token::Sign(">")) => Some(Comparator::Greater),
            Some(Token::Sign(">=")) => Some(Comparator::GreaterOrEqual),
            _ => None,
        };
        let condition = if let Some(comparator) = comparator {
            let sign = self.words[self.at].text;
            self.at += 1;
            self.count()?;
            let (a, b) = (self.operand_of(node)?, self.operand()?);
            self.check_distinct(sign, &a, &b)?;
            if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
                self.check_ordered("operator", sign, &a)?;
                self.check_ordered("operator", sign, &b)?;
            }
            Condition::Compare(comparator, a, b)
        } else if self.take_keyword("BETWEEN") {
            self.count()?;
            let (value, low) = (self.operand_of(node)?, self.operand()?);
            if !self.take_keyword("AND") {
                return Err(self.unexpected());
            }
            let high = self.operand()?;
            self.check_bounds(&low, &high)?;
            Condition::Between(value, low, high)
        } else if self.take_keyword("IN") {
            self.count()?;
            let value = self.operand_of(node)?;
            Condition::In(value, self.arguments()?)
        } else {
            return Ok(node);
        };
        Ok(Node { kind: Kind::Condition(condition), enclosed: false })
    }

    /// Something in parentheses, a function, a value or a path.
    fn term(&mut self) -> Result<Node, ApiError> {
        let plain = |operand| Node { kind: Kind::Operand(operand), enclosed: false };
        match self.token() {
            Some(Token::Sign("(")) => {
                self.at += 1;
                self.depth += 1;
                if self.depth > NESTING {
                    return Err(self.fail("The expression is nested too deeply"));
                }
                let node = self.any()?;
                self.expect(")")?;
                self.depth -= 1;
                if node.enclosed {
                    return Err(self.fail("The expression has redundant parentheses;"));
                }
                Ok(Node { enclosed: true, ..node })
            }
            Some(Token::ValuePlaceholder(placeholder)) => {
                self.at += 1;
                let value = self.placeholders.value(placeholder).ok_or_else(|| {
                    self.fail(&format!("An expression attribute value used in expression is not defined; attribute value: {placeholder}"))
                })?;
                Ok(plain(Operand::Value(value)))
            }
            Some(Token::Name(name))
                if self.words.get(self.at + 1).map(|word| word.token) == Some(Token::Sign("("))
                    && !["and", "or", "not", "between", "in"]
                        .contains(&name.to_ascii_lowercase().as_str()) =>
            {
                self.at += 1;
                self.function(name)
            }
            _ => Ok(plain(Operand::Path(self.path()?))),
        }
    }

    fn function(&mut self, name: &str) -> Result<Node, ApiError> {
        self.count()?;
        let known = [
            ("attribute_exists", 1),
            ("attribute_not_exists", 1),
            ("attribute_type", 2),
            ("begins_with", 2),
            ("contains", 2),
            ("size", 1),
        ];
        let Some((name, count)) = known.into_iter().find(|(known, _)| *known == name) else {
            return Err(self.fail(&format!("Invalid function name; function: {name}")));
        };
        let arguments = self.arguments()?;
        if arguments.len() != count {
            return Err(self.fail(&format!(
                "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {}",
                arguments.len()
            )));
        }
        let mut arguments = arguments.into_iter();
        let (Some(first), second) = (arguments.next(), arguments.next()) else {
            return Err(self.unexpected());
        };
        if let Some(second) = &second {
            self.check_distinct(name, &first, second)?;
        }
        let condition = match (name, first, second) {
            ("size", Operand::Value(value), None)
                if matches!(value.kind(), "N" | "BOOL" | "NULL") =>
            {
                return Err(self.wrong_type("operator or function", name, value.kind()));
            }
            ("size", operand, None) => {
                let operand = Operand::Size(Box::new(operand));
                return Ok(Node { kind: Kind::Operand(operand), enclosed: false });
            }
            ("attribute_exists", Operand::Path(path), None) => Condition::Exists(path),
            ("attribute_not_exists", Operand::Path(path), None) => Condition::NotExists(path),
            ("attribute_type", operand, Some(Operand::Value(AttributeValue::S(kind)))) => {
                if !["S", "N", "B", "NULL", "SS", "BOOL", "L", "BS", "NS", "M"]
                    .contains(&kind.as_str())
                {
                    return Err(self.fail(&format!("Invalid attribute type name found; type: {kind}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}")));
                }
                Condition::Type(operand, kind)
            }
            ("begins_with", operand, Some(prefix)) => {
                for part in [&operand, &prefix] {
                    if let Operand::Value(value) = part
                        && !matches!(value.kind(), "S" | "B")
                    {
                        return Err(self.wrong_type("operator or function", name, value.kind()));
                    }
                }
                Condition::BeginsWith(operand, prefix)
            }
            ("contains", operand, Some(element)) => Condition::Contains(operand, element),
            ("attribute_type", _, Some(Operand::Value(other))) => {
                return Err(self.wrong_type("operator or function", name, other.kind()));
            }
            _ => {
                return Err(self.fail(&format!(
                    "Operator or function requires a document path; operator or function: {name}"
                )));
            }
        };
        Ok(Node { kind: Kind::Function(name, condition), enclosed: false })
    }

    /// Operands in parentheses.
    fn arguments(&mut self) -> Result<Vec<Operand>, ApiError> {
        self.expect("(")?;
        let mut arguments = vec![self.operand()?];
        while self.take(",") {
            arguments.push(self.operand()?);
        }
        self.expect(")")?;
        Ok(arguments)
    }

    fn operand(&mut self) -> Result<Operand, ApiError> {
        let node = self.term()?;
        self.operand_of(node)
    }

    fn operand_of(&self, node: Node) -> Result<Operand, ApiError> {
        match node.kind {
            Kind::Operand(operand) => Ok(operand),
            Kind::Function(name, _) => Err(self.misused(name)),
            Kind::Condition(_) => Err(self.unexpected()),
        }
    }

    fn condition(&self, node: Node) -> Result<Condition, ApiError> {
        match node.kind {
            Kind::Condition(condition) | Kind::Function(_, condition) => Ok(condition),
            Kind::Operand(Operand::Size(_)) => Err(self.misused("size")),
            Kind::Operand(_) => Err(self.unexpected()),
        }
    }

    fn misused(&self, function: &str) -> ApiError {
        self.fail(&format!(
            "The function is not allowed to be used this way in an expression; function: {function}"
        ))
    }

    fn path(&mut self) -> Result<Path, ApiError> {
        let name = self.attribute()?;
        let mut steps = Vec::new();
        loop {
            if self.take(".") {
                steps.push(Step::Member(self.attribute()?));
            } else if self.take("[") {
                let Some(Token::Digits(digits)) = self.token() else {
                    return Err(self.unexpected());
                };
                steps.push(Step::Element(digits.parse().map_err(|_| self.unexpected())?));
                self.at += 1;
                self.expect("]")?;
            } else {
                return Ok(Path { name, steps });
            }
        }
    }

    fn attribute(&mut self) -> Result<String, ApiError> {
        let name = match self.token() {
            Some(Token::Name(name)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                if RESERVED.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name)) {
                    return Err(self.fail(&format!(
                        "Attribute name is a reserved keyword; reserved keyword: {name}"
                    )));
                }
                name.to_owned()
            }
            Some(Token::NamePlaceholder(placeholder)) => {
                self.placeholders.name(placeholder).ok_or_else(|| {
                    self.fail(&format!("An expression attribute name used in the document path is not defined; attribute name: {placeholder}"))
                })?
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    fn check_distinct(&self, operator: &str, a: &Operand, b: &Operand) -> Result<(), ApiError> {
        match (a, b) {
            (Operand::Path(a), Operand::Path(b)) if a == b => Err(self.fail(&format!(
                "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: [{}]",
                a.name
            ))),
            _ => Ok(()),
        }
    }

    /// Only texts, numbers and bytes have an order.
    fn check_ordered(&self, what: &str, sign: &str, operand: &Operand) -> Result<(), ApiError> {
        match operand {
            Operand::Value(value) if !matches!(value.kind(), "S" | "N" | "B") => {
                Err(self.wrong_type(what, sign, value.kind()))
            }
            _ => Ok(()),
        }
    }

    fn check_bounds(&self, low: &Operand, high: &Operand) -> Result<(), ApiError> {
        self.check_ordered("operator", "BETWEEN", low)?;
        self.check_ordered("operator", "BETWEEN", high)?;
        let (Operand::Value(low), Operand::Value(high)) = (low, high) else { return Ok(()) };
        match super::condition::order(low, high) {
            None => Err(self.fail(
                "The BETWEEN operator requires same data type for lower and upper bounds",
            )),
            Some(std::cmp::Ordering::Greater) => Err(self.fail(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
            )),
            Some(_) => Ok(()),
        }
    }

    fn wrong_type(&self, what: &str, name: &str, kind: &str) -> ApiError {
        self.fail(&format!(
            "Incorrect operand type for operator or function; {what}: {name}, operand type: {kind}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::read_item;
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn placeholders(names: &[(&str, &str)], values: &Value) -> Placeholders {
        let names: BTreeMap<String, String> =
            names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Placeholders::read(Some(&names), values.as_object()).unwrap()
    }

    fn values() -> Value {
        json!({
            ":one": { "N": "1" }, ":two": { "N": "2" }, ":nine": { "N": "9" },
            ":text": { "S": "abc" }, ":ab": { "S": "ab" }, ":yes": { "BOOL": true },
            ":set": { "SS": ["a", "b"] }, ":S": { "S": "S" }, ":X": { "S": "X" },
        })
    }

    fn holds(text: &str) -> bool {
        let item = json!({
            "one": { "N": "1.0" }, "two": { "N": "2" }, "words": { "S": "abc" },
            "flag": { "BOOL": true }, "tags": { "SS": ["ab", "c"] },
            "doc": { "M": { "els": { "L": [{ "N": "1" }, { "S": "ab" }] } } },
            "with.dot": { "N": "9" }, "status": { "S": "abc" },
        });
        let item = read_item(item.as_object().unwrap()).unwrap();
        let names = [("#status", "status"), ("#dot", "with.dot"), ("#l", "els")];
        let mut placeholders = placeholders(&names, &values());
        match condition("ConditionExpression", text, &mut placeholders) {
            Ok(condition) => condition.holds(&item),
            Err(error) => panic!("{}", error.message),
        }
    }

    #[rstest]
    #[case::numbers_by_value("one = :one", true)]
    #[case("one <> :one", false)]
    #[case("one < :two", true)]
    #[case("two <= :two", true)]
    #[case("two > :one", true)]
    #[case("one >= :two", false)]
    #[case::other_type("one = :text", false)]
    #[case("one <> :text", true)]
    #[case("one < :text", false)]
    #[case::missing("absent = :one", false)]
    #[case("absent <> :one", true)]
    #[case("absent < :one", false)]
    #[case("NOT absent = :one", true)]
    #[case::two_paths("one < two", true)]
    #[case::reversed(":one = one", true)]
    #[case::between("two BETWEEN :one AND :nine", true)]
    #[case("one BETWEEN :two AND :nine", false)]
    #[case("two between :one and :two and flag = :yes", true)]
    #[case::within("two IN (:one, :two)", true)]
    #[case("two in (:one)", false)]
    #[case::precedence("one = :two AND one = :two OR one = :one", true)]
    #[case("one = :two AND (one = :two OR one = :one)", false)]
    #[case("NOT one = :two AND one = :one", true)]
    #[case("NOT (one = :one AND two = :two)", false)]
    #[case("(one) = (:one)", true)]
    #[case::functions("attribute_exists(one) and attribute_not_exists(absent)", true)]
    #[case("attribute_exists(doc.els[1])", true)]
    #[case("attribute_exists(doc.els[2])", false)]
    #[case("attribute_exists(doc.#l[0])", true)]
    #[case("attribute_exists(one.two)", false)]
    #[case("attribute_type(words, :S)", true)]
    #[case("attribute_type(one, :S)", false)]
    #[case("begins_with(words, :ab)", true)]
    #[case("begins_with(one, :ab)", false)]
    #[case("contains(words, :ab)", true)]
    #[case("contains(tags, :ab)", true)]
    #[case("contains(doc.els, :ab)", true)]
    #[case("contains(tags, :text)", false)]
    #[case::size("size(words) > :two", true)]
    #[case("size(tags) = :two", true)]
    #[case("size(doc) = :one", true)]
    #[case("size(one) = :one", false)]
    #[case::placeholders("#status = :text", true)]
    #[case("#dot = :nine", true)]
    #[case("tags <> :set", true)]
    fn conditions_hold_as_in_dynamodb(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(holds(text), expected);
    }

    #[rstest]
    #[case("", "The expression can not be empty")]
    #[case("one", "Syntax error; token: \"<EOF>\"")]
    #[case("one = ", "Syntax error; token: \"<EOF>\", near: \"=\"")]
    #[case("one == :one", "Syntax error; token: \"=\", near: \"== :one\"")]
    #[case("one = :one two", "Syntax error; token: \"two\"")]
    #[case("one = 1", "Syntax error; token: \"1\"")]
    #[case("one = 'a'", "Syntax error; token: \"'\"")]
    #[case("(one = :one", "Syntax error; token: \"<EOF>\"")]
    #[case("_one = :one", "Syntax error; token: \"_one\"")]
    #[case("a[99999999999999999999999] = :one", "Syntax error")]
    #[case("((one = :one))", "redundant parentheses")]
    #[case("((one)) = :one", "redundant parentheses")]
    #[case("status = :one", "reserved keyword: status")]
    #[case("doc.Name = :one", "reserved keyword: Name")]
    #[case("one = :absent", "attribute value: :absent")]
    #[case("#absent = :one", "attribute name: #absent")]
    #[case("exists(one)", "Invalid function name; function: exists")]
    #[case("attribute_exists(one, two)", "number of operands: 2")]
    #[case("attribute_exists(:one)", "requires a document path")]
    #[case("begins_with(one, :one)", "operand type: N")]
    #[case("attribute_type(one, :X)", "Invalid attribute type name")]
    #[case("attribute_type(one, :one)", "operand type: N")]
    #[case("size(:one) = :one", "operand type: N")]
    #[case("size(one)", "not allowed to be used this way in an expression; function: size")]
    #[case("contains(one, :one) = :yes", "function: contains")]
    #[case("one = one", "must be distinct")]
    #[case("one < :yes", "operand type: BOOL")]
    #[case("one BETWEEN :nine AND :one", "upper bound to be greater")]
    #[case("one BETWEEN :one AND :text", "same data type")]
    #[case("one IN :one", "Syntax error; token: \":one\"")]
    fn what_dynamodb_refuses_is_refused(#[case] text: &str, #[case] message: &str) {
        let mut placeholders = placeholders(&[], &values());
        let error = condition("ConditionExpression", text, &mut placeholders).unwrap_err();
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.starts_with("Invalid ConditionExpression: "), "{}", error.message);
        assert!(error.message.contains(message), "{}", error.message);
    }

    #[rstest]
    #[case::long("a".repeat(4097), "expression size: 4097")]
    #[case::deep("(".repeat(4000), "nested too deeply")]
    #[case::many(vec!["one = :one"; 200].join(" OR "), "too many operators")]
    fn expressions_have_limits(#[case] text: String, #[case] message: &str) {
        let mut placeholders = placeholders(&[], &values());
        let error = condition("FilterExpression", &text, &mut placeholders).unwrap_err();
        assert!(error.message.contains(message), "{}", error.message);
    }

    #[rstest]
    #[case("#a = :a", None)]
    #[case("a = :a", Some("ExpressionAttributeNames unused in expressions: keys: {#a}"))]
    #[case(
        "attribute_exists(#a)",
        Some("ExpressionAttributeValues unused in expressions: keys: {:a}")
    )]
    fn every_placeholder_must_be_used(#[case] text: &str, #[case] message: Option<&str>) {
        let mut placeholders = placeholders(&[("#a", "a")], &json!({ ":a": { "N": "1" } }));
        condition("ConditionExpression", text, &mut placeholders).unwrap();
        let refused = placeholders.finish().err().map(|error| error.message);
        assert_eq!(refused.is_some(), message.is_some());
        assert!(refused.unwrap_or_default().contains(message.unwrap_or_default()));
    }

    #[rstest]
    #[case("a, b.c, d[1]", 3)]
    #[case("#n.b", 1)]
    fn projections_are_paths(#[case] text: &str, #[case] count: usize) {
        let mut placeholders = placeholders(&[("#n", "name")], &json!({}));
        assert_eq!(projection(text, &mut placeholders).unwrap().len(), count);
    }

    #[rstest]
    #[case("a,", "<EOF>")]
    #[case("a b", "token: \"b\"")]
    #[case("a.b, a", "overlap")]
    #[case("a[0], a[0]", "overlap")]
    fn other_projections_are_refused(#[case] text: &str, #[case] message: &str) {
        let mut placeholders = placeholders(&[], &json!({}));
        let error = projection(text, &mut placeholders).unwrap_err();
        assert!(error.message.contains(message), "{}", error.message);
    }
}
