//! What plugins may import: the contract's interfaces, and the part of WASI that the standard
//! libraries of guest languages always import, used or not. None of it reaches outside of the
//! sandbox.

use groundcrew_core::support_case::SupportCase;
use wasmtime::Engine;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};

use crate::bindings::groundcrew;
use crate::bindings::groundcrew::plugin::support_cases;
use crate::bindings::groundcrew::plugin::types::Failure;
use crate::instance_state::InstanceState;
use crate::support_cases::not_granted;

impl groundcrew::plugin::types::Host for InstanceState {}

impl groundcrew::plugin::log::Host for InstanceState {
    fn write(
        &mut self,
        level: groundcrew::plugin::log::Level,
        message: String,
    ) -> wasmtime::Result<()> {
        Ok(self.log.write(level.into(), &message)?)
    }
}

/// What plugins of each world may import, and nothing else.
pub(crate) struct Linkers {
    pub(crate) policy: Linker<InstanceState>,
    pub(crate) notifier: Linker<InstanceState>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut policy = Linker::new(engine);
        groundcrew::plugin::types::add_to_linker::<_, HasSelf<_>>(&mut policy, |state| state)?;
        groundcrew::plugin::log::add_to_linker::<_, HasSelf<_>>(&mut policy, |state| state)?;
        link_wasi(&mut policy)?;
        let mut notifier = policy.clone();
        support_cases::add_to_linker::<_, HasSelf<_>>(&mut notifier, |state| state)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut notifier)?;
        Ok(Self { policy, notifier })
    }
}

/// The interfaces of WASI 0.2 that a policy may import. [`link_wasi`] offers exactly these.
pub(crate) const WASI_INTERFACES: [&str; 20] = [
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

/// Offers the interfaces of [`WASI_INTERFACES`].
fn link_wasi(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    cli::environment::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, InstanceState::clocks)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, InstanceState::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, InstanceState::filesystem)?;
    io::error::add_to_linker::<_, IoResources>(linker, InstanceState::resources)?;
    io::poll::add_to_linker::<_, IoResources>(linker, InstanceState::resources)?;
    io::streams::add_to_linker::<_, IoResources>(linker, InstanceState::resources)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, InstanceState::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, InstanceState::random)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, InstanceState::random)?;
    Ok(())
}

/// The table that holds the resources of `wasi:io`.
struct IoResources;

impl HasData for IoResources {
    type Data<'a> = &'a mut ResourceTable;
}

impl InstanceState {
    fn resources(&mut self) -> &mut ResourceTable {
        self.wasi.resources()
    }
}

/// Replaces the crate's own implementation, which waits: a simulation's clock would jump.
impl monotonic_clock::Host for InstanceState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.wasi.clock.nanoseconds())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wasi.clock.forward_to(when);
        let now = self.resources().push(ReadyPollable)?;
        subscribe(self.resources(), now)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.wasi.clock.nanoseconds().saturating_add(duration);
        self.subscribe_instant(when)
    }
}

/// A moment that has passed.
struct ReadyPollable;

#[async_trait]
impl Pollable for ReadyPollable {
    async fn ready(&mut self) {}
}

impl support_cases::Host for InstanceState {
    async fn open_case(
        &mut self,
        case: support_cases::SupportCase,
    ) -> wasmtime::Result<Result<String, Failure>> {
        Ok(match &mut self.support {
            Some(support) => support.open(to_core(case)).await,
            None => Err(not_granted(&[], case.service_code)),
        })
    }
}

fn to_core(case: support_cases::SupportCase) -> SupportCase {
    SupportCase {
        subject: case.subject,
        body: case.body,
        service_code: case.service_code,
        category_code: case.category_code,
        severity_code: case.severity_code,
        cc_email_addresses: case.cc_email_addresses,
        language: case.language,
        issue_type: case.issue_type,
    }
}
