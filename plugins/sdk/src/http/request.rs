//! Requests.

use serde::Serialize;

use super::{HttpError, Response};
use crate::Failure;

/// A request, built and sent in one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request of any method that a grant can name: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`
    /// or `DELETE`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: vec![], body: vec![] }
    }

    /// A request that reads.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A request that submits something new. A repeat may do it twice.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A request that replaces the resource at the URL. A repeat changes nothing.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A request that changes a part of the resource at the URL.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A request that removes the resource at the URL.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header field. The host sets `Host` and the fields that frame a request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a value in JSON, and `Content-Type` to say so.
    ///
    /// # Errors
    /// [`Invalid`](crate::FailureKind::Invalid) when the value can't be expressed in JSON, such as
    /// a map whose keys are not texts.
    pub fn json(self, value: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Failure::invalid("not-json", error.to_string()))?;
        Ok(self.header("Content-Type", "application/json").body(body))
    }

    /// Has the host send the request, and waits for the response, whatever its status.
    ///
    /// # Errors
    /// Why there is no response: the request was not granted, the other system could not be
    /// reached, or the response was lost.
    pub fn send(&self) -> Result<Response, HttpError> {
        super::send(self).map(|response| response.for_request(self))
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The whole URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL without its query, as messages show it.
    pub fn url_without_query(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }

    /// The header fields, in the order in which they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }
}
