//! Telling another system about an account: what is told, and the entry that the ledger
//! keeps of it, so that it is told once.

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

/// What a notification is known by, in the ledger and in the other system: the same for
/// every try, whichever event led to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationKey(String);

impl NotificationKey {
    /// Of telling a notifier that an account is there: one in the life of an account, since
    /// AWS never uses an account id again.
    pub fn for_onboarding(account: &AccountId, notifier: &str) -> Self {
        Self(format!("onboard/{account}/{notifier}"))
    }

    /// Of telling a notifier of an event: one for whatever happened, however often and under
    /// whichever id the event comes.
    pub fn for_event(event: &Event, notifier: &str) -> Self {
        let digest = Sha256::digest(event.dedup_content());
        let digest = HEXLOWER.encode(&digest[..12]);
        Self(format!("event/{}-{digest}/{notifier}", event.name))
    }

    /// Whether it is of telling that an account is there.
    pub fn is_onboarding(&self) -> bool {
        self.0.starts_with("onboard/")
    }

    /// As the ledger and the other systems see it, for example `onboard/111122223333/ams`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NotificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing to tell one system.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The same for every try.
    pub key: NotificationKey,
    /// Why it is told.
    pub cause: Cause,
    /// The account, as far as it is known; `None` when the event is about none.
    pub account: Option<Arc<Account>>,
    /// The account's tags.
    pub tags: Tags,
    /// The event that led to it, unless a sweep found the account.
    pub event: Option<Arc<Event>>,
    /// What notifiers that are asked before this one have found.
    pub annotations: Vec<String>,
    /// The host's time.
    pub now: Timestamp,
    /// 1 for the first try, and for the first after a gate has said to hold.
    pub attempt: u32,
}

/// The other system knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What it calls the result: a case id, a record's number, a URL.
    pub reference: String,
    /// What it says about the notifiers that come after it.
    pub decision: GateDecision,
}

/// What a notifier that is asked before the others says about telling them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum GateDecision {
    /// They are told.
    #[default]
    Go,
    /// They are told, and what was found with it.
    Annotate {
        /// A line for each thing.
        annotations: Vec<String>,
    },
    /// They are not told yet; then it is asked again.
    Hold {
        /// Until when.
        until: Timestamp,
        /// For the operator.
        reason: String,
    },
    /// They are not told.
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
    /// It will not work however often it is tried.
    Permanent,
    /// A grant or a permission is missing.
    Denied,
    /// What was to be told makes no sense to the notifier.
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
    /// Whether the other system may know all the same, as when a reply was lost.
    pub effect_possible: bool,
    /// How long to wait before the next try, where the other system said so.
    pub retry_after: Option<Duration>,
}

/// What the ledger knows of one notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationEntry {
    /// The account that it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Name of the notifier in the config.
    pub notifier: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: NotificationState,
    /// How often it was taken to be told; from the last time on, if a gate then said to hold.
    pub attempts: u32,
    /// When it came to this state.
    pub changed_at: Timestamp,
}

/// How far a notification is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum NotificationState {
    /// A host is telling it. Written before anything is sent.
    #[serde(rename = "taken")]
    Claimed {
        /// Which host.
        by: String,
        /// Until when nobody else may try: that host has died if it took longer.
        until: Timestamp,
    },
    /// The other system knows.
    #[serde(rename = "told")]
    Delivered {
        /// What it calls the result.
        reference: String,
        /// What it says about those that come after it.
        #[serde(rename = "verdict", default, skip_serializing_if = "is_default_decision")]
        decision: GateDecision,
    },
    /// The other system is asked again then, and those that come after it wait for that.
    Held {
        /// When.
        until: Timestamp,
        /// Why, as the notifier said.
        reason: String,
    },
    /// It was not told, since the account is older than the ledger.
    #[serde(rename = "recorded")]
    Suppressed,
    /// The last try failed; another may follow.
    Failed {
        /// What went wrong.
        error: String,
        /// Whether the other system may know all the same.
        effect_possible: bool,
        /// It failed for good, and the other system may know: only a person has it told again.
        /// How often it had been redriven by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_good: Option<u32>,
    },
}

/// The wish of one host to tell one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The notification.
    pub key: NotificationKey,
    /// The account that it is about, if any.
    pub account: Option<AccountId>,
    /// Name of the notifier in the config.
    pub notifier: String,
    /// Which host asks: no two that run have the same name.
    pub by: String,
    /// The host's time.
    pub now: Timestamp,
    /// Until when the host will have told it or given up.
    pub until: Timestamp,
    /// How often a person has had it told again.
    pub redriven: u32,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// It is ours to tell; the entry as the ledger now has it.
    Acquired(NotificationEntry),
    /// There is nothing to tell: the other system knows, or is not to be told.
    Completed(NotificationEntry),
    /// Another host is telling it.
    ClaimedByOther {
        /// Until when nobody else may try.
        until: Timestamp,
    },
    /// The other system is not to be asked again before a moment.
    Held {
        /// When.
        until: Timestamp,
        /// Why, as the notifier said.
        reason: String,
    },
}

fn is_default_decision(decision: &GateDecision) -> bool {
    *decision == GateDecision::Go
}

impl Claim {
    /// Decides on the claim by what the ledger knows of the notification.
    ///
    /// A host that asks again under its own name waits for its own claim like anybody
    /// else: it may have two of the same at once.
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
                // The other system may have it: a second ticket, message or build is worse than none.
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
            // That try was answered: the next is about something new.
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

    /// What failed for good is told again when a person has asked for that since.
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
