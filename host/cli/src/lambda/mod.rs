//! The Lambda function: started under `AWS_LAMBDA_RUNTIME_API`, the binary is its own bootstrap.
//!
//! `GROUNDCREW_FUNCTION` names the function: `events` handles the events of EventBridge,
//! `notifications` handles batches of the notifications queue ([`batch`]), `updates` drives the
//! updates. Without it, the binary handles events and batches.
//!
//! An event that can't be handled causes an error response, so that Lambda delivers it again and
//! finally sends it to the failure destination.

mod batch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use groundcrew_core::config::LedgerLocation;
use groundcrew_core::ports::{Alerts, NotificationQueue};
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_engine::notifications::Notifications;
use groundcrew_engine::{Host, NoopObserver, SHUTDOWN_GRACE, Ticker};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::command_error::CommandError;
use crate::handle::{Report, failure_summary};
use crate::loaded_config::{ParsedConfig, PluginSelection, read_config};
use crate::ports::RealAws;

/// Time that is reserved for the response.
const RESPONSE_RESERVE: Duration = Duration::from_secs(2);
/// How long a tick may take if the runtime gives no real deadline.
const DEFAULT_TICK_DURATION: Duration = Duration::from_secs(50);

/// The environment variable that names the function.
const FUNCTION_VARIABLE: &str = "GROUNDCREW_FUNCTION";

/// Which of the functions this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    /// Handles events, and batches of notifications.
    Notifications,
    /// Keeps accounts current.
    Updates,
}

impl Function {
    fn from_env() -> Result<Self, CommandError> {
        match std::env::var(FUNCTION_VARIABLE).ok().as_deref() {
            None | Some("events" | "notifications") => Ok(Self::Notifications),
            Some("updates") => Ok(Self::Updates),
            Some(other) => Err(CommandError::Usage(format!(
                "{FUNCTION_VARIABLE} is {other:?}: expected `events`, `notifications` or `updates`"
            ))),
        }
    }
}

/// Handles invocations until the process is ended.
pub fn run() -> Result<(), CommandError> {
    let runtime = crate::runtime::current_thread()?;
    runtime.block_on(async {
        let function = Function::from_env()?;
        let file = config_file()?;
        let mut read = read_config(Some(&file))?;
        // The reader of an alert has a config file of their own, and not the one within the Lambda.
        read.config.suggestions = CommandFormatter::default();
        if let LedgerLocation::File(_) = read.config.ledger.location {
            return Err(CommandError::Usage(format!(
                "{}: a Lambda keeps no files, so its ledger has to be a DynamoDB table: write \
                 `[ledger]` with `table = \"…\"`",
                file.display()
            )));
        }
        match function {
            Function::Notifications => serve_notifications(read).await,
            Function::Updates => serve_updates(read).await,
        }
    })
}

async fn serve_notifications(read: ParsedConfig) -> Result<(), CommandError> {
    let aws = RealAws::open_exclusive(&read).await?;
    let loaded =
        read.with_http(aws.http()).load(PluginSelection::Notifications, aws.support()).await?;
    let context = HandlerContext {
        notifications: aws.notifications(&loaded),
        queue: aws.notification_queue(&loaded.config),
        queue_name: loaded
            .config
            .queues
            .notifications_url
            .as_deref()
            .and_then(|url| url.rsplit('/').next())
            .unwrap_or_default()
            .to_owned(),
        alerts: aws.alerts(&loaded.config),
        has_topic: loaded.config.alerts_topic.is_some(),
    };
    let service = service_fn(|event| handle(&context, event));
    lambda_runtime::run(service).await.map_err(|error| CommandError::Other(error.to_string()))
}

/// The state of the handler of events and notifications.
struct HandlerContext {
    notifications: Notifications,
    queue: Option<Arc<dyn NotificationQueue>>,
    /// Name of that queue; empty without one.
    queue_name: String,
    alerts: Arc<dyn Alerts>,
    has_topic: bool,
}

async fn handle(
    context: &HandlerContext,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Value, Diagnostic> {
    let text = event.payload.get();
    let until = answer_deadline(event.context.deadline());
    if let Some(batch) = batch::read(text) {
        let queue = context.queue.as_deref().map(|queue| (queue, context.queue_name.as_str()));
        let taken =
            batch::process_batch(batch, &context.notifications, queue, &*context.alerts, until)
                .await;
        let left = taken.map_err(failed)?;
        return serde_json::to_value(left).map_err(failed);
    }
    let handled = context.notifications.handle_all(text, until).await;
    let failures: Vec<String> = handled.iter().filter_map(failure_summary).collect();
    if !failures.is_empty() {
        // Events that were handled are found handled when the whole payload is delivered again.
        let error_message = failures.join("; ");
        let mut failed_ones = handled.iter().filter(|one| failure_summary(one).is_some());
        return Err(match failed_ones.all(|one| one.malformed) {
            true => {
                Diagnostic { error_type: "Groundcrew.MalformedEvent".to_owned(), error_message }
            }
            false => failed(error_message),
        });
    }
    let report = |handled| Report::of(handled, context.has_topic);
    let mut reports: Vec<Report> = handled.into_iter().map(report).collect();
    match (reports.len(), reports.pop()) {
        (1, Some(report)) => serde_json::to_value(report).map_err(failed),
        (_, last) => {
            reports.extend(last);
            serde_json::to_value(reports).map_err(failed)
        }
    }
}

async fn serve_updates(read: ParsedConfig) -> Result<(), CommandError> {
    let aws = RealAws::open_exclusive(&read).await?;
    let loaded = read.with_http(aws.http()).load(PluginSelection::All, aws.support()).await?;
    let ports = aws.ports_without_events(&loaded, Arc::new(NoopObserver))?;
    let host = Host::new(ports, loaded.update_settings(aws.host()));
    // Lambda invokes a process again only after its response.
    let ticker = Mutex::new(Ticker::new(host));
    let service = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let ticker = &ticker;
        async move {
            let begun = Timestamp::now();
            let deadline =
                answer_deadline(event.context.deadline()).unwrap_or(begun + DEFAULT_TICK_DURATION);
            ticker.lock().await.tick(Some(event.payload.get()), deadline - SHUTDOWN_GRACE).await;
            let took = Timestamp::now().duration_since(begun).as_millis();
            Ok::<_, Diagnostic>(json!({ "outcome": "ticked", "milliseconds": took }))
        }
    });
    lambda_runtime::run(service).await.map_err(|error| CommandError::Other(error.to_string()))
}

fn failed(message: impl ToString) -> Diagnostic {
    Diagnostic { error_type: "Groundcrew.Failed".to_owned(), error_message: message.to_string() }
}

/// The deadline of the work. Some runtimes other than AWS's give no real deadline.
fn answer_deadline(deadline: SystemTime) -> Option<Timestamp> {
    let left = deadline.duration_since(SystemTime::now()).ok()?;
    Timestamp::now().checked_add(left.saturating_sub(RESPONSE_RESERVE)).ok()
}

/// `GROUNDCREW_CONFIG`, or `groundcrew.toml` beside the binary.
fn config_file() -> Result<PathBuf, CommandError> {
    if let Some(file) = std::env::var_os("GROUNDCREW_CONFIG") {
        return Ok(file.into());
    }
    let task_root = std::env::var_os("LAMBDA_TASK_ROOT").map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let folder = task_root.or_else(beside).ok_or_else(|| {
        CommandError::Other("the path of this binary is unknown: set GROUNDCREW_CONFIG".to_owned())
    })?;
    Ok(folder.join("groundcrew.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_deadline_counts() {
        let far = Duration::from_secs(1 << 40);
        for unreal in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + far] {
            assert_eq!(answer_deadline(unreal), None, "{unreal:?}");
        }
        let left = answer_deadline(SystemTime::now() + Duration::from_secs(60)).unwrap()
            - Timestamp::now();
        assert!((56.0..=58.0).contains(&left.total(jiff::Unit::Second).unwrap()), "{left}");
    }
}
