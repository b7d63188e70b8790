//! Times, as Go computes them.

use jiff::civil::Date;
use regorus::Value;

use super::{call, text};

const NANOSECONDS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// The time argument of a function: nanoseconds, with or without a time zone.
struct ZonedTime {
    nanoseconds: i64,
    zone: Value,
}

impl ZonedTime {
    fn parse(args: &[Value], at: usize) -> Result<Self, String> {
        let wrong = || "expects nanoseconds, or an array of these and a time zone".to_owned();
        let (number, zone) = match args.get(at) {
            Some(number @ Value::Number(_)) => (number, Value::from("")),
            Some(Value::Array(items)) => match (items.first(), items.get(1)) {
                (Some(number), Some(zone @ Value::String(_))) => (number, zone.clone()),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        Ok(Self { nanoseconds: number.as_i64().map_err(|_| wrong())?, zone })
    }

    /// A component of its local time.
    fn part(&self, name: &str) -> Result<[i64; 3], String> {
        let parts = call(name, &[vec![self.nanoseconds.into(), self.zone.clone()].into()])?;
        let parts = parts.as_array().map_err(|error| error.to_string())?;
        let number = |at: usize| parts.get(at).and_then(|part| part.as_i64().ok());
        match (number(0), number(1), number(2)) {
            (Some(first), Some(second), Some(third)) => Ok([first, second, third]),
            _ => Err("no time".to_owned()),
        }
    }

    /// Its local time, in seconds as if it were UTC.
    fn local(&self) -> Result<i64, String> {
        let [year, month, day] = self.part("time.date")?;
        let [hour, minute, second] = self.part("time.clock")?;
        Ok(days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second)
    }

    /// The offset of its time zone from UTC, in seconds.
    fn offset(&self) -> Result<i64, String> {
        Ok(self.local()? - self.nanoseconds.div_euclid(NANOSECONDS))
    }
}

/// The day in days since 1970. Numbers of days and months beyond their range carry over.
fn days(year: i64, month: i64, day: i64) -> Result<i64, String> {
    let outside = || "time outside of valid range".to_owned();
    let year = year.checked_add((month - 1).div_euclid(12)).ok_or_else(outside)?;
    let month = (month - 1).rem_euclid(12) + 1;
    let year = i16::try_from(year).map_err(|_| outside())?;
    let first = Date::new(year, i8::try_from(month).map_err(|_| outside())?, 1);
    let first = first.map_err(|_| outside())?;
    let epoch = Date::constant(1970, 1, 1);
    let since = (first - epoch).get_days();
    i64::from(since).checked_add(day - 1).ok_or_else(outside)
}

/// `time.add_date`: a day that doesn't exist becomes the day after, as in Go's `AddDate`: a year
/// after 29 February is 1 March.
pub(super) fn add_date(args: &[Value]) -> Result<Value, String> {
    let fails = |why: String| {
        let args: Vec<_> = args.iter().map(Value::to_string).collect();
        format!("time.add_date({}): {why}", args.join(", "))
    };
    add_to_date(args).map(Value::from).map_err(fails)
}

fn add_to_date(args: &[Value]) -> Result<i64, String> {
    let moment = ZonedTime::parse(args, 0)?;
    let number = |at: usize| {
        let number = args.get(at).and_then(|arg| arg.as_i32().ok());
        number.map(i64::from).ok_or("expects whole numbers of years, months and days")
    };
    let [year, month, day] = moment.part("time.date")?;
    let days = days(year + number(1)?, month + number(2)?, day + number(3)?)?;
    let seconds = moment.local()?.rem_euclid(DAY);
    let local = days * DAY + seconds;
    let fraction = moment.nanoseconds.rem_euclid(NANOSECONDS);
    let outside = || "time outside of valid range".to_owned();
    let at = |seconds: i64| {
        let nanoseconds = seconds.checked_mul(NANOSECONDS).ok_or_else(outside)?;
        Ok::<_, String>(ZonedTime { nanoseconds, zone: moment.zone.clone() })
    };
    // Go finds the offset of a local time near a change of offset by that of a first guess.
    let guess = at(local)?.offset()?;
    let offset = at(local - guess)?.offset()?;
    at(local - offset)?.nanoseconds.checked_add(fraction).ok_or_else(outside)
}

/// `time.diff`: each time in its own offset if the offset changed in between.
pub(super) fn diff(args: &[Value]) -> Result<Value, String> {
    let (first, mut second) = (ZonedTime::parse(args, 0)?, ZonedTime::parse(args, 1)?);
    second.zone = first.zone.clone();
    let (first, second) = match first.nanoseconds > second.nanoseconds {
        true => (second, first),
        false => (first, second),
    };
    let (from, to) = (first.part("time.date")?, second.part("time.date")?);
    let (from_clock, to_clock) = (first.part("time.clock")?, second.part("time.clock")?);
    let [mut year, mut month, mut day] = [0, 1, 2].map(|at| to[at] - from[at]);
    let [mut hour, mut minute, mut second] = [0, 1, 2].map(|at| to_clock[at] - from_clock[at]);
    let borrow = |part: &mut i64, whole: i64, above: &mut i64| {
        if *part < 0 {
            *part += whole;
            *above -= 1;
        }
    };
    borrow(&mut second, 60, &mut minute);
    borrow(&mut minute, 60, &mut hour);
    borrow(&mut hour, 24, &mut day);
    let length = days(from[0], from[1] + 1, 1)? - days(from[0], from[1], 1)?;
    borrow(&mut day, length, &mut month);
    borrow(&mut month, 12, &mut year);
    Ok([year, month, day, hour, minute, second].map(Value::from).to_vec().into())
}

/// `time.format`.
pub(super) fn format(args: &[Value]) -> Result<Value, String> {
    let moment = ZonedTime::parse(args, 0)?;
    let layout = match args {
        [Value::Array(items)] => items.get(2).map(|layout| layout.as_string()),
        _ => None,
    };
    let layout = layout.transpose().map_err(|error| error.to_string())?;
    match layout.map(|layout| &**layout).filter(|layout| !layout.is_empty()) {
        None => {
            let written =
                call("time.format", &[vec![moment.nanoseconds.into(), moment.zone].into()])?;
            let written = written.as_string().map_err(|error| error.to_string())?;
            let Some((seconds, rest)) = written.split_once('.') else {
                return Ok(Value::from(&**written));
            };
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, zone) = rest.split_at(end);
            Ok(format!("{seconds}.{}{zone}", fraction.trim_end_matches('0')).into())
        }
        Some(layout) => {
            let layout = match layout {
                "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
                "RFC822" => "02 Jan 06 15:04 MST",
                "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
                "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
                other => other,
            };
            let is_utc = moment.zone == "".into() || moment.zone == "UTC".into();
            if layout.contains("MST") && !is_utc {
                return Err("time.format: has no abbreviations of time zones (MST): write -07:00"
                    .to_owned());
            }
            if let Some(part) = unsupported_layout(layout) {
                return Err(format!("time.format: can't write {part:?} of the layout {layout:?}"));
            }
            if !layout.is_ascii() {
                return Err(format!("time.format: only ASCII in a layout, found {layout:?}"));
            }
            let follows =
                |at: usize| layout[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic());
            if layout.match_indices('%').any(|(at, _)| !follows(at)) {
                return Err(format!("time.format: can't write a % in the layout {layout:?}"));
            }
            let layout = layout.replace("MST", "UTC");
            call(
                "time.format",
                &[vec![moment.nanoseconds.into(), moment.zone, layout.into()].into()],
            )
        }
    }
}

/// The layouts that regorus writes differently from Go: fractions except `.000` and `.999999999`,
/// and texts that contain a `p`.
fn unsupported_layout(layout: &str) -> Option<&'static str> {
    let mut rest = layout.to_owned();
    for known in [".999999999", "PM", "pm", "RFC3339Nano", "RFC822Z", "RFC1123Z", "RubyDate"] {
        rest = rest.replace(known, "");
    }
    [".9", ",9", ",0", "p", "P"].into_iter().find(|part| rest.contains(part))
}

/// `time.clock`, `time.date` and `time.weekday`.
pub(super) fn clock_parts(name: &str, args: &[Value]) -> Result<Value, String> {
    ZonedTime::parse(args, 0)?;
    call(name, args)
}

/// `time.parse_rfc3339_ns`: with `T` and `Z`, and without leap seconds.
pub(super) fn parse_rfc3339(args: &[Value]) -> Result<Value, String> {
    let name = "time.parse_rfc3339_ns";
    let written = text(args, 0)?.as_bytes();
    let is_go = written.get(10) == Some(&b'T')
        && written.get(17..19) != Some(b"60")
        && !written.ends_with(b"z");
    if !is_go {
        // Its error is better for a text that is not a time at all.
        call(name, args)?;
        return Err(format!("{name}({}): expected a time such as 2026-01-31T08:00:00Z", args[0]));
    }
    call(name, args)
}

/// `time.parse_duration_ns`. regorus panics at characters other than these.
pub(super) fn parse_duration(args: &[Value]) -> Result<Value, String> {
    let written = text(args, 0)?;
    // Unicode has two characters for micro.
    let ascii = written.replace(['µ', 'μ'], "u");
    if !ascii.is_ascii() {
        return Err(format!("time.parse_duration_ns({written:?}): expected one such as 1h30m"));
    }
    call("time.parse_duration_ns", &[ascii.into()])
}

/// `time.parse_ns`: only texts that match the layout exactly.
pub(super) fn parse(args: &[Value]) -> Result<Value, String> {
    let name = "time.parse_ns";
    let (layout, written) = (text(args, 0)?, text(args, 1)?);
    if !layout.is_ascii() || !written.is_ascii() {
        return Err(format!("{name}: only ASCII, found {layout:?} and {written:?}"));
    }
    if layout.replace("2006", "").contains("06") {
        return Err(format!("{name}: {layout:?} has a year of two digits: write 2006"));
    }
    let parsed = call(name, args)?;
    let is_numeric = layout.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte == b'T')
        && !layout.contains("-07");
    if is_numeric {
        let again = vec![parsed.clone(), "UTC".into(), layout.into()];
        if call("time.format", &[again.into()])? != written.into() {
            return Err(format!("{name}({layout:?}, {written:?}): not as the layout says"));
        }
    }
    Ok(parsed)
}
