//! The time of a simulation: virtual, by tokio's clock from a start time on, or real.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use groundcrew_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The clock of a simulation, for the host and for the SDK.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    /// The start time, and the time of tokio's clock then. Without it the clock shows the real
    /// time.
    origin: Option<(Timestamp, Instant)>,
    /// How far it is ahead of the real time.
    ahead: Duration,
}

impl SimClock {
    /// A clock that shows `start` now and follows tokio's clock, so that a paused one makes
    /// it virtual. Call it on the runtime that will run the simulation.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { origin: Some((start, Instant::now())), ahead: Duration::ZERO }
    }

    /// A clock that shows the real time.
    pub fn real() -> Self {
        Self { origin: None, ahead: Duration::ZERO }
    }

    /// A clock that shows the real time, or starts at `earliest` if that is later. So it does not
    /// go back behind a time that it has shown before.
    pub fn real_from(earliest: Timestamp) -> Self {
        let ahead = Duration::try_from(earliest.duration_since(Timestamp::now()));
        Self { origin: None, ahead: ahead.unwrap_or_default() }
    }

    /// The time of tokio's clock at which this clock shows `time`.
    pub fn instant(&self, time: Timestamp) -> Instant {
        let (start, epoch) = self.origin.unwrap_or_else(|| (Clock::now(self), Instant::now()));
        epoch + Duration::try_from(time.duration_since(start)).unwrap_or_default()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        match self.origin {
            Some((start, epoch)) => saturating_later(start, epoch.elapsed()),
            None => saturating_later(Timestamp::now(), self.ahead),
        }
    }
}

impl TimeSource for SimClock {
    fn now(&self) -> SystemTime {
        SystemTime::from(Clock::now(self))
    }
}

/// `time` plus `duration`, or the latest possible time if the sum is beyond it.
pub(crate) fn saturating_later(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| time.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `time` as AWS's JSON protocols write it: seconds since 1970, with milliseconds.
pub(crate) fn epoch_seconds(time: Timestamp) -> serde_json::Value {
    (time.as_millisecond() as f64 / 1000.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_clock_never_goes_back_behind_where_it_began() {
        let now = Timestamp::now();
        let ahead = saturating_later(now, Duration::from_secs(3600));
        let shown = Clock::now(&SimClock::real_from(ahead));
        assert!(
            (ahead..saturating_later(ahead, Duration::from_secs(600))).contains(&shown),
            "{shown}"
        );
        for earliest in [now, Timestamp::UNIX_EPOCH, Timestamp::MIN] {
            let shown = Clock::now(&SimClock::real_from(earliest));
            assert!((now..ahead).contains(&shown), "{shown}");
        }
    }
}
