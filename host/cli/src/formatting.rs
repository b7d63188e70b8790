//! Formats numbers, times and lines for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use groundcrew_core::text::printable;
use jiff::Timestamp;

/// Columns of the screen.
const WIDTH: usize = 80;
/// The column at which values begin, and continued lines.
const INDENT: usize = 12;

/// `1 problem`, `2 problems`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{} {thing}s", thousands(number as u64)),
    }
}

/// `, 3 closed`, the end of a list of numbers of accounts; empty when no account is closed.
pub fn and_closed(closed: usize) -> String {
    match closed {
        0 => String::new(),
        _ => format!(", {} closed", thousands(closed as u64)),
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
pub fn format_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        _ => format!("{days}d {clock}"),
    }
}

/// `2026-11-20 10:00 UTC`
pub fn format_minute(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The first few items.
pub fn list(items: &[&str]) -> String {
    match items.len() {
        0..=3 => items.join(", "),
        _ => format!("{}, …", items[..3].join(", ")),
    }
}

/// Writes a text within 80 columns; continued lines are indented.
pub fn paragraph(out: &mut String, text: &str) -> std::fmt::Result {
    let text = keep_commands_unbroken(&printable(text));
    let mut line = String::new();
    // Spaces at the beginning are indentation, spaces within the text align.
    for (index, word) in text.split(' ').enumerate() {
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(INDENT);
        } else if index > 0 {
            line.push(' ');
        }
        line.push_str(&word.replace(NO_BREAK_SPACE, " "));
    }
    writeln!(out, "{}", line.trim_end())
}

/// A text in lines that begin at a column and end at column 80. A word that fits in no line, such
/// as an ARN, is not broken, so that it can be copied.
pub fn wrap(text: &str, column: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in keep_commands_unbroken(&printable(text)).split_whitespace() {
        let word = &word.replace(NO_BREAK_SPACE, " ");
        match lines.last_mut() {
            Some(line) if column + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Stands for a space at which the line is not broken. Printable texts don't contain it.
const NO_BREAK_SPACE: char = '\u{1}';

/// The text without line breaks within its commands: a command that is cut in two does something
/// else when it is pasted.
fn keep_commands_unbroken(text: &str) -> String {
    let mut rest = text;
    let mut whole = String::with_capacity(text.len());
    while let Some(at) = rest.find("`groundcrew ") {
        let end = rest[at + 1..].find('`').map_or(rest.len(), |end| at + end + 2);
        whole.push_str(&rest[..at]);
        whole.extend(rest[at..end].chars().map(|c| if c == ' ' { NO_BREAK_SPACE } else { c }));
        rest = &rest[end..];
    }
    whole + rest
}

/// Writes the number of calls of each AWS operation.
pub fn write_aws_calls(out: &mut String, by_operation: &BTreeMap<String, u64>) -> std::fmt::Result {
    let total: u64 = by_operation.values().sum();
    writeln!(out, "AWS calls   {}", thousands(total))?;
    let mut calls: Vec<(&String, &u64)> = by_operation.iter().collect();
    calls.sort_by_key(|(operation, calls)| (std::cmp::Reverse(**calls), operation.as_str()));
    for pair in calls.chunks(2) {
        let cells: Vec<String> = pair
            .iter()
            .map(|(name, calls)| format!("{:>9} {name:<27}", thousands(**calls)))
            .collect();
        writeln!(out, "{}", cells.concat().trim_end())?;
    }
    Ok(())
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
        assert_eq!(format_duration(Duration::from_secs(seconds)), text);
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
