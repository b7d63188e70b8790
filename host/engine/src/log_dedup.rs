//! What was logged last about something, so that only what changes is logged again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was said last, by what it was about. Some 100 bytes for each.
#[derive(Debug, Default)]
pub(crate) struct LogDedup(Mutex<HashMap<String, u64>>);

impl LogDedup {
    /// Whether this is not what was said last about it; from now on it is.
    pub(crate) fn is_change(&self, about: String, what: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let digest = hasher.finish();
        self.last_logged().insert(about, digest) != Some(digest)
    }

    /// Nothing holds about it any more: whatever comes next is a change.
    pub(crate) fn forget(&self, about: &str) {
        self.last_logged().remove(about);
    }

    fn last_logged(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        // Every statement leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_said_again() {
        let is_change = LogDedup::default();
        let say = |about: &str, what| is_change.is_change(about.to_owned(), what);
        assert!(say("a", "skip") && say("b", "skip"));
        assert!(!say("a", "skip"));
        assert!(say("a", "hold") && say("a", "skip"));
        is_change.forget("b");
        assert!(say("b", "skip"));
    }
}
