//! The time of a host whose machine's clock may jump: after a bad answer of a time server, by an
//! operator, or when a virtual machine is resumed. It reads the machine's clock and tokio's, which
//! never jumps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The machine's clock is followed as long as it differs by no more than this from the elapsed
/// time: it may be slewed, and leap seconds may be smeared or not.
const MAX_DRIFT: SignedDuration = SignedDuration::from_secs(5);

/// A jump of the machine's clock that has lasted for so long is accepted. A bad answer of a time
/// server is corrected sooner: NTP clients query several servers, and query them again within a
/// minute.
pub const JUMP_ACCEPTED_AFTER: Duration = Duration::from_secs(60);

/// A clock that runs evenly when the machine's clock jumps. It takes over the new time only once
/// the machine's clock has shown it for [`JUMP_ACCEPTED_AFTER`].
pub struct JumpTolerantClock {
    machine: Arc<dyn Clock>,
    state: Mutex<State>,
    adjustments: AtomicU64,
}

struct State {
    /// The time of the machine's clock when it was last followed, and when that was.
    base: (Timestamp, Instant),
    jump: Option<Jump>,
}

/// A jump that is not accepted yet.
#[derive(Clone, Copy)]
struct Jump {
    seen: Instant,
    by: SignedDuration,
}

impl JumpTolerantClock {
    /// A clock that shows what the machine shows now.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let base = (machine.now(), Instant::now());
        Self {
            machine,
            state: Mutex::new(State { base, jump: None }),
            adjustments: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No statement can leave it half-changed, so a poisoned one is valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for JumpTolerantClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state();
        let (shown, instant) = (self.machine.now(), Instant::now());
        let (base, at) = state.base;
        let passed = SignedDuration::try_from(instant - at).unwrap_or(SignedDuration::MAX);
        let passed = base.checked_add(passed).unwrap_or(Timestamp::MAX);
        let by = shown.duration_since(passed);
        if by.abs() <= MAX_DRIFT {
            if state.jump.take().is_some() {
                tracing::info!(shows = %shown, "the machine's clock shows the right time again");
            }
            state.base = (shown, instant);
            return shown;
        }
        match state.jump.filter(|jump| (jump.by - by).abs() <= MAX_DRIFT) {
            None => {
                tracing::warn!(
                    shows = %shown, goes_on_from = %passed,
                    "the machine's clock has jumped by {} seconds; it is followed if it stays so \
                     for {} seconds",
                    by.as_secs(), JUMP_ACCEPTED_AFTER.as_secs()
                );
                state.jump = Some(Jump { seen: instant, by });
                passed
            }
            Some(jump) if instant - jump.seen < JUMP_ACCEPTED_AFTER => passed,
            Some(_) => {
                tracing::warn!(
                    from = %passed, to = %shown,
                    "the host's time is set by {} seconds, after the machine's clock: it reads the \
                     ledger and the organization anew", by.as_secs()
                );
                *state = State { base: (shown, instant), jump: None };
                self.adjustments.fetch_add(1, Ordering::Relaxed);
                shown
            }
        }
    }

    fn adjustments(&self) -> u64 {
        self.adjustments.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BEGIN: Timestamp = Timestamp::constant(1_790_000_000, 0);
    const DAY: i64 = 86_400;

    /// A machine whose clock is off by so many seconds.
    struct Machine {
        began: Instant,
        off: Mutex<i64>,
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            BEGIN + self.began.elapsed() + SignedDuration::from_secs(*self.off.lock().unwrap())
        }
    }

    /// What a clock shows after each step: the first number of seconds passes, and then the
    /// machine's clock is off by the second.
    async fn shown(steps: &[(u64, i64)]) -> (Vec<i64>, u64) {
        let machine = Arc::new(Machine { began: Instant::now(), off: Mutex::new(0) });
        let clock = JumpTolerantClock::new(machine.clone());
        let mut shown = Vec::new();
        for (passes, off) in steps {
            tokio::time::advance(Duration::from_secs(*passes)).await;
            *machine.off.lock().unwrap() = *off;
            shown.push((clock.now() - BEGIN).get_seconds());
        }
        (shown, clock.adjustments())
    }

    #[rstest]
    #[case::right(&[(5, 0), (3600, 0)], &[5, 3605], 0)]
    #[case::slewed(&[(10, 4), (10, 8), (10, 12)], &[14, 28, 42], 0)]
    #[case::ten_seconds_of_two_days(&[(5, 2 * DAY), (10, 0), (5, 0)], &[5, 15, 20], 0)]
    #[case::back(&[(5, -2 * DAY), (10, 0)], &[5, 15], 0)]
    #[case::for_good(&[(5, DAY), (30, DAY), (30, DAY)], &[5, 35, 65 + DAY], 1)]
    #[case::back_for_good(&[(100, -50), (60, -50), (1, -50)], &[100, 110, 111], 1)]
    #[case::another_jump_begins_anew(&[(5, DAY), (50, -DAY), (50, -DAY), (10, -DAY)], &[5, 55, 105, 115 - DAY], 1)]
    #[tokio::test(start_paused = true)]
    async fn a_jump_counts_once_it_has_lasted(
        #[case] steps: &[(u64, i64)],
        #[case] expected: &[i64],
        #[case] adjustments: u64,
    ) {
        assert_eq!(shown(steps).await, (expected.to_vec(), adjustments));
    }
}
