//! What a service offers: one table, by which calls are dispatched and which a server shows.

use jiff::Timestamp;
use serde_json::Value;

use crate::protocol::{ApiError, Call};

/// What an operation of the service `S` does.
pub(crate) type Operation<S, T = Value> = fn(&mut S, Timestamp, &Call<'_>) -> Result<T, ApiError>;

/// Finds the operation that is called.
pub(crate) fn find<T: Copy>(
    operations: &[(&'static str, T)],
    call: &Call<'_>,
) -> Result<T, ApiError> {
    operations
        .iter()
        .find(|(name, _)| *name == call.operation)
        .map(|(_, operation)| *operation)
        .ok_or_else(|| call.unknown())
}

/// The names in a table.
pub(crate) fn names<T>(operations: &[(&'static str, T)]) -> Vec<&'static str> {
    operations.iter().map(|(name, _)| *name).collect()
}
