//! Static analysis of a script: paths that don't exist, invalid decisions, unknown lanes, and rules
//! that contradict each other. In an evaluation a path that doesn't exist is undefined, and the
//! policy silently abstains. Computed values are not checked. The analysis uses only the syntax
//! tree.

mod conflicts;
mod decisions;
mod paths;
mod shape;

use regorus::unstable::{Module, Span};

pub(crate) use shape::Shape;

/// The facts that a script is checked against.
pub(crate) struct AnalysisContext<'a> {
    /// The script's package, such as `data.rings`.
    pub(crate) package: &'a str,
    /// The shape of the values below `data`.
    pub(crate) data: &'a Shape,
    /// The lanes that a decision may name; `None` when they are unknown.
    pub(crate) lanes: Option<&'a [String]>,
}

/// The problems with their places, in the order of the script.
pub(crate) fn diagnostics(module: &Module, known: &AnalysisContext<'_>) -> Vec<(Span, String)> {
    let input = shape::input();
    let mut diagnostics = paths::diagnostics(module, known, &input);
    diagnostics.extend(decisions::diagnostics(module, known.lanes));
    diagnostics.extend(conflicts::diagnostics(module));
    diagnostics.sort_by_key(|(span, _)| (span.line, span.col));
    diagnostics
}
