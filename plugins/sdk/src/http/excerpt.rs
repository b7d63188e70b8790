//! The beginning of an unexpected body, in a form that can be shown to people.

/// Most characters in an excerpt.
const MAX_EXCERPT_CHARS: usize = 300;

/// How many bytes of a body are searched for signs of a web page.
const SNIFF_LENGTH: usize = 1024;

/// The beginning of a text in one line, bounded and printable. Blanks and line breaks become one
/// space, and control characters are left out. Characters that change how their neighbours are
/// shown, such as marks of writing direction, are written as `\u{202e}`.
pub(super) fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    let mut count = 0;
    for (index, word) in text.split_whitespace().enumerate() {
        for c in (index > 0).then_some(' ').into_iter().chain(word.chars()) {
            if count == MAX_EXCERPT_CHARS {
                shown.push('…');
                return shown;
            }
            match c {
                c if c.is_control() => continue,
                '"' | '\'' | '\\' => shown.push(c),
                c => shown.extend(c.escape_debug()),
            }
            count += 1;
        }
    }
    shown
}

/// Whether a body is a web page. Its media type is not reliable: Slack labels its `ok` as HTML,
/// too.
pub(super) fn is_html(body: &[u8]) -> bool {
    let beginning = &body[..body.len().min(SNIFF_LENGTH)];
    let beginning = String::from_utf8_lossy(beginning).to_ascii_lowercase();
    let beginning = beginning.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    beginning.starts_with('<')
        && ["<!doctype html", "<html"].iter().any(|mark| beginning.contains(mark))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_it_is("no_service", "no_service")]
    #[case::one_line("no\r\n  such\tthing \n", "no such thing")]
    #[case::quotes(r#"{"a":"it's \\ 1"}"#, r#"{"a":"it's \\ 1"}"#)]
    #[case::no_bells_or_escapes("\u{1b}[31mred\u{7}", "[31mred")]
    #[case::no_change_of_direction("a\u{202e}b", "a\\u{202e}b")]
    #[case::other_scripts("größer 大", "größer 大")]
    #[case::nothing(" \n", "")]
    fn what_is_shown(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(excerpt(text), expected);
    }

    #[rstest]
    #[case::one_word("ä".repeat(10_000))]
    #[case::many_words("ä ".repeat(10_000))]
    #[case::escapes("\u{202e}".repeat(10_000))]
    fn what_is_long_is_cut(#[case] text: String) {
        let shown = excerpt(&text);
        assert!(
            shown.ends_with('…') && shown.len() < 10 * MAX_EXCERPT_CHARS,
            "{} bytes",
            shown.len()
        );
    }

    #[rstest]
    #[case("<!DOCTYPE html><html><head>", true)]
    #[case("\u{feff}\r\n  <html lang=\"en\">", true)]
    #[case("<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0\">", true)]
    #[case("<!-- a proxy's --><HTML>", true)]
    #[case("ok", false)]
    #[case("", false)]
    #[case("{\"body\":\"<html>\"}", false)]
    #[case("<response><ok/></response>", false)]
    fn web_pages(#[case] body: &str, #[case] is_one: bool) {
        assert_eq!(is_html(body.as_bytes()), is_one);
    }
}
