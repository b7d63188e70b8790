//! A token bucket, with which AWS throttles calls.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A number of calls a second, and a burst on top.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TokenBucket {
    per_second: f64,
    burst: f64,
    #[serde(with = "crate::state_serde::f64_bits")]
    tokens: f64,
    last: Timestamp,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_second: f64, burst: f64, now: Timestamp) -> Self {
        Self { per_second, burst, tokens: burst, last: now }
    }

    /// Whether one more call is allowed now. An allowed call is counted.
    pub(crate) fn admit(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.last).as_secs_f64().max(0.0);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.last = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Timestamp::UNIX_EPOCH;
        let mut throttle = TokenBucket::new(5.0, 8.0, start);
        assert_eq!((0..20).filter(|_| throttle.admit(start)).count(), 8);
        let later = crate::time::saturating_later(start, Duration::from_secs(1));
        assert_eq!((0..20).filter(|_| throttle.admit(later)).count(), 5);
    }
}
