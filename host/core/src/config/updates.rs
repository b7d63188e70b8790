//! `[updates]`: how accounts are updated.

use std::time::Duration;

use strum::{Display, EnumString, VariantNames};
use toml::de::DeTable;

use super::keys;
use super::reader::Reader;
use crate::decision_combiner::Fallback;
use crate::parameters::ParameterSource;
use crate::update_need::Causes;

/// `[updates]`; see [`keys::UPDATES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatesConfig {
    /// Most updates at once.
    pub max_concurrent_operations: usize,
    /// Control Tower's quota of concurrent account operations.
    pub account_quota: usize,
    /// The number of these operations that are reserved for others.
    pub reserve: usize,
    /// Most updates at once of accounts directly in the same OU.
    pub per_ou_limit: Option<usize>,
    /// Whether an operator must approve a plan before anything is started.
    pub approval: ApprovalMode,
    /// For which causes accounts are updated.
    pub causes: Causes,
    /// The interval of polling a running update.
    pub poll_interval: Duration,
    /// An update that runs longer than this leads to an alert.
    pub operation_timeout: Duration,
    /// The number of failed updates before an account is dead-lettered.
    pub max_attempts: u32,
    /// What happens if every policy abstains.
    pub default: Fallback,
    /// How much work the queue holds at most.
    pub window: Duration,
    /// Longest time between two sweeps.
    pub sweep_interval: Duration,
    /// Shortest time between two sweeps that events request.
    pub min_sweep_interval: Duration,
}

/// Whether a plan needs approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ApprovalMode {
    /// It needs none.
    None,
    /// Nothing is started before an operator has approved the plan.
    Required,
}

/// What happens to an account for a cause other than an outdated version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum CauseAction {
    /// It is updated.
    Update,
    /// It is excluded.
    Skip,
}

impl CauseAction {
    /// Whether the cause leads to an update.
    pub fn updates(self) -> bool {
        match self {
            Self::Update => true,
            Self::Skip => false,
        }
    }
}

impl From<bool> for CauseAction {
    fn from(updates: bool) -> Self {
        if updates { Self::Update } else { Self::Skip }
    }
}

impl UpdatesConfig {
    /// `parameters` is the source of an update's parameters.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        root: Option<&DeTable<'_>>,
        parameters: ParameterSource,
    ) -> Option<Self> {
        let updates: keys::Updates = reader.table(root)?.keys;
        let quota = updates.account_quota.value;
        let concurrent = updates.max_concurrent_operations;
        if concurrent.value > quota {
            let message = format!(
                "`updates.max_concurrent_operations` is {}, above `account_quota` ({quota}): \
                 expected 1 to {quota}. If AWS has raised the quota \"Concurrent account operations\" \
                 for you, say so in `account_quota`",
                concurrent.value
            );
            reader.problem(concurrent.line, message);
        }
        let mut reserve = updates.reserve;
        if reserve.value >= quota {
            let message = format!(
                "`updates.reserve` is {} of an `account_quota` of {quota}: nothing would ever be \
                 started; expected at most {}",
                reserve.value,
                quota - 1
            );
            reader.problem(reserve.line, message);
            reserve.value = 0;
        }
        let (longest, shortest) = (updates.sweep_interval, updates.min_sweep_interval.value);
        if shortest < Duration::from_secs(1) || longest.value < shortest {
            reader.problem(
                longest.line,
                "`updates.min_sweep_interval` must be at least \"1s\", and \
                 `updates.sweep_interval` at least as long",
            );
        }
        let window = updates.window;
        if window.value > Duration::from_secs(14 * 24 * 3600) {
            reader.problem(
                window.line,
                "`updates.window` is over 14 days, the longest that SQS keeps a message",
            );
        }
        let (moved, moved_line) = (updates.on_moved.value, updates.on_moved.line);
        let default = match parameters {
            ParameterSource::Rebuild => CauseAction::Update,
            ParameterSource::Previous => CauseAction::Skip,
        };
        if (moved, parameters) == (Some(CauseAction::Update), ParameterSource::Previous) {
            reader.problem(
                moved_line,
                "`updates.on_moved` is \"update\" and `account_factory.parameters` is \
                 \"previous\": an update would name the OU that the account was moved out of; \
                 set the parameters to \"rebuild\", or exclude moved accounts with \"skip\"",
            );
        }
        Some(Self {
            max_concurrent_operations: concurrent.value,
            account_quota: quota,
            reserve: reserve.value,
            per_ou_limit: updates.per_ou_limit.value,
            approval: updates.approval.value,
            causes: Causes {
                moved: moved.unwrap_or(default).updates(),
                landing_zone: updates.on_landing_zone.value.updates(),
                tainted: updates.on_tainted.value.updates(),
                error: updates.on_error.value.updates(),
            },
            poll_interval: updates.poll_interval.value,
            operation_timeout: updates.operation_timeout.value,
            max_attempts: updates.max_attempts.value,
            default: updates.default.value,
            window: window.value,
            sweep_interval: longest.value,
            min_sweep_interval: shortest,
        })
    }
}
