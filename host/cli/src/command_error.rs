//! How commands fail, and their messages.

use std::collections::BTreeSet;
use std::path::Path;

use groundcrew_core::aws_error::AwsError;
use groundcrew_core::ports::LedgerError;
use groundcrew_engine::SweepError;

use crate::formatting;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The user has to change a config, a file or an option.
    #[error("{0}")]
    Usage(String),
    /// Something else went wrong.
    #[error("{0}")]
    Other(String),
    /// AWS, or the ledger, returned an error.
    #[error("{0}\n`groundcrew doctor`, with the same --config, shows what is in the way")]
    Aws(String),
    /// Nothing is wrong: a plan has changes, and the exit code reports it.
    #[error("{} to be updated, now or later", formatting::count(*.0, "account"))]
    Changes(usize),
}

impl CommandError {
    /// The same failure, with what succeeded before it.
    pub fn with_context(self, what_worked: &str) -> Self {
        let after = |text: String| format!("{what_worked}: {text}");
        match self {
            Self::Usage(text) => Self::Usage(after(text)),
            Self::Other(text) => Self::Other(after(text)),
            Self::Aws(text) => Self::Aws(after(text)),
            Self::Changes(accounts) => Self::Changes(accounts),
        }
    }

    /// A file that can't be read.
    pub fn unreadable(path: &Path, what: &str, error: impl std::fmt::Display) -> Self {
        let path = path.display();
        Self::Usage(format!("{path}: {what} can't be read: {error}; check its path and its rights"))
    }

    /// A file that can't be written, and the option that names another.
    pub fn unwritable(path: &Path, error: impl std::fmt::Display, option: &str) -> Self {
        let path = path.display();
        Self::Usage(format!("{path}: can't be written: {error}; name another file with {option}"))
    }
}

impl From<AwsError> for CommandError {
    /// The text of a credentials error already says what to do.
    fn from(error: AwsError) -> Self {
        match error.needs_credentials() {
            true => Self::Other(error.to_string()),
            false => Self::Aws(error.to_string()),
        }
    }
}

impl From<LedgerError> for CommandError {
    /// The text of a credentials error already says what to do.
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Credentials(_) => Self::Other(error.to_string()),
            LedgerError::Store(_) | LedgerError::Item { .. } | LedgerError::Busy { .. } => {
                Self::Aws(error.to_string())
            }
        }
    }
}

impl From<SweepError> for CommandError {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Aws(error) => error.into(),
            SweepError::Ledger(error) => error.into(),
        }
    }
}

/// The error for failing policies, whose decisions are not those that they are written for. `None`
/// if no policy fails.
pub fn failing_policies_error<'a>(policies: impl Iterator<Item = &'a str>) -> Option<CommandError> {
    let names: BTreeSet<&str> = policies.collect();
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => None,
        [name] => {
            Some(CommandError::Other(format!("the policy {name} fails: fix what is shown of it")))
        }
        names => Some(CommandError::Other(format!(
            "the policies {} fail: fix what is shown of them",
            names.join(", ")
        ))),
    }
}
