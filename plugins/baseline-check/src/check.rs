//! The checks.

use groundcrew_sdk::{Account, OrganizationalUnit, log};
use regex_lite::Regex;

use crate::finding::{Finding, any_of, one_line, quoted};
use crate::ou_pattern::OuPattern;
use crate::settings::FindingAction;

/// All checks of one config.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) tags: Vec<RequiredTag>,
    pub(crate) ou: Option<ExpectedOu>,
    pub(crate) name: Option<Pattern>,
    pub(crate) email: Option<Pattern>,
    /// The action if something can't be read.
    pub(crate) on_unreadable: FindingAction,
}

/// A tag that every account has.
#[derive(Debug)]
pub(crate) struct RequiredTag {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) action: FindingAction,
}

/// The condition for a tag's value.
#[derive(Debug)]
pub(crate) enum Value {
    Any,
    OneOf(Vec<String>),
    Match(Regex),
}

/// The OUs that are allowed.
#[derive(Debug)]
pub(crate) struct ExpectedOu {
    pub(crate) ou_patterns: Vec<OuPattern>,
    pub(crate) action: FindingAction,
}

/// The condition for a name or an address.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    pub(crate) action: FindingAction,
}

impl Checks {
    /// The findings, in a fixed order.
    pub(crate) fn findings(&self, account: &Account) -> Vec<Finding> {
        let mut findings = Vec::new();
        let unreadable = |text: &str| Finding::new(self.on_unreadable, text.to_owned());
        match account.tags.known() {
            Ok(_) => findings.extend(self.tags.iter().filter_map(|tag| tag.finding(account))),
            Err(_) if self.tags.is_empty() => {}
            Err(why) => {
                // AWS's errors differ from one try to the next.
                log::warn(&format!("the account's tags can't be read: {}", one_line(why)));
                findings.push(unreadable("tags can't be read"));
            }
        }
        // Every account has an address: without one, only the data of the event is known.
        let looked_up = !account.email.is_empty();
        let mut unknown = false;
        if let Some(ou) = &self.ou {
            let units = &account.organizational_units;
            match looked_up {
                true => findings.extend(ou.finding(units)),
                false => unknown |= !ou.matches_parent_only(units),
            }
        }
        for (what, value, pattern) in
            [("name", &account.name, &self.name), ("email", &account.email, &self.email)]
        {
            match pattern {
                Some(_) if value.is_empty() && !looked_up => unknown = true,
                Some(pattern) => findings.extend(pattern.finding(what, value)),
                None => {}
            }
        }
        if unknown {
            findings.push(unreadable("the account can't be looked up"));
        }
        findings
    }
}

impl RequiredTag {
    fn finding(&self, account: &Account) -> Option<Finding> {
        let key = quoted(&self.key);
        let text = match account.tags.get(&self.key).ok()? {
            None => format!("tag {key} is missing"),
            Some(value) if value.trim().is_empty() => format!("tag {key} is empty"),
            Some(value) => match &self.value {
                Value::OneOf(allowed) if !allowed.iter().any(|one| one == value) => {
                    let allowed = any_of(allowed.iter().map(String::as_str));
                    format!("tag {key} is {}, expected {allowed}", quoted(value))
                }
                Value::Match(regex) if !regex.is_match(value) => {
                    unmatched(&format!("tag {key}"), value, regex)
                }
                Value::Any | Value::OneOf(_) | Value::Match(_) => return None,
            },
        };
        Some(Finding::new(self.action, text))
    }
}

impl ExpectedOu {
    fn finding(&self, units: &[OrganizationalUnit]) -> Option<Finding> {
        if self.ou_patterns.iter().any(|place| place.matches(units)) {
            return None;
        }
        let path = units.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>().join("/");
        let found = if units.is_empty() { "the root".to_owned() } else { quoted(&path) };
        let expected = any_of(self.ou_patterns.iter().map(OuPattern::as_str));
        Some(Finding::new(self.action, format!("OU is {found}, expected {expected}")))
    }

    /// Whether the account is in an allowed OU, if only its direct parent is known.
    fn matches_parent_only(&self, units: &[OrganizationalUnit]) -> bool {
        self.ou_patterns.iter().any(|place| place.is_by_id() && place.matches(units))
    }
}

impl Pattern {
    fn finding(&self, what: &str, value: &str) -> Option<Finding> {
        let Self { regex, action } = self;
        (!regex.is_match(value)).then(|| Finding::new(*action, unmatched(what, value, regex)))
    }
}

fn unmatched(what: &str, value: &str, regex: &Regex) -> String {
    format!("{what} is {}, expected a match of {}", quoted(value), quoted(regex.as_str()))
}
