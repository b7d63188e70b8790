//! `groundcrew policy test --coverage`: lists the lines of scripts that no case reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use groundcrew_plugins::{Coverage, LineCoverage};

use crate::formatting::count;

/// The scripts that the test cases evaluate, by their paths.
#[derive(Default)]
pub struct Scripts(BTreeMap<PathBuf, LineCoverage>);

impl Scripts {
    /// Adds what the cases of one file have reached. Its scripts are named relative to `base`.
    pub fn add(&mut self, base: &Path, coverage: &Coverage) {
        for (name, lines) in coverage.drain() {
            let known = self.0.entry(base.join(name)).or_default();
            known.reached.extend(lines.reached);
            known.missed.extend(lines.missed);
            known.missed = &known.missed - &known.reached;
        }
    }

    /// A line for each script.
    pub fn describe(&self) -> String {
        let line = |(path, lines): (&PathBuf, &LineCoverage)| {
            let (path, reached) = (path.display(), lines.reached.len());
            let all = reached + lines.missed.len();
            let missed = match lines.missed.is_empty() {
                true => String::new(),
                false => format!("; no case reaches {}", ranges(&lines.missed)),
            };
            format!("{path}: {reached} of {} reached{missed}\n", count(all, "line"))
        };
        match self.0.is_empty() {
            true => "No case asks a script: there is no coverage to show.\n".to_owned(),
            false => self.0.iter().map(line).collect(),
        }
    }
}

/// `7, 12-14`
fn ranges(lines: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == line => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    let written = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    written.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[7], "7")]
    #[case(&[7, 12, 13, 14, 16], "7, 12-14, 16")]
    fn lines_in_a_row_are_a_range(#[case] lines: &[u32], #[case] written: &str) {
        assert_eq!(ranges(&lines.iter().copied().collect()), written);
    }
}
