//! The words of DynamoDB's expressions.

/// A word, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, an attribute's name or a function's.
    Name(&'a str),
    /// `#name`, with the sign.
    NamePlaceholder(&'a str),
    /// `:value`, with the sign.
    ValuePlaceholder(&'a str),
    /// A place in a list.
    Digits(&'a str),
    /// `(`, `)`, `[`, `]`, `,`, `.`, a comparator, `+` or `-`.
    Sign(&'a str),
}

/// Splits an expression. The error is the place that begins no word.
pub(crate) fn words<'a>(text: &'a str) -> Result<Vec<Word<'a>>, usize> {
    let mut words = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        if first.is_ascii_whitespace() {
            start += 1;
            continue;
        }
        let rest = &text[start..];
        let run = |from: usize| {
            let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            from + rest[from..].find(|c| !part(c)).unwrap_or(rest.len() - from)
        };
        let (length, token): (usize, fn(&'a str) -> Token<'a>) = match first {
            'a'..='z' | 'A'..='Z' | '_' => (run(1), Token::Name),
            '#' => (run(1), Token::NamePlaceholder),
            ':' => (run(1), Token::ValuePlaceholder),
            '0'..='9' => (run(1), Token::Digits),
            '<' if rest.starts_with("<=") || rest.starts_with("<>") => (2, Token::Sign),
            '>' if rest.starts_with(">=") => (2, Token::Sign),
            '(' | ')' | '[' | ']' | ',' | '.' | '=' | '<' | '>' | '+' | '-' => (1, Token::Sign),
            _ => return Err(start),
        };
        let text = &rest[..length];
        words.push(Word { token: token(text), text, start });
        start += length;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a=:b", &["a", "=", ":b"])]
    #[case(" #a.b[10]<>size( c ) ", &["#a", ".", "b", "[", "10", "]", "<>", "size", "(", "c", ")"])]
    #[case("a<b<=c>d>=e", &["a", "<", "b", "<=", "c", ">", "d", ">=", "e"])]
    #[case("NOT(a)", &["NOT", "(", "a", ")"])]
    #[case("", &[])]
    fn expressions_are_split(#[case] text: &str, #[case] expected: &[&str]) {
        let words: Vec<&str> = words(text).unwrap().iter().map(|word| word.text).collect();
        assert_eq!(words, expected);
    }

    #[rstest]
    #[case("a = 'b'", 4)]
    #[case("a = ä", 4)]
    #[case("a = b; c", 5)]
    fn what_begins_no_word_is_found(#[case] text: &str, #[case] place: usize) {
        assert_eq!(words(text), Err(place));
    }
}
