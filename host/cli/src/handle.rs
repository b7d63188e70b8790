//! `groundcrew handle`: handles one EventBridge event, through the real code path, with the AWS
//! that the environment names.

use std::path::Path;

use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_engine::notifications::{EventOutcome, EventReport};
use groundcrew_plugins::files;
use serde::Serialize;

use crate::command_error::CommandError;
use crate::commands::Handle;
use crate::loaded_config::{PluginSelection, read_config};
use crate::output::{print, to_json};
use crate::ports::{RealAws, environment};

/// The result, as it is printed and as the Lambda returns it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub event: Option<String>,
    pub outcome: String,
    /// The rule by which it was ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<NoDeliveryReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub notifications: Vec<Notification>,
    pub alerts: Vec<Alert>,
}

#[derive(Debug, Serialize)]
pub struct Notification {
    pub notifier: String,
    pub account: Option<String>,
    pub outcome: String,
    pub reference: Option<String>,
    /// The rule by which it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<NoDeliveryReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Alert {
    pub subject: String,
    /// Whether it was published to a topic. Otherwise it is only in the log.
    pub published: bool,
}

pub fn run(options: &Handle) -> Result<(), CommandError> {
    let event = read_event(&options.event)?;
    let runtime = crate::runtime::current_thread()?;
    let (handled, has_topic) = runtime.block_on(async {
        let read = read_config(Some(&options.config))?;
        let aws = RealAws::connect(&read, environment(&read.config).await).await?;
        let loaded =
            read.with_http(aws.http()).load(PluginSelection::Notifications, aws.support()).await?;
        let has_topic = loaded.config.alerts_topic.is_some();
        Ok::<_, CommandError>((
            aws.notifications(&loaded).handle_all(&event, None).await,
            has_topic,
        ))
    })?;
    report_outcomes(handled, has_topic)
}

/// Prints the result of each event, as a list if there are several, and fails if one failed.
pub fn report_outcomes(handled: Vec<EventReport>, has_topic: bool) -> Result<(), CommandError> {
    let failures: Vec<String> = handled.iter().filter_map(failure_summary).collect();
    let report = |handled| Report::of(handled, has_topic);
    let mut reports: Vec<Report> = handled.into_iter().map(report).collect();
    match (reports.len(), reports.pop()) {
        (1, Some(report)) => print(&to_json(&report)?)?,
        (_, last) => {
            reports.extend(last);
            print(&to_json(&reports)?)?;
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Other(failures.join("\n"))),
    }
}

/// The failures in one line; `None` if there are none.
pub fn failure_summary(handled: &EventReport) -> Option<String> {
    if handled.outcome != EventOutcome::Failed {
        return None;
    }
    let failed = handled.notifications.iter().filter_map(|delivery| {
        let detail = delivery.detail.as_deref()?;
        let failed = delivery.outcome == groundcrew_engine::notifications::DeliveryOutcome::Failed;
        failed.then(|| {
            format!(
                "notifier `{}` failed for {}: {detail}",
                delivery.notifier, delivery.description
            )
        })
    });
    Some(handled.reason.iter().cloned().chain(failed).collect::<Vec<_>>().join("; "))
}

impl Report {
    /// The report of an event. `has_topic`: whether alerts have a topic.
    pub fn of(handled: EventReport, has_topic: bool) -> Self {
        Self {
            event: handled.event,
            outcome: handled.outcome.to_string(),
            rule: handled.rule,
            reason: handled.reason,
            notifications: handled
                .notifications
                .into_iter()
                .map(|delivery| Notification {
                    notifier: delivery.notifier,
                    account: delivery.account.map(|account| account.to_string()),
                    outcome: delivery.outcome.to_string(),
                    reference: delivery.reference,
                    rule: delivery.rule,
                    detail: delivery.detail,
                })
                .collect(),
            alerts: handled
                .alerts
                .into_iter()
                .map(|alert| Alert { subject: alert.subject, published: has_topic })
                .collect(),
        }
    }
}

pub fn read_event(path: &Path) -> Result<String, CommandError> {
    let read = match path == Path::new("-") {
        true => files::read_stream(std::io::stdin(), files::MAX_TEXT_BYTES),
        false => files::read_argument(path, files::MAX_TEXT_BYTES),
    };
    read.and_then(files::decode_text)
        .map_err(|error| CommandError::unreadable(path, "the event", error))
}
