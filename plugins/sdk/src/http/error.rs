//! A request that got no answer.

use std::fmt;

use super::{Request, is_safe};
use crate::{Failure, FailureKind};

/// A request that got no answer. `?` makes a [`Failure`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// What it means for trying again.
    pub kind: FailureKind,
    /// Short and stable: `http-denied`, `http-timeout`, `http-unreachable`, …
    pub code: &'static str,
    /// What was asked for, and what came of it. The host tells its operator more than it
    /// tells a plugin.
    pub message: String,
    /// Whether the other system may have received it, and done what it asks for.
    pub effect_possible: bool,
}

impl HttpError {
    /// What became of a request. `received` says whether the other system may have it; if it
    /// only reads, that has no effect.
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
