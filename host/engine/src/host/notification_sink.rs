//! Tells notifiers of what the updates of this host did.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_core::event::Event;
use groundcrew_core::ports::Clock;

use crate::Observer;
use crate::notifications::{EventOutcome, Notifications};
use crate::updates::EventSink;

/// Before an event that could not be handed over is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

pub(super) struct NotificationSink {
    pub(super) notifications: Arc<Notifications>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
}

#[async_trait]
impl EventSink for NotificationSink {
    /// With a queue the event is in there when this returns; without one notifiers were told, or an
    /// alert is out.
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
