//! Records the events of the engine for the report.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::decision_combiner::{DecisionOutcome, FinalDecision};
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::NotificationKey;
use groundcrew_engine::notifications::{Delivery, DeliveryOutcome, EventOutcome};
use groundcrew_engine::{EngineEvent, Observer, UpdateEnding};
use jiff::Timestamp;

use super::progress::Progress;

/// The history of an account's updates so far.
#[derive(Clone, Debug)]
pub struct UpdateHistory {
    pub lane: String,
    pub attempts: u32,
    /// The start of the last attempt, as the host observed it.
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    pub last: LastAttempt,
}

/// The state of the last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastAttempt {
    Running,
    Succeeded,
    Retried,
    DeadLettered(String),
}

/// The result of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledEvent {
    pub event: Option<String>,
    pub outcome: EventOutcome,
    pub rule: Option<NoDeliveryReason>,
    pub reason: Option<String>,
}

/// Observes all events and keeps what the report needs: the last decision about each account and
/// the history of its updates.
pub struct Recorder {
    state: Mutex<RecorderState>,
}

struct RecorderState {
    progress: Progress,
    begin: Option<Timestamp>,
    decisions: BTreeMap<AccountId, FinalDecision>,
    /// The first decision about each account.
    first_decisions: BTreeMap<AccountId, FinalDecision>,
    /// The ends of the holds of accounts that had not been started yet.
    held_until: BTreeMap<AccountId, Timestamp>,
    histories: BTreeMap<AccountId, UpdateHistory>,
    deliveries: BTreeMap<NotificationKey, Delivery>,
    /// The results of events, and their numbers.
    events: Vec<(HandledEvent, u64)>,
    alerts: Vec<String>,
    outdated: u64,
    done: u64,
}

impl Recorder {
    pub fn new(progress: Progress) -> Self {
        Self {
            state: Mutex::new(RecorderState {
                progress,
                begin: None,
                decisions: BTreeMap::new(),
                first_decisions: BTreeMap::new(),
                held_until: BTreeMap::new(),
                histories: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                events: Vec::new(),
                alerts: Vec::new(),
                outdated: 0,
                done: 0,
            }),
        }
    }

    pub fn decisions(&self) -> BTreeMap<AccountId, FinalDecision> {
        self.state().decisions.clone()
    }

    pub fn first_decisions(&self) -> BTreeMap<AccountId, FinalDecision> {
        self.state().first_decisions.clone()
    }

    /// The end of each account's hold before its first update.
    pub fn held_until(&self) -> BTreeMap<AccountId, Timestamp> {
        self.state().held_until.clone()
    }

    pub fn histories(&self) -> BTreeMap<AccountId, UpdateHistory> {
        self.state().histories.clone()
    }

    /// The last result of each notification.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state().deliveries.values().cloned().collect()
    }

    /// The results of events, each once with its number, in the order of their first occurrence.
    pub fn events(&self) -> Vec<(HandledEvent, u64)> {
        self.state().events.clone()
    }

    pub fn alerts(&self) -> Vec<String> {
        self.state().alerts.clone()
    }

    /// The policies that failed, including monitored ones.
    pub fn failing_policies(&self) -> Vec<String> {
        let alerts = &self.state().alerts;
        let name = |subject: &String| {
            Some(subject.strip_prefix("Policy ")?.strip_suffix(" fails")?.to_owned())
        };
        alerts.iter().filter_map(name).collect()
    }

    pub fn finish(&self) {
        self.state().progress.finish();
    }

    fn state(&self) -> MutexGuard<'_, RecorderState> {
        // The state is consistent after every statement, so a poisoned lock can be used.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>) {
        let mut state = self.state();
        let begin = *state.begin.get_or_insert(now);
        match event {
            EngineEvent::Swept { outdated, .. } => {
                let open = u64::try_from(outdated).unwrap_or(u64::MAX);
                // The first sweep finds all accounts; later ones find the rest.
                state.outdated = state.outdated.max(open);
            }
            EngineEvent::Decided { account, decision } => {
                // Only accounts that are to be updated count as remaining.
                let skips = |decision: &FinalDecision| {
                    matches!(decision.outcome, DecisionOutcome::Skip { .. })
                };
                state.first_decisions.entry(account.clone()).or_insert_with(|| decision.clone());
                if let DecisionOutcome::Hold { until, .. } = decision.outcome
                    && !state.histories.contains_key(account)
                {
                    let held = state.held_until.entry(account.clone()).or_insert(until);
                    *held = until.max(*held);
                }
                let before = state.decisions.insert(account.clone(), decision.clone());
                match (before.as_ref().is_some_and(skips), skips(decision)) {
                    (false, true) => state.done += 1,
                    (true, false) => state.done -= 1,
                    _ => {}
                }
            }
            EngineEvent::Started(slot) => {
                let attempts =
                    state.histories.get(&slot.account).map_or(0, |history| history.attempts);
                let history = UpdateHistory {
                    lane: slot.lane.clone(),
                    attempts: attempts + 1,
                    start: now,
                    end: None,
                    last: LastAttempt::Running,
                };
                state.histories.insert(slot.account.clone(), history);
            }
            EngineEvent::Ended { slot, ending } => {
                if !matches!(ending, UpdateEnding::Retried(_)) {
                    state.done += 1;
                }
                if let Some(history) = state.histories.get_mut(&slot.account) {
                    history.end = Some(now);
                    history.last = match ending {
                        UpdateEnding::Succeeded => LastAttempt::Succeeded,
                        UpdateEnding::Retried(_) => LastAttempt::Retried,
                        UpdateEnding::DeadLettered(reason) => {
                            LastAttempt::DeadLettered(reason.to_owned())
                        }
                    };
                } else if let UpdateEnding::DeadLettered(reason) = ending {
                    // Refused before the start.
                    let history = UpdateHistory {
                        lane: slot.lane.clone(),
                        attempts: 0,
                        start: now,
                        end: Some(now),
                        last: LastAttempt::DeadLettered(reason.to_owned()),
                    };
                    state.histories.insert(slot.account.clone(), history);
                }
            }
            EngineEvent::NotificationHandled(delivery) => {
                // The last result counts: a retry may succeed after a failure. That it was
                // delivered already is not a new result.
                let key = delivery.key.clone();
                if delivery.outcome != DeliveryOutcome::AlreadyDelivered
                    || !state.deliveries.contains_key(&key)
                {
                    state.deliveries.insert(key, delivery.clone());
                }
            }
            EngineEvent::EventHandled(handled) => {
                let event = HandledEvent {
                    event: handled.event.clone(),
                    outcome: handled.outcome,
                    rule: handled.rule,
                    reason: handled.reason.clone(),
                };
                match state.events.iter_mut().find(|(known, _)| *known == event) {
                    Some((_, times)) => *times += 1,
                    None => state.events.push((event, 1)),
                }
            }
            EngineEvent::Alerted(alert) => state.alerts.push(alert.subject.clone()),
            EngineEvent::Status(_) | EngineEvent::HeartbeatWritten(_) => return,
        }
        let after = Duration::try_from(now - begin).unwrap_or_default();
        let (done, of) = (state.done.min(state.outdated), state.outdated);
        state.progress.show(done, of, after);
    }
}
