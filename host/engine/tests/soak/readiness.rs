//! Compares the health that a host reports with its true state.

use std::sync::Mutex;
use std::time::Duration;

use groundcrew_engine::{EngineEvent, Health, Observer};
use jiff::Timestamp;
use tokio::time::Instant;

use super::scenario::Scenario;

/// Two heartbeats, and the longest time of a call.
const NOTICED: u64 = 180;

/// The readiness of one life of a host.
pub struct Readiness {
    health: Health,
    sweep_interval: Duration,
    swept: Mutex<Option<Instant>>,
}

impl Observer for Readiness {
    fn observe(&self, now: Timestamp, event: EngineEvent<'_>) {
        if let EngineEvent::Swept { .. } = event {
            *self.swept.lock().unwrap() = Some(Instant::now());
        }
        self.health.observe(now, event);
    }
}

impl Readiness {
    pub fn new(scenario: &Scenario) -> Self {
        let (wait, sweep_interval) = (scenario.rules.poll_interval, scenario.rules.sweep_interval);
        let health = Health::new(wait, sweep_interval);
        Self { health, sweep_interval, swept: Mutex::default() }
    }

    /// Checks a host that runs, so many seconds after the beginning.
    pub fn check(&self, host: &str, scenario: &Scenario, second: u64) {
        assert_eq!(self.health.stuck(), None, "{host} runs at {second}");
        let unready = self.health.unready();
        let says_unwritten =
            unready.as_ref().is_some_and(|why| why.starts_with("the ledger can't record"));
        if let Some((begins, lasts)) = scenario.full_disk {
            let long_full = (begins + NOTICED..begins + lasts).contains(&second);
            let long_free = second < begins || second > begins + lasts + NOTICED;
            assert!(says_unwritten || !long_full, "{host} is ready at {second} with a full disk");
            assert!(!says_unwritten || !long_free, "{host} at {second}: {unready:?}");
        }
        let swept = *self.swept.lock().unwrap();
        let lately = |intervals: u32| {
            swept.is_some_and(|at| at.elapsed() <= self.sweep_interval * intervals)
        };
        match unready {
            None => assert!(lately(3), "{host} is ready at {second}, without a sweep"),
            // A sweep takes time, and the observer gets its event at the end.
            Some(why) if !says_unwritten => {
                assert!(!lately(1), "{host} has swept, and says at {second}: {why}");
            }
            Some(_) => {}
        }
    }
}
