//! The two kinds of plugins.

use std::fmt;

/// What a plugin is for: a world of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Decides whether, when and in which lane something is done.
    Policy,
    /// Notifies another system of an account.
    Notifier,
}

impl World {
    /// The table of the config that contains such plugins.
    pub(crate) fn config_table(self) -> &'static str {
        match self {
            Self::Policy => "[[policies]]",
            Self::Notifier => "[[notifiers]]",
        }
    }

    /// The other world.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Policy => Self::Notifier,
            Self::Notifier => Self::Policy,
        }
    }
}

/// Its name in the contract.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Notifier => "notifier",
        })
    }
}
