//! Calls that must not be lost, and the results of tasks.

use std::fmt::Display;
use std::time::Duration;

use groundcrew_core::backoff::Backoff;
use tokio::task::JoinError;

/// Between two tries of a call that must succeed.
pub(crate) const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Repeats a call until it succeeds. For what must not be lost: the caller's slot stays
/// taken meanwhile, so that nothing else happens to the account.
pub(crate) async fn retry_until_success<T, E, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut waits = BACKOFF;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => tracing::error!(%error, "could not {what}; trying again"),
        }
        tokio::time::sleep(waits.wait()).await;
    }
}

/// The result of a task; `None` if it was cancelled.
pub(crate) fn task_result<T>(done: Result<T, JoinError>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        // A bug of ours. The host would wait for the task's result for ever; the ledger lets the
        // next run resume.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => None,
    }
}
