//! Numbers and texts, as OPA parses, counts and writes them.

use regorus::Value;

use super::{call, text};

/// `to_number`: everything that Go parses as a number, such as `05`, `+5` and `.5`.
pub(super) fn to_number(args: &[Value]) -> Result<Value, String> {
    let Some(Value::String(written)) = args.first() else { return call("to_number", args) };
    let wrong = || format!("to_number({}): no number", Value::from(&**written));
    let (sign, magnitude) = match written.strip_prefix(['+', '-']) {
        Some(rest) if written.starts_with('-') => ("-", rest),
        Some(rest) => ("", rest),
        None => ("", &**written),
    };
    let (digits, power) = match magnitude.split_once(['e', 'E']) {
        Some((digits, power)) => (digits, Some(power)),
        None => (magnitude, None),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_power = |power: &str| {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        !power.is_empty() && is_digits(power)
    };
    if !is_digits(whole)
        || !is_digits(fraction)
        || (whole.is_empty() && fraction.is_empty())
        || !power.is_none_or(is_power)
    {
        return Err(wrong());
    }
    let mut number = format!("{sign}{:0>1}", whole.trim_start_matches('0'));
    if !fraction.is_empty() {
        number.push_str(&format!(".{fraction}"));
    }
    if let Some(power) = power {
        number.push_str(&format!("e{power}"));
    }
    let is_finite = number.parse::<f64>().is_ok_and(f64::is_finite);
    let value = Value::from_numeric_string(&number).map_err(|_| wrong())?;
    if is_finite { Ok(value) } else { Err(wrong()) }
}

/// `count`: the characters of a text.
pub(super) fn count(args: &[Value]) -> Result<Value, String> {
    match args {
        [Value::String(text)] => Ok(text.chars().count().into()),
        [Value::Array(items)] => Ok(items.len().into()),
        [Value::Set(items)] => Ok(items.len().into()),
        [Value::Object(fields)] => Ok(fields.len().into()),
        _ => call("count", args),
    }
}

/// `object.subset`: not defined for texts.
pub(super) fn subset(args: &[Value]) -> Result<Value, String> {
    let is_collection =
        |arg: &Value| matches!(arg, Value::Array(_) | Value::Set(_) | Value::Object(_));
    if args.iter().all(is_collection) {
        return call("object.subset", args);
    }
    Err("object.subset: expects objects, sets or arrays".to_owned())
}

/// `replace`: with an empty pattern, OPA splits multi-byte characters of the text.
pub(super) fn replace(args: &[Value]) -> Result<Value, String> {
    if text(args, 1)?.is_empty() && !text(args, 0)?.is_ascii() {
        return Err("replace: there is an empty text between all characters".to_owned());
    }
    call("replace", args)
}

/// `strings.count`: without overlaps.
pub(super) fn strings_count(args: &[Value]) -> Result<Value, String> {
    Ok(text(args, 0)?.matches(text(args, 1)?).count().into())
}

/// `indexof` and `indexof_n`.
pub(super) fn indexof(name: &str, args: &[Value]) -> Result<Value, String> {
    if text(args, 1)?.is_empty() {
        return Err(format!("{name}: looks for an empty text"));
    }
    call(name, args)
}

/// `substring`.
pub(super) fn substring(args: &[Value]) -> Result<Value, String> {
    let is_whole = |arg: Option<&Value>| arg.is_some_and(|arg| arg.as_i64().is_ok());
    if is_whole(args.get(1)) && is_whole(args.get(2)) {
        return call("substring", args);
    }
    Err("substring: expects whole numbers".to_owned())
}

/// `format_int`.
pub(super) fn format_int(args: &[Value]) -> Result<Value, String> {
    let formatted = call("format_int", args)?;
    Ok(if formatted == "-0".into() { "0".into() } else { formatted })
}

/// `upper`: character by character, so that `ß` stays one.
pub(super) fn upper(args: &[Value]) -> Result<Value, String> {
    let upper = |c: char| {
        let code = u32::from(c);
        let mut mapped = c.to_uppercase();
        match (mapped.next(), mapped.next()) {
            (Some(upper), None) => upper,
            // Greek letters with an iota subscript, which have no capital of their own.
            _ if (0x1F80..0x1FB0).contains(&code) => char::from_u32(code | 8).unwrap_or(c),
            _ if matches!(code, 0x1FB3 | 0x1FC3 | 0x1FF3) => char::from_u32(code + 9).unwrap_or(c),
            _ => c,
        }
    };
    Ok(text(args, 0)?.chars().map(upper).collect::<String>().into())
}

/// `lower`: character by character.
pub(super) fn lower(args: &[Value]) -> Result<Value, String> {
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    Ok(text(args, 0)?.chars().map(lower).collect::<String>().into())
}

/// `strings.replace_n`: in one pass, so that inserted text is not replaced again.
pub(super) fn replace_n(args: &[Value]) -> Result<Value, String> {
    let patterns = args.first().and_then(|arg| arg.as_object().ok());
    let patterns = patterns.ok_or("strings.replace_n: expects an object")?;
    let pair = |(old, new): (&Value, &Value)| match (old, new) {
        (Value::String(old), Value::String(new)) => Ok(((**old).to_owned(), (**new).to_owned())),
        _ => Err("strings.replace_n: expects texts".to_owned()),
    };
    let mut patterns = patterns.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    patterns.sort();
    let mut rest = text(args, 1)?;
    let mut out = String::with_capacity(rest.len());
    // Directly after a replacement, an empty pattern doesn't match.
    let mut may_be_empty = true;
    loop {
        let found = patterns
            .iter()
            .find(|(old, _)| rest.starts_with(&**old) && (may_be_empty || !old.is_empty()));
        if let Some((old, new)) = found {
            out.push_str(new);
            rest = &rest[old.len()..];
            if !old.is_empty() {
                may_be_empty = false;
                continue;
            }
        }
        may_be_empty = true;
        let mut chars = rest.chars();
        let Some(c) = chars.next() else { return Ok(out.into()) };
        out.push(c);
        rest = chars.as_str();
    }
}

/// `json.marshal` and similar: Go escapes characters that are special in HTML and JavaScript.
pub(super) fn marshal(name: &str, args: &[Value]) -> Result<Value, String> {
    let json = call(name, args)?;
    let json = json.as_string().map_err(|error| error.to_string())?;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    Ok(out.into())
}

/// `json.filter` and `json.remove`: a path may begin with `/`.
pub(super) fn by_path(name: &str, args: &[Value]) -> Result<Value, String> {
    let [document, paths] = args else { return call(name, args) };
    let path = |path: &Value| match path {
        Value::String(path) => Value::from(path.trim_start_matches('/')),
        other => other.clone(),
    };
    let paths = match paths {
        Value::Array(paths) => paths.iter().map(path).collect::<Vec<_>>().into(),
        Value::Set(paths) => paths.iter().map(path).collect::<Vec<_>>().into(),
        other => other.clone(),
    };
    call(name, &[document.clone(), paths])
}

/// A version as OPA parses it: with an optional `v`, and leading zeros in its numbers.
fn version(written: &str) -> String {
    let written = written.strip_prefix('v').unwrap_or(written);
    let (rest, build) = written.split_once('+').map_or((written, None), |(a, b)| (a, Some(b)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { format!("{:0>1}", part.trim_start_matches('0')) } else { part.to_owned() }
    };
    let numbers = |text: &str| text.split('.').map(number).collect::<Vec<_>>().join(".");
    let mut version = numbers(core);
    if let Some(pre) = pre {
        version.push_str(&format!("-{}", numbers(pre)));
    }
    if let Some(build) = build {
        version.push_str(&format!("+{build}"));
    }
    version
}

/// `semver.compare`.
pub(super) fn semver_compare(args: &[Value]) -> Result<Value, String> {
    let (first, second) = (version(text(args, 0)?), version(text(args, 1)?));
    call("semver.compare", &[first.into(), second.into()])
}

/// `semver.is_valid`.
pub(super) fn semver_is_valid(args: &[Value]) -> Result<Value, String> {
    match text(args, 0) {
        Ok(written) => call("semver.is_valid", &[version(written).into()]),
        Err(_) => Ok(false.into()),
    }
}

/// Splits a text with a unit into its number and its unit.
fn unit<'a>(name: &str, args: &'a [Value]) -> Result<(&'a str, &'a str), String> {
    let written = text(args, 0)?.trim_matches('"');
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let end = written.rfind(is_number).map_or(0, |at| at + 1);
    let (number, unit) = written.split_at(end);
    if number.is_empty() {
        return Err(format!("{name}({written:?}): no number"));
    }
    Ok((number.strip_suffix('.').unwrap_or(number), unit))
}

/// `units.parse`.
pub(super) fn units_parse(args: &[Value]) -> Result<Value, String> {
    let (number, unit) = unit("units.parse", args)?;
    let is_known = matches!(
        unit.to_ascii_lowercase().as_str(),
        "" | "m" | "k" | "g" | "t" | "p" | "e" | "ki" | "mi" | "gi" | "ti" | "pi" | "ei"
    );
    if !is_known {
        return Err(format!("units.parse: there is no unit {unit:?}"));
    }
    call("units.parse", &[format!("{number}{unit}").into()])
}

/// `units.parse_bytes`: whole bytes.
pub(super) fn units_parse_bytes(args: &[Value]) -> Result<Value, String> {
    let (number, unit) = unit("units.parse_bytes", args)?;
    let lower = unit.to_ascii_lowercase();
    let of_parse = match lower.strip_suffix('b').unwrap_or(&lower) {
        "" if lower.is_empty() => "",
        "k" => "K",
        "m" => "M",
        "g" => "G",
        "t" => "T",
        "p" => "P",
        "e" => "E",
        "ki" => "Ki",
        "mi" => "Mi",
        "gi" => "Gi",
        "ti" => "Ti",
        "pi" => "Pi",
        "ei" => "Ei",
        _ => return Err(format!("units.parse_bytes: there is no unit {unit:?}")),
    };
    let bytes = call("units.parse", &[format!("{number}{of_parse}").into()])?;
    call("floor", &[bytes])
}
