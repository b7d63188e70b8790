//! `groundcrew plan`: what an update of the fleet would do now. Reads only.

mod markdown;
mod report;
mod text;

pub use report::Decided;
pub use text::groups;

use std::path::Path;
use std::sync::Arc;

use groundcrew_core::snapshot::Snapshot;
use groundcrew_plugins::files;
use jiff::Timestamp;

use crate::commands::{Plan, PlanFormat};
use crate::failure::Failure;
use crate::loaded::{Need, read};
use crate::output::{json, print, screen};
use crate::ports::NoSupport;
use crate::snapshot;

pub fn run(options: &Plan) -> Result<(), Failure> {
    let runtime = crate::runtime::current_thread()?;
    let report = runtime.block_on(async {
        // What is wrong with the config is told before the organization is read, which may
        // take minutes.
        let loaded = read(Some(&options.config))?.load(Need::All, Arc::new(NoSupport)).await?;
        let snapshot = match &options.snapshot {
            Some(file) => from_file(file)?,
            None => snapshot::live(&loaded.config).await?,
        };
        let at = options.at.unwrap_or_else(Timestamp::now);
        Ok::<_, Failure>(report::of(&loaded, &snapshot, at).await)
    })?;
    match options.format {
        PlanFormat::Text => screen(&text::render(&report, options.all))?,
        PlanFormat::Json => print(&json(&report)?)?,
        PlanFormat::Markdown => {
            print(&markdown::render(&report, &options.config.display().to_string()))?;
        }
    }
    let due = report.accounts.to_update + report.accounts.held;
    match crate::failure::failing(report.failures.iter().map(|failing| failing.policy.as_str())) {
        Some(failure) => Err(failure),
        None if options.detailed_exitcode && due > 0 => Err(Failure::Changes(due)),
        None => Ok(()),
    }
}

/// The organization as a file has it.
pub fn from_file(file: &Path) -> Result<Snapshot, Failure> {
    let named =
        |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", file.display()));
    let text = match file == Path::new("-") {
        true => files::all(std::io::stdin(), files::SNAPSHOT).and_then(files::text),
        false => files::read_named_text(file, files::SNAPSHOT),
    };
    let text = text.map_err(|error| Failure::unreadable(file, "the snapshot", error))?;
    Snapshot::parse(&text).map_err(|error| named(&error))
}
