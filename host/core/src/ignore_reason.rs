//! The rules by which an event, or a notification of it, is ignored.

use std::fmt;

use serde::Serialize;

/// Why nothing is done about an event, or nobody is told of it: in every report, so that no event
/// is ignored without a word about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IgnoreReason {
    /// No route leads the event to a notifier.
    NoRoute,
    /// It is a call of the API that CloudTrail has recorded: what was called for has only begun.
    ApiCall,
    /// The notifier was told of the account before, and is told once (`once_per = "account"`).
    OncePerAccount,
    /// The notifier was told of this very event before.
    OncePerEvent,
    /// The account joined before the lookback or before the ledger began, so that it is not new.
    JoinedBefore,
    /// The account is closed (`SUSPENDED`, `PENDING_CLOSURE` or `CLOSED`).
    Closed,
    /// Telling it has failed for good, and the other system may have it: a person decides.
    FailedForGood,
    /// A policy says no, or not yet.
    Policy,
    /// A gate says no, or not yet.
    Gate,
    /// A sweep has found no account whose event was lost.
    NothingLost,
}

/// As reports have it, for example `once-per-account`.
impl fmt::Display for IgnoreReason {
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
