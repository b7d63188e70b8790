//! The configuration: what a user writes in TOML, checked as a whole.
//!
//! [`Config::parse`] reads the text and reports every problem at once, with its line. What
//! only a loaded plugin can tell is checked by [`Config::check_lanes`] afterwards.

pub mod keys;
mod overlay;
mod plugins;
mod problem;
mod reader;
mod routes;
mod schema;

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

pub(crate) use plugins::AMS_CASE;
pub use plugins::{Component, Grants, Instance, Mode, Notifier, OnFailure, Plugin, Policy};
pub use problem::{OVERLAY, Problem, Problems, nearest, suggestion};
pub use reader::Settings;
pub use schema::schema;

use crate::catalog::LaunchPathId;
use crate::decision::{Action, NamedLanes};
use crate::due::Causes;
use crate::parameters::ParameterSource;
use crate::pipeline::Fallback;
use crate::route::Route;
use crate::scheduler::{LaneRules, Rules, StartWhen, WhenHeld};
use crate::suggested::Suggested;
use reader::{Reader, Section};

/// A complete configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Control Tower's home Region.
    pub region: String,
    /// Which product accounts are made from.
    pub account_factory: AccountFactory,
    /// How accounts are brought up to date.
    pub updates: Updates,
    /// At least one, in the order in which they run.
    pub lanes: Vec<Lane>,
    /// The SQS queues, as far as configured.
    pub queues: Queues,
    /// Where groundcrew keeps what AWS does not remember.
    pub ledger: Ledger,
    /// ARN of the SNS topic of alerts, where configured.
    pub alerts_topic: Option<String>,
    /// In the order in which they are asked.
    pub policies: Vec<Policy>,
    /// In the order in which they are written.
    pub notifiers: Vec<Notifier>,
    /// Which events are told to which notifiers: the first that an event takes counts.
    pub routes: Vec<Route>,
    /// How commands are suggested to whoever uses this config. It is not in the text: by
    /// default they name no config.
    pub suggested: Suggested,
}

/// `[account_factory]`; see [`keys::ACCOUNT_FACTORY`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFactory {
    /// Name of the product.
    pub product_name: String,
    /// Name of the portfolio.
    pub portfolio_name: String,
    /// The launch path, when the portfolio's name does not tell.
    pub launch_path: Option<LaunchPathId>,
    /// Where the parameters of updates come from.
    pub parameters: ParameterSource,
    /// Region of IAM Identity Center.
    pub identity_center_region: String,
}

/// `[updates]`; see [`keys::UPDATES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updates {
    /// Most updates at once.
    pub max_concurrent_operations: usize,
    /// Control Tower's quota of concurrent account operations.
    pub account_quota: usize,
    /// Of these, so many are left free for others.
    pub reserve: usize,
    /// Most updates at once of accounts directly in the same OU.
    pub per_ou_limit: Option<usize>,
    /// Whether somebody has to approve of a plan before anything is started.
    pub approval: bool,
    /// For which causes accounts are updated.
    pub causes: Causes,
    /// Between two looks at a running update.
    pub wait: Duration,
    /// An update running longer is worth an alert.
    pub operation_timeout: Duration,
    /// Failed updates before an account is given up.
    pub max_receive_count: u32,
    /// What happens when every policy abstains.
    pub default: Fallback,
    /// How much work the queue holds at most.
    pub window: Duration,
    /// Longest time between two sweeps.
    pub sweep_interval: Duration,
    /// Shortest time between two sweeps that events ask for.
    pub min_sweep_interval: Duration,
}

/// One of `[[lanes]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Most updates of it at once.
    pub concurrency: usize,
    /// What it takes of the lanes before it.
    pub start_when: StartWhen,
    /// What it makes of accounts that policies hold in the lanes before it.
    pub held: WhenHeld,
    /// How long after the lanes before it.
    pub soak: Duration,
    /// So many failed updates in a row pause it.
    pub failure_threshold: Option<u32>,
    /// Where it is written; 0 for the lane that exists when none is.
    pub line: usize,
}

/// `[queues]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// The FIFO queue of accounts to update.
    pub updates_url: Option<String>,
    /// The FIFO queue of notifications.
    pub notifications_url: Option<String>,
    /// The standard queue of events.
    pub events_url: Option<String>,
}

/// `[ledger]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Where it is.
    pub place: LedgerPlace,
    /// Accounts that joined within this time and have no entry have lost their event.
    pub onboarding_lookback: Duration,
}

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerPlace {
    /// A file, relative to the config file.
    File(PathBuf),
    /// A DynamoDB table.
    Table(String),
}

impl Config {
    /// Reads a configuration. `file` is its name as the user gave it, for the problems.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        match Self::read(text) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(Problems::new(file, problems)),
        }
    }

    /// Reads a configuration as far as it can be read, with everything that is wrong: what is
    /// wrong reads as its default, so that plugins can be checked all the same. `None` only
    /// with at least one problem.
    pub fn read(text: &str) -> (Option<Self>, Vec<Problem>) {
        Self::read_over(text, "")
    }

    /// Reads a configuration with an overlay: TOML too, whose values come in place of the
    /// file's. Tables are laid over each other key by key; a list replaces the file's as a
    /// whole. The lines of problems go on in the overlay after the last of the file.
    pub fn read_over(text: &str, over: &str) -> (Option<Self>, Vec<Problem>) {
        let texts = overlay::Texts::new(text, over);
        let mut reader = Reader::new(&texts.both);
        let (root, errors) = texts.parse();
        for error in errors {
            reader.not_toml(&error);
        }
        let config = read(&mut reader, &root);
        if config.is_none() && reader.problems.is_empty() {
            reader.problem(1, "the configuration is incomplete");
        }
        (config, reader.problems)
    }

    /// The scheduler's part of it.
    pub fn rules(&self) -> Rules {
        let updates = &self.updates;
        Rules {
            lanes: self
                .lanes
                .iter()
                .map(|lane| LaneRules {
                    name: lane.name.clone(),
                    concurrency: lane.concurrency,
                    start_when: lane.start_when,
                    held: lane.held,
                    soak: lane.soak,
                    failure_threshold: lane.failure_threshold,
                })
                .collect(),
            max_concurrent_operations: updates
                .max_concurrent_operations
                .min(updates.account_quota - updates.reserve),
            per_ou_limit: updates.per_ou_limit,
            max_attempts: updates.max_receive_count,
            wait: updates.wait,
            operation_timeout: updates.operation_timeout,
            window: updates.window,
            sweep_interval: updates.sweep_interval,
            min_sweep_interval: updates.min_sweep_interval,
            suggested: self.suggested.clone(),
        }
    }

    /// The lanes' names, in their order.
    pub fn lane_names(&self) -> Vec<String> {
        self.lanes.iter().map(|lane| lane.name.clone()).collect()
    }

    /// Checks, once plugins have said which lanes they name, that each lane can be reached
    /// and each name is a lane. `named` has one entry for each of the policies.
    pub fn check_lanes(&self, named: &[NamedLanes]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut asked = Vec::new();
        for (policy, lanes) in self.policies.iter().zip(named) {
            if let NamedLanes::Only(names) = lanes {
                for name in names {
                    if !self.lanes.iter().any(|lane| lane.name == *name) {
                        let known = self.lane_names();
                        let hint = suggestion(name, known.iter().map(String::as_str));
                        problems.push(Problem {
                            line: policy.component.line,
                            message: format!(
                                "policy `{}` names the lane `{name}`, which is not one of \
                                 [[lanes]]: {}{hint}",
                                policy.component.name,
                                known.join(", ")
                            ),
                        });
                    }
                }
            }
            if policy.actions.contains(&Action::Update) {
                asked.push(lanes);
            }
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            let named = asked.iter().any(|lanes| match lanes {
                NamedLanes::Any => true,
                NamedLanes::Only(names) => names.contains(&lane.name),
            });
            // Whatever proceeds without a name goes to the first lane.
            let unnamed =
                index == 0 && (self.updates.default == Fallback::Proceed || !asked.is_empty());
            if !named && !unnamed {
                let message = if index == 0 {
                    "nothing can be updated: `updates.default` is \"skip\" and no policy is asked \
                     about updates; add one to [[policies]], or set the default to \"proceed\""
                        .to_owned()
                } else {
                    format!(
                        "nothing can reach the lane `{}`: no policy that is asked about updates \
                         names it; remove it, or configure a policy that does (`managed-tag` \
                         names the second lane when its `priority_mode` is true)",
                        lane.name
                    )
                };
                problems.push(Problem { line: lane.line.max(1), message });
            }
        }
        problems
    }
}

/// `None` when something is missing; the reader then has the problem.
fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Config> {
    let names: Vec<&str> =
        keys::TABLES.iter().map(|table| table.name).filter(|name| !name.contains('.')).collect();
    reader.known_tables(root, &names);

    let aws = reader.table(root, "aws", &keys::AWS, &[]);
    let region = aws.text(reader, "region");

    let section = reader.table(root, "account_factory", &keys::ACCOUNT_FACTORY, &[]);
    let product_name = section.text(reader, "product_name");
    let portfolio_name = section.text(reader, "portfolio_name");
    let launch_path = section.text(reader, "launch_path").map(LaunchPathId::new);
    let parameters = section.text(reader, "parameters");
    let identity_center_region =
        section.text(reader, "identity_center_region").or_else(|| region.clone());

    let updates = read_updates(reader, root, parameters.as_deref() == Some("previous"));
    let lanes = read_lanes(reader, root, updates.as_ref());

    let section = reader.table(root, "queues", &keys::QUEUES, &[]);
    let queues = Queues {
        updates_url: section.text(reader, "updates_url"),
        notifications_url: section.text(reader, "notifications_url"),
        events_url: section.text(reader, "events_url"),
    };
    let ledger = read_ledger(reader, root);
    let alerts_topic = root.contains_key("alerts").then(|| {
        let section = reader.table(root, "alerts", &keys::ALERTS, &[]);
        section.text(reader, "topic_arn")
    });
    let policies = plugins::read_policies(reader, root);
    let notifiers = plugins::read_notifiers(reader, root);
    let routes = routes::read(reader, root, &policies, &notifiers);

    Some(Config {
        region: region?,
        account_factory: AccountFactory {
            product_name: product_name?,
            portfolio_name: portfolio_name?,
            launch_path,
            parameters: match parameters?.as_str() {
                "previous" => ParameterSource::Previous,
                _ => ParameterSource::Rebuild,
            },
            identity_center_region: identity_center_region?,
        },
        updates: updates?,
        lanes,
        queues,
        ledger: ledger?,
        alerts_topic: alerts_topic.flatten(),
        policies,
        notifiers,
        routes,
        suggested: Suggested::default(),
    })
}

fn read_ledger(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Ledger> {
    let section = reader.table(root, "ledger", &keys::LEDGER, &[]);
    let file = section.text(reader, "file");
    let table = section.text(reader, "table");
    if file.is_some() && table.is_some() {
        let line = section.line_of(reader, "table");
        reader.problem(
            line,
            "`ledger` has both `file` and `table`: a ledger is in one place; remove one",
        );
    }
    let place = match table {
        Some(table) => LedgerPlace::Table(table),
        None => LedgerPlace::File(file.unwrap_or_else(|| "groundcrew.db".to_owned()).into()),
    };
    let onboarding_lookback = section.duration(reader, "onboarding_lookback");
    Some(Ledger { place, onboarding_lookback: onboarding_lookback? })
}

/// `keeps_parameters`: updates take over the parameters of the last operation.
fn read_updates(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    keeps_parameters: bool,
) -> Option<Updates> {
    let section = reader.table(root, "updates", &keys::UPDATES, &[]);
    let concurrent = section.integer(reader, "max_concurrent_operations").map(count);
    let account_quota = section.integer(reader, "account_quota").map(count);
    if let (Some(concurrent), Some(quota)) = (concurrent, account_quota)
        && concurrent > quota
    {
        let line = section.line_of(reader, "max_concurrent_operations");
        reader.problem(
            line,
            format!(
                "`updates.max_concurrent_operations` is {concurrent}, above `account_quota` \
                 ({quota}): expected 1 to {quota}. If AWS has raised the quota \"Concurrent \
                 account operations\" for you, say so in `account_quota`"
            ),
        );
    }
    let reserve = section.integer(reader, "reserve").map(count);
    if let (Some(reserve), Some(quota)) = (reserve, account_quota)
        && reserve >= quota
    {
        let line = section.line_of(reader, "reserve");
        reader.problem(
            line,
            format!(
                "`updates.reserve` is {reserve} of an `account_quota` of {quota}: nothing would \
                 ever be started; expected at most {}",
                quota - 1
            ),
        );
    }
    let per_ou_limit = section.integer(reader, "per_ou_limit").map(count);
    let approval = section.text(reader, "approval");
    let causes = read_causes(reader, &section, keeps_parameters);
    let wait = section.integer(reader, "wait_seconds").map(|seconds| seconds.unsigned_abs());
    let operation_timeout = section.duration(reader, "operation_timeout");
    let max_receive_count = section.integer(reader, "max_receive_count");
    let default = section.text(reader, "default");
    let window = section.duration(reader, "window");
    let sweep_interval = section.duration(reader, "sweep_interval");
    let min_sweep_interval = section.duration(reader, "min_sweep_interval");
    if let (Some(shortest), Some(longest)) = (min_sweep_interval, sweep_interval)
        && (shortest < Duration::from_secs(1) || longest < shortest)
    {
        let line = section.line_of(reader, "sweep_interval");
        reader.problem(
            line,
            "`updates.min_sweep_interval` must be at least \"1s\", and `updates.sweep_interval` at \
             least as long",
        );
    }
    if let Some(window) = window
        && window > Duration::from_secs(14 * 24 * 3600)
    {
        let line = section.line_of(reader, "window");
        reader.problem(
            line,
            "`updates.window` is over 14 days, the longest that SQS keeps a message",
        );
    }
    Some(Updates {
        max_concurrent_operations: concurrent?,
        account_quota: account_quota?,
        reserve: reserve.filter(|reserve| Some(*reserve) < account_quota).unwrap_or(0),
        per_ou_limit,
        approval: approval.as_deref() == Some("required"),
        causes,
        wait: Duration::from_secs(wait?),
        operation_timeout: operation_timeout?,
        max_receive_count: u32::try_from(max_receive_count?).unwrap_or(u32::MAX),
        default: match default?.as_str() {
            "skip" => Fallback::Skip,
            _ => Fallback::Proceed,
        },
        window: window?,
        sweep_interval: sweep_interval?,
        min_sweep_interval: min_sweep_interval?,
    })
}

fn read_causes(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    keeps_parameters: bool,
) -> Causes {
    let mut wanted = |key| section.text(reader, key).map(|answer| answer == "update");
    let moved = wanted("on_moved");
    let causes = Causes {
        moved: moved.unwrap_or(!keeps_parameters),
        landing_zone: wanted("on_landing_zone").unwrap_or(true),
        tainted: wanted("on_tainted").unwrap_or(true),
        error: wanted("on_error").unwrap_or(false),
    };
    if moved == Some(true) && keeps_parameters {
        let line = section.line_of(reader, "on_moved");
        reader.problem(
            line,
            "`updates.on_moved` is \"update\" and `account_factory.parameters` is \"previous\": an \
             update would name the OU that the account was moved out of; let the parameters be \
             \"rebuild\", or moved accounts be left alone with \"skip\"",
        );
    }
    causes
}

fn read_lanes(reader: &mut Reader<'_>, root: &DeTable<'_>, updates: Option<&Updates>) -> Vec<Lane> {
    let concurrent = updates.map(|updates| updates.max_concurrent_operations).unwrap_or(1);
    let mut lanes: Vec<Lane> = Vec::new();
    for section in reader.tables(root, "lanes", &keys::LANES, &[]) {
        let name = section.text(reader, "name");
        let concurrency = section.integer(reader, "concurrency").map(count);
        if let (Some(updates), Some(concurrency)) = (updates, concurrency)
            && concurrency > updates.account_quota
        {
            let line = section.line_of(reader, "concurrency");
            let quota = updates.account_quota;
            reader.problem(
                line,
                format!(
                    "`lanes.concurrency` is {concurrency}, above `updates.account_quota` \
                     ({quota}): expected 1 to {quota}"
                ),
            );
        }
        let start_when = match section.text(reader, "start_when").as_deref() {
            Some("succeeded") => StartWhen::Succeeded,
            _ => StartWhen::Drained,
        };
        let held = match section.text(reader, "held").as_deref() {
            Some("pass") => WhenHeld::Pass,
            _ => WhenHeld::Wait,
        };
        let soak = section.duration(reader, "soak").unwrap_or_default();
        let failure_threshold = section
            .integer(reader, "failure_threshold")
            .map(|failures| u32::try_from(failures).unwrap_or(u32::MAX));
        let Some(name) = name else { continue };
        if lanes.iter().any(|lane| lane.name == name) {
            let line = section.line_of(reader, "name");
            reader
                .problem(line, format!("a second lane is named `{name}`: each needs its own name"));
        }
        let line = section.line;
        lanes.push(Lane {
            name,
            concurrency: concurrency.unwrap_or(concurrent),
            start_when,
            held,
            soak,
            failure_threshold,
            line,
        });
    }
    if lanes.is_empty() {
        let LaneRules { name, concurrency, start_when, held, soak, failure_threshold } =
            LaneRules::new("all", concurrent);
        lanes.push(Lane { name, concurrency, start_when, held, soak, failure_threshold, line: 0 });
    }
    lanes
}

/// Numbers whose form already bounds them to a few.
fn count(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
