//! Removes secrets from the responses of other systems.
//!
//! A system may repeat what it received: the URL in a redirect's `Location`, in the text of an
//! error, in a log line of JSON. It may have percent-encoded or decoded it, escaped it for JSON or
//! HTML, changed its case, or cut it off. So texts are compared in a normalized form, and parts of
//! a secret are removed as well as the whole.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Secret;
use data_encoding::HEXLOWER;

/// This many consecutive bytes of a secret are removed, wherever they occur. Shorter parts may be
/// words of any text.
const MIN_MATCH: usize = 12;

/// A secret shorter than this is not removed: it would be found in every text.
const MIN_SECRET: usize = 6;

/// The number of nested escapes that are decoded.
const MAX_ESCAPE_LAYERS: usize = 3;

/// Removes secrets from texts.
#[derive(Default)]
pub struct Redactor {
    /// The replacement of each secret.
    replacements: Vec<String>,
    /// By length: parts in normalized form, and the index of their secret.
    parts: HashMap<usize, HashMap<Vec<u8>, usize>>,
}

impl Redactor {
    /// Adds a secret to remove; `replacement` is put in its place.
    pub fn add(&mut self, replacement: &str, secret: &Secret) {
        let secret = secret.expose().as_bytes();
        if secret.len() < MIN_SECRET {
            return;
        }
        let index = self.replacements.len();
        self.replacements.push(replacement.to_owned());
        for form in std::iter::once(secret.to_vec())
            .chain(base64(secret))
            .chain([HEXLOWER.encode(secret).into_bytes()])
        {
            let plain: Vec<u8> = plain(&form).into_iter().map(|place| place.byte).collect();
            let length = plain.len().min(MIN_MATCH);
            let parts = self.parts.entry(length).or_default();
            for part in plain.windows(length.max(1)) {
                parts.entry(part.to_vec()).or_insert(index);
            }
        }
    }

    /// The bytes without secrets.
    pub fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.parts.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let plain = plain(bytes);
        let text: Vec<u8> = plain.iter().map(|place| place.byte).collect();
        let mut marks: Vec<Option<usize>> = vec![None; text.len()];
        for (length, parts) in &self.parts {
            for (at, part) in text.windows(*length).enumerate() {
                if let Some(&index) = parts.get(part) {
                    marks[at..at + length].fill(Some(index));
                }
            }
        }
        let mut redacted = Vec::with_capacity(bytes.len());
        // The bytes before this are already copied.
        let mut done = 0;
        let mut before = None;
        for (place, mark) in plain.iter().zip(&marks) {
            if let Some(index) = mark {
                if before != Some(*index) {
                    redacted.extend_from_slice(bytes.get(done..place.start).unwrap_or_default());
                    redacted.extend_from_slice(self.replacements[*index].as_bytes());
                }
                done = place.end;
            }
            before = *mark;
        }
        if done == 0 {
            return Cow::Borrowed(bytes);
        }
        redacted.extend_from_slice(bytes.get(done..).unwrap_or_default());
        Cow::Owned(redacted)
    }
}

/// A byte of a text in normalized form, and the bytes of the text that it comes from.
#[derive(Clone, Copy)]
struct PlainByte {
    byte: u8,
    start: usize,
    end: usize,
}

/// A text without escapes, in lower case, and with only the visible ASCII characters. A secret in a
/// URL or a header field has no others. A system that shows the text may add others: the zeros of
/// UTF-16, control characters, blanks and line breaks.
fn plain(bytes: &[u8]) -> Vec<PlainByte> {
    let place = |(start, &byte): (usize, &u8)| PlainByte { byte, start, end: start + 1 };
    let mut text: Vec<PlainByte> = bytes.iter().enumerate().map(place).collect();
    text.retain(is_visible);
    for _ in 0..MAX_ESCAPE_LAYERS {
        let mut shorter = unescaped(&text);
        shorter.retain(is_visible);
        if shorter.len() == text.len() {
            break;
        }
        text = shorter;
    }
    for place in &mut text {
        place.byte.make_ascii_lowercase();
    }
    text
}

/// Whether a byte is compared. Forms encode a space as `+`.
fn is_visible(place: &PlainByte) -> bool {
    place.byte.is_ascii_graphic() && place.byte != b'+'
}

/// Decodes one layer of escapes.
fn unescaped(text: &[PlainByte]) -> Vec<PlainByte> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, ..] = rest {
        let (byte, length) = escape(rest).unwrap_or((first.byte, 1));
        let last = rest.get(length - 1).unwrap_or(first);
        plain.push(PlainByte { byte, start: first.start, end: last.end });
        rest = rest.get(length..).unwrap_or_default();
    }
    plain
}

/// The ASCII character of an escape at the beginning of a text, and the escape's length: for URLs,
/// JSON, JavaScript and HTML.
fn escape(text: &[PlainByte]) -> Option<(u8, usize)> {
    let at = |index: usize| text.get(index).map(|place| place.byte);
    let number = |from: usize, digits: usize, radix: u32| {
        (from..from + digits).try_fold(0_u32, |number, index| {
            let digit = char::from(at(index)?).to_digit(radix)?;
            number.checked_mul(radix)?.checked_add(digit)
        })
    };
    let ascii = |number: u32| u8::try_from(number).ok();
    match (at(0)?, at(1)?) {
        (b'%', _) => Some((ascii(number(1, 2, 16)?)?, 3)),
        (b'\\', b'u') => Some((ascii(number(2, 4, 16)?)?, 6)),
        (b'\\', b'x') => Some((ascii(number(2, 2, 16)?)?, 4)),
        (b'\\', escaped @ (b'/' | b'\\' | b'"' | b'\'')) => Some((escaped, 2)),
        // Line breaks and similar characters, which are not compared.
        (b'\\', b'b' | b'f' | b'n' | b'r' | b't') => Some((b'\n', 2)),
        (b'&', b'#') => {
            let (from, radix) = match at(2)? {
                b'x' | b'X' => (3, 16),
                _ => (2, 10),
            };
            let digits = (1..=7).find(|&digits| at(from + digits) == Some(b';'))?;
            Some((ascii(number(from, digits, radix)?)?, from + digits + 1))
        }
        (b'&', _) => {
            let named: [(&[u8], u8); 9] = [
                (b"&amp;", b'&'),
                (b"&lt;", b'<'),
                (b"&gt;", b'>'),
                (b"&quot;", b'"'),
                (b"&apos;", b'\''),
                (b"&sol;", b'/'),
                (b"&equals;", b'='),
                (b"&quest;", b'?'),
                (b"&percnt;", b'%'),
            ];
            let is_here = |name: &[u8]| (0..name.len()).all(|index| at(index) == Some(name[index]));
            let found = named.iter().find(|(name, _)| is_here(name));
            found.map(|(name, byte)| (*byte, name.len()))
        }
        _ => None,
    }
}

/// The secret as part of a longer text in base64, at every alignment, in both alphabets. The
/// characters that depend on its neighbours are left out.
fn base64(secret: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let alphabet = |last: [u8; 2]| -> Vec<u8> {
        (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last).collect()
    };
    [[b'+', b'/'], [b'-', b'_']].into_iter().flat_map(move |last| {
        let alphabet = alphabet(last);
        (0..3_usize).map(move |before| {
            let bytes: Vec<u8> =
                std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
            let sextet = |index: usize| {
                let bit = index * 6;
                let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or_default());
                let pair = byte(bit / 8) << 8 | byte(bit / 8 + 1);
                usize::from(pair >> (10 - bit % 8) & 63)
            };
            let begin = (before * 8).div_ceil(6);
            (begin..bytes.len() * 8 / 6).map(|index| alphabet[sextet(index)]).collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const SLACK: &str = "T012AB3C4/B056DE7F8/aBcDeFgHiJkLmNoPqRsTuVwX";
    const TEAMS: &str = "0a1b2c3d/triggers/invoke?sp=%2Ftriggers%2Frun&sig=Zx-9_Wv%2B8kQ";

    fn redact(secret: &str, text: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.add("$(s)", &Secret::new(secret));
        String::from_utf8(redactor.redact(text.as_bytes()).into_owned()).unwrap()
    }

    /// Forms in which systems repeat a URL.
    #[rstest]
    #[case::as_it_is(
        SLACK,
        "at /services/T012AB3C4/B056DE7F8/aBcDeFgHiJkLmNoPqRsTuVwX!",
        "at /services/$(s)!"
    )]
    #[case::twice("hunter2", "hunter2 and hunter2", "$(s) and $(s)")]
    #[case::short("hunter2", "a=hunter2&b", "a=$(s)&b")]
    #[case::encoded(
        SLACK,
        "u=%2FT012AB3C4%2fB056DE7F8%2FaBcDeFgHiJkLmNoPqRsTuVwX&x",
        "u=%2F$(s)&x"
    )]
    #[case::encoded_twice(SLACK, "T012AB3C4%252FB056DE7F8%252FaBcDeFgHiJkLmNoPqRsTuVwX", "$(s)")]
    #[case::every_byte_encoded("hunter2", "=%68%75%6E%74%65%72%32;", "=$(s);")]
    #[case::json(
        SLACK,
        r#"{"u":"\/T012AB3C4\/B056DE7F8\/aBcDeFgHiJkLmNoPqRsTuVwX"}"#,
        r#"{"u":"\/$(s)"}"#
    )]
    #[case::json_by_code(SLACK, r"T012AB3C4\u002fB056DE7F8\u002FaBcDeFgHiJkLmNoPqRsTuVwX", "$(s)")]
    #[case::html(
        TEAMS,
        "0a1b2c3d/triggers/invoke?sp=%2Ftriggers%2Frun&amp;sig=Zx-9_Wv%2B8kQ.",
        "$(s)."
    )]
    #[case::html_by_code(SLACK, "T012AB3C4&#x2F;B056DE7F8&#47;aBcDeFgHiJkLmNoPqRsTuVwX", "$(s)")]
    #[case::decoded(TEAMS, "0a1b2c3d/triggers/invoke?sp=/triggers/run&sig=Zx-9_Wv+8kQ", "$(s)")]
    #[case::lower_case(SLACK, "t012ab3c4/b056de7f8/abcdefghijklmnopqrstuvwx", "$(s)")]
    #[case::upper_case("hunter2", "HUNTER2", "$(s)")]
    #[case::cut_off(SLACK, "no route /services/T012AB3C4/B056…", "no route /services/$(s)…")]
    #[case::its_end(SLACK, "token aBcDeFgHiJkLmNoPqRsTuVwX", "token $(s)")]
    #[case::its_middle(SLACK, "…B056DE7F8/aBcDeF…", "…$(s)…")]
    #[case::in_parts(
        SLACK,
        r#"["B056DE7F8","aBcDeFgHiJkLmNoPqRsTuVwX"]"#,
        r#"["B056DE7F8","$(s)"]"#
    )]
    #[case::utf_16(
        "hunter2",
        "\u{0}h\u{0}u\u{0}n\u{0}t\u{0}e\u{0}r\u{0}2\u{0}.",
        "\u{0}$(s)\u{0}."
    )]
    #[case::control_characters(
        SLACK,
        "T0\u{1}12AB3C4/B0\u{7f}56DE7F8/aBcDeFgHiJkLmNoPqRsTuVwX!",
        "$(s)!"
    )]
    #[case::broken_lines(SLACK, "T012AB3C\n4/B056DE7\r\n F8/aBcDeFgH\n iJkLmNoPq\nRsTuVwX", "$(s)")]
    #[case::broken_lines_of_json(
        SLACK,
        r"T012AB3C\n4/B056DE7\r\nF8/aBcDeFgH\tiJkLmNoPq\nRsTuVwX",
        "$(s)"
    )]
    #[case::between_tabs("hunter2", "h\tu\tn\tt\te\tr\t2", "$(s)")]
    #[case::other_blanks("hunter2", "hun\u{a0}ter\u{200b}2", "$(s)")]
    #[case::none_of_it(SLACK, "T012AB3C4 has no such hook", "T012AB3C4 has no such hook")]
    #[case::escapes_stay("hunter2", "50%25 of %zz \\u12", "50%25 of %zz \\u12")]
    fn appearances(#[case] secret: &str, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact(secret, text), expected);
    }

    /// `printf 'https://hooks.slack.com/services/…' | base64 -w0`, cut by none, one and two bytes.
    #[rstest]
    #[case("aHR0cHM6Ly9hL1QwMTJBQjNDNC9CMDU2REU3RjgvYUJjRGVGZ0hpSmtMbU5vUHFSc1R1VndY")]
    #[case("dHRwczovL2EvVDAxMkFCM0M0L0IwNTZERTdGOC9hQmNEZUZnSGlKa0xtTm9QcVJzVHVWd1g=")]
    #[case("dHBzOi8vYS9UMDEyQUIzQzQvQjA1NkRFN0Y4L2FCY0RlRmdIaUprTG1Ob1BxUnNUdVZ3WA==")]
    fn in_base64(#[case] text: &str) {
        let redacted = redact(SLACK, text);
        assert!(redacted.contains("$(s)"), "{redacted}");
        assert!(redacted.len() < text.len() - 50, "{redacted}");
    }

    #[test]
    fn what_is_too_short_to_be_looked_for() {
        assert_eq!(redact("true", "it is true"), "it is true");
        assert_eq!(redact("", "it is"), "it is");
    }

    #[test]
    fn each_secret_has_its_own_name() {
        let mut redactor = Redactor::default();
        redactor.add("$(a)", &Secret::new("secret-one"));
        redactor.add("$(b)", &Secret::new("other-secret"));
        let redacted = redactor.redact(b"secret-one,secret-oneother-secret");
        assert_eq!(redacted, &b"$(a),$(a)$(b)"[..]);
        assert_eq!(Redactor::default().redact(b"secret-one"), &b"secret-one"[..]);
    }

    proptest! {
        /// However a secret is encoded, it can't be decoded from the rest, and the text around it
        /// stays.
        #[test]
        fn nothing_is_left(
            secret in "[A-Za-z0-9/_-]{12,40}",
            encoded in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let written: String = secret.chars().zip(&encoded).map(|(character, encode)| match encode {
                true => format!("%{:02X}", u32::from(character)),
                false => character.to_string(),
            }).collect();
            prop_assert_eq!(redact(&secret, &format!("<!{written}!>")), "<!$(s)!>");
        }

        #[test]
        fn other_bytes_stay(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut redactor = Redactor::default();
            redactor.add("$(s)", &Secret::new(SLACK));
            let redacted = redactor.redact(&bytes);
            prop_assert_eq!(redacted.as_ref(), &bytes[..]);
        }
    }
}
