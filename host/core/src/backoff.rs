//! The waits between retries.

use std::time::Duration;

/// Waits that double up to a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins with `first`; no wait is longer than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The wait after this number of tries, counted from 1; 0 gives the same as 1.
    pub fn after(self, tries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.next.saturating_mul(doubled).min(self.longest)
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = self.next.saturating_mul(2).min(self.longest);
        wait
    }
}

/// It never ends.
impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.wait())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::new(SECOND, 10 * SECOND);
        let seconds: Vec<u64> = backoff.take(6).map(|wait| wait.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }

    #[rstest]
    #[case(0, 1)]
    #[case(1, 1)]
    #[case(4, 8)]
    #[case(5, 10)]
    #[case(u32::MAX, 10)]
    fn the_wait_after_so_many_tries(#[case] tries: u32, #[case] seconds: u64) {
        assert_eq!(Backoff::new(SECOND, 10 * SECOND).after(tries).as_secs(), seconds);
    }

    #[test]
    fn the_first_is_no_longer_than_the_longest() {
        assert_eq!(Backoff::new(9 * SECOND, SECOND).next(), Some(SECOND));
    }
}
