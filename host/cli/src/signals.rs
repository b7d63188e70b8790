//! The signals by which a process is asked to end.

use tokio::signal::unix::{SignalKind, signal};

use crate::command_error::CommandError;

/// Ends with the first signal to end.
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
