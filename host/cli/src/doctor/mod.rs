//! `groundcrew doctor`: checks whether everything that the config needs is in place.

mod ledger;
mod notifiers;
mod report;
mod text;

use std::path::Path;
use std::sync::Arc;

use groundcrew_aws::doctor;
use groundcrew_core::doctor::{Check, Facts, Finding, evaluate};

use crate::command_error::CommandError;
use crate::commands::{Doctor, Format};
use crate::formatting::count;
use crate::loaded_config::{LoadedConfig, PluginSelection, read_config};
use crate::output::{print, to_json};
use crate::ports::{NoSupportCases, environment};
use report::Report;

/// Reads, evaluates and prints. Changes nothing.
pub fn run(options: &Doctor) -> Result<(), CommandError> {
    let runtime = crate::runtime::current_thread()?;
    let name = options.config.display().to_string();
    let examined = runtime.block_on(run_checks(options));
    // Doesn't wait for a name resolution that has timed out.
    runtime.shutdown_background();
    match examined {
        Ok((region, findings)) => {
            let report = Report::new(name, Some(region), findings);
            show(&report, options.format)?;
            match report.failed() {
                0 => Ok(()),
                failed => Err(CommandError::Other(format!(
                    "{} failed: do what is said there, and run this again",
                    count(failed, "check")
                ))),
            }
        }
        // A wrong config has to be fixed first.
        Err(CommandError::Usage(problems)) => {
            let number = problems.lines().count();
            let finding =
                Finding::failed(Check::Config, problems, "fix the config, and run this again");
            show(&Report::new(name, None, vec![finding]), options.format)?;
            Err(CommandError::Usage(format!(
                "{} found: fix the config, and run this again",
                count(number, "problem")
            )))
        }
        Err(other) => Err(other),
    }
}

/// The Region that was checked, and the findings.
async fn run_checks(options: &Doctor) -> Result<(String, Vec<Finding>), CommandError> {
    let read = read_config(Some(&options.config))?;
    let base = options.config.parent().unwrap_or(Path::new(""));
    let loaded = read.load(PluginSelection::All, Arc::new(NoSupportCases)).await?;
    let config = &loaded.config;
    let region = config.region.clone();
    let clients = environment(config).await.interactive().clients();
    let (facts, notifiers) = tokio::join!(
        doctor::gather_facts(&clients, config, |path| ledger::inspect(&base.join(path))),
        notifiers::inspect(&clients, &config.notifiers, &loaded.notifiers, base, options.probe),
    );
    let facts = Facts { notifiers, ..facts };
    let mut findings = vec![Finding::ok(Check::Config, describe(&loaded))];
    findings.extend(evaluate(config, &facts));
    Ok((region, findings))
}

fn describe(loaded: &LoadedConfig) -> String {
    let lanes = count(loaded.config.lanes.len(), "lane");
    let (policies, notifiers) = (loaded.policies.len(), loaded.notifiers.len());
    let one_or_many = |number, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    let policies = one_or_many(policies, "policy", "policies");
    format!("{lanes}, {policies}, {}", count(notifiers, "notifier"))
}

fn show(report: &Report, format: Format) -> Result<(), CommandError> {
    match format {
        Format::Text => print(&text::render(report, text::use_colour())),
        Format::Json => print(&to_json(report)?),
    }
}
