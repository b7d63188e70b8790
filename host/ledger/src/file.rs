//! A store in a file, for one host.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError,
};

use crate::file_error::{FileError, parent_directory};
use crate::fillable_disk::FillableDisk;
use crate::store::{Item, Key, Store, StoreError, Write};
use crate::store_ledger::StoreLedger;

/// Partition and sort key; version and value.
const ITEMS: TableDefinition<'_, (&str, &str), (u64, &str)> = TableDefinition::new("items");

/// Metadata of the file.
const METADATA: TableDefinition<'_, &str, u64> = TableDefinition::new("groundcrew ledger");

/// The key of the format in `METADATA`.
const FORMAT_KEY: &str = "format";

/// The format that this build reads and writes. It is raised when an older build would misread the
/// data of a newer one.
const FORMAT: u64 = 1;

/// Memory for pages of the file. A ledger of ten thousand accounts takes one or two megabytes.
const CACHE_BYTES: usize = 16 << 20;

/// A ledger in a file, for one host. Each successful write is on the disk when it returns; the
/// ledger need not be closed.
pub type FileLedger = StoreLedger<FileStore>;

impl FileLedger {
    /// Opens a ledger file, or creates it if there is none, and locks it until dropped.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        FileStore::open(path).map(Self::with_store)
    }

    /// The same on a disk that a test can fill.
    pub fn open_on(disk: FillableDisk, path: impl Into<PathBuf>) -> Result<Self, FileError> {
        FileStore::open_with(Some(disk), path.into()).map(Self::with_store)
    }
}

/// A store in a file.
///
/// It reads and writes on the calling thread, not on one for blocking calls: in a measurement a
/// read took 2 µs and a commit 4 ms, nearly all of it for `fdatasync`, and a host makes a few
/// commits a minute. In return a simulation with a file runs the same way every time.
///
/// The database refuses everything after a failed write, since it can't know the state of the disk.
/// So it is closed then, and opened again for the next call: while a disk is full, only the writes
/// of that time fail.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    disk: Option<FillableDisk>,
    /// The database; `None` after it has failed.
    open: Mutex<Option<OpenDatabase>>,
    /// Whether the file was empty or missing when it was opened.
    created: bool,
}

/// An open database.
#[derive(Debug)]
struct OpenDatabase {
    database: Database,
    /// The identity of the file, independent of its name: device and inode.
    #[cfg(unix)]
    file: (u64, u64),
}

/// The format of a file.
enum Format {
    /// The file has no format: it was just created.
    None,
    /// The file is a ledger of this format.
    Known(u64),
    /// The file is something else.
    Foreign,
}

impl FileStore {
    /// Opens a file, or creates it if there is none, and locks it until dropped.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        Self::open_with(None, path.into())
    }

    fn open_with(disk: Option<FillableDisk>, path: PathBuf) -> Result<Self, FileError> {
        let mut store = Self { path, disk, open: Mutex::default(), created: false };
        *store.lock() = Some(store.database(true)?);
        match store.with_database(Self::format)? {
            Format::None => {
                store.initialize()?;
                store.created = true;
            }
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

    /// Opens the database. `create` says whether a missing file is created.
    fn database(&self, create: bool) -> Result<OpenDatabase, FileError> {
        let failed = |error: redb::Error| FileError::from_database(&self.path, error);
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let database = match (&self.disk, create) {
            (Some(disk), _) => {
                let file = disk.open(&self.path, create).map_err(failed)?;
                builder.create_with_backend(file)
            }
            (None, true) => builder.create(&self.path),
            (None, false) => builder.open(&self.path),
        };
        Ok(OpenDatabase {
            database: database.map_err(|error| failed(error.into()))?,
            #[cfg(unix)]
            file: identity(&self.path).map_err(|error| failed(error.into()))?,
        })
    }

    /// Whether the ledger was new when it was opened: there was no file, or an empty one.
    pub fn is_new(&self) -> bool {
        self.created
    }

    fn lock(&self) -> MutexGuard<'_, Option<OpenDatabase>> {
        // A panic while it is locked leaves a database or `None`; both are valid.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation on the database, which is opened again if it has failed before.
    fn with_database<T>(
        &self,
        operation: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, FileError> {
        let mut open = self.lock();
        let now = match open.take() {
            Some(now) => now,
            None => self.database(false)?,
        };
        let now = open.insert(now);
        // Data that is written into a file without a name is lost with this process.
        #[cfg(unix)]
        if identity(&self.path).ok() != Some(now.file) {
            return Err(FileError::Gone { path: self.path.clone() });
        }
        let done = operation(&now.database);
        if matches!(done, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
            *open = None;
        }
        done.map_err(|error| FileError::from_database(&self.path, error))
    }

    fn format(database: &Database) -> Result<Format, redb::Error> {
        let reading = database.begin_read()?;
        match reading.open_table(METADATA) {
            Ok(metadata_table) => {
                let format = metadata_table.get(FORMAT_KEY)?;
                Ok(format.map_or(Format::Foreign, |format| Format::Known(format.value())))
            }
            Err(TableError::Storage(error)) => Err(error.into()),
            Err(TableError::TableDoesNotExist(_)) if is_empty(&reading)? => Ok(Format::None),
            Err(_) => Ok(Format::Foreign),
        }
    }

    /// Writes an empty ledger into an empty file.
    fn initialize(&self) -> Result<(), FileError> {
        self.with_database(Self::write_format)?;
        // A new file is durable once its directory is synced. Windows has no such call.
        #[cfg(unix)]
        std::fs::File::open(parent_directory(&self.path))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| FileError::from_database(&self.path, error))?;
        Ok(())
    }

    fn write_format(database: &Database) -> Result<(), redb::Error> {
        let writing = database.begin_write()?;
        writing.open_table(METADATA)?.insert(FORMAT_KEY, FORMAT)?;
        writing.open_table(ITEMS)?;
        Ok(writing.commit()?)
    }

    fn read(database: &Database, key: &Key) -> Result<Option<Item>, redb::Error> {
        let items = database.begin_read()?.open_table(ITEMS)?;
        let found = items.get((key.partition.as_str(), key.sort.as_str()))?;
        Ok(found.map(|found| item(found.value())))
    }

    fn read_all(database: &Database, partition: &str) -> Result<Vec<(String, Item)>, redb::Error> {
        let items = database.begin_read()?.open_table(ITEMS)?;
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

    fn write(database: &Database, writes: &[Write]) -> Result<bool, redb::Error> {
        let writing = database.begin_write()?;
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
}

#[async_trait]
impl Store for FileStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.with_database(|database| Self::read(database, key))?)
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        Ok(self.with_database(|database| Self::read_all(database, partition))?)
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        Ok(self.with_database(|database| Self::write(database, writes))?)
    }
}

/// The identity of the file with this name: device and inode.
#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn item((version, json): (u64, &str)) -> Item {
    Item { version, json: json.to_owned() }
}

/// Whether a database has no table at all.
fn is_empty(reading: &ReadTransaction) -> Result<bool, redb::Error> {
    Ok(reading.list_tables()?.next().is_none() && reading.list_multimap_tables()?.next().is_none())
}
