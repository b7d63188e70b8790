//! The simulated control plane as a function from request to response. It has no clock, no task and
//! no socket: its caller passes the time.

mod auto_enrolment;
mod events;
mod test_api;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use groundcrew_core::account::AccountState;
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::snapshot::Snapshot;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::faults::{
    EventDelivery, Fault, FaultInjector, FaultLevel, OperationFailure, Rejection, RoundTrip,
};
use crate::fleet::Fleet;
use crate::fleet::versions::ArtifactVersions;
use crate::ids;
use crate::names::{
    EVENTS_DLQ, EVENTS_QUEUE, NOTIFICATIONS_DLQ, NOTIFICATIONS_QUEUE, UPDATES_DLQ, UPDATES_QUEUE,
};
use crate::protocol::operations;
use crate::protocol::{ApiError, Call, Encoding, Request, Response, Service};
use crate::schedule::{EventSchedule, ScheduledEvent};
use crate::services::control_tower::{self, ControlTower};
use crate::services::dynamodb::{self, DynamoDb};
use crate::services::identity_center::{self, IdentityCenter};
use crate::services::identity_store::{self, IdentityStore};
use crate::services::organizations::{self, Organizations};
use crate::services::service_catalog::operation_store::RecordOutcome;
use crate::services::service_catalog::starter::OperationStarter;
use crate::services::service_catalog::{self, ServiceCatalog};
use crate::services::sns::{self, Sns};
use crate::services::sqs::QueueOptions;
use crate::services::sqs::{self, CallOutcome, PendingReceive, Sqs};
use crate::services::sts::{self, Sts};
use crate::services::support::{self, Support};
use crate::services::tagging::{self, Tagging};
use crate::time::saturating_later;
use crate::web::Web;
use events::UpdateEnded;

/// The number of receives after which a message is moved to the dead-letter queue. It is a backstop
/// for poison messages, far above the receives of a message that waits for a slot or for a gate.
const MAX_RECEIVES: u32 = 1000;

/// The delay between the end of an operation and its event.
const EVENT_DELAY: Duration = Duration::from_secs(2);

/// The supported operations by service, which [`Model::handle`] dispatches.
pub fn supported_operations() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("controltower", operations::names(control_tower::OPERATIONS)),
        ("dynamodb", operations::names(dynamodb::OPERATIONS)),
        ("identitystore", operations::names(identity_store::OPERATIONS)),
        ("organizations", operations::names(organizations::OPERATIONS)),
        ("resourcegroupstaggingapi", operations::names(tagging::OPERATIONS)),
        ("servicecatalog", operations::names(service_catalog::OPERATIONS)),
        ("sns", operations::names(sns::OPERATIONS)),
        ("sqs", operations::names(sqs::OPERATIONS)),
        ("sso-admin", operations::names(identity_center::OPERATIONS)),
        ("sts", operations::names(sts::OPERATIONS)),
        ("support", operations::names(support::OPERATIONS)),
    ])
}

/// A response, or a long poll that waits.
#[derive(Debug)]
pub enum ModelResponse {
    /// The response.
    Ready(Response),
    /// A long poll that has no result yet. Call [`Model::resume`] at [`LongPoll::wake_at`], or
    /// earlier when [`Model::change_count`] returns another number.
    Wait(LongPoll),
}

/// A long poll in progress.
#[derive(Clone, Debug)]
pub struct LongPoll {
    receive: PendingReceive,
    operation: &'static str,
    /// The latest time for the next call.
    pub wake_at: Timestamp,
}

/// The state of the simulated control plane.
#[derive(Debug, Serialize, Deserialize)]
pub struct Model {
    now: Timestamp,
    quota: usize,
    fleet: Arc<Fleet>,
    #[serde(rename = "agenda")]
    schedule: EventSchedule,
    faults: FaultInjector,
    catalog: ServiceCatalog,
    organizations: Organizations,
    sqs: Sqs,
    sns: Sns,
    support: Support,
    dynamo: DynamoDb,
    tagging: Tagging,
    control_tower: ControlTower,
    identity_center: IdentityCenter,
    identity_store: IdentityStore,
    web: Web,
    #[serde(with = "crate::state_serde::rng")]
    rng: Rng,
    calls: BTreeMap<String, u64>,
    /// The faults that tests have injected into the next calls of an operation.
    planned: BTreeMap<String, VecDeque<Fault>>,
    /// The operations that the caller has no permission for.
    denied: BTreeSet<String>,
    sent: u64,
}

impl Model {
    /// A control plane with the organization of the snapshot.
    pub fn new(
        seed: u64,
        start: Timestamp,
        snapshot: Snapshot,
        faults: FaultLevel,
        quota: usize,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        let versions = ArtifactVersions::new(&snapshot);
        let product = snapshot.target.as_ref().map(|target| target.product.as_str().to_owned());
        let fleet = Arc::new(Fleet::new(snapshot, &versions));
        let mut model = Self {
            now: start,
            quota,
            schedule: EventSchedule::default(),
            faults: FaultInjector::new(faults, rng.u64(..)),
            catalog: ServiceCatalog::new(Arc::clone(&fleet), product, versions, start),
            organizations: Organizations::new(Arc::clone(&fleet), start),
            sqs: Sqs::new(rng.fork()),
            sns: Sns::new(rng.fork()),
            // With a generator of its own, so that it does not change the random numbers of the
            // others.
            support: Support::new(Rng::with_seed(seed ^ 1)),
            dynamo: DynamoDb::new(start, Rng::with_seed(seed ^ 2)),
            tagging: Tagging::new(start),
            control_tower: ControlTower::new(),
            identity_center: IdentityCenter::new(start),
            identity_store: IdentityStore::new(&fleet),
            web: Web::default(),
            rng,
            calls: BTreeMap::new(),
            planned: BTreeMap::new(),
            denied: BTreeSet::new(),
            sent: 0,
            fleet,
        };
        model.create_queues();
        model.start_running_operations();
        model.schedule_foreign_operation(start);
        model
    }

    fn create_queues(&mut self) {
        let fourteen_days = Duration::from_secs(14 * 24 * 3600);
        let pairs = [
            (UPDATES_QUEUE, UPDATES_DLQ, 300),
            (NOTIFICATIONS_QUEUE, NOTIFICATIONS_DLQ, 300),
            (EVENTS_QUEUE, EVENTS_DLQ, 60),
        ];
        for (name, dead, visibility) in pairs {
            for (name, redrive) in [(dead, None), (name, Some((dead.to_owned(), MAX_RECEIVES)))] {
                self.sqs.create(
                    self.now,
                    QueueOptions {
                        name: name.to_owned(),
                        fifo: name.ends_with(".fifo"),
                        visibility: Duration::from_secs(visibility),
                        retention: fourteen_days,
                        redrive,
                    },
                );
            }
        }
        self.sqs.allow_eventbridge(EVENTS_QUEUE);
    }

    /// Starts the operations that are in progress in the snapshot.
    fn start_running_operations(&mut self) {
        let fleet = Arc::clone(&self.fleet);
        for (index, account) in fleet.iter() {
            match account.status {
                ProductStatus::UnderChange => {
                    let artifact = self.catalog.store.product(index).map_or(0, |p| p.artifact);
                    self.start_foreign_operation(self.now, index, artifact, None);
                }
                ProductStatus::PlanInProgress => self.schedule.add(
                    saturating_later(self.now, account.update_time),
                    ScheduledEvent::PlanEnds { account: index },
                ),
                _ => {}
            }
        }
    }

    /// The time up to which the scheduled events have happened.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Passes the shared accounts to the services. A saved state has them once.
    pub(crate) fn share_fleet(&mut self) {
        self.catalog.fleet = Arc::clone(&self.fleet);
        self.organizations.fleet = Arc::clone(&self.fleet);
    }

    /// Returns the response to a request at `now`, which must not go backwards.
    pub fn handle(&mut self, now: Timestamp, request: &Request<'_>) -> ModelResponse {
        self.advance(now);
        let call = match Call::read(request) {
            Ok(call) => call,
            Err(error) => return ModelResponse::Ready(error.respond(ids::uuid(&mut self.rng))),
        };
        self.dispatch(&call)
    }

    /// Tries a long poll again.
    pub fn resume(&mut self, now: Timestamp, poll: LongPoll) -> ModelResponse {
        self.advance(now);
        let call = Call {
            service: Service::Sqs,
            operation: poll.operation,
            encoding: Encoding::Json,
            body: b"",
        };
        let outcome = self.sqs.resume(self.now, poll.receive);
        self.answer(&call, Ok(outcome))
    }

    /// A number that changes whenever a message may have become visible, or a scheduled event was
    /// added that may make one visible.
    pub fn change_count(&self) -> u64 {
        self.schedule.added() + self.sent
    }

    fn dispatch(&mut self, call: &Call<'_>) -> ModelResponse {
        let now = self.now;
        if self.denied.contains(call.operation) {
            return self.answer(call, Err(ApiError::denied(call.service, call.operation)));
        }
        let outcome = match call.service {
            Service::Catalog => {
                let (catalog, mut starter) = self.catalog();
                catalog.call(now, call, &mut starter).map(CallOutcome::Done)
            }
            Service::Organizations => self.organizations.call(now, call).map(CallOutcome::Done),
            Service::Sqs => {
                if matches!(
                    call.operation,
                    "SendMessage"
                        | "SendMessageBatch"
                        | "ChangeMessageVisibility"
                        | "ChangeMessageVisibilityBatch"
                        | "DeleteMessage"
                        | "DeleteMessageBatch"
                        | "DeleteQueue"
                ) {
                    self.sent += 1;
                }
                self.sqs.call(now, call)
            }
            Service::Sns => {
                let result = self.sns.call(now, call);
                for (queue, message) in self.sns.outbox.drain(..) {
                    self.sent += 1;
                    self.sqs.put(now, &queue, message);
                }
                result.map(CallOutcome::Done)
            }
            Service::Sts => Sts.call(now, call).map(CallOutcome::Done),
            Service::Support => self.support.call(now, call).map(CallOutcome::Done),
            Service::DynamoDb => self.dynamo.call(now, call).map(CallOutcome::Done),
            Service::Tagging => {
                self.tagging.call(now, call, &self.organizations).map(CallOutcome::Done)
            }
            Service::ControlTower => {
                self.control_tower.call(&self.organizations, call).map(CallOutcome::Done)
            }
            Service::IdentityCenter => self.identity_center.call(now, call).map(CallOutcome::Done),
            Service::IdentityStore => self.identity_store.call(now, call).map(CallOutcome::Done),
        };
        self.answer(call, outcome)
    }

    fn answer(&mut self, call: &Call<'_>, outcome: Result<CallOutcome, ApiError>) -> ModelResponse {
        let result: Result<Value, ApiError> = match outcome {
            Ok(CallOutcome::Wait(receive)) => {
                let wake_at = self.sqs.wake(&receive);
                let wake_at = self.schedule.next().map_or(wake_at, |next| next.min(wake_at));
                return ModelResponse::Wait(LongPoll {
                    receive,
                    operation: "ReceiveMessage",
                    wake_at,
                });
            }
            Ok(CallOutcome::Done(members)) => Ok(members),
            Err(error) => Err(error),
        };
        ModelResponse::Ready(call.respond(result, ids::uuid(&mut self.rng)))
    }

    /// The response to a request that is rejected before it reaches a service.
    pub(crate) fn reject(&mut self, error: ApiError) -> Response {
        error.respond(ids::uuid(&mut self.rng))
    }

    /// Draws the latency and the fault of a request, and counts the request.
    pub(crate) fn draw_round_trip(&mut self, request: &Request<'_>) -> RoundTrip {
        let Ok(call) = Call::read(request) else {
            return RoundTrip {
                request_latency: Duration::ZERO,
                response_latency: Duration::ZERO,
                fault: None,
            };
        };
        match self.calls.get_mut(call.operation) {
            Some(count) => *count += 1,
            None if supported_operations()
                .values()
                .flatten()
                .any(|name| *name == call.operation) =>
            {
                self.calls.insert(call.operation.to_owned(), 1);
            }
            None => {}
        }
        let trip = self.faults.call();
        match self.planned.get_mut(call.operation).and_then(VecDeque::pop_front) {
            Some(fault) => RoundTrip { fault: Some(fault), ..trip },
            None => trip,
        }
    }

    /// Draws the latency and the fault of a request to a system other than AWS. Tests inject its
    /// faults as `HTTP`.
    pub(crate) fn draw_web_round_trip(&mut self) -> RoundTrip {
        let trip = self.faults.call();
        match self.planned.get_mut("HTTP").and_then(VecDeque::pop_front) {
            Some(fault) => RoundTrip { fault: Some(fault), ..trip },
            None => trip,
        }
    }

    /// The systems other than AWS.
    pub(crate) fn web(&mut self) -> &mut Web {
        &mut self.web
    }

    /// The response of a service that rejects a request.
    pub(crate) fn rejection_response(
        &mut self,
        request: &Request<'_>,
        refusal: Rejection,
    ) -> Response {
        let id = ids::uuid(&mut self.rng);
        match Call::read(request) {
            Ok(call) => call.respond(Err(refusal.error(call.service, call.operation)), id),
            Err(error) => error.respond(id),
        }
    }

    /// Applies every scheduled event that is due.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while let Some((time, happening)) = self.schedule.pop_due(now) {
            match happening {
                ScheduledEvent::OperationEnds { record, failure } => {
                    self.end_operation(time, record, failure);
                }
                ScheduledEvent::PlanEnds { account } => self.catalog.store.end_plan(account),
                ScheduledEvent::AccountSuspended { account } => {
                    // The account may have been reopened.
                    if self.organizations.state(account) == AccountState::PendingClosure {
                        self.organizations.set_state(account, AccountState::Suspended);
                    }
                }
                ScheduledEvent::EventDelivered { event } => {
                    self.sent += 1;
                    self.sqs.put(time, EVENTS_QUEUE, event);
                }
                ScheduledEvent::ForeignOperationStarts { account } => {
                    // Half of the operations that people start in the console change no version.
                    let artifact = if self.rng.bool() {
                        self.catalog.newest()
                    } else {
                        self.catalog.store.product(account).map_or(0, |p| p.artifact)
                    };
                    self.start_foreign_operation(time, account, artifact, None);
                    self.schedule_foreign_operation(time);
                }
            }
        }
        self.now = self.now.max(now);
    }

    fn end_operation(
        &mut self,
        time: Timestamp,
        number: u32,
        failure: Option<Box<OperationFailure>>,
    ) {
        let Some(record) = self.catalog.store.record(number) else { return };
        // An operation on a closed account fails, whatever was planned for it.
        let state = self.organizations.state(record.product);
        let closed =
            state.is_closed().then(|| Box::new(OperationFailure::for_closed_account(state)));
        let failure = failure.or(closed);
        let (product, started, failed) = (record.product, record.created, failure.is_some());
        let refused = record.refused;
        self.catalog.store.end(
            time,
            number,
            failure.map_or(RecordOutcome::Succeeded, RecordOutcome::Failed),
        );
        // It is not known whether Control Tower sends an event for an operation that never began.
        // No event is the harder case for the host.
        if refused {
            return;
        }
        let Some(account) = self.fleet.get(product) else { return };
        let ended = UpdateEnded {
            account,
            ou_id: self.organizations.ou_id(product),
            started,
            ended: time,
            failed,
        };
        let (id, event_id) = (ids::uuid(&mut self.rng), ids::uuid(&mut self.rng));
        let event = ended.event(&id, &event_id, saturating_later(time, EVENT_DELAY));
        self.emit(time, event);
    }

    /// Sends an event to EventBridge, which may lose, repeat or delay it.
    fn emit(&mut self, now: Timestamp, event: String) {
        let time = saturating_later(now, EVENT_DELAY);
        match self.faults.event() {
            EventDelivery::OnTime => {
                self.schedule.add(time, ScheduledEvent::EventDelivered { event })
            }
            EventDelivery::Dropped => {}
            EventDelivery::Delayed(delay) => {
                self.schedule
                    .add(saturating_later(time, delay), ScheduledEvent::EventDelivered { event });
            }
            EventDelivery::Duplicated(delay) => {
                self.schedule.add(time, ScheduledEvent::EventDelivered { event: event.clone() });
                self.schedule
                    .add(saturating_later(time, delay), ScheduledEvent::EventDelivered { event });
            }
        }
    }

    fn schedule_foreign_operation(&mut self, now: Timestamp) {
        if let Some((wait, account)) = self.faults.foreign(self.fleet.len()) {
            self.schedule.add(
                saturating_later(now, wait),
                ScheduledEvent::ForeignOperationStarts { account },
            );
        }
    }

    fn start_foreign_operation(
        &mut self,
        now: Timestamp,
        account: u32,
        artifact: u32,
        duration: Option<Duration>,
    ) -> bool {
        let (catalog, mut starter) = self.catalog();
        starter.start_foreign(now, &mut catalog.store, account, artifact, duration)
    }

    /// Service Catalog, and the starter of its operations.
    fn catalog(&mut self) -> (&mut ServiceCatalog, OperationStarter<'_>) {
        let starter = OperationStarter {
            quota: self.quota,
            fleet: &self.fleet,
            organizations: &self.organizations,
            identities: &mut self.identity_store,
            faults: &mut self.faults,
            schedule: &mut self.schedule,
        };
        (&mut self.catalog, starter)
    }
}
