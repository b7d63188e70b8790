//! The configuration in TOML, checked as a whole.
//!
//! [`Config::parse`] parses the text and reports every problem at once, with its line. Checks that
//! need loaded plugins are in [`Config::check_lanes`].

mod forms;
pub mod keys;
mod lanes;
mod overlay;
mod plugins;
mod problem;
mod reader;
mod routes;
mod schema;
mod settings;
mod updates;

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

pub(crate) use plugins::AMS_CASE;
pub use plugins::{
    Grants, InstanceReuse, NotifierConfig, OnFailure, PluginConfig, PluginSource, PolicyConfig,
    PolicyMode,
};
pub use problem::{OVERLAY_VARIABLE, Problem, Problems, nearest, suggestion};
pub use schema::schema;
pub use settings::PluginSettings;
pub use updates::{ApprovalMode, CauseAction, UpdatesConfig};

use crate::catalog::LaunchPathId;
use crate::decision::{Action, NamedLanes};
use crate::decision_combiner::Fallback;
use crate::parameters::ParameterSource;
use crate::route::Route;
use crate::scheduler::{LaneRules, SchedulerRules};
use crate::suggestions::CommandFormatter;
use reader::Reader;

/// A complete configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Control Tower's home Region.
    pub region: String,
    /// The product from which accounts are made.
    pub account_factory: AccountFactoryConfig,
    /// How accounts are updated.
    pub updates: UpdatesConfig,
    /// At least one, in the order in which they run.
    pub lanes: Vec<LaneRules>,
    /// The lines of the lanes; none for the default lane.
    pub lane_lines: Vec<usize>,
    /// The SQS queues, as far as configured.
    pub queues: QueuesConfig,
    /// Where groundcrew stores what AWS does not remember.
    pub ledger: LedgerConfig,
    /// ARN of the SNS topic of alerts, if configured.
    pub alerts_topic: Option<String>,
    /// In the order in which they are evaluated.
    pub policies: Vec<PolicyConfig>,
    /// In the order in which they are written.
    pub notifiers: Vec<NotifierConfig>,
    /// Which events lead to notifications by which notifiers. For an event, the first matching
    /// route counts.
    pub routes: Vec<Route>,
    /// Problems that do not keep the config from being used: older names of keys.
    pub warnings: Vec<Problem>,
    /// How suggested commands name this config. This is not part of the text: by default they name
    /// none.
    pub suggestions: CommandFormatter,
}

/// `[account_factory]`; see [`keys::ACCOUNT_FACTORY`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFactoryConfig {
    /// Name of the product.
    pub product_name: String,
    /// Name of the portfolio.
    pub portfolio_name: String,
    /// The launch path, if the portfolio's name is ambiguous.
    pub launch_path: Option<LaunchPathId>,
    /// Where the parameters of updates come from.
    pub parameters: ParameterSource,
    /// Region of IAM Identity Center.
    pub identity_center_region: String,
}

/// `[queues]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuesConfig {
    /// The FIFO queue of accounts to update.
    pub updates_url: Option<String>,
    /// The FIFO queue of notifications.
    pub notifications_url: Option<String>,
    /// The standard queue of events.
    pub events_url: Option<String>,
}

/// `[ledger]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Where it is.
    pub location: LedgerLocation,
    /// An account that joined within this time and has no entry has lost its event.
    pub onboarding_lookback: Duration,
}

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerLocation {
    /// A file, relative to the config file.
    File(PathBuf),
    /// A DynamoDB table.
    Table(String),
}

impl Config {
    /// Parses a configuration. `file` is its name as the user gave it, for the problems.
    ///
    /// # Errors Everything that is wrong with it, at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        match Self::read(text) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(Problems::new(file, problems)),
        }
    }

    /// Parses a configuration as far as possible, with all its problems. An invalid value is
    /// replaced by its default, so that plugins can be checked all the same. `None` only with at
    /// least one problem.
    pub fn read(text: &str) -> (Option<Self>, Vec<Problem>) {
        Self::read_with_overlay(text, "")
    }

    /// Parses a configuration with an overlay: TOML whose values replace those of the file. Tables
    /// are merged key by key; a list replaces the file's list as a whole. The line numbers of
    /// problems in the overlay continue after the last line of the file.
    pub fn read_with_overlay(text: &str, over: &str) -> (Option<Self>, Vec<Problem>) {
        let texts = overlay::LayeredToml::new(text, over);
        let mut reader = Reader::new(&texts.both);
        let (root, errors) = texts.parse();
        for error in errors {
            reader.toml_error(&error);
        }
        let config = read(&mut reader, &root);
        if config.is_none() && reader.problems.is_empty() {
            reader.problem(1, "the configuration is incomplete");
        }
        (config, reader.problems)
    }

    /// The rules for the scheduler.
    pub fn rules(&self) -> SchedulerRules {
        let updates = &self.updates;
        SchedulerRules {
            lanes: self.lanes.clone(),
            max_concurrent_operations: updates
                .max_concurrent_operations
                .min(updates.account_quota - updates.reserve),
            per_ou_limit: updates.per_ou_limit,
            max_attempts: updates.max_attempts,
            poll_interval: updates.poll_interval,
            operation_timeout: updates.operation_timeout,
            window: updates.window,
            sweep_interval: updates.sweep_interval,
            min_sweep_interval: updates.min_sweep_interval,
            suggestions: self.suggestions.clone(),
        }
    }

    /// The lanes' names, in their order.
    pub fn lane_names(&self) -> Vec<String> {
        self.lanes.iter().map(|lane| lane.name.clone()).collect()
    }

    /// Checks, once plugins have declared the lanes that they name, that each lane can be reached
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
                            line: policy.plugin_config.line,
                            message: format!(
                                "policy `{}` names the lane `{name}`, which is not one of \
                                 [[lanes]]: {}{hint}",
                                policy.plugin_config.name,
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
            // A policy that proceeds without naming a lane leads to the first lane.
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
                let line = self.lane_lines.get(index).copied().unwrap_or(1);
                problems.push(Problem { line, message });
            }
        }
        problems
    }
}

/// Reads everything, even after a problem. `None` if a default is invalid.
fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Config> {
    reader.check_table_names(root);
    let root = Some(root);
    let aws: keys::Aws = reader.table(root)?.keys;
    let region = aws.region.value;
    let factory: keys::AccountFactory = reader.table(root)?.keys;
    let account_factory = AccountFactoryConfig {
        product_name: factory.product_name.value,
        portfolio_name: factory.portfolio_name.value,
        launch_path: factory.launch_path.value.map(LaunchPathId::new),
        parameters: factory.parameters.value,
        identity_center_region: factory
            .identity_center_region
            .value
            .unwrap_or_else(|| region.clone()),
    };
    let updates = UpdatesConfig::read(reader, root, account_factory.parameters)?;
    let (lanes, lane_lines) = lanes::read(reader, root, &updates);
    let queues: keys::Queues = reader.table(root)?.keys;
    let queues = QueuesConfig {
        updates_url: queues.updates_url.value,
        notifications_url: queues.notifications_url.value,
        events_url: queues.events_url.value,
    };
    let ledger = read_ledger(reader, root)?;
    let alerts: keys::Alerts = reader.table(root)?.keys;
    let policies = plugins::read_policies(reader, root);
    let notifiers = plugins::read_notifiers(reader, root);
    let routes = routes::read(reader, root, &policies, &notifiers);
    Some(Config {
        region,
        account_factory,
        updates,
        lanes,
        lane_lines,
        queues,
        ledger,
        alerts_topic: alerts.topic_arn.value,
        policies,
        notifiers,
        routes,
        warnings: std::mem::take(&mut reader.warnings),
        suggestions: CommandFormatter::default(),
    })
}

fn read_ledger(reader: &mut Reader<'_>, root: Option<&DeTable<'_>>) -> Option<LedgerConfig> {
    let ledger: keys::Ledger = reader.table(root)?.keys;
    let (file, table) = (ledger.file.value, ledger.table.value);
    if file.is_some() && table.is_some() {
        reader.problem(
            ledger.table.line,
            "`ledger` has both `file` and `table`: a ledger is in one place; remove one",
        );
    }
    let location = match table {
        Some(table) => LedgerLocation::Table(table),
        None => LedgerLocation::File(file.unwrap_or_else(|| "groundcrew.db".to_owned()).into()),
    };
    Some(LedgerConfig { location, onboarding_lookback: ledger.onboarding_lookback.value })
}
