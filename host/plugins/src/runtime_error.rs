//! A runtime that can't be made.

use std::io;

/// A runtime that can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// wasmtime doesn't work on this machine.
    #[error("the WebAssembly runtime can't be started: {reason}")]
    Engine {
        /// The message of wasmtime.
        reason: String,
    },
    /// The thread that enforces time limits can't be started.
    #[error("the thread that keeps plugins' time limits can't be started: {0}")]
    Ticker(io::Error),
}
