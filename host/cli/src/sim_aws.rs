//! `groundcrew sim-aws`: the simulated AWS as a server, in real time, for the AWS CLI, boto3 and
//! this host's own commands. Keeps its state in a file if one is named.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use groundcrew_core::suggestions::{CommandFormatter, DEFAULT_CONFIG, shell_quote};
use groundcrew_plugins::files;
use groundcrew_sim::{FaultLevel, Resources, SaveState, ServeOptions, State, serve_with_state};
use tokio::net::TcpListener;

use crate::command_error::CommandError;
use crate::commands::{Init, SimAws, UpdateScope};
use crate::files::{check_writable, with_suffix, write_atomic};
use crate::init;
use crate::output::{print, print_stderr};
use crate::signals::shutdown_signal;
use crate::simulate::snapshot;

/// Control Tower's default quota of concurrent account operations.
const ACCOUNT_QUOTA: usize = 5;

/// Most bytes of a state file: enough for more than 100,000 accounts.
const MAX_STATE_BYTES: u64 = 1 << 30;

/// Lines around the config in the output, as comments of TOML.
const CONFIG_BEGINS: &str = "# --- config ---";
const CONFIG_ENDS: &str = "# --- end of config ---";

pub fn run(options: &SimAws) -> Result<(), CommandError> {
    // Locked until the end: two processes with the same state would overwrite each other's.
    let _lock = options.state.as_deref().map(lock).transpose()?;
    let saved = options.state.as_deref().map(read_state).transpose()?.flatten();
    let note = match (&options.state, &saved, &options.snapshot) {
        (Some(path), Some(_), None) => {
            format!("It continues from the state in {}.\n", path.display())
        }
        (Some(path), Some(_), Some(ignored)) => format!(
            "It continues from the state in {}; {} was not read.\n",
            path.display(),
            ignored.display()
        ),
        (Some(path), None, _) => format!("Its state is kept in {}.\n", path.display()),
        (None, ..) => "It is all in memory: --state FILE keeps it in a file.\n".to_owned(),
    };
    let state = match saved {
        Some(state) => state,
        None => State::new(ServeOptions {
            seed: 1,
            snapshot: snapshot(
                options.snapshot.as_deref(),
                options.accounts,
                options.tagged_percent,
                1,
            )?,
            faults: FaultLevel::None,
            quota: ACCOUNT_QUOTA,
        }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Other(error.to_string()))?;
    runtime.block_on(async {
        let stop = shutdown_signal()?;
        let listen = options.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            CommandError::Other(format!("{listen}: can't listen there: {error}; try another port"))
        })?;
        let address =
            listener.local_addr().map_err(|error| CommandError::Other(error.to_string()))?;
        let resources = Resources::at(address);
        let written = options.write_config.as_deref();
        if let Some(path) = written {
            write_config(path, &resources)?;
        }
        print(&banner(&resources, &note, written))?;
        serve_with_state(listener, state, options.state.clone().map(state_saver), stop)
            .await
            .map_err(|error| CommandError::Other(error.to_string()))
    })
}

/// Locks a state for this process, by a file beside it: the state file itself is replaced at each
/// save.
fn lock(path: &Path) -> Result<File, CommandError> {
    let lock_file = with_suffix(path, ".lock");
    let failed = |error| CommandError::unwritable(path, error, "--state");
    let file = File::create(&lock_file).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CommandError::Other(format!(
            "{}: another `groundcrew sim-aws` keeps its state there: stop it, or name another file \
             with --state",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Reads the state from a file; `None` if the file doesn't exist yet.
fn read_state(path: &Path) -> Result<Option<State>, CommandError> {
    let name = path.display();
    if let Err(error) = path.symlink_metadata()
        && error.kind() == io::ErrorKind::NotFound
    {
        return match check_writable(path) {
            Ok(()) => Ok(None),
            Err(error) => Err(CommandError::unwritable(path, error, "--state")),
        };
    }
    let advice = "it was left as it is: name another file with --state, or move it away to begin \
                  anew";
    let failed = |error: String| CommandError::Usage(format!("{name}: {error}\n{advice}"));
    let text = files::read_text_argument(path, MAX_STATE_BYTES)
        .map_err(|error| failed(format!("the state can't be read: {error}")))?;
    State::parse(&text).map(Some).map_err(|error| failed(error.to_string()))
}

/// Saves a state in a file atomically. Reports the same error once.
fn state_saver(path: PathBuf) -> SaveState {
    let mut reported = None;
    Box::new(move |text| {
        let saved = write_atomic(&path, text.as_bytes()).map_err(|error| {
            let message = format!("{}: the state can't be kept: {error}", path.display());
            io::Error::new(error.kind(), message)
        });
        let error = saved.as_ref().err().map(ToString::to_string);
        if reported != error {
            if let Some(error) = &error {
                print_stderr(&error.to_string());
            }
            reported = error;
        }
        saved
    })
}

/// A config for the simulation, which updates every outdated account. Its ledger is the simulated
/// table, so it has the same lifetime as the simulation.
fn config(resources: &Resources, name: &str) -> String {
    let options = Init {
        out: PathBuf::from(name),
        force: false,
        region: resources.region.to_owned(),
        update: UpdateScope::All,
        tag: (String::new(), String::new()),
        at_once: 4,
        approval: false,
        ams: false,
        updates_url: Some(resources.updates.0.clone()),
        events_url: Some(resources.events.0.clone()),
        notifications_url: Some(resources.notifications.0.clone()),
        topic_arn: Some(resources.topic_arn.clone()),
        table: Some(resources.table.to_owned()),
    };
    init::render(&options, &CommandFormatter::with_config(name))
}

/// Writes the config into a file, unless the file has another text.
fn write_config(path: &Path, resources: &Resources) -> Result<(), CommandError> {
    let name = path.display();
    let text = config(resources, &name.to_string());
    if path.symlink_metadata().is_ok() {
        let same = files::read_text(path, files::MAX_TEXT_BYTES).is_ok_and(|there| there == text);
        return if same {
            Ok(())
        } else {
            Err(CommandError::Usage(format!(
                "{name}: is there already with another text, and was left as it is; name another \
                 file with --write-config"
            )))
        };
    }
    write_atomic(path, text.as_bytes())
        .map_err(|error| CommandError::unwritable(path, error, "--write-config"))
}

/// The text that is printed at the start.
fn banner(resources: &Resources, note: &str, written: Option<&Path>) -> String {
    let Resources { endpoint, region, updates, events, notifications, topic_arn, table } =
        resources;
    let config = match written {
        Some(path) => {
            format!("A config for all of this is in {}.\n", shell_quote(&path.to_string_lossy()))
        }
        None => format!(
            "A config for all of this, to be saved as {DEFAULT_CONFIG} (--write-config FILE writes it):\n\n\
             {CONFIG_BEGINS}\n{}{CONFIG_ENDS}\n",
            config(resources, DEFAULT_CONFIG)
        ),
    };
    let queue = |(url, dead): &(String, String)| format!("{url}\n    dead letters   {dead}");
    format!(
        "The simulated AWS answers at {endpoint} until it is interrupted. {note}\n\
         In another terminal:\n\n  \
         export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region}\n  \
         export AWS_DEFAULT_REGION={region}\n  \
         export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any\n  \
         aws organizations list-accounts\n\n\
         It has\n  \
         updates queue    {}\n  \
         events queue     {}\n  \
         notifications    {}\n  \
         alerts topic     {topic_arn}\n  \
         ledger table     {table}\n\n\
         {config}\n\
         Accounts are current or outdated as the snapshot has them. A new version, which makes all of\n\
         them outdated, is released by\n\n  \
         curl -X POST {endpoint}/_groundcrew/release-artifact\n",
        queue(updates),
        queue(events),
        queue(notifications),
    )
}
