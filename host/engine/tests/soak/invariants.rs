//! The invariants, checked against the operations of the simulated AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use groundcrew_core::account::{AccountId, AccountState};
use groundcrew_core::catalog::ArtifactId;
use groundcrew_core::ports::{Clock as _, Ledger, UpdateProgress};
use groundcrew_core::scheduler::WhenHeld;
use groundcrew_engine::{EngineEvent, Observer, UpdateEnding};
use groundcrew_sim::{LoggedOperation, OperationOutcome, SimAws};
use jiff::Timestamp;

use super::log::Log;
use super::scenario::{Scenario, WantedDecision};

/// A call that was under way when something changed ends within this time.
const UNDER_WAY: Duration = Duration::from_secs(300);

pub struct InvariantChecker {
    scenario: Arc<Scenario>,
    sim: SimAws,
    log: Log,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    dead_lettered: BTreeMap<AccountId, Timestamp>,
    moved: BTreeSet<AccountId>,
    /// Accounts that are closed now, and since when; and those that were ever closed.
    closed: BTreeMap<AccountId, Timestamp>,
    ever_closed: BTreeSet<AccountId>,
    /// Lanes that hosts have paused and no operator has resumed, and since when.
    paused: BTreeMap<String, Timestamp>,
    /// Records that hosts track: those of their own operations, and those of other clients'
    /// operations that they adopted.
    tracked: BTreeSet<String>,
    target: Option<ArtifactId>,
}

impl Observer for InvariantChecker {
    fn observe(&self, _: Timestamp, event: EngineEvent<'_>) {
        // The host's clock may be wrong.
        let now = self.sim.clock().now();
        let mut seen = self.seen.lock().unwrap();
        if let EngineEvent::Started(slot) | EngineEvent::Ended { slot, .. } = &event {
            seen.tracked.extend(slot.record.iter().map(|record| record.as_str().to_owned()));
        }
        match event {
            EngineEvent::Started(slot) => {
                seen.target = Some(slot.target.clone());
                let lane = self.scenario.rules.lanes.iter().position(|l| l.name == slot.lane);
                let lane = lane.unwrap();
                // A start is seen once its record is in the ledger, which a full disk delays.
                let full = self.scenario.full_disk.map_or(0, |(_, lasts)| lasts);
                let under_way = UNDER_WAY + Duration::from_secs(full);
                for earlier in &self.scenario.rules.lanes[..=lane] {
                    let since = seen.paused.get(&earlier.name);
                    assert!(
                        since.is_none_or(|since| now < *since + under_way),
                        "{} starts in {} although {} is paused",
                        slot.account,
                        slot.lane,
                        earlier.name
                    );
                }
                let closed = seen.closed.get(&slot.account);
                // An operation of another client is tracked like the host's own.
                let operations = self.sim.operations();
                let last = operations.iter().rfind(|one| one.account == slot.account);
                let theirs = last.is_some_and(|operation| operation.foreign);
                assert!(
                    theirs || closed.is_none_or(|since| now < *since + under_way),
                    "{} is closed since {closed:?} and is started at {now}",
                    slot.account
                );
                assert!(
                    !seen.dead_lettered.contains_key(&slot.account),
                    "{} was given up and is started",
                    slot.account
                );
            }
            EngineEvent::Ended { slot, ending: UpdateEnding::DeadLettered(_) } => {
                seen.target = Some(slot.target.clone());
                seen.dead_lettered.entry(slot.account.clone()).or_insert(now);
            }
            EngineEvent::Alerted(alert) => {
                let lane = alert.subject.strip_prefix("Lane ");
                if let Some(lane) = lane.and_then(|rest| rest.strip_suffix(" is paused")) {
                    seen.paused.entry(lane.to_owned()).or_insert(now);
                }
            }
            _ => {}
        }
    }
}

impl InvariantChecker {
    pub fn new(scenario: Arc<Scenario>, sim: SimAws, log: Log) -> Self {
        let accounts = scenario.snapshot.accounts.iter();
        let closed: Vec<AccountId> = accounts
            .filter(|account| account.state.is_some_and(AccountState::is_closed))
            .map(|account| account.id.parse().unwrap())
            .collect();
        let seen = Seen {
            closed: closed.iter().map(|id| (id.clone(), Timestamp::MIN)).collect(),
            ever_closed: closed.into_iter().collect(),
            ..Seen::default()
        };
        Self { scenario, sim, log, seen: Mutex::new(seen) }
    }

    pub fn moved(&self, account: &AccountId) {
        self.seen.lock().unwrap().moved.insert(account.clone());
    }

    pub fn closed(&self, account: &AccountId) {
        let mut seen = self.seen.lock().unwrap();
        seen.closed.insert(account.clone(), self.sim.clock().now());
        seen.ever_closed.insert(account.clone());
    }

    pub fn reopened(&self, account: &AccountId) {
        self.seen.lock().unwrap().closed.remove(account);
    }

    pub fn resumed(&self, lane: &str) {
        self.seen.lock().unwrap().paused.remove(lane);
    }

    /// Checks all invariants, and returns how many accounts were updated and how many
    /// dead-lettered.
    pub async fn check(&self, ledger: &dyn Ledger) -> (usize, usize) {
        let own: Vec<LoggedOperation> =
            self.sim.operations().into_iter().filter(|operation| !operation.foreign).collect();
        self.check_caps(&own);
        self.check_repeats(&own);
        self.check_lane_order(&own);
        let dead_lettered = self.check_dead_lettered(ledger).await;
        self.check_nobody_is_lost(&dead_lettered);
        let succeeded = own.iter().filter(|o| o.outcome == Some(OperationOutcome::Succeeded));
        let updated: BTreeSet<&AccountId> = succeeded.map(|operation| &operation.account).collect();
        (updated.len(), dead_lettered.len())
    }

    fn lane(&self, account: &AccountId) -> Option<usize> {
        match self.scenario.wanted_decision(account) {
            WantedDecision::Lane(lane) | WantedDecision::Hold(lane, _) => Some(lane),
            WantedDecision::Skip => None,
        }
    }

    /// Never too many at once: in all, in a lane, in an OU.
    fn check_caps(&self, own: &[LoggedOperation]) {
        let rules = &self.scenario.rules;
        let most = self.sim.max_concurrent().own;
        assert!(most <= rules.max_concurrent_operations, "{most} at once");
        let moved = &self.seen.lock().unwrap().moved;
        let ou = |account: &AccountId| {
            let accounts = &self.scenario.snapshot.accounts;
            accounts.iter().find(|one| one.id == account.as_str()).map(|one| &one.ou)
        };
        for operation in own {
            let beside = |other: &&LoggedOperation| {
                other.start <= operation.start && other.end.is_none_or(|end| end > operation.start)
            };
            let lane = self.lane(&operation.account).expect("what is skipped is never started");
            let in_lane = own
                .iter()
                .filter(beside)
                .filter(|other| self.lane(&other.account) == Some(lane))
                .count();
            assert!(in_lane <= rules.lanes[lane].concurrency, "{in_lane} at once in lane {lane}");
            if let Some(limit) = rules.per_ou_limit
                && moved.is_empty()
            {
                let there = |other: &&LoggedOperation| ou(&other.account) == ou(&operation.account);
                let in_ou = own.iter().filter(beside).filter(there).count();
                assert!(in_ou <= limit, "{in_ou} at once in one OU");
            }
        }
    }

    /// No account is updated twice, unless it moved or was closed meanwhile.
    fn check_repeats(&self, own: &[LoggedOperation]) {
        let seen = self.seen.lock().unwrap();
        for (index, operation) in own.iter().enumerate() {
            if operation.outcome != Some(OperationOutcome::Succeeded) {
                continue;
            }
            let again = own.iter().skip(index + 1).any(|later| later.account == operation.account);
            let account = &operation.account;
            // An operation of another client fails on an account that is closed meanwhile, and
            // taints its product.
            let due_again = seen.moved.contains(account) || seen.ever_closed.contains(account);
            assert!(!again || due_again, "{account} is updated twice");
        }
    }

    /// When a lane starts an update, the lanes before it have no open account, and no held one
    /// unless the lane does not wait for those.
    fn check_lane_order(&self, own: &[LoggedOperation]) {
        let seen = self.seen.lock().unwrap();
        for operation in own {
            let lane = self.lane(&operation.account).unwrap_or_default();
            for account in &self.scenario.snapshot.accounts {
                let id: AccountId = account.id.parse().unwrap();
                let pass = self.scenario.rules.lanes[lane].held == WhenHeld::Pass;
                let earlier = match self.scenario.wanted_decision(&id) {
                    WantedDecision::Lane(other) => other < lane,
                    WantedDecision::Hold(other, _) => other < lane && !pass,
                    WantedDecision::Skip => false,
                };
                let closed = seen.ever_closed.contains(&id);
                if !earlier || !account.enrolled || seen.moved.contains(&id) || closed {
                    continue;
                }
                // Another client may have updated it.
                let done = self.sim.operations().iter().any(|other| {
                    other.account == id
                        && other.outcome == Some(OperationOutcome::Succeeded)
                        && other.end.is_some_and(|end| end <= operation.start)
                });
                let dead_lettered =
                    seen.dead_lettered.get(&id).is_some_and(|at| *at <= operation.start);
                assert!(
                    done || dead_lettered,
                    "{} of lane {lane} starts at {} while {id} of an earlier one is open",
                    operation.account,
                    operation.start
                );
            }
        }
    }

    /// A dead-lettered account has a dead letter and an alert: one, unless a host was killed
    /// between publishing it and recording that.
    async fn check_dead_lettered(&self, ledger: &dyn Ledger) -> BTreeSet<AccountId> {
        let target = self.seen.lock().unwrap().target.clone();
        let mut progress = BTreeMap::new();
        if let Some(target) = target {
            progress = loop {
                if let Ok(progress) = ledger.all_progress(&target).await {
                    break progress;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
        }
        self.check_attempts(&progress);
        self.check_reasons(&progress);
        let dead_lettered: BTreeSet<AccountId> = progress
            .into_iter()
            .filter(|(_, progress)| progress.dead_lettered)
            .map(|(account, _)| account)
            .collect();
        let letters = self.sim.messages(&self.sim.updates_dlq_url());
        let alerts = self.sim.alerts();
        for account in &dead_lettered {
            let letter = format!("\"account\":\"{account}\"");
            let letters = letters.iter().filter(|body| body.contains(&letter)).count();
            let subject = format!("Update of account {account} failed");
            let alerts = alerts.iter().filter(|alert| alert.subject == subject).count();
            assert!(letters >= 1 && alerts >= 1, "{account}: {letters} letters, {alerts} alerts");
            // After a lost response the host publishes again, since SNS has no idempotency: the
            // number of alerts has no upper limit here.
            assert!(
                self.scenario.is_killed() || letters == 1,
                "{account}: {letters} dead letters and nobody was killed"
            );
        }
        let failed = alerts.iter().filter(|alert| {
            alert.subject.starts_with("Update of account") && alert.subject.ends_with("failed")
        });
        for alert in failed {
            let told = dead_lettered.iter().any(|account| alert.subject.contains(account.as_str()));
            assert!(told, "{} is told of an account that was not given up", alert.subject);
        }
        dead_lettered
    }

    /// Only updates that ran and failed by themselves cost an attempt, never one that the quota or
    /// another operation prevented. It doesn't matter which client began it once a host tracks it.
    fn check_attempts(&self, progress: &BTreeMap<AccountId, UpdateProgress>) {
        let busy = |text: &str| {
            text.contains("concurrent account operations is exceeded")
                || text.contains("because another ")
        };
        let operations = self.sim.operations();
        let tracked = self.seen.lock().unwrap().tracked.clone();
        for (account, progress) in progress {
            let failures = operations.iter().filter(|operation| {
                operation.account == *account
                    && (!operation.foreign || tracked.contains(&operation.record))
                    && matches!(&operation.outcome, Some(OperationOutcome::Failed { description, .. })
                        if !busy(description))
            });
            let (spent, failed) = (progress.failed_attempts as usize, failures.count());
            assert!(spent <= failed, "{account} has spent {spent} attempts for {failed} failures");
        }
    }

    /// The reason of a failed update is in the log, and in `status` unless the account has
    /// succeeded since.
    fn check_reasons(&self, progress: &BTreeMap<AccountId, UpdateProgress>) {
        let tracked = self.seen.lock().unwrap().tracked.clone();
        let operations = self.sim.operations();
        let failed = operations.iter().filter(|operation| tracked.contains(&operation.record));
        for operation in failed {
            let Some(OperationOutcome::Failed { description, .. }) = &operation.outcome else {
                continue;
            };
            // The log escapes quotation marks.
            let reason = description.split('"').next().unwrap_or_default();
            assert!(
                self.log.has(&[operation.account.as_str(), reason]),
                "{} failed with `{reason}`, and the log does not say it",
                operation.account
            );
        }
        for (account, progress) in progress {
            let error = progress.last_error.as_deref().unwrap_or_default();
            let failed = progress.failed_attempts > 0 || progress.dead_lettered;
            assert!(
                !failed || !error.is_empty(),
                "{account} has failed, and `status` has no reason"
            );
        }
    }

    /// Every account is up to date, dead-lettered, not to be updated, or in a lane that waits for
    /// success.
    fn check_nobody_is_lost(&self, dead_lettered: &BTreeSet<AccountId>) {
        let current = self.sim.current_accounts();
        let failed_lanes: BTreeSet<usize> =
            dead_lettered.iter().filter_map(|account| self.lane(account)).collect();
        for account in &self.scenario.snapshot.accounts {
            let id: AccountId = account.id.parse().unwrap();
            let due = account.enrolled && !self.scenario.is_closed(&id);
            let Some(lane) = self.lane(&id).filter(|_| due) else { continue };
            let waits = self.scenario.rules.lanes[..=lane].iter().enumerate().any(|(at, rules)| {
                rules.start_when == groundcrew_core::scheduler::StartWhen::Succeeded
                    && failed_lanes.iter().any(|failed| *failed < at)
            });
            assert!(
                current.contains(&id) || dead_lettered.contains(&id) || waits,
                "{id} of lane {lane} is lost"
            );
        }
    }
}
