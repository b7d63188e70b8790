//! Compares the running hosts with the heartbeats in the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::{Clock, Heartbeat, Ledger};
use groundcrew_sim::SimAws;
use jiff::Timestamp;

use super::fleet::BEGIN;
use super::readiness::Readiness;
use super::scenario::{LedgerKind, Scenario};

/// Between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// If the ledger refuses calls, a host is missing in at most so many polls in a row.
const REFUSED: u32 = 10;

#[derive(Clone)]
enum HostState {
    /// It has run since then, with this readiness.
    Runs(Timestamp, Arc<Readiness>),
    /// It was killed then.
    CutOff(Timestamp),
    /// It ended regularly then.
    Stopped(Timestamp),
}

pub struct HeartbeatChecker {
    sim: SimAws,
    /// Whether the ledger may refuse writes: a table does, and a full disk.
    refuses: bool,
    scenario: Arc<Scenario>,
    host_states: Mutex<BTreeMap<String, HostState>>,
    /// For how many polls in a row a running host had no current heartbeat.
    unseen: Mutex<BTreeMap<String, u32>>,
}

/// The host runs while this exists; if it is dropped, the host was killed.
pub struct RunningGuard<'p> {
    heartbeats: &'p HeartbeatChecker,
    host: String,
}

impl RunningGuard<'_> {
    /// The host has ended regularly.
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
        // A failed check reports itself by its own panic.
        self.host_states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn runs(&self, host: &str, readiness: Arc<Readiness>) -> RunningGuard<'_> {
        let now = self.sim.clock().now();
        self.host_states().insert(host.to_owned(), HostState::Runs(now, readiness));
        RunningGuard { heartbeats: self, host: host.to_owned() }
    }

    /// Polls the heartbeats, for ever.
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
                // A Lambda function has no health checks.
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
        // A write during this read is seen by the next poll.
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
                // The ledger may have refused its removal: then it becomes stale.
                let gone =
                    if self.refuses { Heartbeat::TIMEOUT + POLL_INTERVAL } else { Duration::ZERO };
                let gone = long_ago(*at, gone);
                assert!(!(seen && gone), "{host} stopped at {at}, and is seen to run at {now}");
            }
            HostState::Runs(..) => {}
        }
    }
}
