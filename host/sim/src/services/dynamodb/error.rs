//! The errors that several calls of DynamoDB answer.

use crate::protocol::ApiError;

pub(super) fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationException", message)
}

/// Of what DynamoDB offers and this one doesn't.
pub(super) fn unsupported(what: &str) -> ApiError {
    invalid(&format!("the simulated AWS does not serve {what}"))
}
