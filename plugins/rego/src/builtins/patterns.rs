//! Regular expressions and globs in OPA's syntax, as patterns of the crate `regex`.
//!
//! A pattern whose meaning in Go differs is rewritten: `\d`, `\w`, `\s` and `\b` are ASCII in Go. A
//! pattern that Go refuses is refused.

use regorus::Value;

use super::{call, text};

/// The names that Go accepts between `[:` and `:]`.
const ASCII_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Converts a pattern in Go's syntax.
///
/// # Errors
/// Syntax that Go doesn't have, or that can't be converted.
pub(super) fn regex(pattern: &str) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut at, mut class) = (0, None);
    // 1 after a repetition, 2 after one that is lazy.
    let mut repeated = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let was_repeated = std::mem::take(&mut repeated);
        let literal = |c: char, out: &mut String| out.push_str(&::regex::escape(&c.to_string()));
        at += 1;
        match c {
            '\\' => {
                at += 1;
                let Some(escaped) = next else {
                    return Err("ends with a backslash".to_owned());
                };
                match escaped {
                    'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
                        let set = match escaped.to_ascii_lowercase() {
                            'd' => "0-9",
                            's' => r"\t\n\f\r ",
                            _ => "0-9A-Za-z_",
                        };
                        match (escaped.is_ascii_uppercase(), class.is_some()) {
                            (true, _) => out.push_str(&format!("[^{set}]")),
                            (false, false) => out.push_str(&format!("[{set}]")),
                            (false, true) => out.push_str(set),
                        }
                    }
                    'b' if class.is_none() => out.push_str(r"(?-u:\b)"),
                    'Q' => {
                        while let Some(&c) = chars.get(at)
                            && chars.get(at..at + 2) != Some(&['\\', 'E'])
                        {
                            literal(c, &mut out);
                            at += 1;
                        }
                        at += 2;
                    }
                    'p' | 'P' | 'x' => {
                        out.extend(['\\', escaped]);
                        if chars.get(at) == Some(&'{') {
                            let rest = &chars[at..];
                            let end = rest.iter().position(|&c| c == '}').unwrap_or(rest.len() - 1);
                            out.extend(&rest[..=end]);
                            at += end + 1;
                        }
                    }
                    'A' | 'z' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' => out.extend(['\\', escaped]),
                    _ if escaped.is_ascii_punctuation() => literal(escaped, &mut out),
                    _ => return Err(format!("`\\{escaped}` is no escape here")),
                }
            }
            '[' if class.is_none() => {
                out.push('[');
                if next == Some('^') {
                    out.push('^');
                    at += 1;
                }
                class = Some(at);
            }
            ']' if class.is_some_and(|begin| at > begin + 1) => {
                out.push(']');
                class = None;
            }
            '[' if next == Some(':') => {
                let rest = &chars[at..];
                let end = rest.iter().position(|&c| c == ']').unwrap_or(rest.len() - 1);
                let name: String = rest[..=end].iter().collect();
                let name = name.trim_start_matches(':').trim_end_matches(":]");
                if !ASCII_CLASSES.contains(&name.trim_start_matches('^')) {
                    return Err(format!("`[:{name}:]` is no class of characters"));
                }
                out.push('[');
                out.extend(&rest[..=end]);
                at += end + 1;
            }
            '-' if class.is_some_and(|begin| at > begin + 1) && next == Some('-') => {
                return Err("`--` is no range".to_owned());
            }
            '-' | '^' if class.is_some() => out.push(c),
            _ if class.is_some() => literal(c, &mut out),
            '(' => {
                out.push('(');
                if next == Some('?') {
                    let flags: String =
                        chars[at + 1..].iter().take_while(|c| !")<:P".contains(**c)).collect();
                    if let Some(flag) = flags.chars().find(|&flag| !"imsU-".contains(flag)) {
                        return Err(format!("`(?{flag}` is nothing here"));
                    }
                    out.push_str(&format!("?{flags}"));
                    at += 1 + flags.chars().count();
                    let name = chars[at..].iter().skip_while(|c| **c == 'P');
                    let mut name = name.take_while(|c| **c != '>');
                    if name.next() == Some(&'<')
                        && !name.all(|c| c.is_ascii_alphanumeric() || *c == '_')
                    {
                        return Err("the name of a group is of letters, digits and _".to_owned());
                    }
                }
            }
            '*' | '+' | '?' | '{' => {
                let mut operator = c.to_string();
                if c == '{' {
                    let body: String = chars[at..].iter().take_while(|c| **c != '}').collect();
                    let (least, most) = body.split_once(',').unwrap_or((&body, ""));
                    let is_number =
                        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                    let is_closed = chars.get(at + body.chars().count()).is_some();
                    if !is_closed || !is_number(least) || !(most.is_empty() || is_number(most)) {
                        out.push_str(r"\{");
                        continue;
                    }
                    let is_large = |text: &&str| text.parse::<u32>().map_or(true, |n| n > 1000);
                    if [least, most].iter().filter(|text| !text.is_empty()).any(is_large) {
                        return Err(format!("`{{{body}}}` is more than 1000 times"));
                    }
                    at += body.len() + 1;
                    operator = format!("{{{body}}}");
                }
                repeated = match was_repeated {
                    0 => 1,
                    1 if c == '?' => 2,
                    _ => return Err(format!("`{operator}` repeats what is repeated")),
                };
                out.push_str(&operator);
            }
            '}' => out.push_str(r"\}"),
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// Calls a regular expression function after converting the pattern, which is argument `at`.
pub(super) fn with_pattern(name: &str, at: usize, args: &[Value]) -> Result<Value, String> {
    let pattern = text(args, at)?;
    let mut translated = args.to_vec();
    translated[at] = regex(pattern)?.into();
    call(name, &translated)
}

/// `regex.is_valid`.
pub(super) fn is_valid(args: &[Value]) -> Result<Value, String> {
    match regex(text(args, 0)?) {
        Ok(pattern) => call("regex.is_valid", &[pattern.into()]),
        Err(_) => Ok(false.into()),
    }
}

/// `regex.replace`: in Go, `$1x` is the group named `1x`, and a `$` that begins no name is literal.
pub(super) fn replace(args: &[Value]) -> Result<Value, String> {
    let [s, _, _] = args else { return Err("expects three texts".to_owned()) };
    let pattern = regex(text(args, 1)?)?;
    let template = template(text(args, 2)?);
    call("regex.replace", &[s.clone(), pattern.into(), template.into()])
}

/// Converts a template from Go's syntax to that of the crate `regex`.
fn template(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
            continue;
        }
        let (is_braced, begin) = after.strip_prefix('{').map_or((false, after), |a| (true, a));
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = begin.find(|c| !is_name(c)).unwrap_or(begin.len());
        let (name, tail) = begin.split_at(end);
        let tail = if is_braced { tail.strip_prefix('}') } else { Some(tail) };
        match tail.filter(|_| !name.is_empty()) {
            Some(tail) => {
                // A number with a leading zero is the name of a group that doesn't exist.
                if !(name.len() > 1 && name.starts_with('0')) {
                    out.push_str(&format!("${{{name}}}"));
                }
                rest = tail;
            }
            None => {
                out.push_str("$$");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// `regex.split`: in Go, an empty match at the beginning or the end doesn't split.
pub(super) fn split(args: &[Value]) -> Result<Value, String> {
    let (pattern, s) = (regex(text(args, 0)?)?, text(args, 1)?);
    if s.is_empty() {
        call("regex.match", &[pattern.clone().into(), s.into()])?;
        let parts = if pattern.is_empty() { vec![] } else { vec![s.into()] };
        return Ok(Value::from(parts));
    }
    let parts = call("regex.split", &[pattern.clone().into(), s.into()])?;
    let is_empty = |part: Option<&Value>| part.is_some_and(|part| *part == "".into());
    let mut parts = parts.as_array().map_err(|error| error.to_string())?.to_vec();
    if parts.len() > 1 && (is_empty(parts.first()) || is_empty(parts.last())) {
        let found = call("regex.find_n", &[pattern.into(), s.into(), (-1_i64).into()])?;
        let found = found.as_array().map_err(|error| error.to_string())?;
        if is_empty(parts.last()) && is_empty(found.last()) {
            parts.pop();
        }
        if is_empty(parts.first()) && is_empty(found.first()) {
            parts.remove(0);
        }
    }
    Ok(Value::from(parts))
}

/// `regex.template_match`: a text with regular expressions between delimiters.
pub(super) fn template_match(args: &[Value]) -> Result<Value, String> {
    let (template, s) = (text(args, 0)?, text(args, 1)?);
    let (open, close) = (text(args, 2)?, text(args, 3)?);
    let (Some(open), Some(close)) = (open.chars().next(), close.chars().next()) else {
        return Err("expects a delimiter".to_owned());
    };
    let (mut depth, mut part, mut pattern) = (0_usize, String::new(), String::from("^"));
    for c in template.chars() {
        let is_open = c == open && (depth > 0 || open != close || depth == 0);
        if c == close && depth > 0 {
            depth -= 1;
            if depth == 0 {
                pattern.push_str(&format!("({})", regex(&std::mem::take(&mut part))?));
                continue;
            }
        } else if c == close && open != close {
            return Err("the delimiters don't match".to_owned());
        } else if is_open {
            depth += 1;
            if depth == 1 {
                pattern.push_str(&::regex::escape(&std::mem::take(&mut part)));
                continue;
            }
        }
        part.push(c);
    }
    if depth > 0 {
        return Err("the delimiters don't match".to_owned());
    }
    pattern.push_str(&format!("{}$", ::regex::escape(&part)));
    call("regex.match", &[pattern.into(), s.into()])
}

/// `glob.match`.
pub(super) fn glob_match(args: &[Value]) -> Result<Value, String> {
    let delimiters = match args.get(1) {
        Some(Value::Null) => String::new(),
        Some(Value::Array(items)) if items.is_empty() => ".".to_owned(),
        Some(Value::Array(items)) => {
            let mut delimiters = String::new();
            for item in items.iter() {
                let item = item.as_string().map_err(|error| error.to_string())?;
                if item.chars().count() != 1 {
                    return Err(format!("{item:?} is not a single character"));
                }
                delimiters.push_str(item);
            }
            delimiters
        }
        _ => return Err("expects an array of texts, or null".to_owned()),
    };
    let pattern = glob(text(args, 0)?, &delimiters)?;
    call("regex.match", &[pattern.into(), text(args, 2)?.into()])
}

/// A glob as a regular expression: `*` and `?` stop at a delimiter, `**` doesn't.
fn glob(pattern: &str, delimiters: &str) -> Result<String, String> {
    let one = if delimiters.is_empty() {
        ".".to_owned()
    } else {
        let escaped: String = delimiters.chars().map(|c| ::regex::escape(&c.to_string())).collect();
        format!("[^{escaped}]")
    };
    let mut out = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    let mut depth = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                out.push_str(".*");
            }
            '*' => out.push_str(&format!("{one}*")),
            '?' => out.push_str(&one),
            '[' => {
                let not = if chars.next_if_eq(&'!').is_some() { "^" } else { "" };
                let mut set = String::new();
                loop {
                    match chars.next() {
                        None => return Err("`[` is not closed".to_owned()),
                        Some(']') if !set.is_empty() => break,
                        Some('\\') => set.extend(chars.next()),
                        Some(c) => set.push(c),
                    }
                }
                let set = set.replace('\\', r"\\").replace(']', r"\]").replace('[', r"\[");
                let set = set.replace('&', r"\&").replace('~', r"\~").replace('^', r"\^");
                out.push_str(&format!("[{not}{set}]"));
            }
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '\\' => {
                let escaped = chars.next().ok_or("ends with a backslash")?;
                out.push_str(&::regex::escape(&escaped.to_string()));
            }
            c => out.push_str(&::regex::escape(&c.to_string())),
        }
    }
    if depth > 0 {
        return Err("`{` is not closed".to_owned());
    }
    out.push('$');
    Ok(out)
}

/// `glob.quote_meta`.
pub(super) fn quote_meta(args: &[Value]) -> Result<Value, String> {
    let mut out = String::new();
    for c in text(args, 0)?.chars() {
        if r"*?\[]{}".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(out.into())
}
