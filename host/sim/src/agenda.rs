//! What will happen without anyone calling, in the order in which it will.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::faults::Failure;

/// Something that happens by itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Happening {
    /// An operation ends.
    OperationEnds { record: u32, failure: Option<Box<Failure>> },
    /// A plan that a snapshot had in progress ends.
    PlanEnds { account: u32 },
    /// An account that somebody has closed is suspended.
    AccountSuspended { account: u32 },
    /// EventBridge delivers an event.
    EventArrives { event: String },
    /// Someone else wants to start an operation.
    ForeignActs { account: u32 },
}

/// Happenings to come. Those of one instant happen in the order in which they were added.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Agenda {
    #[serde(with = "crate::kept::pairs")]
    happenings: BTreeMap<(Timestamp, u64), Happening>,
    added: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, time: Timestamp, happening: Happening) {
        self.happenings.insert((time, self.added), happening);
        self.added += 1;
    }

    /// When the next one happens.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.happenings.first_key_value().map(|((time, _), _)| *time)
    }

    /// Takes the next one that is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(Timestamp, Happening)> {
        let entry = self.happenings.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ((time, _), happening) = entry.remove_entry();
        Some((time, happening))
    }

    /// How many were ever added: changes when anything new is to happen.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }
}
