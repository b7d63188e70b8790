//! Single steps: observations that come late, twice or from another host, in a specific order.

use std::collections::BTreeMap;
use std::time::Duration;

use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::{
    AccountFactory, ArtifactId, ProductId, ProvisionedProductId, Record, RecordError, RecordId,
    RecordStatus,
};
use groundcrew_core::lane::LaneId;
use groundcrew_core::ports::{
    BlockingHolds, LaneRecord, LedgerOverview, Orders, Pause, QueuedUpdate, ReceivedMessage,
    STARTING_LEASE, Slot,
};
use groundcrew_core::scheduler::{
    AccountUpdateState, BlockedReason, LaneRules, Observation, PollResult, Scheduler,
    SchedulerAction, SchedulerRules, StartOutcome, Sweep, WhenHeld,
};
use groundcrew_core::suggestions::CommandFormatter;
use jiff::Timestamp;
use rstest::rstest;

use crate::simulated_fleet::id;

const HOUR: u64 = 3600;

fn at(second: u64) -> Timestamp {
    Timestamp::constant(1_700_000_000, 0) + Duration::from_secs(second)
}

fn rules() -> SchedulerRules {
    SchedulerRules {
        lanes: vec![LaneRules::new("first", 1), LaneRules::new("second", 1)],
        max_concurrent_operations: 1,
        per_ou_limit: None,
        max_attempts: 20,
        poll_interval: Duration::from_secs(30),
        operation_timeout: Duration::from_secs(HOUR),
        window: Duration::from_secs(24 * HOUR),
        sweep_interval: Duration::from_secs(6 * HOUR),
        min_sweep_interval: Duration::from_secs(60),
        suggestions: CommandFormatter::default(),
    }
}

fn outdated(lane: usize, failed_attempts: u32) -> AccountUpdateState {
    let lane = LaneId::from_index(lane);
    let provisioned_product = ProvisionedProductId::new("pp");
    AccountUpdateState::Outdated {
        provisioned_product,
        lane,
        failed_attempts,
        retry_at: None,
        ou: None,
    }
}

fn held(until: u64, lane: Option<usize>) -> AccountUpdateState {
    AccountUpdateState::Held { until: at(until), lane: lane.map(LaneId::from_index) }
}

fn swept(began: u64, target: &str, accounts: &[(usize, AccountUpdateState)]) -> Observation {
    let accounts =
        accounts.iter().map(|(number, candidate_state)| (id(*number), candidate_state.clone()));
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
    let overview = LedgerOverview { slots: slots.to_vec(), ..overview() };
    Observation::Ledger { read_at: at(read_at), overview }
}

fn overview() -> LedgerOverview {
    LedgerOverview { slots: vec![], lanes: BTreeMap::new(), orders: Orders::default() }
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

fn error(class: ErrorClass) -> AwsError {
    AwsError::without_code("UpdateProvisionedProduct", class, "no")
}

fn failed() -> PollResult {
    let description = "a stack set instance failed".to_owned();
    PollResult::Failed(Record {
        id: RecordId::new("rec-1"),
        provisioned_product: ProvisionedProductId::new("pp"),
        artifact: None,
        status: RecordStatus::Failed,
        errors: vec![RecordError { code: String::new(), description }],
    })
}

/// A scheduler, and the updates that it has queued.
struct SchedulerFixture {
    scheduler: Scheduler,
    queued_updates: Vec<QueuedUpdate>,
}

impl SchedulerFixture {
    /// A scheduler without observations.
    fn empty() -> Self {
        Self::of(rules())
    }

    fn of(rules: SchedulerRules) -> Self {
        Self { scheduler: Scheduler::new(rules, "host", at(0)), queued_updates: vec![] }
    }

    /// A scheduler that has swept at second 0 and queued the outdated accounts.
    fn swept(accounts: &[(usize, AccountUpdateState)]) -> Self {
        let mut fixture = Self::empty();
        fixture.observe(0, Observation::Tick);
        assert_eq!(fixture.observe(0, ledger(0, &[])), [SchedulerAction::Sweep]);
        fixture.observe(1, swept(0, "pa-2", accounts));
        let sent = fixture
            .queued_updates
            .iter()
            .map(|queued_update| queued_update.account.clone())
            .collect();
        fixture.observe(2, Observation::Queued(sent));
        fixture
    }

    /// A scheduler whose first account has an update since second 5, after this many failed
    /// attempts.
    fn running(failed_attempts: u32) -> Self {
        let mut fixture = Self::swept(&[(0, outdated(0, failed_attempts))]);
        assert!(matches!(fixture.receive(5, 0)[..], [SchedulerAction::Start(_)]));
        fixture.start(5, 0, StartOutcome::Started(slot(0, failed_attempts + 1, 5)));
        fixture
    }

    fn observe(&mut self, second: u64, observation: Observation) -> Vec<SchedulerAction> {
        let actions = self.scheduler.observe(at(second), observation);
        for action in &actions {
            if let SchedulerAction::EnqueueUpdates(queued_updates) = action {
                self.queued_updates.extend(queued_updates.iter().cloned());
            }
        }
        actions
    }

    /// The last message about an account is received.
    fn receive(&mut self, second: u64, number: usize) -> Vec<SchedulerAction> {
        let queued_update = self
            .queued_updates
            .iter()
            .rfind(|queued_update| queued_update.account == id(number))
            .unwrap()
            .clone();
        let message = ReceivedMessage { body: queued_update, receipt_handle: "receipt".into() };
        self.observe(second, Observation::Received(vec![message]))
    }

    fn start(&mut self, second: u64, number: usize, outcome: StartOutcome) -> Vec<SchedulerAction> {
        self.observe(second, Observation::StartEnded { account: id(number), outcome })
    }

    fn looked(&mut self, second: u64, poll_result: PollResult) -> Vec<SchedulerAction> {
        let token = "token".to_owned();
        self.observe(second, Observation::Polled { account: id(0), token, poll_result })
    }

    fn settled(&mut self, second: u64) -> Vec<SchedulerAction> {
        let lane = LaneRecord::default();
        self.observe(second, Observation::Completed { account: id(0), lane })
    }

    /// When an action of a kind comes, if only time passes.
    fn wait(&mut self, from: u64, is: impl Fn(&SchedulerAction) -> bool) -> Option<u64> {
        (from..from + 3 * HOUR)
            .find(|second| self.observe(*second, Observation::Tick).iter().any(&is))
    }
}

fn is_alert(action: &SchedulerAction) -> bool {
    matches!(action, SchedulerAction::Alert { .. })
}

fn is_look(action: &SchedulerAction) -> bool {
    matches!(action, SchedulerAction::Poll(_))
}

fn is_receive(action: &SchedulerAction) -> bool {
    matches!(action, SchedulerAction::Receive { .. })
}

fn is_enqueue(action: &SchedulerAction) -> bool {
    matches!(action, SchedulerAction::EnqueueUpdates(_))
}

fn is_settle(action: &SchedulerAction) -> bool {
    matches!(action, SchedulerAction::Complete(_))
}

/// A cause outside the account delays every other start.
#[rstest]
#[case::nothing_free(StartOutcome::NoCapacity, 30, 0)]
#[case::contention(StartOutcome::Refused(error(ErrorClass::Contention).into()), 30, 0)]
#[case::throttled(StartOutcome::Refused(error(ErrorClass::Throttled).into()), 30, 0)]
#[case::denied(StartOutcome::Refused(error(ErrorClass::Denied).into()), 1800, 1)]
#[case::not_found(StartOutcome::Refused(error(ErrorClass::NotFound).into()), 1800, 1)]
#[case::transient(StartOutcome::Refused(error(ErrorClass::Transient).into()), 0, 0)]
#[case::the_ledger(StartOutcome::LedgerUnavailable, 0, 0)]
#[case::its_ou_is_full(StartOutcome::OuLimitReached, 0, 0)]
#[case::the_account_is_busy(StartOutcome::AccountBusy, 0, 0)]
fn a_refused_start_holds_up_others(
    #[case] outcome: StartOutcome,
    #[case] seconds: u64,
    #[case] alerts: usize,
) {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0)), (1, outdated(0, 0))]);
    fixture.receive(5, 0);
    let actions = fixture.start(5, 0, outcome);
    assert_eq!(actions.iter().filter(|action| is_alert(action)).count(), alerts);
    assert!(actions.iter().any(|action| matches!(action, SchedulerAction::PostponeMessage { .. })));
    let next = match actions.iter().any(is_receive) {
        true => Some(5),
        false => fixture.wait(5, is_receive),
    };
    assert_eq!(next, Some(5 + seconds));
}

/// An error of the account itself counts as an attempt, although nothing has run.
#[rstest]
#[case::unknown(ErrorClass::Unknown, false)]
#[case::permanent(ErrorClass::Permanent, true)]
fn a_start_that_the_account_is_to_blame_for_costs_an_attempt(
    #[case] class: ErrorClass,
    #[case] dead_lettered: bool,
) {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    fixture.receive(5, 0);
    let actions = fixture.start(5, 0, StartOutcome::Refused(error(class).into()));
    let Some(SchedulerAction::Complete(completion)) =
        actions.iter().find(|action| is_settle(action))
    else {
        panic!("{actions:?}");
    };
    let progress = completion.progress.clone().unwrap();
    assert_eq!((progress.failed_attempts, progress.dead_lettered), (1, dead_lettered));
    assert_eq!(completion.dead_letter.is_some(), dead_lettered);
}

#[rstest]
#[case::sweeps(Observation::SweepFailed { reason: "no".into() }, false)]
#[case::the_queue_takes_nothing(
    Observation::EnqueueFailed { accounts: vec![], reason: "no".into() },
    true
)]
#[case::the_queue_gives_nothing(Observation::ReceiveFailed { reason: "no".into() }, true)]
fn the_same_trouble_is_told_every_six_hours(#[case] trouble: Observation, #[case] at_once: bool) {
    let mut fixture = SchedulerFixture::swept(&[]);
    // A single failed sweep leads to no alert, a second one in a row does.
    if !at_once {
        assert!(!fixture.observe(4, trouble.clone()).iter().any(is_alert));
    }
    for (second, told) in [(5, true), (6, false), (6 * HOUR, false), (6 * HOUR + 5, true)] {
        let actions = fixture.observe(second, trouble.clone());
        assert_eq!(actions.iter().any(is_alert), told, "{second}");
    }
}

#[test]
fn an_update_that_takes_long_is_told_once() {
    let mut fixture = SchedulerFixture::running(0);
    let mut alerts = Vec::new();
    for second in 6..3 * HOUR {
        for action in fixture.observe(second, Observation::Tick) {
            match action {
                SchedulerAction::Poll(_) => {
                    assert_eq!(fixture.looked(second, PollResult::Running), [])
                }
                SchedulerAction::Alert { alert, .. } => alerts.push((second, alert.subject)),
                _ => {}
            }
        }
    }
    let subject = format!("Update of account {} has been running for 60 minutes", id(0));
    assert_eq!(alerts, [(5 + HOUR, subject)]);
}

/// A long operation of somebody else leads to one alert, and the next one to another.
#[test]
fn an_account_that_is_busy_for_long_is_told_once_each_time() {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    let busy = |fixture: &mut SchedulerFixture, second, outcome| {
        fixture.receive(second, 0);
        fixture.start(second, 0, outcome).iter().filter(|action| is_alert(action)).count()
    };
    for (second, alerts) in [(5, 0), (HOUR, 0), (5 + HOUR, 1), (2 * HOUR, 0), (9 * HOUR, 0)] {
        assert_eq!(busy(&mut fixture, second, StartOutcome::AccountBusy), alerts, "{second}");
    }
    assert_eq!(busy(&mut fixture, 10 * HOUR, StartOutcome::NoCapacity), 0);
    for (second, alerts) in [(11 * HOUR, 0), (12 * HOUR - 1, 0), (12 * HOUR, 1)] {
        assert_eq!(busy(&mut fixture, second, StartOutcome::AccountBusy), alerts, "{second}");
    }
}

/// A minute after the first failure, doubled with each, half an hour at most.
#[rstest]
#[case(0, 60)]
#[case(1, 120)]
#[case(4, 960)]
#[case(5, 1800)]
#[case(18, 1800)]
fn a_failed_update_is_tried_again_later_each_time(#[case] before: u32, #[case] seconds: u64) {
    let mut fixture = SchedulerFixture::running(before);
    assert!(fixture.looked(1000, failed()).iter().any(is_settle));
    fixture.settled(1001);
    assert_eq!(fixture.wait(1001, is_enqueue), Some(1000 + seconds));
    assert_eq!(fixture.queued_updates.last().unwrap().attempt, before + 2);
}

#[test]
fn a_sweep_that_fails_is_tried_again_later_each_time() {
    let mut fixture = SchedulerFixture::empty();
    fixture.observe(0, ledger(0, &[]));
    let mut now = 0;
    for wait in [15, 30, 60, 120, 240, 480, 900, 900] {
        fixture.observe(now, Observation::SweepFailed { reason: "throttled".into() });
        assert_eq!(fixture.wait(now, |action| *action == SchedulerAction::Sweep), Some(now + wait));
        now += wait;
    }
    // After a complete sweep, the backoff starts again.
    fixture.observe(now, swept(now, "pa-2", &[]));
    fixture.observe(now, Observation::SweepFailed { reason: "throttled".into() });
    assert_eq!(fixture.wait(now, |action| *action == SchedulerAction::Sweep), Some(now + 15));
}

/// However many events come, there is at most one sweep a minute.
#[test]
fn events_ask_for_a_sweep_a_minute() {
    let mut fixture = SchedulerFixture::swept(&[]);
    let mut sweeps = Vec::new();
    for second in 3..200 {
        if fixture.observe(second, Observation::SweepRequested).contains(&SchedulerAction::Sweep) {
            sweeps.push(second);
            fixture.observe(second, swept(second, "pa-2", &[]));
        }
    }
    assert_eq!(sweeps, [60, 120, 180]);
}

/// Whatever the time of the operator's clock is.
#[rstest]
#[case::nobody_asks(None, None)]
#[case::asked_for(Some(100), Some(100))]
#[case::by_a_clock_that_is_late(Some(1), Some(100))]
fn a_sweep_is_made_when_an_operator_asks(#[case] asked: Option<u64>, #[case] made: Option<u64>) {
    let mut fixture = SchedulerFixture::swept(&[]);
    let orders = Orders { sweep: asked.map(at), ..Orders::default() };
    let overview = LedgerOverview { orders, ..overview() };
    let begins = |actions: Vec<SchedulerAction>| actions.contains(&SchedulerAction::Sweep);
    let seen =
        fixture.observe(100, Observation::Ledger { read_at: at(99), overview: overview.clone() });
    assert_eq!(begins(seen).then_some(100), made);
    // The same request leads to no other sweep.
    fixture.observe(101, swept(100, "pa-2", &[]));
    assert!(!begins(fixture.observe(200, Observation::Ledger { read_at: at(199), overview })));
}

/// A read that began before a slot was freed may still show it.
#[rstest]
#[case::before(49, false)]
#[case::after(51, true)]
fn a_slot_that_was_freed_does_not_come_back(#[case] read_at: u64, #[case] looks: bool) {
    let mut fixture = SchedulerFixture::running(0);
    fixture.looked(40, PollResult::Succeeded);
    fixture.settled(50);
    let actions = fixture.observe(60, ledger(read_at, &[slot(0, 1, 5)]));
    assert_eq!(actions.iter().any(is_look), looks);
}

/// A read that began before a slot was taken does not show it. A read that began afterwards and
/// does not show it means that another host has completed the update.
#[rstest]
#[case::before(4, Some(35))]
#[case::after(6, None)]
fn an_update_whose_slot_is_gone_is_over(#[case] read_at: u64, #[case] looked_at: Option<u64>) {
    let mut fixture = SchedulerFixture::running(0);
    fixture.observe(10, ledger(read_at, &[]));
    assert_eq!(fixture.wait(10, is_look), looked_at);
    assert_eq!(fixture.scheduler.view().lanes[0].in_flight, usize::from(looked_at.is_some()));
}

/// A start takes a while, and its slot is written some time after its beginning.
#[test]
fn a_reading_during_a_start_ends_no_update() {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    fixture.receive(5, 0);
    fixture.start(20, 0, StartOutcome::Started(slot(0, 1, 5)));
    fixture.observe(25, ledger(10, &[]));
    assert_eq!(fixture.wait(25, is_look), Some(50));
}

/// Another host has completed the update that was polled, and the account has another update.
#[test]
fn a_late_look_says_nothing_of_the_next_update() {
    let mut fixture = SchedulerFixture::running(0);
    fixture.observe(100, ledger(99, &[]));
    let next = Slot { token: "next".into(), ..slot(0, 2, 110) };
    assert!(
        fixture
            .observe(120, ledger(119, std::slice::from_ref(&next)))
            .contains(&SchedulerAction::Poll(next))
    );
    assert_eq!(fixture.looked(121, failed()), []);
}

/// An account that another host is about to start is left to that host, until it must have died.
#[rstest]
#[case::about_to_be_started_there("other", None, 100 + STARTING_LEASE.as_secs())]
#[case::started_there("other", Some("rec-1"), 110)]
#[case::about_to_be_started_here("host", None, 110)]
fn a_slot_of_another_host_is_tracked(
    #[case] host: &str,
    #[case] record: Option<&str>,
    #[case] looked_at: u64,
) {
    let mut fixture = SchedulerFixture::swept(&[]);
    let found = Slot { host: host.into(), record: record.map(RecordId::new), ..slot(0, 1, 100) };
    let actions = fixture.observe(110, ledger(109, std::slice::from_ref(&found)));
    let next = match actions.iter().any(is_look) {
        true => Some(110),
        false => fixture.wait(110, is_look),
    };
    assert_eq!(next, Some(looked_at));
}

/// Once the other host has written the record, the update can be polled.
#[test]
fn a_record_that_another_host_has_noted_is_looked_at() {
    let mut fixture = SchedulerFixture::swept(&[]);
    let begun = Slot { host: "other".into(), record: None, ..slot(0, 1, 100) };
    let noted = Slot { record: slot(0, 1, 100).record, ..begun.clone() };
    assert!(!fixture.observe(110, ledger(109, &[begun])).iter().any(is_look));
    assert!(
        fixture
            .observe(140, ledger(139, std::slice::from_ref(&noted)))
            .contains(&SchedulerAction::Poll(noted))
    );
}

/// The work of a day, at twenty minutes an update until one has ended. The queue is refilled when
/// half of it is gone.
#[test]
fn the_queue_holds_a_window() {
    let accounts: Vec<_> = (0..200).map(|number| (number, outdated(0, 0))).collect();
    let mut fixture = SchedulerFixture::swept(&accounts);
    assert_eq!(fixture.queued_updates.len(), 24 * 3);
    for number in 0..35 {
        fixture.receive(5, number);
        fixture.start(5, number, StartOutcome::Current);
    }
    assert_eq!(fixture.queued_updates.len(), 24 * 3);
    fixture.receive(5, 35);
    assert_eq!(fixture.queued_updates.len(), 24 * 3 + 36);
    // One takes an hour: the average of seven times twenty minutes and once sixty is 25 minutes.
    fixture.start(5, 35, StartOutcome::Started(slot(35, 1, 5)));
    let (token, poll_result) = ("token".to_owned(), PollResult::Succeeded);
    let ended = Observation::Polled { account: id(35), token, poll_result };
    fixture.observe(5 + HOUR, ended);
    let lane = LaneRecord::default();
    fixture.observe(5 + HOUR, Observation::Completed { account: id(35), lane });
    let (sent, window) = (fixture.queued_updates.len(), 24 * 60 / 25);
    for number in 36..200 {
        fixture.receive(6 + HOUR, number);
        fixture.start(6 + HOUR, number, StartOutcome::Current);
        if fixture.queued_updates.len() > sent {
            assert_eq!(
                fixture.queued_updates.len(),
                number + window + 1,
                "it is filled up to a window"
            );
            return;
        }
    }
    panic!("it is not filled up");
}

/// If OUs have a limit, an OU with many accounts does not fill the queue.
#[rstest]
#[case::with_a_limit(Some(1), [0, 4, 1, 5, 2, 3])]
#[case::without(None, [0, 1, 2, 3, 4, 5])]
fn ous_have_their_turns(#[case] per_ou_limit: Option<usize>, #[case] expected: [usize; 6]) {
    let mut fixture = SchedulerFixture::of(SchedulerRules { per_ou_limit, ..rules() });
    fixture.observe(0, ledger(0, &[]));
    let accounts: Vec<_> = (0..6)
        .map(|number| {
            let provisioned_product = ProvisionedProductId::new("pp");
            let ou = Some(if number < 4 { "ou-a" } else { "ou-b" }.to_owned());
            (
                number,
                AccountUpdateState::Outdated {
                    provisioned_product,
                    lane: LaneId::FIRST,
                    failed_attempts: 0,
                    retry_at: None,
                    ou,
                },
            )
        })
        .collect();
    fixture.observe(1, swept(0, "pa-2", &accounts));
    let sent: Vec<_> =
        fixture.queued_updates.iter().map(|queued_update| queued_update.account.clone()).collect();
    assert_eq!(sent, expected.map(id));
}

/// Somebody else's update is no failure of the account: it does not count as an attempt, and the
/// next attempt comes after `wait`.
#[test]
fn an_update_that_was_superseded_costs_no_attempt() {
    let mut fixture = SchedulerFixture::running(2);
    let actions = fixture.looked(40, PollResult::Superseded);
    let Some(SchedulerAction::Complete(completion)) = actions.into_iter().find(is_settle) else {
        panic!()
    };
    assert_eq!((completion.progress, completion.ended), (None, None));
    assert!(completion.dead_letter.is_none());
    let reason = completion.reason.unwrap();
    assert_eq!(reason, "somebody else has updated the account to another artifact");
    fixture.settled(41);
    assert_eq!(fixture.wait(41, is_enqueue), Some(40 + 30));
    assert_eq!(fixture.queued_updates.last().unwrap().attempt, 3);
}

/// Another host was about to write a completion, and may have died.
#[test]
fn an_end_that_was_left_to_another_host_is_written_down_after_all() {
    let mut fixture = SchedulerFixture::running(0);
    let actions = fixture.looked(40, PollResult::Succeeded);
    let Some(SchedulerAction::Complete(left)) = actions.into_iter().find(is_settle) else {
        panic!()
    };
    fixture.observe(41, Observation::CompletionDeferred(left));
    assert_eq!(fixture.wait(41, is_settle), Some(41 + 30));
}

#[test]
fn an_event_that_comes_during_a_look_has_it_looked_at_again() {
    let mut fixture = SchedulerFixture::running(0);
    assert_eq!(fixture.wait(6, is_look), Some(35));
    fixture.observe(36, Observation::OperationEnded(id(0)));
    assert!(fixture.looked(37, PollResult::Running).iter().any(is_look));
    assert_eq!(fixture.looked(38, PollResult::Running), []);
}

/// SQS drops a message with the deduplication id of one of the last five minutes, deleted or not.
#[test]
fn no_two_messages_of_an_account_have_the_same_serial() {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    // Two new decisions within a second, and one in the next run of the host.
    for failed_attempts in [1, 2] {
        fixture.observe(2, swept(2, "pa-2", &[(0, outdated(0, failed_attempts))]));
    }
    let mut again = SchedulerFixture::empty();
    again.observe(90, ledger(90, &[]));
    again.observe(91, swept(90, "pa-2", &[(0, outdated(0, 0))]));
    let serials: Vec<u32> =
        fixture.queued_updates.iter().chain(&again.queued_updates).map(|h| h.serial).collect();
    assert_eq!(serials.len(), 4);
    assert!(serials.is_sorted_by(|before, after| before < after), "{serials:?}");
}

/// A message that came while its lane could not start is deleted; later the account is queued
/// again.
#[test]
fn a_message_that_came_while_its_lane_was_paused_is_sent_again() {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    let pause = Pause { why: "by ada".into(), at: at(3), automatic: false };
    let record = LaneRecord { paused: Some(pause), ..LaneRecord::default() };
    let lanes = BTreeMap::from([("first".to_owned(), record)]);
    let overview = LedgerOverview { lanes, ..overview() };
    fixture.observe(4, Observation::Ledger { read_at: at(4), overview });
    assert_eq!(
        fixture.receive(5, 0),
        [SchedulerAction::DeleteMessage { receipt_handle: "receipt".into() }]
    );
    let resumed = fixture.observe(40, ledger(40, &[]));
    assert!(resumed.iter().any(is_enqueue), "{resumed:?}");
}

/// Updates and messages for the last version are void with the next version.
#[test]
fn another_version_takes_the_place_of_the_last() {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    let actions = fixture.observe(10, swept(9, "pa-3", &[(0, outdated(0, 0))]));
    assert!(actions.iter().any(is_enqueue));
    let targets: Vec<&str> =
        fixture.queued_updates.iter().map(|queued_update| queued_update.target.as_str()).collect();
    assert_eq!(targets, ["pa-2", "pa-3"]);
    fixture.observe(11, Observation::Queued(vec![id(0)]));
    fixture.queued_updates.truncate(1);
    assert_eq!(
        fixture.receive(12, 0)[0],
        SchedulerAction::DeleteMessage { receipt_handle: "receipt".into() }
    );
}

/// Attempts are counted for each version.
#[rstest]
#[case::of_the_same("pa-2", 5)]
#[case::of_another("pa-3", 1)]
fn failed_attempts_count_for_their_version(#[case] target: &str, #[case] attempt: u32) {
    let mut fixture = SchedulerFixture::running(3);
    fixture.observe(10, swept(9, target, &[(0, outdated(0, 0))]));
    fixture.looked(1000, failed());
    fixture.settled(1001);
    assert!(fixture.wait(1001, is_enqueue).is_some());
    let queued_update = fixture.queued_updates.last().unwrap();
    assert_eq!((queued_update.target.as_str(), queued_update.attempt), (target, attempt));
}

/// If an update of an account failed while a sweep ran, the result of the sweep for the account is
/// stale, even if it did not find the account.
#[rstest]
#[case::not_there(&[])]
#[case::current(&[(0, AccountUpdateState::Current)])]
#[case::in_another_lane(&[(0, outdated(1, 0))])]
fn a_sweep_takes_nothing_back_that_happened_meanwhile(
    #[case] seen: &[(usize, AccountUpdateState)],
) {
    let mut fixture = SchedulerFixture::running(0);
    let begins = fixture.observe(100, Observation::SweepRequested);
    assert!(begins.contains(&SchedulerAction::Sweep));
    fixture.looked(101, failed());
    fixture.settled(102);
    fixture.observe(103, swept(100, "pa-2", seen));
    assert_eq!(fixture.wait(103, is_enqueue), Some(161));
    let queued_update = fixture.queued_updates.last().unwrap();
    assert_eq!((queued_update.lane.as_str(), queued_update.attempt), ("first", 2));
}

/// A sweep that began before a lane was done has not seen all of its end. Only the next sweep may
/// let the lane after it start, and that sweep may find something more.
#[test]
fn a_sweep_confirms_nothing_that_ended_while_it_ran() {
    let mut fixture = SchedulerFixture::running(0);
    assert!(fixture.observe(100, Observation::SweepRequested).contains(&SchedulerAction::Sweep));
    fixture.looked(101, PollResult::Succeeded);
    fixture.settled(102);
    let second = (1, outdated(1, 0));
    let actions = fixture.observe(103, swept(100, "pa-2", &[(0, outdated(0, 0)), second.clone()]));
    assert_eq!(actions, [SchedulerAction::Sweep]);
    fixture.observe(110, swept(103, "pa-2", &[(0, outdated(0, 0)), second]));
    let sent: Vec<_> = fixture.queued_updates[1..]
        .iter()
        .map(|queued_update| queued_update.account.clone())
        .collect();
    assert_eq!(sent, [id(0)]);
}

/// Of several holds, the scheduler wakes for the first that ends, in whatever order they come.
#[rstest]
#[case([500, 900])]
#[case([900, 500])]
fn whoever_is_held_is_looked_at_when_the_hold_ends(#[case] until: [u64; 2]) {
    let held = |second| held(second, None);
    let mut fixture = SchedulerFixture::swept(&[(0, held(until[0])), (1, held(until[1]))]);
    assert!(!fixture.scheduler.is_quiescent(at(500)));
    assert!(fixture.scheduler.is_quiescent(at(499)));
    assert_eq!(fixture.wait(3, |action| *action == SchedulerAction::Sweep), Some(500));
}

/// A held account of the first lane keeps the second back, unless the second passes held accounts.
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
    let mut fixture = SchedulerFixture::of(SchedulerRules {
        lanes: vec![LaneRules::new("first", 1), second],
        ..rules()
    });
    fixture.observe(0, ledger(0, &[]));
    let actions =
        fixture.observe(1, swept(0, "pa-2", &[(0, held(500, lane)), (1, outdated(1, 0))]));
    let sent = actions.iter().any(|action| matches!(action, SchedulerAction::EnqueueUpdates(_)));
    assert_eq!(sent, !waits, "{actions:?}");
    let blocked = BlockedReason::Held { lane: "first".into(), accounts: 1, until: at(500) };
    assert_eq!(fixture.scheduler.blocked(), waits.then_some((LaneId::from_index(1), blocked)));
    // Nothing can be done before the hold ends.
    assert_eq!(fixture.scheduler.is_quiescent(at(499)), waits);
    assert!(!fixture.scheduler.is_quiescent(at(500)));
}

/// The end of a hold starts nothing by itself. A sweep has to find that the account isn't held
/// again, and the account is updated before the lanes after it.
#[test]
fn a_hold_that_ends_is_confirmed_by_a_sweep() {
    let second = (1, outdated(1, 0));
    let mut fixture = SchedulerFixture::swept(&[(0, held(500, Some(0))), second.clone()]);
    assert_eq!(fixture.wait(3, |action| *action == SchedulerAction::Sweep), Some(500));
    let actions = fixture.observe(501, Observation::Tick);
    assert!(
        !actions.iter().any(|action| matches!(action, SchedulerAction::EnqueueUpdates(_))),
        "{actions:?}"
    );
    // Held again, and later not held.
    fixture.observe(502, swept(500, "pa-2", &[(0, held(900, Some(0))), second.clone()]));
    assert_eq!(fixture.queued_updates.len(), 0);
    assert_eq!(fixture.wait(503, |action| *action == SchedulerAction::Sweep), Some(900));
    fixture.observe(901, swept(900, "pa-2", &[(0, outdated(0, 0)), second]));
    let sent: Vec<_> =
        fixture.queued_updates.iter().map(|queued_update| queued_update.account.clone()).collect();
    assert_eq!(sent, [id(0)]);
}

/// A policy that holds an account when it is about to start keeps the lanes after it back as well,
/// even if a sweep that began before still has it as outdated.
#[test]
fn an_account_that_is_held_at_its_start_keeps_later_lanes_back() {
    let second = (1, outdated(1, 0));
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0)), second.clone()]);
    fixture.observe(2, Observation::Queued(vec![id(0)]));
    fixture.receive(5, 0);
    assert!(fixture.observe(61, Observation::SweepRequested).contains(&SchedulerAction::Sweep));
    fixture.start(70, 0, StartOutcome::DecisionChanged(held(500, Some(0))));
    let actions = fixture.observe(80, swept(61, "pa-2", &[(0, outdated(0, 0)), second.clone()]));
    // The next sweep has to confirm it, but its result may not include the hold.
    assert!(actions.contains(&SchedulerAction::Sweep), "{actions:?}");
    assert_eq!(fixture.queued_updates.len(), 1);
    fixture.observe(90, swept(80, "pa-2", &[(0, held(500, Some(0))), second]));
    assert_eq!(fixture.queued_updates.len(), 1);
    assert!(matches!(
        fixture.scheduler.blocked(),
        Some((lane, BlockedReason::Held { .. })) if lane == LaneId::from_index(1)
    ));
}

/// Once a day has passed, and only once for as long as it lasts.
#[test]
fn what_holds_keep_back_for_a_day_is_told_once() {
    let told = |actions: &[SchedulerAction]| {
        actions
            .iter()
            .filter(|action| matches!(action, SchedulerAction::AlertHeldBack { .. }))
            .count()
    };
    let sweep = |began: u64, since: u64| {
        let accounts = [(0, held(90 * HOUR, Some(0))), (1, outdated(1, 0))];
        let Observation::Swept(sweep) = swept(began, "pa-2", &accounts) else { unreachable!() };
        let held_back = vec![BlockingHolds {
            lane: "first".into(),
            since: at(since),
            until: at(90 * HOUR),
            accounts: 1,
            waiting: vec![("second".into(), 1)],
        }];
        Observation::Swept(Sweep { held_back, ..sweep })
    };
    let mut fixture = SchedulerFixture::empty();
    fixture.observe(0, ledger(0, &[]));
    assert_eq!(told(&fixture.observe(1, sweep(0, 0))), 0);
    assert_eq!(told(&fixture.observe(24 * HOUR - 1, sweep(23 * HOUR, 0))), 0);
    let actions = fixture.observe(24 * HOUR, Observation::Tick);
    assert_eq!(told(&actions), 1, "{actions:?}");
    // It isn't quiescent before that alert is published.
    assert!(!fixture.scheduler.is_quiescent(at(80 * HOUR)));
    fixture.observe(24 * HOUR + 1, Observation::Alerted);
    assert_eq!(told(&fixture.observe(30 * HOUR, sweep(29 * HOUR, 0))), 0);
    // It ended, and began again.
    assert_eq!(told(&fixture.observe(60 * HOUR, sweep(59 * HOUR, 36 * HOUR))), 1);
}

/// A host that paused a lane may have died before it published the alert. Operators know of their
/// own pauses.
#[rstest]
#[case::by_a_host(true)]
#[case::by_hand(false)]
fn a_pause_that_was_there_before_is_told(#[case] automatic: bool) {
    let mut fixture = SchedulerFixture::empty();
    let pause = Pause { why: "failures".into(), at: at(0), automatic };
    let record = LaneRecord { paused: Some(pause), ..LaneRecord::default() };
    let overview = LedgerOverview { lanes: [("first".to_owned(), record)].into(), ..overview() };
    let told = |actions: Vec<SchedulerAction>| {
        actions.iter().any(|a| matches!(a, SchedulerAction::AlertPause { .. }))
    };
    let observation = || Observation::Ledger { read_at: at(1), overview: overview.clone() };
    assert_eq!(told(fixture.observe(1, observation())), automatic);
    // Only one alert.
    assert!(!told(fixture.observe(40, observation())));
}

/// The last account of all fails, and a sweep confirms that nothing is left, before its pause is
/// written: a host that runs only until all is done still has to publish the alert.
#[test]
fn a_pause_is_told_before_all_is_done() {
    let first = LaneRules { failure_threshold: Some(1), ..LaneRules::new("first", 1) };
    let mut fixture =
        SchedulerFixture::of(SchedulerRules { lanes: vec![first], max_attempts: 1, ..rules() });
    fixture.observe(0, ledger(0, &[]));
    fixture.observe(1, swept(0, "pa-2", &[(0, outdated(0, 0))]));
    fixture.observe(2, Observation::Queued(vec![id(0)]));
    fixture.receive(5, 0);
    fixture.start(5, 0, StartOutcome::Started(slot(0, 1, 5)));
    fixture.looked(35, failed());
    let mut record = LaneRecord { failures_in_a_row: 1, ..LaneRecord::default() };
    let ended = Observation::Completed { account: id(0), lane: record.clone() };
    let actions = fixture.observe(36, ended);
    let [SchedulerAction::PauseLane { lane, pause }, SchedulerAction::Sweep] = &actions[..] else {
        panic!("{actions:?}");
    };
    let pause = pause.clone();
    fixture.observe(
        37,
        swept(36, "pa-2", &[(0, AccountUpdateState::DeadLettered { lane: LaneId::FIRST })]),
    );
    assert!(!fixture.scheduler.is_quiescent(at(HOUR)), "the pause is being written down");
    record.paused = Some(pause);
    let written = Observation::LanePaused { lane: lane.clone(), record };
    assert!(matches!(fixture.observe(38, written)[..], [SchedulerAction::AlertPause { .. }]));
    assert!(!fixture.scheduler.is_quiescent(at(HOUR)), "it is being told");
    fixture.observe(39, Observation::Alerted);
    assert!(fixture.scheduler.is_quiescent(at(HOUR)));
}

/// A queue that was purged or recreated counts no message. Messages that should be in it are sent
/// again at once; if they only don't come, the scheduler waits longer.
#[rstest]
#[case::counted_as_empty(Observation::QueueEmpty, 41)]
#[case::nothing_came(Observation::Received(vec![]), 601)]
fn what_should_be_in_the_queue_is_sent_again(#[case] nothing: Observation, #[case] after: u64) {
    let mut fixture = SchedulerFixture::swept(&[(0, outdated(0, 0))]);
    let mut sent = None;
    fixture.observe(2, nothing.clone());
    for second in 3..700 {
        let mut actions = fixture.observe(second, Observation::Tick);
        if actions.iter().any(is_receive) {
            actions.extend(fixture.observe(second, nothing.clone()));
        }
        if actions.iter().any(is_enqueue) {
            sent = Some(second);
            break;
        }
    }
    let sent = sent.unwrap();
    assert!((after..after + 4).contains(&sent), "{sent}");
}

/// No account waits for the messages of a host that was stopped: they are removed once all is done.
#[test]
fn stale_hints_leave_the_queue() {
    let mut fixture = SchedulerFixture::swept(&[(0, AccountUpdateState::Current)]);
    // The action to receive came with the result of the sweep.
    let asked = 3;
    let stale = ReceivedMessage {
        receipt_handle: "stale".into(),
        body: QueuedUpdate {
            account: id(7),
            provisioned_product: ProvisionedProductId::new("pp"),
            target: ArtifactId::new("pa-1"),
            lane: "first".into(),
            attempt: 1,
            serial: 1,
        },
    };
    let actions = fixture.observe(asked, Observation::Received(vec![stale]));
    let expected = [
        SchedulerAction::DeleteMessage { receipt_handle: "stale".into() },
        SchedulerAction::Receive { max: 10 },
    ];
    assert_eq!(actions, expected);
    assert_eq!(fixture.observe(asked + 1, Observation::QueueEmpty), []);
    // The next sweep is some time off.
    assert!(
        !(asked + 2..asked + 100)
            .any(|second| { fixture.observe(second, Observation::Tick).iter().any(is_receive) })
    );
}

/// The wait after a failure also applies after a restart of the host, and is never longer than the
/// longest wait.
#[rstest]
#[case::soon(100, 100)]
#[case::over(1, 1)]
#[case::by_a_clock_that_was_wrong(100 * HOUR, 1801)]
fn the_wait_after_a_failure_outlives_a_restart(#[case] retry_at: u64, #[case] expected: u64) {
    let provisioned_product = ProvisionedProductId::new("pp");
    let candidate_state = AccountUpdateState::Outdated {
        provisioned_product,
        lane: LaneId::FIRST,
        failed_attempts: 1,
        retry_at: Some(at(retry_at)),
        ou: None,
    };
    let mut fixture = SchedulerFixture::empty();
    fixture.observe(0, Observation::Tick);
    fixture.observe(0, ledger(0, &[]));
    let actions = fixture.observe(1, swept(0, "pa-2", &[(0, candidate_state)]));
    let sent = match actions.iter().any(is_enqueue) {
        true => Some(1),
        false => fixture.wait(2, is_enqueue),
    };
    assert_eq!(sent, Some(expected));
}
