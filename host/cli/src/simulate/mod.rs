//! `groundcrew simulate`: the whole host on a simulated AWS, in virtual time. Opens no socket and
//! reads no secret.

mod progress;
mod recorder;
mod report;
mod text;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use groundcrew_aws::AwsSupport;
use groundcrew_engine::{Host, Until, UpdateSettings};
use groundcrew_plugins::files;
use groundcrew_sim::{FaultLevel, SimAws, SimOptions, Snapshot, random_fleet};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::commands::{Faults, Format, Simulate};
use crate::formatting::format_minute;
use crate::loaded_config::{ParsedConfig, PluginSelection, find_default_config, read_config};
use crate::output::{print, print_sanitized, to_json};
use crate::ports;
use crate::simulated_transport::SimulatedTransport;
use progress::Progress;
use recorder::Recorder;
use report::Report;

/// The default start of a simulation: Tuesday, 1 September 2026, 08:00 UTC. It is the same for all
/// runs, since policies may depend on the time.
const DEFAULT_START: Timestamp = Timestamp::constant(1_788_249_600, 0);
/// Simulations end after this time, even with work left. The longest useful one takes 208 days: ten
/// thousand accounts, one at a time, at half an hour each.
const MAX_SIMULATED_TIME: Duration = Duration::from_secs(800 * 24 * 3600);

/// The range of the start: services use the time to sign requests, and keep accounts that joined
/// before it.
const START_RANGE: Range<Timestamp> =
    Timestamp::constant(1_577_836_800, 0)..Timestamp::constant(4_102_444_800, 0);

pub fn run(options: &Simulate) -> Result<(), CommandError> {
    let config = options.config.clone().or_else(find_default_config);
    let options = Simulate { config, ..options.clone() };
    let begin = options.at.unwrap_or(DEFAULT_START);
    if !START_RANGE.contains(&begin) {
        let (from, to) = (format_minute(START_RANGE.start), format_minute(START_RANGE.end));
        return Err(CommandError::Usage(format!(
            "--at {begin}: a simulation begins at or after {from} and before {to}"
        )));
    }
    let snapshot = snapshot(
        options.snapshot.as_deref(),
        options.accounts,
        options.tagged_percent,
        options.seed,
    )?;
    let events: Vec<String> = options
        .events
        .iter()
        .map(|path| read_file(path, "event", files::MAX_TEXT_BYTES))
        .collect::<Result<_, _>>()?;
    // One thread and a paused clock: time passes only when all tasks wait for it. So days take
    // seconds, and the same seed gives the same run.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| CommandError::Other(error.to_string()))?;
    let began = Instant::now();
    let report = runtime.block_on(async {
        let config = read_config(options.config.as_deref())?;
        simulate(&options, config, snapshot, &events, (begin, began)).await
    })?;
    match options.format {
        Format::Json => print(&to_json(&report)?)?,
        Format::Text => print_sanitized(&text::render(&report))?,
    }
    match report.failures().as_slice() {
        [] => Ok(()),
        failures => Err(CommandError::Other(failures.join("\n"))),
    }
}

async fn simulate(
    options: &Simulate,
    config: ParsedConfig,
    snapshot: Snapshot,
    events: &[String],
    (begin, began): (Timestamp, Instant),
) -> Result<Report, CommandError> {
    let sim = SimAws::new(SimOptions {
        seed: options.seed,
        start: begin,
        snapshot: snapshot.clone(),
        faults: match options.faults {
            Faults::None => FaultLevel::None,
            Faults::Light => FaultLevel::Light,
            Faults::Heavy => FaultLevel::Heavy,
        },
        account_quota: config.config.updates.account_quota,
    });
    let clients = ports::simulated_clients(&sim);
    let support = Arc::new(AwsSupport::new(clients.support.clone()));
    let transport = Arc::new(SimulatedTransport::new(sim.clone()));
    let loaded = config.with_http(transport).load(PluginSelection::All, support).await?;
    let recorder = Arc::new(Recorder::new(Progress::new(options.format)));
    let ports = ports::simulated_ports(&sim, clients, &loaded, recorder.clone());
    let settings = loaded.update_settings(ports::SIMULATED_HOST.to_owned());
    // People read a simulation before they approve a plan, and `status` reads no heartbeat of it.
    let settings = UpdateSettings { approval: None, version: None, ..settings };
    let host = Host::new(ports, settings);
    sim.announce_artifact();
    for event in events {
        sim.inject_event(event);
    }
    let waiting = host.run(Until::QuiescentOr(begin + MAX_SIMULATED_TIME)).await;
    recorder.finish();
    Ok(Report::new(report::ReportInput {
        options,
        config: &loaded.config,
        snapshot: &snapshot,
        sim: &sim,
        recorder: &recorder,
        begin,
        real: began.elapsed(),
        reproducible: !loaded.runtime.deadline_fired(),
        waiting,
    }))
}

/// The organization of a file, or a generated one.
pub fn snapshot(
    file_name: Option<&Path>,
    accounts: u32,
    tagged_percent: u8,
    seed: u64,
) -> Result<Snapshot, CommandError> {
    match file_name {
        None => {
            let accounts = usize::try_from(accounts).unwrap_or(usize::MAX);
            Ok(random_fleet(accounts, tagged_percent, seed))
        }
        Some(path) => Snapshot::parse(&read_file(path, "snapshot", files::MAX_SNAPSHOT_BYTES)?)
            .map_err(|error| CommandError::Usage(format!("{}: {error}", path.display()))),
    }
}

fn read_file(path: &Path, what: &str, limit: u64) -> Result<String, CommandError> {
    files::read_text_argument(path, limit)
        .map_err(|error| CommandError::unreadable(path, &format!("the {what}"), error))
}
