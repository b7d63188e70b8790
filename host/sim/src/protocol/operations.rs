//! The operations of a service: one table, which dispatches calls and which a server can list.

use jiff::Timestamp;
use serde_json::Value;

use crate::protocol::{ApiError, Call};

/// The function of an operation of the service `S`.
pub(crate) type Operation<S, T = Value> = fn(&mut S, Timestamp, &Call<'_>) -> Result<T, ApiError>;

/// Finds the operation of a call.
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
