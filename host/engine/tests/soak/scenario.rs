//! The scenario of a seed.

use std::time::Duration;

use fastrand::Rng;
use groundcrew_core::account::{AccountId, AccountState};
use groundcrew_core::scheduler::{LaneRules, SchedulerRules, StartWhen, WhenHeld};
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_core::update_need::Causes;
use groundcrew_sim::{FaultLevel, Snapshot, random_fleet};

use super::backlog::Backlog;
use super::clock::Jump;

/// The kind of ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    /// A file, for one host.
    File,
    /// A table on the same simulated AWS, with its faults.
    Table,
}

/// The policy's decision about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedDecision {
    Lane(usize),
    Skip,
    /// Held in a lane until so many seconds after the beginning. A hold in the first lane names no
    /// lane.
    Hold(usize, u64),
}

/// How a life of a host ends, after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is killed at any await point.
    Killed(u64),
    /// It gets a stop signal.
    Stopped(u64),
}

#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub snapshot: Snapshot,
    pub wanted_decisions: Vec<WantedDecision>,
    pub rules: SchedulerRules,
    pub reserve: usize,
    pub ledger: LedgerKind,
    pub hosts: usize,
    /// The ends of each host's lives, before it may run to the end.
    pub ends: Vec<Vec<End>>,
    pub faults: FaultLevel,
    /// The events that are notified of meanwhile.
    pub backlog: Option<Backlog>,
    /// An account and when it moves to another OU.
    pub moves: Vec<(usize, u64)>,
    /// An account, when it is closed, and when it is opened again if it is.
    pub closings: Vec<(usize, u64, Option<u64>)>,
    /// When the clock of the hosts' machine is off.
    pub jumps: Vec<Jump>,
    /// When the disk with the ledger file is full, and for how long.
    pub full_disk: Option<(u64, u64)>,
    /// When the landing zone begins to change, and for how long.
    pub landing_zone: Option<(u64, u64)>,
    /// Whether hosts are driven by ticks once a minute, as in a Lambda.
    pub ticks: bool,
}

pub const QUOTA: usize = 5;
pub const CAUSES: Causes = Causes { moved: true, landing_zone: true, tainted: true, error: true };

impl Scenario {
    pub fn generate(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let number = rng.usize(3..14);
        let mut snapshot = random_fleet(number, 50, seed);
        for account in &mut snapshot.accounts {
            account.update_seconds = rng.u64(120..2400);
            account.enrolled = rng.u32(0..12) > 0;
            if rng.u32(0..12) == 0 {
                account.state = Some(AccountState::Suspended);
            }
            if rng.u32(0..5) == 0 {
                let failures = rng.usize(1..4);
                account.update_failures = vec!["a stack set instance failed".into(); failures];
            }
        }
        let lanes: Vec<LaneRules> = (0..rng.usize(1..4))
            .map(|lane| LaneRules {
                start_when: match rng.u32(0..4) {
                    0 => StartWhen::Succeeded,
                    _ => StartWhen::Drained,
                },
                held: match rng.u32(0..3) {
                    0 => WhenHeld::Pass,
                    _ => WhenHeld::Wait,
                },
                soak: Duration::from_secs(if rng.bool() { 0 } else { rng.u64(0..4000) }),
                failure_threshold: (rng.u32(0..3) == 0).then(|| rng.u32(1..4)),
                ..LaneRules::new(format!("lane-{lane}"), rng.usize(1..5))
            })
            .collect();
        let wanted_decisions = (0..number)
            .map(|_| match rng.u32(0..12) {
                0 => WantedDecision::Skip,
                1 => WantedDecision::Hold(rng.usize(0..lanes.len()), rng.u64(1..60_000)),
                _ => WantedDecision::Lane(rng.usize(0..lanes.len())),
            })
            .collect();
        let ledger = if rng.bool() { LedgerKind::File } else { LedgerKind::Table };
        let hosts = if ledger == LedgerKind::Table && rng.bool() { 2 } else { 1 };
        let kills: Vec<Vec<u64>> = (0..hosts)
            .map(|_| {
                let times = if rng.bool() { 0 } else { rng.usize(1..7) };
                (0..times).map(|_| rng.u64(1..3000)).collect()
            })
            .collect();
        let reserve = usize::from(rng.u32(0..4) == 0);
        let cap = rng.usize(1..5).min(QUOTA - reserve);
        let moves = match rng.u32(0..3) {
            0 => vec![(rng.usize(0..number), rng.u64(0..20_000))],
            _ => vec![],
        };
        let closings = match rng.u32(0..3) {
            0 => {
                let at = rng.u64(0..20_000);
                let opened = rng.bool().then(|| at + rng.u64(1..20_000));
                vec![(rng.usize(0..number), at, opened)]
            }
            _ => vec![],
        };
        let landing_zone = (rng.u32(0..6) == 0).then(|| (rng.u64(0..9000), rng.u64(60..9000)));
        let jumps = jumps(&mut Rng::with_seed(!seed), hosts);
        let ticks = rng.u32(0..3) == 0;
        let mut more = Rng::with_seed(seed.rotate_left(32));
        let ends: Vec<_> = kills.into_iter().map(|kills| ends(&mut more, &kills, ticks)).collect();
        // With Lambda another function delivers. The events often arrive just before a host ends,
        // so that it is under full load.
        let first_end = more.bool().then(|| first_end(&ends)).flatten();
        let at = first_end.map(|seconds| seconds.saturating_sub(more.u64(0..60)));
        let at = at.unwrap_or_else(|| more.u64(0..6000));
        let backlog = (!ticks && more.u32(0..3) == 0).then(|| Backlog {
            at,
            events: more.usize(1..60),
            queue: more.u32(0..4) > 0,
            takes: more.u64(0..20),
        });
        let is_file = ledger == LedgerKind::File;
        let full_disk =
            (is_file && rng.u32(0..3) == 0).then(|| (rng.u64(0..20_000), rng.u64(5..500)));
        Self {
            seed,
            snapshot,
            wanted_decisions,
            rules: SchedulerRules {
                lanes,
                max_concurrent_operations: cap,
                per_ou_limit: (rng.u32(0..4) == 0).then(|| rng.usize(1..3)),
                max_attempts: rng.u32(1..4),
                poll_interval: Duration::from_secs(30),
                operation_timeout: Duration::from_secs(7200),
                window: Duration::from_secs(86_400),
                sweep_interval: Duration::from_secs(6 * 3600),
                min_sweep_interval: Duration::from_secs(60),
                suggestions: CommandFormatter::default(),
            },
            reserve,
            ledger,
            hosts,
            ends,
            faults: FaultLevel::Heavy,
            backlog,
            moves,
            closings,
            jumps,
            full_disk,
            landing_zone,
            ticks,
        }
    }

    /// Whether hosts use, or have just used, a wrong clock: one that has been wrong for long, or
    /// any wrong one in a Lambda function, which uses the machine's clock directly.
    pub fn goes_wrong(&self, second: u64) -> bool {
        self.jumps.iter().any(|jump| {
            let followed = self.ticks || jump.until - jump.from > 50;
            followed && (jump.from..jump.until + 600).contains(&second)
        })
    }

    pub fn account(&self, index: usize) -> AccountId {
        self.snapshot.accounts[index].id.parse().unwrap()
    }

    pub fn wanted_decision(&self, account: &AccountId) -> WantedDecision {
        let index = self.snapshot.accounts.iter().position(|one| one.id == account.as_str());
        self.wanted_decisions[index.unwrap()]
    }

    /// Whether an account is closed at the end.
    pub fn is_closed(&self, account: &AccountId) -> bool {
        let accounts = &self.snapshot.accounts;
        let index = accounts.iter().position(|one| one.id == account.as_str()).unwrap();
        let last = self.closings.iter().rfind(|(closed, ..)| *closed == index);
        match last {
            Some((_, _, opened)) => opened.is_none(),
            None => accounts[index].state == Some(AccountState::Suspended),
        }
    }

    /// Whether hosts are killed, which includes those that are stopped while their calls take too
    /// long.
    pub fn is_killed(&self) -> bool {
        self.ends.iter().any(|ends| !ends.is_empty())
    }
}

/// When the first host ends its first life, if it does.
pub fn first_end(ends: &[Vec<End>]) -> Option<u64> {
    ends.first()?.first().map(|end| match end {
        End::Killed(seconds) | End::Stopped(seconds) => *seconds,
    })
}

/// Makes some of these kills stops instead, but not with ticks, since a Lambda function gets no
/// stop signal.
fn ends(rng: &mut Rng, kills: &[u64], ticks: bool) -> Vec<End> {
    let end = |seconds: &u64| match !ticks && rng.u32(0..3) == 0 {
        true => End::Stopped(*seconds),
        false => End::Killed(*seconds),
    };
    kills.iter().map(end).collect()
}

/// Bad answers of a time server in either direction, corrected within a minute; and for a single
/// host a clock that is slow for long.
fn jumps(rng: &mut Rng, hosts: usize) -> Vec<Jump> {
    let mut jumps = vec![];
    for _ in 0..if rng.bool() { 0 } else { rng.u64(1..6) } {
        let from = rng.u64(0..15_000);
        let by = rng.i64(10..3 * 86_400) * if rng.bool() { 1 } else { -1 };
        jumps.push(Jump { from, until: from + rng.u64(1..50), by });
    }
    if hosts == 1 && rng.u32(0..4) == 0 {
        let from = rng.u64(0..15_000);
        jumps.push(Jump { from, until: from + rng.u64(100..4000), by: -rng.i64(10..20_000) });
    }
    jumps
}
