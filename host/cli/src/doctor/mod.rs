//! `groundcrew doctor`: is everything in place that the config needs?

mod ledger;
mod notifiers;
mod report;
mod text;

use std::path::Path;
use std::sync::Arc;

use groundcrew_aws::doctor;
use groundcrew_core::doctor::{Check, Facts, Finding, evaluate};

use crate::commands::{Doctor, Format};
use crate::failure::Failure;
use crate::loaded::{Loaded, Need, read};
use crate::output::{json, print};
use crate::ports::{NoSupport, environment};
use crate::wording::count;
use report::Report;

/// Reads, judges and prints. Nothing is changed.
pub fn run(options: &Doctor) -> Result<(), Failure> {
    let runtime = crate::runtime::current_thread()?;
    let name = options.config.display().to_string();
    let examined = runtime.block_on(examine(options));
    // A name server that was not waited for is not waited for now.
    runtime.shutdown_background();
    match examined {
        Ok((region, findings)) => {
            let report = Report::new(name, Some(region), findings);
            show(&report, options.format)?;
            match report.failed() {
                0 => Ok(()),
                failed => Err(Failure::Other(format!(
                    "{} failed: do what is said there, and run this again",
                    count(failed, "check")
                ))),
            }
        }
        // What is wrong with the config is what has to be mended first.
        Err(Failure::Usage(problems)) => {
            let number = problems.lines().count();
            let finding =
                Finding::failed(Check::Config, problems, "mend the config, and run this again");
            show(&Report::new(name, None, vec![finding]), options.format)?;
            Err(Failure::Usage(format!(
                "{} found: mend the config, and run this again",
                count(number, "problem")
            )))
        }
        Err(other) => Err(other),
    }
}

/// The Region that was looked in, and what was found.
async fn examine(options: &Doctor) -> Result<(String, Vec<Finding>), Failure> {
    let read = read(Some(&options.config))?;
    let base = options.config.parent().unwrap_or(Path::new(""));
    let loaded = read.load(Need::All, Arc::new(NoSupport)).await?;
    let config = &loaded.config;
    let region = config.region.clone();
    let clients = environment(config).await.impatient().clients();
    let (facts, notifiers) = tokio::join!(
        doctor::examine(&clients, config, |path| ledger::look(&base.join(path))),
        notifiers::look(&clients, &config.notifiers, &loaded.notifiers, base, options.probe),
    );
    let facts = Facts { notifiers, ..facts };
    let mut findings = vec![Finding::ok(Check::Config, describe(&loaded))];
    findings.extend(evaluate(config, &facts));
    Ok((region, findings))
}

fn describe(loaded: &Loaded) -> String {
    let lanes = count(loaded.config.lanes.len(), "lane");
    let (policies, notifiers) = (loaded.policies.len(), loaded.notifiers.len());
    let one_or_many = |number, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    let policies = one_or_many(policies, "policy", "policies");
    format!("{lanes}, {policies}, {}", count(notifiers, "notifier"))
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => print(&text::render(report, text::coloured())),
        Format::Json => print(&json(report)?),
    }
}
