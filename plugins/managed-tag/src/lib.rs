//! Decides by one tag whether an account is updated, and in which lane.
//!
//! Without settings, every account is updated. With a tag, only the accounts with the tag are
//! updated. In priority mode the accounts with the tag go to the first lane and all others to the
//! second. If the mode needs the tags and they can't be read, the account is skipped.

#![deny(missing_docs)]

mod settings;
#[cfg(test)]
mod tests;

use groundcrew_sdk::{
    Candidate, Context, Failure, NamedLanes, Policy, PolicyDecision, Problem, Tag, Tags,
};

pub use settings::Settings;

/// The policy, in one of its three modes.
#[derive(Debug, PartialEq, Eq)]
pub enum ManagedTag {
    /// Every account is updated.
    All,
    /// Accounts with this tag are updated, no others.
    TaggedOnly(Tag),
    /// Every account is updated, those with the tag first.
    Priority {
        /// The tag.
        tag: Tag,
        /// Lane of the accounts with the tag.
        first: String,
        /// Lane of all others.
        second: String,
    },
}

impl Policy for ManagedTag {
    type Settings = Settings;

    fn configure(settings: Settings, context: &Context) -> Result<Self, Vec<Problem>> {
        settings.mode(&context.lanes)
    }

    fn named_lanes(&self) -> NamedLanes {
        NamedLanes::Only(match self {
            Self::All | Self::TaggedOnly(_) => vec![],
            Self::Priority { first, second, .. } => vec![first.clone(), second.clone()],
        })
    }

    fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, Failure> {
        let tags = &candidate.account.tags;
        Ok(match self {
            Self::All => PolicyDecision::proceed(),
            Self::TaggedOnly(tag) => match carries(tags, tag) {
                Some(true) => PolicyDecision::proceed(),
                Some(false) => PolicyDecision::skip("untagged"),
                None => PolicyDecision::skip("tags-unreadable"),
            },
            Self::Priority { tag, first, second } => match carries(tags, tag) {
                Some(true) => PolicyDecision::proceed_in(first),
                Some(false) => PolicyDecision::proceed_in(second),
                None => PolicyDecision::skip("tags-unreadable"),
            },
        })
    }
}

/// Whether the tags contain this one; `None` when they can't be read.
fn carries(tags: &Tags, tag: &Tag) -> Option<bool> {
    let value = tags.get(&tag.key).ok()?;
    Some(value == Some(tag.value.as_str()))
}

groundcrew_sdk::policy!(ManagedTag);
