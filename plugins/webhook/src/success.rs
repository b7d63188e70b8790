//! The condition, besides the status, for a successful response.

use std::borrow::Cow;

use groundcrew_sdk::http::Response;
use groundcrew_sdk::{Failure, Problem};
use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// The setting, and its name in messages.
const SUCCESS_POINTER: &str = "/success";
const NAME: &str = "success";

/// The setting `success`, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Success {
    /// JSON pointer to what is `true` in an answer that is a success, as `/ok` with Slack's API.
    Pointer(String),
    /// What the text of such an answer is.
    Text(TextTest),
}

/// What a text has to be: one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTest {
    /// The whole text, but for blanks around it.
    pub text: Option<String>,
    /// A regular expression that matches somewhere in it.
    pub pattern: Option<String>,
}

/// Implemented by hand: with two alternatives the host could not find out which key is misspelt.
impl JsonSchema for Success {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Success".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "properties": {
                "text": {
                    "description": "The whole text, but for blanks around it.",
                    "type": "string",
                },
                "pattern": {
                    "description": "A regular expression that matches somewhere in the text.",
                    "type": "string",
                },
            },
            "additionalProperties": false,
        })
    }
}

/// The same, compiled.
#[derive(Debug)]
pub(crate) enum SuccessTest {
    Pointer(String),
    Text(String),
    Pattern(Regex),
}

impl SuccessTest {
    /// # Errors
    /// The problem of the setting.
    pub(crate) fn new(success: &Success) -> Result<Self, Problem> {
        let test = match success {
            Success::Pointer(pointer) if pointer.starts_with('/') => {
                return Ok(Self::Pointer(pointer.clone()));
            }
            Success::Pointer(text) => {
                let message = format!(
                    "expected a JSON pointer, such as `/result/ok`; for an answer that is a text, \
                     write {{ text = {text:?} }}"
                );
                return Err(Problem::new(SUCCESS_POINTER, message));
            }
            Success::Text(test) => test,
        };
        match (&test.text, &test.pattern) {
            (Some(text), None) => Ok(Self::Text(text.trim().to_owned())),
            (None, Some(pattern)) => {
                let problem =
                    |message: String| Problem::new(format!("{SUCCESS_POINTER}/pattern"), message);
                if pattern.is_empty() {
                    return Err(problem("empty: it would match everything".to_owned()));
                }
                let regex = Regex::new(pattern)
                    .map_err(|error| problem(format!("no regular expression: {error}")))?;
                Ok(Self::Pattern(regex))
            }
            (None, None) | (Some(_), Some(_)) => {
                Err(Problem::new(SUCCESS_POINTER, "expected either `text` or `pattern`"))
            }
        }
    }

    /// Whether a response whose status is a success meets the condition.
    ///
    /// # Errors
    /// When it doesn't: a permanent failure, since the request was accepted and is not sent again.
    /// The effect is possible, unless the response itself says that nothing was done.
    pub(crate) fn check(&self, answer: &Response) -> Result<(), Failure> {
        let (what, effect_possible) = match self {
            Self::Pointer(pointer) => {
                let body: Value = answer.json().map_err(|failure| failure.for_setting(NAME))?;
                match body.pointer(pointer) {
                    Some(Value::Bool(true)) => return Ok(()),
                    said => (format!("`{pointer}` is not true"), said != Some(&Value::Bool(false))),
                }
            }
            Self::Text(text) if answer.text().trim() == text => return Ok(()),
            Self::Text(text) => (format!("its text is not `{text}`"), true),
            Self::Pattern(pattern) if pattern.is_match(&answer.text()) => return Ok(()),
            Self::Pattern(pattern) => (format!("its text does not match `{pattern}`"), true),
        };
        let shown = match answer.excerpt() {
            shown if shown.is_empty() => "(an empty body)".to_owned(),
            shown => shown,
        };
        let failure = answer.unexpected(&format!("but {what}: {shown}"));
        Err(Failure { effect_possible, ..failure.for_setting(NAME) })
    }
}
