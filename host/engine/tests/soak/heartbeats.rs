//! Who runs, held against the heartbeats in the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::{Clock, Heartbeat, Ledger};
use groundcrew_sim::SimAws;
use jiff::Timestamp;

use super::fleet::BEGIN;
use super::readiness::Readiness;
use super::scenario::{LedgerKind, Scenario};

/// Between two looks.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// A ledger that refuses calls is told in so many looks in a row at the latest.
const REFUSED: u32 = 10;

#[derive(Clone)]
enum HostState {
    /// It runs since then, and says how it is.
    Runs(Timestamp, Arc<Readiness>),
    /// It was cut off then.
    CutOff(Timestamp),
    /// It has ended in good order then.
    Stopped(Timestamp),
}

pub struct HeartbeatChecker {
    sim: SimAws,
    /// Whether the ledger may refuse to be written: a table does, and a full disk.
    refuses: bool,
    scenario: Arc<Scenario>,
    host_states: Mutex<BTreeMap<String, HostState>>,
    /// For how many looks in a row a host that runs was not seen to.
    unseen: Mutex<BTreeMap<String, u32>>,
}

/// While it is there the host runs; dropped, it was cut off.
pub struct RunningGuard<'p> {
    heartbeats: &'p HeartbeatChecker,
    host: String,
}

impl RunningGuard<'_> {
    /// The host has ended in good order.
    pub fn stopped(self) {
        let now = self.heartbeats.sim.clock().now();
        self.heartbeats.host_states().insert(self.host.clone(), HostState::Stopped(now));
    }
}

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        let now = self.heartbeats.sim.clock().now();
        let mut host_states = self.heartbeats.host_states();
        if let Some(HostState::Runs(..)) = host_states.get(&self.host) {
            host_states.insert(self.host.clone(), HostState::CutOff(now));
        }
    }
}

impl HeartbeatChecker {
    pub fn new(sim: SimAws, scenario: Arc<Scenario>) -> Self {
        let refuses = scenario.ledger == LedgerKind::Table || scenario.full_disk.is_some();
        Self { sim, refuses, scenario, host_states: Mutex::default(), unseen: Mutex::default() }
    }

    fn host_states(&self) -> MutexGuard<'_, BTreeMap<String, HostState>> {
        // What a check found wrong is told by its own panic.
        self.host_states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn runs(&self, host: &str, readiness: Arc<Readiness>) -> RunningGuard<'_> {
        let now = self.sim.clock().now();
        self.host_states().insert(host.to_owned(), HostState::Runs(now, readiness));
        RunningGuard { heartbeats: self, host: host.to_owned() }
    }

    /// Looks now and then, for ever.
    pub async fn watch(&self, ledger: &dyn Ledger) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let read_from = self.sim.clock().now();
            let Ok(hosts) = ledger.hosts().await else { continue };
            let now = self.sim.clock().now();
            let second = now.duration_since(BEGIN).as_secs().try_into().unwrap_or_default();
            // Its heartbeats are as wrong as its clock.
            if self.scenario.goes_wrong(second) {
                continue;
            }
            for (host, host_state) in self.host_states().iter() {
                let seen = hosts.running(now).any(|heartbeat| heartbeat.host == *host);
                // Nobody asks a Lambda how it is.
                if let HostState::Runs(_, readiness) = host_state
                    && !self.scenario.ticks
                {
                    readiness.check(host, &self.scenario, second);
                }
                self.check(host, host_state, seen, read_from, now);
            }
        }
    }

    fn check(
        &self,
        host: &str,
        host_state: &HostState,
        seen: bool,
        read_from: Timestamp,
        now: Timestamp,
    ) {
        // What was written while the ledger was read is seen by the next look.
        let long_ago = |since: Timestamp, long: Duration| since + long < read_from;
        match host_state {
            HostState::Runs(since, _) if long_ago(*since, Heartbeat::INTERVAL) => {
                let mut unseen = self.unseen.lock().unwrap();
                let unseen = unseen.entry(host.to_owned()).or_default();
                *unseen = if seen { 0 } else { *unseen + 1 };
                let most = if self.refuses { REFUSED } else { 0 };
                assert!(*unseen <= most, "{host} runs at {now}, and its heartbeat is not fresh");
            }
            HostState::CutOff(at) => {
                let stale = long_ago(*at, Heartbeat::TIMEOUT + POLL_INTERVAL);
                assert!(
                    !(seen && stale),
                    "{host} was cut off at {at}, and is seen to run at {now}"
                );
            }
            HostState::Stopped(at) => {
                // It may have been refused to remove it: then it becomes stale.
                let gone =
                    if self.refuses { Heartbeat::TIMEOUT + POLL_INTERVAL } else { Duration::ZERO };
                let gone = long_ago(*at, gone);
                assert!(!(seen && gone), "{host} stopped at {at}, and is seen to run at {now}");
            }
            HostState::Runs(..) => {}
        }
    }
}
