//! Updates: keeps every account on the current version of Account Factory.
//!
//! [`Updates`] performs the actions of core's scheduler, one file for each: `sweep` reads the whole
//! organization, `decide` evaluates the policies, `queue` sends and receives queued updates,
//! `start` starts an update with the `parameters` of its account, `track` polls it until it ends,
//! and `orders` logs operator commands. [`UpdateLoop`] is a scheduler with the tasks of its
//! actions; its driver passes the time to it.

mod decide;
mod orders;
mod parameters;
mod queue;
mod start;
mod sweep;
mod track;
mod update_loop;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use groundcrew_core::account::{Account, AccountId, Tags};
use groundcrew_core::catalog::{LaunchPathId, ProductId};
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::event::Event;
use groundcrew_core::lane::LaneId;
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::plan_id::PlanRules;
use groundcrew_core::ports::{
    AccountDirectory, Alerts, Catalog, Clock, HostKind, IdentityStore, LandingZones, Ledger,
    UpdateQueue,
};
use groundcrew_core::scheduler::{Scheduler, SchedulerRules};
use groundcrew_core::update_need::{AccountAppliedState, Causes};
use jiff::Timestamp;

use crate::alerter::Alerter;
use crate::observer::Observer;
use crate::policy_pipeline::{ConfiguredPolicy, PolicyPipeline};
use crate::stop::StopSignal;

pub use sweep::{SweepError, plan_id};
pub(crate) use update_loop::UpdateLoop;

/// The ports of the updates.
#[derive(Clone)]
pub struct UpdatePorts {
    /// Service Catalog.
    pub catalog: Arc<dyn Catalog>,
    /// AWS Organizations.
    pub directory: Arc<dyn AccountDirectory>,
    /// AWS Control Tower.
    pub landing_zones: Arc<dyn LandingZones>,
    /// IAM Identity Center.
    pub identities: Arc<dyn IdentityStore>,
    /// The updates queue.
    pub queue: Arc<dyn UpdateQueue>,
    /// The topic for alerts.
    pub alerts: Arc<dyn Alerts>,
    /// The ledger: the data that AWS does not keep.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The observer of the engine's events.
    pub observer: Arc<dyn Observer>,
}

/// A receiver of the events that updates cause.
#[async_trait]
pub(crate) trait EventSink: Send + Sync {
    /// Takes an event. When this returns, the event can't be lost any more.
    async fn emit(&self, event: Event);
}

/// The settings of the updates.
#[derive(Clone)]
pub struct UpdateSettings {
    /// The scheduler's rules.
    pub rules: SchedulerRules,
    /// Control Tower's quota of concurrent account operations, shared by everybody.
    pub account_quota: usize,
    /// How many of these operations are left free for others.
    pub reserve: usize,
    /// The causes for which accounts are updated.
    pub causes: Causes,
    /// Where plans need approval: the rules by which accounts are updated, the policies and
    /// their settings among them. `None`: nothing needs approval.
    pub approval: Option<PlanRules>,
    /// The name of this host in the ledger: no two hosts of a ledger share one.
    pub host: String,
    /// The version of groundcrew in the heartbeats that this host writes into the ledger; `None`:
    /// it writes none, as in a simulation.
    pub version: Option<String>,
    /// Where the parameters of updates come from.
    pub parameters: ParameterSource,
    /// The decision when every policy abstains.
    pub fallback: Fallback,
    /// The policies for updates, in their order.
    pub policies: Vec<ConfiguredPolicy>,
}

/// Performs the actions of the scheduler.
pub(crate) struct Updates {
    ports: UpdatePorts,
    settings: UpdateSettings,
    pipeline: PolicyPipeline,
    alerter: Arc<Alerter>,
    event_sink: Option<Arc<dyn EventSink>>,
    kind: HostKind,
    stop: StopSignal,
    cache: Mutex<UpdateCache>,
}

/// The accounts of the organization.
type AccountsById = Arc<BTreeMap<AccountId, Arc<Account>>>;

/// Data that is cached between actions. A restart may lose it.
#[derive(Default)]
struct UpdateCache {
    product: Option<ProductId>,
    launch_path: Option<LaunchPathId>,
    /// Accounts as a sweep listed them, and when.
    accounts: Option<(Timestamp, AccountsById)>,
    /// Tags as sweeps read them, and when.
    tags: BTreeMap<AccountId, (Timestamp, Tags)>,
    /// Version of the landing zone at the last sweep.
    landing_zone: Option<String>,
    /// The applied state of each account, as the last sweep read it from the ledger.
    applied_states: BTreeMap<AccountId, AccountAppliedState>,
}

impl Updates {
    pub(crate) fn new(
        ports: UpdatePorts,
        settings: UpdateSettings,
        alerter: Arc<Alerter>,
        event_sink: Option<Arc<dyn EventSink>>,
        kind: HostKind,
        stop: StopSignal,
    ) -> Self {
        let lanes = settings.rules.lanes.iter().map(|lane| lane.name.clone()).collect();
        let pipeline = PolicyPipeline::new(settings.policies.clone(), lanes, settings.fallback);
        let cache = Mutex::default();
        Self { ports, settings, pipeline, alerter, event_sink, kind, stop, cache }
    }

    /// The name of a lane.
    pub(crate) fn lane_name(&self, lane: LaneId) -> &str {
        self.pipeline.lane_name(lane)
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// The number of times that the clock was set.
    fn adjustments(&self) -> u64 {
        self.ports.clock.adjustments()
    }

    fn cache(&self) -> MutexGuard<'_, UpdateCache> {
        // Nothing panics while it is locked, and no statement can leave it half-changed.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new scheduler without any observations.
    fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.settings.rules.clone(), self.settings.host.clone(), self.now())
    }

    /// Forgets all timestamps, after the time was set.
    fn forget_timestamps(&self) {
        let mut cache = self.cache();
        cache.accounts = None;
        cache.tags.clear();
        drop(cache);
        self.alerter.forget_timestamps();
    }
}
