//! Responses, and whether their status allows a retry.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::{Request, excerpt, is_safe, retry_after};
use crate::{Failure, FailureKind};

/// Typical causes of unexpected web pages.
const HTML_CAUSE: &str = "an instance that hibernates, a proxy or a login page answers so";
/// The code of a failure because of a response whose status is a success.
const UNEXPECTED_CODE: &str = "unexpected-answer";

/// A response, whatever its status. Redirects are not followed: they are responses as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Method and URL of the request.
    method: String,
    url_without_query: String,
}

impl Response {
    /// A response with this status and this body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![],
            body: body.into(),
            method: String::new(),
            url_without_query: String::new(),
        }
    }

    /// The same, with one more header field.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The response to this request.
    pub(super) fn for_request(mut self, request: &Request) -> Self {
        self.method = request.method().to_owned();
        self.url_without_query = request.url_without_query().to_owned();
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

    /// The beginning of the body in one line, bounded and printable, for messages.
    pub fn excerpt(&self) -> String {
        excerpt::excerpt(&self.text())
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// When it is not JSON, with the beginning of the body. If the request only reads, something
    /// else has responded, such as a proxy: [`Transient`](FailureKind::Transient). If the request
    /// does more and the status is 2xx, it must not be sent again:
    /// [`Permanent`](FailureKind::Permanent), and the effect is possible. With another status, the
    /// failure of that status ([`failure`](Self::failure)).
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| match error.is_data() {
            true => self.unparsable(&format!(", with other JSON ({error}): {}", self.excerpt())),
            false => self.unparsable(&self.describe_body("JSON")),
        })
    }

    /// The text or number at a JSON pointer (RFC 6901) of the body, such as `/result/sys_id`;
    /// `None` when there is none, or only `null` or a blank text. An empty response to a request
    /// that does more than read (usually 204) has no value at any pointer.
    ///
    /// # Errors
    /// When the body is not JSON; see [`json`](Self::json).
    pub fn value_at(&self, pointer: &str) -> Result<Option<String>, Failure> {
        if self.is_success() && self.body.trim_ascii().is_empty() && !is_safe(&self.method) {
            return Ok(None);
        }
        let body: serde_json::Value = self.json()?;
        Ok(match body.pointer(pointer) {
            Some(serde_json::Value::String(text)) if !text.trim().is_empty() => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        })
    }

    /// The response, unless it is a web page. Web pages are for people: they come not from an API
    /// but from an instance that hibernates, a proxy or a login page, whatever the status is.
    ///
    /// # Errors
    /// When it is a web page. Whether the request may be sent again is decided as in
    /// [`json`](Self::json).
    pub fn reject_html(self) -> Result<Self, Failure> {
        match excerpt::is_html(&self.body) {
            true => Err(self.unparsable(&self.describe_body("an API's answer"))),
            false => Ok(self),
        }
    }

    /// A failure because of the content of this response, though its status is a success:
    /// permanent, and the effect is possible if the request does more than read.
    pub fn unexpected(&self, what: &str) -> Failure {
        Failure {
            effect_possible: !is_safe(&self.method),
            ..Failure::permanent(
                UNEXPECTED_CODE,
                format!(
                    "{} {} answers {}, {what}",
                    self.method, self.url_without_query, self.status
                ),
            )
        }
    }

    /// The failure because of a body of the wrong form.
    fn unparsable(&self, what: &str) -> Failure {
        if !self.is_success() {
            return self.failure();
        }
        let Self { status, method, url_without_query, .. } = self;
        let safe = is_safe(method);
        Failure {
            kind: if safe { FailureKind::Transient } else { FailureKind::Permanent },
            code: UNEXPECTED_CODE.to_owned(),
            message: format!("{method} {url_without_query} answers {status}{what}"),
            effect_possible: !safe,
            retry_after: self.retry_after(),
        }
    }

    /// Describes the body: its form, its media type, and its beginning.
    fn describe_body(&self, of: &str) -> String {
        let kind = match self.header("Content-Type").map(excerpt::excerpt) {
            Some(kind) if !kind.is_empty() => format!(" ({kind})"),
            _ => String::new(),
        };
        let shown = self.excerpt();
        match () {
            () if excerpt::is_html(&self.body) => {
                format!(" with a web page instead of {of}{kind}; {HTML_CAUSE}: {shown}")
            }
            () if shown.is_empty() => format!(" with an empty body instead of {of}{kind}"),
            () => format!(" with a text instead of {of}{kind}: {shown}"),
        }
    }

    /// The target of a redirect, without query and fragment, which may contain secrets.
    fn redirect_target(&self) -> String {
        let target = self.header("Location").unwrap_or_default();
        let url_without_query = target.split(['?', '#']).next().unwrap_or_default();
        match excerpt::excerpt(url_without_query) {
            url_without_query if url_without_query.is_empty() => String::new(),
            url_without_query => format!(" to {url_without_query}"),
        }
    }

    /// How long to wait before the next request, in seconds (`Retry-After`).
    pub fn retry_after(&self) -> Option<u32> {
        retry_after::seconds(self.header("Retry-After")?, self.header("Date"))
    }

    /// The response, if its status is 2xx.
    ///
    /// # Errors
    /// The failure of its status; see [`failure`](Self::failure).
    pub fn success(self) -> Result<Self, Failure> {
        if self.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// The failure of a response that is not a success. 408, 425, 429 and 5xx may work later (501
    /// and 505 never will). 401, 403 and 407 mean that something is not permitted. All others,
    /// including redirects, will be the same next time.
    ///
    /// A server that fails (5xx) may have executed the request before.
    pub fn failure(&self) -> Failure {
        let Self { status, method, url_without_query, .. } = self;
        let kind = match status {
            501 | 505 => FailureKind::Permanent,
            408 | 425 | 429 | 500.. => FailureKind::Transient,
            401 | 403 | 407 => FailureKind::Denied,
            _ => FailureKind::Permanent,
        };
        let mut message = format!("{method} {url_without_query} answers {status}");
        if (300..400).contains(status) {
            message.push_str(&format!(
                ", a redirect{}, which is not followed",
                self.redirect_target()
            ));
        }
        if excerpt::is_html(&self.body) {
            message.push_str(" with a web page; ");
            message.push_str(HTML_CAUSE);
        }
        let shown = self.excerpt();
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
        Response::new(status, "no\n such ")
            .for_request(&Request::new(method, "https://a/b?token=x"))
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

    #[rstest]
    #[case::elsewhere("https://c/d", " to https://c/d")]
    #[case::a_path("/login", " to /login")]
    #[case::with_a_query("https://c/login?token=x&to=%2Fb#y", " to https://c/login")]
    #[case::in_two_lines("https://c/\u{202e}d e", " to https://c/\\u{202e}d e")]
    #[case::nowhere("", "")]
    #[case::a_query_alone("?token=x", "")]
    fn a_redirect_says_where_it_leads(#[case] location: &str, #[case] to: &str) {
        let redirect = answer("PUT", 302).with_header("Location", location).failure();
        assert_eq!(
            redirect.message,
            format!("PUT https://a/b answers 302, a redirect{to}, which is not followed: no such")
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
        assert_eq!(answer.value_at(pointer), Ok(expected.map(str::to_owned)));
    }

    /// A response with status 200 and this media type.
    fn answered(method: &str, media_type: &str, body: &str) -> Response {
        Response::new(200, body)
            .with_header("Content-Type", media_type)
            .for_request(&Request::new(method, "https://a/b?token=x"))
    }

    const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Hibernating Instance</title>";

    /// Responses of real systems with 2xx where JSON was expected, and the messages about them.
    #[rstest]
    #[case::slack(
        answered("POST", "text/html", "ok"),
        "POST https://a/b answers 200 with a text instead of JSON (text/html): ok"
    )]
    #[case::github(
        Response::new(204, "").for_request(&Request::post("https://a/b")),
        "POST https://a/b answers 204 with an empty body instead of JSON"
    )]
    #[case::hibernating(
        answered("GET", "text/html;charset=UTF-8", PAGE),
        "GET https://a/b answers 200 with a web page instead of JSON (text/html;charset=UTF-8); an \
         instance that hibernates, a proxy or a login page answers so: <!DOCTYPE html> <html><head>\
         <title>Hibernating Instance</title>"
    )]
    #[case::other_json(
        answered("PUT", "application/json", "\"seven\""),
        "PUT https://a/b answers 200, with other JSON (invalid type: string \"seven\", expected u32 \
         at line 1 column 7): \"seven\""
    )]
    fn what_came_instead_is_said(#[case] answer: Response, #[case] message: &str) {
        assert_eq!(answer.json::<u32>().unwrap_err().message, message);
    }

    /// A request that only reads may be sent again.
    #[rstest]
    #[case("GET", FailureKind::Transient, false)]
    #[case("HEAD", FailureKind::Transient, false)]
    #[case("OPTIONS", FailureKind::Transient, false)]
    #[case("POST", FailureKind::Permanent, true)]
    #[case("PUT", FailureKind::Permanent, true)]
    #[case("PATCH", FailureKind::Permanent, true)]
    #[case("DELETE", FailureKind::Permanent, true)]
    fn what_was_taken_is_not_sent_again(
        #[case] method: &str,
        #[case] kind: FailureKind,
        #[case] effect_possible: bool,
    ) {
        let answer = || answered(method, "text/html", PAGE);
        let failures = [
            answer().json::<serde_json::Value>().unwrap_err(),
            answer().json::<u32>().unwrap_err(),
            answer().value_at("/id").unwrap_err(),
            answer().reject_html().unwrap_err(),
        ];
        for failure in failures {
            assert_eq!((failure.kind, failure.effect_possible), (kind, effect_possible));
            assert!(failure.message.contains("web page"), "{}", failure.message);
        }
    }

    #[rstest]
    #[case("POST", Ok(None))]
    #[case("GET", Err(FailureKind::Transient))]
    fn an_empty_answer(
        #[case] method: &str,
        #[case] expected: Result<Option<String>, FailureKind>,
    ) {
        let answer = Response::new(204, "\n").for_request(&Request::new(method, "https://a/b"));
        assert_eq!(answer.value_at("/id").map_err(|failure| failure.kind), expected);
    }

    /// The failure is that of the status, whatever the body should have been.
    #[test]
    fn json_of_an_answer_that_is_no_success() {
        let answer = answer("POST", 503);
        assert_eq!(answer.json::<u32>().unwrap_err(), answer.failure());
        let page = Response::new(503, PAGE).for_request(&Request::get("https://a/b")).failure();
        assert!(
            page.message.starts_with("GET https://a/b answers 503 with a web page; an instance")
        );
    }
}
