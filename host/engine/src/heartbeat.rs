//! The heartbeats of this host in the ledger, by which operators see that it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use groundcrew_core::ports::{Heartbeat, HostKind};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::run::Done;
use crate::{Engine, Notice};

/// What removing the heartbeat may take when the host is stopped. Otherwise it is stale soon.
const LEAVING: Duration = Duration::from_secs(1);

impl Engine {
    /// When the next heartbeat is due; `None` when this host writes none.
    pub(crate) fn next_heartbeat(&self) -> Option<Timestamp> {
        self.settings.version.as_ref()?;
        Some(self.state().heartbeat.map_or_else(|| self.now(), |last| last + Heartbeat::EVERY))
    }

    /// Writes a heartbeat if one is due, beside everything else. It is begun by the loop, so that a
    /// loop that does not come round shows.
    pub(crate) fn beat_if_due(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        if self.next_heartbeat().is_some_and(|due| due <= self.now()) {
            self.beat(tasks);
        }
    }

    /// Writes a heartbeat beside everything else.
    pub(crate) fn beat(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        let Some(version) = self.settings.version.clone() else { return };
        let at = self.now();
        self.state().heartbeat = Some(at);
        let kind = match self.ticks.load(Ordering::Relaxed) {
            true => HostKind::Lambda,
            false => HostKind::Service,
        };
        let host = self.settings.host.clone();
        let heartbeat = Heartbeat { host, version, kind, since: self.since, at };
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            let beat = engine.unless_stopped(engine.ports.ledger.beat(&heartbeat)).await;
            if let Some(beaten) = beat {
                if let Err(error) = &beaten {
                    tracing::warn!(%error, "could not write a heartbeat; the next is in a minute");
                }
                let failed = beaten.as_ref().err();
                engine.ports.witness.see(engine.now(), Notice::Beaten(failed));
            }
            Done::Nothing
        });
    }

    /// Removes the heartbeat, since the host stops in good order. Nothing else is under way any more.
    pub(crate) async fn leave(&self) {
        if self.settings.version.is_none() {
            return;
        }
        let leave = self.ports.ledger.leave(&self.settings.host, self.now());
        match tokio::time::timeout(LEAVING, leave).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not remove the heartbeat"),
            Err(_) => tracing::warn!("could not remove the heartbeat in time"),
        }
    }
}
