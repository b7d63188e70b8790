//! A config with its ledger, for operator commands.

use std::path::Path;
use std::time::Duration;

use groundcrew_core::config::{Config, suggestion};
use groundcrew_core::ports::{LedgerError, SweepRecord};
use jiff::Timestamp;

use super::hosts::{HostPresence, HostsReport};
use super::notifications::NotificationsReport;
use super::report::Report;
use crate::command_error::CommandError;
use crate::formatting::count;
use crate::loaded_config::read_config;
use crate::ports::{RealAws, environment};

/// How long `status` and `audit` wait for the ledger: somebody who is on call has to learn soon
/// that it does not respond.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(10);

/// A config and the ledger that it names.
pub(super) struct OperatorSession {
    pub(super) config: Config,
    pub(super) aws: RealAws,
}

impl OperatorSession {
    /// For operator commands that write: creates the ledger file if there is none.
    pub(super) async fn open(file: &Path) -> Result<Self, CommandError> {
        let read = read_config(Some(file))?;
        let environment = environment(&read.config).await.interactive();
        let aws = RealAws::connect(&read, environment).await?;
        Ok(Self { config: read.into_config()?, aws })
    }

    /// For commands that only read.
    pub(super) async fn open_read_only(file: &Path) -> Result<Self, CommandError> {
        let read = read_config(Some(file))?;
        let environment = environment(&read.config).await.interactive();
        let aws = RealAws::connect_read_only(&read, environment).await?;
        Ok(Self { config: read.into_config()?, aws })
    }

    /// When the operator command takes effect.
    pub(super) fn pickup_notice(&self) -> String {
        let wait = count(self.config.updates.poll_interval.as_secs() as usize, "second");
        match (self.aws.ledger().shared, &self.aws.ledger().file) {
            (true, _) => format!("the running host applies it within {wait}"),
            (false, _) if self.is_table() => {
                format!("a host applies it within {wait}")
            }
            _ => "no host runs on this ledger now: the next applies it when it starts".to_owned(),
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.config.ledger.location, groundcrew_core::config::LedgerLocation::Table(_))
    }

    pub(super) fn lanes(&self, named: Option<&str>) -> Result<Vec<String>, CommandError> {
        let known = self.config.lane_names();
        let Some(name) = named else { return Ok(known) };
        if known.iter().any(|lane| lane == name) {
            return Ok(vec![name.to_owned()]);
        }
        let hint = suggestion(name, known.iter().map(String::as_str));
        Err(CommandError::Usage(format!(
            "`{name}` is not one of the lanes: {}{hint}",
            known.join(", ")
        )))
    }

    /// The state of the work.
    pub(super) async fn report(&self) -> Result<Report, LedgerError> {
        let ledger = self.aws.ledger();
        let presence = match (self.is_table(), ledger.shared) {
            (true, _) => HostPresence::HeartbeatsOnly,
            (false, true) => HostPresence::Connected,
            (false, false) => HostPresence::Absent,
        };
        let now = Timestamp::now();
        let hosts = ledger.updates.hosts().await?;
        let hosts = HostsReport::new(hosts, presence, now, &self.config.suggestions);
        let notifications = NotificationsReport::load(&self.config, &self.aws).await?;
        let mut report = Report::load(&self.config, &*ledger.updates, now, hosts).await?;
        report.refresh(&self.aws.catalog(&self.config)).await;
        Ok(Report { notifications, ..report })
    }

    pub(super) async fn last_sweep(&self) -> Result<Option<SweepRecord>, CommandError> {
        Ok(self.aws.ledger().updates.last_sweep().await?)
    }
}

/// The state of the work in the ledger of a config.
pub(super) async fn report(config: &Path) -> Result<Report, CommandError> {
    // Opened anew each time: a service that starts must be able to open the file.
    let session = OperatorSession::open_read_only(config).await?;
    Ok(session.report().await?)
}

/// The result of a read, within [`LEDGER_TIMEOUT`].
pub(super) async fn with_timeout<T>(
    reading: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::time::timeout(LEDGER_TIMEOUT, reading).await.unwrap_or_else(|_| {
        Err(CommandError::Aws(format!(
            "the ledger has not answered within {}: the table, the network or the credentials are \
             in its way",
            count(LEDGER_TIMEOUT.as_secs() as usize, "second")
        )))
    })
}
