//! The signal that a host has to stop.

use tokio::sync::watch;

/// Shared by everything that has to stop waiting once the host stops.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(watch::Sender<bool>);

impl StopSignal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Ends all waits from now on, or allows them again.
    pub(crate) fn set(&self, stopping: bool) {
        self.0.send_replace(stopping);
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the host has to stop.
    pub(crate) async fn requested(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Waits for something unless the host has to stop meanwhile.
    pub(crate) async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = waiting => Some(done),
            () = self.requested() => None,
        }
    }
}
