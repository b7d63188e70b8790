//! The Lambda: started under `AWS_LAMBDA_RUNTIME_API`, the binary is its own bootstrap.
//!
//! An event that can't be handled is answered with an error, so that Lambda delivers it
//! again and hands it to the failure destination at last.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use groundcrew_core::config::LedgerPlace;
use groundcrew_engine::onboarding::Onboarding;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

use crate::Failure;
use crate::handle::{Report, failure};
use crate::loaded::{Need, read};
use crate::ports::RealAws;

/// Left of a Lambda's time for answering.
const RESERVE: Duration = Duration::from_secs(2);

/// Whether this process is a Lambda. With arguments it is a command all the same.
pub fn is_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() && std::env::args_os().len() <= 1
}

/// Takes events until the process is ended.
pub fn run() -> Result<(), Failure> {
    let runtime = crate::current_thread()?;
    runtime.block_on(async {
        let file = config_file()?;
        let read = read(Some(&file))?;
        if let LedgerPlace::File(_) = read.config.ledger.place {
            return Err(Failure::Usage(format!(
                "{}: a Lambda keeps no files, so its ledger has to be a DynamoDB table: write \
                 `[ledger]` with `table = \"…\"`",
                file.display()
            )));
        }
        let aws = RealAws::of(&read).await?;
        let loaded = read.with_http(aws.http()).load(Need::Onboarding, aws.support()).await?;
        let onboarding = aws.onboarding(&loaded);
        let service = service_fn(|event| handle(&onboarding, event));
        lambda_runtime::run(service).await.map_err(|error| Failure::Other(error.to_string()))
    })
}

async fn handle(
    onboarding: &Onboarding,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Report, Diagnostic> {
    let until = until(event.context.deadline());
    let handled = onboarding.handle(event.payload.get(), until).await;
    match failure(&handled) {
        None => Ok(Report::from(handled)),
        Some(error_message) => Err(Diagnostic {
            error_type: match handled.malformed {
                true => "Groundcrew.MalformedEvent".to_owned(),
                false => "Groundcrew.Failed".to_owned(),
            },
            error_message,
        }),
    }
}

/// Until when to go on. Some runtimes other than AWS's give no real deadline.
fn until(deadline: SystemTime) -> Option<Timestamp> {
    let left = deadline.duration_since(SystemTime::now()).ok()?;
    Some(Timestamp::now() + left.saturating_sub(RESERVE))
}

/// `GROUNDCREW_CONFIG`, or `groundcrew.toml` beside the binary.
fn config_file() -> Result<PathBuf, Failure> {
    if let Some(file) = std::env::var_os("GROUNDCREW_CONFIG") {
        return Ok(file.into());
    }
    let task_root = std::env::var_os("LAMBDA_TASK_ROOT").map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let folder = task_root.or_else(beside).ok_or_else(|| {
        Failure::Other("where this binary is can't be told: set GROUNDCREW_CONFIG".to_owned())
    })?;
    Ok(folder.join("groundcrew.toml"))
}
