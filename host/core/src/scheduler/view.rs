//! What the scheduler shows of itself: for metrics and whoever watches.

use jiff::Timestamp;

use super::{BlockedReason, Scheduler};
use crate::lane::LaneId;

/// The work as a whole, as this host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerView {
    /// The lanes, in their order.
    pub lanes: Vec<LaneView>,
    /// The lane whose turn it is and what it waits for, if that is not the lanes before it.
    pub blocked: Option<(LaneId, BlockedReason)>,
    /// When the last completed sweep began.
    pub swept: Option<Timestamp>,
    /// How much has been observed but the passing of time. A host that lives observes something
    /// at least as often as it reads the ledger.
    pub observed: u64,
}

/// One lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Accounts that wait for their update.
    pub waiting: usize,
    /// Updates that run, or are being started.
    pub in_flight: usize,
    /// Accounts that policies hold.
    pub held: usize,
    /// Whether it is paused.
    pub paused: bool,
}

impl Scheduler {
    /// The work as a whole.
    pub fn view(&self) -> SchedulerView {
        let lanes = self.rules.lane_ids().map(|lane| {
            let in_flight = self.backlog.active(lane);
            LaneView {
                waiting: self.backlog.open(lane) - in_flight,
                in_flight,
                held: self.holds.in_lane(lane),
                paused: self.lanes.record(lane).paused.is_some(),
            }
        });
        SchedulerView {
            lanes: lanes.collect(),
            blocked: self.blocked(),
            swept: self.sweeps.completed(),
            observed: self.observed,
        }
    }
}
