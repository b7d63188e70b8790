//! One instance of a policy in its store: the box that its limits are made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use groundcrew_core::account::AccountId;
use groundcrew_core::limits::Limits;
use jiff::Timestamp;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::bindings::exports::groundcrew::plugin::decide::Decision;
use crate::bindings::exports::groundcrew::plugin::settings::{Outline, Surroundings};
use crate::bindings::groundcrew::plugin::types::{self, Problem};
use crate::bindings::{Policy, PolicyPre, groundcrew};
use crate::call_error::CallError;
use crate::engine::TICK;
use crate::log::PluginLog;
use crate::usage::Usage;
use crate::wasi::{self, Wasi};

/// What a sandbox is made from: the same for all instances of a plugin.
#[derive(Clone)]
pub(crate) struct Blueprint {
    pub(crate) plugin: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) pre: PolicyPre<State>,
    /// Set once real time has had a say in a call.
    pub(crate) deadline_fired: Arc<AtomicBool>,
}

/// What the host knows about one instance.
pub(crate) struct State {
    pub(crate) log: Arc<PluginLog>,
    pub(crate) wasi: Wasi,
    usage: Usage,
    limits: Limits,
    /// Ticks that the running call has lasted.
    ticks: u64,
    deadline_fired: Arc<AtomicBool>,
}

/// What a call is about.
#[derive(Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) account: Option<&'a AccountId>,
    pub(crate) now: Timestamp,
}

/// A live instance.
pub(crate) struct Sandbox {
    plugin: Arc<str>,
    store: Store<State>,
    exports: Policy,
}

impl Sandbox {
    /// Makes an instance. Components may run code of their own while they start.
    pub(crate) async fn start(blueprint: &Blueprint, about: About<'_>) -> Result<Self, CallError> {
        let plugin = &blueprint.plugin;
        let mut store = blueprint.store();
        begin(&mut store, about);
        let starting = blueprint.pre.instantiate_async(&mut store);
        let outcome = timeout(blueprint.limits.timeout, starting).await;
        let exports = end(plugin, &store, outcome)?;
        Ok(Self { plugin: plugin.clone(), store, exports })
    }

    /// The JSON Schema of the plugin's settings.
    pub(crate) async fn schema(&mut self) -> Result<String, CallError> {
        begin(&mut self.store, About::default());
        let limit = self.store.data().limits.timeout;
        let asking = self.exports.groundcrew_plugin_settings().call_schema(&mut self.store);
        let outcome = timeout(limit, asking).await;
        end(&self.plugin, &self.store, outcome)
    }

    /// Hands over the settings. Once in the life of an instance.
    pub(crate) async fn configure(
        &mut self,
        settings: &str,
        lanes: &[&str],
        about: About<'_>,
    ) -> Result<Result<Outline, Vec<Problem>>, CallError> {
        begin(&mut self.store, about);
        let limit = self.store.data().limits.timeout;
        let exports = self.exports.groundcrew_plugin_settings();
        let configuring = exports.call_configure(&mut self.store, settings, Surroundings { lanes });
        let outcome = timeout(limit, configuring).await;
        end(&self.plugin, &self.store, outcome)
    }

    /// Asks for a decision.
    pub(crate) async fn evaluate(
        &mut self,
        candidate: types::Candidate<'_>,
        about: About<'_>,
    ) -> Result<Result<Decision, types::Failure>, CallError> {
        begin(&mut self.store, about);
        let limit = self.store.data().limits.timeout;
        let exports = self.exports.groundcrew_plugin_decide();
        let asking = exports.call_evaluate(&mut self.store, candidate);
        let outcome = timeout(limit, asking).await;
        end(&self.plugin, &self.store, outcome)
    }
}

impl Blueprint {
    /// An empty store with its limits set.
    fn store(&self) -> Store<State> {
        let state = State {
            log: Arc::new(PluginLog::new(self.plugin.clone())),
            wasi: Wasi::new(),
            usage: Usage::new(&self.limits),
            limits: self.limits,
            ticks: 0,
            deadline_fired: self.deadline_fired.clone(),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.usage);
        store.set_hostcall_fuel(usize::try_from(self.limits.result).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(tick);
        store
    }
}

/// A call begins, with all that one call may use.
fn begin(store: &mut Store<State>, about: About<'_>) {
    let state = store.data_mut();
    state.ticks = 0;
    state.usage.denied = None;
    state.log.begin(about.account, state.limits.log);
    state.wasi.begin(about.now);
    store.set_epoch_deadline(1);
}

/// What became of a call. Epochs end what a plugin does; that it `Elapsed` ends what the
/// host does for it.
fn end<T>(
    plugin: &str,
    store: &Store<State>,
    outcome: Result<wasmtime::Result<T>, Elapsed>,
) -> Result<T, CallError> {
    let state = store.data();
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(CallError::classify(plugin, &state.limits, state.usage.denied, &error))
        }
        Err(Elapsed { .. }) => {
            state.deadline_fired.store(true, Ordering::Relaxed);
            Err(CallError::timeout(plugin, &state.limits))
        }
    }
}

/// A tick went by while the plugin was running.
fn tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
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

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view(&self.log, self.limits.result)
    }
}

impl groundcrew::plugin::types::Host for State {}

impl groundcrew::plugin::log::Host for State {
    fn write(
        &mut self,
        level: groundcrew::plugin::log::Level,
        message: String,
    ) -> wasmtime::Result<()> {
        Ok(self.log.write(level.into(), &message)?)
    }
}

/// All that a policy may import, and nothing else.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    Policy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    wasi::link(&mut linker)?;
    Ok(linker)
}
