//! `groundcrew snapshot`: writes the live organization to a file, for `simulate` and `plan`.
//! Changes nothing in AWS.

mod partial;
mod progress;
mod summary;

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::AccountFactory;
use groundcrew_core::config::Config;
use groundcrew_core::ports::Page;
use groundcrew_core::snapshot::{self as core, SnapshotAccount};
use groundcrew_core::unfinished_snapshot::{SnapshotSource, TagSource, UnfinishedSnapshot};
use groundcrew_engine::snapshot::{SnapshotPorts, SnapshotReader};
use jiff::Timestamp;
use tokio::time::interval;

use crate::command_error::CommandError;
use crate::commands::Snapshot;
use crate::files::{check_writable, write_atomic};
use crate::loaded_config::read_config;
use crate::output::print;
use crate::ports::ReadOnlyPorts;
use partial::PartialFile;
use progress::Progress;
use summary::Summary;

/// How often the data is saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

pub fn run(options: &Snapshot) -> Result<(), CommandError> {
    let config = read_config(Some(&options.config))?.into_config()?;
    if options.out.is_dir() {
        return Err(CommandError::Usage(format!(
            "{}: is a directory; set --out to a file",
            options.out.display()
        )));
    }
    let runtime = crate::runtime::current_thread()?;
    runtime.block_on(take_snapshot(&config, &options.out))
}

/// The live organization, for commands that use it at once.
pub async fn read_live(config: &Config) -> Result<core::Snapshot, CommandError> {
    Ok(read_organization(config, None).await?.snapshot)
}

/// One account of the live organization, as a snapshot that contains only it.
pub async fn read_live_account(
    config: &Config,
    id: &AccountId,
) -> Result<core::Snapshot, CommandError> {
    let ports = ReadOnlyPorts::connect(config).await;
    let (catalog, directory) = (&ports.catalog, &ports.directory);
    let factory = catalog.account_factory().await.map_err(snapshot_error)?;
    let (account, tags) = tokio::join!(directory.account(id), directory.tags(id));
    let source = SnapshotSource { region: config.region.clone(), product: factory.product.clone() };
    let mut unfinished_snapshot = UnfinishedSnapshot::new(source, Timestamp::now());
    match account {
        Ok(account) => unfinished_snapshot.accounts.items.push(SnapshotAccount::from(&*account)),
        // The organization doesn't have the account.
        Err(error) if error.class == ErrorClass::NotFound => {}
        Err(error) => return Err(snapshot_error(error)),
    }
    match tags {
        Ok(tags) => drop(unfinished_snapshot.tags.insert(id.clone(), tags)),
        Err(error) => drop(unfinished_snapshot.unreadable.insert(id.clone(), error.to_string())),
    }
    let mut page = None;
    loop {
        let products = catalog.provisioned_products(&factory.product, page.as_deref()).await;
        let Page { items, next } = products.map_err(snapshot_error)?;
        let of_account = items.into_iter().filter(|product| product.account == *id);
        unfinished_snapshot.products.items.extend(of_account.map(Into::into));
        match next {
            Some(next) => page = Some(next),
            None => break,
        }
    }
    Ok(unfinished_snapshot.snapshot(&factory, &config.account_factory.product_name, this_second()))
}

async fn take_snapshot(config: &Config, out: &Path) -> Result<(), CommandError> {
    let began = Instant::now();
    let partial = (out != Path::new("-")).then(|| PartialFile::for_output(out));
    if partial.is_some() {
        // Checked before the long work.
        check_writable(out).map_err(|error| CommandError::unwritable(out, error, "--out"))?;
    }
    let Organization { snapshot, tag_source, ports } =
        read_organization(config, partial.as_ref()).await?;
    let json = snapshot.to_json().map_err(|error| CommandError::Other(error.to_string()))?;
    match &partial {
        None => print(&json)?,
        Some(partial) => {
            write_atomic(out, json.as_bytes()).map_err(|error| {
                let resume_hint = partial.resume_hint();
                CommandError::Other(format!(
                    "{}: can't be written: {error}\n{resume_hint}",
                    out.display()
                ))
            })?;
            partial.remove();
        }
    }
    let summary = Summary {
        output_path: out,
        snapshot: &snapshot,
        tag_source: tag_source.as_ref(),
        calls: ports.clients.call_counter.by_operation(),
        took: began.elapsed(),
    };
    eprint!("{}", summary.render());
    Ok(())
}

/// An organization that was read, and the counts of the reading.
struct Organization {
    snapshot: core::Snapshot,
    tag_source: Option<TagSource>,
    ports: ReadOnlyPorts,
}

/// Reads the organization; continues an earlier run that `partial` contains.
async fn read_organization(
    config: &Config,
    partial: Option<&PartialFile>,
) -> Result<Organization, CommandError> {
    let mut stop = pin!(wait_for_signal());
    let ports = ReadOnlyPorts::connect(config).await;
    let catalog = &ports.catalog;
    let factory = tokio::select! {
        found = catalog.account_factory() => found.map_err(snapshot_error)?,
        signal = &mut stop => return Err(CommandError::Other(format!("stopped by {signal}"))),
    };

    let unfinished_snapshot = resume_or_start(config, &factory, partial);
    let reader = SnapshotReader::new(
        SnapshotPorts {
            catalog: ports.catalog.clone(),
            directory: ports.directory.clone(),
            tag_index: ports.tag_index.clone(),
        },
        unfinished_snapshot,
    );
    let save = || {
        if let Some(partial) = partial {
            partial.save(&reader.unfinished_snapshot());
        }
    };
    save();

    let mut progress = Progress::new();
    let mut reads = pin!(reader.read());
    let (mut saves, mut shows) = (interval(SAVE_INTERVAL), interval(PROGRESS_INTERVAL));
    let error = loop {
        tokio::select! {
            read = &mut reads => break read.err().map(snapshot_error),
            signal = &mut stop => break Some(CommandError::Other(format!("stopped by {signal}"))),
            _ = saves.tick() => save(),
            _ = shows.tick() => progress.show(reader.progress()),
        }
    };
    progress.finish(reader.progress());
    if let Some(error) = error {
        let Some(partial) = partial else { return Err(error) };
        save();
        return Err(CommandError::Other(format!("{error}\n{}", partial.resume_hint())));
    }

    let (snapshot, tag_source) = {
        let unfinished_snapshot = reader.unfinished_snapshot();
        let name = &config.account_factory.product_name;
        (
            unfinished_snapshot.snapshot(&factory, name, this_second()),
            unfinished_snapshot.tag_source.clone(),
        )
    };
    Ok(Organization { snapshot, tag_source, ports })
}

fn this_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The partial snapshot of an earlier run, or an empty one.
fn resume_or_start(
    config: &Config,
    factory: &AccountFactory,
    partial: Option<&PartialFile>,
) -> UnfinishedSnapshot {
    let now = Timestamp::now();
    let source = SnapshotSource { region: config.region.clone(), product: factory.product.clone() };
    let known = partial.and_then(|partial| partial.load(&source, now));
    known.unwrap_or_else(|| UnfinishedSnapshot::new(source, now))
}

/// An error of AWS with what to do about it.
fn snapshot_error(error: AwsError) -> CommandError {
    match error.lacks_permission() {
        true => CommandError::Other(format!(
            "{error}\nwhat the caller must be allowed is in docs/snapshot.md"
        )),
        false => error.into(),
    }
}

/// Waits until the process receives a signal to end; returns the signal's name.
async fn wait_for_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let waits = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Then the signal ends the process by default: the last save remains.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = waits(SignalKind::interrupt()) => "SIGINT",
        () = waits(SignalKind::terminate()) => "SIGTERM",
    }
}
