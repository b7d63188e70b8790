//! What an event means for onboarding, and which accounts are still to be told of.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{AccountId, OrganizationalUnit};
use crate::event::{Event, EventError, ManagedAccount};
use crate::notification::NotificationKey;

/// What is to be done about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPlan {
    /// An account has landed: notifiers that listen are told.
    Deliver(EnrolledAccount),
    /// A schedule says to look for accounts whose event was lost.
    Backfill,
    /// No account has landed; whoever wants to know of such events is told.
    Other {
        /// The account that the event is about, where it names one.
        account: Option<AccountId>,
        /// Why nobody is told of an account.
        reason: String,
    },
}

/// An account that has landed, as far as its event tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledAccount {
    /// The account.
    pub id: AccountId,
    /// Its name, where the event tells.
    pub name: Option<String>,
    /// The OU that holds it, where the event tells.
    pub organizational_unit: Option<OrganizationalUnit>,
    /// Whether the event says that it was created or enrolled. Otherwise it was updated, which
    /// is also what Control Tower says of a creation or enrolment that it had to retry, or it got a
    /// baseline, which those that were there before get as well.
    pub created: bool,
}

/// Decides what is to be done about an event.
///
/// # Errors
/// When the event tells of an account but can't be understood.
pub fn plan_event(event: &Event) -> Result<EventPlan, EventError> {
    if event.is_schedule() {
        return Ok(EventPlan::Backfill);
    }
    Ok(match event.managed_account()? {
        Some(ManagedAccount::Succeeded { id, name, organizational_unit }) => {
            EventPlan::Deliver(EnrolledAccount {
                id,
                name,
                organizational_unit,
                created: event.name == "CreateManagedAccount",
            })
        }
        Some(ManagedAccount::Failed { message }) => EventPlan::Other {
            account: event.account.clone(),
            reason: match message.is_empty() {
                true => format!("{} has failed", event.name),
                false => format!("{} has failed: {message}", event.name),
            },
        },
        None if event.is_api_call() => EventPlan::Other {
            account: event.account.clone(),
            reason: format!(
                "{} is a call of the API, recorded by CloudTrail: the lifecycle event of that \
                 name reports how it ends",
                event.name
            ),
        },
        None => EventPlan::Other {
            account: event.account.clone(),
            reason: format!("{} of {} reports no new account", event.name, event.source),
        },
    })
}

/// How an account without an entry in the ledger was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// An event says that it was created or enrolled.
    Created,
    /// An event says that it was updated, or that it got a baseline.
    Updated,
    /// A sweep came by.
    Backfilled,
    /// It is in the notifications queue, since a sweep found that it is to be told of.
    Queued,
}

/// What is due to an account without an entry in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationNeed {
    /// Notifiers are told.
    Deliver,
    /// It is written down as not to be told.
    Suppress,
    /// Nothing.
    Nothing,
    /// When it joined must be known before anything is done.
    Unknown,
}

/// What is due to an account without an entry.
///
/// An event that says *created* is believed. One that says *updated*, or that a baseline was
/// enabled, comes for every account of the organization sooner or later, and only those that joined
/// within `lookback` can have been created in more than one try, or have landed by that baseline. A sweep finds accounts whose event was lost:
/// those that joined within `lookback`, unless the ledger began later. What it has put into the
/// queue stays due however long it waits there, and whether or not the account can be looked up
/// again.
pub fn notification_need(
    found: Discovery,
    joined: Option<Timestamp>,
    began: Timestamp,
    now: Timestamp,
    lookback: Duration,
) -> NotificationNeed {
    let recent = joined.map(|joined| joined >= now - lookback);
    match (found, recent, joined) {
        (Discovery::Created | Discovery::Queued, ..) | (Discovery::Updated, Some(true), _) => {
            NotificationNeed::Deliver
        }
        (Discovery::Updated, Some(false), _) => NotificationNeed::Suppress,
        (Discovery::Updated, None, _) => NotificationNeed::Unknown,
        (Discovery::Backfilled, Some(true), Some(joined)) if joined < began => {
            NotificationNeed::Suppress
        }
        (Discovery::Backfilled, Some(true), _) => NotificationNeed::Deliver,
        (Discovery::Backfilled, ..) => NotificationNeed::Nothing,
    }
}

/// A message of the notifications queue: one event for one notifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedNotification {
    /// The notification.
    pub key: NotificationKey,
    /// Name of the notifier.
    pub notifier: String,
    /// The account, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The event as it came; `None` when a sweep found the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// How often it was redriven from the dead-letter queue. SQS swallows a message that it had
    /// within five minutes.
    #[serde(default)]
    pub redriven: u32,
}

/// A notification that could not be told, kept where an operator finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDeadLetter {
    /// What was to be told.
    #[serde(flatten)]
    pub notification: QueuedNotification,
    /// The error of the last try.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DAY: i64 = 24 * 3600;

    fn day(day: i64) -> Timestamp {
        Timestamp::constant(1_700_000_000 + day * DAY, 0)
    }

    #[rstest]
    #[case::created(Discovery::Created, Some(0), NotificationNeed::Deliver)]
    #[case::created_unknown(Discovery::Created, None, NotificationNeed::Deliver)]
    #[case::updated_recent(Discovery::Updated, Some(90), NotificationNeed::Deliver)]
    #[case::updated_at_the_bound(Discovery::Updated, Some(86), NotificationNeed::Deliver)]
    #[case::updated_old(Discovery::Updated, Some(85), NotificationNeed::Suppress)]
    #[case::updated_unknown(Discovery::Updated, None, NotificationNeed::Unknown)]
    #[case::swept_new(Discovery::Backfilled, Some(96), NotificationNeed::Deliver)]
    #[case::swept_before_the_ledger(Discovery::Backfilled, Some(94), NotificationNeed::Suppress)]
    #[case::swept_long_ago(Discovery::Backfilled, Some(80), NotificationNeed::Nothing)]
    #[case::swept_unknown(Discovery::Backfilled, None, NotificationNeed::Nothing)]
    #[case::queued_long_ago(Discovery::Queued, Some(80), NotificationNeed::Deliver)]
    #[case::queued_unknown(Discovery::Queued, None, NotificationNeed::Deliver)]
    fn what_is_due(
        #[case] found: Discovery,
        #[case] joined: Option<i64>,
        #[case] expected: NotificationNeed,
    ) {
        let lookback = Duration::from_secs(14 * 24 * 3600);
        assert_eq!(
            notification_need(found, joined.map(day), day(95), day(100), lookback),
            expected
        );
    }

    #[rstest]
    #[case(r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#, "Backfill")]
    #[case(
        r#"{"source":"aws.controltower","detail":{"eventName":"EnableGuardrail"}}"#,
        "Other { account: None, reason: \"EnableGuardrail of aws.controltower reports no new \
         account\" }"
    )]
    fn plans(#[case] event: &str, #[case] expected: &str) {
        let plan = plan_event(&Event::parse(event).unwrap()).unwrap();
        assert_eq!(format!("{plan:?}"), expected);
    }

    #[rstest]
    #[case(include_str!("../../../tests/events/create-managed-account-succeeded.json"), Some(true))]
    #[case(include_str!("../../../tests/events/update-managed-account-succeeded.json"), Some(false))]
    #[case(include_str!("../../../tests/events/create-managed-account-failed.json"), None)]
    fn landed_accounts(#[case] event: &str, #[case] created: Option<bool>) {
        match plan_event(&Event::parse(event).unwrap()).unwrap() {
            EventPlan::Deliver(account) => {
                assert_eq!((account.id.as_str(), created), ("111122223333", Some(account.created)));
            }
            EventPlan::Other { reason, .. } => {
                assert_eq!(created, None);
                assert!(reason.starts_with("CreateManagedAccount has failed: AWS"), "{reason}");
            }
            EventPlan::Backfill => panic!("no schedule"),
        }
    }
}
