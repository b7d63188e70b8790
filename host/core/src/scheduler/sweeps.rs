//! When to sweep.

use std::time::Duration;

use jiff::Timestamp;

use crate::backoff::Backoff;

/// How long to wait after a sweep failed.
const SWEEP_RETRY: Backoff = Backoff::new(Duration::from_secs(15), Duration::from_secs(15 * 60));

/// The sweeps of one host: at most one at a time.
#[derive(Debug)]
pub(super) struct SweepSchedule {
    interval: Duration,
    min_interval: Duration,
    /// When the running sweep was requested.
    running: Option<Timestamp>,
    /// When the last sweep was requested, whether it succeeded or not.
    last_started: Option<Timestamp>,
    /// When the last completed sweep began.
    completed: Option<Timestamp>,
    /// When the next sweep is due.
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

    /// When the next sweep is due; `None` while one runs.
    pub fn due(&self) -> Option<Timestamp> {
        self.running.is_none().then_some(self.due)
    }

    /// Requests a sweep soon: at most one in each `min_interval`.
    pub fn request(&mut self, now: Timestamp) {
        let earliest = self.last_started.map_or(now, |last| (last + self.min_interval).max(now));
        self.due = self.due.min(earliest);
    }

    /// Requests a sweep now. Does nothing during the backoff after failures.
    pub fn request_now(&mut self, now: Timestamp) {
        if self.failures == 0 {
            self.due = self.due.min(now);
        }
    }

    /// Requests a sweep at a moment, or as soon after it as `min_interval` allows.
    pub fn request_at(&mut self, moment: Timestamp) {
        let earliest = self.last_started.map_or(moment, |last| last + self.min_interval);
        self.due = self.due.min(moment.max(earliest));
    }

    /// Whether to begin a sweep now; if so, it counts as running.
    pub fn start_if_due(&mut self, now: Timestamp) -> bool {
        if self.running.is_some() || now < self.due {
            return false;
        }
        self.running = Some(now);
        self.last_started = Some(now);
        // The running sweep may not see an event that arrives while it runs, so only requests from
        // here on count for the next one.
        self.due = now + self.interval;
        true
    }

    /// The running sweep, which began at `started_at`, is complete.
    pub fn complete(&mut self, started_at: Timestamp) {
        self.running = None;
        self.failures = 0;
        self.completed = Some(started_at);
    }

    /// The running sweep was not made, because it has to wait.
    pub fn postpone(&mut self, until: Timestamp) {
        self.running = None;
        self.due = until;
    }

    /// The running sweep has failed. Returns how many have failed in a row.
    pub fn fail(&mut self, now: Timestamp) -> u32 {
        self.running = None;
        self.failures += 1;
        self.due = now + SWEEP_RETRY.after(self.failures);
        self.failures
    }
}
