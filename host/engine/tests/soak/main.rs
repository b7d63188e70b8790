//! Whole fleet updates through the real SDKs with everything going wrong at once, by seed:
//! throttling, errors, lost answers, lost and late events, failing updates, other people's
//! operations, hosts killed at any await point, two hosts at once, accounts that move, a landing
//! zone that changes. What must hold is checked at every start and at the end.
//!
//! `GROUNDCREW_SEEDS` says how many seeds are run, and `GROUNDCREW_FIRST_SEED` which is the
//! first. A seed that fails prints how to run it alone.

mod clock;
mod fleet;
mod pulse;
#[path = "../../../../tests/common/seeds.rs"]
mod seeds;
mod setting;
mod truth;

use rstest::rstest;
use seeds::{Replay, seeds};

/// Seeds of a run of the test suite.
const SEEDS: u64 = 160;
/// Run beside each other.
const PARTS: u64 = 4;

#[rstest]
fn whatever_goes_wrong_nothing_is_lost_or_repeated(#[values(0, 1, 2, 3)] part: u64) {
    let seeds = seeds(SEEDS);
    let mut done = fleet::Done::default();
    for seed in seeds.clone().filter(|seed| seed % PARTS == part) {
        let _replay = Replay(seed);
        done.add(fleet::run(&setting::Setting::draw(seed)));
    }
    // The checks would hold of a fleet in which nothing happens.
    if seeds.end - seeds.start >= SEEDS {
        assert!(done.updated > 150 && done.given_up > 5 && done.kills > 20, "{done:?}");
        assert!(done.moved > 0 && done.resumed > 0, "{done:?}");
    }
}

/// The same seed gives the same run: otherwise a failing one could not be replayed.
#[test]
fn a_seed_can_be_replayed() {
    for seed in [3, 4, 5] {
        let run = || fleet::run(&setting::Setting::draw(seed));
        assert_eq!(run(), run());
    }
}
