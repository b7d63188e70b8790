//! What operators look at and ask for while the service or the Lambda runs. All of it goes
//! through the ledger, which the host reads every `poll_interval`.

mod approve;
mod audit;
mod desk;
mod hosts;
mod in_flight;
mod notifications;
mod operator;
mod report;
mod survey;
mod text;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::config::suggestion;
use groundcrew_core::ports::{RemovedDeadLetters, UpdateProgress, UpdateQueue as _};
use jiff::Timestamp;

use crate::commands::{Format, Lane, Redrive, Status, Sweep};
use crate::failure::Failure;
use crate::output::{json, print, screen};
use crate::wording::{count, span};
pub use approve::run as approve;
pub use audit::run as audit;
use desk::{Desk, in_time, report};

/// Between two looks of `status --watch`.
const AGAIN: Duration = Duration::from_secs(5);

pub fn status(options: &Status) -> Result<(), Failure> {
    crate::runtime::current_thread()?.block_on(async {
        let on_terminal = std::io::stdout().is_terminal();
        loop {
            let report = in_time(report(&options.config)).await?;
            if options.watch && on_terminal {
                // Up to the left corner, and clear: it is drawn over itself.
                print("\x1b[H\x1b[2J")?;
            }
            match options.format {
                Format::Text => screen(&text::render(&report))?,
                Format::Json => print(&json(&report)?)?,
            }
            if !options.watch {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    })
}

pub fn pause(options: &Lane) -> Result<(), Failure> {
    crate::runtime::current_thread()?.block_on(async {
        let desk = Desk::open(&options.config).await?;
        let lanes = desk.lanes(options.lane.as_deref())?;
        let issued_by = operator::issued_by(&desk.aws).await;
        let ledger = &desk.aws.ledger().updates;
        for lane in lanes {
            match ledger.order_pause(&lane, &issued_by).await? {
                Some(earlier) => {
                    let since = crate::wording::minute(earlier.at);
                    screen(&format!("{lane}: paused already since {since}: {}\n", earlier.why))?;
                }
                None => print(&format!("{lane}: paused; what runs is tracked to its end\n"))?,
            }
        }
        print(&format!("{}\n", desk.who()))
    })
}

pub fn resume(options: &Lane) -> Result<(), Failure> {
    crate::runtime::current_thread()?.block_on(async {
        let desk = Desk::open(&options.config).await?;
        let lanes = desk.lanes(options.lane.as_deref())?;
        let issued_by = operator::issued_by(&desk.aws).await;
        let ledger = &desk.aws.ledger().updates;
        let mut any = false;
        for lane in lanes {
            match ledger.order_resume(&lane, &issued_by).await? {
                None => print(&format!("{lane}: is not paused\n"))?,
                Some(pause) => {
                    any = true;
                    screen(&format!("{lane}: resumed; it was paused: {}\n", pause.why))?;
                }
            }
        }
        // Otherwise there is nothing to take in.
        if any { print(&format!("{}\n", desk.who())) } else { Ok(()) }
    })
}

pub fn sweep(options: &Sweep) -> Result<(), Failure> {
    if options.dry_run {
        return survey::run(&options.config);
    }
    crate::runtime::current_thread()?.block_on(async {
        let desk = Desk::open(&options.config).await?;
        let issued_by = operator::issued_by(&desk.aws).await;
        desk.aws.ledger().updates.order_sweep(&issued_by).await?;
        // A host that starts begins with a sweep.
        let least = match desk.aws.ledger().shared || desk.is_table() {
            true => format!(
                ", and sweeps no sooner than {} after its last sweep began \
                 (`updates.min_sweep_interval`)",
                span(desk.config.updates.min_sweep_interval)
            ),
            false => String::new(),
        };
        print(&format!("a sweep is asked for; {}{least}\n", desk.who()))
    })
}

/// Hands over again what a notifier could not be told.
async fn tell_again(desk: &Desk, notifier: &str) -> Result<(), Failure> {
    let mut known =
        desk.config.notifiers.iter().map(|notifier| notifier.plugin_config.name.as_str());
    if !known.clone().any(|name| name == notifier) {
        let hint = suggestion(notifier, known.clone());
        let known = known.by_ref().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(match known.is_empty() {
            true => format!(
                "`{notifier}` is no notifier: the config has no [[notifiers]]; name one there"
            ),
            false => format!("`{notifier}` is not one of the notifiers: {known}{hint}"),
        }));
    }
    let queue = desk.aws.notifications(&desk.config).ok_or_else(|| {
        let why = "[queues] names no `notifications_url`, so that nothing was queued: retry a \
                   failed notification by `groundcrew notify`, with the event of its alert";
        Failure::Usage(why.to_owned())
    })?;
    let issued_by = operator::issued_by(&desk.aws).await;
    let ledger = &desk.aws.ledger().updates;
    ledger.order_redrive_notifications(notifier, &issued_by).await?;
    let cleared = queue.redrive(notifier, Timestamp::now()).await?;
    print(&format!("{} handed over again\n", count(cleared.removed, "notification")))?;
    arrived_since(cleared)
}

/// What is in a dead-letter queue after a command and wasn't before.
fn arrived_since(cleared: RemovedDeadLetters) -> Result<(), Failure> {
    match cleared.arrived_since {
        0 => Ok(()),
        letters => print(&format!(
            "{} came meanwhile and left there: see the alert for the cause before redriving again\n",
            count(letters, "dead letter")
        )),
    }
}

pub fn redrive(options: &Redrive) -> Result<(), Failure> {
    crate::runtime::current_thread()?.block_on(async {
        let desk = Desk::open(&options.config).await?;
        if let Some(notifier) = &options.notifier {
            return tell_again(&desk, notifier).await;
        }
        if let Some(lane) = &options.lane {
            desk.lanes(Some(lane))?;
        }
        // Before the ledger is changed: what fails again after that is left.
        let began = Timestamp::now();
        let Some(sweep) = desk.last_sweep().await? else {
            return Err(Failure::Other(
                "no sweep is complete yet, so no account is dead-lettered: see `groundcrew \
                 status` once a host has swept"
                    .into(),
            ));
        };
        let ledger = &desk.aws.ledger().updates;
        let progress = ledger.all_progress(&sweep.target).await?;
        let wanted = |account: &AccountId, progress: &UpdateProgress| {
            options.all
                || options.account.contains(account)
                || options.lane.is_some() && progress.lane == options.lane
        };
        let given_up = progress.iter().filter(|(_, known)| known.dead_lettered);
        let wanted = given_up.filter(|(account, progress)| wanted(account, progress));
        let wanted: BTreeSet<AccountId> = wanted.map(|(account, _)| account.clone()).collect();
        let issued_by = operator::issued_by(&desk.aws).await;
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
            false => print(&format!("{what} redriven; {}\n", desk.who()))?,
        }
        // Last: the ledger is what counts, and a queue that can't be read changes nothing of it.
        if let (false, Some(queue)) = (redriven.is_empty(), desk.aws.updates(&desk.config)) {
            let removed = queue.remove_dead_letters(&redriven, began).await.map_err(|error| {
                Failure::from(error).although(
                    "they are redriven, and their dead letters are still in the queue, where they do \
                     no harm",
                )
            })?;
            print(&format!("{} removed\n", count(removed.removed, "dead letter")))?;
            arrived_since(removed)?;
        }
        match others.is_empty() {
            true => Ok(()),
            false => Err(Failure::Other(format!(
                "not dead-lettered towards {}: {}; `groundcrew status` lists what was",
                sweep.target,
                others.join(", ")
            ))),
        }
    })
}
