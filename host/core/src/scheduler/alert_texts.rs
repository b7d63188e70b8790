//! The texts of alerts: about one account they have the true AWS error, and what else is known.

use std::time::Duration;

use crate::account::AccountId;
use crate::aws_error::{ErrorClass, classify};
use crate::catalog::Record;
use crate::plan_id::PlanId;
use crate::ports::{Alert, BlockingHolds, DeadLetter, Pause, Slot};
use crate::suggestions::CommandFormatter;

/// The class and the text of a failed record. AWS sometimes spreads the reason over several errors:
/// the first one with a known class decides.
pub(super) fn classify_record(record: &Record) -> (ErrorClass, String) {
    let class = record
        .errors
        .iter()
        .map(|error| classify(&error.code, &error.description))
        .find(|class| *class != ErrorClass::Unknown)
        .unwrap_or(ErrorClass::Unknown);
    (class, record.failure())
}

pub(super) fn dead_letter_and_alert(
    slot: &Slot,
    reason: &str,
    attempts: u32,
) -> (DeadLetter, Alert) {
    let dead_letter = DeadLetter {
        account: slot.account.clone(),
        provisioned_product: slot.provisioned_product.clone(),
        target: slot.target.clone(),
        lane: slot.lane.clone(),
        reason: reason.to_owned(),
        attempts,
        redriven: 0,
    };
    let record = slot.record.as_ref().map_or("none", |record| record.as_str());
    let alert = Alert {
        subject: format!("Update of account {} failed", slot.account),
        message: format!(
            "Account {} could not be updated and is in the dead-letter queue.\n\
             Error: {reason}\n\
             Failed updates: {attempts}\n\
             Provisioned product: {}\n\
             Target artifact: {}\n\
             Record: {record}\n\
             Lane: {}",
            slot.account, slot.provisioned_product, slot.target, slot.lane,
        ),
    };
    (dead_letter, alert)
}

pub(super) fn update_overdue(slot: &Slot, age: Duration) -> Alert {
    let minutes = age.as_secs() / 60;
    Alert {
        subject: format!(
            "Update of account {} has been running for {minutes} minutes",
            slot.account
        ),
        message: format!(
            "The update of account {} runs longer than operation_timeout. Its slot stays taken \
             while Service Catalog shows the product under change.\n\
             Provisioned product: {}\nTarget artifact: {}\nRecord: {}",
            slot.account,
            slot.provisioned_product,
            slot.target,
            slot.record.as_ref().map_or("none yet", |record| record.as_str()),
        ),
    }
}

/// A lane was paused because of its failures.
pub(super) fn lane_paused(lane: &str, pause: &Pause) -> Alert {
    Alert {
        subject: format!("Lane {lane} is paused"),
        message: format!(
            "{}. Nothing of the lane `{lane}` and of the lanes after it is started until it is \
             resumed; what runs is tracked to its end. See the alerts about the accounts for the \
             errors.",
            pause.why
        ),
    }
}

/// Held accounts have kept other lanes back for a long time.
pub(super) fn held_accounts(held_back: &BlockingHolds) -> Alert {
    let BlockingHolds { lane, since, until, accounts, waiting } = held_back;
    let waiting: Vec<String> =
        waiting.iter().map(|(lane, accounts)| format!("\n- {lane}: {accounts}")).collect();
    Alert {
        subject: format!("Held accounts of lane {lane} keep other lanes back"),
        message: format!(
            "Since {since} policies hold accounts of the lane `{lane}`, now {accounts} of them until \
             {until}. These lanes wait for them, with so many accounts to update:{}\n\
             If that is meant, nothing needs to be done: each hold ends by itself. Otherwise see \
             `groundcrew status` for the accounts and reasons, and change the policy, or set \
             `held = \"pass\"` for the lanes that are not to wait.",
            waiting.concat()
        ),
    }
}

/// Nothing is started before an operator has approved the plan.
pub(super) fn approval_needed(
    plan: &PlanId,
    target: &str,
    lanes: &[(String, usize, usize)],
    suggestions: &CommandFormatter,
) -> Alert {
    let accounts: usize = lanes.iter().map(|(_, accounts, _)| accounts).sum();
    let line = |(lane, accounts, held): &(String, usize, usize)| match held {
        0 => format!("\n- {lane}: {accounts}"),
        _ => format!("\n- {lane}: {accounts}, and {held} that policies hold until later"),
    };
    let lanes: Vec<String> = lanes.iter().map(line).collect();
    Alert {
        subject: format!("{plan} waits for approval: {accounts} accounts"),
        message: format!(
            "{accounts} accounts need an update to {target}, in these lanes:{}\n\
             No update starts before you approve the plan:\n\n  \
             {}\n\n\
             `{}` shows each account. Another version or other policies make another plan.",
            lanes.concat(),
            suggestions.command(&format!("approve {plan}")),
            suggestions.command("plan --all"),
        ),
    }
}

pub(super) fn account_busy(account: &AccountId, age: Duration) -> Alert {
    let minutes = age.as_secs() / 60;
    Alert {
        subject: format!("Account {account} has been busy for {minutes} minutes"),
        message: format!(
            "Account {account} needs an update, but Service Catalog shows its provisioned product \
             under change by somebody else. It is waited for, and so are the lanes after it. See \
             the product's last record in Service Catalog.",
        ),
    }
}
