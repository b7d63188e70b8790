//! How many accounts there are of each kind: the same names on every screen and in every document,
//! as docs/plan.md lists them. Counts and words alone.

use serde::Serialize;

use crate::formatting::thousands;

/// Each account is in exactly one of these but `total`. What a command can't know, such as what a
/// plan has updated, is `None` and not shown.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub total: usize,
    /// Updated by this run, or since a sweep first saw this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<usize>,
    /// Due, and nothing holds it but its turn or an operator.
    pub to_update: usize,
    /// Left alone: a policy or a rule of the config says so.
    pub skipped: usize,
    /// Due, and not before a moment that a policy named.
    pub held: usize,
    /// Due, and given up: in the dead-letter queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<usize>,
    /// On the newest artifact, and not among the updated.
    pub current: usize,
    /// Without a provisioned product of Account Factory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_enrolled: Option<usize>,
    /// Closed, with a product or without.
    pub closed: usize,
}

impl Totals {
    /// `6: 3 to update, 1 skipped, 0 held, 1 current, 1 without a product`. Closed accounts are
    /// named where there are any.
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
