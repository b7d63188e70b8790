//! The hosts that run on a ledger, for `groundcrew status`.

use std::fmt;
use std::time::Duration;

use groundcrew_core::ports::{self, GoneHost, Heartbeat, HostKind};
use groundcrew_core::suggestions::CommandFormatter;
use jiff::Timestamp;
use serde::Serialize;

use crate::formatting::{format_duration, format_minute, paragraph};

/// What is known about hosts in addition to their heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPresence {
    /// Nothing: the ledger is a table.
    HeartbeatsOnly,
    /// A host has the ledger file open, and responds.
    Connected,
    /// No host has the ledger file open.
    Absent,
}

/// The hosts of a ledger.
#[derive(Debug, Serialize)]
pub struct HostsReport {
    /// The hosts that run.
    pub running: Vec<Heartbeat>,
    /// Whether a process has the ledger file open and responds, with a heartbeat or without. Always
    /// `false` for a table.
    #[serde(rename = "answers")]
    pub connected: bool,
    /// If none runs: the one that ran last, if it is known.
    pub last: Option<GoneHost>,
    /// How to start one.
    #[serde(skip)]
    pub start: String,
}

impl HostsReport {
    /// The hosts that run now. `suggested` writes the command that starts one.
    pub fn new(
        known: ports::Hosts,
        presence: HostPresence,
        now: Timestamp,
        suggestions: &CommandFormatter,
    ) -> Self {
        let running: Vec<Heartbeat> = match presence {
            // Heartbeats of a moment ago don't count: this process has the file open.
            HostPresence::Absent => vec![],
            HostPresence::HeartbeatsOnly | HostPresence::Connected => {
                known.running(now).cloned().collect()
            }
        };
        Self {
            connected: presence == HostPresence::Connected,
            last: known.last().filter(|_| running.is_empty()),
            running,
            start: suggestions.command("run"),
        }
    }

    /// Whether any runs.
    pub fn is_running(&self) -> bool {
        self.connected || !self.running.is_empty()
    }

    /// Writes a line for each host, or that there is none. `in_flight`: whether the status shows
    /// updates that a host would have to poll.
    pub fn write(&self, now: Timestamp, in_flight: bool, out: &mut String) -> fmt::Result {
        for heartbeat in &self.running {
            let line = format!(
                "host        {}: {} since {}, last seen {} ago",
                heartbeat.host,
                describe_version(heartbeat),
                format_minute(heartbeat.since),
                format_duration(Duration::try_from(now - heartbeat.at).unwrap_or_default())
            );
            paragraph(out, &line)?;
        }
        if !self.running.is_empty() {
            return Ok(());
        }
        let last = self.last.as_ref().map(|gone| {
            let verb = if gone.stopped { "stopped" } else { "was last seen" };
            let heartbeat = &gone.heartbeat;
            (
                format_minute(heartbeat.at),
                format!("{} ({}) {verb}", heartbeat.host, describe_version(heartbeat)),
            )
        });
        let line = match (self.connected, last) {
            (true, Some((at, _))) => format!(
                "host        one has the ledger file open, and its loop has not come round since {at}: \
                 see its log"
            ),
            (true, None) => {
                "host        one has the ledger file open; it has not shown itself yet, \
                             or is of a version that does not"
                    .to_owned()
            }
            (false, last) => {
                let ended = match in_flight {
                    true => ": what was in flight may have ended",
                    false => "",
                };
                let since = match last {
                    Some((at, host)) => format!("none runs on this ledger since {at}, when {host}"),
                    None => "none is known to run on this ledger".to_owned(),
                };
                format!("host        {since}{ended}; {}", self.start_hint())
            }
        };
        paragraph(out, &line)
    }

    /// How to start a host.
    fn start_hint(&self) -> String {
        match &self.last {
            Some(GoneHost { heartbeat: Heartbeat { kind: HostKind::Lambda, .. }, .. }) => {
                "look whether its schedule is enabled, and at its log".to_owned()
            }
            _ => format!("start one with `{}`", self.start),
        }
    }
}

fn describe_version(heartbeat: &Heartbeat) -> String {
    let kind = match heartbeat.kind {
        HostKind::Service => "as a service",
        HostKind::Lambda => "in a Lambda",
    };
    format!("groundcrew {} {kind}", heartbeat.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn heartbeat(host: &str, kind: HostKind, seconds_ago: u64) -> Heartbeat {
        Heartbeat {
            host: host.into(),
            version: "0.1.0".into(),
            kind,
            since: NOW - Duration::from_secs(7200),
            at: NOW - Duration::from_secs(seconds_ago),
        }
    }

    fn known(beats: &[Heartbeat]) -> ports::Hosts {
        let mut hosts = ports::Hosts::default();
        beats.iter().for_each(|heartbeat| hosts.record_heartbeat(heartbeat));
        hosts
    }

    fn screen(known: ports::Hosts, presence: HostPresence, in_flight: bool) -> String {
        let mut out = String::new();
        HostsReport::new(known, presence, NOW, &CommandFormatter::with_config("crew.toml"))
            .write(NOW, in_flight, &mut out)
            .unwrap();
        for line in out.lines() {
            assert!(line.chars().count() <= 80, "over 80 columns: {line}");
        }
        out
    }

    #[test]
    fn hosts_that_run() {
        let two =
            [heartbeat("12-ab", HostKind::Service, 12), heartbeat("34-cd", HostKind::Lambda, 40)];
        insta::assert_snapshot!(screen(known(&two), HostPresence::HeartbeatsOnly, true), @"
        host        12-ab: groundcrew 0.1.0 as a service since 2026-09-21 12:13 UTC,
                    last seen 00:00:12 ago
        host        34-cd: groundcrew 0.1.0 in a Lambda since 2026-09-21 12:13 UTC, last
                    seen 00:00:40 ago
        ");
        let file = known(&[heartbeat("file", HostKind::Service, 12)]);
        insta::assert_snapshot!(screen(file, HostPresence::Connected, true), @"
        host        file: groundcrew 0.1.0 as a service since 2026-09-21 12:13 UTC, last
                    seen 00:00:12 ago
        ");
    }

    #[test]
    fn no_host_runs() {
        let by = HostPresence::HeartbeatsOnly;
        insta::assert_snapshot!(screen(known(&[]), by, false), @"
        host        none is known to run on this ledger; start one with
                    `groundcrew run --config crew.toml`
        ");
        let killed = known(&[heartbeat("12-ab", HostKind::Service, 600)]);
        insta::assert_snapshot!(screen(killed.clone(), by, true), @"
        host        none runs on this ledger since 2026-09-21 14:03 UTC, when 12-ab
                    (groundcrew 0.1.0 as a service) was last seen: what was in flight
                    may have ended; start one with `groundcrew run --config crew.toml`
        ");
        insta::assert_snapshot!(screen(killed.clone(), by, false), @"
        host        none runs on this ledger since 2026-09-21 14:03 UTC, when 12-ab
                    (groundcrew 0.1.0 as a service) was last seen; start one with
                    `groundcrew run --config crew.toml`
        ");
        let mut stopped = killed;
        stopped.remove_heartbeat("12-ab", NOW - Duration::from_secs(300));
        insta::assert_snapshot!(screen(stopped, by, true), @"
        host        none runs on this ledger since 2026-09-21 14:08 UTC, when 12-ab
                    (groundcrew 0.1.0 as a service) stopped: what was in flight may have
                    ended; start one with `groundcrew run --config crew.toml`
        ");
        let lambda = known(&[heartbeat("34-cd", HostKind::Lambda, 600)]);
        insta::assert_snapshot!(screen(lambda, by, true), @"
        host        none runs on this ledger since 2026-09-21 14:03 UTC, when 34-cd
                    (groundcrew 0.1.0 in a Lambda) was last seen: what was in flight may
                    have ended; look whether its schedule is enabled, and at its log
        ");
    }

    /// A process that can open the file knows that no host has it open.
    #[test]
    fn a_file_that_nobody_has_open() {
        let killed = known(&[heartbeat("file", HostKind::Service, 5)]);
        insta::assert_snapshot!(screen(killed, HostPresence::Absent, true), @"
        host        none runs on this ledger since 2026-09-21 14:13 UTC, when file
                    (groundcrew 0.1.0 as a service) was last seen: what was in flight
                    may have ended; start one with `groundcrew run --config crew.toml`
        ");
    }

    #[test]
    fn a_file_that_is_open_in_a_host_that_does_not_show_itself() {
        insta::assert_snapshot!(screen(known(&[]), HostPresence::Connected, true), @"
        host        one has the ledger file open; it has not shown itself yet, or is of
                    a version that does not
        ");
        let stuck = known(&[heartbeat("file", HostKind::Service, 600)]);
        insta::assert_snapshot!(screen(stuck, HostPresence::Connected, true), @"
        host        one has the ledger file open, and its loop has not come round since
                    2026-09-21 14:03 UTC: see its log
        ");
    }
}
