//! The clock of the machine that hosts run on, which may jump.

use groundcrew_core::ports::Clock;
use groundcrew_sim::SimClock;
use jiff::{SignedDuration, Timestamp};

/// Between two moments, in seconds after the beginning, a clock is off by so many seconds.
#[derive(Clone, Copy, Debug)]
pub struct Jump {
    pub from: u64,
    pub until: u64,
    pub by: i64,
}

pub struct MachineClock {
    pub right: SimClock,
    pub begin: Timestamp,
    pub jumps: Vec<Jump>,
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let now = self.right.now();
        let second = now.duration_since(self.begin).as_secs();
        let is_off =
            |jump: &&Jump| (jump.from..jump.until).contains(&second.try_into().unwrap_or_default());
        now + SignedDuration::from_secs(self.jumps.iter().find(is_off).map_or(0, |jump| jump.by))
    }
}
