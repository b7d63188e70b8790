//! Makes texts from elsewhere safe to display.

use std::borrow::Cow;

/// The text, with characters escaped that would forge a line, control a terminal or change the
/// direction of the displayed text.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_unprintable)
}

/// The same for a text of several lines, which keeps its line breaks.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character != '\n' && is_unprintable(character))
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
fn is_unprintable(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A file that is not a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextDecodeError {
    /// From this byte on it is not UTF-8.
    #[error(
        "it is not UTF-8 text (byte {0}); expected UTF-8, or UTF-16 that begins with a byte order mark"
    )]
    Utf8(usize),
    /// It begins with UTF-16's byte order mark, and the rest is not UTF-16.
    #[error("it begins like UTF-16, but is cut off or damaged; expected UTF-8 or UTF-16")]
    Utf16,
    /// Every other byte of its beginning is zero.
    #[error("it looks like UTF-16 without a byte order mark; save it as UTF-8")]
    Unmarked,
}

/// The text of a file. Windows' editors begin UTF-8 with a byte order mark, and PowerShell 5's `>`
/// writes UTF-16, little-endian and with a mark. Both are decoded, and the mark is removed.
///
/// # Errors If it is neither.
pub fn decode(bytes: &[u8]) -> Result<String, TextDecodeError> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        let text = String::from_utf16(&units).map_err(|_| TextDecodeError::Utf16)?;
        rest.is_empty().then_some(text).ok_or(TextDecodeError::Utf16)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0, 1..=255, ..] | [1..=255, 0, ..] => Err(TextDecodeError::Unmarked),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let text = std::str::from_utf8(bytes);
            text.map(str::to_owned).map_err(|error| TextDecodeError::Utf8(error.valid_up_to()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// What editors and shells write, and the decoded text.
    #[rstest]
    #[case::utf8("a ä\n".as_bytes(), Ok("a ä\n"))]
    #[case::empty(b"", Ok(""))]
    #[case::marked_utf8(b"\xef\xbb\xbf{}", Ok("{}"))]
    #[case::utf16_of_powershell(b"\xff\xfe{\0}\0\r\0\n\0", Ok("{}\r\n"))]
    #[case::utf16_big_endian(b"\xfe\xff\0{\0}", Ok("{}"))]
    #[case::beyond_16_bits(b"\xff\xfe\x3d\xd8\x00\xde", Ok("\u{1f600}"))]
    #[case::nothing_but_a_mark(b"\xff\xfe", Ok(""))]
    #[case::unmarked(b"{\0}\0", Err(TextDecodeError::Unmarked))]
    #[case::unmarked_big_endian(b"\0{\0}", Err(TextDecodeError::Unmarked))]
    #[case::cut_off(b"\xff\xfe{\0}", Err(TextDecodeError::Utf16))]
    #[case::half_a_pair(b"\xff\xfe\x3d\xd8", Err(TextDecodeError::Utf16))]
    #[case::latin1(b"m\xfcller", Err(TextDecodeError::Utf8(1)))]
    fn files(#[case] bytes: &[u8], #[case] expected: Result<&str, TextDecodeError>) {
        assert_eq!(decode(bytes), expected.map(str::to_owned));
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable("a\n\u{1b}[31mb\u{9}ä\u{202e}"), "a\\n\\u{1b}[31mb\\tä\\u{202e}");
        assert_eq!(printable_lines("a\n\u{1b}[2Jb\r\n"), "a\n\\u{1b}[2Jb\\r\n");
        assert!(matches!(printable("plain ä"), Cow::Borrowed(_)));
    }
}
