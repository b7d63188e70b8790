//! Moments as people write them.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The expected form of a moment, for the error message.
pub const EXPECTED_TIMESTAMP: &str = "expected a moment such as 2026-12-24T18:00:00Z, or a date such as \
                            2026-12-24, which is the start of that day in UTC";

/// Reads a moment with its offset, or a date: the start of that day in UTC.
///
/// # Errors
/// What was expected.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    // A time without an offset would be ambiguous.
    let is_date = text.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
    let date = if is_date { text.parse::<Date>().ok() } else { None };
    let begin = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    begin.map(|begin| begin.timestamp()).ok_or_else(|| EXPECTED_TIMESTAMP.to_owned())
}

/// A moment; a date is its beginning, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since(pub Timestamp);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A date also parses from a date and time, which without its offset is not a moment.
        let date = || (text.len() == "2026-12-24".len()).then(|| text.parse::<Date>().ok())?;
        let begin = || Some(date()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
        text.parse()
            .ok()
            .or_else(begin)
            .map(Self)
            .ok_or_else(|| "expected a moment such as 2026-12-24T18:00:00Z, or a date".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-12-24T18:00:00Z", Some("2026-12-24T18:00:00Z"))]
    #[case("2026-12-24T18:00:00+01:00", Some("2026-12-24T17:00:00Z"))]
    #[case("2026-12-24", Some("2026-12-24T00:00:00Z"))]
    #[case::no_offset("2026-12-24T18:00:00", None)]
    #[case::no_offset_either("2026-12-24 18:00", None)]
    #[case::no_such_day("2026-02-30", None)]
    #[case::no_date("tomorrow", None)]
    #[case::nothing("", None)]
    fn moments_and_dates(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(
            parse_timestamp(text).ok().map(|moment| moment.to_string()).as_deref(),
            expected
        );
    }

    #[rstest]
    #[case("2026-09-21T14:13:20Z", Some("2026-09-21T14:13:20Z"))]
    #[case("2026-09-21T16:13:20+02:00", Some("2026-09-21T14:13:20Z"))]
    #[case("2026-09-21", Some("2026-09-21T00:00:00Z"))]
    #[case("2026-09-21T14:13:20", None)]
    #[case("yesterday", None)]
    #[case("", None)]
    fn what_orders_are_shown_since(#[case] text: &str, #[case] moment: Option<&str>) {
        let since = text.parse().ok().map(|Since(moment)| moment.to_string());
        assert_eq!(since.as_deref(), moment);
    }
}
