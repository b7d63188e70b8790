//! AWS accounts as AWS Organizations shows them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An AWS account id: twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not an account id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an AWS account id: expected twelve digits")]
pub struct InvalidAccountId(pub String);

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidAccountId(text.to_owned()))
        }
    }
}

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account's tags, or why they could not be read.
///
/// The difference matters: policies that filter by tag skip an account whose tags are unreadable,
/// and never treat it as untagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Every tag on the account.
    Known(BTreeMap<String, String>),
    /// Reading them failed, after retries; the text is the AWS error.
    Unreadable(String),
}

/// State of an account in its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountState {
    /// Created, and not usable yet.
    PendingActivation,
    /// In use.
    Active,
    /// Access is cut off.
    Suspended,
    /// Being closed.
    PendingClosure,
    /// Closed: gone within 90 days.
    Closed,
}

impl AccountState {
    /// Whether the account was closed, by its owner or by AWS. Account Factory can't update such an
    /// account. Source: AWS Organizations' API reference, `Account.State`; only `ACTIVE` accounts
    /// can be updated or enrolled.
    pub fn is_closed(self) -> bool {
        match self {
            Self::Suspended | Self::PendingClosure | Self::Closed => true,
            Self::PendingActivation | Self::Active => false,
        }
    }
}

/// As AWS writes it.
impl fmt::Display for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::PendingClosure => "PENDING_CLOSURE",
            Self::Closed => "CLOSED",
        })
    }
}

/// One organizational unit on the way from the root to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationalUnit {
    /// For example `ou-abcd-l3zc8b3h`.
    pub id: String,
    /// For example `Workloads`.
    pub name: String,
}

/// An AWS account without its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's id.
    pub id: AccountId,
    /// The account's name.
    pub name: String,
    /// The root user's email address; empty when unknown.
    pub email: String,
    /// From the top-level OU down to the one that holds the account; empty directly under the root.
    /// Shared, because thousands of accounts are in few OUs.
    pub organizational_units: Arc<[OrganizationalUnit]>,
    /// When the account joined the organization, where known.
    pub joined: Option<Timestamp>,
    /// Its state; `None` if AWS returns none, or an unknown one.
    pub state: Option<AccountState>,
}

impl Account {
    /// Whether it is in use, as far as is known.
    pub fn is_active(&self) -> bool {
        self.state.is_none_or(|state| state == AccountState::Active)
    }

    /// The state of an account that is closed. An account in an unknown state does not count as
    /// closed.
    pub fn closed_state(&self) -> Option<AccountState> {
        self.state.filter(|state| state.is_closed())
    }
}
