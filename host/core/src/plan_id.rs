//! The id of a plan, which an operator approves, and the rules of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Identifies a plan: a target version, and the rules by which accounts are updated to it. Another
/// version, another policy or another lane makes another plan. Accounts that join or leave don't:
/// an approval covers all accounts that the rules select.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanId(String);

/// The rules by which accounts are updated. Together with a version they make a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanRules {
    /// All rules. If this differs, the plan is another one.
    pub canonical: String,
    /// The same for people who compare two plans: the name of each rule, and its value. A long
    /// value, such as a script, is a digest.
    pub summary: BTreeMap<String, String>,
}

/// A difference between the rules of two plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleChange<'r> {
    /// The older plan has no such rule.
    Added {
        /// The name of the rule.
        about: &'r str,
        /// Its value.
        is: &'r str,
    },
    /// The newer plan has no such rule.
    Removed {
        /// The name of the rule.
        about: &'r str,
    },
    /// The value is another one.
    Changed {
        /// The name of the rule.
        about: &'r str,
        /// The old value.
        was: &'r str,
        /// The new value.
        is: &'r str,
    },
}

/// The differences between the rules of two plans, given as in [`PlanRules::summary`], ordered by
/// the names of the rules.
pub fn rule_changes<'r>(
    before: &'r BTreeMap<String, String>,
    now: &'r BTreeMap<String, String>,
) -> Vec<RuleChange<'r>> {
    let about: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let change = |about: &'r String| match (before.get(about), now.get(about)) {
        (None, Some(is)) => Some(RuleChange::Added { about, is }),
        (Some(_), None) => Some(RuleChange::Removed { about }),
        (Some(was), Some(is)) if was != is => Some(RuleChange::Changed { about, was, is }),
        _ => None,
    };
    about.into_iter().filter_map(change).collect()
}

/// The beginning of every id.
const PREFIX: &str = "plan-";
/// The number of hexadecimal digits after it.
const DIGITS: usize = 12;

/// A text that is not the id of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a plan: expected one such as `plan-0123456789ab`")]
pub struct InvalidPlanId(String);

impl PlanId {
    /// The plan with this digest, of which the first six bytes are used.
    pub fn from_digest(digest: &[u8]) -> Self {
        let counted = &digest[..digest.len().min(DIGITS / 2)];
        Self(PREFIX.to_owned() + &HEXLOWER.encode(counted))
    }

    /// As a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PlanId {
    type Err = InvalidPlanId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == DIGITS);
        match digits {
            Some(digits) if digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidPlanId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for PlanId {
    type Error = InvalidPlanId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PlanId> for String {
    fn from(id: PlanId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn it_reads_what_it_writes() {
        let id = PlanId::from_digest(&[0xab, 1, 2, 3, 4, 0xff, 9]);
        assert_eq!(id.as_str(), "plan-ab01020304ff");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }

    #[test]
    fn rules_are_compared_by_what_they_are_about() {
        let rules = |rules: &[(&str, &str)]| {
            rules.iter().map(|(about, is)| ((*about).to_owned(), (*is).to_owned())).collect()
        };
        let before = rules(&[("lane a", "4 at once"), ("lane b", "1"), ("policy x", "old")]);
        let now = rules(&[("lane a", "4 at once"), ("lane c", "2"), ("policy x", "new")]);
        assert_eq!(
            rule_changes(&before, &now),
            [
                RuleChange::Removed { about: "lane b" },
                RuleChange::Added { about: "lane c", is: "2" },
                RuleChange::Changed { about: "policy x", was: "old", is: "new" },
            ]
        );
        assert_eq!(rule_changes(&now, &now), []);
    }

    #[rstest]
    #[case("")]
    #[case("plan-")]
    #[case("plan-ab01020304f")]
    #[case("plan-AB01020304FF")]
    #[case("plan-ab01020304ffé")]
    #[case("ab01020304ff")]
    fn other_texts_are_none(#[case] text: &str) {
        let error = text.parse::<PlanId>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{text}` is not the id of a plan")), "{error}");
    }
}
