//! The scheduler's guarantees, in a world of random durations, failures and losses.

mod simulated_fleet;
mod steps;

use groundcrew_core::list_schedule::makespan;
use proptest::prelude::*;
use rstest::rstest;
use simulated_fleet::{Account, LaneConditions, Outcome, Scenario, SimulatedFleet};
use std::time::Duration;

fn plain(lane: usize, seconds: u64) -> Account {
    Account { lane: Some(lane), held: 0, seconds, failures: vec![] }
}

fn calm(lanes: Vec<usize>, cap: usize, accounts: Vec<Account>) -> Scenario {
    Scenario {
        lanes,
        lane_conditions: vec![],
        cap,
        max_attempts: 5,
        accounts,
        lose_every: 0,
        refuse_every: 0,
        fail_sweep_every: 0,
        events: true,
        per_ou: None,
        approval: None,
        seed: 1,
    }
}

/// The reference text's example: concurrency 4, five tagged and five untagged accounts.
#[test]
fn five_tagged_then_five_untagged_one_at_a_time() {
    let tagged = [600, 900, 1200, 1500, 700].map(|seconds| plain(0, seconds));
    let others = [600, 650, 700, 750, 800].map(|seconds| plain(1, seconds));
    let outcome = SimulatedFleet::run(calm(vec![4, 1], 4, [tagged, others].concat()));

    type Run = (usize, usize, i64, i64);
    let (first, second): (Vec<Run>, Vec<Run>) = outcome.runs.iter().partition(|run| run.1 == 0);
    assert_eq!((first.len(), second.len()), (5, 5));
    let ends: Vec<i64> = first[..4].iter().map(|run| run.3).collect();
    let (begins, earliest) = (first[..4].iter().map(|run| run.2), *ends.iter().min().unwrap());
    assert!(begins.max().unwrap() < 150, "four tagged accounts start at once");
    let fifth = first[4].2;
    assert!((earliest..earliest + 10).contains(&fifth), "the fifth starts when one has ended");
    let tagged_end = first.iter().map(|run| run.3).max().unwrap();
    assert!(second[0].2 >= tagged_end, "the untagged wait for all tagged accounts");
    for pair in second.windows(2) {
        assert!(pair[1].2 >= pair[0].3, "untagged accounts run one at a time");
    }
    assert_eq!(outcome.updated.len(), 10);
}

#[rstest]
#[case::contention_costs_nothing(
    "another AWS Control Tower operation is in progress. Try again later.",
    7,
    true,
    8
)]
#[case::unknown_errors_cost_attempts("the stack set operation failed", 2, true, 3)]
#[case::and_end_in_the_dead_letter_queue("the stack set operation failed", 9, false, 3)]
#[case::a_permanent_error_ends_at_once(
    "The parent organizational unit 'X' is not enrolled in AWS Control Tower.",
    9,
    false,
    1
)]
fn failures(
    #[case] text: &'static str,
    #[case] times: usize,
    #[case] updated: bool,
    #[case] attempts: u32,
) {
    let mut account = plain(0, 600);
    account.failures = vec![text; times];
    let mut scenario = calm(vec![2, 1], 2, vec![account, plain(0, 600), plain(1, 600)]);
    scenario.max_attempts = 3;
    let outcome = SimulatedFleet::run(scenario);
    assert_eq!(outcome.updated.contains(&0), updated);
    assert_eq!(outcome.attempts[&0], attempts);
    assert_eq!(outcome.dead.len(), usize::from(!updated));
    assert_eq!(outcome.alerts.len(), usize::from(!updated), "{:?}", outcome.alerts);
    assert!(outcome.updated.is_superset(&[1, 2].into()), "the others are updated all the same");
}

/// Whether the lane after it waits for it or passes.
#[rstest]
#[case::it_waits(false, [0, 1])]
#[case::it_goes_on(true, [1, 0])]
fn a_held_account_is_updated_when_its_time_comes(#[case] pass: bool, #[case] order: [usize; 2]) {
    let mut held = plain(0, 600);
    held.held = 50_000;
    let outcome = SimulatedFleet::run(Scenario {
        lane_conditions: vec![
            LaneConditions::default(),
            LaneConditions { pass, ..LaneConditions::default() },
        ],
        ..calm(vec![1, 1], 1, vec![held, plain(1, 700)])
    });
    let runs: Vec<usize> = outcome.runs.iter().map(|run| run.0).collect();
    assert_eq!(runs, order);
    let begun = outcome.runs.iter().find(|run| run.0 == 0).unwrap().2;
    assert!((50_000..50_300).contains(&begun), "the held account begins at {begun}");
}

/// Without events, completion is found by polling every 30 seconds; with events at once.
#[rstest]
#[case(true, 1.005)]
#[case(false, 1.04)]
fn close_to_the_list_schedule(#[case] events: bool, #[case] ratio: f64) {
    for cap in [1, 4, 5, 10] {
        let durations = (0..600).map(|index| 600 + (index * 7919) % 1200);
        let accounts: Vec<Account> = durations.map(|seconds| plain(0, seconds)).collect();
        let outcome = SimulatedFleet::run(Scenario { events, ..calm(vec![cap], cap, accounts) });
        let jobs = outcome.runs.iter().map(|run| Duration::from_secs((run.3 - run.2) as u64));
        let bound = makespan(jobs, cap).as_secs_f64();
        let end = outcome.runs.iter().map(|run| run.3).max().unwrap() as f64;
        assert!(end <= bound * ratio, "cap {cap}: {end} s against {bound} s");
        assert_eq!(outcome.most_at_once, cap);
    }
}

const FAILS: &str = "a stack set instance failed";

/// Canaries of which some are dead-lettered, and then production.
fn rollout(failing: usize, gate: LaneConditions, threshold: Option<u32>) -> Outcome {
    let canary = |number: usize| Account {
        failures: if number < failing { vec![FAILS] } else { vec![] },
        ..plain(0, 600)
    };
    let accounts = (0..3).map(canary).chain((0..2).map(|_| plain(1, 600))).collect();
    let first = LaneConditions { failure_threshold: threshold, ..LaneConditions::default() };
    SimulatedFleet::run(Scenario {
        max_attempts: 1,
        lane_conditions: vec![first, gate],
        ..calm(vec![1, 4], 4, accounts)
    })
}

#[test]
fn a_lane_soaks() {
    let outcome = rollout(0, LaneConditions { soak: 7200, ..LaneConditions::default() }, None);
    let (canary, prod) = (outcome.runs[2], outcome.runs[3]);
    assert!((canary.3 + 7200..canary.3 + 7260).contains(&prod.2), "{canary:?} {prod:?}");
    assert_eq!(outcome.updated.len(), 5);
}

#[rstest]
#[case::drained(false, 1, 4, false)]
#[case::succeeded(true, 1, 2, true)]
#[case::all_succeeded(true, 0, 5, false)]
fn failed_canaries_stop_production_where_it_asks_for_success(
    #[case] succeeded: bool,
    #[case] failing: usize,
    #[case] updated: usize,
    #[case] waits: bool,
) {
    let outcome = rollout(failing, LaneConditions { succeeded, ..LaneConditions::default() }, None);
    assert_eq!((outcome.updated.len(), outcome.waits), (updated, waits));
    assert_eq!(outcome.dead.len(), failing);
}

#[rstest]
#[case::below(1, 4, &[])]
#[case::reached(2, 0, &["lane-0"])]
fn failures_in_a_row_pause_a_lane_and_those_after_it(
    #[case] failing: usize,
    #[case] updated: usize,
    #[case] paused: &[&str],
) {
    let outcome = rollout(failing, LaneConditions::default(), Some(2));
    assert_eq!(outcome.updated.len(), updated);
    assert!(outcome.paused.iter().eq(paused));
    // Two failed, and nothing was started after them.
    assert_eq!(outcome.runs.len(), if paused.is_empty() { 5 } else { 2 });
}

/// Each success resets the count.
#[test]
fn failures_that_are_not_in_a_row_pause_nothing() {
    let canary = |number: usize| Account {
        failures: if number.is_multiple_of(2) { vec![FAILS] } else { vec![] },
        ..plain(0, 600)
    };
    let gate = LaneConditions { failure_threshold: Some(2), ..LaneConditions::default() };
    let outcome = SimulatedFleet::run(Scenario {
        max_attempts: 1,
        lane_conditions: vec![gate],
        ..calm(vec![1], 1, (0..6).map(canary).collect())
    });
    assert_eq!((outcome.dead.len(), outcome.updated.len()), (3, 3));
    assert!(outcome.paused.is_empty());
}

/// Ten accounts in two OUs, alternating: with one update at a time in each OU, two run at once.
#[rstest]
#[case(Some(1), 2)]
#[case(Some(2), 4)]
#[case(None, 5)]
fn an_ou_has_a_limit_of_its_own(#[case] per_ou: Option<usize>, #[case] at_once: usize) {
    let accounts = (0..10).map(|_| plain(0, 600)).collect();
    let outcome = SimulatedFleet::run(Scenario { per_ou, ..calm(vec![5], 5, accounts) });
    assert_eq!((outcome.updated.len(), outcome.most_at_once), (10, at_once));
    let bound = 10usize.div_ceil(at_once) as i64 * 600;
    // A message whose OU is full is hidden for `wait`, 30 of the 600 seconds.
    assert!(outcome.ended_at * 10 < bound * 12, "{} s against {bound} s", outcome.ended_at);
}

/// Nothing is started before the plan is approved, which the world asserts. Approval is requested
/// once.
#[rstest]
#[case::at_once(Some(0), 3, false)]
#[case::the_next_day(Some(86_400), 3, false)]
#[case::never(None, 0, true)]
fn a_plan_waits_for_approval(
    #[case] after: Option<u64>,
    #[case] updated: usize,
    #[case] waits: bool,
) {
    let accounts = (0..3).map(|_| plain(0, 600)).collect();
    let outcome =
        SimulatedFleet::run(Scenario { approval: Some(after), ..calm(vec![2], 2, accounts) });
    assert_eq!((outcome.updated.len(), outcome.waits), (updated, waits));
    assert_eq!(outcome.alerts, ["plan-010203040506 waits for approval: 3 accounts"]);
    assert!(outcome.ended_at >= after.unwrap_or(0) as i64);
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let failure = prop_oneof![
        Just("another execution is in progress"),
        Just("a stack set instance failed"),
        Just("A stack named X already exists"),
    ];
    let account = (
        prop::option::weighted(0.8, 0usize..3),
        prop_oneof![4 => Just(0u64), 1 => 1u64..200_000],
        60u64..2000,
        prop::collection::vec(failure, 0..4),
        any::<bool>(),
    );
    let account = account.prop_map(|(lane, held, seconds, failures, fails)| Account {
        lane,
        held,
        seconds,
        failures: if fails { failures } else { vec![] },
    });
    prop::collection::vec(account, 0..25)
}

fn lane_conditions() -> impl Strategy<Value = Vec<LaneConditions>> {
    let soak = prop_oneof![Just(0u64), 1u64..9000];
    let gate = (any::<bool>(), any::<bool>(), soak, prop::option::of(1u32..4));
    let gate = gate.prop_map(|(succeeded, pass, soak, failure_threshold)| LaneConditions {
        succeeded,
        pass,
        soak,
        failure_threshold,
    });
    prop_oneof![Just(vec![]), prop::collection::vec(gate, 3)]
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    (
        (prop::collection::vec(1usize..6, 3), lane_conditions()),
        1usize..6,
        1u32..4,
        accounts(),
        (prop_oneof![Just(0usize), 2usize..9], prop_oneof![Just(0usize), 2usize..9]),
        (prop_oneof![Just(0usize), 2usize..5], any::<bool>(), any::<u64>()),
        (prop::option::of(1usize..3), prop::option::weighted(0.3, prop::option::of(0u64..9000))),
    )
        .prop_map(
            |(
                (lanes, lane_conditions),
                cap,
                max_attempts,
                accounts,
                (lose, refuse),
                (sweeps, events, seed),
                (per_ou, approval),
            )| {
                Scenario {
                    lanes,
                    lane_conditions,
                    cap,
                    max_attempts,
                    accounts,
                    lose_every: lose,
                    refuse_every: refuse,
                    fail_sweep_every: sweeps,
                    events,
                    per_ou,
                    approval,
                    seed,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// At every step, the world asserts the limit, the lane order, one update at a time for each
    /// account, and that no blocked lane starts anything. At the end each account is in exactly one
    /// terminal state, or waits for an operator. There is one alert for each dead-lettered account.
    #[test]
    fn promises_hold_whatever_happens(scenario in scenarios()) {
        let outcome: Outcome = SimulatedFleet::run(scenario.clone());
        for (number, account) in scenario.accounts.iter().enumerate() {
            let ends = [
                account.lane.is_none(),
                outcome.updated.contains(&number),
                outcome.dead.contains_key(&number),
            ];
            let ends = ends.iter().filter(|end| **end).count();
            prop_assert!(ends == 1 || ends == 0 && outcome.waits, "account {number}: {ends}");
            let spent = outcome.dead.get(&number).copied().unwrap_or(0);
            prop_assert!(spent <= scenario.max_attempts);
        }
        let alerts = outcome.alerts.iter().filter(|subject| subject.starts_with("Update of account") && subject.ends_with("failed"));
        prop_assert_eq!(alerts.count(), outcome.dead.len());
        let pauses = outcome.alerts.iter().filter(|subject| subject.ends_with("is paused"));
        prop_assert_eq!(pauses.count(), outcome.paused.len());
    }

    #[test]
    fn the_same_seed_gives_the_same_run(scenario in scenarios()) {
        prop_assert_eq!(SimulatedFleet::run(scenario.clone()), SimulatedFleet::run(scenario));
    }
}
