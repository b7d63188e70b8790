//! The functions by which tests and commands set up a simulation and read from it. None of them is
//! a request to AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{AccountId, AccountState};
use jiff::Timestamp;

use super::events;
use super::{EVENT_DELAY, Model};
use crate::faults::Fault;
use crate::ids;
use crate::schedule::ScheduledEvent;
use crate::services::control_tower::LandingZone;
use crate::services::service_catalog::LaunchPath;
use crate::services::service_catalog::operation_store::{
    LoggedOperation, MaxConcurrent, OperationOutcome, RecordOutcome,
};
use crate::services::sns::PublishedAlert;
use crate::services::sqs::QueueOptions;
use crate::services::support::OpenedCase;
use crate::services::tagging::TagIndexState;
use crate::time::saturating_later;

/// How long the closing of an account takes. AWS states no time; minutes were observed.
const SUSPENDED_AFTER: Duration = Duration::from_secs(5 * 60);

impl Model {
    /// Releases a new artifact of Account Factory, which no account is on, and sends its event.
    /// Returns its id.
    pub fn release_artifact(&mut self, now: Timestamp) -> String {
        self.advance(now);
        self.catalog.release(now);
        self.announce_artifact(now)
    }

    /// Sends the event of the newest artifact, as AWS did when it was released. Returns its id.
    pub fn announce_artifact(&mut self, now: Timestamp) -> String {
        self.advance(now);
        let artifact = self.catalog.newest_id().to_owned();
        let id = ids::uuid(&mut self.rng);
        let event = events::artifact_released(
            &id,
            saturating_later(now, EVENT_DELAY),
            &self.catalog.product_id,
            &artifact,
        );
        self.emit(now, event);
        artifact
    }

    /// Delivers an event at once, at any fault level.
    pub fn inject_event(&mut self, now: Timestamp, event: String) {
        self.advance(now);
        self.schedule.add(now, ScheduledEvent::EventDelivered { event });
        self.advance(now);
    }

    /// Starts an operation of another caller that changes no version. Returns whether it could
    /// start.
    pub fn foreign_operation(
        &mut self,
        now: Timestamp,
        account: &AccountId,
        duration: Duration,
    ) -> bool {
        self.advance(now);
        let Some(index) = self.fleet.find(account.as_str()) else { return false };
        let artifact = self.catalog.store.product(index).map_or(0, |p| p.artifact);
        self.start_foreign_operation(now, index, artifact, Some(duration))
    }

    /// Injects a fault into the next call of an operation.
    pub(crate) fn inject_fault(&mut self, operation: &str, fault: Fault) {
        self.planned.entry(operation.to_owned()).or_default().push_back(fault);
    }

    /// Takes the permission for an operation from the caller.
    pub(crate) fn deny(&mut self, operation: &str) {
        self.denied.insert(operation.to_owned());
    }

    /// Sets how completely the tag index knows the tags of accounts.
    pub(crate) fn set_tag_index(&mut self, state: TagIndexState) {
        self.tagging.state = state;
    }

    /// Sets the beginning of the queues' URLs, instead of SQS's own endpoint.
    pub fn set_queue_endpoint(&mut self, endpoint: String) {
        self.sqs.endpoint = endpoint;
    }

    /// Adds a queue, or empties and changes the one of the same name.
    pub fn create_queue(&mut self, now: Timestamp, options: QueueOptions) {
        self.advance(now);
        self.sqs.create(self.now, options);
    }

    /// Sets the launch paths of the caller: their ids, and the names of their portfolios.
    pub fn set_launch_paths(&mut self, paths: &[(&str, &str)]) {
        let path = |(id, portfolio): &(&str, &str)| LaunchPath {
            id: (*id).to_owned(),
            portfolio: (*portfolio).to_owned(),
        };
        self.catalog.paths = paths.iter().map(path).collect();
    }

    /// Sets the landing zone. `None` is an AWS without Control Tower.
    pub fn set_landing_zone(&mut self, landing_zone: Option<LandingZone>) {
        self.control_tower.landing_zone = landing_zone;
    }

    /// Registers every OU with Control Tower except those with these ids.
    pub fn set_unregistered_ous(&mut self, units: impl IntoIterator<Item = String>) {
        self.control_tower.unregistered = units.into_iter().collect();
    }

    /// Sets whether IAM Identity Center is enabled in the Region. At first it is.
    pub fn set_identity_center(&mut self, enabled: bool) {
        self.identity_center.enabled = enabled;
    }

    /// Closes an account: it is `PENDING_CLOSURE`, and minutes later `SUSPENDED`. Returns whether
    /// the account exists.
    pub fn close_account(&mut self, account: &AccountId) -> bool {
        let Some(account) = self.fleet.find(account.as_str()) else { return false };
        self.organizations.set_state(account, AccountState::PendingClosure);
        let at = saturating_later(self.now, SUSPENDED_AFTER);
        self.schedule.add(at, ScheduledEvent::AccountSuspended { account });
        true
    }

    /// Reopens an account. Returns whether the account exists.
    pub fn reopen_account(&mut self, account: &AccountId) -> bool {
        let account = self.fleet.find(account.as_str());
        account.map(|account| self.organizations.set_state(account, AccountState::Active)).is_some()
    }

    /// Moves an account into the OU with this path, from the top-level OU down. Returns whether
    /// both exist.
    pub fn move_account(&mut self, account: &AccountId, path: &[&str]) -> bool {
        let account = self.fleet.find(account.as_str());
        account.is_some_and(|account| self.organizations.move_account(account, path))
    }

    /// The parameters of the last successful operation on an account.
    pub fn parameters(&self, account: &AccountId) -> BTreeMap<String, String> {
        let account = self.fleet.find(account.as_str());
        let parameters = account.and_then(|account| {
            self.catalog.parameters(account, &self.organizations, &self.identity_store)
        });
        parameters.unwrap_or_default()
    }

    /// Removes an output from every record of an account.
    pub fn remove_output(&mut self, account: &AccountId, key: &str) {
        if let Some(account) = self.fleet.find(account.as_str()) {
            self.catalog.forgotten.insert((account, key.to_owned()));
        }
    }

    /// Removes the record of the last successful operation on an account.
    pub fn remove_record(&mut self, account: &AccountId) {
        let product = self.fleet.find(account.as_str()).and_then(|i| self.catalog.store.product(i));
        if let Some(record) = product.map(|product| product.last_successful) {
            self.catalog.gone.insert(record);
        }
    }

    /// Removes a user of IAM Identity Center.
    pub fn remove_user(&mut self, email: &str) {
        self.identity_store.remove(email);
    }

    /// Sets the names of a user of IAM Identity Center. `None` removes a name.
    pub fn rename_user(&mut self, email: &str, given: Option<&str>, family: Option<&str>) {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        self.identity_store.rename(email, owned(given), owned(family));
    }

    /// Emails of the users that updates have created.
    pub fn created_users(&self) -> &[String] {
        &self.identity_store.created
    }

    /// Id of the Account Factory product.
    pub fn product_id(&self) -> &str {
        &self.catalog.product_id
    }

    /// ARN of the alerts topic.
    pub fn topic_arn(&self) -> &str {
        &self.sns.topic_arn
    }

    /// How often each operation was called, every HTTP attempt counted.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    /// Names of the queues that each operation of SQS was called for.
    pub fn queues_asked(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.sqs.asked
    }

    /// Everything published to the alerts topic.
    pub fn alerts(&self) -> &[PublishedAlert] {
        &self.sns.published
    }

    /// Sets whether the account has a support plan. At first it has one. Without one, AWS Support
    /// rejects every call.
    pub fn set_support_plan(&mut self, plan: bool) {
        self.support.plan = plan;
    }

    /// Sets the delay after which `DescribeCases` shows a new case. At first there is none.
    pub fn set_case_delay(&mut self, delay: Duration) {
        self.support.delay = delay;
    }

    /// Every support case that was opened, oldest first.
    pub fn cases(&self) -> &[OpenedCase] {
        &self.support.cases
    }

    /// Bodies of the messages in a queue, by its name.
    pub fn queue_bodies(&mut self, now: Timestamp, name: &str) -> Vec<String> {
        self.advance(now);
        self.sqs.bodies(self.now, name)
    }

    /// The highest numbers of concurrent operations.
    pub fn max_concurrent(&self) -> MaxConcurrent {
        self.catalog.store.most
    }

    /// The accounts that are on the newest active artifact, as of `now`.
    pub fn current_accounts(&mut self, now: Timestamp) -> BTreeSet<AccountId> {
        self.advance(now);
        let newest = self.catalog.newest();
        let store = &self.catalog.store;
        let current = |index| store.product(index).is_some_and(|p| p.artifact == newest);
        let accounts = self.fleet.iter().filter(|(index, _)| current(*index));
        accounts.map(|(_, account)| account.id.clone()).collect()
    }

    /// Every operation that started, as of `now`.
    pub fn operations(&mut self, now: Timestamp) -> Vec<LoggedOperation> {
        self.advance(now);
        let fleet = Arc::clone(&self.fleet);
        self.catalog
            .store
            .started()
            .filter_map(|(number, record)| {
                let outcome = record.ended.as_ref().map(|(_, ended)| match ended {
                    RecordOutcome::Succeeded => OperationOutcome::Succeeded,
                    RecordOutcome::Failed(failure) => OperationOutcome::Failed {
                        code: failure.code.clone().into_owned(),
                        description: failure.description.clone(),
                    },
                });
                Some(LoggedOperation {
                    account: fleet.get(record.product)?.id.clone(),
                    provisioned_product: fleet.get(record.product)?.product.clone(),
                    record: ids::write(ids::RECORD, number),
                    foreign: record.foreign,
                    parameters: self.catalog.given.get(&number).cloned().unwrap_or_default(),
                    start: record.created,
                    end: record.ended.as_ref().map(|(time, _)| *time),
                    outcome,
                })
            })
            .collect()
    }
}
