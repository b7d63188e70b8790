//! The engine against the simulated AWS through the real SDKs: failures between two calls,
//! including crashes. In virtual time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_aws::SqsEventQueue;
use groundcrew_core::account::{AccountId, AccountState, Tags};
use groundcrew_core::catalog::{ArtifactId, ProductId};
use groundcrew_core::decision::{Candidate, PolicyDecision};
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::ports::{
    Clock, IssuedBy, Ledger, Operator, Policy, PolicyFailure, UpdateProgress,
};
use groundcrew_core::scheduler::{
    AccountUpdateState, LaneRules, SchedulerRules, StartWhen, WhenHeld,
};
use groundcrew_core::snapshot::SnapshotTarget;
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_core::update_need::Causes;
use groundcrew_engine::{
    ConfiguredPolicy, FailureHandling, Host, HostPorts, Ticker, Until, UpdateSettings,
};
use groundcrew_ledger::{
    DynamoLedger, Item, Key, MemoryLedger, Store, StoreError, StoreLedger, Write,
};
use groundcrew_sim::{
    Fault, FaultLevel, LoggedOperation, Rejection, SimAws, SimOptions, Snapshot, random_fleet,
};
use groundcrew_testkit::hosts;
use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;

const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
const CAP: usize = 2;

/// A policy written in Rust, without a sandbox.
struct NativePolicy<F>(F);

#[async_trait]
impl<F> Policy for NativePolicy<F>
where
    F: Fn(&Candidate) -> Result<PolicyDecision, PolicyFailure> + Send + Sync,
{
    async fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, PolicyFailure> {
        (self.0)(candidate)
    }
}

fn configured_policy(
    on_failure: FailureHandling,
    policy: impl Fn(&Candidate) -> Result<PolicyDecision, PolicyFailure> + Send + Sync + 'static,
) -> ConfiguredPolicy {
    let policy = Arc::new(NativePolicy(policy));
    ConfiguredPolicy {
        name: "native".into(),
        digest: "none".into(),
        on_failure,
        monitored: false,
        policy,
    }
}

/// A simulated AWS and a ledger, both of which outlive the hosts that run on them.
struct Fixture {
    sim: SimAws,
    ledger: Arc<dyn Ledger>,
    events_url: String,
    policies: Vec<ConfiguredPolicy>,
    parameters: ParameterSource,
    causes: Causes,
    reserve: usize,
    /// When the second lane starts.
    start_when: StartWhen,
    /// Whether the second lane waits for accounts that are held in the first.
    held: WhenHeld,
    /// The version that accounts are updated to.
    target: ArtifactId,
}

/// A ledger's store that refuses everything.
struct FailingStore;

#[async_trait]
impl Store for FailingStore {
    async fn get(&self, _: &Key) -> Result<Option<Item>, StoreError> {
        Err(StoreError::Table("KMS key disabled".into()))
    }

    async fn list(&self, _: &str) -> Result<Vec<(String, Item)>, StoreError> {
        Err(StoreError::Table("KMS key disabled".into()))
    }

    async fn commit(&self, _: &[Write]) -> Result<bool, StoreError> {
        Err(StoreError::Table("KMS key disabled".into()))
    }
}

impl Fixture {
    fn new(accounts: usize) -> Self {
        Self::of(random_fleet(accounts, 50, 1))
    }

    fn of(snapshot: Snapshot) -> Self {
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: BEGIN,
            snapshot,
            faults: FaultLevel::None,
            account_quota: 5,
        });
        let target = ArtifactId::new(sim.announce_artifact());
        Self {
            events_url: sim.events_url(),
            sim,
            ledger: Arc::<MemoryLedger>::default(),
            policies: Vec::new(),
            parameters: ParameterSource::Rebuild,
            causes: Causes::default(),
            reserve: 0,
            start_when: StartWhen::Drained,
            held: WhenHeld::Wait,
            target,
        }
    }

    /// One account, whose first updates fail.
    fn failing(times: usize) -> Self {
        let mut snapshot = random_fleet(1, 50, 1);
        snapshot.accounts[0].update_failures = vec!["a stack set instance failed".into(); times];
        Self::of(snapshot)
    }

    /// The same AWS for hosts that share no ledger with these.
    fn elsewhere(&self) -> Self {
        Self {
            ledger: Arc::<MemoryLedger>::default(),
            events_url: self.events_url.clone(),
            policies: Vec::new(),
            target: self.target.clone(),
            sim: self.sim.clone(),
            ..*self
        }
    }

    fn host(&self) -> Host {
        self.host_named("host")
    }

    fn host_named(&self, name: &str) -> Host {
        Host::new(self.ports(), self.settings(name))
    }

    fn ports(&self) -> HostPorts {
        let clients = hosts::clients(&self.sim);
        let events = Arc::new(SqsEventQueue::new(clients.sqs, self.events_url.clone()));
        let updates = hosts::updates(&self.sim, self.ledger.clone());
        HostPorts { updates, events, notifications: None }
    }

    fn settings(&self, name: &str) -> UpdateSettings {
        UpdateSettings {
            rules: SchedulerRules {
                lanes: vec![
                    LaneRules::new("first", CAP),
                    LaneRules {
                        start_when: self.start_when,
                        held: self.held,
                        ..LaneRules::new("second", 1)
                    },
                ],
                max_concurrent_operations: CAP,
                max_attempts: 3,
                poll_interval: Duration::from_secs(30),
                operation_timeout: Duration::from_secs(3600),
                per_ou_limit: None,
                window: Duration::from_secs(86_400),
                sweep_interval: Duration::from_secs(6 * 3600),
                min_sweep_interval: Duration::from_secs(60),
                suggestions: CommandFormatter::default(),
            },
            account_quota: 5,
            reserve: self.reserve,
            causes: self.causes,
            approval: None,
            host: name.into(),
            version: None,
            parameters: self.parameters,
            fallback: Fallback::Proceed,
            policies: self.policies.clone(),
        }
    }

    async fn run(&self) {
        self.host().run(Until::QuiescentOr(BEGIN + Duration::from_secs(30 * 86_400))).await;
    }

    /// The author and time of an order that is given now.
    fn issued_by(&self) -> IssuedBy {
        let by = Operator::new(None, Some("ada".into()), Some("desk".into()));
        IssuedBy { by, at: self.sim.clock().now() }
    }

    fn own(&self) -> Vec<LoggedOperation> {
        self.sim.operations().into_iter().filter(|operation| !operation.foreign).collect()
    }

    /// Each of so many accounts was updated once, and never too many at a time.
    fn assert_each_once(&self, accounts: usize) {
        let mut updated: Vec<AccountId> = self.own().into_iter().map(|o| o.account).collect();
        updated.sort();
        let started = updated.len();
        updated.dedup();
        assert_eq!((started, updated.len()), (accounts, accounts));
        assert!(self.sim.max_concurrent().own <= CAP);
    }
}

#[tokio::test(start_paused = true)]
async fn every_account_is_updated_once() {
    let fixture = Fixture::new(9);
    fixture.run().await;
    fixture.assert_each_once(9);
    assert!(fixture.sim.alerts().is_empty());
}

/// Accounts of any snapshot: outdated or not, enrolled or not, and on an artifact whose name is
/// given, possibly wrongly, or is missing.
fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let artifact = || prop::option::of(prop::sample::select(vec!["pa-x", "pa-y", "pa-new"]));
    let account = (any::<bool>(), prop::bool::weighted(0.9), artifact());
    let target = prop::option::of(Just("pa-new"));
    (prop::collection::vec(account, 1..12), target).prop_map(|(accounts, target)| {
        let mut snapshot = random_fleet(accounts.len(), 50, 1);
        for (account, (outdated, enrolled, artifact)) in snapshot.accounts.iter_mut().zip(accounts)
        {
            account.artifact = artifact.map(ArtifactId::new);
            (account.outdated, account.enrolled) = (outdated, enrolled);
        }
        snapshot.target = target.map(|artifact| SnapshotTarget {
            product: ProductId::new("prod-of-the-snapshot"),
            artifact: ArtifactId::new(artifact),
            name: "AWS Control Tower Account Factory".into(),
        });
        snapshot
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A sweep finds exactly the accounts that are outdated in the snapshot and updates them, each
    /// once and to the version that the others are on; the others stay as they are.
    #[test]
    fn exactly_what_a_snapshot_has_as_outdated_is_updated(snapshot in any_snapshot()) {
        let enrolled = || snapshot.accounts.iter().filter(|account| account.enrolled);
        let ids = |outdated: Option<bool>| -> BTreeSet<AccountId> {
            let asked = enrolled().filter(|account| outdated.is_none_or(|o| o == account.outdated));
            asked.map(|account| account.id.parse().unwrap()).collect()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let fixture = Fixture::of(snapshot.clone());
            prop_assert_eq!(fixture.sim.current_accounts(), ids(Some(false)));
            if let Some(target) = &snapshot.target {
                prop_assert_eq!(fixture.target.as_str(), target.artifact.as_str());
                prop_assert_eq!(fixture.sim.product_id(), target.product.as_str());
            }
            fixture.run().await;
            let updated: Vec<AccountId> = fixture.own().into_iter().map(|own| own.account).collect();
            prop_assert_eq!(updated.len(), ids(Some(true)).len());
            prop_assert_eq!(updated.into_iter().collect::<BTreeSet<_>>(), ids(Some(true)));
            prop_assert_eq!(fixture.sim.current_accounts(), ids(None));
            prop_assert!(fixture.sim.alerts().is_empty());
            Ok(())
        })?;
    }
}

/// The response to the start is lost after it took effect: the same update continues.
#[rstest]
#[case::once(1)]
#[case::so_often_that_the_host_gives_up_asking(40)]
#[tokio::test(start_paused = true)]
async fn a_lost_answer_starts_nothing_twice(#[case] times: usize) {
    let fixture = Fixture::new(4);
    for _ in 0..times {
        fixture.sim.inject_fault("UpdateProvisionedProduct", Fault::ResponseLost);
    }
    fixture.run().await;
    fixture.assert_each_once(4);
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// Every response to a start is lost, and every repeat is throttled. Each running update holds a
/// slot at every moment: if its slot were freed, another update could start beside it.
#[tokio::test(start_paused = true)]
async fn what_runs_holds_a_slot_however_the_repeats_are_answered() {
    let fixture = Fixture::new(1);
    // As many as the attempts of the SDK for one call: all responses to the first call are lost,
    // and all attempts of the next are throttled.
    for fault in [Fault::ResponseLost, Fault::Rejected(Rejection::Throttled)] {
        for _ in 0..6 {
            fixture.sim.inject_fault("UpdateProvisionedProduct", fault);
        }
    }
    let watch = async {
        let mut seen_running = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let slots = fixture.ledger.slots().await.unwrap();
            for running in fixture.own().iter().filter(|operation| operation.end.is_none()) {
                let held = slots.iter().any(|slot| slot.account == running.account);
                assert!(held, "{} runs without a slot", running.account);
                seen_running += 1;
            }
            if fixture.own().first().is_some_and(|operation| operation.end.is_some()) {
                return seen_running;
            }
        }
    };
    let (_, seen_running) = tokio::join!(fixture.run(), watch);
    assert!(seen_running > 100, "the update was hardly seen running");
    fixture.assert_each_once(1);
}

/// The host is killed at a fixed interval, at any await point, and started again.
#[rstest]
#[case(7)]
#[case(61)]
#[case(450)]
#[tokio::test(start_paused = true)]
async fn killed_again_and_again_it_loses_and_repeats_nothing(#[case] seconds: u64) {
    let fixture = Fixture::new(6);
    let mut kills = 0;
    while tokio::time::timeout(Duration::from_secs(seconds), fixture.run()).await.is_err() {
        kills += 1;
        assert!(kills < 20_000, "it never comes to an end");
    }
    fixture.assert_each_once(6);
    assert!(kills > 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_quota_leaves_no_room_for_waits_and_costs_nothing() {
    let fixture = Fixture::new(8);
    let accounts: Vec<AccountId> =
        (0..4).map(|n| random_fleet(8, 50, 1).accounts[n].id.parse().unwrap()).collect();
    for account in &accounts {
        assert!(fixture.sim.foreign_operation(account, Duration::from_secs(3000)));
    }
    fixture.run().await;
    fixture.assert_each_once(8);
    assert!(fixture.sim.max_concurrent().total <= 5);
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// Another version is released while the fleet is being updated to the last one: in the end every
/// account is on the newest, and no account was lost between the two.
#[rstest]
#[case(2)]
#[case(1000)]
#[case(2500)]
#[tokio::test(start_paused = true)]
async fn a_version_released_meanwhile_becomes_the_target(#[case] seconds: u64) {
    let fixture = Fixture::new(9);
    let release = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        fixture.sim.release_artifact();
    };
    tokio::join!(fixture.run(), release);
    assert_eq!(fixture.sim.current_accounts().len(), 9);
    assert!(fixture.sim.max_concurrent().own <= CAP);
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// An operation of another client takes longer than any update: one alert is published, and the
/// account waits.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_busy_for_long_is_told_once() {
    let fixture = Fixture::new(1);
    let account: AccountId = random_fleet(1, 50, 1).accounts[0].id.parse().unwrap();
    assert!(fixture.sim.foreign_operation(&account, Duration::from_secs(20_000)));
    fixture.run().await;
    fixture.assert_each_once(1);
    let alerts = fixture.sim.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].subject, format!("Account {account} has been busy for 60 minutes"));
}

/// Tags decide the lane in the sweep; before the start the policies are evaluated again.
#[tokio::test(start_paused = true)]
async fn a_decision_that_changes_before_the_start_is_heeded() {
    let mut fixture = Fixture::new(3);
    let asked_before = Mutex::new(std::collections::BTreeSet::new());
    fixture.policies = vec![configured_policy(FailureHandling::Skip, move |candidate| {
        let first = asked_before.lock().unwrap().insert(candidate.account.id.clone());
        Ok(if first {
            PolicyDecision::Proceed(None)
        } else {
            PolicyDecision::Skip("frozen".into())
        })
    })];
    fixture.run().await;
    assert!(fixture.own().is_empty());
    assert!(fixture.sim.messages(&fixture.sim.updates_url()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn held_accounts_are_updated_when_their_time_comes() {
    let mut fixture = Fixture::new(2);
    let until = BEGIN + Duration::from_secs(40_000);
    fixture.policies =
        vec![configured_policy(FailureHandling::Skip, move |_| Ok(freeze(until, None)))];
    fixture.run().await;
    fixture.assert_each_once(2);
    assert!(fixture.own().iter().all(|operation| operation.start >= until));
}

fn freeze(until: Timestamp, lane: Option<&str>) -> PolicyDecision {
    PolicyDecision::Hold { until, reason: "freeze".into(), lane: lane.map(str::to_owned) }
}

/// Two canaries whose window opens in forty hours, and two accounts after them.
fn canaries(named: bool, held: WhenHeld) -> (Fixture, Timestamp) {
    let mut fixture = Fixture::new(4);
    fixture.held = held;
    let opens = BEGIN + Duration::from_secs(40 * 3600);
    let lane = |candidate: &Candidate| match candidate.account.id.as_str() {
        "200000000000" | "200000000001" => "first",
        _ => "second",
    };
    let window = configured_policy(FailureHandling::Skip, move |candidate| {
        let closed = lane(candidate) == "first" && candidate.now < opens;
        Ok(match closed {
            true => freeze(opens, named.then_some("first")),
            false => PolicyDecision::Abstain,
        })
    });
    let lanes = configured_policy(FailureHandling::Skip, move |candidate| {
        Ok(PolicyDecision::Proceed(Some(lane(candidate).to_owned())))
    });
    fixture.policies = vec![window, lanes];
    (fixture, opens)
}

/// Production waits for canaries that are held, whether the policy that holds them names their lane
/// or another does; one alert is published when this has lasted for a day. A host that has just
/// started continues with the same count.
#[rstest]
#[tokio::test(start_paused = true)]
async fn production_waits_for_canaries_that_are_held(#[values(true, false)] named: bool) {
    let (fixture, opens) = canaries(named, WhenHeld::Wait);
    let before = BEGIN + Duration::from_secs(12 * 3600);
    fixture.host().run(Until::QuiescentOr(before)).await;
    assert!(fixture.own().is_empty(), "{:?}", fixture.own());
    tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
    fixture.run().await;
    fixture.assert_each_once(4);
    let own = fixture.own();
    let (first, second): (Vec<_>, Vec<_>) =
        own.iter().partition(|operation| operation.account.as_str() < "200000000002");
    assert!(first.iter().all(|operation| operation.start >= opens));
    let ended = first.iter().filter_map(|operation| operation.end).max().unwrap();
    assert!(second.iter().all(|operation| operation.start >= ended), "{own:?}");
    let alerts = fixture.sim.alerts();
    let subjects: Vec<&str> = alerts.iter().map(|alert| alert.subject.as_str()).collect();
    assert_eq!(subjects, ["Held accounts of lane first keep other lanes back"]);
    assert!(alerts[0].message.contains("- second: 2"), "{}", alerts[0].message);
}

#[tokio::test(start_paused = true)]
async fn production_goes_on_without_canaries_where_it_may() {
    let (fixture, opens) = canaries(false, WhenHeld::Pass);
    fixture.run().await;
    fixture.assert_each_once(4);
    let early = fixture.own().into_iter().filter(|operation| operation.start < opens).count();
    assert_eq!(early, 2);
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// An account that is closed from the beginning, in each state that means that, is not touched, and
/// has no effect: no attempt, no alert, no blocked lane.
#[rstest]
#[tokio::test(start_paused = true)]
async fn closed_accounts_are_left_alone(
    #[values(AccountState::Suspended, AccountState::PendingClosure, AccountState::Closed)]
    state: AccountState,
    #[values(Causes::default(), NO_CAUSES)] causes: Causes,
) {
    let mut snapshot = random_fleet(4, 50, 1);
    snapshot.accounts[1].state = Some(state);
    let closed: AccountId = snapshot.accounts[1].id.parse().unwrap();
    let mut fixture = Fixture::of(snapshot);
    fixture.causes = causes;
    fixture.run().await;
    fixture.assert_each_once(3);
    assert!(fixture.own().iter().all(|operation| operation.account != closed));
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
    let progress = fixture.ledger.progress(&closed, &fixture.target).await.unwrap();
    assert_eq!(progress, UpdateProgress::default());
    let sweep = fixture.ledger.last_sweep().await.unwrap().unwrap();
    assert_eq!((sweep.closed, sweep.skipped), (1, 0));
}

/// No cause but a newer artifact: then sweeps read only the accounts that are due from
/// Organizations.
const NO_CAUSES: Causes =
    Causes { moved: false, landing_zone: false, tainted: false, error: false };

/// The account is closed after the sweep has found it outdated, and before its turn. When it is
/// reopened, it is due again, also for the host that has seen it closed.
#[rstest]
#[tokio::test(start_paused = true)]
async fn an_account_that_is_closed_before_its_turn_is_dropped(
    #[values(Causes::default(), NO_CAUSES)] causes: Causes,
) {
    let mut fixture = Fixture::new(5);
    fixture.causes = causes;
    let host = fixture.host();
    let last: AccountId = "200000000004".parse().unwrap();
    let closing = async {
        // Two at once, each for ten minutes at least: its turn has not come.
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(fixture.own().iter().all(|operation| operation.account != last));
        fixture.sim.close_account(&last);
    };
    let until = Until::QuiescentOr(BEGIN + Duration::from_secs(86_400));
    tokio::join!(host.run(until), closing);
    fixture.assert_each_once(4);
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());

    tokio::time::sleep(Duration::from_secs(600)).await;
    let sweep = host.dry_run_sweep().await.unwrap().unwrap();
    assert_eq!(sweep.accounts[&last], AccountUpdateState::Closed);
    fixture.sim.reopen_account(&last);
    tokio::time::sleep(Duration::from_secs(7 * 3600)).await;
    host.run(Until::QuiescentOr(BEGIN + Duration::from_secs(2 * 86_400))).await;
    fixture.assert_each_once(5);
}

/// A canary was dead-lettered and has been closed since: a host that has just started does not wait
/// for a redrive of it.
#[rstest]
#[tokio::test(start_paused = true)]
async fn an_account_that_was_given_up_and_is_closed_stops_nobody(
    #[values(Causes::default(), NO_CAUSES)] causes: Causes,
) {
    let mut snapshot = random_fleet(3, 50, 1);
    snapshot.accounts[0].update_failures = vec!["A stack named X already exists".into()];
    let mut fixture = Fixture::of(snapshot);
    (fixture.causes, fixture.start_when) = (causes, StartWhen::Succeeded);
    let canary: AccountId = "200000000000".parse().unwrap();
    let first = canary.clone();
    fixture.policies =
        vec![configured_policy(FailureHandling::Skip, move |candidate: &Candidate| {
            let lane = if candidate.account.id == first { "first" } else { "second" };
            Ok(PolicyDecision::Proceed(Some(lane.into())))
        })];
    fixture.run().await;
    assert_eq!(fixture.own().len(), 1, "the canary has failed, and nothing starts after it");
    fixture.sim.close_account(&canary);
    fixture.run().await;
    assert_eq!(fixture.own().len(), 3, "{:?}", fixture.own());
}

/// The account is closed while its update runs, and the update fails: it is not retried, and with
/// `succeeded` it does not block the next lane.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_closed_while_it_is_updated_stops_nobody() {
    let mut snapshot = random_fleet(3, 50, 1);
    snapshot.accounts[0].update_failures = vec!["The account was closed.".into(); 9];
    let mut fixture = Fixture::of(snapshot);
    fixture.start_when = StartWhen::Succeeded;
    let canary: AccountId = "200000000000".parse().unwrap();
    let first = canary.clone();
    fixture.policies =
        vec![configured_policy(FailureHandling::Skip, move |candidate: &Candidate| {
            let lane = if candidate.account.id == first { "first" } else { "second" };
            Ok(PolicyDecision::Proceed(Some(lane.into())))
        })];
    let closing = async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        fixture.sim.close_account(&canary);
    };
    tokio::join!(fixture.run(), closing);
    let own = fixture.own();
    let of_canary = own.iter().filter(|operation| operation.account == canary);
    assert_eq!((of_canary.count(), own.len()), (1, 3), "{own:?}");
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

#[rstest]
#[case::skip(FailureHandling::Skip, 0)]
#[case::abstain(FailureHandling::Abstain, 2)]
#[case::retry(FailureHandling::Retry, 0)]
#[tokio::test(start_paused = true)]
async fn a_policy_that_fails_never_stops_the_run(
    #[case] on_failure: FailureHandling,
    #[case] updated: usize,
) {
    let mut fixture = Fixture::new(2);
    let asks = Arc::new(Mutex::new(0));
    let counted = asks.clone();
    fixture.policies = vec![configured_policy(on_failure, move |_| {
        *counted.lock().unwrap() += 1;
        Err(PolicyFailure { code: "trap".into(), message: "it trapped".into(), transient: false })
    })];
    fixture.run().await;
    fixture.assert_each_once(updated);
    let alerts = fixture.sim.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].subject, "Policy native fails");
    if on_failure == FailureHandling::Retry {
        assert_eq!(*asks.lock().unwrap() % 3, 0);
    }
}

/// Reading the tags is denied: the policy gets the error, and its decision counts.
#[tokio::test(start_paused = true)]
async fn unreadable_tags_reach_the_policy_as_such() {
    let mut snapshot = random_fleet(2, 100, 1);
    snapshot.accounts[0].tags = None;
    let denied = snapshot.accounts[0].id.clone();
    let mut fixture = Fixture::of(snapshot);
    fixture.policies = vec![configured_policy(FailureHandling::Skip, |candidate| {
        Ok(match &candidate.tags {
            Tags::Known(tags) if tags.contains_key("account-factory-managed") => {
                PolicyDecision::Abstain
            }
            Tags::Known(_) => PolicyDecision::Skip("untagged".into()),
            Tags::Unreadable(why) if why.contains("AccessDenied") => {
                PolicyDecision::Skip("denied".into())
            }
            Tags::Unreadable(_) => PolicyDecision::Abstain,
        })
    })];
    fixture.run().await;
    fixture.assert_each_once(1);
    assert!(fixture.own().iter().all(|operation| operation.account.as_str() != denied));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_kept_and_told() {
    let fixture = Fixture::new(1);
    fixture.sim.inject_event("{not json");
    fixture.run().await;
    fixture.assert_each_once(1);
    let kept = fixture.sim.messages(&fixture.sim.events_dlq_url());
    assert_eq!(kept.len(), 1);
    assert!(kept[0].contains("{not json") && kept[0].contains("not JSON"), "{kept:?}");
    assert_eq!(fixture.sim.alerts().len(), 1);
}

/// Other clients use three of the five operations, and each lane takes four at once: concurrent
/// starts don't take the same free operation, so that AWS never has to refuse one.
#[rstest]
#[case::of_one_host(&["host"])]
#[case::of_two_hosts(&["host", "other"])]
#[tokio::test(start_paused = true)]
async fn starts_at_once_take_what_the_quota_leaves(#[case] hosts: &[&str]) {
    let fixture = Fixture::new(9);
    for number in 0..3 {
        let account = random_fleet(9, 50, 1).accounts[number].id.parse().unwrap();
        assert!(fixture.sim.foreign_operation(&account, Duration::from_secs(4000)));
    }
    let until = Until::QuiescentOr(BEGIN + Duration::from_secs(30 * 86_400));
    let runs = hosts.iter().map(async |host| fixture.host_named(host).run(until).await);
    futures_util::future::join_all(runs).await;
    fixture.assert_each_once(9);
    assert_eq!(fixture.sim.calls()["UpdateProvisionedProduct"], 9, "AWS refused some");
    assert!(fixture.sim.max_concurrent().total <= 5);
}

/// The quota of five is shared: the three reserved operations stay free, however long other clients
/// take, and although two could be started at once.
#[rstest]
#[case::nobody_else(0, 2)]
#[case::one(1, 2)]
#[case::as_many_as_may(2, 2)]
#[case::more(3, 3)]
#[tokio::test(start_paused = true)]
async fn what_is_reserved_for_others_is_left_free(#[case] others: usize, #[case] most: usize) {
    let mut fixture = Fixture::new(6);
    fixture.reserve = 3;
    let long = Duration::from_secs(2000);
    for account in &random_fleet(6, 50, 1).accounts[..others] {
        assert!(fixture.sim.foreign_operation(&account.id.parse().unwrap(), long));
    }
    fixture.run().await;
    fixture.assert_each_once(6);
    assert_eq!(fixture.sim.max_concurrent().total, most);
    if others >= 2 {
        assert!(fixture.own().iter().all(|operation| operation.start >= BEGIN + long));
    }
}

/// The dead letter and the alert come first, however long they take: a host that is killed before
/// them leaves the slot, so that the next host finds the end of the update.
#[rstest]
#[case::the_alert("Publish")]
#[case::the_dead_letter("SendMessage")]
#[tokio::test(start_paused = true)]
async fn what_is_given_up_holds_its_slot_until_it_is_told(#[case] refused: &str) {
    let fixture = Fixture::failing(9);
    for _ in 0..40 {
        fixture.sim.inject_fault(refused, Fault::Rejected(Rejection::Throttled));
    }
    let watch = async {
        let mut alerts_early = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let letters = fixture.sim.messages(&fixture.sim.updates_dlq_url());
            if !letters.is_empty() && !fixture.sim.alerts().is_empty() {
                return alerts_early;
            }
            if fixture.own().get(2).is_some_and(|last| last.end.is_some()) {
                assert_eq!(fixture.ledger.slots().await.unwrap().len(), 1, "the slot is freed");
                alerts_early += 1;
            }
        }
    };
    let (_, alerts_early) = tokio::join!(fixture.run(), watch);
    assert!(alerts_early > 20, "it was told at once");
    assert_eq!(fixture.own().len(), 3);
    assert_eq!(fixture.ledger.slots().await, Ok(vec![]));
}

/// A start that AWS certainly refused frees its slot for others while it waits.
#[tokio::test(start_paused = true)]
async fn a_refused_start_holds_no_slot() {
    let fixture = Fixture::new(1);
    fixture.sim.inject_fault("UpdateProvisionedProduct", Fault::Rejected(Rejection::Denied));
    let look = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        (fixture.sim.alerts().len(), fixture.own().len(), fixture.ledger.slots().await.unwrap())
    };
    let ((), seen) = tokio::join!(fixture.run(), look);
    assert_eq!(seen, (1, 0, vec![]));
    fixture.assert_each_once(1);
}

/// The host is killed after it has taken a slot and before it calls AWS. The account's last update
/// was to the same target, and failed: it is not mistaken for the update that never started.
#[tokio::test(start_paused = true)]
async fn an_update_that_never_began_is_begun_by_the_next_host() {
    let fixture = Fixture::failing(2);
    let taken = async {
        while fixture.own().first().is_none_or(|first| first.end.is_none()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        fixture.sim.inject_fault("UpdateProvisionedProduct", Fault::Hung { takes_effect: false });
        while fixture.ledger.slots().await.unwrap().iter().all(|slot| slot.attempt == 1) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = fixture.run() => panic!("it came to an end"),
        () = taken => {}
    }
    assert_eq!(fixture.own().len(), 1);
    fixture.run().await;
    // Two of three attempts have failed.
    assert_eq!((fixture.own().len(), fixture.sim.current_accounts().len()), (3, 1));
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// This holds although products that others have tainted are excluded.
#[tokio::test(start_paused = true)]
async fn what_is_redriven_is_tried_again_and_told_again() {
    let mut fixture = Fixture::failing(6);
    fixture.causes = Causes { tainted: false, ..Causes::default() };
    let account: AccountId = random_fleet(1, 50, 1).accounts[0].id.parse().unwrap();
    for times in [1, 2] {
        fixture.run().await;
        assert_eq!(fixture.own().len(), 3 * times);
        assert_eq!(fixture.sim.messages(&fixture.sim.updates_dlq_url()).len(), times);
        assert_eq!(fixture.sim.alerts().len(), times);
        let (accounts, issued_by) = ([account.clone()].into(), fixture.issued_by());
        let redriven = fixture.ledger.order_redrive(&accounts, &fixture.target, &issued_by);
        assert!(redriven.await.unwrap().contains_key(&account));
    }
    fixture.run().await;
    assert_eq!((fixture.own().len(), fixture.sim.current_accounts().len()), (7, 1));
    assert_eq!(fixture.sim.alerts().len(), 2);
}

/// The first host that reads them logs them, unless it dies meanwhile.
#[tokio::test(start_paused = true)]
async fn orders_are_taken_in() {
    let fixture = Fixture::new(1);
    fixture.ledger.order_pause("second", &fixture.issued_by()).await.unwrap();
    fixture.ledger.order_sweep(&fixture.issued_by()).await.unwrap();
    assert_eq!(fixture.ledger.orders().await.unwrap().last_logged, 0);
    fixture.run().await;
    assert_eq!(fixture.ledger.orders().await.unwrap().last_logged, 2);
    fixture.ledger.order_resume("second", &fixture.issued_by()).await.unwrap();
    let mut ticker = Ticker::new(fixture.host());
    ticker.tick(None, fixture.sim.clock().now() + Duration::from_secs(50)).await;
    assert_eq!(fixture.ledger.orders().await.unwrap().last_logged, 3);
}

/// Another client has begun an update. An update to the target is tracked, and holds a slot; for
/// any other the account waits.
#[rstest]
#[case::towards_the_target(false)]
#[case::towards_another_version(true)]
#[tokio::test(start_paused = true)]
async fn an_update_of_somebody_else_is_adopted_towards_the_target(#[case] released: bool) {
    let mut fixture = Fixture::new(1);
    let begin = tokio::time::timeout(Duration::from_secs(60), fixture.elsewhere().run()).await;
    assert!(begin.is_err() && fixture.own().len() == 1);
    if released {
        fixture.target = ArtifactId::new(fixture.sim.release_artifact());
    }
    let watch = async {
        let mut held = 0;
        while fixture.own()[0].end.is_none() {
            held += fixture.ledger.slots().await.unwrap().len();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        held
    };
    let (_, held) = tokio::join!(fixture.run(), watch);
    assert_eq!(held > 100, !released, "it held a slot for {held} seconds");
    assert_eq!(fixture.own().len(), if released { 2 } else { 1 });
    assert_eq!(fixture.sim.current_accounts().len(), 1);
    assert!(fixture.sim.alerts().is_empty());
}

/// A lasting standstill causes an alert, and another one after six hours. A standstill of five
/// minutes causes none.
#[rstest]
#[case::the_ledger("The ledger can't be read", "KMS key disabled", 5, 0)]
#[case::the_ledger_for_long("The ledger can't be read", "KMS key disabled", 60, 1)]
#[case::the_ledger_for_very_long("The ledger can't be read", "KMS key disabled", 400, 2)]
#[case::the_events_queue_for_long("The events queue can't be read", "NonExistentQueue", 60, 1)]
#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_for_long_is_told(
    #[case] subject: &str,
    #[case] error: &str,
    #[case] minutes: u64,
    #[case] times: usize,
) {
    let mut fixture = Fixture::new(1);
    if subject.contains("ledger") {
        fixture.ledger = Arc::new(StoreLedger::with_store(FailingStore));
    } else {
        fixture.events_url += "-gone";
    }
    fixture.host().serve(tokio::time::sleep(Duration::from_secs(minutes * 60))).await;
    let alerts = fixture.sim.alerts();
    let told = alerts.iter().filter(|alert| alert.subject == subject);
    assert_eq!((told.count(), alerts.len()), (times, times), "{alerts:?}");
    assert!(alerts.iter().all(|alert| alert.message.contains(error)), "{alerts:?}");
}

/// The same by ticks: the host keeps between ticks since when the ledger can't be read.
#[tokio::test(start_paused = true)]
async fn a_ledger_that_ticks_can_not_read_is_told_once() {
    let mut fixture = Fixture::new(1);
    fixture.ledger = Arc::new(StoreLedger::with_store(FailingStore));
    let mut ticker = Ticker::new(fixture.host());
    for _ in 0..30 {
        ticker.tick(None, fixture.sim.clock().now() + Duration::from_secs(50)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let subjects: Vec<_> = fixture.sim.alerts().into_iter().map(|alert| alert.subject).collect();
    assert_eq!(subjects, ["The ledger can't be read"]);
}

/// A host is killed while updates run, and they end before another one comes: the work that is left
/// is counted correctly from the first sweep on.
#[tokio::test(start_paused = true)]
async fn what_ended_without_a_host_is_counted_once() {
    let fixture = Fixture::new(20);
    let table =
        || DynamoLedger::new(hosts::clients(&fixture.sim).dynamodb, fixture.sim.table_name());
    let host = |name: &str| {
        let mut ports = fixture.ports();
        ports.updates.ledger = Arc::new(table());
        Host::new(ports, fixture.settings(name))
    };
    let until = Until::QuiescentOr(BEGIN + Duration::from_secs(30 * 86_400));
    for life in 0..4 {
        let host = host(&format!("host-{life}"));
        // Killed while updates run.
        let _ = tokio::time::timeout(Duration::from_secs(600), host.run(until)).await;
        tokio::time::sleep(Duration::from_secs(7200)).await;
    }
    let ledger = table();
    let last = host("last");
    let mut checked = 0;
    let watch = async {
        loop {
            tokio::time::sleep(Duration::from_secs(30)).await;
            let (before, records) =
                (ledger.lanes().await.unwrap(), ledger.last_sweep().await.unwrap());
            let outdated = 20 - fixture.sim.current_accounts().len();
            let slots = ledger.slots().await.unwrap();
            if ledger.lanes().await.unwrap() != before {
                continue;
            }
            // Updates that have ended without a completion count as left.
            let current = fixture.sim.current_accounts();
            let unsettled = slots.iter().filter(|slot| current.contains(&slot.account)).count();
            let Some(sweep) = records else { continue };
            let left: usize = sweep
                .lanes
                .iter()
                .map(|(lane, seen)| {
                    let done = before.get(lane).map_or(0, |record| record.succeeded);
                    seen.to_update - usize::try_from(done - seen.succeeded).unwrap()
                })
                .sum();
            assert_eq!(left, outdated + unsettled, "{sweep:?} {before:?}");
            checked += 1;
        }
    };
    tokio::select! {
        _ = last.run(until) => {}
        () = watch => {}
    }
    assert!(checked > 20, "{checked}");
    fixture.assert_each_once(20);
}
