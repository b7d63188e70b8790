//! What operators read and change while the service or the Lambda runs. All of it goes through the
//! ledger, which the host reads every `poll_interval`.

mod approve;
mod audit;
mod dry_run_sweep;
mod hosts;
mod in_flight;
mod notifications;
mod operator;
mod report;
mod session;
mod text;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::config::suggestion;
use groundcrew_core::ports::{RemovedDeadLetters, UpdateProgress, UpdateQueue as _};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::commands::{Format, LaneArgs, Redrive, Status, Sweep};
use crate::formatting::{count, format_duration};
use crate::output::{print, print_sanitized, to_json};
pub use approve::run as approve;
pub use audit::run as audit;
use session::{OperatorSession, report, with_timeout};

/// The interval between two refreshes of `status --watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

pub fn status(options: &Status) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let on_terminal = std::io::stdout().is_terminal();
        loop {
            let report = with_timeout(report(&options.config)).await?;
            if options.watch && on_terminal {
                // Up to the left corner, and clear: it is drawn over itself.
                print("\x1b[H\x1b[2J")?;
            }
            match options.format {
                Format::Text => print_sanitized(&text::render(&report))?,
                Format::Json => print(&to_json(&report)?)?,
            }
            if !options.watch {
                return Ok(());
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    })
}

pub fn pause(options: &LaneArgs) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let session = OperatorSession::open(&options.config).await?;
        let lanes = session.lanes(options.lane.as_deref())?;
        let issued_by = operator::issued_by(&session.aws).await;
        let ledger = &session.aws.ledger().updates;
        for lane in lanes {
            match ledger.order_pause(&lane, &issued_by).await? {
                Some(earlier) => {
                    let since = crate::formatting::format_minute(earlier.at);
                    print_sanitized(&format!(
                        "{lane}: paused already since {since}: {}\n",
                        earlier.why
                    ))?;
                }
                None => print(&format!("{lane}: paused; what runs is tracked to its end\n"))?,
            }
        }
        print(&format!("{}\n", session.pickup_notice()))
    })
}

pub fn resume(options: &LaneArgs) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let session = OperatorSession::open(&options.config).await?;
        let lanes = session.lanes(options.lane.as_deref())?;
        let issued_by = operator::issued_by(&session.aws).await;
        let ledger = &session.aws.ledger().updates;
        let mut any = false;
        for lane in lanes {
            match ledger.order_resume(&lane, &issued_by).await? {
                None => print(&format!("{lane}: is not paused\n"))?,
                Some(pause) => {
                    any = true;
                    print_sanitized(&format!("{lane}: resumed; it was paused: {}\n", pause.why))?;
                }
            }
        }
        // Otherwise there is nothing that a host has to read.
        if any { print(&format!("{}\n", session.pickup_notice())) } else { Ok(()) }
    })
}

pub fn sweep(options: &Sweep) -> Result<(), CommandError> {
    if options.dry_run {
        return dry_run_sweep::run(&options.config);
    }
    crate::runtime::current_thread()?.block_on(async {
        let session = OperatorSession::open(&options.config).await?;
        let issued_by = operator::issued_by(&session.aws).await;
        session.aws.ledger().updates.order_sweep(&issued_by).await?;
        // A host that starts sweeps at once.
        let least = match session.aws.ledger().shared || session.is_table() {
            true => format!(
                ", and sweeps no sooner than {} after its last sweep began \
                 (`updates.min_sweep_interval`)",
                format_duration(session.config.updates.min_sweep_interval)
            ),
            false => String::new(),
        };
        print(&format!("a sweep is asked for; {}{least}\n", session.pickup_notice()))
    })
}

/// Redrives the dead-lettered notifications of a notifier.
async fn redrive_notifications(
    session: &OperatorSession,
    notifier: &str,
) -> Result<(), CommandError> {
    let mut known =
        session.config.notifiers.iter().map(|notifier| notifier.plugin_config.name.as_str());
    if !known.clone().any(|name| name == notifier) {
        let hint = suggestion(notifier, known.clone());
        let known = known.by_ref().collect::<Vec<_>>().join(", ");
        return Err(CommandError::Usage(match known.is_empty() {
            true => format!(
                "`{notifier}` is no notifier: the config has no [[notifiers]]; name one there"
            ),
            false => format!("`{notifier}` is not one of the notifiers: {known}{hint}"),
        }));
    }
    let queue = session.aws.notification_queue(&session.config).ok_or_else(|| {
        let why = "[queues] names no `notifications_url`, so that nothing was queued: retry a \
                   failed notification by `groundcrew notify`, with the event of its alert";
        CommandError::Usage(why.to_owned())
    })?;
    let issued_by = operator::issued_by(&session.aws).await;
    let ledger = &session.aws.ledger().updates;
    ledger.order_redrive_notifications(notifier, &issued_by).await?;
    let removed = queue.redrive(notifier, Timestamp::now()).await?;
    print(&format!("{} handed over again\n", count(removed.removed, "notification")))?;
    warn_new_dead_letters(removed)
}

/// Warns of messages that entered a dead-letter queue during a command.
fn warn_new_dead_letters(removed: RemovedDeadLetters) -> Result<(), CommandError> {
    match removed.arrived_since {
        0 => Ok(()),
        dead_letters => print(&format!(
            "{} came meanwhile and left there: see the alert for the cause before redriving again\n",
            count(dead_letters, "dead letter")
        )),
    }
}

pub fn redrive(options: &Redrive) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let session = OperatorSession::open(&options.config).await?;
        if let Some(notifier) = &options.notifier {
            return redrive_notifications(&session, notifier).await;
        }
        if let Some(lane) = &options.lane {
            session.lanes(Some(lane))?;
        }
        // Before the ledger is changed, so that dead letters after this moment are left in the
        // queue.
        let began = Timestamp::now();
        let Some(sweep) = session.last_sweep().await? else {
            return Err(CommandError::Other(
                "no sweep is complete yet, so no account is dead-lettered: run `groundcrew \
                 status` once a host has swept"
                    .into(),
            ));
        };
        let ledger = &session.aws.ledger().updates;
        let progress = ledger.all_progress(&sweep.target).await?;
        let wanted = |account: &AccountId, progress: &UpdateProgress| {
            options.all
                || options.account.contains(account)
                || options.lane.is_some() && progress.lane == options.lane
        };
        let dead_lettered = progress.iter().filter(|(_, known)| known.dead_lettered);
        let wanted = dead_lettered.filter(|(account, progress)| wanted(account, progress));
        let wanted: BTreeSet<AccountId> = wanted.map(|(account, _)| account.clone()).collect();
        let issued_by = operator::issued_by(&session.aws).await;
        let redriven = ledger.order_redrive(&wanted, &sweep.target, &issued_by).await;
        let redriven = redriven?;
        for (account, progress) in &redriven {
            let lane = progress.lane.as_deref().unwrap_or("-");
            print(&format!("{account}: is updated again, in lane {lane}\n"))?;
        }
        let redriven: BTreeSet<AccountId> = redriven.into_keys().collect();
        let others: Vec<&str> = options
            .account
            .iter()
            .filter(|account| !redriven.contains(*account))
            .map(AccountId::as_str)
            .collect();
        let what = count(redriven.len(), "account");
        match redriven.is_empty() {
            true => print(&format!("{what} redriven: none of these was dead-lettered\n"))?,
            false => print(&format!("{what} redriven; {}\n", session.pickup_notice()))?,
        }
        // Last: the ledger decides, and a queue that can't be read doesn't change it.
        if let (false, Some(queue)) = (redriven.is_empty(), session.aws.update_queue(&session.config)) {
            let removed = queue.remove_dead_letters(&redriven, began).await.map_err(|error| {
                CommandError::from(error).with_context(
                    "they are redriven, and their dead letters are still in the queue, where they do \
                     no harm",
                )
            })?;
            print(&format!("{} removed\n", count(removed.removed, "dead letter")))?;
            warn_new_dead_letters(removed)?;
        }
        match others.is_empty() {
            true => Ok(()),
            false => Err(CommandError::Other(format!(
                "not dead-lettered towards {}: {}; `groundcrew status` lists what was",
                sweep.target,
                others.join(", ")
            ))),
        }
    })
}
