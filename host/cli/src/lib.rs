//! The command line: parses the arguments and runs the command.
//!
//! docs/commands.md lists the exit codes: 0 when nothing is wrong, 1 when something failed, 2 for a
//! wrong config or usage, and 3 when a plan has changes and `--detailed-exitcode` was given.

#![deny(missing_docs)]

mod check;
mod command_error;
mod commands;
mod doctor;
mod explain;
mod files;
mod formatting;
mod handle;
mod health;
mod init;
mod lambda;
mod ledger;
mod loaded_config;
mod notify;
mod operate;
mod output;
mod package;
mod plan;
mod plan_rules;
mod policy_test;
mod ports;
mod runtime;
mod schema;
mod script_data;
mod service;
mod signals;
mod sim_aws;
mod simulate;
pub mod simulated_transport;
mod snapshot;
mod timestamp_arg;
mod totals;

use std::process::ExitCode;

use clap::Parser;
use groundcrew_core::text::printable_lines;
use tracing_subscriber::EnvFilter;

use command_error::CommandError;
use commands::{Cli, Command, PolicyCommand};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let is_lambda = runtime::is_lambda();
    let command = if is_lambda { None } else { Some(Cli::parse().command) };
    // Logs go to stderr, so that stdout can be piped. By default only a Lambda and the service log
    // anything: their log is their only output.
    let long_running = is_lambda || matches!(command, Some(Command::Run(_)));
    let unless_told = if long_running { "info,aws_config=warn" } else { "off" };
    let filter = EnvFilter::try_from_env("GROUNDCREW_LOG").unwrap_or_else(|_| unless_told.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Such errors would be written to stderr, and would end the process if stderr can't be
        // written to.
        .log_internal_errors(false)
        .json()
        .init();
    let result = match command {
        None => lambda::run(),
        Some(Command::Init(options)) => init::run(&options),
        Some(Command::Check(options)) => check::run(&options),
        Some(Command::Doctor(options)) => doctor::run(&options),
        Some(Command::Simulate(options)) => simulate::run(&options),
        Some(Command::Snapshot(options)) => snapshot::run(&options),
        Some(Command::Handle(options)) => handle::run(&options),
        Some(Command::Notify(options)) => notify::run(&options),
        Some(Command::Run(options)) => service::run(&options),
        Some(Command::Status(options)) => operate::status(&options),
        Some(Command::Redrive(options)) => operate::redrive(&options),
        Some(Command::Pause(options)) => operate::pause(&options),
        Some(Command::Resume(options)) => operate::resume(&options),
        Some(Command::Approve(options)) => operate::approve(&options),
        Some(Command::Sweep(options)) => operate::sweep(&options),
        Some(Command::Audit(options)) => operate::audit(&options),
        Some(Command::Plan(options)) => plan::run(&options),
        Some(Command::Explain(options)) => explain::run(&options),
        Some(Command::Policy(PolicyCommand::Test(options))) => policy_test::run(&options),
        Some(Command::Schema) => schema::run(),
        Some(Command::Package(options)) => package::run(&options),
        Some(Command::Health(options)) => health::run(&options),
        Some(Command::SimAws(options)) => sim_aws::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::print_stderr(&printable_lines(&failure.to_string()));
            ExitCode::from(match failure {
                CommandError::Usage(_) => 2,
                CommandError::Other(_) | CommandError::Aws(_) => 1,
                CommandError::Changes(_) => 3,
            })
        }
    }
}
