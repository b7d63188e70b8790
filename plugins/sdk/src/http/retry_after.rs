//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

/// Longest wait that is believed: a day.
const LONGEST: u64 = 24 * 3600;

/// How long to wait, in seconds. A date is held against the server's own.
pub(super) fn seconds(value: &str, date: Option<&str>) -> Option<u32> {
    let value = value.trim();
    let seconds = match value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // More digits than fit are a long time, too.
        true => value.parse().unwrap_or(LONGEST),
        false => moment(value)?.saturating_sub(moment(date?)?),
    };
    u32::try_from(seconds.min(LONGEST)).ok()
}

/// Seconds from 1970 to a date in the one format that is still sent:
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn moment(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.trim().split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = 1 + u64::try_from(MONTHS.iter().position(|known| *known == month)?).ok()?;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    if hours > 23 || minutes > 59 || seconds > 60 || words.next() != Some("GMT") {
        return None;
    }
    // Days since 1970 of a civil date, the year beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
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
    #[case("Sunday, 06-Nov-94 08:49:37 GMT", None)]
    #[case("Sun, 06 Nov 1994 08:49:37 CET", None)]
    #[case("Sun, 32 Nov 1994 08:49:37 GMT", None)]
    fn dates(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(moment(text), expected);
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
