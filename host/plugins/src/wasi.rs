//! The closed part of WASI that a policy is given, because the standard libraries of
//! guest languages import it whether it is used or not. Nothing in it leads outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tracing::Level;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::{Deterministic, HostWallClock, WasiCtx, WasiCtxView, async_trait};

use crate::log::{Console, PluginLog};
use crate::sandbox::State;

/// The interfaces of WASI 0.2 that a policy may import. [`link`] offers exactly these.
pub(crate) const OFFERED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Offers the interfaces of [`OFFERED`].
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    io::error::add_to_linker::<_, Table>(linker, State::resources)?;
    io::poll::add_to_linker::<_, Table>(linker, State::resources)?;
    io::streams::add_to_linker::<_, Table>(linker, State::resources)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, State::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, State::random)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, State::random)?;
    Ok(())
}

/// The table that holds the resources of `wasi:io`.
struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

impl State {
    fn resources(&mut self) -> &mut ResourceTable {
        &mut self.wasi.resources
    }
}

/// What a plugin has of WASI. Made when it first asks: most never do.
pub(crate) struct Wasi {
    context: Option<WasiCtx>,
    resources: ResourceTable,
    clock: Clock,
}

/// The time that a plugin sees: the candidate's. It stands still, except that a plugin
/// that waits finds at once that the time has come. So nothing depends on the machine,
/// and nothing has to wait.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn nanoseconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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

    /// A call begins at this time.
    pub(crate) fn begin(&self, now: Timestamp) {
        let nanoseconds = u64::try_from(now.as_nanosecond()).unwrap_or_default();
        self.clock.0.store(nanoseconds, Ordering::Relaxed);
    }

    /// What the implementation of WASI works on.
    pub(crate) fn view(&mut self, log: &Arc<PluginLog>, max_bytes: u64) -> WasiCtxView<'_> {
        let ctx = self.context.get_or_insert_with(|| context(log, &self.clock, max_bytes));
        WasiCtxView { ctx, table: &mut self.resources }
    }
}

/// No arguments, environment, files or network; "random" bytes that are always the same.
fn context(log: &Arc<PluginLog>, clock: &Clock, max_bytes: u64) -> WasiCtx {
    let random = || Deterministic::new(SEED.to_vec());
    WasiCtx::builder()
        .stdout(Console { log: log.clone(), level: Level::INFO })
        .stderr(Console { log: log.clone(), level: Level::WARN })
        .secure_random(random())
        .insecure_random(random())
        .insecure_random_seed(u128::from_le_bytes(SEED))
        .max_random_size(max_bytes)
        .wall_clock(clock.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// Of no meaning. A policy is a pure function: what it draws must not differ between calls.
const SEED: [u8; 16] = *b"groundcrew seed.";

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds())
    }
}

/// Not the crate's own implementation, which waits: a simulation's clock would jump.
impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.wasi.clock.nanoseconds())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wasi.clock.0.fetch_max(when, Ordering::Relaxed);
        let now = self.resources().push(Now)?;
        subscribe(self.resources(), now)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.wasi.clock.nanoseconds().saturating_add(duration);
        self.subscribe_instant(when)
    }
}

/// A moment that has come.
struct Now;

#[async_trait]
impl Pollable for Now {
    async fn ready(&mut self) {}
}
