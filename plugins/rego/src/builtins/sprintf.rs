//! `sprintf`: the formats of Go's package `fmt`, which OPA uses.
//!
//! OPA passes a number to Go as `int64`, `*big.Int` or `float64`, a text unchanged, and any other
//! value as its text in Rego. A format that doesn't fit is not an error in Go: the text contains
//! it, as in `%!d(string=abc)`.

use regorus::Value;

use super::call;

/// The largest width and precision.
const MAX: i64 = 10_000;

/// The argument of a verb.
enum Arg {
    Int(String),
    Big(String),
    Float(f64),
    Text(String),
}

impl Arg {
    fn of(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text((**text).to_owned()),
            Value::Number(_) => {
                let number = value.as_number().map_err(|error| error.to_string())?;
                if !number.is_integer() {
                    Self::Float(value.as_f64().map_err(|error| error.to_string())?)
                } else if let Some(whole) = number.as_i64() {
                    Self::Int(whole.to_string())
                } else {
                    Self::Big(number.format_decimal())
                }
            }
            other => Self::Text(term(other)?),
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "int64",
            Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }
}

/// A value as Rego writes it.
fn term(value: &Value) -> Result<String, String> {
    let join = |items: Result<Vec<String>, String>| items.map(|items| items.join(", "));
    Ok(match value {
        Value::String(text) => quoted(text)?,
        Value::Array(items) => format!("[{}]", join(items.iter().map(term).collect())?),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", join(items.iter().map(term).collect())?),
        Value::Object(fields) => {
            let mut pairs: Vec<_> = fields.iter().collect();
            pairs.sort();
            let pair = |(key, value)| Ok(format!("{}: {}", term(key)?, term(value)?));
            format!("{{{}}}", join(pairs.into_iter().map(pair).collect())?)
        }
        Value::Number(_) => Spec::default().print(&Arg::of(value)?, 'v')?,
        other => other.to_string(),
    })
}

/// A quoted text, as Go writes it. regorus provides the set of characters that Go prints.
fn quoted(text: &str) -> Result<String, String> {
    let quoted = call("sprintf", &["%q".into(), Value::from(vec![text.into()])])?;
    quoted.as_string().map(|quoted| (**quoted).to_owned()).map_err(|error| error.to_string())
}

fn is_printed(c: char) -> Result<bool, String> {
    Ok(quoted(&c.to_string())?.contains(c))
}

/// Escapes characters beyond ASCII.
fn ascii(quoted: &str) -> String {
    let escaped = |c: char| match u32::from(c) {
        ..0x80 => c.to_string(),
        code @ 0x80..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    quoted.chars().map(escaped).collect()
}

/// The flags and numbers between `%` and the verb.
#[derive(Clone, Copy, Default)]
struct Spec {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    /// `%#v`.
    go: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn pad(self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        match (self.minus, self.zero) {
            (true, _) => format!("{text}{}", " ".repeat(missing)),
            (false, true) => format!("{}{text}", "0".repeat(missing)),
            (false, false) => format!("{}{text}", " ".repeat(missing)),
        }
    }

    fn without_zeros(self) -> Self {
        Self { zero: false, ..self }
    }

    fn cut(self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn print(self, arg: &Arg, verb: char) -> Result<String, String> {
        let printed = match arg {
            _ if verb == 'T' => Some(self.pad(&self.cut(arg.kind()))),
            Arg::Int(digits) => self.integer(digits, verb, false)?,
            Arg::Big(_) if verb == 'p' => return Err("sprintf: %p is no format".to_owned()),
            Arg::Big(digits) if "eEfFgG".contains(verb) => {
                return Err(format!(
                    "sprintf: %{verb} is no format for {digits}, which is too large"
                ));
            }
            Arg::Big(digits) if verb != 'w' => {
                let verb = if verb == 's' { 'd' } else { verb };
                match verb {
                    'b' | 'd' | 'o' | 'O' | 'v' | 'x' | 'X' => self.integer(digits, verb, true)?,
                    _ => Some(format!("%!{verb}(big.Int={digits})")),
                }
            }
            Arg::Big(_) => None,
            Arg::Float(number) => self.float(*number, verb)?,
            Arg::Text(text) => self.text(text, verb)?,
        };
        match printed {
            Some(printed) => Ok(printed),
            None => Ok(format!("%!{verb}({}={})", arg.kind(), self.print(arg, 'v')?)),
        }
    }

    /// Formats a whole number; `None` where the verb doesn't apply to it.
    fn integer(self, digits: &str, verb: char, is_big: bool) -> Result<Option<String>, String> {
        let code = || {
            let code = digits.parse::<u32>().ok().and_then(char::from_u32);
            code.unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        let is_negative = digits.starts_with('-');
        let digits = digits.trim_start_matches('-');
        let value = Value::from_numeric_string(digits).map_err(|error| error.to_string())?;
        let number = value.as_number().map_err(|error| error.to_string())?;
        let (body, prefix) = match verb {
            'd' | 'v' => (digits.to_owned(), ""),
            'b' => (number.format_bin(), "0b"),
            'o' => (number.format_octal(), "0"),
            'O' => (number.format_octal(), "0o"),
            'x' => (number.format_hex(), "0x"),
            'X' => (number.format_big_hex(), "0X"),
            'c' | 'q' if is_negative => return self.character(char::REPLACEMENT_CHARACTER, verb),
            'c' | 'q' => return self.character(code(), verb),
            'U' => {
                let bits = if is_negative {
                    digits.parse::<u64>().unwrap_or(0).wrapping_neg()
                } else {
                    digits.parse::<u64>().unwrap_or(0)
                };
                let least = self.precision.unwrap_or(4).max(4);
                let mut text = format!("U+{bits:0least$X}");
                let shown = u32::try_from(bits).ok().and_then(char::from_u32);
                if let Some(shown) = shown.filter(|_| self.sharp)
                    && is_printed(shown)?
                {
                    text.push_str(&format!(" '{shown}'"));
                }
                return Ok(Some(self.without_zeros().pad(&text)));
            }
            _ => return Ok(None),
        };
        if self.precision == Some(0) && digits == "0" {
            return Ok(Some(self.without_zeros().pad("")));
        }
        let sign = match (is_negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        let is_prefixed = verb == 'O' || (self.sharp && !matches!(verb, 'd' | 'v'));
        let mut prefix = if is_prefixed { prefix.to_owned() } else { String::new() };
        if verb == 'O' && self.sharp && !is_big && !body.starts_with('0') {
            prefix.push('0');
        }
        let width = self.width.filter(|_| self.zero && !self.minus).unwrap_or(0);
        let taken = sign.len() + if is_big { prefix.len() } else { 0 };
        let least = self.precision.unwrap_or(width.saturating_sub(taken));
        let zeros = "0".repeat(least.saturating_sub(body.len()));
        if verb == 'o' && !is_big && (zeros + &body).starts_with('0') {
            prefix.clear();
        }
        let zeros = "0".repeat(least.saturating_sub(body.len()));
        Ok(Some(self.without_zeros().pad(&format!("{sign}{prefix}{zeros}{body}"))))
    }

    fn character(self, c: char, verb: char) -> Result<Option<String>, String> {
        if verb == 'c' {
            return Ok(Some(self.pad(&c.to_string())));
        }
        let quoted = match c {
            '\'' => r"\'".to_owned(),
            '"' => "\"".to_owned(),
            _ => quoted(&c.to_string())?.trim_matches('"').to_owned(),
        };
        let quoted = if self.plus { ascii(&quoted) } else { quoted };
        Ok(Some(self.pad(&format!("'{quoted}'"))))
    }

    fn text(self, text: &str, verb: char) -> Result<Option<String>, String> {
        let text = match verb {
            'v' if !self.go => self.cut(text),
            's' => self.cut(text),
            'q' | 'v' => {
                let text = self.cut(text);
                let is_plain = |c: char| (c == '\t' || c >= ' ') && !"`\u{7f}\u{feff}".contains(c);
                if self.sharp && text.chars().all(is_plain) {
                    format!("`{text}`")
                } else if self.plus {
                    ascii(&quoted(&text)?)
                } else {
                    quoted(&text)?
                }
            }
            'x' | 'X' => {
                let bytes = text.bytes().take(self.precision.unwrap_or(usize::MAX));
                let hex = |byte: u8| match verb {
                    'x' => format!("{byte:02x}"),
                    _ => format!("{byte:02X}"),
                };
                let prefix = if self.sharp { format!("0{verb}") } else { String::new() };
                let parts: Vec<_> = bytes.map(hex).collect();
                if parts.is_empty() {
                    String::new()
                } else if self.space {
                    format!("{prefix}{}", parts.join(&format!(" {prefix}")))
                } else {
                    format!("{prefix}{}", parts.concat())
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(self.pad(&text)))
    }

    /// Formats a number with a fraction.
    fn float(self, number: f64, verb: char) -> Result<Option<String>, String> {
        let magnitude = number.abs();
        let mut text = match verb {
            'f' | 'F' => format!("{magnitude:.*}", self.precision.unwrap_or(6)),
            'e' | 'E' => exponent(&format!("{magnitude:.*e}", self.precision.unwrap_or(6))),
            'g' | 'G' | 'v' => general(magnitude, self.precision),
            'b' | 'x' | 'X' => {
                return Err(format!(
                    "sprintf: %{verb} is no format for {number}, only for whole numbers"
                ));
            }
            _ => return Ok(None),
        };
        if self.sharp {
            text = with_point(&text, verb, self.precision);
        }
        if verb.is_ascii_uppercase() {
            text.make_ascii_uppercase();
        }
        let sign = match (number.is_sign_negative(), self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        if self.zero && !self.minus {
            let width = self.width.unwrap_or(0).saturating_sub(sign.len());
            return Ok(Some(format!("{sign}{text:0>width$}")));
        }
        Ok(Some(self.without_zeros().pad(&format!("{sign}{text}"))))
    }
}

/// `1.5e3` as `1.5e+03`.
fn exponent(text: &str) -> String {
    let Some((digits, power)) = text.split_once('e') else { return text.to_owned() };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

/// The shorter of `%e` and `%f`.
fn general(magnitude: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        None => format!("{magnitude:e}"),
        Some(precision) => format!("{magnitude:.*e}", precision.max(1) - 1),
    };
    let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let digits = match digits.split_once('.') {
        Some((whole, fraction)) => format!("{whole}{}", fraction.trim_end_matches('0')),
        None => digits.to_owned(),
    };
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let limit = match precision {
        // The number of digits, if it is less than the precision.
        Some(precision) => {
            let precision = i32::try_from(precision.max(1)).unwrap_or(i32::MAX);
            if precision > count && count > power { count } else { precision }
        }
        None => 6,
    };
    if power < -4 || power >= limit {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return exponent(&format!("{first}{point}{rest}e{power}"));
    }
    let decimals = usize::try_from((count - 1 - power).max(0)).unwrap_or(0);
    match precision {
        None => format!("{magnitude:.decimals$}"),
        // Rounded before.
        Some(_) => {
            let rounded: f64 = scientific.parse().unwrap_or(magnitude);
            format!("{rounded:.decimals$}")
        }
    }
}

/// With a decimal point, and for `%g` with zeros up to the precision: the flag `#`.
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let (number, tail) = text.find('e').map_or((text, ""), |at| text.split_at(at));
    let wanted = if matches!(verb, 'g' | 'G' | 'v') { precision.unwrap_or(6) } else { 0 };
    let significant = number.trim_start_matches(['0', '.']).chars().filter(|&c| c != '.').count();
    let significant = if number == "0" { 1 } else { significant };
    let point = if number.contains('.') { "" } else { "." };
    format!("{number}{point}{}{tail}", "0".repeat(wanted.saturating_sub(significant)))
}

/// A format that is being read.
struct Format {
    chars: Vec<char>,
    at: usize,
    args: Vec<Arg>,
    next: usize,
    is_reordered: bool,
    is_index_good: bool,
    is_too_wide: bool,
}

impl Format {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    /// A decimal number in the format.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            let value = number.unwrap_or(0) * 10 + i64::from(u32::from(digit) - u32::from('0'));
            if value > MAX {
                self.is_too_wide = true;
                return None;
            }
            number = Some(value);
            self.at += 1;
        }
        number.and_then(|number| usize::try_from(number).ok())
    }

    /// `[2]`: the index of the next argument.
    fn index(&mut self) -> bool {
        if self.peek() != Some('[') {
            return false;
        }
        self.is_reordered = true;
        let begin = self.at;
        let Some(length) = self.chars[begin..].iter().position(|&c| c == ']') else {
            self.is_index_good = false;
            self.at += 1;
            return false;
        };
        self.at += 1;
        let number = self.number().filter(|_| self.at == begin + length);
        self.at = begin + length + 1;
        match number {
            Some(number @ 1..) if number <= self.args.len() => self.next = number - 1,
            _ => self.is_index_good = false,
        }
        number.is_some()
    }

    /// `*`: the next argument is the width or the precision.
    fn star(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        match arg {
            Arg::Int(digits) => digits.parse().ok().filter(|number: &i64| number.abs() <= MAX),
            _ => None,
        }
    }

    /// The flags and the verb after a `%`.
    fn verb(&mut self, out: &mut String) -> Result<(), String> {
        let mut spec = Spec::default();
        self.is_index_good = true;
        while let Some(c) = self.peek() {
            match c {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                ' ' => spec.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.index();
        if self.takes('*') {
            let width = self.star();
            if width.is_none() {
                out.push_str("%!(BADWIDTH)");
            }
            if width.is_some_and(|width| width < 0) {
                spec.minus = true;
                spec.zero = false;
            }
            spec.width = width.and_then(|width| usize::try_from(width.unsigned_abs()).ok());
            after_index = false;
        } else {
            spec.width = self.number();
            self.is_index_good &= !(after_index && spec.width.is_some());
        }
        if self.at + 1 < self.chars.len() && self.takes('.') {
            self.is_index_good &= !after_index;
            after_index = self.index();
            if self.takes('*') {
                spec.precision = self.star().and_then(|precision| usize::try_from(precision).ok());
                if spec.precision.is_none() {
                    out.push_str("%!(BADPREC)");
                }
                after_index = false;
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.index();
        }
        if self.is_too_wide {
            return Err(format!("sprintf: a width or precision of more than {MAX}"));
        }
        let Some(verb) = self.peek() else {
            out.push_str("%!(NOVERB)");
            return Ok(());
        };
        self.at += 1;
        if verb == '%' {
            out.push('%');
        } else if !self.is_index_good {
            out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(arg) = self.args.get(self.next) {
            if matches!(verb, 'v' | 'w') {
                (spec.go, spec.sharp, spec.plus) = (spec.sharp, false, false);
            }
            out.push_str(&spec.print(arg, verb)?);
            self.next += 1;
        } else {
            out.push_str(&format!("%!{verb}(MISSING)"));
        }
        Ok(())
    }
}

/// The text of a format and its arguments.
///
/// # Errors
/// Arguments that are not a text or an array, and the few formats of Go that are not supported.
pub(super) fn sprintf(args: &[Value]) -> Result<Value, String> {
    let [Value::String(format), Value::Array(values)] = args else {
        return Err("expects a text and an array".to_owned());
    };
    let args = values.iter().map(Arg::of).collect::<Result<_, _>>()?;
    let chars = format.chars().collect();
    let mut format = Format {
        chars,
        at: 0,
        args,
        next: 0,
        is_reordered: false,
        is_index_good: true,
        is_too_wide: false,
    };
    let mut out = String::new();
    while let Some(c) = format.peek() {
        format.at += 1;
        match c {
            '%' => format.verb(&mut out)?,
            other => out.push(other),
        }
    }
    if !format.is_reordered && format.next < format.args.len() {
        let extra = |arg: &Arg| Ok(format!("{}={}", arg.kind(), Spec::default().print(arg, 'v')?));
        let extra: Result<Vec<_>, String> = format.args[format.next..].iter().map(extra).collect();
        out.push_str(&format!("%!(EXTRA {})", extra?.join(", ")));
    }
    Ok(out.into())
}
