//! DynamoDB's numbers: up to 38 significant digits, exact.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Most significant digits.
const DIGITS: u32 = 38;

/// Largest and smallest magnitude, as powers of ten.
const LARGEST: i64 = 125;
const SMALLEST: i64 = -130;

/// A number: `mantissa × 10^exponent`, the mantissa without zeros at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    mantissa: i128,
    exponent: i32,
}

/// A text that is no number of DynamoDB's. The texts are DynamoDB's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("The parameter cannot be converted to a numeric value")]
    NotANumber,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
    #[error(
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    #[error(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
}

impl Number {
    pub(crate) const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    fn new(mut mantissa: i128, mut exponent: i64) -> Result<Self, NumberError> {
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        let digits = mantissa.unsigned_abs().ilog10() + 1;
        if digits > DIGITS {
            return Err(NumberError::TooPrecise);
        }
        let magnitude = exponent.saturating_add(i64::from(digits)) - 1;
        if magnitude > LARGEST {
            return Err(NumberError::Overflow);
        }
        if magnitude < SMALLEST {
            return Err(NumberError::Underflow);
        }
        let exponent = i32::try_from(exponent).map_err(|_| NumberError::Overflow)?;
        Ok(Self { mantissa, exponent })
    }

    /// A whole number.
    pub(crate) fn whole(number: usize) -> Self {
        Self::new(number as i128, 0).unwrap_or(Self::ZERO)
    }

    fn digits(self) -> u32 {
        self.mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1)
    }

    /// The bytes that it counts for: one, and one for every two digits.
    pub(crate) fn size(self) -> usize {
        self.digits().div_ceil(2) as usize + 1
    }

    /// The power of ten of its first digit, and its digits filled up to 38: what orders
    /// numbers of one sign.
    fn order(self) -> (i64, u128) {
        let digits = self.digits();
        let magnitude = i64::from(self.exponent) + i64::from(digits);
        (magnitude, self.mantissa.unsigned_abs() * 10_u128.pow(DIGITS - digits))
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NumberError::NotANumber);
        }
        // Zeros at either end do not count as digits.
        let kept = all.trim_end_matches('0');
        let dropped = all.len() - kept.len();
        let digits = kept.trim_start_matches('0');
        if digits.len() > DIGITS as usize {
            return Err(NumberError::TooPrecise);
        }
        let mantissa =
            digits.bytes().fold(0_i128, |mantissa, digit| mantissa * 10 + i128::from(digit - b'0'));
        let places = dropped as i64 - fraction.len() as i64;
        Self::new(if negative { -mantissa } else { mantissa }, exponent + places)
    }
}

/// An exponent too large to be read is too large for a number.
fn read_exponent(text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NumberError::NotANumber);
    }
    let far = if text.starts_with('-') { -1_000_000 } else { 1_000_000 };
    Ok(text.parse().map_or(far, |exponent: i64| exponent.clamp(-1_000_000, 1_000_000)))
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        signs.then_with(|| match self.mantissa.signum() {
            0 => Ordering::Equal,
            1 => self.order().cmp(&other.order()),
            _ => other.order().cmp(&self.order()),
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// All digits, never an exponent, as DynamoDB answers.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let text = match usize::try_from(self.exponent) {
            Ok(zeros) => digits + &"0".repeat(zeros),
            Err(_) => {
                let places = self.exponent.unsigned_abs() as usize;
                let padded = format!("{digits:0>width$}", width = places + 1);
                let (whole, fraction) = padded.split_at(padded.len() - places);
                format!("{whole}.{fraction}")
            }
        };
        formatter.write_str(if self.mantissa < 0 { "-" } else { "" })?;
        formatter.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("0", "0")]
    #[case("-0.000", "0")]
    #[case("007", "7")]
    #[case("1.0", "1")]
    #[case("+1e3", "1000")]
    #[case("-1.50", "-1.5")]
    #[case(".5", "0.5")]
    #[case("5.", "5")]
    #[case("123E-5", "0.00123")]
    #[case("99999999999999999999999999999999999999", "99999999999999999999999999999999999999")]
    #[case("0000000000000000000000000000000000000000000001", "1")]
    fn numbers_are_answered_in_one_form(#[case] given: &str, #[case] answered: &str) {
        assert_eq!(number(given).to_string(), answered);
        assert_eq!(number(answered), number(given));
    }

    #[rstest]
    #[case("", NumberError::NotANumber)]
    #[case(".", NumberError::NotANumber)]
    #[case("1e", NumberError::NotANumber)]
    #[case("0x1", NumberError::NotANumber)]
    #[case("NaN", NumberError::NotANumber)]
    #[case("--1", NumberError::NotANumber)]
    #[case("1 ", NumberError::NotANumber)]
    #[case("1e126", NumberError::Overflow)]
    #[case("1e99999999999999999999", NumberError::Overflow)]
    #[case("-1e-131", NumberError::Underflow)]
    #[case("123456789012345678901234567890123456789", NumberError::TooPrecise)]
    fn other_texts_are_refused(#[case] text: &str, #[case] error: NumberError) {
        assert_eq!(text.parse::<Number>(), Err(error));
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let ascending = [
            "-1e125", "-20", "-3", "-2.99", "-1e-130", "0", "1e-130", "0.9", "1", "9", "10", "9e9",
        ];
        for (place, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(number(a).cmp(&number(b)), place.cmp(&other), "{a} and {b}");
            }
        }
    }
}
