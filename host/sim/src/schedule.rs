//! The scheduled events: what happens without a call, ordered by time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::faults::OperationFailure;

/// Something that happens without a call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ScheduledEvent {
    /// An operation ends.
    OperationEnds { record: u32, failure: Option<Box<OperationFailure>> },
    /// A provisioned product plan that was in progress in the snapshot ends.
    PlanEnds { account: u32 },
    /// A closed account becomes suspended.
    AccountSuspended { account: u32 },
    /// EventBridge delivers an event.
    #[serde(rename = "EventArrives")]
    EventDelivered { event: String },
    /// Another caller wants to start an operation.
    #[serde(rename = "ForeignActs")]
    ForeignOperationStarts { account: u32 },
}

/// The scheduled events. Those of one instant happen in the order in which they were added.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EventSchedule {
    #[serde(rename = "happenings", with = "crate::state_serde::map_as_pairs")]
    events: BTreeMap<(Timestamp, u64), ScheduledEvent>,
    added: u64,
}

impl EventSchedule {
    pub(crate) fn add(&mut self, time: Timestamp, happening: ScheduledEvent) {
        self.events.insert((time, self.added), happening);
        self.added += 1;
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.events.first_key_value().map(|((time, _), _)| *time)
    }

    /// Removes the next one that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, ScheduledEvent)> {
        let entry = self.events.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ((time, _), happening) = entry.remove_entry();
        Some((time, happening))
    }

    /// How many were ever added. The number changes with each new one.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }
}
