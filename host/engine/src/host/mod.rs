//! A host: drives the updates and the notifications, as a service or, in `tick`, by ticks.

mod events;
mod heartbeat;
mod notification_sink;
mod tick;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use groundcrew_core::ports::{EventQueue, HostKind};
use groundcrew_core::scheduler::{BlockedReason, Observation, Sweep};
use jiff::Timestamp;

use crate::EngineEvent;
use crate::alerter::Alerter;
use crate::notifications::{DeliveryWorker, NotificationLoop, Notifications};
use crate::stop::StopSignal;
use crate::updates::{EventSink, SweepError, UpdateLoop, UpdatePorts, UpdateSettings, Updates};
use events::{EventHandler, EventLoop};
use heartbeat::{HeartbeatConfig, HeartbeatWriter};
use notification_sink::NotificationSink;

pub use tick::Ticker;

/// The longest wait between two rounds of the loop.
const MAX_IDLE_WAIT: Duration = Duration::from_secs(60);
/// How long calls under way may take to end when the host is stopped: services are killed after 10
/// seconds by Docker, and after 30 by ECS and Kubernetes. After that the heartbeat is removed,
/// which may take a second, so that a host ends within 8 seconds.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(7);

/// The ports of a host.
#[derive(Clone)]
pub struct HostPorts {
    /// For its updates.
    pub updates: UpdatePorts,
    /// The queue of events.
    pub events: Arc<dyn EventQueue>,
    /// The notifications, if notifiers are configured.
    pub notifications: Option<Arc<Notifications>>,
}

/// When the loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When nothing is left to do before this moment: every account is up to date, skipped,
    /// dead-lettered, held for longer or in a lane that waits for an operator, and a sweep has
    /// confirmed it. Or at this moment, with whatever is left.
    QuiescentOr(Timestamp),
}

/// A lane that waits for an operator when the host ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedLane {
    /// The lane.
    pub lane: String,
    /// What it waits for.
    pub blocked: BlockedReason,
}

/// A host that has not begun.
pub struct Host {
    ports: HostPorts,
    settings: UpdateSettings,
    alerter: Arc<Alerter>,
    updates: Arc<Updates>,
    kind: HostKind,
    stop: StopSignal,
    /// When it started.
    since: Timestamp,
}

impl Host {
    /// A service.
    pub fn new(ports: HostPorts, settings: UpdateSettings) -> Self {
        Self::with_kind(ports, settings, HostKind::Service)
    }

    fn with_kind(ports: HostPorts, settings: UpdateSettings, kind: HostKind) -> Self {
        let UpdatePorts { alerts, ledger, clock, observer, .. } = &ports.updates;
        let alerter = Arc::new(Alerter {
            alerts: alerts.clone(),
            ledger: ledger.clone(),
            clock: clock.clone(),
            observer: observer.clone(),
            host: settings.host.clone(),
            poll_interval: settings.rules.poll_interval,
            recent: Mutex::default(),
        });
        let since = clock.now();
        let stop = StopSignal::new();
        let notification_sink = ports.notifications.clone().map(|notifications| {
            let (clock, observer) = (clock.clone(), observer.clone());
            Arc::new(NotificationSink { notifications, clock, observer }) as Arc<dyn EventSink>
        });
        let updates = Updates::new(
            ports.updates.clone(),
            settings.clone(),
            alerter.clone(),
            notification_sink,
            kind,
            stop.clone(),
        );
        Self { ports, settings, alerter, updates: Arc::new(updates), kind, stop, since }
    }

    /// The result of a sweep now, with the state of every account; `None` while the landing zone is
    /// being changed. It evaluates the policies and writes nothing.
    ///
    /// # Errors
    /// When the sweep could not be completed.
    pub async fn dry_run_sweep(&self) -> Result<Option<Sweep>, SweepError> {
        self.updates.dry_run_sweep().await
    }

    /// Runs until there is nothing left to do. What is under way when it ends is in the ledger, and
    /// is resumed by the next run. Returns the lane whose turn it was, if it was blocked.
    pub async fn run(&self, until: Until) -> Option<BlockedLane> {
        self.drive(Some(until), std::future::pending()).await
    }

    /// Runs until `stop` is ready. Then it receives and begins nothing more. The calls under way
    /// are given [`SHUTDOWN_GRACE`] to end, and the remaining work is in the ledger and the queues,
    /// for the next run or another host.
    pub async fn serve(&self, stop: impl Future<Output = ()>) {
        self.drive(None, stop).await;
    }

    async fn drive(
        &self,
        until: Option<Until>,
        stop: impl Future<Output = ()>,
    ) -> Option<BlockedLane> {
        let clock = self.ports.updates.clock.clone();
        let end = until.map(|Until::QuiescentOr(end)| end);
        let mut running = RunningHost::for_host(self);
        let mut stop = pin!(stop);
        running.updates.observe([Observation::Tick]);
        loop {
            let now = clock.now();
            running.updates.restart_if_clock_set();
            self.report_status(&running.updates);
            running.heartbeats.write_if_due();
            if let Some(end) = end {
                let quiescent = running.updates.is_quiescent(end);
                if now >= end || quiescent && running.is_notified() {
                    break;
                }
            }
            let wake = [running.updates.next_wake(), end, running.heartbeats.next_due()];
            let wake = wake.into_iter().flatten().min();
            let wait = wake
                .map_or(MAX_IDLE_WAIT, |wake| Duration::try_from(wake - now).unwrap_or_default());
            // A service emits its status regularly, even if the next action is far off.
            let wait = if until.is_none() { wait.min(MAX_IDLE_WAIT) } else { wait };
            tokio::select! {
                // Results are observed before the time passes.
                biased;
                () = &mut stop => break,
                () = running.step() => {}
                () = tokio::time::sleep(wait) => running.updates.observe([Observation::Tick]),
            }
        }
        if until.is_none() {
            self.stop.set(true);
            // Calls that take longer are cancelled, as a crash would cancel them.
            let _ = tokio::time::timeout(SHUTDOWN_GRACE, running.finish()).await;
        }
        running.abort().await;
        running.heartbeats.remove_heartbeat().await;
        running.blocked_lane()
    }

    /// Emits the state of the updates.
    fn report_status(&self, updates: &UpdateLoop) {
        let UpdatePorts { clock, observer, .. } = &self.ports.updates;
        observer.observe(clock.now(), EngineEvent::Status(&updates.view()));
    }

    fn update_loop(&self) -> UpdateLoop {
        UpdateLoop::new(self.updates.clone())
    }

    fn heartbeat_writer(&self) -> HeartbeatWriter {
        let UpdatePorts { ledger, clock, observer, .. } = &self.ports.updates;
        HeartbeatWriter::new(HeartbeatConfig {
            ledger: ledger.clone(),
            clock: clock.clone(),
            observer: observer.clone(),
            stop: self.stop.clone(),
            host: self.settings.host.clone(),
            version: self.settings.version.clone(),
            kind: self.kind,
            since: self.since,
        })
    }

    fn events(&self) -> EventLoop {
        EventLoop::new(EventHandler {
            queue: self.ports.events.clone(),
            notifications: self.ports.notifications.clone(),
            alerter: self.alerter.clone(),
            clock: self.ports.updates.clock.clone(),
            observer: self.ports.updates.observer.clone(),
            stop: self.stop.clone(),
        })
    }

    fn notification_loop(&self) -> Option<NotificationLoop> {
        let notifications = self.ports.notifications.clone()?;
        Some(NotificationLoop::new(DeliveryWorker {
            notifications,
            alerter: self.alerter.clone(),
            clock: self.ports.updates.clock.clone(),
            observer: self.ports.updates.observer.clone(),
            stop: self.stop.clone(),
        }))
    }
}

/// A service that runs.
struct RunningHost {
    updates: UpdateLoop,
    events: EventLoop,
    notifications: Option<NotificationLoop>,
    heartbeats: HeartbeatWriter,
}

impl RunningHost {
    fn for_host(host: &Host) -> Self {
        Self {
            updates: host.update_loop(),
            events: host.events(),
            notifications: host.notification_loop(),
            heartbeats: host.heartbeat_writer(),
        }
    }

    /// Handles the next result of the tasks under way. Waits for ever when there are none.
    async fn step(&mut self) {
        let Self { updates, events, notifications, heartbeats } = self;
        let delivered = async {
            match notifications {
                Some(notifications) => notifications.next().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            Some(observations) = updates.next() => {
                let swept = observations.iter().any(|one| matches!(one, Observation::Swept(_)));
                updates.observe(observations);
                if swept && let Some(notifications) = notifications {
                    notifications.start_backfill();
                }
            }
            Some(observations) = events.next() => updates.observe(observations),
            Some(()) = delivered => {}
            Some(()) = heartbeats.next_written() => {}
            else => std::future::pending().await,
        }
    }

    /// Whether no notification of an enrolled account is pending. Notifications in their queue
    /// don't count: they stay there.
    fn is_notified(&self) -> bool {
        let sweeps = self.notifications.as_ref().is_none_or(NotificationLoop::is_idle);
        self.events.is_idle() && sweeps
    }

    /// Waits for the calls under way, and records what follows from them.
    async fn finish(&mut self) {
        let Self { updates, events, notifications, heartbeats } = self;
        let delivered = async {
            if let Some(notifications) = notifications {
                notifications.finish().await;
            }
        };
        tokio::join!(updates.finish(), events.finish(), delivered, heartbeats.finish());
    }

    /// Cancels everything under way.
    async fn abort(&mut self) {
        self.updates.abort().await;
        self.events.abort().await;
        if let Some(notifications) = &mut self.notifications {
            notifications.abort().await;
        }
        self.heartbeats.abort().await;
    }

    fn blocked_lane(&self) -> Option<BlockedLane> {
        self.updates.blocked().map(|(lane, blocked)| BlockedLane { lane, blocked })
    }
}
