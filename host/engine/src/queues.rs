//! How messages are received from queues.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::stop::StopSignal;

/// How long a call waits for messages: the longest that SQS allows, since waiting costs
/// nothing.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(20);
/// The same for a tick, where waiting costs.
pub(crate) const SHORT_POLL: Duration = Duration::from_secs(1);
/// The wait after a queue could not be read.
pub(crate) const QUEUE_RETRY: Duration = Duration::from_secs(10);
/// The most messages of one receive: SQS returns no more.
const MAX_BATCH: u16 = 10;

/// Receives as soon as there are permits for a full batch; `None` when the host stops.
pub(crate) async fn receive_with_permits<T>(
    stop: &StopSignal,
    permits: &Arc<Semaphore>,
    receive: impl Future<Output = T>,
) -> Option<(OwnedSemaphorePermit, T)> {
    let permits = Arc::clone(permits).acquire_many_owned(MAX_BATCH.into());
    // The semaphore is never closed.
    let permits = stop.unless_stopped(permits).await?.ok()?;
    Some((permits, stop.unless_stopped(receive).await?))
}
