//! One instance of a plugin in its store: the box that its limits are made of.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::limits::Limits;
use groundcrew_core::notification::NotificationKey;
use jiff::Timestamp;
use tokio::time::error::Elapsed;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::bindings::exports::groundcrew::plugin::decide::{self, PolicyDecision};
use crate::bindings::exports::groundcrew::plugin::deliver;
use crate::bindings::exports::groundcrew::plugin::settings::{Context, Metadata};
use crate::bindings::groundcrew::plugin::types::{self, Problem};
use crate::call_error::CallError;
use crate::convert;
use crate::coverage::Coverage;
use crate::delivery::Deeds;
use crate::engine::TICK;
use crate::exports::{Exports, Pre, Task};
use crate::http::Outgoing;
use crate::instance_state::{InstanceState, Powers};
use crate::load_error::list;
use crate::log::PluginLog;
use crate::support::Support;
use crate::usage::Usage;
use crate::wasi::Wasi;

/// What a sandbox is made from: the same for all instances of a plugin.
pub(crate) struct Blueprint<T: Task> {
    pub(crate) plugin: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) pre: Pre<T>,
    /// The settings, as JSON text.
    pub(crate) settings: String,
    /// The names of all lanes, in the order in which they run.
    pub(crate) lanes: Vec<String>,
    pub(crate) powers: Powers,
    /// Where the lines are noted that a script's evaluations reach, if they are.
    pub(crate) coverage: Option<Arc<Coverage>>,
    /// Set once real time has had a say in a call.
    pub(crate) deadline_fired: Arc<AtomicBool>,
}

/// What a call is about.
#[derive(Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) account: Option<&'a AccountId>,
    pub(crate) now: Timestamp,
}

/// A live instance.
pub(crate) struct Sandbox<T> {
    plugin: Arc<str>,
    store: Store<InstanceState>,
    exports: Exports<T>,
}

impl<T: Task> Sandbox<T> {
    /// Makes an instance. Components may run code of their own while they start.
    pub(crate) async fn start(
        blueprint: &Blueprint<T>,
        about: About<'_>,
    ) -> Result<Self, CallError> {
        let plugin = &blueprint.plugin;
        let mut store = blueprint.store();
        begin(&mut store, about);
        let starting = blueprint.pre.instance.instantiate_async(&mut store);
        let outcome = within(blueprint.limits.timeout, starting).await;
        let instance = end(plugin, &store, outcome)?;
        let exports = blueprint
            .pre
            .exports(&mut store, &instance)
            .map_err(|error| CallError::contract(plugin, &error))?;
        Ok(Self { plugin: plugin.clone(), store, exports })
    }

    /// Makes an instance that has its settings.
    pub(crate) async fn configured(
        blueprint: &Blueprint<T>,
        about: About<'_>,
    ) -> Result<Self, CallError> {
        let mut sandbox = Self::start(blueprint, about).await?;
        let lanes: Vec<_> = blueprint.lanes.iter().map(String::as_str).collect();
        match sandbox.configure(&blueprint.settings, &lanes, about).await? {
            Ok(_metadata) => Ok(sandbox),
            Err(problems) => {
                let problems: Vec<_> = problems.into_iter().map(convert::problem).collect();
                Err(CallError::Settings {
                    plugin: blueprint.plugin.to_string(),
                    problems: list(&problems),
                })
            }
        }
    }

    /// The JSON Schema of the plugin's settings.
    pub(crate) async fn schema(&mut self) -> Result<String, CallError> {
        begin(&mut self.store, About::default());
        let limit = self.store.data().limits.timeout;
        let asking = self.exports.settings.call_schema(&mut self.store);
        let outcome = within(limit, asking).await;
        end(&self.plugin, &self.store, outcome)
    }

    /// Hands over the settings. Once in the life of an instance.
    pub(crate) async fn configure(
        &mut self,
        settings: &str,
        lanes: &[&str],
        about: About<'_>,
    ) -> Result<Result<Metadata, Vec<Problem>>, CallError> {
        begin(&mut self.store, about);
        let limit = self.store.data().limits.timeout;
        let context = Context { lanes };
        let configuring = self.exports.settings.call_configure(&mut self.store, settings, context);
        let outcome = within(limit, configuring).await;
        end(&self.plugin, &self.store, outcome)
    }
}

impl Sandbox<decide::Guest> {
    /// Asks for a decision.
    pub(crate) async fn evaluate(
        &mut self,
        candidate: types::Candidate<'_>,
        about: About<'_>,
    ) -> Result<Result<PolicyDecision, types::Failure>, CallError> {
        begin(&mut self.store, about);
        let limit = self.store.data().limits.timeout;
        let asking = self.exports.task.call_evaluate(&mut self.store, candidate);
        let outcome = within(limit, asking).await;
        end(&self.plugin, &self.store, outcome)
    }
}

impl Sandbox<deliver::Guest> {
    /// Has a notification told.
    pub(crate) async fn notify(
        &mut self,
        notification: deliver::Notification<'_>,
        about: About<'_>,
    ) -> Result<Result<deliver::Receipt, types::Failure>, CallError> {
        begin(&mut self.store, about);
        let limit = self.store.data().limits.timeout;
        let telling = self.exports.task.call_notify(&mut self.store, notification);
        let outcome = within(limit, telling).await;
        end(&self.plugin, &self.store, outcome)
    }

    /// From now on a notification is told, and what is granted can be used.
    pub(crate) fn tell(&mut self, key: &NotificationKey) {
        let state = self.store.data_mut();
        if let Some(support) = &mut state.support {
            support.tell(key);
        }
        state.http.tell();
    }

    /// What the plugin did outside of its sandbox.
    pub(crate) fn deeds(&self) -> Deeds {
        let state = self.store.data();
        Deeds {
            case_possible: state.support.as_ref().is_some_and(Support::effect_possible),
            request_possible: state.http.effect_possible(),
            told: state.http.told(),
        }
    }
}

impl<T: Task> Blueprint<T> {
    /// An empty store with its limits set.
    fn store(&self) -> Store<InstanceState> {
        let log = Arc::new(PluginLog::new(self.plugin.clone(), self.coverage.clone()));
        let Powers { support, http } = self.powers.clone();
        let state = InstanceState {
            wasi: Wasi::new(),
            support: support.map(Support::new),
            http: Outgoing::new(http, log.clone()),
            log,
            usage: Usage::new(&self.limits),
            limits: self.limits,
            ticks: 0,
            deadline_fired: self.deadline_fired.clone(),
        };
        let mut store = Store::new(self.pre.instance.component().engine(), state);
        store.limiter(|state| &mut state.usage);
        store.set_hostcall_fuel(usize::try_from(self.limits.result).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(tick);
        store
    }
}

/// A call begins, with all that one call may use.
fn begin(store: &mut Store<InstanceState>, about: About<'_>) {
    let state = store.data_mut();
    state.ticks = 0;
    state.usage.denied = None;
    state.log.begin(about.account, state.limits.log);
    state.wasi.begin(about.now);
    store.set_epoch_deadline(1);
}

/// Ends a call that takes too long. Sets no timer for one that ends without ever having to
/// wait, as nearly every decision does: reading the clock is a good part of what it costs.
async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut call = pin!(call);
    match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => tokio::time::timeout(limit, call).await,
    }
}

/// What became of a call. Epochs end what a plugin does; that it `Elapsed` ends what the
/// host does for it.
fn end<T>(
    plugin: &str,
    store: &Store<InstanceState>,
    outcome: Result<wasmtime::Result<T>, Elapsed>,
) -> Result<T, CallError> {
    let state = store.data();
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(CallError::classify(plugin, &state.limits, state.usage.denied, &error))
        }
        // It waited, by tokio's clock: in a simulation it would do the same again.
        Err(Elapsed { .. }) => Err(CallError::timeout(plugin, &state.limits)),
    }
}

/// A tick went by while the plugin was running.
fn tick(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.ticks += 1;
    if state.ticks == 1 {
        // It may have begun just before the tick. Nearly every call ends before it would
        // ever give way to another task, so simulations stay repeatable.
        return Ok(UpdateDeadline::Continue(1));
    }
    state.deadline_fired.store(true, Ordering::Relaxed);
    let lasted = u128::from(state.ticks - 1) * TICK.as_nanos();
    if lasted >= state.limits.timeout.as_nanos() {
        Ok(UpdateDeadline::Interrupt)
    } else {
        // tokio's own yield lets every other task run first; wasmtime's doesn't.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }
}
