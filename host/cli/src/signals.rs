//! The signals by which a process is asked to end.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Ends with the first signal to end.
pub fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    let of = |kind| signal(kind).map_err(|error| Failure::Other(error.to_string()));
    let (mut terminate, mut interrupt) =
        (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
