//! Single steps: what comes late, twice or from another host, in the very order that matters.

use std::collections::BTreeMap;
use std::time::Duration;

use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::catalog::{
    AccountFactory, ArtifactId, ProductId, ProvisionedProductId, Record, RecordError, RecordId,
    RecordStatus,
};
use groundcrew_core::lane::LaneId;
use groundcrew_core::ports::{
    HeldBack, Hint, LaneRecord, Orders, Overview, Pause, Received, STARTING_LEASE, Slot,
};
use groundcrew_core::scheduler::{
    Action, Blocked, LaneRules, Observation, Rules, Scheduler, Sight, Standing, StartOutcome,
    Sweep, WhenHeld,
};
use groundcrew_core::suggested::Suggested;
use jiff::Timestamp;
use rstest::rstest;

use crate::world::id;

const HOUR: u64 = 3600;

fn at(second: u64) -> Timestamp {
    Timestamp::constant(1_700_000_000, 0) + Duration::from_secs(second)
}

fn rules() -> Rules {
    Rules {
        lanes: vec![LaneRules::new("first", 1), LaneRules::new("second", 1)],
        max_concurrent_operations: 1,
        per_ou_limit: None,
        max_attempts: 20,
        wait: Duration::from_secs(30),
        operation_timeout: Duration::from_secs(HOUR),
        window: Duration::from_secs(24 * HOUR),
        sweep_interval: Duration::from_secs(6 * HOUR),
        min_sweep_interval: Duration::from_secs(60),
        suggested: Suggested::default(),
    }
}

fn outdated(lane: usize, failed_attempts: u32) -> Standing {
    let lane = LaneId::at(lane);
    let provisioned_product = ProvisionedProductId::new("pp");
    Standing::Outdated { provisioned_product, lane, failed_attempts, retry_at: None, ou: None }
}

fn held(until: u64, lane: Option<usize>) -> Standing {
    Standing::Held { until: at(until), lane: lane.map(LaneId::at) }
}

fn swept(began: u64, target: &str, accounts: &[(usize, Standing)]) -> Observation {
    let accounts = accounts.iter().map(|(number, standing)| (id(*number), standing.clone()));
    Observation::Swept(Sweep {
        started_at: at(began),
        account_factory: AccountFactory {
            product: ProductId::new("prod-1"),
            target: ArtifactId::new(target),
        },
        accounts: accounts.collect(),
        plan: None,
        held_back: vec![],
    })
}

fn ledger(read_at: u64, slots: &[Slot]) -> Observation {
    let overview = Overview { slots: slots.to_vec(), ..overview() };
    Observation::Ledger { read_at: at(read_at), overview }
}

fn overview() -> Overview {
    Overview { slots: vec![], lanes: BTreeMap::new(), orders: Orders::default() }
}

fn slot(number: usize, attempt: u32, taken_at: u64) -> Slot {
    Slot {
        account: id(number),
        provisioned_product: ProvisionedProductId::new("pp"),
        target: ArtifactId::new("pa-2"),
        lane: "first".into(),
        attempt,
        token: "token".into(),
        record: Some(RecordId::new("rec-1")),
        taken_at: at(taken_at),
        host: "host".into(),
        ou: None,
        landing_zone: None,
    }
}

fn error(class: Class) -> AwsError {
    AwsError::without_code("UpdateProvisionedProduct", class, "no")
}

fn failed() -> Sight {
    let description = "a stack set instance failed".to_owned();
    Sight::Failed(Record {
        id: RecordId::new("rec-1"),
        provisioned_product: ProvisionedProductId::new("pp"),
        artifact: None,
        status: RecordStatus::Failed,
        errors: vec![RecordError { code: String::new(), description }],
    })
}

/// A scheduler, and what it has handed over.
struct Stage {
    scheduler: Scheduler,
    hints: Vec<Hint>,
}

impl Stage {
    /// One that has seen nothing.
    fn empty() -> Self {
        Self::of(rules())
    }

    fn of(rules: Rules) -> Self {
        Self { scheduler: Scheduler::new(rules, "host", at(0)), hints: vec![] }
    }

    /// One that has swept at second 0 and handed over what was outdated.
    fn swept(accounts: &[(usize, Standing)]) -> Self {
        let mut stage = Self::empty();
        stage.see(0, Observation::Tick);
        assert_eq!(stage.see(0, ledger(0, &[])), [Action::Sweep]);
        stage.see(1, swept(0, "pa-2", accounts));
        let sent = stage.hints.iter().map(|hint| hint.account.clone()).collect();
        stage.see(2, Observation::Queued(sent));
        stage
    }

    /// One whose first account runs since second 5, after so many failed attempts.
    fn running(failed_attempts: u32) -> Self {
        let mut stage = Self::swept(&[(0, outdated(0, failed_attempts))]);
        assert!(matches!(stage.receive(5, 0)[..], [Action::Start(_)]));
        stage.start(5, 0, StartOutcome::Started(slot(0, failed_attempts + 1, 5)));
        stage
    }

    fn see(&mut self, second: u64, observation: Observation) -> Vec<Action> {
        let actions = self.scheduler.observe(at(second), observation);
        for action in &actions {
            if let Action::Enqueue(hints) = action {
                self.hints.extend(hints.iter().cloned());
            }
        }
        actions
    }

    /// The last message about an account comes.
    fn receive(&mut self, second: u64, number: usize) -> Vec<Action> {
        let hint = self.hints.iter().rfind(|hint| hint.account == id(number)).unwrap().clone();
        let message = Received { body: hint, receipt: "receipt".into() };
        self.see(second, Observation::Received(vec![message]))
    }

    fn start(&mut self, second: u64, number: usize, outcome: StartOutcome) -> Vec<Action> {
        self.see(second, Observation::Start { account: id(number), outcome })
    }

    fn looked(&mut self, second: u64, sight: Sight) -> Vec<Action> {
        let token = "token".to_owned();
        self.see(second, Observation::Looked { account: id(0), token, sight })
    }

    fn settled(&mut self, second: u64) -> Vec<Action> {
        let lane = LaneRecord::default();
        self.see(second, Observation::Settled { account: id(0), lane })
    }

    /// When an action of a kind comes, if only time passes.
    fn wait(&mut self, from: u64, is: impl Fn(&Action) -> bool) -> Option<u64> {
        (from..from + 3 * HOUR).find(|second| self.see(*second, Observation::Tick).iter().any(&is))
    }
}

fn is_alert(action: &Action) -> bool {
    matches!(action, Action::Alert { .. })
}

fn is_look(action: &Action) -> bool {
    matches!(action, Action::Look(_))
}

fn is_receive(action: &Action) -> bool {
    matches!(action, Action::Receive { .. })
}

fn is_enqueue(action: &Action) -> bool {
    matches!(action, Action::Enqueue(_))
}

fn is_settle(action: &Action) -> bool {
    matches!(action, Action::Settle(_))
}

/// What is not the account's fault holds up every other start.
#[rstest]
#[case::nothing_free(StartOutcome::NothingFree, 30, 0)]
#[case::contention(StartOutcome::Refused(error(Class::Contention).into()), 30, 0)]
#[case::throttled(StartOutcome::Refused(error(Class::Throttled).into()), 30, 0)]
#[case::denied(StartOutcome::Refused(error(Class::Denied).into()), 1800, 1)]
#[case::not_found(StartOutcome::Refused(error(Class::NotFound).into()), 1800, 1)]
#[case::transient(StartOutcome::Refused(error(Class::Transient).into()), 0, 0)]
#[case::the_ledger(StartOutcome::LedgerUnread, 0, 0)]
#[case::its_ou_is_full(StartOutcome::OuBusy, 0, 0)]
#[case::the_account_is_busy(StartOutcome::AccountBusy, 0, 0)]
fn a_refused_start_holds_up_others(
    #[case] outcome: StartOutcome,
    #[case] seconds: u64,
    #[case] alerts: usize,
) {
    let mut stage = Stage::swept(&[(0, outdated(0, 0)), (1, outdated(0, 0))]);
    stage.receive(5, 0);
    let actions = stage.start(5, 0, outcome);
    assert_eq!(actions.iter().filter(|action| is_alert(action)).count(), alerts);
    assert!(actions.iter().any(|action| matches!(action, Action::Postpone { .. })));
    let next = match actions.iter().any(is_receive) {
        true => Some(5),
        false => stage.wait(5, is_receive),
    };
    assert_eq!(next, Some(5 + seconds));
}

/// An error that is the account's own costs it an attempt, although nothing has run.
#[rstest]
#[case::unknown(Class::Unknown, false)]
#[case::permanent(Class::Permanent, true)]
fn a_start_that_the_account_is_to_blame_for_costs_an_attempt(
    #[case] class: Class,
    #[case] dead_lettered: bool,
) {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    stage.receive(5, 0);
    let actions = stage.start(5, 0, StartOutcome::Refused(error(class).into()));
    let Some(Action::Settle(settlement)) = actions.iter().find(|action| is_settle(action)) else {
        panic!("{actions:?}");
    };
    let progress = settlement.progress.clone().unwrap();
    assert_eq!((progress.failed_attempts, progress.dead_lettered), (1, dead_lettered));
    assert_eq!(settlement.burial.is_some(), dead_lettered);
}

#[rstest]
#[case::sweeps(Observation::SweepFailed { reason: "no".into() }, false)]
#[case::the_queue_takes_nothing(
    Observation::NotQueued { accounts: vec![], reason: "no".into() },
    true
)]
#[case::the_queue_gives_nothing(Observation::NotReceived { reason: "no".into() }, true)]
fn the_same_trouble_is_told_every_six_hours(#[case] trouble: Observation, #[case] at_once: bool) {
    let mut stage = Stage::swept(&[]);
    // One sweep that fails is no alert, a second in a row is.
    if !at_once {
        assert!(!stage.see(4, trouble.clone()).iter().any(is_alert));
    }
    for (second, told) in [(5, true), (6, false), (6 * HOUR, false), (6 * HOUR + 5, true)] {
        let actions = stage.see(second, trouble.clone());
        assert_eq!(actions.iter().any(is_alert), told, "{second}");
    }
}

#[test]
fn an_update_that_takes_long_is_told_once() {
    let mut stage = Stage::running(0);
    let mut alerts = Vec::new();
    for second in 6..3 * HOUR {
        for action in stage.see(second, Observation::Tick) {
            match action {
                Action::Look(_) => assert_eq!(stage.looked(second, Sight::Running), []),
                Action::Alert { alert, .. } => alerts.push((second, alert.subject)),
                _ => {}
            }
        }
    }
    let subject = format!("Update of account {} has been running for 60 minutes", id(0));
    assert_eq!(alerts, [(5 + HOUR, subject)]);
}

/// Somebody else's operation is told once when it takes long, and again when another does.
#[test]
fn an_account_that_is_busy_for_long_is_told_once_each_time() {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    let busy = |stage: &mut Stage, second, outcome| {
        stage.receive(second, 0);
        stage.start(second, 0, outcome).iter().filter(|action| is_alert(action)).count()
    };
    for (second, alerts) in [(5, 0), (HOUR, 0), (5 + HOUR, 1), (2 * HOUR, 0), (9 * HOUR, 0)] {
        assert_eq!(busy(&mut stage, second, StartOutcome::AccountBusy), alerts, "{second}");
    }
    assert_eq!(busy(&mut stage, 10 * HOUR, StartOutcome::NothingFree), 0);
    for (second, alerts) in [(11 * HOUR, 0), (12 * HOUR - 1, 0), (12 * HOUR, 1)] {
        assert_eq!(busy(&mut stage, second, StartOutcome::AccountBusy), alerts, "{second}");
    }
}

/// After the first failure a minute, doubled with each, half an hour at most.
#[rstest]
#[case(0, 60)]
#[case(1, 120)]
#[case(4, 960)]
#[case(5, 1800)]
#[case(18, 1800)]
fn a_failed_update_is_tried_again_later_each_time(#[case] before: u32, #[case] seconds: u64) {
    let mut stage = Stage::running(before);
    assert!(stage.looked(1000, failed()).iter().any(is_settle));
    stage.settled(1001);
    assert_eq!(stage.wait(1001, is_enqueue), Some(1000 + seconds));
    assert_eq!(stage.hints.last().unwrap().attempt, before + 2);
}

#[test]
fn a_sweep_that_fails_is_tried_again_later_each_time() {
    let mut stage = Stage::empty();
    stage.see(0, ledger(0, &[]));
    let mut now = 0;
    for wait in [15, 30, 60, 120, 240, 480, 900, 900] {
        stage.see(now, Observation::SweepFailed { reason: "throttled".into() });
        assert_eq!(stage.wait(now, |action| *action == Action::Sweep), Some(now + wait));
        now += wait;
    }
    // Once one is complete, the waits begin anew.
    stage.see(now, swept(now, "pa-2", &[]));
    stage.see(now, Observation::SweepFailed { reason: "throttled".into() });
    assert_eq!(stage.wait(now, |action| *action == Action::Sweep), Some(now + 15));
}

/// However many events come, there is a sweep a minute at most.
#[test]
fn events_ask_for_a_sweep_a_minute() {
    let mut stage = Stage::swept(&[]);
    let mut sweeps = Vec::new();
    for second in 3..200 {
        if stage.see(second, Observation::Woken).contains(&Action::Sweep) {
            sweeps.push(second);
            stage.see(second, swept(second, "pa-2", &[]));
        }
    }
    assert_eq!(sweeps, [60, 120, 180]);
}

/// Whatever the operator's clock says.
#[rstest]
#[case::nobody_asks(None, None)]
#[case::asked_for(Some(100), Some(100))]
#[case::by_a_clock_that_is_late(Some(1), Some(100))]
fn a_sweep_is_made_when_an_operator_asks(#[case] asked: Option<u64>, #[case] made: Option<u64>) {
    let mut stage = Stage::swept(&[]);
    let orders = Orders { sweep: asked.map(at), ..Orders::default() };
    let overview = Overview { orders, ..overview() };
    let begins = |actions: Vec<Action>| actions.contains(&Action::Sweep);
    let seen = stage.see(100, Observation::Ledger { read_at: at(99), overview: overview.clone() });
    assert_eq!(begins(seen).then_some(100), made);
    // The same wish is no other.
    stage.see(101, swept(100, "pa-2", &[]));
    assert!(!begins(stage.see(200, Observation::Ledger { read_at: at(199), overview })));
}

/// A reading that began before a slot was freed may still show it.
#[rstest]
#[case::before(49, false)]
#[case::after(51, true)]
fn a_slot_that_was_freed_does_not_come_back(#[case] read_at: u64, #[case] looks: bool) {
    let mut stage = Stage::running(0);
    stage.looked(40, Sight::Succeeded);
    stage.settled(50);
    let actions = stage.see(60, ledger(read_at, &[slot(0, 1, 5)]));
    assert_eq!(actions.iter().any(is_look), looks);
}

/// A reading that began before a slot was taken does not show it; one that began after and does
/// not show it tells that another host has seen its end.
#[rstest]
#[case::before(4, Some(35))]
#[case::after(6, None)]
fn an_update_whose_slot_is_gone_is_over(#[case] read_at: u64, #[case] looked_at: Option<u64>) {
    let mut stage = Stage::running(0);
    stage.see(10, ledger(read_at, &[]));
    assert_eq!(stage.wait(10, is_look), looked_at);
    assert_eq!(stage.scheduler.view().lanes[0].in_flight, usize::from(looked_at.is_some()));
}

/// A start takes a while, and its slot is written some time after it was begun.
#[test]
fn a_reading_during_a_start_ends_no_update() {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    stage.receive(5, 0);
    stage.start(20, 0, StartOutcome::Started(slot(0, 1, 5)));
    stage.see(25, ledger(10, &[]));
    assert_eq!(stage.wait(25, is_look), Some(50));
}

/// Another host has settled the update that was looked at, and the account runs once more.
#[test]
fn a_late_look_says_nothing_of_the_next_update() {
    let mut stage = Stage::running(0);
    stage.see(100, ledger(99, &[]));
    let next = Slot { token: "next".into(), ..slot(0, 2, 110) };
    assert!(stage.see(120, ledger(119, std::slice::from_ref(&next))).contains(&Action::Look(next)));
    assert_eq!(stage.looked(121, failed()), []);
}

/// What another host is about to start is left to it until it must have died.
#[rstest]
#[case::about_to_be_started_there("other", None, 100 + STARTING_LEASE.as_secs())]
#[case::started_there("other", Some("rec-1"), 110)]
#[case::about_to_be_started_here("host", None, 110)]
fn a_slot_of_another_host_is_tracked(
    #[case] host: &str,
    #[case] record: Option<&str>,
    #[case] looked_at: u64,
) {
    let mut stage = Stage::swept(&[]);
    let found = Slot { host: host.into(), record: record.map(RecordId::new), ..slot(0, 1, 100) };
    let actions = stage.see(110, ledger(109, std::slice::from_ref(&found)));
    let next = match actions.iter().any(is_look) {
        true => Some(110),
        false => stage.wait(110, is_look),
    };
    assert_eq!(next, Some(looked_at));
}

/// As soon as the other host has noted the record, there is something to look at.
#[test]
fn a_record_that_another_host_has_noted_is_looked_at() {
    let mut stage = Stage::swept(&[]);
    let begun = Slot { host: "other".into(), record: None, ..slot(0, 1, 100) };
    let noted = Slot { record: slot(0, 1, 100).record, ..begun.clone() };
    assert!(!stage.see(110, ledger(109, &[begun])).iter().any(is_look));
    assert!(
        stage.see(140, ledger(139, std::slice::from_ref(&noted))).contains(&Action::Look(noted))
    );
}

/// What is done within a day, at twenty minutes each until one has been seen; filled up when half of
/// it is gone.
#[test]
fn the_queue_holds_a_window() {
    let accounts: Vec<_> = (0..200).map(|number| (number, outdated(0, 0))).collect();
    let mut stage = Stage::swept(&accounts);
    assert_eq!(stage.hints.len(), 24 * 3);
    for number in 0..35 {
        stage.receive(5, number);
        stage.start(5, number, StartOutcome::Current);
    }
    assert_eq!(stage.hints.len(), 24 * 3);
    stage.receive(5, 35);
    assert_eq!(stage.hints.len(), 24 * 3 + 36);
    // One takes an hour: seven parts of twenty minutes, and one of sixty, are 25 minutes each.
    stage.start(5, 35, StartOutcome::Started(slot(35, 1, 5)));
    let (token, sight) = ("token".to_owned(), Sight::Succeeded);
    let ended = Observation::Looked { account: id(35), token, sight };
    stage.see(5 + HOUR, ended);
    let lane = LaneRecord::default();
    stage.see(5 + HOUR, Observation::Settled { account: id(35), lane });
    let (sent, window) = (stage.hints.len(), 24 * 60 / 25);
    for number in 36..200 {
        stage.receive(6 + HOUR, number);
        stage.start(6 + HOUR, number, StartOutcome::Current);
        if stage.hints.len() > sent {
            assert_eq!(stage.hints.len(), number + window + 1, "it is filled up to a window");
            return;
        }
    }
    panic!("it is not filled up");
}

/// Where OUs have a limit, one that has many accounts does not fill the queue.
#[rstest]
#[case::with_a_limit(Some(1), [0, 4, 1, 5, 2, 3])]
#[case::without(None, [0, 1, 2, 3, 4, 5])]
fn ous_have_their_turns(#[case] per_ou_limit: Option<usize>, #[case] expected: [usize; 6]) {
    let mut stage = Stage::of(Rules { per_ou_limit, ..rules() });
    stage.see(0, ledger(0, &[]));
    let accounts: Vec<_> = (0..6)
        .map(|number| {
            let provisioned_product = ProvisionedProductId::new("pp");
            let ou = Some(if number < 4 { "ou-a" } else { "ou-b" }.to_owned());
            (
                number,
                Standing::Outdated {
                    provisioned_product,
                    lane: LaneId::FIRST,
                    failed_attempts: 0,
                    retry_at: None,
                    ou,
                },
            )
        })
        .collect();
    stage.see(1, swept(0, "pa-2", &accounts));
    let sent: Vec<_> = stage.hints.iter().map(|hint| hint.account.clone()).collect();
    assert_eq!(sent, expected.map(id));
}

/// Somebody else's update is no failure of the account: no attempt is spent, and the next try comes
/// after `wait`.
#[test]
fn an_update_that_was_superseded_costs_no_attempt() {
    let mut stage = Stage::running(2);
    let actions = stage.looked(40, Sight::Superseded);
    let Some(Action::Settle(settlement)) = actions.into_iter().find(is_settle) else { panic!() };
    assert_eq!((settlement.progress, settlement.ended), (None, None));
    assert!(settlement.burial.is_none());
    let reason = settlement.reason.unwrap();
    assert_eq!(reason, "somebody else has updated the account to another artifact");
    stage.settled(41);
    assert_eq!(stage.wait(41, is_enqueue), Some(40 + 30));
    assert_eq!(stage.hints.last().unwrap().attempt, 3);
}

/// Another host was about to write down an end, and may have died.
#[test]
fn an_end_that_was_left_to_another_host_is_written_down_after_all() {
    let mut stage = Stage::running(0);
    let actions = stage.looked(40, Sight::Succeeded);
    let Some(Action::Settle(left)) = actions.into_iter().find(is_settle) else { panic!() };
    stage.see(41, Observation::Unsettled(left));
    assert_eq!(stage.wait(41, is_settle), Some(41 + 30));
}

#[test]
fn an_event_that_comes_during_a_look_has_it_looked_at_again() {
    let mut stage = Stage::running(0);
    assert_eq!(stage.wait(6, is_look), Some(35));
    stage.see(36, Observation::AccountWoken(id(0)));
    assert!(stage.looked(37, Sight::Running).iter().any(is_look));
    assert_eq!(stage.looked(38, Sight::Running), []);
}

/// SQS swallows a message with the id of one of the last five minutes, deleted or not.
#[test]
fn no_two_messages_of_an_account_have_the_same_serial() {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    // Decided anew twice within a second, and by the next run of the host.
    for failed_attempts in [1, 2] {
        stage.see(2, swept(2, "pa-2", &[(0, outdated(0, failed_attempts))]));
    }
    let mut again = Stage::empty();
    again.see(90, ledger(90, &[]));
    again.see(91, swept(90, "pa-2", &[(0, outdated(0, 0))]));
    let serials: Vec<u32> = stage.hints.iter().chain(&again.hints).map(|h| h.serial).collect();
    assert_eq!(serials.len(), 4);
    assert!(serials.is_sorted_by(|before, after| before < after), "{serials:?}");
}

/// A message that came when its lane could not start is deleted; later the account is sent again.
#[test]
fn a_message_that_came_while_its_lane_was_paused_is_sent_again() {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    let pause = Pause { why: "by ada".into(), at: at(3), automatic: false };
    let record = LaneRecord { paused: Some(pause), ..LaneRecord::default() };
    let lanes = BTreeMap::from([("first".to_owned(), record)]);
    let overview = Overview { lanes, ..overview() };
    stage.see(4, Observation::Ledger { read_at: at(4), overview });
    assert_eq!(stage.receive(5, 0), [Action::Drop { receipt: "receipt".into() }]);
    let resumed = stage.see(40, ledger(40, &[]));
    assert!(resumed.iter().any(is_enqueue), "{resumed:?}");
}

/// What is under way towards the last version is void with the next one.
#[test]
fn another_version_takes_the_place_of_the_last() {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    let actions = stage.see(10, swept(9, "pa-3", &[(0, outdated(0, 0))]));
    assert!(actions.iter().any(is_enqueue));
    let targets: Vec<&str> = stage.hints.iter().map(|hint| hint.target.as_str()).collect();
    assert_eq!(targets, ["pa-2", "pa-3"]);
    stage.see(11, Observation::Queued(vec![id(0)]));
    stage.hints.truncate(1);
    assert_eq!(stage.receive(12, 0)[0], Action::Drop { receipt: "receipt".into() });
}

/// Attempts are counted for each version.
#[rstest]
#[case::of_the_same("pa-2", 5)]
#[case::of_another("pa-3", 1)]
fn failed_attempts_count_for_their_version(#[case] target: &str, #[case] attempt: u32) {
    let mut stage = Stage::running(3);
    stage.see(10, swept(9, target, &[(0, outdated(0, 0))]));
    stage.looked(1000, failed());
    stage.settled(1001);
    assert!(stage.wait(1001, is_enqueue).is_some());
    let hint = stage.hints.last().unwrap();
    assert_eq!((hint.target.as_str(), hint.attempt), (target, attempt));
}

/// What a sweep saw of an account whose update failed while it ran is stale, even that it was
/// not there.
#[rstest]
#[case::not_there(&[])]
#[case::current(&[(0, Standing::Current)])]
#[case::in_another_lane(&[(0, outdated(1, 0))])]
fn a_sweep_takes_nothing_back_that_happened_meanwhile(#[case] seen: &[(usize, Standing)]) {
    let mut stage = Stage::running(0);
    let begins = stage.see(100, Observation::Woken);
    assert!(begins.contains(&Action::Sweep));
    stage.looked(101, failed());
    stage.settled(102);
    stage.see(103, swept(100, "pa-2", seen));
    assert_eq!(stage.wait(103, is_enqueue), Some(161));
    let hint = stage.hints.last().unwrap();
    assert_eq!((hint.lane.as_str(), hint.attempt), ("first", 2));
}

/// A sweep that began before a lane was done has not seen all of its end: only the next one may let
/// the lane after it begin, and that one may find something more.
#[test]
fn a_sweep_confirms_nothing_that_ended_while_it_ran() {
    let mut stage = Stage::running(0);
    assert!(stage.see(100, Observation::Woken).contains(&Action::Sweep));
    stage.looked(101, Sight::Succeeded);
    stage.settled(102);
    let second = (1, outdated(1, 0));
    let actions = stage.see(103, swept(100, "pa-2", &[(0, outdated(0, 0)), second.clone()]));
    assert_eq!(actions, [Action::Sweep]);
    stage.see(110, swept(103, "pa-2", &[(0, outdated(0, 0)), second]));
    let sent: Vec<_> = stage.hints[1..].iter().map(|hint| hint.account.clone()).collect();
    assert_eq!(sent, [id(0)]);
}

/// Of several holds the first to end is woken for, however they come.
#[rstest]
#[case([500, 900])]
#[case([900, 500])]
fn whoever_is_held_is_looked_at_when_the_hold_ends(#[case] until: [u64; 2]) {
    let held = |second| held(second, None);
    let mut stage = Stage::swept(&[(0, held(until[0])), (1, held(until[1]))]);
    assert!(!stage.scheduler.is_settled(at(500)));
    assert!(stage.scheduler.is_settled(at(499)));
    assert_eq!(stage.wait(3, |action| *action == Action::Sweep), Some(500));
}

/// An account that is held in the first lane keeps the second back, unless that goes on without.
#[rstest]
#[case::it_waits(WhenHeld::Wait, Some(0), true)]
#[case::it_goes_on(WhenHeld::Pass, Some(0), false)]
#[case::held_in_no_lane(WhenHeld::Wait, None, false)]
#[case::held_in_its_own_lane(WhenHeld::Wait, Some(1), false)]
fn held_accounts_keep_later_lanes_back(
    #[case] rule: WhenHeld,
    #[case] lane: Option<usize>,
    #[case] waits: bool,
) {
    let second = LaneRules { held: rule, ..LaneRules::new("second", 1) };
    let mut stage = Stage::of(Rules { lanes: vec![LaneRules::new("first", 1), second], ..rules() });
    stage.see(0, ledger(0, &[]));
    let actions = stage.see(1, swept(0, "pa-2", &[(0, held(500, lane)), (1, outdated(1, 0))]));
    let sent = actions.iter().any(|action| matches!(action, Action::Enqueue(_)));
    assert_eq!(sent, !waits, "{actions:?}");
    let blocked = Blocked::Held { lane: "first".into(), accounts: 1, until: at(500) };
    assert_eq!(stage.scheduler.blocked(), waits.then_some((LaneId::at(1), blocked)));
    // Nothing can be done before the hold ends.
    assert_eq!(stage.scheduler.is_settled(at(499)), waits);
    assert!(!stage.scheduler.is_settled(at(500)));
}

/// A hold that ends lets nothing go by itself: a sweep has to say that the account isn't held
/// again, and it is updated before the lanes after it.
#[test]
fn a_hold_that_ends_is_confirmed_by_a_sweep() {
    let second = (1, outdated(1, 0));
    let mut stage = Stage::swept(&[(0, held(500, Some(0))), second.clone()]);
    assert_eq!(stage.wait(3, |action| *action == Action::Sweep), Some(500));
    let actions = stage.see(501, Observation::Tick);
    assert!(!actions.iter().any(|action| matches!(action, Action::Enqueue(_))), "{actions:?}");
    // Held again, and later no longer.
    stage.see(502, swept(500, "pa-2", &[(0, held(900, Some(0))), second.clone()]));
    assert_eq!(stage.hints.len(), 0);
    assert_eq!(stage.wait(503, |action| *action == Action::Sweep), Some(900));
    stage.see(901, swept(900, "pa-2", &[(0, outdated(0, 0)), second]));
    let sent: Vec<_> = stage.hints.iter().map(|hint| hint.account.clone()).collect();
    assert_eq!(sent, [id(0)]);
}

/// A policy that holds an account when it is about to start keeps the lanes after it back as well,
/// also when a sweep that began before still has it to update.
#[test]
fn an_account_that_is_held_at_its_start_keeps_later_lanes_back() {
    let second = (1, outdated(1, 0));
    let mut stage = Stage::swept(&[(0, outdated(0, 0)), second.clone()]);
    stage.see(2, Observation::Queued(vec![id(0)]));
    stage.receive(5, 0);
    assert!(stage.see(61, Observation::Woken).contains(&Action::Sweep));
    stage.start(70, 0, StartOutcome::Decided(held(500, Some(0))));
    let actions = stage.see(80, swept(61, "pa-2", &[(0, outdated(0, 0)), second.clone()]));
    // The next sweep has to confirm it, and may not see the hold.
    assert!(actions.contains(&Action::Sweep), "{actions:?}");
    assert_eq!(stage.hints.len(), 1);
    stage.see(90, swept(80, "pa-2", &[(0, held(500, Some(0))), second]));
    assert_eq!(stage.hints.len(), 1);
    assert!(matches!(
        stage.scheduler.blocked(),
        Some((lane, Blocked::Held { .. })) if lane == LaneId::at(1)
    ));
}

/// Once a day has passed, and once only for as long as it lasts.
#[test]
fn what_holds_keep_back_for_a_day_is_told_once() {
    let told = |actions: &[Action]| {
        actions.iter().filter(|action| matches!(action, Action::TellHeldBack { .. })).count()
    };
    let sweep = |began: u64, since: u64| {
        let accounts = [(0, held(90 * HOUR, Some(0))), (1, outdated(1, 0))];
        let Observation::Swept(sweep) = swept(began, "pa-2", &accounts) else { unreachable!() };
        let held_back = vec![HeldBack {
            lane: "first".into(),
            since: at(since),
            until: at(90 * HOUR),
            accounts: 1,
            waiting: vec![("second".into(), 1)],
        }];
        Observation::Swept(Sweep { held_back, ..sweep })
    };
    let mut stage = Stage::empty();
    stage.see(0, ledger(0, &[]));
    assert_eq!(told(&stage.see(1, sweep(0, 0))), 0);
    assert_eq!(told(&stage.see(24 * HOUR - 1, sweep(23 * HOUR, 0))), 0);
    let actions = stage.see(24 * HOUR, Observation::Tick);
    assert_eq!(told(&actions), 1, "{actions:?}");
    // It isn't settled before that is told.
    assert!(!stage.scheduler.is_settled(at(80 * HOUR)));
    stage.see(24 * HOUR + 1, Observation::Told);
    assert_eq!(told(&stage.see(30 * HOUR, sweep(29 * HOUR, 0))), 0);
    // It stopped, and began anew.
    assert_eq!(told(&stage.see(60 * HOUR, sweep(59 * HOUR, 36 * HOUR))), 1);
}

/// A host that paused a lane may have died before it told so; what people do themselves they know.
#[rstest]
#[case::by_a_host(true)]
#[case::by_hand(false)]
fn a_pause_that_was_there_before_is_told(#[case] automatic: bool) {
    let mut stage = Stage::empty();
    let pause = Pause { why: "failures".into(), at: at(0), automatic };
    let record = LaneRecord { paused: Some(pause), ..LaneRecord::default() };
    let overview = Overview { lanes: [("first".to_owned(), record)].into(), ..overview() };
    let told = |actions: Vec<Action>| actions.iter().any(|a| matches!(a, Action::TellPause { .. }));
    let observation = || Observation::Ledger { read_at: at(1), overview: overview.clone() };
    assert_eq!(told(stage.see(1, observation())), automatic);
    // Once.
    assert!(!told(stage.see(40, observation())));
}

/// The last account of all fails, and a sweep confirms that nothing is left, before its pause is
/// written down: whoever runs only until all is done still has to tell of it.
#[test]
fn a_pause_is_told_before_all_is_done() {
    let first = LaneRules { failure_threshold: Some(1), ..LaneRules::new("first", 1) };
    let mut stage = Stage::of(Rules { lanes: vec![first], max_attempts: 1, ..rules() });
    stage.see(0, ledger(0, &[]));
    stage.see(1, swept(0, "pa-2", &[(0, outdated(0, 0))]));
    stage.see(2, Observation::Queued(vec![id(0)]));
    stage.receive(5, 0);
    stage.start(5, 0, StartOutcome::Started(slot(0, 1, 5)));
    stage.looked(35, failed());
    let mut record = LaneRecord { failures_in_a_row: 1, ..LaneRecord::default() };
    let ended = Observation::Settled { account: id(0), lane: record.clone() };
    let actions = stage.see(36, ended);
    let [Action::PauseLane { lane, pause }, Action::Sweep] = &actions[..] else {
        panic!("{actions:?}");
    };
    let pause = pause.clone();
    stage.see(37, swept(36, "pa-2", &[(0, Standing::GivenUp { lane: LaneId::FIRST })]));
    assert!(!stage.scheduler.is_settled(at(HOUR)), "the pause is being written down");
    record.paused = Some(pause);
    let written = Observation::LanePaused { lane: lane.clone(), record };
    assert!(matches!(stage.see(38, written)[..], [Action::TellPause { .. }]));
    assert!(!stage.scheduler.is_settled(at(HOUR)), "it is being told");
    stage.see(39, Observation::Told);
    assert!(stage.scheduler.is_settled(at(HOUR)));
}

/// A queue that was purged, or made anew, counts no message: what should be in it is sent again at
/// once, where messages that only don't come are waited for longer.
#[rstest]
#[case::counted_as_empty(Observation::NothingQueued, 41)]
#[case::nothing_came(Observation::Received(vec![]), 601)]
fn what_should_be_in_the_queue_is_sent_again(#[case] nothing: Observation, #[case] after: u64) {
    let mut stage = Stage::swept(&[(0, outdated(0, 0))]);
    let mut sent = None;
    stage.see(2, nothing.clone());
    for second in 3..700 {
        let mut actions = stage.see(second, Observation::Tick);
        if actions.iter().any(is_receive) {
            actions.extend(stage.see(second, nothing.clone()));
        }
        if actions.iter().any(is_enqueue) {
            sent = Some(second);
            break;
        }
    }
    let sent = sent.unwrap();
    assert!((after..after + 4).contains(&sent), "{sent}");
}

/// Nobody waits for the hints of a host that was stopped: they are taken out once all is done.
#[test]
fn stale_hints_leave_the_queue() {
    let mut stage = Stage::swept(&[(0, Standing::Current)]);
    // It was asked for them with the sweep.
    let asked = 3;
    let stale = Received {
        receipt: "stale".into(),
        body: Hint {
            account: id(7),
            provisioned_product: ProvisionedProductId::new("pp"),
            target: ArtifactId::new("pa-1"),
            lane: "first".into(),
            attempt: 1,
            serial: 1,
        },
    };
    let actions = stage.see(asked, Observation::Received(vec![stale]));
    let expected = [Action::Drop { receipt: "stale".into() }, Action::Receive { max: 10 }];
    assert_eq!(actions, expected);
    assert_eq!(stage.see(asked + 1, Observation::NothingQueued), []);
    // The next sweep is some time off.
    assert!(
        !(asked + 2..asked + 100)
            .any(|second| { stage.see(second, Observation::Tick).iter().any(is_receive) })
    );
}

/// The wait after a failure holds for the host that starts anew as well, and never longer than a
/// host ever waits.
#[rstest]
#[case::soon(100, 100)]
#[case::over(1, 1)]
#[case::by_a_clock_that_was_wrong(100 * HOUR, 1801)]
fn the_wait_after_a_failure_outlives_a_restart(#[case] retry_at: u64, #[case] expected: u64) {
    let provisioned_product = ProvisionedProductId::new("pp");
    let standing = Standing::Outdated {
        provisioned_product,
        lane: LaneId::FIRST,
        failed_attempts: 1,
        retry_at: Some(at(retry_at)),
        ou: None,
    };
    let mut stage = Stage::empty();
    stage.see(0, Observation::Tick);
    stage.see(0, ledger(0, &[]));
    let actions = stage.see(1, swept(0, "pa-2", &[(0, standing)]));
    let sent = match actions.iter().any(is_enqueue) {
        true => Some(1),
        false => stage.wait(2, is_enqueue),
    };
    assert_eq!(sent, Some(expected));
}
