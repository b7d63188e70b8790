//! A disk that a test can fill, to test a ledger file while there is no space and afterwards.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// A disk that can be full. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct FillableDisk(Arc<AtomicBool>);

impl FillableDisk {
    /// From now on nothing can be written.
    pub fn fill(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// From now on there is space.
    pub fn free(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Opens a file on this disk. `create` says whether a missing file is created.
    pub(crate) fn open(&self, path: &Path, create: bool) -> Result<FaultyDiskFile, redb::Error> {
        if create {
            self.check_space()?;
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create(create).truncate(false).open(path)?;
        Ok(FaultyDiskFile { disk: self.clone(), file: FileBackend::new(file)? })
    }

    fn check_space(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

/// A file on such a disk.
#[derive(Debug)]
pub(crate) struct FaultyDiskFile {
    disk: FillableDisk,
    file: FileBackend,
}

impl StorageBackend for FaultyDiskFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check_space()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check_space()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.check_space()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
