//! `groundcrew plan`: shows what a fleet update would do now. Reads only.

mod markdown;
mod report;
mod text;

pub use report::AccountDecision;
pub use text::groups;

use std::path::Path;
use std::sync::Arc;

use groundcrew_core::snapshot::Snapshot;
use groundcrew_plugins::files;
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::commands::{Plan, PlanFormat};
use crate::loaded_config::{PluginSelection, read_config};
use crate::output::{print, print_sanitized, to_json};
use crate::ports::NoSupportCases;
use crate::snapshot;

pub fn run(options: &Plan) -> Result<(), CommandError> {
    let runtime = crate::runtime::current_thread()?;
    let report = runtime.block_on(async {
        // Problems of the config are reported before the organization is read, which may take
        // minutes.
        let loaded = read_config(Some(&options.config))?
            .load(PluginSelection::All, Arc::new(NoSupportCases))
            .await?;
        let snapshot = match &options.snapshot {
            Some(file) => read_snapshot(file)?,
            None => snapshot::read_live(&loaded.config).await?,
        };
        let at = options.at.unwrap_or_else(Timestamp::now);
        Ok::<_, CommandError>(report::build(&loaded, &snapshot, at).await)
    })?;
    match options.format {
        PlanFormat::Text => print_sanitized(&text::render(&report, options.all))?,
        PlanFormat::Json => print(&to_json(&report)?)?,
        PlanFormat::Markdown => {
            print(&markdown::render(&report, &options.config.display().to_string()))?;
        }
    }
    let due = report.accounts.to_update + report.accounts.held;
    match crate::command_error::failing_policies_error(
        report.failures.iter().map(|failing| failing.policy.as_str()),
    ) {
        Some(failure) => Err(failure),
        None if options.detailed_exitcode && due > 0 => Err(CommandError::Changes(due)),
        None => Ok(()),
    }
}

/// Reads the organization from a file.
pub fn read_snapshot(file: &Path) -> Result<Snapshot, CommandError> {
    let named =
        |error: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {error}", file.display()));
    let text = match file == Path::new("-") {
        true => files::read_stream(std::io::stdin(), files::MAX_SNAPSHOT_BYTES)
            .and_then(files::decode_text),
        false => files::read_text_argument(file, files::MAX_SNAPSHOT_BYTES),
    };
    let text = text.map_err(|error| CommandError::unreadable(file, "the snapshot", error))?;
    Snapshot::parse(&text).map_err(|error| named(&error))
}
