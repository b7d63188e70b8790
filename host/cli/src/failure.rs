//! How commands fail, and what is said then.

use std::collections::BTreeSet;
use std::path::Path;

use groundcrew_core::credentials::{GET_NEW_ONES, GIVE_SOME};

use crate::wording;

/// How a command ended, when it didn't work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user has to change a config, a file or an option.
    #[error("{0}")]
    Usage(String),
    /// Something else went wrong.
    #[error("{0}")]
    Other(String),
    /// AWS, or the ledger, does not do what is asked of it.
    #[error("{0}\n`groundcrew doctor`, with the same --config, shows what is in the way")]
    Aws(String),
    /// Nothing is wrong: a plan has changes, and its exit code is to tell.
    #[error("{} to be updated, now or later", wording::count(*.0, "account"))]
    Changes(usize),
}

impl Failure {
    /// What AWS or the ledger answers instead.
    pub fn of_aws(error: impl std::fmt::Display) -> Self {
        let error = error.to_string();
        // It says what to do already.
        match error.contains(GIVE_SOME) || error.contains(GET_NEW_ONES) {
            true => Self::Other(error),
            false => Self::Aws(error),
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

/// That policies fail: what they decide is not what they are written for. `None` where none does.
pub fn failing<'a>(policies: impl Iterator<Item = &'a str>) -> Option<Failure> {
    let names: BTreeSet<&str> = policies.collect();
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => None,
        [name] => {
            Some(Failure::Other(format!("the policy {name} fails: mend what is shown of it")))
        }
        names => Some(Failure::Other(format!(
            "the policies {} fail: mend what is shown of them",
            names.join(", ")
        ))),
    }
}
