//! The error messages of regorus in one line.

/// Longest value that a message shows, in characters.
const MAX_VALUE: usize = 200;

/// An error as `FILE:LINE:COLUMN: what is wrong`, or with the text `otherwise` if regorus has no
/// position. regorus shows the line of the script below the position:
///
/// ```text
///
/// --> ring-rollout.rego:3:13
///   |
/// 3 | decision := if {
///   |             ^
/// error: unexpected keyword `if`
/// ```
pub(crate) fn one_line(otherwise: &str, error: &str) -> String {
    let position = split_position(error).map_or(otherwise, |(position, _)| position);
    format!("{position}: {}", without_position(error))
}

/// An error without its position.
pub(crate) fn without_position(error: &str) -> String {
    let what = split_position(error).map_or(error, |(_, rest)| {
        let what = rest.split_once("\nerror: ").map_or(rest, |(_, what)| what);
        // Rules that depend on each other are shown one below the other.
        what.split_once("\n-->").map_or(what, |(what, _)| what).trim_end_matches(':')
    });
    let what = shorten(what);
    // Caused by a variable of `some` with the name of a rule, which it shadows by OPA's rules.
    match what.ends_with("used before definition below") {
        true => format!("{what}; if a rule has this name as well, name the variable otherwise"),
        false => what,
    }
}

/// The position, and the text after it.
fn split_position(error: &str) -> Option<(&str, &str)> {
    error.strip_prefix("\n--> ")?.split_once('\n')
}

/// A text in one line, of a bounded length.
pub(crate) fn shorten(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MAX_VALUE) {
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_hides_a_rule() {
        let error = "\n--> a.rego:6:10\n  |\n6 |  some unit in xs\n  |       ^\nerror: var `unit` used \
                     before definition below";
        let expected = "a.rego:6:10: var `unit` used before definition below; if a rule has this name \
                        as well, name the variable otherwise";
        assert_eq!(one_line("a.rego", error), expected);
    }
}
