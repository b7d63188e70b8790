//! A request that got no response.

use std::fmt;

use super::{Request, is_safe};
use crate::{Failure, FailureKind};

/// A request that got no response. `?` converts it into a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// Whether a retry can help.
    pub kind: FailureKind,
    /// Short and stable: `http-denied`, `http-timeout`, `http-unreachable`, …
    pub code: &'static str,
    /// The request and its error. The operator's log has more details than the plugin gets.
    pub message: String,
    /// Whether the other system may have received and executed the request.
    pub effect_possible: bool,
}

impl HttpError {
    /// The error of a request. `received` says whether the other system may have received it; a
    /// request that only reads has no effect.
    pub fn new(
        request: &Request,
        kind: FailureKind,
        code: &'static str,
        what: &str,
        received: bool,
    ) -> Self {
        Self {
            kind,
            code,
            message: format!("{} {}: {what}", request.method(), request.url_without_query()),
            effect_possible: received && !is_safe(request.method()),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self {
            kind: error.kind,
            code: error.code.to_owned(),
            message: error.message,
            effect_possible: error.effect_possible,
            retry_after: None,
        }
    }
}
