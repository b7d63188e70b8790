//! What regorus says, in one line.

/// Longest value that a message shows, in characters.
const MAX_VALUE: usize = 200;

/// An error as `FILE:LINE:COLUMN: what is wrong`. regorus draws the line of the script below
/// the position:
///
/// ```text
///
/// --> ring-rollout.rego:3:13
///   |
/// 3 | decision := if {
///   |             ^
/// error: unexpected keyword `if`
/// ```
pub(crate) fn one_line(file: &str, error: &str) -> String {
    let Some((position, rest)) = error.strip_prefix("\n--> ").and_then(|e| e.split_once('\n'))
    else {
        return format!("{file}: {}", shown(error));
    };
    let what = rest.split_once("\nerror: ").map_or(rest, |(_, what)| what);
    // Rules that depend on each other are drawn one below the other.
    let what = what.split_once("\n-->").map_or(what, |(what, _)| what);
    format!("{position}: {}", shown(what.trim_end_matches(':')))
}

/// A text in one line, of a bounded length.
pub(crate) fn shown(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MAX_VALUE) {
        words.truncate(end);
        words.push('…');
    }
    words
}
