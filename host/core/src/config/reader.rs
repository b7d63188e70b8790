//! Reading TOML against the table of keys: every value is checked against its form, every
//! unknown key is a problem, and all problems are collected with their lines.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Form, Key, Table, Unwritten};
use super::problem::{Problem, suggestion};
use crate::http::{HttpSecret, SecretPlace, Url, UrlError, UrlSecret, is_framing, placeholders};

/// Durations are within these bounds.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Turns byte offsets into lines and collects problems.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new() }
    }

    pub fn line(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub fn problem(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(Problem { line, message: message.into() });
    }

    /// Checks the tables' names against those that exist.
    pub fn known_tables(&mut self, root: &DeTable<'_>, tables: &[&str]) {
        for key in root.keys() {
            let name = key.get_ref().as_ref();
            if !tables.contains(&name) {
                let hint = suggestion(name, tables.iter().copied());
                let line = self.line(key.span().start);
                self.problem(line, format!("unknown table `{name}`{hint}"));
            }
        }
    }

    /// One table; an absent one reads as empty.
    pub fn table<'t, 'i>(
        &mut self,
        parent: &'t DeTable<'i>,
        name: &str,
        spec: &'static Table,
        nested: &[&str],
    ) -> Section<'t, 'i> {
        let Some((key, value)) = parent.get_key_value(name) else {
            return Section::absent(spec);
        };
        let line = self.line(key.span().start);
        self.section(value, line, spec, nested)
    }

    /// Tables written once for each thing.
    pub fn tables<'t, 'i>(
        &mut self,
        parent: &'t DeTable<'i>,
        name: &str,
        spec: &'static Table,
        nested: &[&str],
    ) -> Vec<Section<'t, 'i>> {
        let Some(value) = parent.get(name) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            let line = self.line(value.span().start);
            self.problem(line, format!("`{name}` is written as {}, once for each", spec.heading()));
            return Vec::new();
        };
        items
            .iter()
            .map(|item| {
                let line = self.line(item.span().start);
                self.section(item, line, spec, nested)
            })
            .collect()
    }

    /// Notes what the TOML parser can't read.
    pub fn not_toml(&mut self, error: &toml::de::Error) {
        let line = self.line(error.span().map_or(0, |span| span.start));
        self.problem(line, format!("not TOML: {}", error.message().trim()));
    }

    fn section<'t, 'i>(
        &mut self,
        value: &'t Spanned<DeValue<'i>>,
        line: usize,
        spec: &'static Table,
        nested: &[&str],
    ) -> Section<'t, 'i> {
        let Some(table) = value.get_ref().as_table() else {
            self.problem(
                line,
                format!("`{}` is {}, expected a table", spec.name, show(value.get_ref())),
            );
            return Section { spec, table: None, line };
        };
        let names: Vec<&str> =
            spec.keys.iter().map(|key| key.name).chain(nested.iter().copied()).collect();
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !names.contains(&name) {
                let hint = suggestion(name, names.iter().copied());
                let line = self.line(key.span().start);
                self.problem(line, format!("unknown key `{name}` in {}{hint}", spec.heading()));
            }
        }
        Section { spec, table: Some(table), line }
    }
}

/// One table being read.
pub(super) struct Section<'t, 'i> {
    spec: &'static Table,
    pub table: Option<&'t DeTable<'i>>,
    /// Where it begins.
    pub line: usize,
}

/// A value that has the form of its key.
enum Value {
    Integer(i64),
    Text(String),
    Duration(Duration),
    Bytes(u64),
    Texts(Vec<String>),
    Flag(bool),
    Url(Url),
    GrantUrl(Url, Vec<String>),
    Secret(HttpSecret),
    UrlSecrets(Vec<UrlSecret>),
    Secrets(Vec<(String, HttpSecret)>),
}

impl Section<'_, '_> {
    /// A table that isn't written.
    pub fn absent(spec: &'static Table) -> Self {
        Self { spec, table: None, line: 1 }
    }

    /// Line of a key, or of the table when it isn't written.
    pub fn line_of(&self, reader: &Reader<'_>, name: &str) -> usize {
        self.table
            .and_then(|table| table.get_key_value(name))
            .map_or(self.line, |(key, _)| reader.line(key.span().start))
    }

    /// A whole number; `None` when it is wrong, or neither written nor given by a default.
    pub fn integer(&self, reader: &mut Reader<'_>, name: &str) -> Option<i64> {
        match self.value(reader, name)? {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A text of any form; `None` as with [`Section::integer`].
    pub fn text(&self, reader: &mut Reader<'_>, name: &str) -> Option<String> {
        match self.value(reader, name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A span of time; `None` as with [`Section::integer`].
    pub fn duration(&self, reader: &mut Reader<'_>, name: &str) -> Option<Duration> {
        match self.value(reader, name)? {
            Value::Duration(duration) => Some(duration),
            _ => None,
        }
    }

    /// An amount of memory; `None` as with [`Section::integer`].
    pub fn bytes(&self, reader: &mut Reader<'_>, name: &str) -> Option<u64> {
        match self.value(reader, name)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A list of texts; `None` as with [`Section::integer`].
    pub fn texts(&self, reader: &mut Reader<'_>, name: &str) -> Option<Vec<String>> {
        match self.value(reader, name)? {
            Value::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// `true` or `false`; `None` as with [`Section::integer`].
    pub fn flag(&self, reader: &mut Reader<'_>, name: &str) -> Option<bool> {
        match self.value(reader, name)? {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// A URL; `None` as with [`Section::integer`].
    pub fn url(&self, reader: &mut Reader<'_>, name: &str) -> Option<Url> {
        match self.value(reader, name)? {
            Value::Url(url) => Some(url),
            _ => None,
        }
    }

    /// The URL of a grant, and the parameters of its query; `None` as with
    /// [`Section::integer`].
    pub fn grant_url(&self, reader: &mut Reader<'_>, name: &str) -> Option<(Url, Vec<String>)> {
        match self.value(reader, name)? {
            Value::GrantUrl(url, query) => Some((url, query)),
            _ => None,
        }
    }

    /// Secrets by the names of placeholders; `None` as with [`Section::integer`].
    pub fn url_secrets(&self, reader: &mut Reader<'_>, name: &str) -> Option<Vec<UrlSecret>> {
        match self.value(reader, name)? {
            Value::UrlSecrets(secrets) => Some(secrets),
            _ => None,
        }
    }

    /// Where a secret is; `None` as with [`Section::integer`].
    pub fn secret(&self, reader: &mut Reader<'_>, name: &str) -> Option<HttpSecret> {
        match self.value(reader, name)? {
            Value::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// Secrets by the names of header fields in lower case; `None` as with
    /// [`Section::integer`].
    pub fn secrets(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Option<Vec<(String, HttpSecret)>> {
        match self.value(reader, name)? {
            Value::Secrets(secrets) => Some(secrets),
            _ => None,
        }
    }

    fn value(&self, reader: &mut Reader<'_>, name: &str) -> Option<Value> {
        let key = self.spec.keys.iter().find(|key| key.name == name);
        debug_assert!(key.is_some(), "{} has no key {name}", self.spec.name);
        let key = key?;
        match self.table.and_then(|table| table.get(name)) {
            Some(written) => {
                let line = reader.line(written.span().start);
                match parse(key, written.get_ref()) {
                    Ok(value) => Some(value),
                    Err(found) => {
                        let message = format!(
                            "`{}.{}` is {found}, expected {}",
                            self.spec.name, key.name, key.form
                        );
                        reader.problem(line, message);
                        // Read on, so that what follows is checked as well.
                        match key.default {
                            Unwritten::Is(text) => default(key, text),
                            Unwritten::Required | Unwritten::Nothing(_) => None,
                        }
                    }
                }
            }
            None => match key.default {
                Unwritten::Is(text) => default(key, text),
                // A table that isn't written at all is not missing its keys.
                Unwritten::Required if self.table.is_some() => {
                    let message = format!(
                        "`{}` is missing in {}: expected {}",
                        key.name,
                        self.spec.heading(),
                        key.form
                    );
                    reader.problem(self.line, message);
                    None
                }
                Unwritten::Required | Unwritten::Nothing(_) => None,
            },
        }
    }
}

/// A default, which is kept as the text that would be written, its quotes left out.
fn default(key: &Key, text: &str) -> Option<Value> {
    let written = DeValue::parse(text).ok().and_then(|value| parse(key, value.get_ref()).ok());
    written.or_else(|| parse(key, &DeValue::String(text.into())).ok())
}

/// A value of the key's form, or what was found instead.
fn parse(key: &Key, value: &DeValue<'_>) -> Result<Value, String> {
    let found = || show(value);
    match key.form {
        Form::Integer { min, max } => value
            .as_integer()
            .and_then(|number| {
                i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
            })
            .filter(|number| (min..=max).contains(number))
            .map(Value::Integer)
            .ok_or_else(found),
        Form::Text => text(value, |text| !text.trim().is_empty()),
        Form::Texts => texts(value, |text| !text.trim().is_empty()),
        Form::Name => text(value, is_name),
        Form::Choice(choices) => text(value, |text| choices.contains(&text)),
        Form::Sha256 => {
            text(value, |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        }
        Form::QueueUrl => text(value, |text| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| rest.split('/').filter(|part| !part.is_empty()).count() >= 3)
        }),
        Form::TopicArn => text(value, |text| {
            let parts: Vec<&str> = text.split(':').collect();
            matches!(parts.as_slice(), ["arn", _, "sns", region, account, name]
                if !region.is_empty() && account.len() == 12 && !name.is_empty())
        }),
        Form::Duration => value
            .as_str()
            .and_then(|text| humantime::parse_duration(text).ok())
            .filter(|duration| (SHORTEST..=LONGEST).contains(duration))
            .map(Value::Duration)
            .ok_or_else(found),
        Form::Bytes => value.as_str().and_then(bytes).map(Value::Bytes).ok_or_else(found),
        Form::Choices(choices) => texts(value, |text| choices.contains(&text)),
        Form::Flag => value.as_bool().map(Value::Flag).ok_or_else(found),
        Form::Url => value
            .as_str()
            .ok_or_else(found)
            .and_then(|text| Url::parse(text).map_err(|error| format!("{} ({error})", found())))
            .map(Value::Url),
        Form::GrantUrl => value
            .as_str()
            .ok_or_else(found)
            .and_then(|text| grant_url(text).map_err(|error| format!("{} ({error})", found())))
            .map(|(url, query)| Value::GrantUrl(url, query)),
        Form::Secret => secret(value).map(Value::Secret),
        Form::UrlSecrets => url_secrets(value).map(Value::UrlSecrets),
        Form::Secrets => secrets(value).map(Value::Secrets),
        Form::Settings => Err(found()),
    }
}

/// The URL of a grant. Its query has only parameters with a placeholder: the rest of a query is
/// the plugin's.
fn grant_url(text: &str) -> Result<(Url, Vec<String>), UrlError> {
    let (url, query) = match text.split_once('?') {
        Some((url, query)) => (url, query.split('&').map(str::to_owned).collect()),
        None => (text, vec![]),
    };
    let has_placeholder = |parameter: &String| placeholders(parameter).next().is_some();
    if !query.iter().all(has_placeholder) || text.contains('#') {
        return Err(UrlError::Query);
    }
    Ok((Url::parse(url)?, query))
}

/// Where a secret is. What was written instead may be the secret itself, and is not shown.
fn secret(value: &DeValue<'_>) -> Result<HttpSecret, String> {
    let kind = match value {
        DeValue::String(_) => "a text",
        DeValue::Table(_) => "another table",
        _ => "no table",
    };
    let found = || format!("{kind} (not shown here, since it may be a secret)");
    let table = value.as_table().ok_or_else(found)?;
    let text = |name: &str| match table.get(name) {
        None => Ok(None),
        Some(value) => {
            let text = value.get_ref().as_str().filter(|text| !text.is_empty());
            text.map(|text| Some(text.to_owned())).ok_or_else(found)
        }
    };
    let known = ["env", "file", "secret", "prefix", "field"];
    if table.keys().any(|key| !known.contains(&key.get_ref().as_ref())) {
        return Err(found());
    }
    let place = match (text("env")?, text("file")?, text("secret")?, text("field")?) {
        (Some(name), None, None, None) => SecretPlace::Variable(name),
        (None, Some(path), None, None) => SecretPlace::File(path.into()),
        (None, None, Some(id), field) => SecretPlace::Stored { id, field },
        _ => return Err(found()),
    };
    Ok(HttpSecret { prefix: text("prefix")?.unwrap_or_default(), place })
}

fn secrets(value: &DeValue<'_>) -> Result<Vec<(String, HttpSecret)>, String> {
    let table = value.as_table().ok_or("no table (not shown here, since it may be a secret)")?;
    table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().as_ref();
            if !is_header(name) {
                return Err(format!("a table with {name:?}, which is no header field to add"));
            }
            let secret = secret(value.get_ref())
                .map_err(|found| format!("a table in which `{name}` is {found}"))?;
            Ok((name.to_ascii_lowercase(), secret))
        })
        .collect()
}

fn url_secrets(value: &DeValue<'_>) -> Result<Vec<UrlSecret>, String> {
    let table = value.as_table().ok_or("no table (not shown here, since it may be a secret)")?;
    table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().as_ref();
            if !is_name(name) {
                return Err(format!("a table with {name:?}, which is not {}", Form::Name));
            }
            let within = |found| format!("a table in which `{name}` is {found}");
            let secret = secret(value.get_ref()).map_err(within)?;
            if !secret.prefix.is_empty() {
                return Err(within("one with a `prefix`, which belongs into the URL".to_owned()));
            }
            Ok(UrlSecret { name: name.to_owned(), secret })
        })
        .collect()
}

/// The name of a header field (RFC 9110, 5.1) that isn't the host's own.
pub(super) fn is_header(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fit) && !is_framing(name)
}

fn text(value: &DeValue<'_>, accept: impl Fn(&str) -> bool) -> Result<Value, String> {
    value
        .as_str()
        .filter(|text| accept(text))
        .map(|text| Value::Text(text.to_owned()))
        .ok_or_else(|| show(value))
}

/// A list that is not empty, of texts that are accepted.
fn texts(value: &DeValue<'_>, accept: impl Fn(&str) -> bool) -> Result<Value, String> {
    let found = || show(value);
    let texts: Option<Vec<String>> = value
        .as_array()
        .ok_or_else(found)?
        .iter()
        .map(|item| item.get_ref().as_str().filter(|text| accept(text)).map(str::to_owned))
        .collect();
    texts.filter(|texts| !texts.is_empty()).map(Value::Texts).ok_or_else(found)
}

/// Fit for the ledger's keys and for the last line of a support case.
pub(super) fn is_name(text: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=40).contains(&text.len()) && text.bytes().all(fit)
}

/// `64MiB`, `64KiB`, `1GiB` or plain bytes as `4096B`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// A written value as a problem shows it; long ones cut.
fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let short: String = text.chars().take(60).collect();
            format!("\"{short}\"")
        }
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| show(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Settings of a plugin, as JSON, and the line of each value by its JSON pointer.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A JSON object.
    pub json: Json,
    lines: BTreeMap<String, usize>,
}

impl Settings {
    /// No settings; problems with them are shown at `line`.
    pub fn empty(line: usize) -> Self {
        Self {
            json: Json::Object(serde_json::Map::new()),
            lines: BTreeMap::from([(String::new(), line)]),
        }
    }

    /// Settings in a TOML text of their own.
    ///
    /// # Errors
    /// Everything that is not TOML, with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.not_toml(&error);
        }
        match reader.problems.is_empty() {
            true => Ok(Self::read(&reader, root.get_ref(), 1)),
            false => Err(reader.problems),
        }
    }

    /// These settings, and of others the keys that these lack.
    pub fn or(mut self, others: serde_json::Map<String, Json>) -> Self {
        if let Json::Object(own) = &mut self.json {
            for (key, value) in others {
                own.entry(key).or_insert(value);
            }
        }
        self
    }

    /// All texts among the settings, by their JSON pointers.
    pub fn texts(&self) -> Vec<(String, &str)> {
        let mut texts = Vec::new();
        for at in self.lines.keys() {
            if let Some(text) = self.json.pointer(at).and_then(Json::as_str) {
                texts.push((at.clone(), text));
            }
        }
        texts
    }

    /// Line of the value at a JSON pointer, or of the nearest value around it.
    pub fn line(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 1,
            }
        }
    }

    pub(super) fn read(reader: &Reader<'_>, table: &DeTable<'_>, line: usize) -> Self {
        let mut lines = BTreeMap::from([(String::new(), line)]);
        let json = json_table(reader, table, "", &mut lines);
        Self { json, lines }
    }
}

fn json_table(
    reader: &Reader<'_>,
    table: &DeTable<'_>,
    at: &str,
    lines: &mut BTreeMap<String, usize>,
) -> Json {
    let entries = table.iter().map(|(key, value)| {
        let name = key.get_ref().as_ref();
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        lines.insert(at.clone(), reader.line(key.span().start));
        (name.to_owned(), json(reader, value.get_ref(), &at, lines))
    });
    Json::Object(entries.collect())
}

fn json(
    reader: &Reader<'_>,
    value: &DeValue<'_>,
    at: &str,
    lines: &mut BTreeMap<String, usize>,
) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.as_ref().to_owned()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).map_or(Json::String(digits), Json::from)
        }
        DeValue::Float(number) => {
            number.as_str().replace('_', "").parse::<f64>().map_or(Json::Null, Json::from)
        }
        DeValue::Boolean(flag) => Json::Bool(*flag),
        DeValue::Datetime(moment) => Json::String(moment.to_string()),
        DeValue::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let at = format!("{at}/{index}");
                lines.insert(at.clone(), reader.line(item.span().start));
                json(reader, item.get_ref(), &at, lines)
            })
            .collect(),
        DeValue::Table(table) => json_table(reader, table, at, lines),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::TABLES;
    use super::*;

    #[test]
    fn every_default_has_the_form_of_its_key() {
        for table in TABLES {
            for key in table.keys {
                if let Unwritten::Is(text) = key.default {
                    assert!(default(key, text).is_some(), "{}.{}: {text}", table.name, key.name);
                }
            }
        }
    }
}
