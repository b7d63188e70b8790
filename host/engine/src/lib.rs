//! The shell around core: performs what the scheduler asks for, through core's ports, and
//! tells it what it saw; and sees to it that accounts that landed are told of.
//!
//! It knows neither an AWS SDK nor wasmtime nor a config file; whoever makes an [`Engine`]
//! hands it the ports. So the service, the Lambda and the simulator run the same one, and
//! its tests need no network.
//!
//! One file for each thing it does: [`sweep`](mod@sweep) looks at the whole organization,
//! `decide` asks the policies, `start` begins an update with the `parameters` of its account,
//! `track` follows it to its end. `run` is the loop around them and `tick` one round of it;
//! `heartbeat` shows that it runs, `health` says whether it does its work, `queues` has what goes in and comes out, `orders` logs what operators
//! ask for, `alerts` has what people are told of messages, `witness` what is shown. [`onboarding`]
//! tells notifiers of accounts that landed; [`snapshot`] reads a
//! whole organization.

#![deny(missing_docs)]

mod alerts;
mod changes;
mod clock;
mod decide;
mod health;
mod heartbeat;
pub mod onboarding;
mod orders;
mod parameters;
mod queues;
mod run;
pub mod snapshot;
mod start;
mod sweep;
mod tick;
mod track;
mod witness;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId, Tags};
use groundcrew_core::catalog::{LaunchPathId, ProductId};
use groundcrew_core::due::{Causes, Footing};
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::pipeline::Fallback;
use groundcrew_core::plan_id::PlanRules;
use groundcrew_core::ports::{
    Alert, Alerts, Catalog, Clock, Directory, EventQueue, IdentityStore, LandingZones, Ledger,
    TELLING_LEASE, Telling, UpdateQueue,
};
use groundcrew_core::scheduler::Rules;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

pub use alerts::unreadable;
pub use clock::{SETTLES, SteadyClock};
pub use decide::{Answer, AskedPolicy, Heard, OnFailure, Panel};
pub use health::Health;
use onboarding::{Handled, Onboarding};
pub use run::{GRACE, Until, Waiting};
pub use sweep::plan_id;
pub use tick::Ticker;
pub use witness::{Ending, Notice, Silent, Witness};

/// The world as the engine reaches it.
#[derive(Clone)]
pub struct Ports {
    /// Service Catalog.
    pub catalog: Arc<dyn Catalog>,
    /// AWS Organizations.
    pub directory: Arc<dyn Directory>,
    /// AWS Control Tower.
    pub landing_zones: Arc<dyn LandingZones>,
    /// IAM Identity Center.
    pub identities: Arc<dyn IdentityStore>,
    /// The queue of accounts to update.
    pub updates: Arc<dyn UpdateQueue>,
    /// The queue of events.
    pub events: Arc<dyn EventQueue>,
    /// Where people are told.
    pub alerts: Arc<dyn Alerts>,
    /// What AWS does not remember.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whoever wants to see what happens.
    pub witness: Arc<dyn Witness>,
    /// Who tells of accounts that landed, where notifiers are configured.
    pub onboarding: Option<Arc<Onboarding>>,
}

/// What the engine goes by.
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

/// The update engine.
pub struct Engine {
    ports: Ports,
    settings: Settings,
    panel: Panel,
    /// When this host started.
    since: Timestamp,
    state: Mutex<State>,
    /// Shared by whatever sees to accounts that landed: without another holder nothing does.
    onboards: Arc<()>,
    /// The right to handle an event now.
    handling: Arc<Semaphore>,
    /// The right to see to a notification now.
    telling: Arc<Semaphore>,
    /// Held while a sweep's finds are seen to.
    making_up: Arc<tokio::sync::Mutex<()>>,
    /// Whether it is driven by ticks.
    ticks: AtomicBool,
    /// Whether this host is to stop: then it waits for nothing more.
    stopping: watch::Sender<bool>,
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
    /// When alerts about each lasting trouble went out last.
    alerted: BTreeMap<String, Timestamp>,
    /// When this host wrote its last heartbeat.
    heartbeat: Option<Timestamp>,
    /// What can't be read, of what is read again and again, and since when.
    unread: BTreeMap<String, Timestamp>,
}

impl State {
    /// Forgets what it knows by moments, after the time was set.
    fn forget_moments(&mut self) {
        self.directory = None;
        self.tags.clear();
        self.alerted.clear();
        self.heartbeat = None;
        self.unread.clear();
    }
}

/// Alerts about the same lasting trouble go out at most this often.
const ALERT_REPEAT: Duration = Duration::from_secs(6 * 60 * 60);
/// What can't be read for so long is worth an alert.
const UNREAD: Duration = Duration::from_secs(10 * 60);
/// Between tries of a call that must succeed, at first; doubled up to the maximum.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

impl Engine {
    /// An engine that has not begun.
    pub fn new(ports: Ports, settings: Settings) -> Arc<Self> {
        let lanes = settings.rules.lanes.iter().map(|lane| lane.name.clone()).collect();
        let panel = Panel::new(settings.policies.clone(), lanes, settings.fallback);
        Arc::new(Self {
            since: ports.clock.now(),
            ports,
            settings,
            panel,
            state: Mutex::default(),
            onboards: Arc::default(),
            handling: Arc::new(Semaphore::new(queues::HANDLING)),
            telling: Arc::new(Semaphore::new(queues::TELLING)),
            making_up: Arc::default(),
            ticks: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
        })
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it so, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something unless this host is to stop meanwhile.
    async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = waiting => Some(done),
            () = self.stopped() => None,
        }
    }

    /// Ends when this host is to stop.
    async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender is as old as this.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Tells something once, whichever hosts want to: `tell` does it. Answers `false` when
    /// another host is about to.
    async fn tell_once<F>(&self, what: &str, tell: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = ()>,
    {
        let (ledger, host) = (&self.ports.ledger, &self.settings.host);
        let claim = || ledger.claim_telling(what, host, self.now());
        match self.insist("write down what is told", claim).await {
            Telling::Theirs => false,
            Telling::Done => true,
            Telling::Ours => {
                // For as long as it takes others know that this host is about it.
                let stay = async {
                    loop {
                        tokio::time::sleep(TELLING_LEASE / 3).await;
                        if let Err(error) = claim().await {
                            tracing::warn!(%error, "could not write down what is being told");
                        }
                    }
                };
                tokio::select! {
                    () = tell() => {}
                    () = stay => {}
                }
                let note = || ledger.note_told(what, host, self.now());
                self.insist("write down what was told", note).await;
                true
            }
        }
    }

    /// Shows what onboarding has done.
    fn witness_onboarding(&self, handled: &Handled) {
        let (now, witness) = (self.now(), &self.ports.witness);
        handled.notifications.iter().for_each(|told| witness.see(now, Notice::Told(told)));
        handled.alerts.iter().for_each(|alert| witness.see(now, Notice::Alerted(alert)));
    }

    /// Publishes an alert, trying until it is out.
    async fn alert(&self, alert: &Alert) {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        self.insist("publish an alert", || self.ports.alerts.publish(alert)).await;
        self.ports.witness.see(self.now(), Notice::Alerted(alert));
    }

    /// Publishes an alert, and answers whether it is out.
    async fn try_alert(&self, alert: &Alert) -> bool {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        match self.ports.alerts.publish(alert).await {
            Ok(()) => {
                self.ports.witness.see(self.now(), Notice::Alerted(alert));
                true
            }
            Err(error) => {
                tracing::error!(%error, "could not publish an alert");
                false
            }
        }
    }

    /// Publishes an alert unless this or another host has published one about the same. Where the
    /// ledger can't say so, it is published: rather twice than not at all.
    async fn alert_once_of_all(&self, what: &str, alert: &Alert) {
        loop {
            match self.claim_telling(what).await {
                Telling::Done => return,
                // The other may die before it does.
                Telling::Theirs => tokio::time::sleep(self.settings.rules.wait).await,
                Telling::Ours => {
                    self.alert(alert).await;
                    return self.note_told(what).await;
                }
            }
        }
    }

    /// Whose it is to publish an alert: this host's where the ledger can't say.
    async fn claim_telling(&self, what: &str) -> Telling {
        let claim = self.ports.ledger.claim_telling(what, &self.settings.host, self.now());
        claim.await.unwrap_or_else(|error| {
            tracing::warn!(%error, what, "the ledger can't say whether it was told");
            Telling::Ours
        })
    }

    async fn note_told(&self, what: &str) {
        let note = self.ports.ledger.note_told(what, &self.settings.host, self.now());
        if let Err(error) = note.await {
            tracing::warn!(%error, what, "could not write down what was told");
        }
    }

    /// Publishes an alert about a lasting trouble, unless one went out lately, from this or another
    /// host. One that does not get out is tried again when the trouble shows next.
    async fn alert_once(&self, trouble: &str, alert: &Alert) {
        let now = self.now();
        let due = {
            let mut state = self.state();
            let due = state.alerted.get(trouble).is_none_or(|last| now >= *last + ALERT_REPEAT);
            if due {
                state.alerted.insert(trouble.to_owned(), now);
            }
            due
        };
        if !due {
            return;
        }
        let span = now.as_second().div_euclid(ALERT_REPEAT.as_secs().cast_signed());
        let what = format!("lasting: {trouble}, {span}");
        match self.claim_telling(&what).await {
            Telling::Done => {}
            Telling::Ours if self.try_alert(alert).await => self.note_told(&what).await,
            Telling::Ours | Telling::Theirs => {
                self.state().alerted.remove(trouble);
            }
        }
    }

    /// What is read again and again could, or could not, be read. People hear of it when that
    /// lasts: `trouble` is what they read first, and `means` what it means to them.
    async fn read_again<T, E: Display>(
        &self,
        read: Result<T, E>,
        trouble: &str,
        means: &str,
    ) -> Option<T> {
        let error = match read {
            Ok(read) => {
                self.state().unread.remove(trouble);
                return Some(read);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "{trouble}");
        let now = self.now();
        let since = *self.state().unread.entry(trouble.to_owned()).or_insert(now);
        if now >= since + UNREAD {
            let message = format!("Since {since}. {means}\nError: {error}");
            let alert = Alert { subject: trouble.to_owned(), message };
            self.alert_once(trouble, &alert).await;
        }
        None
    }

    /// Repeats a call until it succeeds. For what must not be lost: the caller's slot stays
    /// taken meanwhile, so that nothing else happens to the account.
    async fn insist<T, E, F>(&self, what: &str, mut call: impl FnMut() -> F) -> T
    where
        E: Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut wait = RETRY;
        loop {
            match call().await {
                Ok(value) => return value,
                Err(error) => tracing::error!(%error, "could not {what}; trying again"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}
