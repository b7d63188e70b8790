//! Which lines of policy scripts evaluations have reached. The interpreter writes them to its log.
//! Such lines are collected here and not logged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// How the interpreter begins a log line about the lines that it has reached.
const COVERAGE_PREFIX: &str = "coverage ";

/// Which lines of which scripts all evaluations of a runtime have reached.
#[derive(Debug, Default)]
pub struct Coverage(Mutex<BTreeMap<String, LineCoverage>>);

/// The lines of a script that can be evaluated, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCoverage {
    /// Evaluated at least once.
    pub reached: BTreeSet<u32>,
    /// Never evaluated.
    pub missed: BTreeSet<u32>,
}

/// The data of a coverage line.
#[derive(Deserialize)]
struct CoverageReport {
    file: String,
    reached: BTreeSet<u32>,
    missed: BTreeSet<u32>,
}

impl Coverage {
    /// Returns the scripts by the names that messages use, and starts anew.
    pub fn drain(&self) -> BTreeMap<String, LineCoverage> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Consumes a log line about coverage; answers `false` for any other line, which is to be
    /// logged.
    pub(crate) fn consume(&self, message: &str) -> bool {
        let report = message
            .strip_prefix(COVERAGE_PREFIX)
            .and_then(|report| serde_json::from_str(report).ok());
        let Some(CoverageReport { file, reached, missed }) = report else { return false };
        let mut scripts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = scripts.entry(file).or_default();
        lines.reached.extend(reached);
        lines.missed.extend(missed);
        lines.missed = &lines.missed - &lines.reached;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_missed_when_no_evaluation_reaches_it() {
        let coverage = Coverage::default();
        assert!(coverage.consume(r#"coverage {"file":"a.rego","reached":[1,2],"missed":[4,5]}"#));
        assert!(coverage.consume(r#"coverage {"file":"a.rego","reached":[1,4],"missed":[2,5]}"#));
        assert!(!coverage.consume("coverage is what the user's script prints about"));
        let lines = LineCoverage { reached: [1, 2, 4].into(), missed: [5].into() };
        assert_eq!(coverage.drain(), [("a.rego".to_owned(), lines)].into());
        assert_eq!(coverage.drain(), [].into());
    }
}
