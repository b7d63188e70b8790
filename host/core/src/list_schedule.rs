//! The lower bound that a run is measured against.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// How long a list schedule takes: the jobs in this order, each begun as soon as one of
/// `slots` machines is free, with nothing in between.
pub fn makespan(jobs: impl IntoIterator<Item = Duration>, slots: usize) -> Duration {
    let mut free: BinaryHeap<Reverse<Duration>> =
        std::iter::repeat_n(Reverse(Duration::ZERO), slots.max(1)).collect();
    let mut end = Duration::ZERO;
    for job in jobs {
        let Reverse(start) = free.pop().unwrap_or(Reverse(Duration::ZERO));
        let done = start + job;
        end = end.max(done);
        free.push(Reverse(done));
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[], 4, 0)]
    #[case(&[10, 20, 30], 1, 60)]
    #[case(&[10, 20, 30], 3, 30)]
    #[case(&[10, 20, 30, 5], 2, 40)]
    fn known_schedules(#[case] jobs: &[u64], #[case] slots: usize, #[case] expected: u64) {
        let jobs = jobs.iter().map(|seconds| Duration::from_secs(*seconds));
        assert_eq!(makespan(jobs, slots), Duration::from_secs(expected));
    }

    proptest! {
        /// Graham's bounds: no schedule beats the average load or the longest job, and a
        /// list schedule is never longer than their sum.
        #[test]
        fn between_grahams_bounds(jobs in prop::collection::vec(1u64..2000, 0..60), slots in 1usize..11) {
            let span = makespan(jobs.iter().map(|s| Duration::from_secs(*s)), slots).as_secs_f64();
            let longest = jobs.iter().copied().max().unwrap_or(0) as f64;
            let load = jobs.iter().sum::<u64>() as f64 / slots as f64;
            prop_assert!(span + 1e-9 >= longest.max(load));
            prop_assert!(span <= load + longest + 1e-9);
        }
    }
}
