//! Which hosts run on a ledger: each writes a heartbeat into it now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LedgerError;

/// What drives a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// `groundcrew run`, until it is stopped.
    Service,
    /// A Lambda, by ticks. It is never told that it ends.
    Lambda,
}

/// A sign of life of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The host's name in the ledger.
    pub host: String,
    /// The version of groundcrew that it runs.
    pub version: String,
    /// What drives it.
    pub kind: HostKind,
    /// When it started, by its clock.
    pub since: Timestamp,
    /// When it wrote this, by its clock.
    pub at: Timestamp,
}

impl Heartbeat {
    /// A service writes one so often, and a Lambda with every tick and as often within one. At
    /// a DynamoDB table that is a read and a write of one small item.
    pub const INTERVAL: Duration = Duration::from_secs(60);

    /// A host whose last one is older is taken to have ended: two in a row may be lost.
    pub const TIMEOUT: Duration = Duration::from_secs(3 * 60);

    /// One that lies further ahead was written by a clock that was wrong: it would show a host that
    /// was killed as running until then.
    pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

    /// Whether the host is taken to run at this moment.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now <= self.at + Self::TIMEOUT && self.at <= now + Self::MAX_CLOCK_SKEW
    }
}

/// A host that runs no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneHost {
    /// Its last sign of life; when it has `stopped`, that was then.
    #[serde(flatten)]
    pub heartbeat: Heartbeat,
    /// Whether it said so. Otherwise it was killed, or does not come round.
    pub stopped: bool,
}

/// The hosts of a ledger, as far as their heartbeats show them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosts {
    /// The last heartbeat of each that has not stopped, by their names. Those that are not fresh
    /// stay until another host writes one.
    pub heartbeats: BTreeMap<String, Heartbeat>,
    /// Of those that are not among them any more, the one that ran last.
    pub gone: Option<GoneHost>,
}

impl Hosts {
    /// Takes a heartbeat in, and puts away those that are not fresh by then.
    pub fn record_heartbeat(&mut self, heartbeat: &Heartbeat) {
        self.heartbeats.insert(heartbeat.host.clone(), heartbeat.clone());
        let stale = |one: &Heartbeat| !one.is_fresh(heartbeat.at);
        let names: Vec<String> =
            self.heartbeats.values().filter(|one| stale(one)).map(|one| one.host.clone()).collect();
        for name in names {
            self.retire(&name, None);
        }
    }

    /// Takes in that a host has stopped. One that is not known changes nothing.
    pub fn remove_heartbeat(&mut self, host: &str, at: Timestamp) {
        self.retire(host, Some(at));
    }

    /// The hosts that run at this moment, in the order of their names.
    pub fn running(&self, now: Timestamp) -> impl Iterator<Item = &Heartbeat> {
        self.heartbeats.values().filter(move |heartbeat| heartbeat.is_fresh(now))
    }

    /// The host that ran last, when none does at this moment; `None` when no host ever wrote a
    /// heartbeat.
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
    /// Writes a heartbeat in place of the host's last.
    async fn record_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LedgerError>;

    /// Removes the heartbeat of a host that stops at this moment. Again it does nothing.
    async fn remove_heartbeat(&self, host: &str, at: Timestamp) -> Result<(), LedgerError>;

    /// What hosts have written.
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

    /// The clock of whoever looks may be behind that of the host.
    #[test]
    fn a_heartbeat_of_later_is_fresh() {
        let mut hosts = Hosts::default();
        hosts.record_heartbeat(&heartbeat("one", 1000));
        assert_eq!(running(&hosts, 0), ["one"]);
        // By a clock that was wrong.
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

    /// So that processes of a Lambda, of which there are many in a year, don't add up.
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
