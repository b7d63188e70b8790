//! The rules by which an event, or a notification of it, is ignored.

use std::fmt;

use serde::Serialize;

/// Why nothing is done about an event, or a notifier is not notified of it. It is in every report,
/// so that no event is ignored silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoDeliveryReason {
    /// No route matches the event.
    NoRoute,
    /// It is an API call that CloudTrail recorded: the operation has only begun.
    ApiCall,
    /// The notifier was already notified of the account, and is notified once (`once_per =
    /// "account"`).
    OncePerAccount,
    /// The notifier was already notified of this event.
    OncePerEvent,
    /// The account joined before the lookback or before the ledger began, so it is not new.
    JoinedBefore,
    /// The account is closed (`SUSPENDED`, `PENDING_CLOSURE` or `CLOSED`).
    Closed,
    /// Delivery failed for good, and the other system may have the notification: an operator
    /// decides.
    FailedForGood,
    /// A policy decided to skip or hold.
    Policy,
    /// A gate decided to stop or hold.
    Gate,
    /// A sweep found no account whose event was lost.
    NothingLost,
}

/// As in reports, for example `once-per-account`.
impl fmt::Display for NoDeliveryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no-route",
            Self::ApiCall => "api-call",
            Self::OncePerAccount => "once-per-account",
            Self::OncePerEvent => "once-per-event",
            Self::JoinedBefore => "joined-before",
            Self::Closed => "closed",
            Self::FailedForGood => "failed-for-good",
            Self::Policy => "policy",
            Self::Gate => "gate",
            Self::NothingLost => "nothing-lost",
        })
    }
}
