//! Reads TOML by the tables of keys: every value is checked against its form, every unknown key is
//! a problem, and all problems are collected with their lines.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::forms::{Parse, show};
use super::keys::{Key, KeyDefault, TABLES, Table};
use super::problem::{Problem, suggestion};
use super::settings::PluginSettings;

/// Turns byte offsets into lines and collects problems.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub problems: Vec<Problem>,
    /// Problems that do not keep the config from being used.
    pub warnings: Vec<Problem>,
}

/// The values of the keys of one table; `table!` implements it.
pub(super) trait TableValues: Sized {
    /// The table.
    const TABLE: &'static Table;

    /// Reads it. `None` if a default does not have the form of its key, which a test rules out.
    fn read(from: &mut TableReader<'_, '_, '_>) -> Option<Self>;
}

/// The value of one key.
pub(super) struct KeyValue<T> {
    pub value: T,
    /// Line of the key, or of its table if the key is not in the text.
    pub line: usize,
}

impl<T> KeyValue<Option<T>> {
    /// The value of a key that always has one.
    pub fn required(self) -> Option<KeyValue<T>> {
        Some(KeyValue { value: self.value?, line: self.line })
    }
}

/// A table that was read.
pub(super) struct Section<'t, 'i, V> {
    pub keys: V,
    /// The line of its heading.
    pub line: usize,
    /// The table itself, for the tables within it; `None` if it is missing, or not a table.
    pub table: Option<&'t DeTable<'i>>,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new(), warnings: Vec::new() }
    }

    pub fn line(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub fn problem(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(Problem { line, message: message.into() });
    }

    /// Adds an error of the TOML parser.
    pub fn toml_error(&mut self, error: &toml::de::Error) {
        let line = self.line(error.span().map_or(0, |span| span.start));
        self.problem(line, format!("not TOML: {}", error.message().trim()));
    }

    /// Checks the names of tables against those that exist.
    pub fn check_table_names(&mut self, root: &DeTable<'_>) {
        let names: Vec<&str> =
            TABLES.iter().map(|table| table.name).filter(|name| !name.contains('.')).collect();
        for key in root.keys() {
            let name = key.get_ref().as_ref();
            if !names.contains(&name) {
                let hint = suggestion(name, names.iter().copied());
                let line = self.line(key.span().start);
                self.problem(line, format!("unknown table `{name}`{hint}"));
            }
        }
    }

    /// A table within another. A missing table reads as an empty one.
    pub fn table<'t, 'i, V: TableValues>(
        &mut self,
        parent: Option<&'t DeTable<'i>>,
    ) -> Option<Section<'t, 'i, V>> {
        match parent.and_then(|parent| parent.get_key_value(V::TABLE.own_name())) {
            Some((key, value)) => {
                let line = self.line(key.span().start);
                self.section(value, line)
            }
            None => self.values(None, 1),
        }
    }

    /// The tables of an array within another table.
    pub fn tables<'t, 'i, V: TableValues>(
        &mut self,
        parent: Option<&'t DeTable<'i>>,
    ) -> Vec<Section<'t, 'i, V>> {
        let name = V::TABLE.own_name();
        let Some(value) = parent.and_then(|parent| parent.get(name)) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            let line = self.line(value.span().start);
            let heading = V::TABLE.heading();
            self.problem(line, format!("`{name}` is written as {heading}, once for each"));
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| {
                let line = self.line(item.span().start);
                self.section(item, line)
            })
            .collect()
    }

    fn section<'t, 'i, V: TableValues>(
        &mut self,
        value: &'t Spanned<DeValue<'i>>,
        line: usize,
    ) -> Option<Section<'t, 'i, V>> {
        let spec = V::TABLE;
        let table = value.get_ref().as_table();
        match table {
            Some(table) => self.check_key_names(spec, table),
            None => {
                let found = show(value.get_ref());
                self.problem(line, format!("`{}` is {found}, expected a table", spec.name));
            }
        }
        self.values(table, line)
    }

    fn check_key_names(&mut self, spec: &Table, table: &DeTable<'_>) {
        let keys = spec.keys.iter().map(|key| key.name);
        let names: Vec<&str> = keys.chain(spec.tables().map(Table::own_name)).collect();
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            let is_alias = spec.keys.iter().any(|key| key.aliases.contains(&name));
            if !names.contains(&name) && !is_alias {
                let hint = suggestion(name, names.iter().copied());
                let line = self.line(key.span().start);
                self.problem(line, format!("unknown key `{name}` in {}{hint}", spec.heading()));
            }
        }
    }

    fn values<'t, 'i, V: TableValues>(
        &mut self,
        table: Option<&'t DeTable<'i>>,
        line: usize,
    ) -> Option<Section<'t, 'i, V>> {
        let keys = V::read(&mut TableReader { reader: self, spec: V::TABLE, table, line })?;
        Some(Section { keys, line, table })
    }

    /// A table within another whose keys the host does not know.
    pub fn freeform_table<'t, 'i>(
        &self,
        parent: Option<&'t DeTable<'i>>,
        spec: &Table,
    ) -> Option<FreeformTable<'t, 'i>> {
        let name = spec.own_name();
        let (key, value) = parent?.get_key_value(name)?;
        Some(FreeformTable { name, value: value.get_ref(), line: self.line(key.span().start) })
    }
}

/// A table whose keys the host does not know.
pub(super) struct FreeformTable<'t, 'i> {
    name: &'static str,
    value: &'t DeValue<'i>,
    /// The line of its heading.
    pub line: usize,
}

impl FreeformTable<'_, '_> {
    /// Its content; `None` if it is not a table.
    pub fn read(&self, reader: &mut Reader<'_>) -> Option<PluginSettings> {
        let table = self.value.as_table();
        if table.is_none() {
            reader.problem(self.line, format!("`{}` is not a table", self.name));
        }
        table.map(|table| PluginSettings::read(reader, table, self.line))
    }
}

/// A table in the text while its keys are read.
pub(super) struct TableReader<'r, 'a, 't> {
    reader: &'r mut Reader<'a>,
    spec: &'static Table,
    table: Option<&'t DeTable<'t>>,
    line: usize,
}

impl<'t> TableReader<'_, '_, 't> {
    /// Reads a key. Its value is `None` if it is invalid, or neither in the text nor given by a
    /// default.
    pub fn read<F: Parse>(&mut self, key: &Key) -> KeyValue<Option<F::Value>> {
        let Some((name, line, value)) = self.find(key) else {
            return KeyValue { value: self.default_value::<F>(key), line: self.line };
        };
        let value = match F::parse(value.get_ref()) {
            Ok(value) => Some(value),
            Err(found) => {
                let at = self.reader.line(value.span().start);
                let message =
                    format!("`{}.{name}` is {found}, expected {}", self.spec.name, key.form);
                self.reader.problem(at, message);
                // The default is used, so that what follows is checked as well.
                default::<F>(key)
            }
        };
        KeyValue { value, line }
    }

    /// The value if the key is not in the text.
    fn default_value<F: Parse>(&mut self, key: &Key) -> Option<F::Value> {
        // A missing table is not missing its keys.
        if key.default == KeyDefault::Required && self.table.is_some() {
            let heading = self.spec.heading();
            let message = format!("`{}` is missing in {heading}: expected {}", key.name, key.form);
            self.reader.problem(self.line, message);
        }
        default::<F>(key)
    }

    /// The name under which a key is written, its line, and its value.
    fn find(&mut self, key: &Key) -> Option<(&'static str, usize, &'t Spanned<DeValue<'t>>)> {
        let table = self.table?;
        let mut written = key.names().filter_map(|name| {
            let (at, value) = table.get_key_value(name)?;
            Some((name, self.reader.line(at.span().start), value))
        });
        let first = written.next();
        let others: Vec<_> = written.collect();
        let (name, line, _) = first?;
        if name != key.name {
            let heading = self.spec.heading();
            let message = format!("`{name}` in {heading} is now called `{}`", key.name);
            self.reader.warnings.push(Problem { line, message });
        }
        for (other, line, _) in others {
            let message = format!(
                "`{other}` is an older name of `{}`, and `{name}` is written as well: remove \
                 `{other}`",
                key.name
            );
            self.reader.problem(line, message);
        }
        first
    }
}

/// A default, which is stored as it would be written, without quotes.
fn default<F: Parse>(key: &Key) -> Option<F::Value> {
    let KeyDefault::Is(text) = key.default else { return None };
    let written = DeValue::parse(text).ok().and_then(|value| F::parse(value.get_ref()).ok());
    written.or_else(|| F::parse(&DeValue::String(text.into())).ok())
}

#[cfg(test)]
mod tests {
    use super::super::forms::{Duration, Integer, Text};
    use super::super::keys;
    use super::super::keys::declare::table;
    use super::*;
    use rstest::rstest;

    /// The name of a table, after checking that all its defaults have the form of their key.
    fn with_defaults<V: TableValues>() -> &'static str {
        let section: Option<Section<'_, '_, V>> = Reader::new("").table(None);
        assert!(section.is_some(), "{:?}", V::TABLE);
        V::TABLE.name
    }

    #[test]
    fn every_default_has_the_form_of_its_key() {
        let read = [
            with_defaults::<keys::Aws>(),
            with_defaults::<keys::AccountFactory>(),
            with_defaults::<keys::Updates>(),
            with_defaults::<keys::Lanes>(),
            with_defaults::<keys::Queues>(),
            with_defaults::<keys::Ledger>(),
            with_defaults::<keys::Alerts>(),
            with_defaults::<keys::Policies>(),
            with_defaults::<keys::Limits>(),
            with_defaults::<keys::Notifiers>(),
            with_defaults::<keys::NotifierLimits>(),
            with_defaults::<keys::Grants>(),
            with_defaults::<keys::HttpGrants>(),
            with_defaults::<keys::Routes>(),
        ];
        let tables = TABLES.iter().filter(|table| !table.keys.is_empty());
        assert_eq!(read.to_vec(), tables.map(|table| table.name).collect::<Vec<_>>());
    }

    table! {
        /// A bakery,
        /// for example.
        BAKERY: Bakery = ["bakery"] {
            /// Its name.
            name: Text = Required, alias "title";
            /// Loaves in the oven.
            loaves: Integer<u32, 1, 8> = Is("4"), alias "breads", alias "rolls";
            /// How long they bake.
            time: Duration = Nothing("until they are brown");
        }
    }

    #[test]
    fn a_table_says_what_was_declared() {
        assert_eq!((BAKERY.name, BAKERY.many), ("bakery", false));
        assert_eq!(BAKERY.meaning, "A bakery, for example.");
        let names: Vec<&str> = BAKERY.keys.iter().map(|key| key.name).collect();
        assert_eq!(names, ["name", "loaves", "time"]);
        assert_eq!(BAKERY.keys[1].aliases, ["breads", "rolls"]);
    }

    /// The values of a table with the lines of their keys, and the problems.
    #[rstest]
    #[case::all(
        "name = 'a'\nloaves = 5\ntime = '1h'",
        (Some("a"), 2), (5, 3), (Some(3600), 4), &[], &[]
    )]
    #[case::defaults("name = 'a'", (Some("a"), 2), (4, 1), (None, 1), &[], &[])]
    #[case::wrong(
        "name = 'a'\nloaves = 9\ntime = 1",
        (Some("a"), 2), (4, 3), (None, 4),
        &[
            "3: `bakery.loaves` is 9, expected a whole number from 1 to 8",
            "4: `bakery.time` is 1, expected a duration such as \"30s\", \"60m\", \"24h\" or \
             \"14d\", at most 366 days",
        ],
        &[]
    )]
    #[case::missing(
        "time = '1s'", (None, 1), (4, 1), (Some(1), 2),
        &["1: `name` is missing in [bakery]: expected a text"], &[]
    )]
    #[case::older_names(
        "\nrolls = 2\ntitle = 'a'",
        (Some("a"), 4), (2, 3), (None, 1), &[],
        &[
            "4: `title` in [bakery] is now called `name`",
            "3: `rolls` in [bakery] is now called `loaves`",
        ]
    )]
    #[case::an_older_name_with_a_wrong_value(
        "name = 'a'\nbreads = 0",
        (Some("a"), 2), (4, 3), (None, 1),
        &["3: `bakery.breads` is 0, expected a whole number from 1 to 8"],
        &["3: `breads` in [bakery] is now called `loaves`"]
    )]
    #[case::both_names(
        "name = 'a'\nbreads = 2\nloaves = 3",
        (Some("a"), 2), (3, 4), (None, 1),
        &[
            "3: `breads` is an older name of `loaves`, and `loaves` is written as well: remove \
             `breads`",
        ],
        &[]
    )]
    #[case::misspelt(
        "name = 'a'\nloavs = 2",
        (Some("a"), 2), (4, 1), (None, 1),
        &["3: unknown key `loavs` in [bakery]; did you mean `loaves`?"], &[]
    )]
    fn reading(
        #[case] text: &str,
        #[case] name: (Option<&str>, usize),
        #[case] loaves: (u32, usize),
        #[case] time: (Option<u64>, usize),
        #[case] problems: &[&str],
        #[case] warnings: &[&str],
    ) {
        let text = format!("[bakery]\n{text}\n");
        let root = DeTable::parse(&text).unwrap();
        let mut reader = Reader::new(&text);
        let Bakery { name: n, loaves: l, time: t } =
            reader.table(Some(root.get_ref())).unwrap().keys;
        assert_eq!((n.value.as_deref(), n.line), name);
        assert_eq!((l.value, l.line), loaves);
        assert_eq!((t.value.map(|time| time.as_secs()), t.line), time);
        let told = |told: &[Problem]| -> Vec<String> {
            told.iter().map(|one| format!("{}: {}", one.line, one.message)).collect()
        };
        assert_eq!(told(&reader.problems), problems);
        assert_eq!(told(&reader.warnings), warnings);
    }
}
