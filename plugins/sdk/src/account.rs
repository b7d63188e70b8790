//! Methods of accounts and tags.

use crate::{Account, AccountState, Tag, Tags};

impl Account {
    /// Whether the account is in the OU of that name or id, directly or further down.
    pub fn is_below(&self, organizational_unit: &str) -> bool {
        self.organizational_units
            .iter()
            .any(|unit| unit.name == organizational_unit || unit.id == organizational_unit)
    }
}

impl AccountState {
    /// The state as AWS Organizations writes it, such as `ACTIVE`; `None` where it is not known.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::PendingClosure => "PENDING_CLOSURE",
            Self::Closed => "CLOSED",
        })
    }

    /// Whether the account is closed, by a user or by AWS: it can't be updated or enrolled.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Suspended | Self::PendingClosure | Self::Closed)
    }
}

impl Tags {
    /// The tags, or why they can't be read. Unreadable is not the same as having none:
    /// where tags matter, skip the account.
    ///
    /// # Errors
    /// The AWS error, when they could not be read.
    pub fn known(&self) -> Result<&[Tag], &str> {
        match self {
            Self::Known(tags) => Ok(tags),
            Self::Unreadable(why) => Err(why),
        }
    }

    /// The value of a tag, `None` when the account hasn't got it.
    ///
    /// # Errors
    /// The AWS error, when the tags could not be read.
    pub fn get(&self, key: &str) -> Result<Option<&str>, &str> {
        let tag = self.known()?.iter().find(|tag| tag.key == key);
        Ok(tag.map(|tag| tag.value.as_str()))
    }
}

impl Tag {
    /// A tag.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}
