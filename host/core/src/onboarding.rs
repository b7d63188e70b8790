//! The effect of an event on onboarding, and which accounts still need notifications.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{AccountId, OrganizationalUnit};
use crate::event::{Event, EventError, ManagedAccount};
use crate::notification::NotificationKey;

/// The effect of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventAction {
    /// An account was enrolled or updated: its recipients are notified.
    Deliver(EnrolledAccount),
    /// A schedule requests a sweep for accounts whose event was lost.
    Backfill,
    /// No account was enrolled. Notifiers that are configured for such events are notified.
    Other {
        /// The account that the event is about, where it names one.
        account: Option<AccountId>,
        /// Why there is no onboarding.
        reason: String,
    },
}

/// An enrolled account, as its event describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledAccount {
    /// The account.
    pub id: AccountId,
    /// Its name, if the event has it.
    pub name: Option<String>,
    /// The OU that holds it, if the event has it.
    pub organizational_unit: Option<OrganizationalUnit>,
    /// Whether the event reports that it was created or enrolled. Otherwise the event reports an
    /// update or a baseline. Control Tower also reports an update for a creation or enrolment that
    /// it had to retry, and existing accounts get baselines as well.
    pub created: bool,
}

/// Decides the effect of an event.
///
/// # Errors If the event is about an account but can't be parsed.
pub fn action_for_event(event: &Event) -> Result<EventAction, EventError> {
    if event.is_schedule() {
        return Ok(EventAction::Backfill);
    }
    Ok(match event.managed_account()? {
        Some(ManagedAccount::Succeeded { id, name, organizational_unit }) => {
            EventAction::Deliver(EnrolledAccount {
                id,
                name,
                organizational_unit,
                created: event.name == "CreateManagedAccount",
            })
        }
        Some(ManagedAccount::Failed { message }) => EventAction::Other {
            account: event.account.clone(),
            reason: match message.is_empty() {
                true => format!("{} has failed", event.name),
                false => format!("{} has failed: {message}", event.name),
            },
        },
        None if event.is_api_call() => EventAction::Other {
            account: event.account.clone(),
            reason: format!(
                "{} is a call of the API, recorded by CloudTrail: the lifecycle event of that \
                 name reports how it ends",
                event.name
            ),
        },
        None => EventAction::Other {
            account: event.account.clone(),
            reason: format!("{} of {} reports no new account", event.name, event.source),
        },
    })
}

/// How an account without an entry in the ledger was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// An event reports that it was created or enrolled.
    Created,
    /// An event reports that it was updated, or that it got a baseline.
    Updated,
    /// A sweep found it.
    Backfilled,
    /// It is in the notifications queue, because a sweep found that its notification is due.
    Queued,
}

/// What is due for an account without an entry in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationNeed {
    /// Its recipients are notified.
    Deliver,
    /// It is recorded, so that it never leads to a notification.
    Suppress,
    /// Nothing.
    Nothing,
    /// When it joined must be known first.
    Unknown,
}

/// What is due for an account without an entry in the ledger.
///
/// An event that reports a creation is sufficient. An event that reports an update, or a baseline,
/// comes for every account of the organization sooner or later. Of these accounts, only those that
/// joined within `lookback` can be new: their creation took more than one try, or the baseline
/// enrolled them. A sweep finds the accounts whose event was lost: those that joined within
/// `lookback`, unless the ledger began later. A notification that a sweep has queued stays due
/// however long it waits in the queue, and whether or not the account can be read again.
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
    /// The event as it was received; `None` if a sweep found the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// How often it was redriven from the dead-letter queue. SQS drops a message that is the same
    /// as one of the last five minutes.
    #[serde(default)]
    pub redriven: u32,
}

/// A notification that could not be delivered, kept in the dead-letter queue for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDeadLetter {
    /// The notification.
    #[serde(flatten)]
    pub notification: QueuedNotification,
    /// The error of the last attempt.
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
        let plan = action_for_event(&Event::parse(event).unwrap()).unwrap();
        assert_eq!(format!("{plan:?}"), expected);
    }

    #[rstest]
    #[case(include_str!("../../../tests/events/create-managed-account-succeeded.json"), Some(true))]
    #[case(include_str!("../../../tests/events/update-managed-account-succeeded.json"), Some(false))]
    #[case(include_str!("../../../tests/events/create-managed-account-failed.json"), None)]
    fn landed_accounts(#[case] event: &str, #[case] created: Option<bool>) {
        match action_for_event(&Event::parse(event).unwrap()).unwrap() {
            EventAction::Deliver(account) => {
                assert_eq!((account.id.as_str(), created), ("111122223333", Some(account.created)));
            }
            EventAction::Other { reason, .. } => {
                assert_eq!(created, None);
                assert!(reason.starts_with("CreateManagedAccount has failed: AWS"), "{reason}");
            }
            EventAction::Backfill => panic!("no schedule"),
        }
    }
}
