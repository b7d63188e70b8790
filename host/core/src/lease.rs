//! Leases: a host claims something for a limited time. No other host does it meanwhile, and another
//! host takes over if the first one has died.

use jiff::Timestamp;

/// Whether a lease from `since` until `until`, by the clock of its host, is still active at `now`,
/// by the clock of another host. A lease that begins further in the future than it lasts was taken
/// with a wrong clock, and does not count: otherwise it would be active until that clock's time has
/// come.
pub fn is_lease_active(since: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    let lasts = until.duration_since(since);
    now < until && since.duration_since(now) <= lasts
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::just_taken(100, true)]
    #[case::near_its_end(159, true)]
    #[case::over(160, false)]
    #[case::by_a_clock_that_is_ahead(41, true)]
    #[case::by_a_clock_that_was_wrong(39, false)]
    fn a_lease_of_a_minute(#[case] now: i64, #[case] taken: bool) {
        let at = |second| Timestamp::constant(1_790_000_000 + second, 0);
        assert_eq!(is_lease_active(at(100), at(160), at(now)), taken);
    }
}
