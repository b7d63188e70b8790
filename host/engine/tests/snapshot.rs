//! Reads an organization for a snapshot, from the simulated AWS through the real SDKs, in virtual
//! time: the number of calls, whether the tag index is used, and that an interrupted reading
//! continues where it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_aws::{Clients, OrganizationsDirectory, ResourceTags};
use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::{
    AccountFactory, LaunchPathId, ProductId, ProvisionedProduct, ProvisionedProductId, Record,
    RecordId, UpdateRequest,
};
use groundcrew_core::ports::{AccountDirectory, Catalog, Clock, Page, TagIndex};
use groundcrew_core::snapshot::Snapshot;
use groundcrew_core::unfinished_snapshot::{SnapshotSource, TagSource, UnfinishedSnapshot};
use groundcrew_engine::snapshot::{SnapshotPorts, SnapshotReader};
use groundcrew_sim::{
    Fault, FaultLevel, Rejection, SimAws, SimOptions, TagIndexState, random_fleet,
};
use groundcrew_testkit::hosts;
use jiff::Timestamp;
use rstest::rstest;
use tokio::sync::Notify;
use tokio::time::Instant;

const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);

/// The operations that a reader calls.
const READS: [&str; 5] = [
    "DescribeOrganizationalUnit",
    "GetResources",
    "ListAccounts",
    "ListTagsForResource",
    "SearchProvisionedProducts",
];

/// A simulated AWS, and its true tags.
struct Fixture {
    sim: SimAws,
    clients: Clients,
    truth: Snapshot,
}

impl Fixture {
    fn new(truth: Snapshot, faults: FaultLevel) -> Self {
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: BEGIN,
            snapshot: truth.clone(),
            faults,
            account_quota: 5,
        });
        sim.announce_artifact();
        let clients = hosts::clients(&sim);
        Self { sim, clients, truth }
    }

    /// Half of the accounts have tags; some are not enrolled, some are current.
    fn of(accounts: usize) -> Self {
        let mut truth = random_fleet(accounts, 50, 1);
        for (number, account) in truth.accounts.iter_mut().enumerate() {
            account.outdated = number % 3 != 0;
            account.enrolled = number % 10 != 4;
        }
        Self::new(truth, FaultLevel::None)
    }

    fn ports(&self) -> SnapshotPorts {
        SnapshotPorts {
            catalog: Arc::new(hosts::catalog(&self.sim, &self.clients)),
            directory: Arc::new(OrganizationsDirectory::new(self.clients.organizations.clone())),
            tag_index: Arc::new(ResourceTags::new(self.clients.tagging.clone())),
        }
    }

    async fn factory(&self) -> AccountFactory {
        self.ports().catalog.account_factory().await.unwrap()
    }

    async fn begin(&self) -> UnfinishedSnapshot {
        let source = SnapshotSource {
            region: self.sim.region().into(),
            product: self.factory().await.product,
        };
        UnfinishedSnapshot::new(source, self.sim.clock().now())
    }

    /// Reads the whole organization.
    async fn read(&self) -> UnfinishedSnapshot {
        let reader = SnapshotReader::new(self.ports(), self.begin().await);
        reader.read().await.unwrap();
        let unfinished_snapshot = reader.unfinished_snapshot();
        unfinished_snapshot.clone()
    }

    /// The reading has the true data.
    async fn assert_true(&self, unfinished_snapshot: &UnfinishedSnapshot) {
        let factory = self.factory().await;
        let snapshot = unfinished_snapshot.snapshot(&factory, self.sim.product_name(), BEGIN);
        assert_eq!(snapshot.accounts.len(), self.truth.accounts.len());
        for (read, truth) in snapshot.accounts.iter().zip(&self.truth.accounts) {
            assert_eq!((&read.id, &read.name, &read.email), (&truth.id, &truth.name, &truth.email));
            assert_eq!((&read.ou, read.ou_ids.len()), (&truth.ou, truth.ou.len()));
            assert_eq!(read.tags, truth.tags, "{}", truth.id);
            assert_eq!(read.tags_error.is_some(), truth.tags.is_none());
            assert_eq!(read.enrolled, truth.enrolled);
            assert_eq!(read.outdated, truth.outdated && truth.enrolled);
            assert_eq!(read.product.is_some(), truth.enrolled);
            assert!(read.state.is_some() && read.joined.is_some());
        }
        let written = snapshot.to_json().unwrap();
        assert_eq!(Snapshot::parse(&written).unwrap(), snapshot);
    }
}

fn why(unfinished_snapshot: &UnfinishedSnapshot) -> &str {
    match &unfinished_snapshot.tag_source {
        Some(TagSource::OneByOne { why }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_accounts_take_few_calls() {
    let fixture = Fixture::of(10_000);
    let unfinished_snapshot = fixture.read().await;
    assert_eq!(unfinished_snapshot.tag_source, Some(TagSource::Batch { agreed: 20 }));
    let calls = fixture.sim.calls();
    // The numbers of docs/snapshot.md. ListAccounts returns twenty accounts at most. The simulated
    // AWS returns every eighth page empty, which the real one may do, too.
    let documented = [
        ("DescribeOrganizationalUnit", 7),
        ("DescribeProductAsAdmin", 1),
        ("GetResources", 57),
        ("ListAccounts", 563),
        ("ListProvisioningArtifacts", 1),
        ("ListTagsForResource", 20),
        ("SearchProvisionedProducts", 102),
    ];
    assert_eq!(calls, documented.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(fixture.clients.call_counter.by_operation(), calls);
    fixture.assert_true(&unfinished_snapshot).await;
}

#[rstest]
#[case::denied(None, "AccessDeniedException")]
#[case::empty(Some(TagIndexState::Empty), "lists no account at all")]
#[case::incomplete(Some(TagIndexState::Incomplete), "has other tags for")]
#[case::stale(Some(TagIndexState::Stale), "has other tags for")]
#[tokio::test(start_paused = true)]
async fn an_index_that_is_of_no_use_is_done_without(
    #[case] state: Option<TagIndexState>,
    #[case] told: &str,
) {
    const ACCOUNTS: usize = 600;
    let fixture = Fixture::of(ACCOUNTS);
    match state {
        Some(state) => fixture.sim.set_tag_index(state),
        None => fixture.sim.deny("GetResources"),
    }
    let begun = Instant::now();
    let unfinished_snapshot = fixture.read().await;
    let took = begun.elapsed().as_secs();
    assert!(why(&unfinished_snapshot).contains(told), "{}", why(&unfinished_snapshot));
    // Ten a second, each account once.
    assert!((59..=75).contains(&took), "{took} s");
    assert_eq!(fixture.sim.calls()["ListTagsForResource"], ACCOUNTS as u64);
    fixture.assert_true(&unfinished_snapshot).await;
}

/// An index that can't be checked is not used.
#[tokio::test(start_paused = true)]
async fn without_a_single_answer_nothing_is_believed() {
    let fixture = Fixture::of(50);
    fixture.sim.deny("ListTagsForResource");
    let unfinished_snapshot = fixture.read().await;
    assert!(
        why(&unfinished_snapshot).starts_with("the tag index could not be checked"),
        "{}",
        why(&unfinished_snapshot)
    );
    let snapshot = unfinished_snapshot.snapshot(&fixture.factory().await, "", BEGIN);
    for account in snapshot.accounts {
        assert_eq!(account.tags, None);
        assert!(account.tags_error.unwrap().contains("AccessDeniedException"));
    }
    // The accounts that the check could not read are not read again.
    assert_eq!(fixture.sim.calls()["ListTagsForResource"], 50);
}

#[tokio::test(start_paused = true)]
async fn tags_of_some_are_denied() {
    let mut truth = random_fleet(40, 50, 1);
    for account in truth.accounts.iter_mut().step_by(7) {
        account.tags = None;
    }
    let fixture = Fixture::new(truth, FaultLevel::None);
    fixture.sim.deny("GetResources");
    fixture.assert_true(&fixture.read().await).await;
}

/// If all accounts that the index doesn't list deny their tags, only these are read, and their tags
/// stay unknown; the tags of all others come from the index.
#[rstest]
#[case::one(1)]
#[case::more_than_are_asked_at_once(15)]
#[tokio::test(start_paused = true)]
async fn accounts_that_deny_their_tags_are_asked_alone(#[case] denied: usize) {
    let mut truth = random_fleet(400, 100, 1);
    for account in truth.accounts.iter_mut().skip(7).take(denied) {
        account.tags = None;
    }
    let fixture = Fixture::new(truth, FaultLevel::None);
    let unfinished_snapshot = fixture.read().await;
    assert_eq!(unfinished_snapshot.tag_source, Some(TagSource::Batch { agreed: 10 }));
    assert_eq!(fixture.sim.calls()["ListTagsForResource"], 10 + denied as u64);
    let snapshot = unfinished_snapshot.snapshot(&fixture.factory().await, "", BEGIN);
    for (read, truth) in snapshot.accounts.iter().zip(&fixture.truth.accounts) {
        assert_eq!(read.tags, truth.tags, "{}", read.id);
        assert_eq!(read.tags_error.is_some(), truth.tags.is_none());
    }
}

#[rstest]
#[case(FaultLevel::Light)]
#[case(FaultLevel::Heavy)]
#[tokio::test(start_paused = true)]
async fn what_fails_for_the_moment_is_tried_again(#[case] faults: FaultLevel) {
    let fixture = Fixture::new(random_fleet(700, 50, 1), faults);
    fixture.assert_true(&fixture.read().await).await;
    let fixture = Fixture::new(random_fleet(100, 50, 1), faults);
    fixture.sim.deny("GetResources");
    fixture.assert_true(&fixture.read().await).await;
}

#[tokio::test(start_paused = true)]
async fn throttled_for_minutes() {
    let fixture = Fixture::of(30);
    let reader = SnapshotReader::new(fixture.ports(), fixture.begin().await);
    for operation in READS {
        (0..12).for_each(|_| {
            fixture.sim.inject_fault(operation, Fault::Rejected(Rejection::Throttled))
        });
    }
    reader.read().await.unwrap();
    let unfinished_snapshot = reader.unfinished_snapshot().clone();
    assert!(
        matches!(unfinished_snapshot.tag_source, Some(TagSource::Batch { .. })),
        "{:?}",
        unfinished_snapshot.tag_source
    );
    fixture.assert_true(&unfinished_snapshot).await;
}

#[rstest]
#[case("ListAccounts")]
#[case("SearchProvisionedProducts")]
#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_is_told(#[case] operation: &'static str) {
    let fixture = Fixture::of(30);
    fixture.sim.deny(operation);
    let reader = SnapshotReader::new(fixture.ports(), fixture.begin().await);
    assert_eq!(reader.read().await.unwrap_err().operation, operation);
}

/// Lets a number of calls pass and hangs at the next. Records the calls that were answered.
#[derive(Default)]
struct Gate {
    left: Mutex<usize>,
    closed: Notify,
    answered: Mutex<Vec<String>>,
}

impl Gate {
    async fn pass<T>(
        &self,
        call: String,
        answer: impl Future<Output = Result<T, AwsError>>,
    ) -> Result<T, AwsError> {
        let shut = {
            let mut left = self.left.lock().unwrap();
            let shut = *left == 0;
            *left = left.saturating_sub(1);
            shut
        };
        if shut {
            self.closed.notify_one();
            std::future::pending::<()>().await;
        }
        let answer = answer.await;
        self.answered.lock().unwrap().push(call);
        answer
    }
}

/// Ports behind a gate.
struct Gated {
    gate: Arc<Gate>,
    ports: SnapshotPorts,
}

#[async_trait]
impl TagIndex for Gated {
    async fn tagged(
        &self,
        page: Option<&str>,
    ) -> Result<Page<(AccountId, BTreeMap<String, String>)>, AwsError> {
        self.gate.pass(format!("index {page:?}"), self.ports.tag_index.tagged(page)).await
    }
}

#[async_trait]
impl AccountDirectory for Gated {
    async fn accounts(&self, page: Option<&str>) -> Result<Page<Arc<Account>>, AwsError> {
        self.gate.pass(format!("accounts {page:?}"), self.ports.directory.accounts(page)).await
    }

    async fn account(&self, _: &AccountId) -> Result<Arc<Account>, AwsError> {
        panic!("a snapshot looks up no single account")
    }

    async fn tags(&self, id: &AccountId) -> Result<BTreeMap<String, String>, AwsError> {
        self.gate.pass(format!("tags {id}"), self.ports.directory.tags(id)).await
    }
}

#[async_trait]
impl Catalog for Gated {
    async fn account_factory(&self) -> Result<AccountFactory, AwsError> {
        self.ports.catalog.account_factory().await
    }

    async fn provisioned_products(
        &self,
        product: &ProductId,
        page: Option<&str>,
    ) -> Result<Page<ProvisionedProduct>, AwsError> {
        let products = self.ports.catalog.provisioned_products(product, page);
        self.gate.pass(format!("products {page:?}"), products).await
    }

    async fn provisioned_product(
        &self,
        _: &ProvisionedProductId,
    ) -> Result<ProvisionedProduct, AwsError> {
        panic!("a snapshot looks up no single product")
    }

    async fn under_change(&self) -> Result<BTreeSet<ProvisionedProductId>, AwsError> {
        panic!("a snapshot starts nothing")
    }

    async fn launch_path(&self, _: &ProductId) -> Result<LaunchPathId, AwsError> {
        panic!("a snapshot starts nothing")
    }

    async fn start_update(&self, _: &UpdateRequest) -> Result<RecordId, AwsError> {
        panic!("a snapshot starts nothing")
    }

    async fn record(&self, _: &ProvisionedProductId, _: &RecordId) -> Result<Record, AwsError> {
        panic!("a snapshot follows nothing")
    }

    async fn outputs(&self, _: &RecordId) -> Result<BTreeMap<String, String>, AwsError> {
        panic!("a snapshot follows nothing")
    }
}

/// The reading is cancelled at every call in turn, and continued from the partial snapshot: every
/// call is made once.
#[rstest]
#[case::in_batch(1, false)]
#[case::one_by_one(1, true)]
#[case::a_few_at_a_time(5, true)]
#[tokio::test(start_paused = true)]
async fn nothing_is_asked_twice(#[case] at_a_time: usize, #[case] denied: bool) {
    let fixture = Fixture::of(330);
    if denied {
        fixture.sim.set_tag_index(TagIndexState::Stale);
    }
    let gate = Arc::new(Gate::default());
    let mut written = serde_json::to_string(&fixture.begin().await).unwrap();
    let mut runs = 0;
    let unfinished_snapshot = loop {
        runs += 1;
        let gated = Arc::new(Gated { gate: gate.clone(), ports: fixture.ports() });
        let ports =
            SnapshotPorts { catalog: gated.clone(), directory: gated.clone(), tag_index: gated };
        *gate.left.lock().unwrap() = at_a_time;
        let reader = SnapshotReader::new(ports, serde_json::from_str(&written).unwrap());
        let done = tokio::select! {
            read = reader.read() => { read.unwrap(); true }
            // Calls that passed the gate are answered before the reading is cancelled.
            () = async { gate.closed.notified().await; tokio::time::sleep(Duration::from_secs(5)).await } => false,
        };
        written = serde_json::to_string(&*reader.unfinished_snapshot()).unwrap();
        if done {
            break reader.unfinished_snapshot().clone();
        }
    };
    let answered = gate.answered.lock().unwrap().clone();
    assert!(runs >= answered.len() / at_a_time, "{runs} runs");
    let once: BTreeSet<&String> = answered.iter().collect();
    assert_eq!(once.len(), answered.len(), "{answered:?}");
    fixture.assert_true(&unfinished_snapshot).await;
}

/// A token that AWS rejects restarts that listing only.
#[tokio::test(start_paused = true)]
async fn a_listing_whose_token_is_no_longer_good_begins_anew() {
    let fixture = Fixture::of(900);
    let reader = SnapshotReader::new(fixture.ports(), fixture.begin().await);
    let cut = tokio::time::timeout(Duration::from_millis(700), reader.read()).await;
    assert!(cut.is_err());
    let written = serde_json::to_string(&*reader.unfinished_snapshot()).unwrap();
    assert!(written.contains("\"page\":\"page-"), "{written}");
    let unfinished_snapshot = serde_json::from_str(&written.replace("\"page-", "\"gone-")).unwrap();
    let reader = SnapshotReader::new(fixture.ports(), unfinished_snapshot);
    reader.read().await.unwrap();
    let unfinished_snapshot = reader.unfinished_snapshot().clone();
    fixture.assert_true(&unfinished_snapshot).await;
}
