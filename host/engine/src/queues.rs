//! How queues are read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::stop::Stop;

/// How long a call waits for messages: the longest that SQS allows, since waiting costs
/// nothing.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(20);
/// The same for a tick, where waiting costs.
pub(crate) const SHORT_POLL: Duration = Duration::from_secs(1);
/// After a queue could not be read.
pub(crate) const QUEUE_RETRY: Duration = Duration::from_secs(10);
/// Most messages that come at once: SQS gives no more.
const BATCH: u16 = 10;

/// Receives as soon as there is room for as many as come at once; `None` when the host is to stop.
pub(crate) async fn with_room<T>(
    stop: &Stop,
    room: &Arc<Semaphore>,
    receive: impl Future<Output = T>,
) -> Option<(OwnedSemaphorePermit, T)> {
    let room = Arc::clone(room).acquire_many_owned(BATCH.into());
    // It is never closed.
    let room = stop.unless_stopped(room).await?.ok()?;
    Some((room, stop.unless_stopped(receive).await?))
}
