//! Problems of a config.

use std::fmt;

use crate::text::printable;

/// One problem, with its line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line of the config file, from 1. Lines of the overlay are counted after its last line.
    pub line: usize,
    /// What is wrong, what was expected and what to write instead.
    pub message: String,
}

/// All problems of a config file, in the order of the lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file, as the user named it.
    pub file: String,
    /// The number of lines of the file. Higher line numbers are in the overlay.
    pub lines: usize,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// The environment variable with the overlay of a config.
pub const OVERLAY_VARIABLE: &str = "GROUNDCREW_OVERLAY";

impl Problems {
    /// Sorts the problems and drops repeats.
    pub fn new(file: impl Into<String>, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file: file.into(), lines: usize::MAX, problems }
    }

    /// For a file with this text, and an overlay over it.
    pub fn within(self, text: &str) -> Self {
        Self { lines: text.matches('\n').count() + 1, ..self }
    }
}

impl fmt::Display for Problems {
    /// One line for each: `file:line: message`, which editors and terminals recognise as a link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let message = printable(&problem.message);
            match problem.line.checked_sub(self.lines) {
                None | Some(0) => {
                    write!(f, "{}:{}: {message}", printable(&self.file), problem.line)?;
                }
                Some(line) => write!(f, "{OVERLAY_VARIABLE}:{line}: {message}")?,
            }
        }
        Ok(())
    }
}

/// `; did you mean `x`?` if one of the names is similar enough to the written one.
pub fn suggestion<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, names).map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

/// The most similar of the names, if it is similar enough.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(written, name), name))
        .filter(|(likeness, _)| *likeness > 0.5)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}
