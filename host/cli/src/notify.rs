//! `groundcrew notify`: sends one event to one notifier, or shows what the notifier would send.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use groundcrew_aws::AwsSupport;
use groundcrew_core::envelope;
use groundcrew_core::event::Event;
use groundcrew_engine::notifications::{DeliveryOutcome, EventReport};
use groundcrew_sim::{FaultLevel, OpenedCase, SimAws, SimOptions, Snapshot};
use jiff::Timestamp;
use serde_json::Value;

use crate::command_error::CommandError;
use crate::commands::Notify;
use crate::handle::{failure_summary, read_event, report_outcomes};
use crate::loaded_config::{ParsedConfig, PluginSelection, read_config};
use crate::output::print;
use crate::ports::{self, ReadOnlyPorts, RealAws, environment};
use crate::simulated_transport::{RecordedRequest, SimulatedTransport};

pub fn run(options: &Notify) -> Result<(), CommandError> {
    let events = read_events(&options.event)?;
    let runtime = crate::runtime::current_thread()?;
    runtime.block_on(async {
        let read = read_config(Some(&options.config))?;
        let known = &read.config.notifiers;
        if !known.iter().any(|notifier| notifier.plugin_config.name == options.notifier) {
            let names: Vec<_> =
                known.iter().map(|one| format!("`{}`", one.plugin_config.name)).collect();
            return Err(CommandError::Usage(format!(
                "{}: no notifier is named `{}`: there {}",
                options.config.display(),
                options.notifier,
                match names.as_slice() {
                    [] => "is none; name one in [[notifiers]]".to_owned(),
                    [name] => format!("is {name}"),
                    names => format!("are {}", names.join(", ")),
                }
            )));
        }
        match options.dry_run {
            true => dry_run(options, read, &events).await,
            false => deliver(options, read, &events).await,
        }
    })
}

/// The events in a file.
fn read_events(path: &Path) -> Result<Vec<Arc<Event>>, CommandError> {
    let events = envelope::events(&read_event(path)?).into_iter();
    events.map(|event| event.map(Arc::new)).collect::<Result<_, _>>().map_err(|wrong| {
        let path = path.display();
        CommandError::Usage(format!("{path}: {wrong}; name a file with an EventBridge event"))
    })
}

async fn deliver(
    options: &Notify,
    read: ParsedConfig,
    events: &[Arc<Event>],
) -> Result<(), CommandError> {
    let aws = RealAws::connect(&read, environment(&read.config).await).await?;
    let loaded =
        read.with_http(aws.http()).load(PluginSelection::Notifications, aws.support()).await?;
    let notifications = aws.notifications(&loaded);
    let mut handled = Vec::new();
    for event in events {
        handled.push(notifications.deliver_to(event, &options.notifier).await);
    }
    // A command by hand sends no alerts.
    report_outcomes(handled, false)
}

/// Delivers the event to simulated systems, which are empty. Account data comes from AWS
/// Organizations all the same, if that can be reached.
async fn dry_run(
    options: &Notify,
    read: ParsedConfig,
    events: &[Arc<Event>],
) -> Result<(), CommandError> {
    let sim = SimAws::new(SimOptions {
        seed: 1,
        start: Timestamp::now(),
        snapshot: Snapshot::default(),
        faults: FaultLevel::None,
        account_quota: 1,
    });
    let directory = ReadOnlyPorts::connect(&read.config).await.directory;
    let clients = ports::simulated_clients(&sim);
    let support = Arc::new(AwsSupport::new(clients.support.clone()));
    let transport = Arc::new(SimulatedTransport::new(sim.clone()));
    let loaded =
        read.with_http(transport.clone()).load(PluginSelection::Notifications, support).await?;
    let notifications = ports::simulated_notifications(&sim, clients, &loaded, directory);
    let (mut requests, mut cases) = (0, 0);
    let mut failures = Vec::new();
    for event in events {
        let handled = notifications.deliver_to(event, &options.notifier).await;
        let (seen, opened) = (transport.requests(), sim.cases());
        let (new, opened_now) =
            (&seen[requests.min(seen.len())..], &opened[cases.min(opened.len())..]);
        print(&render(&options.notifier, &handled, new, opened_now))?;
        (requests, cases) = (seen.len(), opened.len());
        failures.extend(failure_summary(&handled));
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Other(failures.join("\n"))),
    }
}

fn render(
    notifier: &str,
    handled: &EventReport,
    requests: &[RecordedRequest],
    cases: &[OpenedCase],
) -> String {
    let mut out = String::new();
    let delivery = handled.notifications.first();
    let about = delivery.map_or("the event", |delivery| delivery.description.as_str());
    // Writing to a String can't fail.
    let _ = writeln!(out, "what `{notifier}` would send for {about}; nothing was sent");
    for request in requests {
        let _ = writeln!(out, "\n{} {}", request.method, request.url);
        for (name, value) in &request.headers {
            let _ = writeln!(out, "{name}: {value}");
        }
        if !request.body.is_empty() {
            let _ = writeln!(out, "\n{}", pretty(&request.body));
        }
        if let Some(status) = request.status {
            let _ = writeln!(out, "→ taken to answer {status}");
        }
    }
    for case in cases {
        let service = case.service_code.as_deref().unwrap_or("no service");
        let _ = writeln!(out, "\nAWS Support case: {service}, severity {}", case.severity_code);
        let _ = writeln!(out, "subject: {}\n\n{}", case.subject, case.body);
    }
    let delivery = delivery.filter(|delivery| delivery.outcome == DeliveryOutcome::Delivered);
    if let Some(reference) = delivery.and_then(|delivery| delivery.reference.as_deref()) {
        let _ = writeln!(out, "\nits reference would be {reference}");
    }
    out
}

/// JSON with a line for each field; anything else unchanged.
fn pretty(body: &str) -> String {
    let value: Option<Value> = serde_json::from_str(body).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| body.to_owned())
}
