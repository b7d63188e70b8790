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
pub(crate) struct Known<'a> {
    /// The script's package, such as `data.rings`.
    pub(crate) package: &'a str,
    /// What is below `data`.
    pub(crate) data: &'a Shape,
    /// The lanes that a decision may name; `None` when they aren't known.
    pub(crate) lanes: Option<&'a [String]>,
}

/// What is wrong, and where, in the order of the script.
pub(crate) fn faults(module: &Module, known: &Known<'_>) -> Vec<(Span, String)> {
    let input = shape::input();
    let mut faults = paths::faults(module, known, &input);
    faults.extend(decisions::faults(module, known.lanes));
    faults.extend(conflicts::faults(module));
    faults.sort_by_key(|(span, _)| (span.line, span.col));
    faults
}
