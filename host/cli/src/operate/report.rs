//! The report of `groundcrew status`, made from the ledger. Service Catalog is called only for the
//! updates in flight.

use std::collections::BTreeMap;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::config::Config;
use groundcrew_core::plan::{LaneWork, lane_schedules};
use groundcrew_core::ports::{
    BlockingHolds, Catalog, HeldAccount, LaneRecord, Ledger, LedgerError, LedgerOverview, Slot,
    SweepRecord, SweptLane, UpdateProgress,
};
use groundcrew_core::scheduler::StartWhen;
use groundcrew_core::suggestions::{CommandFormatter, shell_quote};
use jiff::Timestamp;
use serde::Serialize;

use super::hosts::HostsReport;
use super::in_flight::{InFlight, refresh};
use super::notifications::NotificationsReport;
use crate::formatting::count;
use crate::totals::Totals;

/// The assumed duration of an update until one has ended: about the middle of the 10 to 30 minutes
/// that Control Tower takes.
const DEFAULT_UPDATE_DURATION: Duration = Duration::from_secs(20 * 60);

/// The state of the work.
#[derive(Debug, Serialize)]
pub struct Report {
    pub at: Timestamp,
    /// The hosts that run on the ledger.
    pub hosts: HostsReport,
    /// `None` before the first sweep is complete.
    pub sweep: Option<Sweep>,
    /// The accounts by their present state; `None` before the first sweep is complete.
    pub accounts: Option<Totals>,
    pub lanes: Vec<Lane>,
    /// The updates with a slot in the ledger, with their state in Service Catalog.
    pub in_flight: Vec<InFlight>,
    pub failed: Vec<Failed>,
    pub held: Vec<HeldAccount>,
    pub held_in_all: usize,
    /// The current lane, while it soaks after the lanes before it.
    #[serde(rename = "soaks")]
    pub soaking_lane: Option<SoakingLane>,
    /// The lanes whose held accounts block later lanes, according to the last sweep.
    pub held_back: Vec<BlockingHolds>,
    /// Plans that need or needed approval, the newest first.
    pub plans: Vec<Plan>,
    /// The undelivered notifications; `None` if no notifier is configured.
    pub notifications: Option<NotificationsReport>,
    /// When everything will be done; `None` if something waits for an operator or no host runs.
    pub ends_at: Option<Timestamp>,
    /// What the work waits for, if it does.
    pub waits_for: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Sweep {
    pub completed: Timestamp,
    pub target: String,
    pub accounts: usize,
    pub current: usize,
    pub skipped: usize,
    pub closed: usize,
}

#[derive(Debug, Serialize)]
pub struct Lane {
    pub name: String,
    pub concurrency: usize,
    /// Updates that succeeded since a sweep first saw the target.
    pub done: u64,
    pub waiting: usize,
    pub in_flight: usize,
    /// According to the last sweep.
    pub held: usize,
    pub failed: usize,
    pub paused: Option<Paused>,
}

/// A lane that soaks.
#[derive(Debug, Serialize)]
pub struct SoakingLane {
    pub lane: String,
    /// Accounts that wait for the end of the soak.
    pub accounts: usize,
    pub until: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct Paused {
    pub since: Timestamp,
    pub why: String,
}

#[derive(Debug, Serialize)]
pub struct Failed {
    pub account: AccountId,
    pub lane: Option<String>,
    pub attempts: u32,
    pub reason: String,
}

#[derive(Debug, Serialize)]
pub struct Plan {
    pub id: String,
    pub since: Timestamp,
    pub approved_by: Option<String>,
    pub approved_at: Option<Timestamp>,
}

impl Report {
    /// The state of the work in this ledger, without notifications.
    pub async fn load(
        config: &Config,
        ledger: &dyn Ledger,
        now: Timestamp,
        hosts: HostsReport,
    ) -> Result<Self, LedgerError> {
        let overview = ledger.overview().await?;
        let sweep = ledger.last_sweep().await?;
        let progress = match &sweep {
            Some(sweep) => ledger.all_progress(&sweep.target).await?,
            None => BTreeMap::new(),
        };
        Ok(Self::assemble(config, now, hosts, &overview, sweep, progress))
    }

    /// Reads the state of the updates in flight from Service Catalog. An update that has ended is
    /// no longer in flight, although no host has polled it yet.
    pub async fn refresh(&mut self, catalog: &dyn Catalog) {
        refresh(&mut self.in_flight, catalog).await;
        for ended in self.in_flight.iter().filter(|one| one.has_ended()) {
            if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.name == ended.lane) {
                lane.in_flight = lane.in_flight.saturating_sub(1);
            }
        }
    }

    fn assemble(
        config: &Config,
        now: Timestamp,
        hosts: HostsReport,
        overview: &LedgerOverview,
        sweep: Option<SweepRecord>,
        progress: BTreeMap<AccountId, UpdateProgress>,
    ) -> Self {
        let dead_lettered: Vec<Failed> = progress
            .into_iter()
            .filter(|(_, progress)| progress.dead_lettered)
            .map(|(account, progress)| Failed {
                account,
                lane: progress.lane,
                attempts: progress.failed_attempts,
                reason: progress.last_error.unwrap_or_default(),
            })
            .collect();
        let (mut lanes, mut left) = (Vec::new(), Vec::new());
        for rules in &config.lanes {
            let record = overview.lanes.get(&rules.name).cloned().unwrap_or_default();
            let running: Vec<&Slot> =
                overview.slots.iter().filter(|slot| slot.lane == rules.name).collect();
            let failed =
                dead_lettered.iter().filter(|one| one.lane.as_ref() == Some(&rules.name)).count();
            let waiting = waiting(sweep.as_ref(), &rules.name, &record, failed, running.len());
            let held = blocking_lane(sweep.as_ref(), &rules.name);
            left.push(LaneWork {
                updates: remaining_durations(now, &record, waiting, &running),
                held: held.map_or(vec![], |held| {
                    let left = Duration::try_from(held.until - now).unwrap_or_default();
                    vec![(left, typical_duration(&record)); held.accounts]
                }),
                not_before: soak_end(config, overview, lanes.len())
                    .filter(|_| waiting > 0)
                    .and_then(|until| Duration::try_from(until - now).ok())
                    .unwrap_or_default(),
            });
            lanes.push(Lane {
                name: rules.name.clone(),
                concurrency: rules.concurrency,
                done: lane_summary(sweep.as_ref(), &rules.name)
                    .map_or(0, |lane_summary| updates_done(lane_summary, &record)),
                waiting,
                in_flight: running.len(),
                held: lane_summary(sweep.as_ref(), &rules.name)
                    .map_or(0, |lane_summary| lane_summary.held),
                failed,
                paused: record.paused.map(|pause| Paused { since: pause.at, why: pause.why }),
            });
        }
        let waits_for = waits_for(config, &lanes, sweep.as_ref(), overview);
        let soaking_lane =
            next_lane(&lanes).filter(|_| waits_for.is_none()).and_then(|(at, lane)| {
                let until = soak_end(config, overview, at).filter(|until| *until > now)?;
                Some(SoakingLane { lane: lane.name.clone(), accounts: lane.waiting, until })
            });
        let ends = lane_schedules(&config.rules(), &left).iter().map(|lane| now + lane.ends).max();
        let mut plans: Vec<Plan> = overview
            .orders
            .plans
            .iter()
            .map(|(id, record)| Plan {
                id: id.to_string(),
                since: record.since,
                approved_by: record.approved.as_ref().map(|approval| approval.by.clone()),
                approved_at: record.approved.as_ref().map(|approval| approval.at),
            })
            .collect();
        plans.sort_by_key(|plan| std::cmp::Reverse(plan.since));
        let accounts = sweep.as_ref().map(|sweep| totals(sweep, &lanes, dead_lettered.len()));
        Self {
            at: now,
            accounts,
            lanes,
            in_flight: overview.slots.iter().map(|slot| InFlight::from_slot(slot, now)).collect(),
            failed: dead_lettered,
            held: sweep.as_ref().map(|sweep| sweep.held.clone()).unwrap_or_default(),
            held_in_all: sweep.as_ref().map_or(0, |sweep| sweep.held_in_all),
            soaking_lane,
            held_back: sweep.as_ref().map(|sweep| sweep.held_back.clone()).unwrap_or_default(),
            plans,
            notifications: None,
            ends_at: ends.filter(|_| sweep.is_some() && waits_for.is_none() && hosts.is_running()),
            hosts,
            waits_for,
            sweep: sweep.map(|sweep| Sweep {
                completed: sweep.completed,
                target: sweep.target.as_str().to_owned(),
                accounts: sweep.accounts,
                current: sweep.current,
                skipped: sweep.skipped,
                closed: sweep.closed,
            }),
        }
    }
}

/// The number of accounts in each state: those of the last sweep, corrected by the completions
/// since.
fn totals(sweep: &SweepRecord, lanes: &[Lane], failed: usize) -> Totals {
    let updated = lanes.iter().map(|lane| lane.done).sum::<u64>();
    // Accounts that were updated before the sweep were current when it read them.
    let before = |lane_summary: &SweptLane| {
        lane_summary
            .succeeded
            .saturating_sub(lane_summary.began_with.unwrap_or(lane_summary.succeeded))
    };
    let updated_before = sweep.lanes.values().map(before).sum::<u64>();
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Totals {
        total: sweep.accounts,
        updated: Some(number(updated)),
        to_update: lanes.iter().map(|lane| lane.waiting + lane.in_flight).sum(),
        skipped: sweep.skipped,
        held: sweep.held_in_all,
        failed: Some(failed),
        current: sweep.current.saturating_sub(number(updated_before)),
        not_enrolled: None,
        closed: sweep.closed,
    }
}

/// The summary of a lane in the last sweep.
fn lane_summary<'s>(sweep: Option<&'s SweepRecord>, lane: &str) -> Option<&'s SweptLane> {
    sweep?.lanes.get(lane)
}

/// The held accounts of a lane, if they block later lanes.
fn blocking_lane<'s>(sweep: Option<&'s SweepRecord>, lane: &str) -> Option<&'s BlockingHolds> {
    sweep?.held_back.iter().find(|held| held.lane == lane)
}

/// Updates of a lane that succeeded since a sweep first saw the target.
fn updates_done(lane_summary: &SweptLane, record: &LaneRecord) -> u64 {
    record.succeeded.saturating_sub(lane_summary.began_with.unwrap_or(lane_summary.succeeded))
}

/// The typical duration of an update of a lane.
fn typical_duration(record: &LaneRecord) -> Duration {
    match record.typical_seconds {
        0 => DEFAULT_UPDATE_DURATION,
        seconds => Duration::from_secs(seconds),
    }
}

/// Accounts of a lane that were outdated in the last sweep, without those completed since.
fn waiting(
    sweep: Option<&SweepRecord>,
    lane: &str,
    record: &LaneRecord,
    failed: usize,
    running: usize,
) -> usize {
    let Some(lane_summary) = lane_summary(sweep, lane) else { return 0 };
    let done = usize::try_from(record.succeeded.saturating_sub(lane_summary.succeeded));
    let over = done
        .unwrap_or(usize::MAX)
        .saturating_add(failed.saturating_sub(lane_summary.dead_lettered));
    lane_summary.to_update.saturating_sub(over).saturating_sub(running)
}

/// The durations of the remaining updates of a lane.
fn remaining_durations(
    now: Timestamp,
    record: &LaneRecord,
    waiting: usize,
    running: &[&Slot],
) -> Vec<Duration> {
    let typical = typical_duration(record);
    let left = |slot: &&Slot| typical.saturating_sub(slot.age(now));
    running.iter().map(left).chain(std::iter::repeat_n(typical, waiting)).collect()
}

/// The current lane: the first in which accounts wait, once nothing is in flight or waits in the
/// lanes before it.
fn next_lane(lanes: &[Lane]) -> Option<(usize, &Lane)> {
    let (at, lane) = lanes.iter().enumerate().find(|(_, lane)| lane.waiting > 0)?;
    lanes[..at].iter().all(|lane| lane.in_flight == 0).then_some((at, lane))
}

/// The end of a lane's soak after the updates in the lanes before it.
fn soak_end(config: &Config, overview: &LedgerOverview, lane: usize) -> Option<Timestamp> {
    let soak = config.lanes.get(lane)?.soak;
    let ended = config.lanes[..lane].iter().filter_map(|earlier| {
        overview.lanes.get(&earlier.name).and_then(|record| record.last_ended)
    });
    ended.max().filter(|_| !soak.is_zero()).map(|ended| ended + soak)
}

/// What an operator has to do so that the work can be completed.
fn waits_for(
    config: &Config,
    lanes: &[Lane],
    sweep: Option<&SweepRecord>,
    overview: &LedgerOverview,
) -> Option<String> {
    let suggestions = &config.suggestions;
    let open = lanes.iter().any(|lane| lane.waiting > 0);
    let plan = sweep.and_then(|sweep| sweep.plan.as_ref());
    if let Some(plan) = plan.filter(|plan| open && !overview.orders.is_approved(plan)) {
        let approve = suggestions.command(&format!("approve {plan}"));
        return Some(format!("approval: `{approve}`"));
    }
    waits_for_resume(lanes, suggestions).or_else(|| waits_for_success(config, lanes))
}

/// The paused lanes in which accounts wait.
fn waits_for_resume(lanes: &[Lane], suggestions: &CommandFormatter) -> Option<String> {
    let last = lanes.iter().rposition(|lane| lane.waiting > 0)?;
    let paused = lanes[..=last].iter().filter(|lane| lane.paused.is_some());
    let names: Vec<&String> = paused.map(|lane| &lane.name).collect();
    match names.as_slice() {
        [] => None,
        [name] => {
            let resume = suggestions.command(&format!("resume {}", shell_quote(name)));
            Some(format!("lane `{name}`: `{resume}`"))
        }
        names => {
            let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("lanes {}: `{}`", listed.join(", "), suggestions.command("resume")))
        }
    }
}

/// The current lane, if too few updates of the lanes before it succeeded.
fn waits_for_success(config: &Config, lanes: &[Lane]) -> Option<String> {
    let (at, lane) = next_lane(lanes)?;
    if config.lanes.get(at)?.start_when != StartWhen::Succeeded {
        return None;
    }
    let earlier = lanes[..at].iter().find(|earlier| earlier.failed > 0)?;
    let redrive = format!("redrive --lane {}", shell_quote(&earlier.name));
    Some(format!(
        "lane `{}`: it asks the lanes before it for success, and {} of `{}` failed: `{}`",
        lane.name,
        count(earlier.failed, "account"),
        earlier.name,
        config.suggestions.command(&redrive)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::hosts::HostPresence;
    use super::*;
    use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};
    use groundcrew_core::plan_id::PlanId;
    use groundcrew_core::ports::{Orders, Pause, PlanRecord};

    const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

    pub fn config() -> Config {
        let text = "[[lanes]]\nname = \"canary\"\nconcurrency = 1\n[[lanes]]\nname = \"prod\"\n";
        let config = Config::parse("crew.toml", text).unwrap();
        Config { suggestions: CommandFormatter::with_config("crew.toml"), ..config }
    }

    fn slot(number: u64, lane: &str, age: u64) -> Slot {
        Slot {
            account: format!("{number:012}").parse().unwrap(),
            provisioned_product: ProvisionedProductId::new("pp-1"),
            target: ArtifactId::new("pa-2"),
            lane: lane.into(),
            attempt: 1,
            token: "token".into(),
            record: None,
            taken_at: NOW - Duration::from_secs(age),
            host: "host".into(),
            ou: None,
            landing_zone: None,
        }
    }

    fn sweep(canary: usize, prod: usize) -> SweepRecord {
        let lane_summary = |to_update, succeeded| SweptLane {
            to_update,
            dead_lettered: 1,
            held: 0,
            succeeded,
            began_with: Some(4),
        };
        SweepRecord {
            began: NOW,
            completed: NOW,
            target: ArtifactId::new("pa-2"),
            plan: None,
            rules: BTreeMap::new(),
            accounts: 50,
            current: 10,
            skipped: 2,
            closed: 1,
            lanes: [
                ("canary".into(), lane_summary(canary, 7)),
                ("prod".into(), lane_summary(prod, 0)),
            ]
            .into(),
            held: vec![],
            held_in_all: 0,
            held_back: vec![],
        }
    }

    fn failed(lane: &str) -> UpdateProgress {
        UpdateProgress {
            failed_attempts: 5,
            last_error: Some("no".into()),
            dead_lettered: true,
            lane: Some(lane.into()),
            redriven: 0,
            retry_at: None,
        }
    }

    fn hosts(runs: bool) -> HostsReport {
        let presence = if runs { HostPresence::Connected } else { HostPresence::Absent };
        HostsReport::new(
            Default::default(),
            presence,
            NOW,
            &CommandFormatter::with_config("crew.toml"),
        )
    }

    fn report(overview: &LedgerOverview, sweep: SweepRecord) -> Report {
        let progress =
            [1, 2].map(|number: u64| (format!("{number:012}").parse().unwrap(), failed("canary")));
        Report::assemble(&config(), NOW, hosts(true), overview, Some(sweep), progress.into())
    }

    /// Of six, two have succeeded since, one was dead-lettered since, one runs.
    #[test]
    fn what_was_done_since_the_sweep_does_not_wait() {
        let record = LaneRecord { succeeded: 9, typical_seconds: 600, ..LaneRecord::default() };
        let overview = LedgerOverview {
            slots: vec![slot(3, "canary", 200)],
            lanes: [("canary".to_owned(), record)].into(),
            orders: Orders::default(),
        };
        let report = report(&overview, sweep(6, 4));
        let lane = &report.lanes[0];
        assert_eq!((lane.done, lane.waiting, lane.in_flight, lane.failed), (5, 2, 1, 2));
        // Three of the ten that were current in the sweep had been updated before it.
        let accounts = report.accounts.as_ref().unwrap();
        assert_eq!((accounts.updated, accounts.to_update, accounts.current), (Some(5), 7, 7));
        // 400 s of the running one, and two of 600 s; then four of 20 min at once.
        assert_eq!(report.ends_at, Some(NOW + Duration::from_secs(400 + 1200 + 1200)));
        assert_eq!(report.waits_for, None);
    }

    /// No host polls the updates that were in flight when the hosts were killed.
    #[test]
    fn without_a_host_there_is_no_end() {
        let overview =
            LedgerOverview { slots: vec![slot(3, "canary", 200)], ..LedgerOverview::default() };
        let sweep = || Some(sweep(6, 4));
        let ends = |runs| {
            let hosts = hosts(runs);
            Report::assemble(&config(), NOW, hosts, &overview, sweep(), [].into()).ends_at
        };
        assert!(ends(true).is_some());
        assert_eq!(ends(false), None);
    }

    /// Two of the canaries are held for an hour: production starts after their updates.
    #[test]
    fn the_end_counts_what_held_accounts_keep_back() {
        let until = NOW + Duration::from_secs(3600);
        let mut sweep = sweep(0, 4);
        sweep.lanes.get_mut("canary").unwrap().held = 2;
        sweep.held_back = vec![BlockingHolds {
            lane: "canary".into(),
            since: NOW,
            until,
            accounts: 2,
            waiting: vec![("prod".into(), 4)],
        }];
        let report = report(&LedgerOverview::default(), sweep);
        assert_eq!(report.lanes[0].held, 2);
        // Two of 20 min, one after the other, then four at once.
        assert_eq!(report.ends_at, Some(until + Duration::from_secs(3 * 1200)));
    }

    /// The status has to say why production does not start.
    #[test]
    fn a_lane_that_soaks_says_until_when() {
        let mut config = config();
        config.lanes[1].soak = Duration::from_secs(3600);
        let ended = NOW - Duration::from_secs(600);
        let record = LaneRecord { last_ended: Some(ended), ..LaneRecord::default() };
        let overview = LedgerOverview {
            lanes: [("canary".to_owned(), record)].into(),
            ..LedgerOverview::default()
        };
        let report = |canary, prod| {
            let sweep = Some(sweep(canary, prod));
            Report::assemble(&config, NOW, hosts(true), &overview, sweep, [].into())
        };
        let soaking = report(0, 4);
        let soaking_lane = soaking.soaking_lane.unwrap();
        assert_eq!((soaking_lane.lane.as_str(), soaking_lane.accounts), ("prod", 4));
        assert_eq!(soaking_lane.until, ended + Duration::from_secs(3600));
        // Then four at once.
        assert_eq!(soaking.ends_at, Some(soaking_lane.until + Duration::from_secs(1200)));
        // While canaries wait production is not the current lane, and the soak begins anew after
        // them.
        let busy = report(1, 4);
        assert!(busy.soaking_lane.is_none());
        assert_eq!(busy.ends_at, Some(NOW + Duration::from_secs(1200 + 3600 + 1200)));
        assert!(report(0, 0).soaking_lane.is_none());
    }

    #[test]
    fn a_lane_that_asks_for_success_says_what_failed() {
        let mut config = config();
        let report = |config: &Config, canary| {
            let failed =
                ["000000000001".parse().unwrap()].map(|account| (account, failed("canary")));
            let sweep = Some(sweep(canary, 4));
            let overview = LedgerOverview::default();
            let report =
                Report::assemble(config, NOW, hosts(true), &overview, sweep, failed.into());
            (report.ends_at.is_some(), report.waits_for)
        };
        assert_eq!(report(&config, 0), (true, None));
        config.lanes[1].start_when = StartWhen::Succeeded;
        let expected = "lane `prod`: it asks the lanes before it for success, and 1 account of \
                        `canary` failed: `groundcrew redrive --lane canary --config crew.toml`";
        assert_eq!(report(&config, 0), (false, Some(expected.to_owned())));
        assert_eq!(report(&config, 1), (true, None));
    }

    #[test]
    fn several_lanes_that_are_paused() {
        let pause = || Pause { why: "by ada".into(), at: NOW, automatic: false };
        let record = || LaneRecord { paused: Some(pause()), ..LaneRecord::default() };
        let lanes = ["canary", "prod"].map(|lane| (lane.to_owned(), record()));
        let overview = LedgerOverview { lanes: lanes.into(), ..LedgerOverview::default() };
        let report = report(&overview, sweep(0, 4));
        let expected = "lanes `canary`, `prod`: `groundcrew resume --config crew.toml`";
        assert_eq!(report.waits_for.as_deref(), Some(expected));
    }

    #[test]
    fn what_waits_for_an_operator_has_no_end() {
        let pause = Pause { why: "by ada".into(), at: NOW, automatic: false };
        let record = LaneRecord { paused: Some(pause), ..LaneRecord::default() };
        let mut overview = LedgerOverview {
            lanes: [("prod".to_owned(), record)].into(),
            ..LedgerOverview::default()
        };
        let report = |overview: &LedgerOverview, sweep| {
            let report = super::tests::report(overview, sweep);
            (report.ends_at.is_some(), report.waits_for)
        };
        let resume = Some("lane `prod`: `groundcrew resume prod --config crew.toml`".to_owned());
        assert_eq!(report(&overview, sweep(3, 4)), (false, resume));
        // No account of that lane remains.
        assert_eq!(report(&overview, sweep(3, 0)), (true, None));
        let plan = PlanId::from_digest(&[7; 6]);
        overview.orders.plans = [(plan.clone(), PlanRecord { since: NOW, approved: None })].into();
        let waits = SweepRecord { plan: Some(plan), ..sweep(3, 4) };
        let approve =
            Some("approval: `groundcrew approve plan-070707070707 --config crew.toml`".to_owned());
        assert_eq!(report(&overview, waits), (false, approve));
    }
}
