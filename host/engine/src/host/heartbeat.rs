//! The heartbeats of this host in the ledger.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::ports::{self, Clock, HostKind, Ledger};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::retry::task_result;
use crate::stop::StopSignal;
use crate::{EngineEvent, Observer};

/// How long removing the heartbeat may take when the host is stopped. A heartbeat that is not
/// removed is stale soon.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a host writes its heartbeats, and what is in them.
pub(super) struct HeartbeatConfig {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) stop: StopSignal,
    pub(super) host: String,
    /// `None`: no heartbeats are written.
    pub(super) version: Option<String>,
    pub(super) kind: HostKind,
    pub(super) since: Timestamp,
}

/// The heartbeats of one host. The host's loop starts each write, so that a loop that hangs shows.
pub(super) struct HeartbeatWriter {
    config: Arc<HeartbeatConfig>,
    last: Option<Timestamp>,
    /// The number of times that the clock had been set by then.
    adjustments: u64,
    writes: JoinSet<()>,
}

impl HeartbeatWriter {
    pub(super) fn new(config: HeartbeatConfig) -> Self {
        let adjustments = config.clock.adjustments();
        Self { config: Arc::new(config), last: None, adjustments, writes: JoinSet::new() }
    }

    /// When the next heartbeat is due; `None` when this host writes none.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.config.version.as_ref()?;
        // After the clock was set, the time of the last heartbeat means nothing.
        let last = self.last.filter(|_| self.config.clock.adjustments() == self.adjustments);
        Some(last.map_or_else(|| self.config.clock.now(), |last| last + ports::Heartbeat::INTERVAL))
    }

    /// Starts writing a heartbeat if one is due, in a task of its own.
    pub(super) fn write_if_due(&mut self) {
        if self.next_due().is_some_and(|due| due <= self.config.clock.now()) {
            self.write();
        }
    }

    /// Starts writing a heartbeat, in a task of its own.
    pub(super) fn write(&mut self) {
        let Some(version) = self.config.version.clone() else { return };
        let at = self.config.clock.now();
        (self.last, self.adjustments) = (Some(at), self.config.clock.adjustments());
        let config = Arc::clone(&self.config);
        let heartbeat = ports::Heartbeat {
            host: config.host.clone(),
            version,
            kind: config.kind,
            since: config.since,
            at,
        };
        self.writes.spawn(async move {
            let Some(written) =
                config.stop.unless_stopped(config.ledger.record_heartbeat(&heartbeat)).await
            else {
                return;
            };
            if let Err(error) = &written {
                tracing::warn!(%error, "could not write a heartbeat; the next is in a minute");
            }
            config
                .observer
                .observe(config.clock.now(), EngineEvent::HeartbeatWritten(written.as_ref().err()));
        });
    }

    /// Whether no heartbeat is being written.
    pub(super) fn is_idle(&self) -> bool {
        self.writes.is_empty()
    }

    /// Ends when a write has ended; `None` when none is under way.
    pub(super) async fn next_written(&mut self) -> Option<()> {
        self.writes.join_next().await.map(|done| task_result(done).unwrap_or_default())
    }

    /// Waits for the writes under way.
    pub(super) async fn finish(&mut self) {
        while self.next_written().await.is_some() {}
    }

    /// Cancels the writes under way.
    pub(super) async fn abort(&mut self) {
        self.writes.shutdown().await;
    }

    /// Removes the heartbeat, since the host stops regularly. Nothing else is under way any more.
    pub(super) async fn remove_heartbeat(&self) {
        let HeartbeatConfig { ledger, clock, host, version, .. } = &*self.config;
        if version.is_none() {
            return;
        }
        match tokio::time::timeout(REMOVE_TIMEOUT, ledger.remove_heartbeat(host, clock.now())).await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not remove the heartbeat"),
            Err(_) => tracing::warn!("could not remove the heartbeat in time"),
        }
    }
}
