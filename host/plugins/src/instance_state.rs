//! The state that the host keeps for one instance of a plugin, in its store. The implementations of
//! the plugin's imports use it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use groundcrew_core::limits::Limits;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::http::{HttpAccess, OutgoingHttp};
use crate::log::PluginLog;
use crate::support_cases::{SupportCapability, SupportGrant};
use crate::usage::Usage;
use crate::wasi::Wasi;

/// What a plugin may do beyond computing.
#[derive(Clone, Default)]
pub(crate) struct Capabilities {
    pub(crate) support: Option<Arc<SupportGrant>>,
    pub(crate) http: Option<Arc<HttpAccess>>,
}

/// The host's state for one instance.
pub(crate) struct InstanceState {
    pub(crate) log: Arc<PluginLog>,
    pub(crate) wasi: Wasi,
    pub(crate) support: Option<SupportCapability>,
    pub(crate) http: OutgoingHttp,
    pub(crate) usage: Usage,
    pub(crate) limits: Limits,
    /// Ticks that the running call has lasted.
    pub(crate) ticks: u64,
    pub(crate) deadline_fired: Arc<AtomicBool>,
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view(&self.log, self.limits.result)
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { http, wasi, .. } = self;
        // The context is a number; the view needs it together with its hooks.
        let (context, hooks) = http.parts();
        WasiHttpCtxView { ctx: context, table: wasi.resources(), hooks }
    }
}
