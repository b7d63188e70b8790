//! Compiled components on disk, so that starting the host doesn't compile.
//!
//! Compiled code runs with the host's own rights. So an entry is used only when this build made it,
//! when it is complete, and when it is in a directory that belongs to this user and that no other
//! user can write to.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::build::BUILD;
use crate::files;

/// A folder of compiled plugins, of the cache or of a package, that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory can't be created or read.
    #[error("compiled plugins, {}: {source}", path.display())]
    Io {
        /// The directory, or the entry.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It belongs to another user, who could plant code.
    #[error(
        "compiled plugins: {} belongs to user {owner}, expected {user}: choose a directory of this \
         user's own, or give it this one with `chown`", path.display()
    )]
    Owner {
        /// The directory, or the entry.
        path: PathBuf,
        /// The id of the user that it belongs to.
        owner: u32,
        /// The id of the user that this process runs as.
        user: u32,
    },
    /// Others can write to it, and so could plant code.
    #[error(
        "compiled plugins: {} can be written to by others (mode {mode:o}), who could plant code: \
         run `chmod go-w`", path.display()
    )]
    Writable {
        /// The directory, or the entry.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// An entry does not have the bytes that were written.
    #[error("compiled plugins: {} is damaged", path.display())]
    Damaged {
        /// The entry.
        path: PathBuf,
    },
}

/// Length of the checksum at the end of an entry. The checksum detects damage. The entry's owner
/// and mode protect against malice.
const CHECKSUM_LEN: usize = 4;

/// Bytes of an entry that are read at once.
const CHUNK: usize = 64 * 1024;

/// The warning when plugins are compiled at each start.
pub(crate) const NO_CACHE_WARNING: &str = "compile cache: not used, so that each start compiles plugins, \
    which takes longer; `GROUNDCREW_CACHE` names another directory, or none where it is empty";

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Why nothing can be written. Logged once.
    write_error: OnceLock<String>,
}

impl Cache {
    /// Opens the cache, making the directory where it doesn't exist.
    pub(crate) fn open(directory: &Path) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        require_owned(directory, &fs::metadata(directory).map_err(io)?, &[current_uid()])?;
        Ok(Self { directory: directory.to_owned(), write_error: OnceLock::new() })
    }

    /// The compiled component. It comes from the cache, or else is compiled and written to the
    /// cache. A cache that doesn't work costs time, but the component is always available.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> wasmtime::Result<Component> {
        let path = self.directory.join(file_name(engine, digest));
        match read(&path, &[current_uid()]) {
            Ok(Some(compiled)) => match deserialize(engine, &compiled) {
                Ok(component) => {
                    tracing::debug!(digest, from = "cache", "plugin loaded");
                    return Ok(component);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "compile cache: recompiling")
                }
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "compile cache: recompiling"),
        }
        let component = compile(engine, digest, bytes)?;
        let written = component.serialize().map_err(io::Error::other);
        if let Err(error) = written.and_then(|compiled| self.write(&path, &compiled))
            && self.write_error.set(format!("{}: {error}", path.display())).is_ok()
        {
            tracing::warn!(path = %path.display(), %error, "{NO_CACHE_WARNING}");
        }
        Ok(component)
    }

    /// Why writing failed, if it did.
    pub(crate) fn write_error(&self) -> Option<&str> {
        self.write_error.get().map(String::as_str)
    }

    /// Writes an entry atomically, also while other processes write.
    fn write(&self, path: &Path, compiled: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}.tmp", std::process::id());
        let temporary = self.directory.join(name);
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(compiled)?;
                file.write_all(&checksum(compiled))
            })
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // The next process with this id removes what remains.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// Compiles a component.
pub(crate) fn compile(engine: &Engine, digest: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
    let begun = Instant::now();
    let component = Component::from_binary(engine, bytes)?;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(digest, milliseconds, "plugin compiled");
    Ok(component)
}

/// The checksum that is appended to an entry's code.
pub(crate) fn checksum(compiled: &[u8]) -> [u8; CHECKSUM_LEN] {
    crc32fast::hash(compiled).to_le_bytes()
}

/// Reads an entry, `None` when there is none. The file isn't mapped: a cache may be in a file
/// system that is mounted `noexec`, where mapped code can't run.
fn read(path: &Path, owners: &[u32]) -> Result<Option<Vec<u8>>, CacheError> {
    let Some(file) = open(path, owners)? else { return Ok(None) };
    let mut compiled = files::read_stream(file, files::MAX_PROGRAM_BYTES)
        .map_err(|source| CacheError::Io { path: path.to_owned(), source })?;
    let damaged = || CacheError::Damaged { path: path.to_owned() };
    let expected =
        compiled.split_off(compiled.len().checked_sub(CHECKSUM_LEN).ok_or_else(damaged)?);
    if checksum(&compiled) == *expected { Ok(Some(compiled)) } else { Err(damaged()) }
}

/// Whether there is an entry. Fails if it is damaged. The entry is not kept in memory.
pub(crate) fn is_intact(path: &Path, owners: &[u32]) -> Result<bool, CacheError> {
    let Some(file) = open(path, owners)? else { return Ok(false) };
    let io = |source| CacheError::Io { path: path.to_owned(), source };
    let damaged = || CacheError::Damaged { path: path.to_owned() };
    let length = file.metadata().map_err(io)?.len();
    let mut code = file.take(length.checked_sub(CHECKSUM_LEN as u64).ok_or_else(damaged)?);
    let (mut sum, mut chunk) = (crc32fast::Hasher::new(), vec![0; CHUNK]);
    loop {
        match code.read(&mut chunk).map_err(io)? {
            0 => break,
            read => sum.update(&chunk[..read]),
        }
    }
    let mut expected = [0; CHECKSUM_LEN];
    code.into_inner().read_exact(&mut expected).map_err(|_| damaged())?;
    if sum.finalize().to_le_bytes() == expected { Ok(true) } else { Err(damaged()) }
}

/// Opens an entry that only these users can have written; `None` when there is none.
fn open(path: &Path, owners: &[u32]) -> Result<Option<File>, CacheError> {
    let io = |source| CacheError::Io { path: path.to_owned(), source };
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    require_owned(path, &file.metadata().map_err(io)?, owners)?;
    Ok(Some(file))
}

/// The user that this process runs as.
pub(crate) fn current_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Fails if another user than these can have written the file.
pub(crate) fn require_owned(
    path: &Path,
    metadata: &fs::Metadata,
    owners: &[u32],
) -> Result<(), CacheError> {
    let path = || path.to_owned();
    let (owner, user) = (metadata.uid(), current_uid());
    if !owners.contains(&owner) {
        return Err(CacheError::Owner { path: path(), owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(CacheError::Writable { path: path(), mode });
    }
    Ok(())
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must come from `Component::serialize`. They were read from a file of this
    // user that no other can write to, in a directory where the same holds; their checksum is
    // right; and the file's name says that this build wrote them with a compatible engine.
    unsafe { Component::deserialize(engine, compiled) }
}

/// Loads an intact entry. Nothing is copied: the pages of the file that are used are mapped.
#[allow(unsafe_code)]
pub(crate) fn map_file(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file must come from `precompile_component`, and nobody may change it from now
    // on. It is of a user who can replace this very program, which is mapped in the same way, in a
    // directory where the same holds; its checksum is right; and its name says that this build
    // wrote it with a compatible engine. The checksum behind its code is in none of its sections.
    unsafe { Component::deserialize_file(engine, path) }
}

/// The name of an entry. It contains everything that the entry depends on: the component, this
/// build and its engine.
pub(crate) fn file_name(engine: &Engine, digest: &str) -> String {
    let mut key = DigestHasher(Sha256::new());
    (BUILD, digest).hash(&mut key);
    engine.precompile_compatibility_hash().hash(&mut key);
    HEXLOWER.encode(&key.0.finalize()) + ".cwasm"
}

/// SHA-256 as a hasher: the standard library's own may change and is 64 bits short.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}
