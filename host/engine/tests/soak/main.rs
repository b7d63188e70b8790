//! Whole fleet updates through the real SDKs with all kinds of faults at once, by seed: throttling,
//! errors, lost responses, lost and late events, failing updates, operations of other clients,
//! hosts killed at any await point or stopped under full load, two hosts at once, clocks that jump,
//! full disks, accounts that move, a landing zone that changes. The invariants are checked at every
//! start and at the end.
//!
//! `GROUNDCREW_SEEDS` is the number of seeds, and `GROUNDCREW_FIRST_SEED` is the first one. A seed
//! that fails prints how to run it alone.

mod backlog;
mod clock;
mod fleet;
mod heartbeats;
mod invariants;
mod log;
mod readiness;
mod scenario;

use std::time::Duration;

use backlog::Backlog;
use groundcrew_sim::FaultLevel;
use groundcrew_testkit::replay;
use groundcrew_testkit::seeds::seeds;
use rstest::rstest;
use scenario::{End, LedgerKind, Scenario};

/// Seeds of a run of the test suite.
const SEEDS: u64 = 160;
/// They run in parallel.
const PARTS: u64 = 4;

#[rstest]
fn whatever_goes_wrong_nothing_is_lost_or_repeated(#[values(0, 1, 2, 3)] part: u64) {
    let seeds = seeds(SEEDS);
    let mut done = fleet::RunSummary::default();
    for seed in seeds.clone().filter(|seed| seed % PARTS == part) {
        let _replay = replay!(seed);
        done.add(fleet::run(Scenario::generate(seed)));
    }
    // The checks would also hold for a fleet in which nothing happens.
    if seeds.end - seeds.start >= SEEDS {
        assert!(done.updated > 150 && done.dead_lettered > 5 && done.kills > 20, "{done:?}");
        assert!(done.moved > 0 && done.resumed > 0, "{done:?}");
        assert!(done.stops > 5 && done.delivered > 100, "{done:?}");
    }
}

/// A host is stopped or killed with a full backlog, and the next one continues the deliveries.
#[rstest]
fn telling_goes_on_within_two_minutes(
    #[values(End::Stopped(60), End::Killed(60))] end: End,
    #[values(true, false)] queue: bool,
    #[values(LedgerKind::File, LedgerKind::Table)] ledger: LedgerKind,
) {
    // Ten notifications at once are delivered from the notifications queue, and a hundred events at
    // once are handled from the events queue.
    let backlog = Backlog { at: 20, events: 150, queue, takes: if queue { 15 } else { 45 } };
    let scenario = Scenario {
        ledger,
        hosts: 1,
        ends: vec![vec![end]],
        backlog: Some(backlog),
        faults: FaultLevel::None,
        ticks: false,
        jumps: vec![],
        full_disk: None,
        ..Scenario::generate(1)
    };
    let done = fleet::run(scenario);
    assert_eq!(done.delivered, 150);
    let (before, after) = done.asked;
    assert!(
        before > 20 && before < 150,
        "{before} of 150 were told before: nothing is left to test"
    );
    assert!(after.is_some_and(|after| after < Duration::from_secs(120)), "{after:?}");
}

/// The same seed gives the same run: otherwise a failing one could not be replayed.
#[test]
fn a_seed_can_be_replayed() {
    for seed in [3, 4, 5] {
        let run = || fleet::run(Scenario::generate(seed));
        assert_eq!(run(), run());
    }
}
