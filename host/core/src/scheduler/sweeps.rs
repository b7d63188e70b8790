//! When to sweep.

use std::time::Duration;

use jiff::Timestamp;

use crate::backoff::Backoff;

/// How long to wait after a sweep failed.
const RETRY: Backoff = Backoff::new(Duration::from_secs(15), Duration::from_secs(15 * 60));

/// The sweeps of one host: at most one at a time.
#[derive(Debug)]
pub(super) struct SweepSchedule {
    interval: Duration,
    min_interval: Duration,
    /// When the running sweep was asked for.
    running: Option<Timestamp>,
    /// When the last sweep was asked for, however it ended.
    last_started: Option<Timestamp>,
    /// When the last completed sweep began.
    completed: Option<Timestamp>,
    /// When the next one is due.
    due: Timestamp,
    failures: u32,
}

impl SweepSchedule {
    pub fn new(interval: Duration, min_interval: Duration, now: Timestamp) -> Self {
        Self {
            interval,
            min_interval,
            running: None,
            last_started: None,
            completed: None,
            due: now,
            failures: 0,
        }
    }

    /// When the last completed sweep began.
    pub fn completed(&self) -> Option<Timestamp> {
        self.completed
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// When the next one is due; `None` while one runs.
    pub fn due(&self) -> Option<Timestamp> {
        self.running.is_none().then_some(self.due)
    }

    /// Asks for a sweep soon: at most one each `min_interval`.
    pub fn request(&mut self, now: Timestamp) {
        let earliest = self.last_started.map_or(now, |last| (last + self.min_interval).max(now));
        self.due = self.due.min(earliest);
    }

    /// Asks for a sweep now. Nothing while failures are being waited out.
    pub fn request_now(&mut self, now: Timestamp) {
        if self.failures == 0 {
            self.due = self.due.min(now);
        }
    }

    /// Asks for a sweep at a moment, or as soon after it as `min_interval` allows.
    pub fn request_at(&mut self, moment: Timestamp) {
        let earliest = self.last_started.map_or(moment, |last| last + self.min_interval);
        self.due = self.due.min(moment.max(earliest));
    }

    /// Whether to begin one now; then it counts as running.
    pub fn start_if_due(&mut self, now: Timestamp) -> bool {
        if self.running.is_some() || now < self.due {
            return false;
        }
        self.running = Some(now);
        self.last_started = Some(now);
        // What wakes this host while the sweep runs may not be seen by it, so that only
        // requests from here on count for the next.
        self.due = now + self.interval;
        true
    }

    /// The running sweep, which began at `started_at`, is complete.
    pub fn complete(&mut self, started_at: Timestamp) {
        self.running = None;
        self.failures = 0;
        self.completed = Some(started_at);
    }

    /// The running sweep was not made: it is not the time.
    pub fn postpone(&mut self, until: Timestamp) {
        self.running = None;
        self.due = until;
    }

    /// The running sweep has failed. Answers how many have in a row.
    pub fn fail(&mut self, now: Timestamp) -> u32 {
        self.running = None;
        self.failures += 1;
        self.due = now + RETRY.after(self.failures);
        self.failures
    }
}
