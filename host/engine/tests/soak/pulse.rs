//! Who runs, held against the heartbeats in the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::{Clock, Heartbeat, Ledger};
use groundcrew_sim::SimAws;
use jiff::Timestamp;

use super::fleet::BEGIN;
use super::readiness::Readiness;
use super::setting::{LedgerKind, Setting};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(60);

/// A ledger that refuses calls is told in so many looks in a row at the latest.
const REFUSED: u32 = 10;

#[derive(Clone)]
enum Life {
    /// It runs since then, and says how it is.
    Runs(Timestamp, Arc<Readiness>),
    /// It was cut off then.
    CutOff(Timestamp),
    /// It has ended in good order then.
    Stopped(Timestamp),
}

pub struct Pulse {
    sim: SimAws,
    /// Whether the ledger may refuse to be written: a table does, and a full disk.
    refuses: bool,
    setting: Arc<Setting>,
    lives: Mutex<BTreeMap<String, Life>>,
    /// For how many looks in a row a host that runs was not seen to.
    unseen: Mutex<BTreeMap<String, u32>>,
}

/// While it is there the host runs; dropped, it was cut off.
pub struct Running<'p> {
    pulse: &'p Pulse,
    host: String,
}

impl Running<'_> {
    /// The host has ended in good order.
    pub fn stopped(self) {
        let now = self.pulse.sim.clock().now();
        self.pulse.lives().insert(self.host.clone(), Life::Stopped(now));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let now = self.pulse.sim.clock().now();
        let mut lives = self.pulse.lives();
        if let Some(Life::Runs(..)) = lives.get(&self.host) {
            lives.insert(self.host.clone(), Life::CutOff(now));
        }
    }
}

impl Pulse {
    pub fn new(sim: SimAws, setting: Arc<Setting>) -> Self {
        let refuses = setting.ledger == LedgerKind::Table || setting.full_disk.is_some();
        Self { sim, refuses, setting, lives: Mutex::default(), unseen: Mutex::default() }
    }

    fn lives(&self) -> MutexGuard<'_, BTreeMap<String, Life>> {
        // What a check found wrong is told by its own panic.
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn runs(&self, host: &str, readiness: Arc<Readiness>) -> Running<'_> {
        let now = self.sim.clock().now();
        self.lives().insert(host.to_owned(), Life::Runs(now, readiness));
        Running { pulse: self, host: host.to_owned() }
    }

    /// Looks now and then, for ever.
    pub async fn watch(&self, ledger: &dyn Ledger) {
        loop {
            tokio::time::sleep(LOOK).await;
            let read_from = self.sim.clock().now();
            let Ok(hosts) = ledger.hosts().await else { continue };
            let now = self.sim.clock().now();
            let second = now.duration_since(BEGIN).as_secs().try_into().unwrap_or_default();
            // Its heartbeats are as wrong as its clock.
            if self.setting.goes_wrong(second) {
                continue;
            }
            for (host, life) in self.lives().iter() {
                let seen = hosts.running(now).any(|heartbeat| heartbeat.host == *host);
                // Nobody asks a Lambda how it is.
                if let Life::Runs(_, readiness) = life
                    && !self.setting.ticks
                {
                    readiness.check(host, &self.setting, second);
                }
                self.check(host, life, seen, read_from, now);
            }
        }
    }

    fn check(&self, host: &str, life: &Life, seen: bool, read_from: Timestamp, now: Timestamp) {
        // What was written while the ledger was read is seen by the next look.
        let long_ago = |since: Timestamp, long: Duration| since + long < read_from;
        match life {
            Life::Runs(since, _) if long_ago(*since, Heartbeat::EVERY) => {
                let mut unseen = self.unseen.lock().unwrap();
                let unseen = unseen.entry(host.to_owned()).or_default();
                *unseen = if seen { 0 } else { *unseen + 1 };
                let most = if self.refuses { REFUSED } else { 0 };
                assert!(*unseen <= most, "{host} runs at {now}, and its heartbeat is not fresh");
            }
            Life::CutOff(at) => {
                let stale = long_ago(*at, Heartbeat::FRESH + LOOK);
                assert!(
                    !(seen && stale),
                    "{host} was cut off at {at}, and is seen to run at {now}"
                );
            }
            Life::Stopped(at) => {
                // It may have been refused to remove it: then it becomes stale.
                let gone = if self.refuses { Heartbeat::FRESH + LOOK } else { Duration::ZERO };
                let gone = long_ago(*at, gone);
                assert!(!(seen && gone), "{host} stopped at {at}, and is seen to run at {now}");
            }
            Life::Runs(..) => {}
        }
    }
}
