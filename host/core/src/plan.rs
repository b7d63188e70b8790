//! The effect of a fleet update, computed from a snapshot: for which accounts policies are
//! evaluated, and how long the resulting updates take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::account::{
    Account, AccountId, AccountState, InvalidAccountId, OrganizationalUnit, Tags,
};
use crate::catalog::{ArtifactId, ProvisionedProduct, ProvisionedProductId, RecordId};
use crate::decision::{Action, Candidate, Cause};
use crate::list_schedule::makespan;
use crate::scheduler::{SchedulerRules, WhenHeld};
use crate::snapshot::{Snapshot, SnapshotAccount};
use crate::update_need::{Causes, ObservedAccount, UpdateNeed};

/// Ids that are made up for what a snapshot does not have.
const PLACEHOLDER_PRODUCT: &str = "pp-madeup";
const PLACEHOLDER_RECORD: &str = "rec-madeup";
const PLACEHOLDER_ARTIFACT: &str = "pa-madeup-old";
const PLACEHOLDER_TARGET: &str = "pa-madeup-new";

/// The result of a sweep for an account before any policy is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum PrePolicyState {
    /// The account has no provisioned product: there is nothing to update.
    NotEnrolled,
    /// It is on the newest artifact.
    Current,
    /// A rule of the config excludes it, not a policy.
    Excluded(&'static str),
    /// The account is closed: it is not updated.
    Closed(AccountState),
    /// Policies are evaluated for this candidate.
    Outdated(Candidate),
}

/// Names and ids of the OUs above an account.
type OuPath = (Vec<String>, Vec<String>);

/// Finds the candidates that a sweep at `now` would find.
#[derive(Debug)]
pub struct CandidateFinder {
    target: ArtifactId,
    now: Timestamp,
    causes: Causes,
    /// The OUs of each path, by the names and ids in it. Shared, because thousands of accounts are
    /// in few OUs.
    ou_paths: BTreeMap<OuPath, Arc<[OrganizationalUnit]>>,
}

impl CandidateFinder {
    /// For the accounts of this snapshot, which are updated for these causes. A snapshot has no
    /// applied states, so moved accounts and changes of the landing zone are not found.
    pub fn new(snapshot: &Snapshot, now: Timestamp, causes: Causes) -> Self {
        let target = snapshot.target.as_ref().map(|target| target.artifact.clone());
        let target = target.unwrap_or_else(|| ArtifactId::new(PLACEHOLDER_TARGET));
        Self { target, now, causes, ou_paths: BTreeMap::new() }
    }

    /// The result of a sweep for an account.
    ///
    /// # Errors If its id is not an account id, which is impossible in a parsed snapshot.
    pub fn find(&mut self, account: &SnapshotAccount) -> Result<PrePolicyState, InvalidAccountId> {
        let candidate = self.candidate(account)?;
        let Some((product, target)) = &candidate.product else {
            return Ok(match candidate.account.closed_state() {
                Some(state) => PrePolicyState::Closed(state),
                None => PrePolicyState::NotEnrolled,
            });
        };
        let state = candidate.account.state;
        let observed =
            ObservedAccount { product, before: None, now: None, own_failure: false, state };
        Ok(match self.causes.update_need(target, observed) {
            UpdateNeed::Current => PrePolicyState::Current,
            UpdateNeed::Excluded(why) => PrePolicyState::Excluded(why),
            UpdateNeed::Closed(state) => PrePolicyState::Closed(state),
            UpdateNeed::Update(cause) => PrePolicyState::Outdated(Candidate { cause, ..candidate }),
        })
    }

    /// The candidate for an update of the account, outdated or not.
    ///
    /// # Errors If its id is not an account id, which is impossible in a parsed snapshot.
    pub fn candidate(&mut self, account: &SnapshotAccount) -> Result<Candidate, InvalidAccountId> {
        let id: AccountId = account.id.parse()?;
        let product = account.enrolled.then(|| {
            let id_of = |placeholder: &str| format!("{placeholder}-{id}");
            let product = ProvisionedProduct {
                id: account
                    .product
                    .clone()
                    .unwrap_or_else(|| ProvisionedProductId::new(id_of(PLACEHOLDER_PRODUCT))),
                name: account.name.clone(),
                account: id.clone(),
                status: account.status,
                artifact: match (&account.artifact, account.outdated) {
                    (_, false) => self.target.clone(),
                    (Some(artifact), true) if *artifact != self.target => artifact.clone(),
                    _ => ArtifactId::new(PLACEHOLDER_ARTIFACT),
                },
                last_record: None,
                last_successful_record: Some(RecordId::new(id_of(PLACEHOLDER_RECORD))),
            };
            (product, self.target.clone())
        });
        Ok(Candidate {
            action: Action::Update,
            cause: Cause::Artifact,
            account: Arc::new(Account {
                id,
                name: account.name.clone(),
                email: account.email.clone(),
                organizational_units: self.ou_path(account),
                joined: account.joined,
                state: account.state,
            }),
            tags: match &account.tags {
                Some(tags) => Tags::Known(tags.clone()),
                None => Tags::Unreadable(
                    account.tags_error.clone().unwrap_or_else(|| "reading is denied".to_owned()),
                ),
            },
            product,
            event: None,
            now: self.now,
        })
    }

    fn ou_path(&mut self, account: &SnapshotAccount) -> Arc<[OrganizationalUnit]> {
        let key = (account.ou.clone(), account.ou_ids.clone());
        let ou_path = self.ou_paths.entry(key).or_insert_with_key(|(names, ids)| {
            let id = |index: usize| ids.get(index).cloned().unwrap_or_default();
            let unit = |(index, name): (usize, &String)| OrganizationalUnit {
                id: id(index),
                name: name.clone(),
            };
            names.iter().enumerate().map(unit).collect()
        });
        Arc::clone(ou_path)
    }
}

/// When the updates of a lane run, counted from the start of the first lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneSchedule {
    /// When the lanes before it are done.
    pub starts: Duration,
    /// When its last update has ended.
    pub ends: Duration,
}

/// The updates of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneWork {
    /// How long its updates take.
    pub updates: Vec<Duration>,
    /// The updates of held accounts: when the hold ends, counted from the start of the first lane,
    /// and how long the update takes.
    pub held: Vec<(Duration, Duration)>,
    /// The earliest start, counted alike: the lane soaks after earlier updates.
    pub not_before: Duration,
}

/// How long the lanes take, one after the other, including soaks. A lane that waits for held
/// accounts of the lanes before it starts after their updates. The order inside a lane isn't
/// guaranteed, so this is an estimate.
pub fn lane_schedules(rules: &SchedulerRules, work: &[LaneWork]) -> Vec<LaneSchedule> {
    let mut done = Duration::ZERO;
    // When the held accounts of the lanes so far are done as well.
    let mut all_done = Duration::ZERO;
    let lanes = rules.lanes.iter().zip(work);
    lanes
        .map(|(lane, work)| {
            let slots = lane.concurrency.min(rules.max_concurrent_operations);
            let before = match lane.held {
                WhenHeld::Wait => all_done,
                WhenHeld::Pass => done,
            };
            // There is no soak if nothing was updated before.
            let soak = if before.is_zero() { Duration::ZERO } else { lane.soak };
            let mut free = (before + soak).max(work.not_before);
            let starts = if work.updates.is_empty() { done } else { free };
            if !work.updates.is_empty() {
                done = free + makespan(work.updates.iter().copied(), slots);
                free = done;
                all_done = all_done.max(done);
            }
            if let Some(until) = work.held.iter().map(|(until, _)| *until).max() {
                let updates = work.held.iter().map(|(_, takes)| *takes);
                all_done = all_done.max(free.max(until) + makespan(updates, slots));
            }
            LaneSchedule { starts, ends: done }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ProductStatus;
    use crate::scheduler::LaneRules;
    use crate::suggestions::CommandFormatter;
    use rstest::rstest;

    const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

    fn rules(cap: usize) -> SchedulerRules {
        SchedulerRules {
            lanes: vec![LaneRules::new("a", 4), LaneRules::new("b", 1)],
            max_concurrent_operations: cap,
            max_attempts: 5,
            poll_interval: Duration::ZERO,
            operation_timeout: Duration::ZERO,
            per_ou_limit: None,
            window: Duration::ZERO,
            sweep_interval: Duration::ZERO,
            min_sweep_interval: Duration::ZERO,
            suggestions: CommandFormatter::default(),
        }
    }

    fn work(updates: &[u64]) -> LaneWork {
        let updates = updates.iter().copied().map(Duration::from_secs).collect();
        LaneWork { updates, ..LaneWork::default() }
    }

    /// One account of the first lane is held for 100 s.
    #[rstest]
    #[case::it_waits(WhenHeld::Wait, vec![20], vec![10], (120, 130))]
    #[case::it_goes_on(WhenHeld::Pass, vec![20], vec![10], (20, 30))]
    #[case::nothing_else_before_it(WhenHeld::Wait, vec![], vec![10], (120, 130))]
    #[case::nothing_in_it(WhenHeld::Wait, vec![20], vec![], (20, 20))]
    fn a_lane_waits_for_what_is_held_before_it(
        #[case] held: WhenHeld,
        #[case] before: Vec<u64>,
        #[case] after: Vec<u64>,
        #[case] expected: (u64, u64),
    ) {
        let mut rules = rules(4);
        rules.lanes[1].held = held;
        let mut first = work(&before);
        first.held.push((Duration::from_secs(100), Duration::from_secs(20)));
        let time = lane_schedules(&rules, &[first, work(&after)])[1];
        assert_eq!((time.starts.as_secs(), time.ends.as_secs()), expected);
    }

    /// A lane in between has only held accounts: it waits and soaks all the same, and the lane
    /// after it waits for it.
    #[test]
    fn a_lane_of_held_accounts_soaks_as_well() {
        let mut rules = rules(4);
        rules.lanes.push(LaneRules::new("c", 1));
        for lane in &mut rules.lanes[1..] {
            lane.soak = Duration::from_secs(1000);
        }
        let held = |until: u64| LaneWork {
            held: vec![(Duration::from_secs(until), Duration::from_secs(20))],
            ..LaneWork::default()
        };
        let time = lane_schedules(&rules, &[held(100), held(100), work(&[10])])[2];
        // 120, a soak, 20, a soak, 10.
        assert_eq!((time.starts.as_secs(), time.ends.as_secs()), (2140, 2150));
    }

    fn found(change: impl FnOnce(&mut SnapshotAccount)) -> PrePolicyState {
        let mut account = SnapshotAccount::new("111122223333", "Prod");
        change(&mut account);
        let snapshot = Snapshot { accounts: vec![], ..Snapshot::default() };
        CandidateFinder::new(&snapshot, NOW, Causes::default()).find(&account).unwrap()
    }

    #[test]
    fn policies_are_asked_about_outdated_enrolled_accounts() {
        assert_eq!(found(|account| account.enrolled = false), PrePolicyState::NotEnrolled);
        assert_eq!(found(|account| account.outdated = false), PrePolicyState::Current);
        assert_eq!(
            found(|account| account.status = ProductStatus::Error),
            PrePolicyState::Excluded("it is in error (on_error)")
        );
        for enrolled in [true, false] {
            let closed = found(|account| {
                account.enrolled = enrolled;
                account.state = Some(AccountState::Suspended);
            });
            assert_eq!(closed, PrePolicyState::Closed(AccountState::Suspended));
        }
        let PrePolicyState::Outdated(candidate) = found(|account| {
            account.outdated = false;
            account.status = ProductStatus::Tainted;
        }) else {
            panic!("it is tainted");
        };
        assert_eq!(candidate.cause, Cause::Tainted);
        let PrePolicyState::Outdated(candidate) = found(|account| {
            account.ou = vec!["Workloads".into(), "Prod".into()];
            account.ou_ids = vec!["ou-abcd-11111111".into(), "ou-abcd-22222222".into()];
        }) else {
            panic!("it is outdated");
        };
        assert_eq!(candidate.now, NOW);
        assert_eq!(candidate.account.organizational_units[1].id, "ou-abcd-22222222");
        assert_eq!(candidate.tags, Tags::Known(BTreeMap::new()));
    }

    #[rstest]
    #[case::after_another_lane(vec![20], vec![10], (27, 37))]
    #[case::nothing_before_it(vec![], vec![10], (0, 10))]
    #[case::nothing_in_it(vec![20], vec![], (20, 20))]
    fn a_lane_soaks(
        #[case] before: Vec<u64>,
        #[case] after: Vec<u64>,
        #[case] expected: (u64, u64),
    ) {
        let mut rules = rules(4);
        rules.lanes[1].soak = Duration::from_secs(7);
        let time = lane_schedules(&rules, &[work(&before), work(&after)])[1];
        assert_eq!((time.starts.as_secs(), time.ends.as_secs()), expected);
    }

    #[test]
    fn unreadable_tags_stay_unreadable() {
        let PrePolicyState::Outdated(candidate) = found(|account| {
            account.tags = None;
            account.tags_error = Some("AccessDenied".into());
        }) else {
            panic!("it is outdated");
        };
        assert_eq!(candidate.tags, Tags::Unreadable("AccessDenied".into()));
    }

    #[rstest]
    #[case::one_after_the_other(vec![vec![20, 20], vec![10]], 4, &[(0, 20), (20, 30)])]
    #[case::a_lane_of_its_own_concurrency(vec![vec![20], vec![10, 10]], 4, &[(0, 20), (20, 40)])]
    #[case::the_cap_holds_for_all(vec![vec![20, 20], vec![10]], 1, &[(0, 40), (40, 50)])]
    #[case::an_empty_lane_takes_no_time(vec![vec![], vec![10]], 4, &[(0, 0), (0, 10)])]
    fn lanes_run_one_after_the_other(
        #[case] updates: Vec<Vec<u64>>,
        #[case] cap: usize,
        #[case] expected: &[(u64, u64)],
    ) {
        let rules = rules(cap);
        let work: Vec<LaneWork> = updates.iter().map(|updates| work(updates)).collect();
        let times = lane_schedules(&rules, &work);
        let times = times.iter().map(|time| (time.starts.as_secs(), time.ends.as_secs()));
        assert_eq!(times.collect::<Vec<_>>(), expected);
    }
}
