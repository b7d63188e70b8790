//! Updates: keeps every account on the current version of Account Factory.
//!
//! [`Updates`] performs what core's scheduler asks for, one file for each thing: `sweep` looks at the
//! whole organization, `decide` asks the policies, `queue` hands accounts over and receives them,
//! `start` begins an update with the `parameters` of its account, `track` follows it to its end,
//! `orders` logs what operators ask for. [`UpdateLoop`] is a scheduler with what it has asked for:
//! whoever drives it tells it the time.

mod decide;
mod orders;
mod parameters;
mod queue;
mod start;
mod steps;
mod sweep;
mod track;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use groundcrew_core::account::{Account, AccountId, Tags};
use groundcrew_core::catalog::{LaunchPathId, ProductId};
use groundcrew_core::due::{Causes, Footing};
use groundcrew_core::event::Event;
use groundcrew_core::lane::LaneId;
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::pipeline::Fallback;
use groundcrew_core::plan_id::PlanRules;
use groundcrew_core::ports::{
    Alerts, Catalog, Clock, Directory, HostKind, IdentityStore, LandingZones, Ledger, UpdateQueue,
};
use groundcrew_core::scheduler::{Rules, Scheduler};
use jiff::Timestamp;

use crate::alerter::Alerter;
use crate::policies::{AskedPolicy, Panel};
use crate::stop::Stop;
use crate::witness::Witness;

pub(crate) use steps::UpdateLoop;
pub use sweep::{SweepError, plan_id};

/// The world as updates reach it.
#[derive(Clone)]
pub struct UpdatePorts {
    /// Service Catalog.
    pub catalog: Arc<dyn Catalog>,
    /// AWS Organizations.
    pub directory: Arc<dyn Directory>,
    /// AWS Control Tower.
    pub landing_zones: Arc<dyn LandingZones>,
    /// IAM Identity Center.
    pub identities: Arc<dyn IdentityStore>,
    /// The queue of accounts to update.
    pub queue: Arc<dyn UpdateQueue>,
    /// Where people are told.
    pub alerts: Arc<dyn Alerts>,
    /// What AWS does not remember.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whoever wants to see what happens.
    pub witness: Arc<dyn Witness>,
}

/// Whoever wants to know what updates do to accounts.
#[async_trait]
pub(crate) trait Announcements: Send + Sync {
    /// Takes an event over: it is not lost when this returns.
    async fn announce(&self, event: Event);
}

/// What updates go by.
#[derive(Clone)]
pub struct Settings {
    /// The scheduler's rules.
    pub rules: Rules,
    /// Control Tower's quota of concurrent account operations, shared by everybody.
    pub account_quota: usize,
    /// Of these, so many are left free for others.
    pub reserve: usize,
    /// For which causes accounts are updated.
    pub causes: Causes,
    /// Where plans need approval: the rules by which accounts are updated, the policies and
    /// their settings among them. `None`: nothing needs approval.
    pub approval: Option<PlanRules>,
    /// The name of this host in the ledger: no two that share one have the same.
    pub host: String,
    /// The version of groundcrew in the heartbeats that this host writes into the ledger; `None`:
    /// it writes none, as in a simulation.
    pub version: Option<String>,
    /// Where the parameters of updates come from.
    pub parameters: ParameterSource,
    /// What happens to an account when every policy abstains.
    pub fallback: Fallback,
    /// The policies that are asked about updates, in their order.
    pub policies: Vec<AskedPolicy>,
}

/// Performs what the scheduler asks for.
pub(crate) struct Updates {
    ports: UpdatePorts,
    settings: Settings,
    panel: Panel,
    alerter: Arc<Alerter>,
    announcements: Option<Arc<dyn Announcements>>,
    kind: HostKind,
    stop: Stop,
    state: Mutex<State>,
}

/// The accounts of the organization.
type Listing = Arc<BTreeMap<AccountId, Arc<Account>>>;

/// What is remembered between actions; nothing that a restart must not forget.
#[derive(Default)]
struct State {
    product: Option<ProductId>,
    launch_path: Option<LaunchPathId>,
    /// Accounts as a sweep listed them, and when.
    directory: Option<(Timestamp, Listing)>,
    /// Tags as sweeps saw them, and when.
    tags: BTreeMap<AccountId, (Timestamp, Tags)>,
    /// Version of the landing zone at the last sweep.
    landing_zone: Option<String>,
    /// How things stood around accounts, as the last sweep found it in the ledger.
    footings: BTreeMap<AccountId, Footing>,
}

impl Updates {
    pub(crate) fn new(
        ports: UpdatePorts,
        settings: Settings,
        alerter: Arc<Alerter>,
        announcements: Option<Arc<dyn Announcements>>,
        kind: HostKind,
        stop: Stop,
    ) -> Self {
        let lanes = settings.rules.lanes.iter().map(|lane| lane.name.clone()).collect();
        let panel = Panel::new(settings.policies.clone(), lanes, settings.fallback);
        let state = Mutex::default();
        Self { ports, settings, panel, alerter, announcements, kind, stop, state }
    }

    /// The name of a lane.
    pub(crate) fn lane(&self, lane: LaneId) -> &str {
        self.panel.lane(lane)
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// How often the time was set.
    fn times_set(&self) -> u64 {
        self.ports.clock.times_set()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it so, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scheduler that knows nothing yet.
    fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.settings.rules.clone(), self.settings.host.clone(), self.now())
    }

    /// Forgets what it knows by moments, after the time was set.
    fn forget_moments(&self) {
        let mut state = self.state();
        state.directory = None;
        state.tags.clear();
        drop(state);
        self.alerter.forget_moments();
    }
}
