//! Whether a host is to stop.

use tokio::sync::watch;

/// Shared by whatever waits for something and is to wait no more once the host stops.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(watch::Sender<bool>);

impl StopSignal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// From now on nothing waits, or everything does again.
    pub(crate) fn set(&self, stopping: bool) {
        self.0.send_replace(stopping);
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the host is to stop.
    pub(crate) async fn requested(&self) {
        // The sender is as old as this.
        let _ = self.0.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Waits for something unless the host is to stop meanwhile.
    pub(crate) async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = waiting => Some(done),
            () = self.requested() => None,
        }
    }
}
