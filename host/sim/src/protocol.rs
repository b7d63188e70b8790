//! The wire formats: JSON 1.0 and 1.1 with `X-Amz-Target`, and form-encoded queries with
//! XML answers.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

/// What of an HTTP request the model looks at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The header `X-Amz-Target`, by which JSON services name the operation.
    pub target: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The header `x-amzn-RequestId`.
    pub request_id: String,
    /// The body.
    pub body: String,
}

/// A service and how it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Catalog,
    Organizations,
    Sqs,
    Sns,
}

impl Service {
    fn of_target(prefix: &str) -> Option<Self> {
        match prefix {
            "AWS242ServiceCatalogService" => Some(Self::Catalog),
            "AWSOrganizationsV20161128" => Some(Self::Organizations),
            "AmazonSQS" => Some(Self::Sqs),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Catalog | Self::Organizations => "application/x-amz-json-1.1",
            Self::Sqs => "application/x-amz-json-1.0",
            Self::Sns => "text/xml",
        }
    }

    /// The code by which the service says that it was called too often.
    pub(crate) fn throttling_code(self) -> &'static str {
        match self {
            Self::Catalog => "ThrottlingException",
            Self::Organizations => "TooManyRequestsException",
            Self::Sqs => "RequestThrottled",
            Self::Sns => "Throttling",
        }
    }
}

/// A request, as far as its operation is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) operation: &'a str,
    pub(crate) body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(crate) fn read(request: &Request<'a>) -> Result<Self, ApiError> {
        let unknown = |what: &str| {
            ApiError::new(
                "UnknownOperationException",
                format!("the simulated AWS does not know {what}"),
            )
        };
        if let Some(target) = request.target {
            let (prefix, operation) = target.split_once('.').ok_or_else(|| unknown(target))?;
            let service = Service::of_target(prefix).ok_or_else(|| unknown(target))?;
            return Ok(Self { service, operation, body: request.body });
        }
        // Query operations have plain names, which no encoding changes.
        let operation = std::str::from_utf8(request.body)
            .ok()
            .and_then(|form| form.split('&').find_map(|pair| pair.strip_prefix("Action=")))
            .ok_or_else(|| unknown("a request with neither X-Amz-Target nor Action"))?;
        Ok(Self { service: Service::Sns, operation, body: request.body })
    }

    /// The members of a JSON request.
    pub(crate) fn json<T: Deserialize<'a>>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(self.body)
            .map_err(|error| ApiError::new("SerializationException", error.to_string()))
    }

    /// A member of a query request.
    pub(crate) fn form(&self, key: &str) -> Option<String> {
        form_urlencoded::parse(self.body)
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.into_owned())
    }

    pub(crate) fn unknown(&self) -> ApiError {
        ApiError::new(
            "UnknownOperationException",
            format!("the simulated AWS does not know the operation {}", self.operation),
        )
    }

    pub(crate) fn respond(&self, result: Result<Value, ApiError>, request_id: String) -> Response {
        let (status, body) = match (self.service, result) {
            (Service::Sns, Ok(members)) => (200, self.xml(&members, &request_id)),
            (Service::Sns, Err(error)) => (error.status, error.xml(&request_id)),
            (_, Ok(members)) => (200, members.to_string()),
            (service, Err(error)) => (error.status, error.json(service)),
        };
        Response { status, content_type: self.service.content_type(), request_id, body }
    }

    fn xml(&self, members: &Value, request_id: &str) -> String {
        let operation = self.operation;
        let mut xml = format!(
            "<{operation}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><{operation}Result>"
        );
        for (name, value) in members.as_object().into_iter().flatten() {
            let text = escape(value.as_str().unwrap_or_default());
            // Writing to a String does not fail.
            let _ = write!(xml, "<{name}>{text}</{name}>");
        }
        let _ = write!(
            xml,
            "</{operation}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
        );
        xml
    }
}

/// An error that a service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ApiError {
    /// The caller's fault: status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn throttled(service: Service) -> Self {
        Self::new(service.throttling_code(), "Rate exceeded")
    }

    /// An answer that belongs to no service, to a request that names none.
    pub(crate) fn respond(self, request_id: String) -> Response {
        Response {
            status: self.status,
            content_type: "application/x-amz-json-1.1",
            request_id,
            body: self.json(Service::Catalog),
        }
    }

    fn json(&self, service: Service) -> String {
        // The models differ in how they write the member; so do the services.
        let message = if service == Service::Sqs { "message" } else { "Message" };
        let namespace = if service == Service::Sqs { "com.amazonaws.sqs#" } else { "" };
        json!({ "__type": format!("{namespace}{}", self.code), message: self.message }).to_string()
    }

    fn xml(&self, request_id: &str) -> String {
        let fault = if self.status < 500 { "Sender" } else { "Receiver" };
        format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            self.code,
            escape(&self.message),
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Where a listing goes on: the number of the next item, and whether an empty page comes
/// first. AWS answers such pages, so the simulated one does after the first page of a
/// listing and after every eighth from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next: usize,
    pub(crate) empty: bool,
}

impl Cursor {
    /// Reads a token that [`Cursor::after`] wrote; no token is the beginning.
    pub(crate) fn read(token: Option<&str>) -> Option<Self> {
        let Some(token) = token else { return Some(Self { next: 0, empty: false }) };
        let (empty, number) = match token.strip_prefix("empty-") {
            Some(number) => (true, number),
            None => (false, token.strip_prefix("page-")?),
        };
        Some(Self { next: number.parse().ok()?, empty })
    }

    /// The page this cursor stands for: where it begins and ends in a list of `total`
    /// items, and the token of the page after it.
    pub(crate) fn page(
        self,
        size: usize,
        total: usize,
    ) -> (std::ops::Range<usize>, Option<String>) {
        if self.empty {
            return (0..0, Some(format!("page-{}", self.next)));
        }
        let size = size.max(1);
        let begin = self.next.min(total);
        let end = begin.saturating_add(size).min(total);
        let kind = if (end / size) % 8 == 1 { "empty" } else { "page" };
        (begin..end, (end < total).then(|| format!("{kind}-{end}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_shows_everything_once_and_has_empty_pages() {
        let (mut token, mut seen, mut empty) = (None, Vec::new(), 0);
        loop {
            let (range, next) = Cursor::read(token.as_deref()).unwrap().page(20, 405);
            empty += usize::from(range.is_empty());
            seen.extend(range);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..405).collect::<Vec<_>>());
        assert_eq!(empty, 3);
    }

    #[test]
    fn a_foreign_token_is_refused() {
        assert_eq!(Cursor::read(Some("nonsense")), None);
        assert_eq!(Cursor::read(Some("page--1")), None);
    }

    #[test]
    fn operations_are_found_in_both_protocols() {
        let json = Request { target: Some("AmazonSQS.SendMessage"), body: b"{}" };
        let call = Call::read(&json).unwrap();
        assert_eq!((call.service, call.operation), (Service::Sqs, "SendMessage"));
        let form = Request { target: None, body: b"Action=Publish&Subject=a%26b" };
        let call = Call::read(&form).unwrap();
        assert_eq!((call.service, call.operation), (Service::Sns, "Publish"));
        assert_eq!(call.form("Subject").as_deref(), Some("a&b"));
        assert!(Call::read(&Request { target: None, body: b"" }).is_err());
    }
}
