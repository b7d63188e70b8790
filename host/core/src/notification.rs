//! Notifications of another system about an account, and their entries in the ledger, which ensure
//! that each is delivered once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::account::{Account, AccountId, Tags};
use crate::decision::Cause;
use crate::event::Event;
use crate::lease::is_lease_active;

/// Identifies a notification in the ledger and in the other system. It is the same for every
/// attempt, whichever event led to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationKey(String);

impl NotificationKey {
    /// For notifying a notifier of a new account: one in the life of an account, because AWS never
    /// reuses an account id.
    pub fn for_onboarding(account: &AccountId, notifier: &str) -> Self {
        Self(format!("onboard/{account}/{notifier}"))
    }

    /// For notifying a notifier of an event: one for each occurrence, however often and under
    /// whichever id EventBridge delivers the event.
    pub fn for_event(event: &Event, notifier: &str) -> Self {
        let digest = Sha256::digest(event.dedup_content());
        let digest = HEXLOWER.encode(&digest[..12]);
        Self(format!("event/{}-{digest}/{notifier}", event.name))
    }

    /// Whether it is the key of an onboarding notification.
    pub fn is_onboarding(&self) -> bool {
        self.0.starts_with("onboard/")
    }

    /// As it is written in the ledger and in the other systems, for example
    /// `onboard/111122223333/ams`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NotificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One notification for one notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The same for every attempt.
    pub key: NotificationKey,
    /// Why it is delivered.
    pub cause: Cause,
    /// The account, as far as it is known; `None` when the event is about none.
    pub account: Option<Arc<Account>>,
    /// The account's tags.
    pub tags: Tags,
    /// The event that led to it, unless a sweep found the account.
    pub event: Option<Arc<Event>>,
    /// Annotations of the gates before this notifier.
    pub annotations: Vec<String>,
    /// The host's time.
    pub now: Timestamp,
    /// 1 for the first attempt, and for the first after a gate held the notification.
    pub attempt: u32,
}

/// The result of a delivery: the other system has the notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The other system's name for the result: a case id, a record's number, a URL.
    pub reference: String,
    /// The decision about the notifiers after this one.
    pub decision: GateDecision,
}

/// The decision of a gate about the notifiers after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum GateDecision {
    /// They are notified.
    #[default]
    Go,
    /// They are notified, with annotations.
    Annotate {
        /// One line each.
        annotations: Vec<String>,
    },
    /// They are not notified yet; then the gate is called again.
    Hold {
        /// Until when.
        until: Timestamp,
        /// For the operator.
        reason: String,
    },
    /// They are not notified.
    Stop {
        /// For the operator.
        reason: String,
    },
}

/// Why a notification could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyFailureKind {
    /// It may work later.
    Transient,
    /// It will not work however often it is retried.
    Permanent,
    /// A grant or a permission is missing.
    Denied,
    /// The notifier can't use the notification.
    Invalid,
}

/// A notification that could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotifyFailure {
    /// What kind of failure it is.
    pub kind: NotifyFailureKind,
    /// Short and stable, for grouping: `timeout`, `trap`, …, or the plugin's own.
    pub code: String,
    /// Names the notifier, what happened, and what to do about it.
    pub message: String,
    /// Whether the other system may have the notification all the same, for example if a reply was
    /// lost.
    pub effect_possible: bool,
    /// How long to wait before the next attempt, if the other system asks for that.
    pub retry_after: Option<Duration>,
}

/// The entry of one notification in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationEntry {
    /// The account that it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Name of the notifier in the config.
    pub notifier: String,
    /// Its state.
    #[serde(flatten)]
    pub state: NotificationState,
    /// The number of attempts; after a hold of a gate, they count from 1 again.
    pub attempts: u32,
    /// When it got this state.
    pub changed_at: Timestamp,
}

/// The state of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum NotificationState {
    /// A host is delivering it. Written before anything is sent.
    #[serde(rename = "taken")]
    Claimed {
        /// Which host.
        by: String,
        /// When the claim expires. A host that takes longer is considered dead, and another may
        /// claim it.
        until: Timestamp,
    },
    /// The other system has it.
    #[serde(rename = "told")]
    Delivered {
        /// The other system's name for the result.
        reference: String,
        /// The decision about the notifiers after this one.
        #[serde(rename = "verdict", default, skip_serializing_if = "is_default_decision")]
        decision: GateDecision,
    },
    /// The gate is called again then. The notifiers after it wait for that.
    Held {
        /// When.
        until: Timestamp,
        /// Why, in the words of the notifier.
        reason: String,
    },
    /// It is not delivered, because the account is older than the ledger.
    #[serde(rename = "recorded")]
    Suppressed,
    /// The last attempt failed; another may follow.
    Failed {
        /// What went wrong.
        error: String,
        /// Whether the other system may have the notification all the same.
        effect_possible: bool,
        /// Set if it failed for good and the other system may have it: it is then delivered again
        /// only after a redrive by an operator. The number of redrives before that failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_good: Option<u32>,
    },
}

/// The request of one host to deliver one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The notification.
    pub key: NotificationKey,
    /// The account that it is about, if any.
    pub account: Option<AccountId>,
    /// Name of the notifier in the config.
    pub notifier: String,
    /// The host that claims. No two running hosts have the same name.
    pub by: String,
    /// The host's time.
    pub now: Timestamp,
    /// When the claim expires: by then the host has delivered it or failed.
    pub until: Timestamp,
    /// The number of redrives by operators.
    pub redriven: u32,
}

/// Result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// This host delivers it; the entry as the ledger now has it.
    Acquired(NotificationEntry),
    /// There is nothing to deliver: the other system has it, or is not to be notified.
    Completed(NotificationEntry),
    /// Another host is delivering it.
    ClaimedByOther {
        /// When that claim expires.
        until: Timestamp,
    },
    /// The gate is not to be called again before a moment.
    Held {
        /// When.
        until: Timestamp,
        /// Why, in the words of the notifier.
        reason: String,
    },
}

fn is_default_decision(decision: &GateDecision) -> bool {
    *decision == GateDecision::Go
}

impl Claim {
    /// Decides on the claim by the entry of the notification in the ledger.
    ///
    /// A host that claims again under its own name waits for its own claim like any other host,
    /// because it may have received the same notification twice.
    pub fn decide(&self, known: Option<&NotificationEntry>) -> ClaimOutcome {
        if let Some(entry) = known {
            match &entry.state {
                NotificationState::Delivered { .. } | NotificationState::Suppressed => {
                    return ClaimOutcome::Completed(entry.clone());
                }
                NotificationState::Claimed { until, .. }
                    if is_lease_active(entry.changed_at, *until, self.now) =>
                {
                    return ClaimOutcome::ClaimedByOther { until: *until };
                }
                NotificationState::Held { until, reason } if self.now < *until => {
                    return ClaimOutcome::Held { until: *until, reason: reason.clone() };
                }
                // The other system may have it, and a second ticket, message or build is worse than
                // none.
                NotificationState::Failed { for_good: Some(last), .. }
                    if self.redriven <= *last =>
                {
                    return ClaimOutcome::Completed(entry.clone());
                }
                NotificationState::Claimed { .. }
                | NotificationState::Held { .. }
                | NotificationState::Failed { .. } => {}
            }
        }
        let earlier = match known {
            // The gate answered that attempt; the next is a new question.
            Some(NotificationEntry { state: NotificationState::Held { .. }, .. }) | None => 0,
            Some(entry) => entry.attempts,
        };
        ClaimOutcome::Acquired(NotificationEntry {
            account: self.account.clone(),
            notifier: self.notifier.clone(),
            state: NotificationState::Claimed { by: self.by.clone(), until: self.until },
            attempts: earlier.saturating_add(1),
            changed_at: self.now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(1_000_000 + second, 0)
    }

    fn claim() -> Claim {
        let account: AccountId = "111122223333".parse().unwrap();
        Claim {
            key: NotificationKey::for_onboarding(&account, "ams"),
            account: Some(account),
            notifier: "ams".into(),
            by: "host-2".into(),
            now: at(100),
            until: at(160),
            redriven: 0,
        }
    }

    fn failed(for_good: Option<u32>) -> NotificationState {
        NotificationState::Failed { error: "no".into(), effect_possible: true, for_good }
    }

    /// A notification that failed for good is delivered again after a redrive.
    #[rstest]
    #[case::not_for_good(None, 0, false)]
    #[case::by_itself(Some(0), 0, true)]
    #[case::redriven(Some(0), 1, false)]
    #[case::redriven_and_failed_again(Some(1), 1, true)]
    #[case::an_old_message(Some(1), 0, true)]
    fn what_failed_for_good_stays_so(
        #[case] for_good: Option<u32>,
        #[case] redriven: u32,
        #[case] settled: bool,
    ) {
        let known = NotificationEntry {
            account: claim().account,
            notifier: "ams".into(),
            state: failed(for_good),
            attempts: 1,
            changed_at: at(0),
        };
        let claimed = Claim { redriven, ..claim() }.decide(Some(&known));
        assert_eq!(matches!(claimed, ClaimOutcome::Completed(_)), settled, "{claimed:?}");
    }

    #[rstest]
    #[case::unknown(None, "ours, attempt 1")]
    #[case::delivered(Some(delivered(GateDecision::Go)), "settled")]
    #[case::held(
        Some(NotificationState::Held { until: at(101), reason: "no owner".into() }),
        "held: no owner"
    )]
    #[case::no_longer_held(
        Some(NotificationState::Held { until: at(100), reason: "no owner".into() }),
        "ours, attempt 1"
    )]
    #[case::recorded(Some(NotificationState::Suppressed), "settled")]
    #[case::failed(Some(failed(None)), "ours, attempt 3")]
    #[case::taken(Some(NotificationState::Claimed { by: "host-1".into(), until: at(101) }), "busy")]
    #[case::its_host_has_died(
        Some(NotificationState::Claimed { by: "host-1".into(), until: at(100) }),
        "ours, attempt 3"
    )]
    #[case::taken_under_the_same_name(
        Some(NotificationState::Claimed { by: "host-2".into(), until: at(101) }),
        "busy"
    )]
    fn claims(#[case] known: Option<NotificationState>, #[case] expected: &str) {
        let known = known.map(|state| NotificationEntry {
            account: claim().account,
            notifier: "ams".into(),
            state,
            attempts: 2,
            changed_at: at(0),
        });
        let outcome = match claim().decide(known.as_ref()) {
            ClaimOutcome::Acquired(entry) => {
                let taken = NotificationState::Claimed { by: "host-2".into(), until: at(160) };
                assert_eq!(entry.state, taken);
                format!("ours, attempt {}", entry.attempts)
            }
            ClaimOutcome::Completed(entry) => {
                assert_eq!(Some(entry), known);
                "settled".to_owned()
            }
            ClaimOutcome::ClaimedByOther { .. } => "busy".to_owned(),
            ClaimOutcome::Held { reason, .. } => format!("held: {reason}"),
        };
        assert_eq!(outcome, expected);
    }

    fn delivered(decision: GateDecision) -> NotificationState {
        NotificationState::Delivered { reference: "case-1".into(), decision }
    }

    #[rstest]
    #[case(GateDecision::Go, serde_json::json!({}))]
    #[case(
        GateDecision::Stop { reason: "wrong OU".into() },
        serde_json::json!({ "verdict": { "is": "stop", "reason": "wrong OU" } })
    )]
    fn an_entry_as_json(#[case] decision: GateDecision, #[case] more: serde_json::Value) {
        let entry = NotificationEntry {
            account: claim().account,
            notifier: "ams".into(),
            state: delivered(decision),
            attempts: 1,
            changed_at: at(0),
        };
        let json = serde_json::to_value(&entry).unwrap();
        let mut expected = serde_json::json!({
            "account": "111122223333",
            "notifier": "ams",
            "state": "told",
            "reference": "case-1",
            "attempts": 1,
            "changed_at": "1970-01-12T13:46:40Z",
        });
        expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<NotificationEntry>(json).unwrap(), entry);
    }
}
