//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use groundcrew_core::account::AccountId;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::suggestions::DEFAULT_CONFIG;
use jiff::Timestamp;

use crate::timestamp_arg::{Since, parse_timestamp};

/// The environment variable that names the config where `--config` doesn't.
pub const CONFIG_VARIABLE: &str = "GROUNDCREW_CONFIG";

/// Runs account operations for AWS Control Tower: notifies other systems of new accounts, and
/// keeps every account on the current Account Factory version, as policies decide.
#[derive(Debug, Parser)]
#[command(name = "groundcrew", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a first config
    Init(Init),
    /// Check a config: its keys and values, its plugins and their settings
    Check(Check),
    /// Check what the config needs in AWS: what is missing, and the fix
    Doctor(Doctor),
    /// Simulate a fleet update on a simulated AWS, in virtual time
    Simulate(Simulate),
    /// Dry run: show what a fleet update would do now, account by account
    Plan(Plan),
    /// Show what each policy decides about one account, and why
    Explain(Explain),
    /// Test policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print the JSON Schema of the config, for editors
    Schema,
    /// Write the live organization to a file; changes nothing in AWS
    Snapshot(Snapshot),
    /// Run as a service until stopped: update accounts, and notify other systems of new ones
    Run(Run),
    /// Show what is done, what runs, what failed, and when it will end
    Status(Status),
    /// Retry dead-lettered accounts, or dead-lettered notifications
    Redrive(Redrive),
    /// Start no more updates of a lane and of the lanes after it; running updates continue
    Pause(LaneArgs),
    /// Resume a paused lane
    Resume(LaneArgs),
    /// Show a plan and approve it, where updates need approval
    Approve(Approve),
    /// Request a sweep of the organization now rather than at the next interval
    Sweep(Sweep),
    /// Show which operator commands were given, when and by whom
    Audit(Audit),
    /// Handle one EventBridge event: notify other systems of a new account
    Handle(Handle),
    /// Send one event to one notifier, or show what the notifier would send
    Notify(Notify),
    /// Package the binary, a config and its plugins for a Lambda function or a container
    Package(Package),
    /// Check the health of the service on this machine, for a container's health check
    Health(Health),
    /// Serve the simulated AWS on an address of this machine, in real time
    SimAws(SimAws),
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where to write it; `-` writes it to stdout
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub out: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
    /// Control Tower's home Region
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "us-east-1")]
    pub region: String,
    /// Which accounts are updated
    #[arg(long, value_enum, default_value_t = UpdateScope::All)]
    pub update: UpdateScope,
    /// The tag that `--update tagged` and `tagged-first` go by
    #[arg(long, value_name = "KEY=VALUE", default_value = "account-factory-managed=true", value_parser = tag)]
    pub tag: (String, String),
    /// Most updates at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub at_once: u8,
    /// Start no update before an operator has approved the plan
    #[arg(long)]
    pub approval: bool,
    /// Open an AMS support case for every account that Control Tower creates
    #[arg(long)]
    pub ams: bool,
    /// URL of the FIFO queue of accounts to update
    #[arg(long, value_name = "URL")]
    pub updates_url: Option<String>,
    /// URL of the queue of events
    #[arg(long, value_name = "URL")]
    pub events_url: Option<String>,
    /// URL of the FIFO queue of notifications
    #[arg(long, value_name = "URL")]
    pub notifications_url: Option<String>,
    /// ARN of the SNS topic of alerts
    #[arg(long, value_name = "ARN")]
    pub topic_arn: Option<String>,
    /// Name of the DynamoDB table of the ledger, instead of a file
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
}

/// Which accounts are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UpdateScope {
    /// Every outdated account
    All,
    /// Those with the tag
    Tagged,
    /// Those with the tag, then all others one at a time
    TaggedFirst,
}

impl UpdateScope {
    /// The name of the lane that comes first.
    pub fn first_lane(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Tagged | Self::TaggedFirst => "tagged",
        }
    }
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected the tag's key and value, as in team=payments".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct Check {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The organization, as `groundcrew snapshot` wrote it; `-` reads it from stdin; by default
    /// it is read from AWS now
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Plan for this moment instead of now, for example 2026-12-24T18:00:00Z; a date is the start
    /// of that day in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    pub at: Option<Timestamp>,
    /// List every account
    #[arg(long)]
    pub all: bool,
    /// End with exit code 3 when accounts are to be updated, now or after a hold, and nothing fails
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// What is written to stdout
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Also send each notifier's other system a HEAD request, with the secrets that are granted
    #[arg(long)]
    pub probe: bool,
    /// What is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The account
    #[arg(long, value_name = "ID")]
    pub account: AccountId,
    /// The organization, as `groundcrew snapshot` wrote it; by default the account is read now
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// The action that policies decide about
    #[arg(long, value_enum, default_value_t = ExplainAction::Update)]
    pub action: ExplainAction,
    /// Decide as of this moment, for example 2026-12-24T18:00:00Z; a date is the start
    /// of that day in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    pub at: Option<Timestamp>,
    /// What is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainAction {
    /// An update to the newest Account Factory version
    Update,
    /// Notifying other systems of it
    Onboard,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Run the test cases of policies: files named like rings.cases.toml
    Test(PolicyTest),
}

#[derive(Debug, Args)]
pub struct PolicyTest {
    /// A file of cases, or a directory that is searched for them
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Also show which lines of the scripts no case reaches
    #[arg(long)]
    pub coverage: bool,
}

#[derive(Debug, Args)]
pub struct Handle {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The event as EventBridge delivers it, as JSON; `-` reads it from stdin
    #[arg(value_name = "EVENT.json")]
    pub event: PathBuf,
}

#[derive(Debug, Args)]
pub struct Notify {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The event as EventBridge delivers it, as JSON; `-` reads it from stdin
    #[arg(long, value_name = "EVENT.json")]
    pub event: PathBuf,
    /// Name of the notifier
    #[arg(long, value_name = "NAME")]
    pub notifier: String,
    /// Dry run: send nothing, and show what would be sent to systems that are empty
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Snapshot {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Where to write it; `-` writes it to stdout
    #[arg(long, value_name = "FILE", default_value = "snapshot.json")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Package {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// What the package is for
    #[arg(long, value_enum)]
    pub target: Target,
    /// The directory that it is written to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The groundcrew to package; by default this one
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A ZIP archive for the runtime provided.al2023: groundcrew-lambda.zip
    Lambda,
    /// A directory that an image is built from: container
    Container,
}

#[derive(Debug, Args)]
pub struct Health {
    /// Where the service listens, as its --listen says
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
}

#[derive(Debug, Args)]
pub struct SimAws {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4577")]
    pub listen: SocketAddr,
    /// The organization, as JSON: its accounts are current or outdated as it says
    #[arg(long, value_name = "FILE", conflicts_with_all = ["accounts", "tagged_percent"])]
    pub snapshot: Option<PathBuf>,
    /// Keep everything in this file, and continue from it if it exists: then no organization is
    /// read or made up
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write a config for it into this file rather than to stdout
    #[arg(long, value_name = "FILE")]
    pub write_config: Option<PathBuf>,
    /// Make up an organization of so many accounts, all of them outdated
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub accounts: u32,
    /// Of the made-up accounts, how many percent have the tag account-factory-managed = "true"
    #[arg(long, value_name = "P", default_value_t = 50, value_parser = clap::value_parser!(u8).range(..=100))]
    pub tagged_percent: u8,
}

#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// The config file; by default groundcrew.toml. Where that is not there either, every account is
    /// updated, four at once
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub config: Option<PathBuf>,
    /// The organization to simulate, as JSON
    #[arg(long, value_name = "FILE", conflicts_with_all = ["accounts", "tagged_percent"])]
    pub snapshot: Option<PathBuf>,
    /// Make up an organization of so many accounts, all of them outdated
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub accounts: u32,
    /// Of the made-up accounts, how many percent have the tag account-factory-managed = "true"
    #[arg(long, value_name = "P", default_value_t = 50, value_parser = clap::value_parser!(u8).range(..=100))]
    pub tagged_percent: u8,
    /// Begin at this moment, for example 2026-12-24T18:00:00Z; a date is the start of that day in
    /// UTC; by default on 2026-09-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    pub at: Option<Timestamp>,
    /// The same seed gives the same run
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Deliver this EventBridge event too, at the beginning; may be given more than once
    #[arg(long = "event", value_name = "FILE")]
    pub events: Vec<PathBuf>,
    /// How much goes wrong
    #[arg(long, value_enum, default_value_t = Faults::None)]
    pub faults: Faults,
    /// What is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Run {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Where /healthz, /readyz and /metrics are served; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}

#[derive(Debug, Args)]
pub struct Status {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Show it again every few seconds, until interrupted
    #[arg(long)]
    pub watch: bool,
    /// What is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["account", "lane", "all", "notifier"]))]
pub struct Redrive {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// This account; may be given more than once
    #[arg(long, value_name = "ID")]
    pub account: Vec<AccountId>,
    /// The accounts that failed in this lane
    #[arg(long, value_name = "LANE")]
    pub lane: Option<String>,
    /// Every dead-lettered account
    #[arg(long, conflicts_with_all = ["account", "lane"])]
    pub all: bool,
    /// Instead of updates: the dead-lettered notifications of this notifier
    #[arg(long, value_name = "NOTIFIER", conflicts_with_all = ["account", "lane", "all"])]
    pub notifier: Option<String>,
}

#[derive(Debug, Args)]
pub struct LaneArgs {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The lane; by default every lane
    #[arg(value_name = "LANE")]
    pub lane: Option<String>,
}

#[derive(Debug, Args)]
pub struct Approve {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The plan, as the alert that asks for approval names it
    #[arg(value_name = "PLAN-ID")]
    pub plan: PlanId,
    /// Ask for no confirmation: for pipelines
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Audit {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Only commands since this moment, for example 2026-12-24T18:00:00Z, or since this date in UTC
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// What is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Sweep {
    /// The config file
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Dry run: show what a sweep would find now, and write nothing to the ledger
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// Nothing
    None,
    /// What a large organization sees in a normal week
    Light,
    /// What it sees on its worst day
    Heavy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A summary for people
    Text,
    /// One JSON document for programs
    Json,
    /// A comment for a pull request
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary for people
    Text,
    /// One JSON document for programs
    Json,
}
