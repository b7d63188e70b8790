//! Patterns of OUs.

use groundcrew_sdk::OrganizationalUnit;

/// A pattern of one or more OUs, by names or by an id.
#[derive(Debug)]
pub(crate) struct OuPattern {
    /// As the user writes it.
    text: String,
    top: OuRoot,
    /// Also matches the OUs below, rather than only the OU itself.
    with_descendants: bool,
}

#[derive(Debug)]
enum OuRoot {
    Id(String),
    /// Names from the top-level OU down.
    Names(Vec<String>),
}

impl OuPattern {
    /// # Errors
    /// Why the text is not a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<&str> = text.split('/').collect();
        let with_descendants = parts.pop_if(|last| *last == "*").is_some();
        if parts.iter().any(|part| part.trim().is_empty()) {
            return Err(format!(
                "{text:?} has an empty part: expected the names of OUs from the top-level OU \
                 down, such as `Workloads/Prod`, or an OU's id"
            ));
        }
        if parts.iter().any(|part| part.contains('*')) {
            return Err(format!(
                "{text:?}: `*` stands alone at the end, as in `Workloads/*`; an OU that has one \
                 in its name is named by its id"
            ));
        }
        let top = match parts.as_slice() {
            [id] if is_id(id) => OuRoot::Id((*id).to_owned()),
            parts if parts.iter().any(|part| is_id(part)) => {
                return Err(format!(
                    "{text:?}: an OU's id stands alone, or before `/*`, and not beside names"
                ));
            }
            names => OuRoot::Names(names.iter().map(|&name| name.to_owned()).collect()),
        };
        Ok(Self { text: text.to_owned(), top, with_descendants })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_by_id(&self) -> bool {
        matches!(self.top, OuRoot::Id(_))
    }

    /// Whether an account below these OUs matches. Names are compared one by one: an OU with the
    /// name `Workloads/Prod` is not `Prod` in `Workloads`.
    pub(crate) fn matches(&self, units: &[OrganizationalUnit]) -> bool {
        let further = match &self.top {
            OuRoot::Id(id) => {
                units.iter().position(|unit| unit.id == *id).map(|at| units.len() - at - 1)
            }
            OuRoot::Names(names) => {
                let named = names.iter().zip(units).all(|(name, unit)| unit.name == *name);
                units.len().checked_sub(names.len()).filter(|_| named)
            }
        };
        further.is_some_and(|further| (further > 0) == self.with_descendants)
    }
}

/// Such as `ou-abcd-l3zc8b3h`.
fn is_id(text: &str) -> bool {
    let is_part = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        lengths.contains(&part.len()) && part.bytes().all(fits)
    };
    let parts = text.strip_prefix("ou-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(root, unit)| is_part(root, 4..=32) && is_part(unit, 8..=32))
}
