//! Remembers the last log line about each thing, so that only a change is logged again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A hash of the last line about each thing. Some 100 bytes for each.
#[derive(Debug, Default)]
pub(crate) struct LogDedup(Mutex<HashMap<String, u64>>);

impl LogDedup {
    /// Whether `what` differs from the last line about it. Remembers it as the last line.
    pub(crate) fn is_change(&self, about: String, what: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let digest = hasher.finish();
        self.last_logged().insert(about, digest) != Some(digest)
    }

    /// Forgets the last line about it: the next line is a change.
    pub(crate) fn forget(&self, about: &str) {
        self.last_logged().remove(about);
    }

    fn last_logged(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        // No statement can leave it half-changed, so a poisoned one is valid.
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
