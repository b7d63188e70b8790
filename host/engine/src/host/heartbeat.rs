//! Showing in the ledger that this host runs.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::ports::{self, Clock, HostKind, Ledger};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::retry::joined;
use crate::stop::Stop;
use crate::{Notice, Witness};

/// What removing the heartbeat may take when the host is stopped. Otherwise it is stale soon.
const LEAVING: Duration = Duration::from_secs(1);

/// Where and as whom a host shows that it runs.
pub(super) struct Sign {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) witness: Arc<dyn Witness>,
    pub(super) stop: Stop,
    pub(super) host: String,
    /// `None`: no heartbeats are written.
    pub(super) version: Option<String>,
    pub(super) kind: HostKind,
    pub(super) since: Timestamp,
}

/// The heartbeats of one host. They are begun by its loop, so that a loop that does not come round
/// shows.
pub(super) struct Heartbeats {
    sign: Arc<Sign>,
    last: Option<Timestamp>,
    /// How often the time had been set by then.
    times_set: u64,
    writes: JoinSet<()>,
}

impl Heartbeats {
    pub(super) fn new(sign: Sign) -> Self {
        let times_set = sign.clock.times_set();
        Self { sign: Arc::new(sign), last: None, times_set, writes: JoinSet::new() }
    }

    /// When the next heartbeat is due; `None` when this host writes none.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.sign.version.as_ref()?;
        // By a time that counts no more it can't be told when the last was.
        let last = self.last.filter(|_| self.sign.clock.times_set() == self.times_set);
        Some(last.map_or_else(|| self.sign.clock.now(), |last| last + ports::Heartbeat::EVERY))
    }

    /// Writes a heartbeat if one is due, beside everything else.
    pub(super) fn beat_if_due(&mut self) {
        if self.next_due().is_some_and(|due| due <= self.sign.clock.now()) {
            self.beat();
        }
    }

    /// Writes a heartbeat beside everything else.
    pub(super) fn beat(&mut self) {
        let Some(version) = self.sign.version.clone() else { return };
        let at = self.sign.clock.now();
        (self.last, self.times_set) = (Some(at), self.sign.clock.times_set());
        let sign = Arc::clone(&self.sign);
        let heartbeat = ports::Heartbeat {
            host: sign.host.clone(),
            version,
            kind: sign.kind,
            since: sign.since,
            at,
        };
        self.writes.spawn(async move {
            let Some(beaten) = sign.stop.unless_stopped(sign.ledger.beat(&heartbeat)).await else {
                return;
            };
            if let Err(error) = &beaten {
                tracing::warn!(%error, "could not write a heartbeat; the next is in a minute");
            }
            sign.witness.see(sign.clock.now(), Notice::Beaten(beaten.as_ref().err()));
        });
    }

    /// Whether none is being written.
    pub(super) fn is_idle(&self) -> bool {
        self.writes.is_empty()
    }

    /// Ends when one was written; `None` when none is being written.
    pub(super) async fn written(&mut self) -> Option<()> {
        self.writes.join_next().await.map(|done| joined(done).unwrap_or_default())
    }

    /// Waits for those that are being written.
    pub(super) async fn finish(&mut self) {
        while self.written().await.is_some() {}
    }

    /// Cuts off what is being written.
    pub(super) async fn cut_off(&mut self) {
        self.writes.shutdown().await;
    }

    /// Removes the heartbeat, since the host stops in good order. Nothing else is under way any more.
    pub(super) async fn leave(&self) {
        let Sign { ledger, clock, host, version, .. } = &*self.sign;
        if version.is_none() {
            return;
        }
        match tokio::time::timeout(LEAVING, ledger.leave(host, clock.now())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not remove the heartbeat"),
            Err(_) => tracing::warn!("could not remove the heartbeat in time"),
        }
    }
}
