//! The report of a simulation: the JSON document. The text is made from the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use groundcrew_core::account::{AccountId, AccountState};
use groundcrew_core::config::Config;
use groundcrew_core::decision_combiner::DecisionOutcome;
use groundcrew_core::lane::LaneId;
use groundcrew_core::list_schedule::{Job, LaneLimits, earliest_end};
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::scheduler::BlockedReason;
use groundcrew_engine::BlockedLane;
use groundcrew_sim::{LoggedOperation, SimAws, Snapshot};
use jiff::Timestamp;
use serde::Serialize;

use super::recorder::{LastAttempt, Recorder, UpdateHistory};
use crate::commands::{Faults, Simulate};
use crate::formatting::{count, format_minute};
use crate::plan;
use crate::totals::Totals;

/// The report. Times are in seconds since the beginning, when the new version was released and its
/// event sent.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The start of the simulation.
    pub at: Timestamp,
    pub accounts: Totals,
    pub operations: Operations,
    pub time: Time,
    pub lanes: Vec<Lane>,
    pub timeline: Vec<TimelineEntry>,
    pub decisions: Vec<AccountDecision>,
    /// The first decision about each account: the same as in a plan for the same moment.
    pub first_decisions: Vec<plan::AccountDecision>,
    pub notifications: Vec<Notification>,
    pub events: Vec<Event>,
    pub alerts: Vec<Alert>,
    pub aws_calls: BTreeMap<String, u64>,
    /// The lane that still waits for an operator or for held accounts, together with the lanes
    /// after it.
    pub waiting: Option<WaitingLane>,
    /// Whether the same seed gives the same run again. It does not when a plugin reached its
    /// timeout, which is in real time.
    pub reproducible: bool,
    /// The policies that failed.
    #[serde(skip)]
    pub failing: Vec<String>,
    #[serde(skip)]
    pub heading: String,
}

#[derive(Debug, Serialize)]
pub struct WaitingLane {
    pub lane: String,
    /// What the lane waits for.
    pub why: String,
}

impl From<BlockedLane> for WaitingLane {
    fn from(BlockedLane { lane, blocked }: BlockedLane) -> Self {
        let why = match blocked {
            BlockedReason::Paused { lane: paused, why } => {
                format!("lane `{paused}` is paused: {why}")
            }
            BlockedReason::Failed { lane: failed, accounts } => format!(
                "it asks the lanes before it for success, and {} of `{failed}` failed",
                count(accounts, "account")
            ),
            BlockedReason::Unapproved { plan } => format!("{plan} waits for approval"),
            BlockedReason::Held { lane: earlier, accounts, until } => format!(
                "policies hold {} of lane `{earlier}` until {until}",
                count(accounts, "account")
            ),
            BlockedReason::Soaking { until } => {
                format!("the lanes before it soak until {}", format_minute(until))
            }
        };
        Self { lane, why }
    }
}

#[derive(Debug, Serialize)]
pub struct Operations {
    pub started: usize,
    /// How many of the started updates were retries.
    pub retried: usize,
    pub max_concurrent: usize,
}

#[derive(Debug, Serialize)]
pub struct Time {
    /// Until the host has recorded the completion of the last update.
    pub virtual_seconds: f64,
    /// The earliest end of the same updates in the same order, lane after lane, where no account
    /// starts before the end of its hold.
    pub lower_bound_seconds: f64,
    /// Whether a hold affects it.
    #[serde(skip)]
    pub held: bool,
    pub real_seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct Lane {
    pub name: String,
    pub accounts: usize,
    pub first_start_s: Option<f64>,
    pub last_finish_s: Option<f64>,
    pub max_concurrent: usize,
    #[serde(skip)]
    pub cap: usize,
}

/// The last update of one account.
#[derive(Debug, Serialize)]
pub struct TimelineEntry {
    pub account: AccountId,
    pub lane: String,
    pub start_s: f64,
    pub end_s: Option<f64>,
    /// `succeeded`, `failed` or `running`.
    pub outcome: &'static str,
    /// Started updates of this account.
    pub attempts: u32,
    #[serde(skip)]
    pub reason: Option<String>,
}

/// The last decision about one account.
#[derive(Debug, Serialize)]
pub struct AccountDecision {
    pub account: AccountId,
    /// `proceed`, `skip` or `hold`.
    pub decision: &'static str,
    pub lane: Option<String>,
    pub reason: Option<String>,
    /// The policy that decided; `None` when the configured default did.
    pub plugin: Option<String>,
}

/// One notification of another system.
#[derive(Debug, Serialize)]
pub struct Notification {
    pub notifier: String,
    /// The account, if it is about one.
    pub account: Option<AccountId>,
    /// The subject, for people.
    #[serde(skip)]
    pub about: String,
    /// `told`, `recorded`, `skipped`, `held` or `failed`: `told` means delivered.
    pub outcome: String,
    /// The reference in the other system.
    pub reference: Option<String>,
    /// The rule by which it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<NoDeliveryReason>,
    #[serde(skip)]
    pub detail: Option<String>,
}

/// The result of events of one kind that the notifiers got.
#[derive(Debug, Serialize)]
pub struct Event {
    /// Its name; `None` when it can't be read.
    pub event: Option<String>,
    /// `notified`, `queued`, `ignored` or `failed`.
    pub outcome: String,
    /// The rule by which it was ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<NoDeliveryReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of such events.
    pub times: u64,
}

#[derive(Debug, Serialize)]
pub struct Alert {
    pub subject: String,
}

/// The data that a report is made from.
pub struct ReportInput<'a> {
    pub options: &'a Simulate,
    pub config: &'a Config,
    pub snapshot: &'a Snapshot,
    pub sim: &'a SimAws,
    pub recorder: &'a Recorder,
    pub begin: Timestamp,
    pub real: Duration,
    pub reproducible: bool,
    pub waiting: Option<BlockedLane>,
}

impl Report {
    pub fn new(input: ReportInput<'_>) -> Self {
        let ReportInput { config, snapshot, sim, recorder, begin, .. } = input;
        let since = |moment: Timestamp| {
            Duration::try_from(moment - begin).unwrap_or_default().as_secs_f64()
        };
        let histories = recorder.histories();
        let own: Vec<LoggedOperation> =
            sim.operations().into_iter().filter(|operation| !operation.foreign).collect();
        let mut by_account: BTreeMap<&AccountId, Vec<&LoggedOperation>> = BTreeMap::new();
        for operation in &own {
            by_account.entry(&operation.account).or_default().push(operation);
        }
        let lanes: Vec<Lane> = config
            .lanes
            .iter()
            .map(|lane| {
                let cap = lane.concurrency.min(config.updates.max_concurrent_operations);
                let runs: Vec<&LoggedOperation> = own
                    .iter()
                    .filter(|o| histories.get(&o.account).is_some_and(|c| c.lane == lane.name))
                    .collect();
                let ends = runs.iter().filter_map(|run| run.end);
                Lane {
                    name: lane.name.clone(),
                    accounts: histories.values().filter(|c| c.lane == lane.name).count(),
                    first_start_s: runs.iter().map(|run| run.start).min().map(since),
                    last_finish_s: ends.max().map(since),
                    max_concurrent: most_at_once(&runs),
                    cap,
                }
            })
            .collect();
        let held_until = recorder.held_until();
        let lower_bound =
            earliest_end(&jobs(config, &own, &histories, &held_until, begin), &limits(config));
        let timeline: Vec<TimelineEntry> = histories
            .iter()
            .map(|(account, history)| {
                let last = by_account.get(account).and_then(|runs| runs.last());
                timeline_entry(account, history, last.copied(), &since)
            })
            .collect();
        let decisions = decisions(config, recorder);
        let accounts = accounts(snapshot, &histories, &decisions, &sim.current_accounts());
        let last_end = histories.values().filter_map(|history| history.end).max();
        let started = own.len();
        let names: BTreeMap<&str, &str> = snapshot
            .accounts
            .iter()
            .map(|account| (account.id.as_str(), account.name.as_str()))
            .collect();
        let first_decisions = recorder.first_decisions().into_iter().map(|(account, decision)| {
            let name = names.get(account.as_str()).copied().unwrap_or_default();
            let lane = |index: usize| config.lanes.get(index).map(|lane| lane.name.clone());
            let lane = |id: LaneId| lane(id.index()).unwrap_or_default();
            plan::AccountDecision::new(account.as_str(), name, decision, lane)
        });
        Self {
            at: begin,
            accounts,
            operations: Operations {
                started,
                retried: started - by_account.len(),
                max_concurrent: sim.max_concurrent().own,
            },
            time: Time {
                virtual_seconds: last_end.map_or(0.0, since),
                lower_bound_seconds: lower_bound.as_secs_f64(),
                held: held_until.keys().any(|account| by_account.contains_key(account)),
                real_seconds: input.real.as_secs_f64(),
            },
            lanes,
            timeline,
            decisions,
            first_decisions: first_decisions.collect(),
            notifications: recorder
                .deliveries()
                .into_iter()
                .map(|delivery| Notification {
                    notifier: delivery.notifier,
                    account: delivery.account,
                    about: delivery.description,
                    outcome: delivery.outcome.to_string(),
                    reference: delivery.reference,
                    rule: delivery.rule,
                    detail: delivery.detail,
                })
                .collect(),
            events: recorder
                .events()
                .into_iter()
                .map(|(handled, times)| Event {
                    event: handled.event,
                    outcome: handled.outcome.to_string(),
                    rule: handled.rule,
                    reason: handled.reason,
                    times,
                })
                .collect(),
            alerts: recorder.alerts().into_iter().map(|subject| Alert { subject }).collect(),
            aws_calls: sim.calls(),
            waiting: input.waiting.map(WaitingLane::from),
            reproducible: input.reproducible,
            failing: recorder.failing_policies(),
            heading: heading(input.options, snapshot),
        }
    }
}

impl Report {
    /// The failures that a CI pipeline should stop for. Empty if there are none.
    pub fn failures(&self) -> Vec<String> {
        let of = |number: usize, thing: &str, what: &str| {
            (number > 0).then(|| format!("{} {what}", count(number, thing)))
        };
        let failed = |outcome: &str| outcome == "failed";
        let notifications =
            self.notifications.iter().filter(|delivery| failed(&delivery.outcome)).count();
        let events = self.events.iter().filter(|event| failed(&event.outcome)).count();
        let waiting = self.waiting.as_ref();
        let failing =
            crate::command_error::failing_policies_error(self.failing.iter().map(String::as_str));
        [
            of(self.accounts.failed.unwrap_or(0), "account", "failed"),
            failing.map(|failing| failing.to_string()),
            of(notifications, "notification", "failed"),
            of(events, "event", "failed"),
            waiting.map(|waiting| format!("lane `{}` waits: {}", waiting.lane, waiting.why)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The completed updates, for the lower bound.
fn jobs(
    config: &Config,
    own: &[LoggedOperation],
    histories: &BTreeMap<AccountId, UpdateHistory>,
    held_until: &BTreeMap<AccountId, Timestamp>,
    begin: Timestamp,
) -> Vec<Job> {
    let since = |moment: Timestamp| Duration::try_from(moment - begin).unwrap_or_default();
    let job = |operation: &LoggedOperation| {
        let lane = &histories.get(&operation.account)?.lane;
        Some(Job {
            lane: config.lanes.iter().position(|known| known.name == *lane)?,
            start: since(operation.start),
            length: Duration::try_from(operation.end? - operation.start).ok()?,
            released: held_until.get(&operation.account).copied().map(since).unwrap_or_default(),
        })
    };
    own.iter().filter_map(job).collect()
}

/// The limits of the lanes, for the lower bound.
fn limits(config: &Config) -> Vec<LaneLimits> {
    let most = config.updates.max_concurrent_operations;
    let lanes = config.rules().lanes;
    lanes
        .iter()
        .map(|lane| LaneLimits { slots: lane.concurrency.min(most), soak: lane.soak })
        .collect()
}

fn heading(options: &Simulate, snapshot: &Snapshot) -> String {
    let policy = match &options.config {
        Some(config) => config.display().to_string(),
        None => "no config".to_owned(),
    };
    let faults = match options.faults {
        Faults::None => "no",
        Faults::Light => "light",
        Faults::Heavy => "heavy",
    };
    let accounts = crate::formatting::count(snapshot.accounts.len(), "account");
    let from = options.at.map(|at| format!(", from {}", format_minute(at))).unwrap_or_default();
    format!("{accounts}, {policy}, {faults} faults, seed {}{from}", options.seed)
}

fn timeline_entry(
    account: &AccountId,
    history: &UpdateHistory,
    operation: Option<&LoggedOperation>,
    since: &impl Fn(Timestamp) -> f64,
) -> TimelineEntry {
    let (outcome, reason) = match &history.last {
        LastAttempt::Succeeded => ("succeeded", None),
        LastAttempt::DeadLettered(reason) => ("failed", Some(reason.clone())),
        LastAttempt::Retried => ("failed", None),
        LastAttempt::Running => ("running", None),
    };
    TimelineEntry {
        account: account.clone(),
        lane: history.lane.clone(),
        start_s: since(operation.map_or(history.start, |operation| operation.start)),
        end_s: operation.map_or(history.end, |operation| operation.end).map(since),
        outcome,
        attempts: history.attempts,
        reason,
    }
}

fn decisions(config: &Config, recorder: &Recorder) -> Vec<AccountDecision> {
    let decided = recorder.decisions().into_iter().map(|(account, decision)| {
        let (word, lane, reason) = match decision.outcome {
            DecisionOutcome::Proceed { lane } => {
                ("proceed", config.lanes.get(lane.index()).map(|lane| lane.name.clone()), None)
            }
            DecisionOutcome::Skip { reason } => ("skip", None, Some(reason)),
            DecisionOutcome::Hold { until, reason, lane } => {
                let lane = lane.and_then(|lane| config.lanes.get(lane.index()));
                let lane = lane.map(|lane| lane.name.clone());
                ("hold", lane, Some(format!("{reason} (until {until})")))
            }
        };
        AccountDecision { account, decision: word, lane, reason, plugin: decision.policy }
    });
    decided.collect()
}

fn accounts(
    snapshot: &Snapshot,
    histories: &BTreeMap<AccountId, UpdateHistory>,
    decisions: &[AccountDecision],
    current: &BTreeSet<AccountId>,
) -> Totals {
    let mut accounts = Totals { total: snapshot.accounts.len(), ..Totals::default() };
    let (mut updated, mut failed, mut not_enrolled) = (0, 0, 0);
    let current: BTreeSet<&str> = current.iter().map(AccountId::as_str).collect();
    let decided: BTreeMap<&str, &str> =
        decisions.iter().map(|d| (d.account.as_str(), d.decision)).collect();
    let last: BTreeMap<&str, &LastAttempt> =
        histories.iter().map(|(account, history)| (account.as_str(), &history.last)).collect();
    for account in &snapshot.accounts {
        let id = account.id.as_str();
        let of_its_kind = match (last.get(id), decided.get(id)) {
            (Some(LastAttempt::Succeeded), _) => &mut updated,
            (Some(LastAttempt::DeadLettered(_)), _) => &mut failed,
            _ if account.state.is_some_and(AccountState::is_closed) => &mut accounts.closed,
            _ if !account.enrolled => &mut not_enrolled,
            // A decision shows that it was due, or excluded by a rule of the config.
            (_, Some(&"skip")) => &mut accounts.skipped,
            // Current from the beginning, or updated by somebody else.
            _ if current.contains(id) => &mut accounts.current,
            (_, Some(&"hold")) => &mut accounts.held,
            (_, None) => &mut accounts.skipped,
            // In a lane that waits for an operator, or cut off by the end of the simulation.
            _ => &mut accounts.to_update,
        };
        *of_its_kind += 1;
    }
    Totals {
        updated: Some(updated),
        failed: Some(failed),
        not_enrolled: Some(not_enrolled),
        ..accounts
    }
}

fn most_at_once(runs: &[&LoggedOperation]) -> usize {
    let mut changes: Vec<(Timestamp, isize)> = Vec::new();
    for run in runs {
        changes.push((run.start, 1));
        changes.extend(run.end.map(|end| (end, -1)));
    }
    // At the same moment, an end comes before a start.
    changes.sort_unstable();
    let (mut now, mut most) = (0isize, 0isize);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    most.unsigned_abs()
}
