//! Simulated time: the start of the simulation plus what tokio's clock has run since.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use groundcrew_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The clock of a simulation, for the host and for the SDK. Follows tokio's clock, so
/// that a paused one makes it virtual.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    start: Timestamp,
    epoch: Instant,
}

impl SimClock {
    /// A clock that shows `start` now. Call it on the runtime that will run the
    /// simulation, since it reads tokio's clock.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, epoch: Instant::now() }
    }

    /// What tokio's clock shows when this one shows `time`.
    pub fn instant(&self, time: Timestamp) -> Instant {
        let since = Duration::try_from(time.duration_since(self.start)).unwrap_or_default();
        self.epoch + since
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        later(self.start, self.epoch.elapsed())
    }
}

impl TimeSource for SimClock {
    fn now(&self) -> SystemTime {
        SystemTime::from(Clock::now(self))
    }
}

/// `time` and `duration` after it; the end of time when that is beyond it.
pub(crate) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| time.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `time` as AWS's JSON protocols write it: seconds since 1970, with milliseconds.
pub(crate) fn json(time: Timestamp) -> serde_json::Value {
    (time.as_millisecond() as f64 / 1000.0).into()
}
