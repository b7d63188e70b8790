//! The one wasmtime engine, and the clock that ends calls.

use std::io;
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

/// How often the epoch advances: the precision of a time limit.
pub(crate) const EPOCH_INTERVAL: Duration = Duration::from_millis(10);

/// Memories, tables and core instances of one component. Real ones have one memory, two
/// tables and about five core instances; composed ones a few times that.
pub(crate) const MAX_MEMORIES: u32 = 4;
pub(crate) const MAX_TABLES: u32 = 16;
pub(crate) const MAX_CORE_INSTANCES: u32 = 64;

/// Component instances alive at once: [`FRESH_INSTANCES`] for running evaluations,
/// [`NOTIFIER_INSTANCES`] for running deliveries, the rest for kept instances. A decision takes
/// microseconds: more instances would help only a machine with more cores than that.
const MAX_INSTANCES: u32 = 32;
pub(crate) const FRESH_INSTANCES: u32 = 16;
pub(crate) const NOTIFIER_INSTANCES: u32 = 8;

/// Native stack of a plugin's own frames. Rust's default for a thread is four times as large.
pub(crate) const WASM_STACK: usize = 512 << 10;
/// The same, and room for the host functions that the plugin calls.
const STACK: usize = 1 << 20;

/// Where instances get their memories from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// Reserved up front and reused: an instance takes microseconds.
    Pooled,
    /// Mapped one by one and as small as possible, for systems with little address space.
    OnDemand,
}

/// Makes an engine. It allocates on demand if the pool's address space can't be reserved.
pub(crate) fn new() -> wasmtime::Result<Engine> {
    with_allocation(Allocation::Pooled).or_else(|error| {
        tracing::info!(
            %error,
            "address space is short: plugin instances are allocated on demand, which is slower"
        );
        with_allocation(Allocation::OnDemand)
    })
}

pub(crate) fn with_allocation(allocation: Allocation) -> wasmtime::Result<Engine> {
    let mut config = config();
    match allocation {
        Allocation::Pooled => {
            config.allocation_strategy(pool());
        }
        Allocation::OnDemand => {
            config.memory_reservation(0).memory_reservation_for_growth(1 << 20);
        }
    }
    Engine::new(&config)
}

/// The engine that packages are compiled with. Naming its target keeps the CPU features of this
/// machine out of the code: the code runs on every CPU of the architecture. Engines of
/// [`Allocation::Pooled`] load it; no other difference between them concerns the code.
pub(crate) fn portable() -> wasmtime::Result<Engine> {
    let mut config = config();
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
    Engine::new(&config)
}

/// What all engines have in common.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(STACK)
        // The result of a policy must not depend on the machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

/// Reserves address space, not memory: 4 GiB for each memory, half a TiB in all. With it the
/// compiled code needs no bounds checks.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES * MAX_CORE_INSTANCES)
        .total_memories(MAX_INSTANCES * MAX_MEMORIES)
        .total_tables(MAX_INSTANCES * MAX_TABLES)
        .total_stacks(MAX_INSTANCES)
        // Checked at load, with a better message: see `contract`.
        .max_memories_per_module(100)
        .max_tables_per_module(100)
        // 4 MiB of address space for each table; `limits.table_elements` is the limit that applies.
        .table_elements(1 << 19)
        // Up to this size, dirty memory is cleared rather than unmapped: a page fault costs more
        // than clearing a page. Rust's stack alone takes the first MiB.
        .linear_memory_keep_resident(2 << 20)
        // Linux 6.7 and later report the dirty pages, which halves the time that a fresh instance
        // takes.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(16 << 10);
    pool
}

/// Starts the thread that advances the engine's epoch. It ends with the engine.
pub(crate) fn start_ticker(engine: &Engine) -> io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new().name("groundcrew-epoch".to_owned()).spawn(move || {
        loop {
            thread::sleep(EPOCH_INTERVAL);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => break,
            }
        }
    })?;
    Ok(())
}
