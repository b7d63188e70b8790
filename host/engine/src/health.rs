//! Whether a host does its work, as its events show: for its health checks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::scheduler::SchedulerView;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{EngineEvent, Observer};

/// The ledger is read every `poll_interval`, and the scheduler observes the result. When it
/// observes nothing for so many times `poll_interval`, and for at least [`STUCK_AFTER_AT_LEAST`],
/// the host is stuck.
const STUCK_AFTER_POLLS: u32 = 4;
const STUCK_AFTER_AT_LEAST: Duration = Duration::from_secs(120);

/// A sweep that is late by so many intervals makes the host unready.
const UNREADY_AFTER_INTERVALS: u32 = 2;

/// A heartbeat is written once a minute. When none was written for so long, the ledger does not
/// answer, or refuses the writes: a call that hangs fails only after minutes.
const UNREADY_AFTER_UNWRITTEN: Duration = Duration::from_secs(90);

/// The health of one host. It measures ages with a monotonic clock.
#[derive(Debug)]
pub struct Health {
    poll_interval: Duration,
    sweep_interval: Duration,
    state: Mutex<HealthState>,
}

#[derive(Debug, Default)]
struct HealthState {
    /// How many observations the host has made, and when the last one was.
    observed: Option<(u64, Instant)>,
    /// When the last completed sweep began, and when this observer first saw that.
    swept: Option<(Timestamp, Instant)>,
    /// Why the last write to the ledger failed, if it did.
    unwritten: Option<String>,
    /// When the ledger was written last, or the host began.
    written: Option<Instant>,
}

impl Health {
    /// The health of a host that has not begun, which reads the ledger every `poll_interval` and
    /// sweeps the organization every `sweep_interval`.
    pub fn new(poll_interval: Duration, sweep_interval: Duration) -> Self {
        let state = HealthState { written: Some(Instant::now()), ..HealthState::default() };
        Self { poll_interval, sweep_interval, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, HealthState> {
        // No statement can leave it half-changed, so a poisoned one is valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong if the host observes nothing any more: its loop hangs, or it runs and no call
    /// ends.
    pub fn stuck(&self) -> Option<String> {
        let (_, last) = self.state().observed?;
        let silent = last.elapsed();
        (silent > STUCK_AFTER_AT_LEAST.max(self.poll_interval * STUCK_AFTER_POLLS)).then(|| {
            format!("the host has observed nothing for {} seconds; restart it", silent.as_secs())
        })
    }

    /// What is wrong if the host is stuck, can't write the ledger, or has not swept the organization
    /// lately.
    pub fn unready(&self) -> Option<String> {
        if let Some(error) = self.unwritten() {
            return Some(format!("the ledger can't record what is done: {error}"));
        }
        if let Some(stuck) = self.stuck() {
            return Some(stuck);
        }
        match self.state().swept {
            None => Some("no sweep is complete yet; see the log".to_owned()),
            Some((_, completed)) => {
                let age = completed.elapsed();
                (age > self.sweep_interval * UNREADY_AFTER_INTERVALS).then(|| {
                    format!(
                        "the last completed sweep is {} seconds old; see the log",
                        age.as_secs()
                    )
                })
            }
        }
    }

    /// Why the ledger is not written, if that is the case.
    fn unwritten(&self) -> Option<String> {
        let state = self.state();
        let silent = state.written.map(|written| written.elapsed()).unwrap_or_default();
        let error = || format!("the ledger has not answered for {} seconds", silent.as_secs());
        state.unwritten.clone().or_else(|| (silent > UNREADY_AFTER_UNWRITTEN).then(error))
    }

    fn record_status(&self, view: &SchedulerView) {
        let mut state = self.state();
        let now = Instant::now();
        if state.observed.is_none_or(|(observed, _)| observed != view.observed) {
            state.observed = Some((view.observed, now));
        }
        if state.swept.map(|(swept, _)| swept) != view.swept {
            // A host that restarts its scheduler after its time was set has swept before.
            state.swept = view.swept.map(|swept| (swept, now)).or(state.swept);
        }
    }
}

impl Observer for Health {
    fn observe(&self, _: Timestamp, event: EngineEvent<'_>) {
        match event {
            EngineEvent::Status(view) => self.record_status(view),
            EngineEvent::HeartbeatWritten(failed) => {
                let mut state = self.state();
                state.unwritten = failed.map(ToString::to_string);
                if failed.is_none() {
                    state.written = Some(Instant::now());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::ports::LedgerError;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn health() -> Health {
        Health::new(Duration::from_secs(30), Duration::from_secs(3600))
    }

    /// A round of the loop after so many observations; the last sweep began at `swept`.
    fn round(health: &Health, observed: u64, swept: Option<Timestamp>) {
        let view = SchedulerView { lanes: vec![], blocked: None, swept, observed };
        health.observe(AT, EngineEvent::Status(&view));
    }

    /// A heartbeat was written.
    fn beat(health: &Health) {
        health.observe(AT, EngineEvent::HeartbeatWritten(None));
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Whatever the machine's clock shows meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_loop_that_only_turns_is_stuck() {
        let health = health();
        assert_eq!(health.stuck(), None);
        round(&health, 1, None);
        for _ in 0..4 {
            pass(30).await;
            beat(&health);
            round(&health, 1, None);
        }
        assert_eq!(health.stuck(), None);
        pass(1).await;
        round(&health, 1, None);
        let expected = "the host has observed nothing for 121 seconds; restart it";
        assert_eq!(health.stuck().as_deref(), Some(expected));
        assert_eq!(health.unready().as_deref(), Some(expected));
        round(&health, 2, None);
        assert_eq!(health.stuck(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_ages_with_what_has_passed() {
        let health = health();
        round(&health, 1, None);
        assert_eq!(health.unready().as_deref(), Some("no sweep is complete yet; see the log"));
        // The sweep began by a clock that was two days ahead.
        round(&health, 2, Some(AT + Duration::from_secs(2 * 86_400)));
        assert_eq!(health.unready(), None);
        pass(7201).await;
        beat(&health);
        // The host has restarted its scheduler and has not swept since.
        round(&health, 3, None);
        let expected = "the last completed sweep is 7201 seconds old; see the log";
        assert_eq!(health.unready().as_deref(), Some(expected));
        round(&health, 4, Some(AT));
        assert_eq!(health.unready(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_cannot_be_written_makes_unready() {
        let health = health();
        round(&health, 1, Some(AT));
        let error = LedgerError::Store("no space left on device".into());
        health.observe(AT, EngineEvent::HeartbeatWritten(Some(&error)));
        let expected = "the ledger can't record what is done: ledger: no space left on device";
        assert_eq!(health.unready().as_deref(), Some(expected));
        assert_eq!(health.stuck(), None);
        beat(&health);
        assert_eq!(health.unready(), None);
    }

    /// A call that hangs has failed only after minutes.
    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_does_not_answer_makes_unready() {
        let health = health();
        for observed in 0..4 {
            round(&health, observed, Some(AT));
            assert_eq!(health.unready(), None);
            pass(30).await;
        }
        let expected =
            "the ledger can't record what is done: the ledger has not answered for 120 seconds";
        assert_eq!(health.unready().as_deref(), Some(expected));
        beat(&health);
        assert_eq!(health.unready(), None);
    }
}
