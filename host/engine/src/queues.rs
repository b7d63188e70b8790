//! How queues are read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::stop::StopSignal;

/// How long a call waits for messages: the longest that SQS allows, since waiting costs
/// nothing.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(20);
/// The same for a tick, where waiting costs.
pub(crate) const SHORT_POLL: Duration = Duration::from_secs(1);
/// After a queue could not be read.
pub(crate) const QUEUE_RETRY: Duration = Duration::from_secs(10);
/// Most messages that come at once: SQS gives no more.
const MAX_BATCH: u16 = 10;

/// Receives as soon as there is room for as many as come at once; `None` when the host is to stop.
pub(crate) async fn receive_with_permits<T>(
    stop: &StopSignal,
    permits: &Arc<Semaphore>,
    receive: impl Future<Output = T>,
) -> Option<(OwnedSemaphorePermit, T)> {
    let permits = Arc::clone(permits).acquire_many_owned(MAX_BATCH.into());
    // It is never closed.
    let permits = stop.unless_stopped(permits).await?.ok()?;
    Some((permits, stop.unless_stopped(receive).await?))
}
