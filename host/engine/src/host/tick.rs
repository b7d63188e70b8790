//! A host that is driven by ticks: each does what there is to do now, and ends. So it runs in a
//! Lambda function that is invoked once a minute and by events. Other functions notify the
//! notifiers.
//!
//! Between ticks nothing is under way in this process, though operations may run in AWS. The state
//! in memory only saves the next tick a sweep. Everything else is in the ledger, so that ticks of
//! other processes do no harm, even at the same time.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::ports::{Clock, Heartbeat, HostKind};
use groundcrew_core::scheduler::Observation;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::events::observations_in;
use super::heartbeat::HeartbeatWriter;
use super::{BlockedLane, Host, SHUTDOWN_GRACE};
use crate::updates::UpdateLoop;

/// A tick waits for actions that are due within this time.
const MAX_WAIT_IN_TICK: Duration = Duration::from_secs(2);

/// A host that is driven by ticks.
pub struct Ticker {
    host: Host,
    clock: Arc<dyn Clock>,
    updates: UpdateLoop,
    heartbeats: HeartbeatWriter,
    /// When the last tick ended.
    ended: Timestamp,
}

impl Ticker {
    /// A ticker with an empty scheduler: the first tick sweeps the organization.
    pub fn new(host: Host) -> Self {
        let host = Host::with_kind(host.ports, host.settings, HostKind::Lambda);
        let clock = host.ports.updates.clock.clone();
        let (updates, heartbeats) = (host.update_loop(), host.heartbeat_writer());
        let ended = clock.now();
        Self { host, clock, updates, heartbeats, ended }
    }

    /// Performs the actions that are due, until there are none or until `deadline`; then calls
    /// under way are given [`SHUTDOWN_GRACE`] to end. `event` is the event that led to the tick, as
    /// EventBridge delivers it. An event that means nothing to the updates makes a tick like any
    /// other.
    pub async fn tick(&mut self, event: Option<&str>, deadline: Timestamp) {
        // The machine's clock may be set meanwhile.
        let left = Duration::try_from(deadline - self.clock.now()).unwrap_or_default();
        let deadline = Instant::now() + left;
        if self.clock.now() < self.ended {
            tracing::warn!(
                ended = %self.ended,
                "the machine's clock shows a time before the end of the last tick: the ledger and \
                 the organization are read anew"
            );
            self.updates.restart();
        }
        self.tick_until(deadline, event).await;
        self.ended = self.clock.now();
    }

    async fn tick_until(&mut self, deadline: Instant, event: Option<&str>) {
        self.heartbeats.write();
        self.updates
            .observe(event.map(observations_in).into_iter().flatten().chain([Observation::Tick]));
        loop {
            self.host.report_status(&self.updates);
            self.heartbeats.write_if_due();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let now = self.clock.now();
            let next = self.updates.next_wake();
            let wait = next.map(|next| Duration::try_from(next - now).unwrap_or_default());
            let idle = self.updates.is_idle() && self.heartbeats.is_idle();
            if idle && wait.is_none_or(|wait| wait > MAX_WAIT_IN_TICK) {
                return;
            }
            tokio::select! {
                biased;
                Some(observations) = self.updates.next() => self.updates.observe(observations),
                Some(()) = self.heartbeats.next_written() => {}
                // Often enough for the next heartbeat.
                () = sleep(wait.unwrap_or(left).min(left).min(Heartbeat::INTERVAL)) => {
                    self.updates.observe([Observation::Tick]);
                }
            }
        }
        if !(self.updates.is_idle() && self.heartbeats.is_idle()) {
            tracing::info!("the tick's time is over");
            self.host.stop.set(true);
            // Calls that take longer are cancelled, as a crash would cancel them.
            let finish = async { tokio::join!(self.updates.finish(), self.heartbeats.finish()) };
            let _ = tokio::time::timeout(SHUTDOWN_GRACE, finish).await;
            self.updates.abort().await;
            self.heartbeats.abort().await;
            self.host.stop.set(false);
            // The scheduler may wait for results that never come.
            self.updates.reset_scheduler();
        }
    }

    /// Whether nothing is left to do before `end`.
    pub fn is_quiescent(&self, end: Timestamp) -> bool {
        self.updates.is_quiescent(end)
    }

    /// The lane whose turn it is, if it is blocked.
    pub fn blocked_lane(&self) -> Option<BlockedLane> {
        self.updates.blocked().map(|(lane, blocked)| BlockedLane { lane, blocked })
    }
}
