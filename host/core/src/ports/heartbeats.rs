//! Which hosts run on a ledger: each writes a heartbeat into it at an interval.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LedgerError;

/// What invokes a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// `groundcrew run`, until it is stopped.
    Service,
    /// A Lambda function, invoked by ticks. It gets no signal when its process ends.
    Lambda,
}

/// A sign of life of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The host's name in the ledger.
    pub host: String,
    /// The version of groundcrew that it runs.
    pub version: String,
    /// What invokes it.
    pub kind: HostKind,
    /// When it started, by its clock.
    pub since: Timestamp,
    /// When it wrote this, by its clock.
    pub at: Timestamp,
}

impl Heartbeat {
    /// How often a service writes one. A Lambda function writes one with every tick, and as often
    /// as that within a tick. With a DynamoDB table, this reads and writes one small item.
    pub const INTERVAL: Duration = Duration::from_secs(60);

    /// A host whose last heartbeat is older than this is considered ended: two in a row may be
    /// lost.
    pub const TIMEOUT: Duration = Duration::from_secs(3 * 60);

    /// A heartbeat further in the future than this comes from a wrong clock. Without the limit, a
    /// host that was killed would be shown as running until that time.
    pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

    /// Whether the host is considered running at this moment.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now <= self.at + Self::TIMEOUT && self.at <= now + Self::MAX_CLOCK_SKEW
    }
}

/// A host that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneHost {
    /// Its last heartbeat. If the host has `stopped`, `at` is the moment of the stop.
    #[serde(flatten)]
    pub heartbeat: Heartbeat,
    /// Whether the host wrote that it stopped. Otherwise it was killed, or it hangs.
    pub stopped: bool,
}

/// The hosts of a ledger, as far as their heartbeats show them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosts {
    /// The last heartbeat of each host that has not stopped, by host name. One that is not fresh
    /// stays until another host writes a heartbeat.
    pub heartbeats: BTreeMap<String, Heartbeat>,
    /// Of the hosts that are no longer in `heartbeats`, the one that ran last.
    pub gone: Option<GoneHost>,
}

impl Hosts {
    /// Adds a heartbeat, and removes those that are not fresh at its time.
    pub fn record_heartbeat(&mut self, heartbeat: &Heartbeat) {
        self.heartbeats.insert(heartbeat.host.clone(), heartbeat.clone());
        let stale = |one: &Heartbeat| !one.is_fresh(heartbeat.at);
        let names: Vec<String> =
            self.heartbeats.values().filter(|one| stale(one)).map(|one| one.host.clone()).collect();
        for name in names {
            self.retire(&name, None);
        }
    }

    /// Records that a host has stopped. A host that is not known changes nothing.
    pub fn remove_heartbeat(&mut self, host: &str, at: Timestamp) {
        self.retire(host, Some(at));
    }

    /// The hosts that run at this moment, in the order of their names.
    pub fn running(&self, now: Timestamp) -> impl Iterator<Item = &Heartbeat> {
        self.heartbeats.values().filter(move |heartbeat| heartbeat.is_fresh(now))
    }

    /// The host that ran last, whether it is among the heartbeats or gone; `None` if no host ever
    /// wrote a heartbeat. For when none runs at this moment.
    pub fn last(&self) -> Option<GoneHost> {
        let stale = self
            .heartbeats
            .values()
            .map(|heartbeat| GoneHost { heartbeat: heartbeat.clone(), stopped: false });
        stale.chain(self.gone.clone()).max_by_key(|gone| gone.heartbeat.at)
    }

    fn retire(&mut self, host: &str, stopped: Option<Timestamp>) {
        let Some(heartbeat) = self.heartbeats.remove(host) else { return };
        let at = stopped.unwrap_or(heartbeat.at);
        if self.gone.as_ref().is_none_or(|gone| gone.heartbeat.at <= at) {
            let heartbeat = Heartbeat { at, ..heartbeat };
            self.gone = Some(GoneHost { heartbeat, stopped: stopped.is_some() });
        }
    }
}

/// The heartbeats in a ledger.
#[async_trait]
pub trait Heartbeats: Send + Sync {
    /// Replaces the host's last heartbeat.
    async fn record_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LedgerError>;

    /// Removes the heartbeat of a host that stops at this moment. A repeat does nothing.
    async fn remove_heartbeat(&self, host: &str, at: Timestamp) -> Result<(), LedgerError>;

    /// The hosts, by the heartbeats in the ledger.
    async fn hosts(&self) -> Result<Hosts, LedgerError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(1_000_000 + second, 0)
    }

    fn heartbeat(host: &str, second: i64) -> Heartbeat {
        Heartbeat {
            host: host.into(),
            version: "0.1.0".into(),
            kind: HostKind::Service,
            since: at(0),
            at: at(second),
        }
    }

    fn running(hosts: &Hosts, second: i64) -> Vec<&str> {
        hosts.running(at(second)).map(|heartbeat| heartbeat.host.as_str()).collect()
    }

    #[test]
    fn a_host_runs_while_its_heartbeat_is_fresh() {
        let mut hosts = Hosts::default();
        assert_eq!((running(&hosts, 0), hosts.last()), (vec![], None));
        hosts.record_heartbeat(&heartbeat("one", 0));
        hosts.record_heartbeat(&heartbeat("two", 60));
        assert_eq!(running(&hosts, 180), ["one", "two"]);
        assert_eq!(running(&hosts, 181), ["two"]);
        assert_eq!(running(&hosts, 241), Vec::<&str>::new());
        let last = hosts.last().unwrap();
        assert_eq!((last.heartbeat, last.stopped), (heartbeat("two", 60), false));
    }

    /// The clock of the reader may be behind the clock of the host.
    #[test]
    fn a_heartbeat_of_later_is_fresh() {
        let mut hosts = Hosts::default();
        hosts.record_heartbeat(&heartbeat("one", 1000));
        assert_eq!(running(&hosts, 0), ["one"]);
        // Written by a clock that was wrong.
        assert_eq!(running(&hosts, -3000), Vec::<&str>::new());
    }

    #[test]
    fn a_host_that_stopped_is_gone_since_then() {
        let mut hosts = Hosts::default();
        hosts.record_heartbeat(&heartbeat("one", 0));
        hosts.remove_heartbeat("one", at(30));
        assert_eq!(running(&hosts, 30), Vec::<&str>::new());
        let last = hosts.last().unwrap();
        assert_eq!((last.heartbeat.at, last.stopped), (at(30), true));
        let before = hosts.clone();
        hosts.remove_heartbeat("one", at(90));
        assert_eq!(hosts, before);
        hosts.record_heartbeat(&heartbeat("one", 100));
        assert_eq!(running(&hosts, 100), ["one"]);
    }

    /// This keeps the processes of a Lambda function, many in a year, from adding up.
    #[test]
    fn those_that_are_not_fresh_are_put_away_by_the_next_heartbeat() {
        let mut hosts = Hosts::default();
        hosts.record_heartbeat(&heartbeat("one", 0));
        hosts.record_heartbeat(&heartbeat("two", 100));
        hosts.record_heartbeat(&heartbeat("three", 200));
        assert_eq!(hosts.heartbeats.keys().collect::<Vec<_>>(), ["three", "two"]);
        hosts.record_heartbeat(&heartbeat("three", 2000));
        assert_eq!(hosts.heartbeats.len(), 1);
        hosts.remove_heartbeat("three", at(2010));
        let last = hosts.last().unwrap();
        assert_eq!((last.heartbeat.host.as_str(), last.stopped), ("three", true));
    }
}
