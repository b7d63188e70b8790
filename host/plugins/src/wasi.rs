//! The part of WASI that a plugin gets: a clock that stands still, output that goes to the log, and
//! nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tracing::Level;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{Deterministic, HostWallClock, WasiCtx, WasiCtxView};

use crate::log::{OutputLog, PluginLog};

/// A plugin's WASI. Made at the first use: most plugins never use it.
pub(crate) struct Wasi {
    context: Option<WasiCtx>,
    resources: ResourceTable,
    pub(crate) clock: Clock,
}

/// The time that a plugin sees: the candidate's. The clock stands still, with one exception: when a
/// plugin waits, the clock moves to the end of the wait at once. So nothing depends on the machine,
/// and nothing has to wait.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn nanoseconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves the clock to this time, unless it is later already.
    pub(crate) fn forward_to(&self, nanoseconds: u64) {
        self.0.fetch_max(nanoseconds, Ordering::Relaxed);
    }
}

/// Streams, pollables and errors that a plugin may hold at once.
const MAX_RESOURCES: usize = 1000;

impl Wasi {
    pub(crate) fn new() -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MAX_RESOURCES);
        Self { context: None, resources, clock: Clock::default() }
    }

    /// The resources that the plugin holds.
    pub(crate) fn resources(&mut self) -> &mut ResourceTable {
        &mut self.resources
    }

    /// Starts a call at this time.
    pub(crate) fn begin_call(&self, now: Timestamp) {
        let nanoseconds = u64::try_from(now.as_nanosecond()).unwrap_or_default();
        self.clock.0.store(nanoseconds, Ordering::Relaxed);
    }

    /// The view that the implementation of WASI works on.
    pub(crate) fn view(&mut self, log: &Arc<PluginLog>, max_bytes: u64) -> WasiCtxView<'_> {
        let ctx = self.context.get_or_insert_with(|| context(log, &self.clock, max_bytes));
        WasiCtxView { ctx, table: &mut self.resources }
    }
}

/// No arguments, environment, files or network; "random" bytes that are always the same.
fn context(log: &Arc<PluginLog>, clock: &Clock, max_bytes: u64) -> WasiCtx {
    let random = || Deterministic::new(SEED.to_vec());
    WasiCtx::builder()
        .stdout(OutputLog { log: log.clone(), level: Level::INFO })
        .stderr(OutputLog { log: log.clone(), level: Level::WARN })
        .secure_random(random())
        .insecure_random(random())
        .insecure_random_seed(u128::from_le_bytes(SEED))
        .max_random_size(max_bytes)
        .wall_clock(clock.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// An arbitrary constant. A policy is a pure function: its random numbers must not differ between
/// calls.
const SEED: [u8; 16] = *b"groundcrew seed.";

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds())
    }
}
