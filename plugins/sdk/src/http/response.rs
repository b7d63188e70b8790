//! Answers, and what their status means for trying again.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::{Request, is_safe, retry_after};
use crate::{Failure, FailureKind};

/// What is shown of the body of an answer that is no success, in characters.
const SHOWN: usize = 300;

/// An answer, whatever its status. Redirects are not followed: they are answers as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Method and place of the request.
    method: String,
    place: String,
}

impl Response {
    /// An answer with this status, and this body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![],
            body: body.into(),
            method: String::new(),
            place: String::new(),
        }
    }

    /// The same, with one more header field.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The answer to this request.
    pub(super) fn to(mut self, request: &Request) -> Self {
        self.method = request.method().to_owned();
        self.place = request.place().to_owned();
        self
    }

    /// The status code, 200 for example.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what isn't UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Transient`](FailureKind::Transient) when it is something else: then something else
    /// answered, as a proxy in between.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| Failure {
            effect_possible: self.is_success() && !is_safe(&self.method),
            ..Failure::transient(
                "unexpected-answer",
                format!("{} {} answers what is not understood: {error}", self.method, self.place),
            )
        })
    }

    /// The text or number at a JSON pointer (RFC 6901) of the body, as `/result/sys_id`;
    /// `None` when there is none, or only `null` or an empty text.
    ///
    /// # Errors
    /// When the body is no JSON; see [`json`](Self::json).
    pub fn at(&self, pointer: &str) -> Result<Option<String>, Failure> {
        let body: serde_json::Value = self.json()?;
        Ok(match body.pointer(pointer) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        })
    }

    /// A failure because of what this answer says, though its status is a success.
    pub fn unexpected(&self, what: &str) -> Failure {
        Failure {
            effect_possible: !is_safe(&self.method),
            ..Failure::permanent(
                "unexpected-answer",
                format!("{} {} answers {}, {what}", self.method, self.place, self.status),
            )
        }
    }

    /// How long the other system asks to wait, in seconds (`Retry-After`).
    pub fn retry_after(&self) -> Option<u32> {
        retry_after::seconds(self.header("Retry-After")?, self.header("Date"))
    }

    /// The answer, if its status is 2xx.
    ///
    /// # Errors
    /// What its status means; see [`failure`](Self::failure).
    pub fn success(self) -> Result<Self, Failure> {
        if self.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// What an answer that is no success means: 408, 425, 429 and 5xx may work later (501 and
    /// 505 never will); 401, 403 and 407 say that something is not permitted; all others,
    /// redirects among them, will be the same next time.
    ///
    /// A server that fails (5xx) may do so after it did what was asked for.
    pub fn failure(&self) -> Failure {
        let Self { status, method, place, .. } = self;
        let kind = match status {
            501 | 505 => FailureKind::Permanent,
            408 | 425 | 429 | 500.. => FailureKind::Transient,
            401 | 403 | 407 => FailureKind::Denied,
            _ => FailureKind::Permanent,
        };
        let mut message = format!("{method} {place} answers {status}");
        if (300..400).contains(status) {
            message.push_str(", a redirect, which is not followed");
        }
        let body = self.text();
        let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = body.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        if !shown.is_empty() {
            message.push_str(": ");
            message.push_str(&shown);
        }
        Failure {
            kind,
            code: format!("http-{status}"),
            message,
            effect_possible: (*status >= 500 || *status == 408) && !is_safe(method),
            retry_after: self.retry_after(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answer(method: &str, status: u16) -> Response {
        Response::new(status, "no\n such ").to(&Request::new(method, "https://a/b?token=x"))
    }

    #[rstest]
    #[case("POST", 302, FailureKind::Permanent, false)]
    #[case("POST", 400, FailureKind::Permanent, false)]
    #[case("POST", 401, FailureKind::Denied, false)]
    #[case("POST", 403, FailureKind::Denied, false)]
    #[case("POST", 404, FailureKind::Permanent, false)]
    #[case("POST", 408, FailureKind::Transient, true)]
    #[case("POST", 429, FailureKind::Transient, false)]
    #[case("POST", 500, FailureKind::Transient, true)]
    #[case("POST", 501, FailureKind::Permanent, true)]
    #[case("POST", 503, FailureKind::Transient, true)]
    #[case("GET", 503, FailureKind::Transient, false)]
    fn what_a_status_means(
        #[case] method: &str,
        #[case] status: u16,
        #[case] kind: FailureKind,
        #[case] effect_possible: bool,
    ) {
        let failure = answer(method, status).success().unwrap_err();
        assert_eq!((failure.kind, failure.effect_possible), (kind, effect_possible));
        assert_eq!(failure.code, format!("http-{status}"));
    }

    #[test]
    fn a_failure_shows_place_and_beginning_of_the_body() {
        let failure = answer("PUT", 404).failure();
        assert_eq!(failure.message, "PUT https://a/b answers 404: no such");
        let redirect = answer("PUT", 307).failure();
        assert_eq!(
            redirect.message,
            "PUT https://a/b answers 307, a redirect, which is not followed: no such"
        );
    }

    #[test]
    fn header_fields_are_found_in_any_case() {
        let answer = answer("GET", 429).with_header("retry-after", "7");
        assert_eq!(answer.header("Retry-After"), Some("7"));
        assert_eq!(answer.failure().retry_after, Some(7));
    }

    #[rstest]
    #[case("/a/0", Some("x"))]
    #[case("/b", Some("7"))]
    #[case("/c", None)]
    #[case("/d", None)]
    #[case("/e", None)]
    fn a_place_in_the_body(#[case] pointer: &str, #[case] expected: Option<&str>) {
        let answer = Response::new(200, r#"{"a":["x"],"b":7,"c":null,"d":""}"#);
        assert_eq!(answer.at(pointer), Ok(expected.map(str::to_owned)));
    }

    #[test]
    fn a_body_that_is_no_json_comes_from_somebody_else() {
        let failure = answer("POST", 200).json::<u32>().unwrap_err();
        assert_eq!((failure.kind, failure.effect_possible), (FailureKind::Transient, true));
        assert!(failure.message.starts_with("POST https://a/b answers what is not understood"));
    }
}
