//! The numbers of accounts of each kind. All screens and documents use the same names, which
//! docs/plan.md lists. Contains only counts and words.

use serde::Serialize;

use crate::formatting::thousands;

/// Each account is in exactly one of these numbers, apart from `total`. A number that a command
/// can't know is `None` and not shown: for example, a plan doesn't know what was updated.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub total: usize,
    /// Updated by this run, or since a sweep first saw this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<usize>,
    /// Due, and waiting only for its turn or for an operator.
    pub to_update: usize,
    /// Skipped or excluded: a policy or a rule of the config says so.
    pub skipped: usize,
    /// Due, and held by a policy until a moment.
    pub held: usize,
    /// Due, and dead-lettered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<usize>,
    /// On the newest artifact, and not counted as updated.
    pub current: usize,
    /// Without a provisioned product of Account Factory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_enrolled: Option<usize>,
    /// Closed, with a product or without.
    pub closed: usize,
}

impl Totals {
    /// `6: 3 to update, 1 skipped, 0 held, 1 current, 1 without a product`. Closed accounts are
    /// included if there are any.
    pub fn summary(&self) -> String {
        let parts = [
            (self.updated, "updated"),
            (Some(self.to_update), "to update"),
            (Some(self.skipped), "skipped"),
            (Some(self.held), "held"),
            (self.failed, "failed"),
            (Some(self.current), "current"),
            (self.not_enrolled, "without a product"),
            (Some(self.closed).filter(|closed| *closed > 0), "closed"),
        ];
        let parts = parts.into_iter().filter_map(|(number, name)| {
            number.map(|number| format!("{} {name}", thousands(number as u64)))
        });
        format!("{}: {}", thousands(self.total as u64), parts.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_plan(
        Totals { total: 1006, to_update: 1003, skipped: 1, current: 1, not_enrolled: Some(1), ..Totals::default() },
        "1,006: 1,003 to update, 1 skipped, 0 held, 1 current, 1 without a product"
    )]
    #[case::a_simulation(
        Totals { total: 6, updated: Some(3), failed: Some(1), closed: 2, ..Totals::default() },
        "6: 3 updated, 0 to update, 0 skipped, 0 held, 1 failed, 0 current, 2 closed"
    )]
    fn what_is_not_known_is_not_named(#[case] totals: Totals, #[case] expected: &str) {
        assert_eq!(totals.summary(), expected);
    }
}
