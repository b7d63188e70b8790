//! The errors of DynamoDB that several calls answer.

use crate::protocol::ApiError;

pub(super) fn not_found() -> ApiError {
    ApiError::new("ResourceNotFoundException", "Requested resource not found")
}

pub(super) fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationException", message)
}
