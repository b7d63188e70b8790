//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::UNIX_EPOCH;

/// Longest accepted wait: a day.
const MAX_WAIT_SECONDS: u64 = 24 * 3600;

/// How long to wait, in seconds. A date is compared with the server's own `Date`.
pub(super) fn seconds(value: &str, date: Option<&str>) -> Option<u32> {
    let value = value.trim();
    let seconds = match value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // A number with too many digits is a long time, too.
        true => value.parse().unwrap_or(MAX_WAIT_SECONDS),
        false => http_date(value)?.saturating_sub(http_date(date?)?),
    };
    u32::try_from(seconds.min(MAX_WAIT_SECONDS)).ok()
}

/// Seconds from 1970 to an HTTP date, in any of its three formats.
fn http_date(date: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(date.trim()).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Thu, 01 Jan 1970 00:00:00 GMT", Some(0))]
    #[case("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777))]
    #[case("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199))]
    #[case("Fri, 02 Jan 2026 03:04:05 GMT", Some(1_767_323_045))]
    #[case("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777))]
    #[case("Sun Nov  6 08:49:37 1994", Some(784_111_777))]
    #[case("Sun, 06 Nov 1994 08:49:37 CET", None)]
    #[case("Sun, 32 Nov 1994 08:49:37 GMT", None)]
    fn dates(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(http_date(text), expected);
    }

    #[rstest]
    #[case("120", None, Some(120))]
    #[case(" 0 ", None, Some(0))]
    #[case("99999999999999999999999", None, Some(86_400))]
    #[case("Fri, 02 Jan 2026 03:05:05 GMT", Some("Fri, 02 Jan 2026 03:04:05 GMT"), Some(60))]
    #[case("Fri, 02 Jan 2026 03:03:05 GMT", Some("Fri, 02 Jan 2026 03:04:05 GMT"), Some(0))]
    #[case("Fri, 02 Jan 2026 03:05:05 GMT", None, None)]
    #[case("soon", None, None)]
    #[case("-5", None, None)]
    #[case("", None, None)]
    fn waits(#[case] value: &str, #[case] date: Option<&str>, #[case] expected: Option<u32>) {
        assert_eq!(seconds(value, date), expected);
    }
}
