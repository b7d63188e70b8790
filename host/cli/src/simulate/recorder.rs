//! Writes down what the engine does, for the report.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::ignore_reason::IgnoreReason;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::pipeline::{DecisionOutcome, FinalDecision};
use groundcrew_engine::notifications::{Delivery, DeliveryOutcome, EventOutcome};
use groundcrew_engine::{EngineEvent, Observer, UpdateEnding};
use jiff::Timestamp;

use super::progress::Progress;

/// What became of an account's updates so far.
#[derive(Clone, Debug)]
pub struct Course {
    pub lane: String,
    pub attempts: u32,
    /// Of the last attempt, as the host saw them.
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    pub last: Last,
}

/// How the last attempt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    Running,
    Succeeded,
    Retried,
    DeadLettered(String),
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledEvent {
    pub event: Option<String>,
    pub outcome: EventOutcome,
    pub rule: Option<IgnoreReason>,
    pub reason: Option<String>,
}

/// Sees everything and keeps what the report needs: the last decision and the course of
/// each account.
pub struct Recorder {
    seen: Mutex<Seen>,
}

struct Seen {
    progress: Progress,
    begin: Option<Timestamp>,
    decisions: BTreeMap<AccountId, FinalDecision>,
    /// The first decision about each account.
    first_decisions: BTreeMap<AccountId, FinalDecision>,
    /// Until when accounts were held that had not been started yet.
    held_until: BTreeMap<AccountId, Timestamp>,
    courses: BTreeMap<AccountId, Course>,
    told: BTreeMap<NotificationKey, Delivery>,
    /// What became of events, and how often.
    events: Vec<(HandledEvent, u64)>,
    alerts: Vec<String>,
    outdated: u64,
    done: u64,
}

impl Recorder {
    pub fn new(progress: Progress) -> Self {
        Self {
            seen: Mutex::new(Seen {
                progress,
                begin: None,
                decisions: BTreeMap::new(),
                first_decisions: BTreeMap::new(),
                held_until: BTreeMap::new(),
                courses: BTreeMap::new(),
                told: BTreeMap::new(),
                events: Vec::new(),
                alerts: Vec::new(),
                outdated: 0,
                done: 0,
            }),
        }
    }

    pub fn decisions(&self) -> BTreeMap<AccountId, FinalDecision> {
        self.seen().decisions.clone()
    }

    pub fn first_decisions(&self) -> BTreeMap<AccountId, FinalDecision> {
        self.seen().first_decisions.clone()
    }

    /// Until when each account was held before its first update.
    pub fn held_until(&self) -> BTreeMap<AccountId, Timestamp> {
        self.seen().held_until.clone()
    }

    pub fn courses(&self) -> BTreeMap<AccountId, Course> {
        self.seen().courses.clone()
    }

    /// The last that became of each notification.
    pub fn told(&self) -> Vec<Delivery> {
        self.seen().told.values().cloned().collect()
    }

    /// What became of events, each kind once with how often, in the order in which they came.
    pub fn events(&self) -> Vec<(HandledEvent, u64)> {
        self.seen().events.clone()
    }

    pub fn alerts(&self) -> Vec<String> {
        self.seen().alerts.clone()
    }

    /// The policies that failed, those on trial as well.
    pub fn failing_policies(&self) -> Vec<String> {
        let alerts = &self.seen().alerts;
        let name = |subject: &String| {
            Some(subject.strip_prefix("Policy ")?.strip_suffix(" fails")?.to_owned())
        };
        alerts.iter().filter_map(name).collect()
    }

    pub fn finish(&self) {
        self.seen().progress.finish();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Seen is whole after every statement, so that a poisoned one can be read.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>) {
        let mut seen = self.seen();
        let begin = *seen.begin.get_or_insert(now);
        match event {
            EngineEvent::Swept { outdated, .. } => {
                let open = u64::try_from(outdated).unwrap_or(u64::MAX);
                // The first sweep sees them all; later ones see what is left.
                seen.outdated = seen.outdated.max(open);
            }
            EngineEvent::Decided { account, decision } => {
                // Only what is to be updated counts as still to be done.
                let skips = |decision: &FinalDecision| {
                    matches!(decision.outcome, DecisionOutcome::Skip { .. })
                };
                seen.first_decisions.entry(account.clone()).or_insert_with(|| decision.clone());
                if let DecisionOutcome::Hold { until, .. } = decision.outcome
                    && !seen.courses.contains_key(account)
                {
                    let held = seen.held_until.entry(account.clone()).or_insert(until);
                    *held = until.max(*held);
                }
                let before = seen.decisions.insert(account.clone(), decision.clone());
                match (before.as_ref().is_some_and(skips), skips(decision)) {
                    (false, true) => seen.done += 1,
                    (true, false) => seen.done -= 1,
                    _ => {}
                }
            }
            EngineEvent::Started(slot) => {
                let attempts = seen.courses.get(&slot.account).map_or(0, |course| course.attempts);
                let course = Course {
                    lane: slot.lane.clone(),
                    attempts: attempts + 1,
                    start: now,
                    end: None,
                    last: Last::Running,
                };
                seen.courses.insert(slot.account.clone(), course);
            }
            EngineEvent::Ended { slot, ending } => {
                if !matches!(ending, UpdateEnding::Retried(_)) {
                    seen.done += 1;
                }
                if let Some(course) = seen.courses.get_mut(&slot.account) {
                    course.end = Some(now);
                    course.last = match ending {
                        UpdateEnding::Succeeded => Last::Succeeded,
                        UpdateEnding::Retried(_) => Last::Retried,
                        UpdateEnding::DeadLettered(reason) => Last::DeadLettered(reason.to_owned()),
                    };
                } else if let UpdateEnding::DeadLettered(reason) = ending {
                    // Refused before it began.
                    let course = Course {
                        lane: slot.lane.clone(),
                        attempts: 0,
                        start: now,
                        end: Some(now),
                        last: Last::DeadLettered(reason.to_owned()),
                    };
                    seen.courses.insert(slot.account.clone(), course);
                }
            }
            EngineEvent::NotificationHandled(delivery) => {
                // The last word counts: a failure may be made good. That it was told already is
                // no news.
                let key = delivery.key.clone();
                if delivery.outcome != DeliveryOutcome::AlreadyDelivered
                    || !seen.told.contains_key(&key)
                {
                    seen.told.insert(key, delivery.clone());
                }
            }
            EngineEvent::EventHandled(handled) => {
                let event = HandledEvent {
                    event: handled.event.clone(),
                    outcome: handled.outcome,
                    rule: handled.rule,
                    reason: handled.reason.clone(),
                };
                match seen.events.iter_mut().find(|(known, _)| *known == event) {
                    Some((_, times)) => *times += 1,
                    None => seen.events.push((event, 1)),
                }
            }
            EngineEvent::Alerted(alert) => seen.alerts.push(alert.subject.clone()),
            EngineEvent::Status(_) | EngineEvent::HeartbeatWritten(_) => return,
        }
        let after = Duration::try_from(now - begin).unwrap_or_default();
        let (done, of) = (seen.done.min(seen.outdated), seen.outdated);
        seen.progress.show(done, of, after);
    }
}
