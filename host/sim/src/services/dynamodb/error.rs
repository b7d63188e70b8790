//! The errors that several operations of DynamoDB return.

use crate::protocol::ApiError;

pub(super) fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationException", message)
}

/// The error for a feature of DynamoDB that is not simulated.
pub(super) fn unsupported(what: &str) -> ApiError {
    invalid(&format!("the simulated AWS does not serve {what}"))
}
