//! Tables whose keys the host does not know, such as the settings of a plugin: as JSON, with the
//! lines of their values.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::reader::Reader;

/// Settings of a plugin, as JSON, and the line of each value by its JSON pointer.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSettings {
    /// A JSON object.
    pub json: Json,
    lines: BTreeMap<String, usize>,
}

impl PluginSettings {
    /// No settings; problems with them are shown at `line`.
    pub fn empty(line: usize) -> Self {
        Self {
            json: Json::Object(serde_json::Map::new()),
            lines: BTreeMap::from([(String::new(), line)]),
        }
    }

    /// Settings from a TOML text that contains nothing else.
    ///
    /// # Errors Every syntax error, with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.toml_error(&error);
        }
        match reader.problems.is_empty() {
            true => Ok(Self::read(&reader, root.get_ref(), 1)),
            false => Err(reader.problems),
        }
    }

    /// These settings, with the missing keys from others.
    pub fn with_defaults(mut self, others: serde_json::Map<String, Json>) -> Self {
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
