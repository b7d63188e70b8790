//! The report of a plan, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use groundcrew_core::account::AccountState;
use groundcrew_core::decision::Action;
use groundcrew_core::decision_combiner::{DecisionOutcome, FinalDecision};
use groundcrew_core::lane::LaneId;
use groundcrew_core::plan::{CandidateFinder, LaneWork, PrePolicyState, lane_schedules};
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::scheduler::{LaneRules, WhenHeld};
use groundcrew_core::snapshot::Snapshot;
use groundcrew_engine::plan_id;
use jiff::Timestamp;
use serde::Serialize;

use crate::loaded_config::LoadedConfig;
use crate::totals::Totals;

/// What is guaranteed about the order, and what isn't.
pub const ORDER: &str = "Lanes run in this order, each when those before it are done; the order \
                         of the accounts inside a lane is not promised.";

/// A plan.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The moment for which the plan is made.
    pub at: Timestamp,
    /// When the organization was read, if the snapshot contains it.
    pub taken_at: Option<Timestamp>,
    pub order: &'static str,
    /// The plan to approve before any update starts, if updates need approval and the snapshot
    /// contains the target version.
    pub plan: Option<PlanId>,
    pub accounts: Totals,
    pub lanes: Vec<Lane>,
    pub time: Time,
    pub decisions: Vec<AccountDecision>,
    /// What monitored policies would have changed.
    pub monitored: Vec<AccountDecision>,
    pub failures: Vec<PolicyFailureReport>,
    /// Accounts without a provisioned product, which Account Factory can't update.
    pub without_product: Vec<WithoutProduct>,
    /// Accounts that are closed, which Account Factory can't update.
    pub closed: Vec<Closed>,
}

#[derive(Debug, Serialize)]
pub struct Closed {
    pub account: String,
    pub name: String,
    pub state: AccountState,
}

#[derive(Debug, Serialize)]
pub struct WithoutProduct {
    pub account: String,
    pub name: String,
}

#[derive(Debug, Serialize)]
pub struct Lane {
    pub name: String,
    pub accounts: usize,
    /// Accounts that policies hold in the lane.
    pub held: usize,
    /// The holds that delay its start, if policies hold accounts of lanes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// Most updates at once.
    pub concurrency: usize,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub seconds: u64,
}

/// Accounts that are held in an earlier lane.
#[derive(Debug, Serialize)]
pub struct WaitsFor {
    /// The first such lane.
    pub lane: String,
    /// How many accounts are held in it.
    pub accounts: usize,
    /// When the last of these holds ends.
    pub until: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct Time {
    pub seconds: u64,
    pub ends_at: Timestamp,
}

/// The decision about an account.
#[derive(Debug, Serialize)]
pub struct AccountDecision {
    pub account: String,
    pub name: String,
    /// `proceed`, `skip` or `hold`.
    pub decision: &'static str,
    /// Only for `proceed` and `hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The policy that decided; `None` when `updates.default` did, or the rule of the config that
    /// the reason names.
    pub policy: Option<String>,
}

/// A policy that fails.
#[derive(Debug, Serialize)]
pub struct PolicyFailureReport {
    pub policy: String,
    pub code: String,
    /// Its message for the first account.
    pub message: String,
    pub accounts: usize,
    /// Whether it is only monitored.
    pub monitored: bool,
}

/// Evaluates the policies for every outdated account.
pub async fn build(loaded: &LoadedConfig, snapshot: &Snapshot, at: Timestamp) -> Report {
    let pipeline = loaded.pipeline(Action::Update);
    let rules = loaded.config.rules();
    let mut finder = CandidateFinder::new(snapshot, at, loaded.config.updates.causes);
    let mut accounts = Totals { total: snapshot.accounts.len(), ..Totals::default() };
    let (mut decisions, mut monitored) = (Vec::new(), Vec::new());
    let (mut without_product, mut closed) = (Vec::new(), Vec::new());
    let mut failures: BTreeMap<(String, String), PolicyFailureReport> = BTreeMap::new();
    let mut work = vec![LaneWork::default(); rules.lanes.len()];
    for account in &snapshot.accounts {
        let candidate = match finder.find(account) {
            Ok(PrePolicyState::Outdated(candidate)) => candidate,
            Ok(PrePolicyState::Current) => {
                accounts.current += 1;
                continue;
            }
            Ok(PrePolicyState::Closed(state)) => {
                accounts.closed += 1;
                let (account, name) = (account.id.clone(), account.name.clone());
                closed.push(Closed { account, name, state });
                continue;
            }
            Ok(PrePolicyState::Excluded(why)) => {
                accounts.skipped += 1;
                decisions.push(AccountDecision::excluded(&account.id, &account.name, why));
                continue;
            }
            // A snapshot with an invalid id can't be read in the first place.
            Ok(PrePolicyState::NotEnrolled) | Err(_) => {
                let (account, name) = (account.id.clone(), account.name.clone());
                without_product.push(WithoutProduct { account, name });
                continue;
            }
        };
        let evaluation = pipeline.evaluate(&candidate).await;
        for answer in &evaluation.results {
            let Err(failure) = &answer.result else { continue };
            let key = (answer.policy.name.clone(), failure.code.clone());
            let fails = failures.entry(key).or_insert_with(|| PolicyFailureReport {
                policy: answer.policy.name.clone(),
                code: failure.code.clone(),
                message: failure.message.clone(),
                accounts: 0,
                monitored: answer.policy.monitored,
            });
            fails.accounts += 1;
        }
        let takes = Duration::from_secs(account.update_seconds);
        match &evaluation.decision.outcome {
            DecisionOutcome::Proceed { lane } => {
                accounts.to_update += 1;
                if let Some(work) = work.get_mut(lane.index()) {
                    work.updates.push(takes);
                }
            }
            DecisionOutcome::Skip { .. } => accounts.skipped += 1,
            DecisionOutcome::Hold { until, lane, .. } => {
                accounts.held += 1;
                if let Some(work) = lane.and_then(|lane| work.get_mut(lane.index())) {
                    let left = Duration::try_from(*until - at).unwrap_or_default();
                    work.held.push((left, takes));
                }
            }
        }
        let decided = |decision: FinalDecision| {
            AccountDecision::new(&account.id, &account.name, decision, |lane| {
                pipeline.lane_name(lane).to_owned()
            })
        };
        monitored.extend(evaluation.with_monitored.map(decided));
        decisions.push(decided(evaluation.decision));
    }

    accounts.not_enrolled = Some(without_product.len());
    let after = |span: Duration| at.checked_add(span).unwrap_or(Timestamp::MAX);
    let times = lane_schedules(&rules, &work);
    let whole = times.iter().map(|time| time.ends).max().unwrap_or_default();
    let lanes = rules.lanes.iter().zip(times).enumerate();
    Report {
        at,
        taken_at: snapshot.taken_at,
        order: ORDER,
        plan: plan(loaded, snapshot),
        accounts,
        lanes: lanes
            .map(|(index, (lane, time))| Lane {
                name: lane.name.clone(),
                accounts: work[index].updates.len(),
                held: work[index].held.len(),
                waits_for: waits_for(&rules.lanes, &work, index, after),
                concurrency: lane.concurrency.min(rules.max_concurrent_operations),
                starts_at: after(time.starts),
                ends_at: after(time.ends),
                seconds: (time.ends - time.starts).as_secs(),
            })
            .collect(),
        time: Time { seconds: whole.as_secs(), ends_at: after(whole) },
        decisions,
        monitored,
        failures: failures.into_values().collect(),
        without_product,
        closed,
    }
}

/// The plan that hosts with this config make for the snapshot's version.
fn plan(loaded: &LoadedConfig, snapshot: &Snapshot) -> Option<PlanId> {
    let target = snapshot.target.as_ref()?;
    Some(plan_id(&loaded.plan_rules()?, &target.product, &target.artifact))
}

/// The held accounts for which a lane with accounts to update waits.
fn waits_for(
    rules: &[LaneRules],
    work: &[LaneWork],
    lane: usize,
    after: impl Fn(Duration) -> Timestamp,
) -> Option<WaitsFor> {
    if rules[lane].held == WhenHeld::Pass || work[lane].updates.is_empty() {
        return None;
    }
    let earlier = work[..lane].iter().position(|work| !work.held.is_empty())?;
    let held = &work[earlier].held;
    Some(WaitsFor {
        lane: rules[earlier].name.clone(),
        accounts: held.len(),
        until: after(held.iter().map(|(until, _)| *until).max()?),
    })
}

impl AccountDecision {
    /// An account that a rule of the config excludes.
    pub fn excluded(account: &str, name: &str, why: &str) -> Self {
        let outcome = DecisionOutcome::Skip { reason: why.to_owned() };
        Self::new(account, name, FinalDecision { outcome, policy: None }, |_| String::new())
    }

    /// A decision about an account. `lane` names a lane.
    pub fn new(
        account: &str,
        name: &str,
        decision: FinalDecision,
        lane: impl FnOnce(LaneId) -> String,
    ) -> Self {
        let (word, named, reason, until) = match decision.outcome {
            DecisionOutcome::Proceed { lane: index } => ("proceed", Some(lane(index)), None, None),
            DecisionOutcome::Skip { reason } => ("skip", None, Some(reason), None),
            DecisionOutcome::Hold { until, reason, lane: index } => {
                ("hold", index.map(lane), Some(reason), Some(until))
            }
        };
        Self {
            account: account.to_owned(),
            name: name.to_owned(),
            decision: word,
            lane: named,
            reason,
            until,
            policy: decision.policy,
        }
    }
}
