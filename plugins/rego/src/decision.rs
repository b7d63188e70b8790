//! Converts the value of a script to a decision.

use groundcrew_sdk::{PolicyDecision, Timestamp};
use jiff::Timestamp as Instant;
use regorus::Value;

use crate::message::shorten;

pub(crate) const EXPECTED: &str = "expected \"abstain\", \"proceed\", {\"proceed\": lane}, {\"skip\": reason} \
                        or {\"hold\": reason, \"until\": time}, with a hold's lane as \"lane\"";
const NANOSECONDS: i64 = 1_000_000_000;
/// A smaller number is in seconds or milliseconds instead of nanoseconds, or before March 1973.
const MIN_NANOSECONDS: i64 = 100_000_000 * NANOSECONDS;

/// The decision, or an error that describes the value.
pub(crate) fn parse(value: &Value) -> Result<PolicyDecision, String> {
    match value {
        Value::Undefined => Err(format!(
            "undefined: {EXPECTED}. `default decision := \"abstain\"` is the answer where no \
             other is"
        )),
        Value::String(word) if **word == *"abstain" => Ok(PolicyDecision::Abstain),
        Value::String(word) if **word == *"proceed" => Ok(PolicyDecision::proceed()),
        Value::Object(fields) => {
            // An object's keys are sorted.
            let texts: Vec<_> = fields.iter().map(|(key, value)| (text(key), value)).collect();
            match texts[..] {
                [(Some("proceed"), Value::String(lane))] => Ok(PolicyDecision::proceed_in(&**lane)),
                [(Some("skip"), Value::String(reason))] => Ok(PolicyDecision::skip(&**reason)),
                [(Some("hold"), Value::String(reason)), (Some("until"), until)] => {
                    Ok(PolicyDecision::hold(parse_until(until)?, &**reason))
                }
                [
                    (Some("hold"), Value::String(reason)),
                    (Some("lane"), Value::String(lane)),
                    (Some("until"), until),
                ] => Ok(PolicyDecision::hold_in(&**lane, parse_until(until)?, &**reason)),
                _ => Err(unexpected(value)),
            }
        }
        _ => Err(unexpected(value)),
    }
}

fn unexpected(value: &Value) -> String {
    format!("{}: {EXPECTED}", shorten(&value.to_string()))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The first whole second that is not before a time.
pub(crate) fn parse_until(until: &Value) -> Result<Timestamp, String> {
    let parsed = match until {
        Value::String(text) => text.parse::<Instant>().ok(),
        Value::Number(_) => {
            let nanoseconds = until.as_i64().ok().filter(|&number| number >= MIN_NANOSECONDS);
            nanoseconds.and_then(|number| Instant::from_nanosecond(number.into()).ok())
        }
        _ => None,
    };
    let Some(moment) = parsed else {
        return Err(format!(
            "to hold until {}: expected a text such as \"2026-01-31T08:00:00Z\", before the year \
             9999, or nanoseconds since 1970 as Rego's `time` functions give them",
            shorten(&until.to_string())
        ));
    };
    Ok(moment.as_second() + Timestamp::from(moment.subsec_nanosecond() > 0))
}
