//! A store in a file, for one host.

use std::path::PathBuf;

use async_trait::async_trait;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError,
};

use crate::file_error::{FileError, directory_of};
use crate::store::{Item, Key, Store, StoreError, Write};
use crate::store_ledger::StoreLedger;

/// Partition and sort key; version and value.
const ITEMS: TableDefinition<'_, (&str, &str), (u64, &str)> = TableDefinition::new("items");

/// What the file says of itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("groundcrew ledger");

/// Under which `ABOUT` has the format.
const FORMAT_KEY: &str = "format";

/// The format that this build reads and writes. Raised when an older build would misread
/// what a newer one wrote.
const FORMAT: u64 = 1;

/// Memory for pages of the file. A ledger of ten thousand accounts takes one or two megabytes.
const CACHE_BYTES: usize = 16 << 20;

/// A ledger in a file, for one host. What it has answered is on the disk; it needs no closing.
pub type FileLedger = StoreLedger<FileStore>;

impl FileLedger {
    /// Opens a ledger file, or makes it where there is none, and locks it until dropped.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        FileStore::open(path).map(Self::over)
    }
}

/// A store in a file.
///
/// It reads and writes on the thread that asks, not on one for blocking calls: a read took
/// 2 µs where it was measured, a commit 4 ms, nearly all of them for `fdatasync`, and a host
/// makes a few a minute. In return a simulation with a file runs the same every time.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    database: Database,
}

/// What a file says of its format.
enum Format {
    /// Nothing: it was only just made.
    None,
    /// That it is a ledger of this format.
    Known(u64),
    /// That it is something else.
    Foreign,
}

impl FileStore {
    /// Opens a file, or makes it where there is none, and locks it until dropped.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(&path)
            .map_err(|error| FileError::of(&path, error))?;
        let store = Self { path, database };
        match store.format().map_err(|error| store.failed(error))? {
            Format::None => store.begin()?,
            Format::Known(FORMAT) => {}
            Format::Known(found) => {
                return Err(FileError::Newer { path: store.path, found, expected: FORMAT });
            }
            Format::Foreign => {
                let found = "a database of something else".to_owned();
                return Err(FileError::NotALedger { path: store.path, found });
            }
        }
        Ok(store)
    }

    fn format(&self) -> Result<Format, redb::Error> {
        let reading = self.database.begin_read()?;
        match reading.open_table(ABOUT) {
            Ok(about) => {
                let format = about.get(FORMAT_KEY)?;
                Ok(format.map_or(Format::Foreign, |format| Format::Known(format.value())))
            }
            Err(TableError::Storage(error)) => Err(error.into()),
            Err(TableError::TableDoesNotExist(_)) if is_empty(&reading)? => Ok(Format::None),
            Err(_) => Ok(Format::Foreign),
        }
    }

    /// Makes an empty ledger of an empty file.
    fn begin(&self) -> Result<(), FileError> {
        self.write_format().map_err(|error| self.failed(error))?;
        // A new file is durable once its directory is. Windows has no such thing.
        #[cfg(unix)]
        std::fs::File::open(directory_of(&self.path))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| self.failed(error.into()))?;
        Ok(())
    }

    fn write_format(&self) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        writing.open_table(ABOUT)?.insert(FORMAT_KEY, FORMAT)?;
        writing.open_table(ITEMS)?;
        Ok(writing.commit()?)
    }

    fn read(&self, key: &Key) -> Result<Option<Item>, redb::Error> {
        let items = self.database.begin_read()?.open_table(ITEMS)?;
        let found = items.get((key.partition.as_str(), key.sort.as_str()))?;
        Ok(found.map(|found| item(found.value())))
    }

    fn read_all(&self, partition: &str) -> Result<Vec<(String, Item)>, redb::Error> {
        let items = self.database.begin_read()?.open_table(ITEMS)?;
        let mut found = Vec::new();
        for entry in items.range((partition, "")..)? {
            let (key, value) = entry?;
            let (of, sort) = key.value();
            if of != partition {
                break;
            }
            found.push((sort.to_owned(), item(value.value())));
        }
        Ok(found)
    }

    fn write(&self, writes: &[Write]) -> Result<bool, redb::Error> {
        let writing = self.database.begin_write()?;
        let mut items = writing.open_table(ITEMS)?;
        for Write { key, expected, .. } in writes {
            let found = items.get((key.partition.as_str(), key.sort.as_str()))?;
            if found.map(|found| found.value().0) != *expected {
                return Ok(false);
            }
        }
        for write in writes {
            let key = (write.key.partition.as_str(), write.key.sort.as_str());
            match &write.new {
                Some(json) => items.insert(key, (write.version, json.as_str()))?,
                None => items.remove(key)?,
            };
        }
        drop(items);
        writing.commit()?;
        Ok(true)
    }

    fn failed(&self, error: redb::Error) -> FileError {
        FileError::of(&self.path, error)
    }
}

#[async_trait]
impl Store for FileStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.read(key).map_err(|error| self.failed(error).into())
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        self.read_all(partition).map_err(|error| self.failed(error).into())
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        self.write(writes).map_err(|error| self.failed(error).into())
    }
}

fn item((version, json): (u64, &str)) -> Item {
    Item { version, json: json.to_owned() }
}

/// Whether a database has no table at all.
fn is_empty(reading: &ReadTransaction) -> Result<bool, redb::Error> {
    Ok(reading.list_tables()?.next().is_none() && reading.list_multimap_tables()?.next().is_none())
}
