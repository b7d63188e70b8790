//! The signals that ask a process to end.

use tokio::signal::unix::{SignalKind, signal};

use crate::command_error::CommandError;

/// Completes with the first such signal.
pub fn shutdown_signal() -> Result<impl Future<Output = ()>, CommandError> {
    let of = |kind| signal(kind).map_err(|error| CommandError::Other(error.to_string()));
    let (mut terminate, mut interrupt) =
        (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
