//! Constructors of decisions.

use crate::{PolicyDecision, PolicyHold, Timestamp};

impl PolicyDecision {
    /// Proceed, in the lane that another policy names.
    pub fn proceed() -> Self {
        Self::Proceed(None)
    }

    /// Proceed, in the lane of that name.
    pub fn proceed_in(lane: impl Into<String>) -> Self {
        Self::Proceed(Some(lane.into()))
    }

    /// Skip, for this reason. Short and stable texts (`untagged`) group well.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }

    /// Hold until `until`, for this reason. The account waits in the lane that other policies name.
    pub fn hold(until: Timestamp, reason: impl Into<String>) -> Self {
        Self::Hold(PolicyHold { until, reason: reason.into(), lane: None })
    }

    /// Hold until `until`, for this reason. The account waits in the lane of that name, and the
    /// lanes after it wait for the account.
    pub fn hold_in(lane: impl Into<String>, until: Timestamp, reason: impl Into<String>) -> Self {
        Self::Hold(PolicyHold { until, reason: reason.into(), lane: Some(lane.into()) })
    }
}
