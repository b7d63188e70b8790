//! The state of the scheduler, for metrics and status.

use jiff::Timestamp;

use super::{BlockedReason, Scheduler};
use crate::lane::LaneId;

/// The work as a whole, as this host knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerView {
    /// The lanes, in their order.
    pub lanes: Vec<LaneView>,
    /// The lane whose turn it is and its reason to wait, other than the lanes before it.
    pub blocked: Option<(LaneId, BlockedReason)>,
    /// When the last completed sweep began.
    pub swept: Option<Timestamp>,
    /// The number of observations other than ticks. It grows at least as often as a live host reads
    /// the ledger.
    pub observed: u64,
}

/// One lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Accounts that wait for their update.
    pub waiting: usize,
    /// Updates that are running or starting.
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
