//! What can be said of a script without running it: paths that lead nowhere, decisions that are
//! none, lanes that aren't there, and rules that contradict each other. Left to the evaluation, a
//! path that leads nowhere is undefined, and a policy silently says nothing. Where something is
//! computed, nothing is said of it. Looks at the syntax tree only.

mod conflicts;
mod decisions;
mod paths;
mod shape;

use regorus::unstable::{Module, Span};

pub(crate) use shape::Shape;

/// What a script is held against.
pub(crate) struct AnalysisContext<'a> {
    /// The script's package, such as `data.rings`.
    pub(crate) package: &'a str,
    /// What is below `data`.
    pub(crate) data: &'a Shape,
    /// The lanes that a decision may name; `None` when they aren't known.
    pub(crate) lanes: Option<&'a [String]>,
}

/// What is wrong, and where, in the order of the script.
pub(crate) fn diagnostics(module: &Module, known: &AnalysisContext<'_>) -> Vec<(Span, String)> {
    let input = shape::input();
    let mut diagnostics = paths::diagnostics(module, known, &input);
    diagnostics.extend(decisions::diagnostics(module, known.lanes));
    diagnostics.extend(conflicts::diagnostics(module));
    diagnostics.sort_by_key(|(span, _)| (span.line, span.col));
    diagnostics
}
