//! The lower bound with which the duration of a run is compared.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// How long a list schedule takes: the jobs in this order, each started as soon as one of `slots`
/// machines is free, without gaps.
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

/// One update of a run, in times since the beginning of the run.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Its lane, counted from the first.
    pub lane: usize,
    /// When it was started.
    pub start: Duration,
    /// How long it took.
    pub length: Duration,
    /// The earliest moment at which it was allowed to start: a policy held it until then.
    pub released: Duration,
}

/// The limits of a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// Updates at once.
    pub slots: usize,
    /// Its wait after the lanes before it.
    pub soak: Duration,
}

/// The earliest possible end of these updates. The updates of each lane keep the order in which
/// they were started. An update begins when a slot of its lane is free, when no hold is left, and
/// when the updates of earlier lanes that had really ended before it have ended and soaked. Never
/// later than the end of the last update.
pub fn earliest_end(jobs: &[Job], lanes: &[LaneLimits]) -> Duration {
    let mut jobs: Vec<&Job> = jobs.iter().filter(|job| job.lane < lanes.len()).collect();
    jobs.sort_by_key(|job| job.start);
    let mut free: Vec<BinaryHeap<Reverse<Duration>>> = lanes
        .iter()
        .map(|lane| std::iter::repeat_n(Reverse(Duration::ZERO), lane.slots.max(1)).collect())
        .collect();
    // The running updates: the real end, the lane, and the earliest possible end.
    let mut running: BinaryHeap<Reverse<(Duration, usize, Duration)>> = BinaryHeap::new();
    // For each lane, the real and the earliest possible end of the last update that has ended.
    let mut done: Vec<Option<(Duration, Duration)>> = vec![None; lanes.len()];
    let mut end = Duration::ZERO;
    for job in jobs {
        while let Some(Reverse((ended, lane, could))) = running.peek().copied()
            && ended <= job.start
        {
            running.pop();
            let before = done[lane].map_or(Duration::ZERO, |(_, could)| could);
            done[lane] = Some((ended, before.max(could)));
        }
        let after = done[..job.lane].iter().flatten().map(|(ended, could)| {
            // An update that was allowed to start sooner did not wait for the whole soak.
            *could + lanes[job.lane].soak.min(job.start.saturating_sub(*ended))
        });
        let allowed = after.max().unwrap_or(Duration::ZERO).max(job.released.min(job.start));
        let Reverse(slot) = free[job.lane].pop().unwrap_or(Reverse(Duration::ZERO));
        let could = slot.max(allowed) + job.length;
        free[job.lane].push(Reverse(could));
        running.push(Reverse((job.start + job.length, job.lane, could)));
        end = end.max(could);
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

    fn job(lane: usize, start: u64, length: u64, released: u64) -> Job {
        let [start, length, released] = [start, length, released].map(Duration::from_secs);
        Job { lane, start, length, released }
    }

    #[rstest]
    #[case::nothing(&[], 0)]
    #[case::one_after_the_other(&[job(0, 5, 10, 0), job(1, 20, 10, 0)], 20)]
    #[case::held_from_the_first_lane_on(&[job(0, 110, 10, 100), job(1, 130, 10, 0)], 120)]
    #[case::a_later_lane_that_passed_a_hold(&[job(1, 5, 10, 0), job(0, 110, 10, 100)], 110)]
    #[case::released_later_than_it_began(&[job(0, 50, 10, 100)], 60)]
    #[case::two_slots(&[job(0, 1, 10, 0), job(0, 1, 20, 0), job(0, 15, 10, 0)], 20)]
    fn known_runs(#[case] jobs: &[Job], #[case] expected: u64) {
        let limits = LaneLimits { slots: 2, soak: Duration::ZERO };
        assert_eq!(earliest_end(jobs, &[limits; 2]), Duration::from_secs(expected));
    }

    #[rstest]
    #[case::soaked(100, 120)]
    #[case::less_than_asked_for(15, 35)]
    fn a_lane_soaks(#[case] gap: u64, #[case] expected: u64) {
        let limits = LaneLimits { slots: 1, soak: Duration::from_secs(100) };
        let jobs = [job(0, 5, 10, 0), job(1, 15 + gap, 10, 0)];
        assert_eq!(earliest_end(&jobs, &[limits; 2]), Duration::from_secs(expected));
    }

    /// Updates as a host could start them: lane, pause before the start, length, hold.
    fn ran(slots: usize, steps: &[(usize, u64, u64, u64)]) -> Vec<Job> {
        let mut free = [vec![0; slots], vec![0; slots]];
        let mut now = 0;
        let mut jobs = Vec::new();
        for (lane, pause, length, held) in steps.iter().copied() {
            let slot = free[lane].iter_mut().min().expect("a slot");
            now = now.max(*slot) + pause;
            *slot = now + length;
            jobs.push(job(lane, now, length, held));
        }
        jobs
    }

    proptest! {
        /// No run is faster than the bound, whatever its lanes and holds; and a held update does
        /// not end before its hold does.
        #[test]
        fn a_lower_bound(
            slots in 1usize..4,
            soak in 0u64..50,
            steps in prop::collection::vec((0usize..2, 0u64..40, 1u64..60, 0u64..500), 0..40),
        ) {
            let jobs = ran(slots, &steps);
            let limits = LaneLimits { slots, soak: Duration::from_secs(soak) };
            let bound = earliest_end(&jobs, &[limits; 2]);
            let ended = jobs.iter().map(|job| job.start + job.length).max().unwrap_or_default();
            prop_assert!(bound <= ended, "{bound:?} {ended:?}");
            for job in &jobs {
                prop_assert!(bound >= job.released.min(job.start) + job.length);
            }
        }

        /// Without holds, it is the list schedule of each lane.
        #[test]
        fn without_holds_a_list_schedule(
            slots in 1usize..4,
            steps in prop::collection::vec((0u64..40, 1u64..60), 0..40),
        ) {
            let steps: Vec<_> = steps.into_iter().map(|(pause, length)| (0, pause, length, 0)).collect();
            let jobs = ran(slots, &steps);
            let limits = LaneLimits { slots, soak: Duration::ZERO };
            let schedule = makespan(jobs.iter().map(|job| job.length), slots);
            prop_assert_eq!(earliest_end(&jobs, &[limits]), schedule);
        }

        /// Graham's bounds: no schedule is shorter than the average load or the longest job, and a
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
