//! Delivers the notifications of events that the updates of this host emit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_core::event::Event;
use groundcrew_core::ports::Clock;

use crate::Observer;
use crate::notifications::{EventOutcome, Notifications};
use crate::updates::EventSink;

/// The wait before an event that could not be queued is retried.
const RETRY_AFTER: Duration = Duration::from_secs(60);

pub(super) struct NotificationSink {
    pub(super) notifications: Arc<Notifications>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
}

#[async_trait]
impl EventSink for NotificationSink {
    /// With a queue, the event's notifications are in it when this returns. Without one they were
    /// delivered, or an alert was published.
    async fn emit(&self, event: Event) {
        let event = Arc::new(event);
        loop {
            let handled = self.notifications.handle(&event, None).await;
            handled.report_to(&*self.observer, self.clock.now());
            if handled.outcome != EventOutcome::Failed || self.notifications.queue().is_none() {
                return;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}
