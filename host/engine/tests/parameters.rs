//! The parameters of updates against the simulated AWS through the real SDKs, in virtual time: the
//! rebuilt parameters equal the previous ones, and an update with an unknown parameter is not
//! started.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::{ProductId, ProvisionedProductId};
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::parameters::{PARAMETER_KEYS, ParameterSource};
use groundcrew_core::ports::{
    DeadLetter, Ledger, QueuedUpdate, ReceivedMessage, RemovedDeadLetters, UnreadableMessage,
    UpdateQueue,
};
use groundcrew_core::scheduler::{LaneRules, SchedulerRules};
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_core::update_need::Causes;
use groundcrew_engine::{Host, HostPorts, Until, UpdateSettings};
use groundcrew_ledger::MemoryLedger;
use groundcrew_sim::{
    Fault, FaultLevel, LoggedOperation, Rejection, SimAws, SimOptions, random_fleet,
};
use groundcrew_testkit::hosts;
use jiff::Timestamp;
use rstest::rstest;

const BEGIN: Timestamp = Timestamp::constant(1_788_249_600, 0);
const DAY: Duration = Duration::from_secs(86_400);
/// Nested OUs and top-level ones.
const UNITS: [&[&str]; 4] =
    [&["Workloads", "Prod"], &["Infrastructure", "Network"], &["Infrastructure"], &["Sandbox"]];

struct Fixture {
    sim: SimAws,
    ledger: Arc<MemoryLedger>,
    accounts: Vec<AccountId>,
    parameters: ParameterSource,
    /// Queued updates of the first account name the provisioned product of the second.
    misdirected: bool,
}

/// An updates queue in which the queued updates of an account name the provisioned product of
/// another.
struct Misdirecting {
    queue: Arc<dyn UpdateQueue>,
    account: AccountId,
    product: ProvisionedProductId,
}

#[async_trait]
impl UpdateQueue for Misdirecting {
    async fn send(
        &self,
        queued_updates: &[QueuedUpdate],
    ) -> Result<Vec<(AccountId, String)>, AwsError> {
        let mut queued_updates = queued_updates.to_vec();
        for queued_update in
            queued_updates.iter_mut().filter(|queued_update| queued_update.account == self.account)
        {
            queued_update.provisioned_product = self.product.clone();
        }
        self.queue.send(&queued_updates).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Result<ReceivedMessage<QueuedUpdate>, UnreadableMessage>>, AwsError> {
        self.queue.receive(max, wait).await
    }

    async fn reject(&self, message: &UnreadableMessage) -> Result<(), AwsError> {
        self.queue.reject(message).await
    }

    async fn delete(&self, receipt_handle: &str) -> Result<(), AwsError> {
        self.queue.delete(receipt_handle).await
    }

    async fn postpone(&self, receipt_handle: &str, delay: Duration) -> Result<(), AwsError> {
        self.queue.postpone(receipt_handle, delay).await
    }

    async fn is_empty(&self) -> Result<bool, AwsError> {
        self.queue.is_empty().await
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), AwsError> {
        self.queue.dead_letter(letter).await
    }

    async fn remove_dead_letters(
        &self,
        accounts: &BTreeSet<AccountId>,
        began: Timestamp,
    ) -> Result<RemovedDeadLetters, AwsError> {
        self.queue.remove_dead_letters(accounts, began).await
    }
}

impl Fixture {
    /// Accounts in these OUs, one after the other.
    fn new(accounts: usize) -> Self {
        let mut snapshot = random_fleet(accounts, 50, 1);
        for (account, unit) in snapshot.accounts.iter_mut().zip(UNITS.iter().cycle()) {
            account.ou = unit.iter().map(|name| (*name).to_owned()).collect();
            // The parameters of its previous OU.
            account.ou_ids.clear();
        }
        let accounts = snapshot.accounts.iter().map(|one| one.id.parse().unwrap()).collect();
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: BEGIN,
            snapshot,
            faults: FaultLevel::None,
            account_quota: 5,
        });
        sim.announce_artifact();
        let (ledger, parameters) = (Arc::default(), ParameterSource::Rebuild);
        Self { sim, ledger, accounts, parameters, misdirected: false }
    }

    async fn run(&self) {
        let sim = &self.sim;
        let mut updates = hosts::updates(sim, self.ledger.clone());
        if self.misdirected {
            let id = ProductId::new(sim.product_id());
            let products = updates.catalog.provisioned_products(&id, None).await.unwrap().items;
            let second = products.into_iter().find(|one| one.account == self.accounts[1]);
            let (account, product) = (self.accounts[0].clone(), second.unwrap().id);
            updates.queue = Arc::new(Misdirecting { queue: updates.queue, account, product });
        }
        let host = Host::new(
            HostPorts { updates, events: hosts::events(sim), notifications: None },
            UpdateSettings {
                rules: SchedulerRules {
                    lanes: vec![LaneRules::new("all", 2)],
                    max_concurrent_operations: 2,
                    per_ou_limit: None,
                    max_attempts: 3,
                    poll_interval: Duration::from_secs(30),
                    operation_timeout: Duration::from_secs(3600),
                    window: DAY,
                    sweep_interval: Duration::from_secs(6 * 3600),
                    min_sweep_interval: Duration::from_secs(60),
                    suggestions: CommandFormatter::default(),
                },
                account_quota: 5,
                reserve: 0,
                causes: Causes::default(),
                approval: None,
                host: "host".into(),
                version: None,
                parameters: self.parameters,
                fallback: Fallback::Proceed,
                policies: Vec::new(),
            },
        );
        host.run(Until::QuiescentOr(BEGIN + DAY)).await;
    }

    fn updates_of(&self, account: &AccountId) -> Vec<LoggedOperation> {
        let mut operations = self.sim.operations();
        operations.retain(|operation| operation.account == *account);
        operations
    }

    /// The OU in the parameters of an account's only update.
    fn unit_of(&self, account: &AccountId) -> String {
        let [update] = &self.updates_of(account)[..] else { panic!("one update") };
        update.parameters["ManagedOrganizationalUnit"].clone()
    }

    /// The first account was dead-lettered without a start, and the reason contains all of these
    /// texts. The others were updated, and no user was created.
    async fn assert_given_up(&self, reasons: &[&str]) {
        let given_up = &self.accounts[0];
        assert!(self.updates_of(given_up).is_empty());
        for other in &self.accounts[1..] {
            assert_eq!(self.updates_of(other).len(), 1, "{other}");
        }
        assert!(self.ledger.slots().await.unwrap().is_empty());
        assert!(self.sim.created_users().is_empty());
        let letters = self.sim.messages(&self.sim.updates_dlq_url());
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        let letter: DeadLetter = serde_json::from_str(letter).unwrap();
        assert_eq!(letter.account, *given_up);
        let alerts = self.sim.alerts();
        let [alert] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!(alert.subject, format!("Update of account {given_up} failed"));
        for reason in reasons {
            assert!(letter.reason.contains(reason), "{reason}: {}", letter.reason);
            assert!(alert.message.contains(reason), "{reason}: {}", alert.message);
        }
    }
}

/// For nested and for top-level OUs all six parameters are the previous ones, so that no user is
/// created.
#[tokio::test(start_paused = true)]
async fn what_is_rebuilt_equals_what_was() {
    let fixture = Fixture::new(4);
    let before: Vec<_> = fixture.accounts.iter().map(|id| fixture.sim.parameters(id)).collect();
    fixture.run().await;
    let mut units = Vec::new();
    for (account, before) in fixture.accounts.iter().zip(before) {
        let [update] = &fixture.updates_of(account)[..] else { panic!("one update") };
        assert_eq!(update.parameters, before);
        assert!(update.parameters.keys().eq(PARAMETER_KEYS), "{:?}", update.parameters);
        assert!(update.parameters.values().all(|value| !value.is_empty()));
        units.push(fixture.unit_of(account));
    }
    assert!(units[0].starts_with("Prod (ou-") && units[0].ends_with(')'), "{units:?}");
    assert!(units[1].starts_with("Network (ou-") && units[1].ends_with(')'), "{units:?}");
    assert_eq!(units[2..], ["Infrastructure", "Sandbox"]);
    assert!(fixture.sim.created_users().is_empty());
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// The provisioned product of another account would get the parameters of this one, or a second
/// update: such a queued update starts nothing, and counts as no attempt.
#[rstest]
#[case(ParameterSource::Rebuild)]
#[case(ParameterSource::Previous)]
#[tokio::test(start_paused = true)]
async fn a_hint_that_names_anothers_provisioned_product(#[case] parameters: ParameterSource) {
    let fixture = Fixture { parameters, misdirected: true, ..Fixture::new(4) };
    fixture.run().await;
    assert!(fixture.updates_of(&fixture.accounts[0]).is_empty());
    for other in &fixture.accounts[1..] {
        assert_eq!(fixture.updates_of(other).len(), 1, "{other}");
    }
    assert!(fixture.ledger.slots().await.unwrap().is_empty());
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// The account was moved after the last update: the update passes the present OU, or keeps the
/// previous one.
#[rstest]
#[case::top_level(ParameterSource::Rebuild, &["Sandbox"], "Sandbox")]
#[case::nested(ParameterSource::Rebuild, &["Infrastructure", "Network"], "Network (ou-")]
#[case::kept(ParameterSource::Previous, &["Sandbox"], "Prod (ou-")]
#[tokio::test(start_paused = true)]
async fn a_moved_account_gets_its_new_unit(
    #[case] parameters: ParameterSource,
    #[case] to: &[&str],
    #[case] unit: &str,
) {
    let fixture = Fixture { parameters, ..Fixture::new(4) };
    assert!(fixture.sim.move_account(&fixture.accounts[0], to));
    fixture.run().await;
    let given = fixture.unit_of(&fixture.accounts[0]);
    assert!(given.starts_with(unit), "{given}");
}

#[tokio::test(start_paused = true)]
async fn previous_values_are_kept_and_nobody_is_looked_up() {
    let fixture = Fixture { parameters: ParameterSource::Previous, ..Fixture::new(3) };
    fixture.sim.set_identity_center(false);
    fixture.run().await;
    for account in &fixture.accounts {
        assert_eq!(fixture.updates_of(account).len(), 1);
    }
    for operation in ["ListInstances", "GetUserId", "DescribeUser"] {
        assert_eq!(fixture.sim.calls().get(operation), None, "{operation}");
    }
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

#[rstest]
#[case::user(
    |sim: &SimAws, _: &AccountId, email: &str| sim.remove_user(email),
    &["SSOUserFirstName (IAM Identity Center has no user owner+", "SSOUserLastName ("]
)]
#[case::family_name(
    |sim: &SimAws, _: &AccountId, email: &str| sim.rename_user(email, Some("Ada"), None),
    &["unknown: SSOUserLastName (the user owner+"]
)]
#[case::account_email(
    |sim: &SimAws, id: &AccountId, _: &str| sim.remove_output(id, "AccountEmail"),
    &["AccountEmail (the last successful record rec-"]
)]
#[case::user_email(
    |sim: &SimAws, id: &AccountId, _: &str| sim.remove_output(id, "SSOUserEmail"),
    &["SSOUserEmail (the last successful record rec-", "SSOUserFirstName (without its email"]
)]
#[case::record(
    |sim: &SimAws, id: &AccountId, _: &str| sim.remove_record(id),
    &["AccountEmail (Service Catalog no longer has", "SSOUserEmail ("]
)]
#[case::unit(
    |sim: &SimAws, id: &AccountId, _: &str| assert!(sim.move_account(id, &[])),
    &["ManagedOrganizationalUnit (the account is directly under the root)"]
)]
#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_starts_nothing(
    #[case] lose: impl Fn(&SimAws, &AccountId, &str),
    #[case] reasons: &[&str],
) {
    let fixture = Fixture::new(3);
    let account = &fixture.accounts[0];
    let email = fixture.sim.parameters(account)["SSOUserEmail"].clone();
    lose(&fixture.sim, account, &email);
    fixture.run().await;
    fixture.assert_given_up(reasons).await;
}

/// Reads are throttled for longer than the SDK retries: the account waits, which counts as no
/// attempt.
#[rstest]
#[case("DescribeRecord")]
#[case("ListInstances")]
#[case("GetUserId")]
#[case("DescribeUser")]
#[tokio::test(start_paused = true)]
async fn throttled_reads_are_tried_again(#[case] operation: &str) {
    let fixture = Fixture::new(2);
    for _ in 0..20 {
        fixture.sim.inject_fault(operation, Fault::Rejected(Rejection::Throttled));
    }
    fixture.run().await;
    for account in &fixture.accounts {
        assert_eq!(fixture.updates_of(account).len(), 1);
    }
    assert!(fixture.sim.calls()[operation] > 20);
    assert!(fixture.sim.alerts().is_empty(), "{:?}", fixture.sim.alerts());
}

/// An error that concerns every account counts for none of them: starts wait, and one alert is
/// published.
#[rstest]
#[case::denied(|sim: &SimAws| sim.deny("GetUserId"), "not authorized to perform: identitystore:GetUserId")]
#[case::elsewhere(|sim: &SimAws| sim.set_identity_center(false), "account_factory.identity_center_region")]
#[tokio::test(start_paused = true)]
async fn without_identity_center_nothing_starts(
    #[case] lose: impl Fn(&SimAws),
    #[case] told: &str,
) {
    let fixture = Fixture::new(3);
    lose(&fixture.sim);
    fixture.run().await;
    assert!(fixture.sim.operations().is_empty());
    assert!(fixture.sim.messages(&fixture.sim.updates_dlq_url()).is_empty());
    let alerts = fixture.sim.alerts();
    assert!(alerts.iter().all(|alert| alert.subject == "Updates can't be started"), "{alerts:?}");
    // Within a day, one every six hours.
    assert!((1..=4).contains(&alerts.len()), "{alerts:?}");
    assert!(alerts[0].message.contains(told), "{alerts:?}");
}

/// A start that never reached AWS is repeated with the data of that time.
#[tokio::test(start_paused = true)]
async fn a_start_is_not_made_up_for_without_its_parameters() {
    let fixture = Fixture::new(1);
    // Every repeat of the start, and all attempts of each.
    for _ in 0..18 {
        fixture.sim.inject_fault("UpdateProvisionedProduct", Fault::ConnectionFailed);
    }
    let email = fixture.sim.parameters(&fixture.accounts[0])["SSOUserEmail"].clone();
    let lose = async {
        while !fixture.sim.calls().contains_key("UpdateProvisionedProduct") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(fixture.ledger.slots().await.unwrap().len(), 1);
        fixture.sim.remove_user(&email);
    };
    tokio::join!(fixture.run(), lose);
    assert_eq!(fixture.sim.calls()["UpdateProvisionedProduct"], 18);
    fixture.assert_given_up(&["SSOUserFirstName (IAM Identity Center has no user"]).await;
}
