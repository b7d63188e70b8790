//! Tells notifiers of what the updates of this host did.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_core::event::Event;
use groundcrew_core::ports::Clock;

use crate::Witness;
use crate::notifications::{HandledOutcome, Notifications};
use crate::updates::Announcements;

/// Before an event that could not be handed over is tried again.
const AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Announcer {
    pub(super) notifications: Arc<Notifications>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) witness: Arc<dyn Witness>,
}

#[async_trait]
impl Announcements for Announcer {
    /// With a queue the event is in there when this returns; without one notifiers were told, or an
    /// alert is out.
    async fn announce(&self, event: Event) {
        let event = Arc::new(event);
        loop {
            let handled = self.notifications.handle(&event, None).await;
            handled.show(&*self.witness, self.clock.now());
            if handled.outcome != HandledOutcome::Failed || self.notifications.queue().is_none() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
