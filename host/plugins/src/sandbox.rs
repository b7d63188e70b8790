//! One instance of a plugin in its store, which enforces its limits.

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
use crate::delivery::SideEffects;
use crate::engine::EPOCH_INTERVAL;
use crate::exports::{Exports, PreInstance, WorldExport};
use crate::http::OutgoingHttp;
use crate::instance_state::{Capabilities, InstanceState};
use crate::load_error::join_problems;
use crate::log::PluginLog;
use crate::support_cases::SupportCapability;
use crate::usage::Usage;
use crate::wasi::Wasi;

/// What instances are made from: the same for all instances of a plugin.
pub(crate) struct InstanceTemplate<T: WorldExport> {
    pub(crate) plugin: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) pre: PreInstance<T>,
    /// The settings, as JSON text.
    pub(crate) settings: String,
    /// The names of all lanes, in the order in which they run.
    pub(crate) lanes: Vec<String>,
    pub(crate) capabilities: Capabilities,
    /// Collects the lines that a script's evaluations reach, if coverage is measured.
    pub(crate) coverage: Option<Arc<Coverage>>,
    /// Set once real time has affected a call.
    pub(crate) deadline_fired: Arc<AtomicBool>,
}

/// What a call is about.
#[derive(Clone, Copy, Default)]
pub(crate) struct CallContext<'a> {
    pub(crate) account: Option<&'a AccountId>,
    pub(crate) now: Timestamp,
}

/// A live instance.
pub(crate) struct Sandbox<T> {
    plugin: Arc<str>,
    store: Store<InstanceState>,
    exports: Exports<T>,
}

impl<T: WorldExport> Sandbox<T> {
    /// Starts an instance. Components may run code of their own while they start.
    pub(crate) async fn start(
        template: &InstanceTemplate<T>,
        call_context: CallContext<'_>,
    ) -> Result<Self, CallError> {
        let plugin = &template.plugin;
        let mut store = template.store();
        begin_call(&mut store, call_context);
        let starting = template.pre.instance.instantiate_async(&mut store);
        let outcome = with_timeout(template.limits.timeout, starting).await;
        let instance = finish_call(plugin, &store, outcome)?;
        let exports = template
            .pre
            .exports(&mut store, &instance)
            .map_err(|error| CallError::contract(plugin, &error))?;
        Ok(Self { plugin: plugin.clone(), store, exports })
    }

    /// Starts an instance and configures it.
    pub(crate) async fn configured(
        template: &InstanceTemplate<T>,
        call_context: CallContext<'_>,
    ) -> Result<Self, CallError> {
        let mut sandbox = Self::start(template, call_context).await?;
        let lanes: Vec<_> = template.lanes.iter().map(String::as_str).collect();
        match sandbox.configure(&template.settings, &lanes, call_context).await? {
            Ok(_metadata) => Ok(sandbox),
            Err(problems) => {
                let problems: Vec<_> = problems.into_iter().map(convert::problem).collect();
                Err(CallError::Settings {
                    plugin: template.plugin.to_string(),
                    problems: join_problems(&problems),
                })
            }
        }
    }

    /// The JSON Schema of the plugin's settings.
    pub(crate) async fn schema(&mut self) -> Result<String, CallError> {
        begin_call(&mut self.store, CallContext::default());
        let limit = self.store.data().limits.timeout;
        let asking = self.exports.settings.call_schema(&mut self.store);
        let outcome = with_timeout(limit, asking).await;
        finish_call(&self.plugin, &self.store, outcome)
    }

    /// Passes the settings. Called once for each instance.
    pub(crate) async fn configure(
        &mut self,
        settings: &str,
        lanes: &[&str],
        call_context: CallContext<'_>,
    ) -> Result<Result<Metadata, Vec<Problem>>, CallError> {
        begin_call(&mut self.store, call_context);
        let limit = self.store.data().limits.timeout;
        let context = Context { lanes };
        let configuring = self.exports.settings.call_configure(&mut self.store, settings, context);
        let outcome = with_timeout(limit, configuring).await;
        finish_call(&self.plugin, &self.store, outcome)
    }
}

impl Sandbox<decide::Guest> {
    /// Evaluates the policy.
    pub(crate) async fn evaluate(
        &mut self,
        candidate: types::Candidate<'_>,
        call_context: CallContext<'_>,
    ) -> Result<Result<PolicyDecision, types::Failure>, CallError> {
        begin_call(&mut self.store, call_context);
        let limit = self.store.data().limits.timeout;
        let asking = self.exports.interface.call_evaluate(&mut self.store, candidate);
        let outcome = with_timeout(limit, asking).await;
        finish_call(&self.plugin, &self.store, outcome)
    }
}

impl Sandbox<deliver::Guest> {
    /// Delivers a notification.
    pub(crate) async fn notify(
        &mut self,
        notification: deliver::Notification<'_>,
        call_context: CallContext<'_>,
    ) -> Result<Result<deliver::Receipt, types::Failure>, CallError> {
        begin_call(&mut self.store, call_context);
        let limit = self.store.data().limits.timeout;
        let delivering = self.exports.interface.call_notify(&mut self.store, notification);
        let outcome = with_timeout(limit, delivering).await;
        finish_call(&self.plugin, &self.store, outcome)
    }

    /// Starts the delivery of a notification. From now on the grants can be used.
    pub(crate) fn begin_delivery(&mut self, key: &NotificationKey) {
        let state = self.store.data_mut();
        if let Some(support) = &mut state.support {
            support.begin_delivery(key);
        }
        state.http.begin_delivery();
    }

    /// What the plugin did outside of its sandbox.
    pub(crate) fn side_effects(&self) -> SideEffects {
        let state = self.store.data();
        SideEffects {
            case_possible: state.support.as_ref().is_some_and(SupportCapability::effect_possible),
            request_possible: state.http.effect_possible(),
            request_errors: state.http.request_errors(),
        }
    }
}

impl<T: WorldExport> InstanceTemplate<T> {
    /// An empty store with its limits set.
    fn store(&self) -> Store<InstanceState> {
        let log = Arc::new(PluginLog::new(self.plugin.clone(), self.coverage.clone()));
        let Capabilities { support, http } = self.capabilities.clone();
        let state = InstanceState {
            wasi: Wasi::new(),
            support: support.map(SupportCapability::new),
            http: OutgoingHttp::new(http, log.clone()),
            log,
            usage: Usage::new(&self.limits),
            limits: self.limits,
            ticks: 0,
            deadline_fired: self.deadline_fired.clone(),
        };
        let mut store = Store::new(self.pre.instance.component().engine(), state);
        store.limiter(|state| &mut state.usage);
        store.set_hostcall_fuel(usize::try_from(self.limits.result).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(on_epoch);
        store
    }
}

/// Starts a call with its full budgets.
fn begin_call(store: &mut Store<InstanceState>, call_context: CallContext<'_>) {
    let state = store.data_mut();
    state.ticks = 0;
    state.usage.denied = None;
    state.log.begin_call(call_context.account, state.limits.log);
    state.wasi.begin_call(call_context.now);
    store.set_epoch_deadline(1);
}

/// Ends a call that takes too long. Sets no timer for a call that ends without waiting, as nearly
/// every decision does: reading the clock is a good part of the cost of a decision.
async fn with_timeout<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut call = pin!(call);
    match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => tokio::time::timeout(limit, call).await,
    }
}

/// The result of a call. Epochs end a plugin that computes for too long. `Elapsed` ends what the
/// host does for it.
fn finish_call<T>(
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
        // It waited, by tokio's clock: a repeated simulation would do the same.
        Err(Elapsed { .. }) => Err(CallError::timeout(plugin, &state.limits)),
    }
}

/// Called when a tick passes while the plugin is running.
fn on_epoch(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.ticks += 1;
    if state.ticks == 1 {
        // The call may have begun just before the tick. Nearly every call ends before it yields to
        // another task, so simulations stay repeatable.
        return Ok(UpdateDeadline::Continue(1));
    }
    state.deadline_fired.store(true, Ordering::Relaxed);
    let lasted = u128::from(state.ticks - 1) * EPOCH_INTERVAL.as_nanos();
    if lasted >= state.limits.timeout.as_nanos() {
        Ok(UpdateDeadline::Interrupt)
    } else {
        // tokio's own yield lets every other task run first; wasmtime's doesn't.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }
}
