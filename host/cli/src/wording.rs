//! How numbers and spans of time are written for people.

use std::io::Write as _;
use std::time::Duration;

/// Writes to stdout. Whoever reads it may close it early, as `head` does: that is no error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// `1 problem`, `2 problems`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{} {thing}s", thousands(number as u64)),
    }
}

/// `1,234,567`
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `00:20:05` or `3d 04:00:00`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        _ => format!("{days}d {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "00:00:00")]
    #[case(3_725, "01:02:05")]
    #[case(273_600, "3d 04:00:00")]
    fn spans(#[case] seconds: u64, #[case] text: &str) {
        assert_eq!(span(Duration::from_secs(seconds)), text);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(1_000, "1,000")]
    #[case(1_234_567, "1,234,567")]
    fn numbers(#[case] number: u64, #[case] text: &str) {
        assert_eq!(thousands(number), text);
    }

    #[test]
    fn one_and_many() {
        assert_eq!((count(1, "lane"), count(2, "lane")), ("1 lane".into(), "2 lanes".into()));
    }
}
