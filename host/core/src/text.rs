//! Texts from elsewhere, made fit to be shown.

use std::borrow::Cow;

/// The text without characters that would forge a line, steer a terminal or turn the order of
/// what is shown: each is written as its escape.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_steering)
}

/// The same for a text of several lines, which keeps its line breaks.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character != '\n' && is_steering(character))
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_escaped(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown.into()
}

/// Control characters, and those of Unicode that override the direction of a text (UAX #9).
fn is_steering(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable("a\n\u{1b}[31mb\u{9}ä\u{202e}"), "a\\n\\u{1b}[31mb\\tä\\u{202e}");
        assert_eq!(printable_lines("a\n\u{1b}[2Jb\r\n"), "a\n\\u{1b}[2Jb\\r\n");
        assert!(matches!(printable("plain ä"), Cow::Borrowed(_)));
    }
}
