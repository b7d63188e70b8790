//! A config with its ledger, at which operators look and give orders.

use std::path::Path;
use std::time::Duration;

use groundcrew_core::config::{Config, suggestion};
use groundcrew_core::ports::{LedgerError, SweepRecord};
use jiff::Timestamp;

use super::hosts::{Hosts, Presence};
use super::notifications::Notifications;
use super::report::Report;
use crate::failure::Failure;
use crate::loaded::read;
use crate::ports::{RealAws, environment};
use crate::wording::count;

/// What `status` and `audit` wait for the ledger: whoever looks at night learns soon that it does not
/// answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A config and the ledger that it names.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) aws: RealAws,
}

impl Desk {
    /// For whoever gives an order: a ledger file is made where there is none.
    pub(super) async fn open(file: &Path) -> Result<Self, Failure> {
        let read = read(Some(file))?;
        let environment = environment(&read.config).await.impatient();
        let aws = RealAws::beside(&read, environment).await?;
        Ok(Self { config: read.without_plugins()?, aws })
    }

    /// For whoever only looks.
    pub(super) async fn look(file: &Path) -> Result<Self, Failure> {
        let read = read(Some(file))?;
        let environment = environment(&read.config).await.impatient();
        let aws = RealAws::looking(&read, environment).await?;
        Ok(Self { config: read.without_plugins()?, aws })
    }

    /// What becomes of what was asked for.
    pub(super) fn who(&self) -> String {
        let wait = count(self.config.updates.poll_interval.as_secs() as usize, "second");
        match (self.aws.ledger().shared, &self.aws.ledger().file) {
            (true, _) => format!("the running groundcrew takes it in within {wait}"),
            (false, _) if self.is_table() => {
                format!("whichever groundcrew runs on the table takes it in within {wait}")
            }
            _ => "no groundcrew runs on this ledger now: the next takes it in when it starts"
                .to_owned(),
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.config.ledger.location, groundcrew_core::config::LedgerLocation::Table(_))
    }

    pub(super) fn lanes(&self, named: Option<&str>) -> Result<Vec<String>, Failure> {
        let known = self.config.lane_names();
        let Some(name) = named else { return Ok(known) };
        if known.iter().any(|lane| lane == name) {
            return Ok(vec![name.to_owned()]);
        }
        let hint = suggestion(name, known.iter().map(String::as_str));
        Err(Failure::Usage(format!("`{name}` is not one of the lanes: {}{hint}", known.join(", "))))
    }

    /// How the work stands.
    pub(super) async fn report(&self) -> Result<Report, LedgerError> {
        let ledger = self.aws.ledger();
        let presence = match (self.is_table(), ledger.shared) {
            (true, _) => Presence::ByHeartbeats,
            (false, true) => Presence::Answers,
            (false, false) => Presence::None,
        };
        let now = Timestamp::now();
        let hosts = ledger.updates.hosts().await?;
        let hosts = Hosts::of(hosts, presence, now, &self.config.suggestions);
        let notifications = Notifications::of(&self.config, &self.aws).await?;
        let mut report = Report::of(&self.config, &*ledger.updates, now, hosts).await?;
        report.ask(&self.aws.catalog(&self.config)).await;
        Ok(Report { notifications, ..report })
    }

    pub(super) async fn last_sweep(&self) -> Result<Option<SweepRecord>, Failure> {
        Ok(self.aws.ledger().updates.last_sweep().await?)
    }
}

/// How the work stands by the ledger of a config.
pub(super) async fn report(config: &Path) -> Result<Report, Failure> {
    // Opened anew each time: a file must not be kept from a service that starts.
    let desk = Desk::look(config).await?;
    Ok(desk.report().await?)
}

/// What whoever looks gets within [`PATIENCE`].
pub(super) async fn in_time<T>(
    looking: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
        Err(Failure::Aws(format!(
            "the ledger has not answered within {}: the table, the network or the credentials are \
             in its way",
            count(PATIENCE.as_secs() as usize, "second")
        )))
    })
}
