//! The handle by which a host, a command or a test uses the simulated AWS.

mod connector;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use groundcrew_core::account::AccountId;
use groundcrew_core::ports::Clock;
use groundcrew_core::snapshot::Snapshot;
use jiff::Timestamp;

use crate::faults::{Fault, FaultLevel};
use crate::model::Model;
use crate::names::{
    self, EVENTS_DLQ, EVENTS_QUEUE, NOTIFICATIONS_DLQ, NOTIFICATIONS_QUEUE, UPDATES_DLQ,
    UPDATES_QUEUE,
};
use crate::services::control_tower::LandingZone;
use crate::services::service_catalog::operation_store::{LoggedOperation, MaxConcurrent};
use crate::services::sns::PublishedAlert;
use crate::services::sqs::{QueueOptions, address};
use crate::services::support::OpenedCase;
use crate::services::tagging::TagIndexState;
use crate::shared_model::SharedModel;
use crate::time::SimClock;
use crate::web::{ServiceNow, WebRecord, WebRequest, WebResponse};
use connector::Connector;

/// The initial settings of a simulation.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// The same seed gives the same run.
    pub seed: u64,
    /// The start time.
    pub start: Timestamp,
    /// The organization.
    pub snapshot: Snapshot,
    /// How many faults occur.
    pub faults: FaultLevel,
    /// Control Tower's quota of concurrent account operations: 5 unless AWS has raised it.
    pub account_quota: usize,
}

/// A simulated AWS. Clones share one model.
#[derive(Clone, Debug)]
pub struct SimAws {
    shared: Arc<SharedModel>,
}

impl SimAws {
    /// Makes a simulated AWS. Call this on the runtime that will run the simulation. It seeds
    /// fastrand's generator of this thread, from which the SDKs take their jitter.
    pub fn new(options: SimOptions) -> Self {
        fastrand::seed(options.seed);
        let model = Model::new(
            options.seed,
            options.start,
            options.snapshot,
            options.faults,
            options.account_quota,
        );
        let clock = SimClock::starting_at(options.start);
        Self { shared: Arc::new(SharedModel::new(model, clock)) }
    }

    /// The HTTP client for SDK clients.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(Connector(Arc::clone(&self.shared)))
    }

    /// The simulated time, for the host.
    pub fn clock(&self) -> SimClock {
        self.shared.clock
    }

    /// The simulated time, for SDK clients.
    pub fn time_source(&self) -> SharedTimeSource {
        SharedTimeSource::new(self.shared.clock)
    }

    /// Control Tower's home Region.
    pub fn region(&self) -> &'static str {
        names::REGION
    }

    /// Access key id and secret key. The simulated AWS accepts any pair.
    pub fn credentials(&self) -> (&'static str, &'static str) {
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    /// Name of the Account Factory product.
    pub fn product_name(&self) -> &'static str {
        names::PRODUCT_NAME
    }

    /// Name of the portfolio that holds the Account Factory product.
    pub fn portfolio_name(&self) -> &'static str {
        names::PORTFOLIO_NAME
    }

    /// Id of the Account Factory product.
    pub fn product_id(&self) -> String {
        self.shared.with(|model| model.product_id().to_owned())
    }

    /// URL of the updates queue (FIFO).
    pub fn updates_url(&self) -> String {
        address::url(UPDATES_QUEUE)
    }

    /// URL of the dead-letter queue of the updates queue.
    pub fn updates_dlq_url(&self) -> String {
        address::url(UPDATES_DLQ)
    }

    /// URL of the notifications queue (FIFO).
    pub fn notifications_url(&self) -> String {
        address::url(NOTIFICATIONS_QUEUE)
    }

    /// URL of the dead-letter queue of the notifications queue.
    pub fn notifications_dlq_url(&self) -> String {
        address::url(NOTIFICATIONS_DLQ)
    }

    /// URL of the events queue (standard).
    pub fn events_url(&self) -> String {
        address::url(EVENTS_QUEUE)
    }

    /// URL of the dead-letter queue of the events queue.
    pub fn events_dlq_url(&self) -> String {
        address::url(EVENTS_DLQ)
    }

    /// ARN of the alerts topic.
    pub fn topic_arn(&self) -> String {
        self.shared.with(|model| model.topic_arn().to_owned())
    }

    /// Sends the event of the newest artifact of Account Factory, as AWS did when it was released.
    /// It is the artifact of the accounts that are not outdated in the snapshot. Returns its id.
    pub fn announce_artifact(&self) -> String {
        self.shared.with(|model| model.announce_artifact(self.now()))
    }

    /// Releases a new artifact of Account Factory, so that every account is outdated, and sends its
    /// event. Returns its id.
    pub fn release_artifact(&self) -> String {
        self.shared.with(|model| model.release_artifact(self.now()))
    }

    /// Delivers an event to the events queue at once. The text need not be a valid event.
    pub fn inject_event(&self, json: &str) {
        self.shared.with(|model| model.inject_event(self.now(), json.to_owned()));
    }

    /// Starts an operation of another caller on an account. It takes `duration` and changes no
    /// version. Returns whether it could start.
    pub fn foreign_operation(&self, account: &AccountId, duration: Duration) -> bool {
        self.shared.with(|model| model.foreign_operation(self.now(), account, duration))
    }

    /// Injects a fault into the next call of an operation. Several faults are for several calls.
    pub fn inject_fault(&self, operation: &str, fault: Fault) {
        self.shared.with(|model| model.inject_fault(operation, fault));
    }

    /// Takes the permission for an operation from the caller.
    pub fn deny(&self, operation: &str) {
        self.shared.with(|model| model.deny(operation));
    }

    /// Sets how completely the Resource Groups Tagging API knows the tags of accounts. At first it
    /// has the same as Organizations.
    pub fn set_tag_index(&self, state: TagIndexState) {
        self.shared.with(|model| model.set_tag_index(state));
    }

    /// Adds a queue, or empties and changes the one of the same name. Returns its URL.
    pub fn create_queue(&self, options: QueueOptions) -> String {
        let url = address::url(&options.name);
        self.shared.with(|model| model.create_queue(self.now(), options));
        url
    }

    /// Sets whether the account has a support plan. At first it has one. Without one, AWS Support
    /// returns `SubscriptionRequiredException` for every call.
    pub fn set_support_plan(&self, plan: bool) {
        self.shared.with(|model| model.set_support_plan(plan));
    }

    /// Sets the delay after which `DescribeCases` shows a new case. At first there is none.
    pub fn set_case_delay(&self, delay: Duration) {
        self.shared.with(|model| model.set_case_delay(delay));
    }

    /// Every support case that was opened, oldest first.
    pub fn cases(&self) -> Vec<OpenedCase> {
        self.shared.with(|model| model.cases().to_vec())
    }

    /// Name of the DynamoDB table that exists from the start, with the string keys `pk` and `sk`.
    pub fn table_name(&self) -> &'static str {
        names::TABLE
    }

    /// Sets the launch paths of the caller to the Account Factory product: their ids, and the names
    /// of their portfolios.
    pub fn set_launch_paths(&self, paths: &[(&str, &str)]) {
        self.shared.with(|model| model.set_launch_paths(paths));
    }

    /// Sends a request to a system other than AWS, with the same faults. `None`: no response comes
    /// back, and the request may have had its effect.
    pub async fn web(&self, request: &WebRequest) -> Option<WebResponse> {
        self.shared.web(request).await
    }

    /// Sets up ServiceNow, one of the systems other than AWS.
    pub fn set_service_now(&self, service_now: ServiceNow) {
        self.shared.with(|model| model.web().service_now = service_now);
    }

    /// The records of the systems other than AWS, in the order of their creation.
    pub fn web_records(&self) -> Vec<WebRecord> {
        self.shared.with(|model| model.web().records())
    }

    /// Sets the landing zone. `None` is an AWS without Control Tower.
    pub fn set_landing_zone(&self, landing_zone: Option<LandingZone>) {
        self.shared.with(|model| model.set_landing_zone(landing_zone));
    }

    /// Registers every OU with Control Tower except those with these ids.
    pub fn set_unregistered_ous(&self, units: impl IntoIterator<Item = String>) {
        self.shared.with(|model| model.set_unregistered_ous(units));
    }

    /// Sets whether IAM Identity Center is enabled in the Region. At first it is.
    pub fn set_identity_center(&self, enabled: bool) {
        self.shared.with(|model| model.set_identity_center(enabled));
    }

    /// Closes an account: it is `PENDING_CLOSURE`, and minutes later `SUSPENDED`. Returns whether
    /// the account exists.
    pub fn close_account(&self, account: &AccountId) -> bool {
        self.shared.with(|model| model.close_account(account))
    }

    /// Reopens a closed account, as AWS Support does. Returns whether the account exists.
    pub fn reopen_account(&self, account: &AccountId) -> bool {
        self.shared.with(|model| model.reopen_account(account))
    }

    /// Moves an account into the OU with this path of names, from the top-level OU down. Returns
    /// whether both exist.
    pub fn move_account(&self, account: &AccountId, path: &[&str]) -> bool {
        self.shared.with(|model| model.move_account(account, path))
    }

    /// Moves an account into the registered OU with this path, whose baselines it gets by
    /// auto-enrolment: it joins with the event `EnableBaseline` alone and has no provisioned
    /// product. Returns whether both exist.
    pub fn auto_enroll(&self, account: &AccountId, path: &[&str]) -> bool {
        let now = self.shared.clock.now();
        self.shared.with(|model| model.auto_enroll(now, account, path))
    }

    /// Resets the baseline of the OU of an account. It sends the event of that, and one for each
    /// account in the OU. Returns whether the account exists in an OU.
    pub fn reset_ou_baseline(&self, account: &AccountId) -> bool {
        let now = self.shared.clock.now();
        self.shared.with(|model| model.reset_ou_baseline(now, account))
    }

    /// The parameters of the last successful operation of Account Factory on an account, which an
    /// update would keep.
    pub fn parameters(&self, account: &AccountId) -> BTreeMap<String, String> {
        self.shared.with(|model| model.parameters(account))
    }

    /// Removes an output from every record of an account.
    pub fn remove_output(&self, account: &AccountId, key: &str) {
        self.shared.with(|model| model.remove_output(account, key));
    }

    /// Removes the record of the last successful operation on an account.
    pub fn remove_record(&self, account: &AccountId) {
        self.shared.with(|model| model.remove_record(account));
    }

    /// Removes a user of IAM Identity Center, by email.
    pub fn remove_user(&self, email: &str) {
        self.shared.with(|model| model.remove_user(email));
    }

    /// Sets the names of a user of IAM Identity Center. `None` removes a name.
    pub fn rename_user(&self, email: &str, given: Option<&str>, family: Option<&str>) {
        self.shared.with(|model| model.rename_user(email, given, family));
    }

    /// Emails of the users that Account Factory has created because an update had an email that no
    /// user had.
    pub fn created_users(&self) -> Vec<String> {
        self.shared.with(|model| model.created_users().to_vec())
    }

    /// How often each operation was called, every HTTP attempt counted.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.with(|model| model.calls().clone())
    }

    /// The accounts that are on the newest active artifact.
    pub fn current_accounts(&self) -> BTreeSet<AccountId> {
        self.shared.with(|model| model.current_accounts(self.now()))
    }

    /// Every operation that started on an account, in the order of starting.
    pub fn operations(&self) -> Vec<LoggedOperation> {
        self.shared.with(|model| model.operations(self.now()))
    }

    /// The highest numbers of concurrent operations.
    pub fn max_concurrent(&self) -> MaxConcurrent {
        self.shared.with(|model| model.max_concurrent())
    }

    /// Every published alert.
    pub fn alerts(&self) -> Vec<PublishedAlert> {
        self.shared.with(|model| model.alerts().to_vec())
    }

    /// Bodies of the messages in a queue, in flight or not, by its URL: for example those of a
    /// dead-letter queue.
    pub fn messages(&self, queue_url: &str) -> Vec<String> {
        let name = queue_url.rsplit('/').next().unwrap_or_default();
        self.shared.with(|model| model.queue_bodies(self.now(), name))
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}
