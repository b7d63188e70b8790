//! Why a ledger file can't be opened.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// A ledger file that can't be used: its path, the expectation, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process has it open, or this process opens it a second time.
    #[error(
        "ledger file {path}: another groundcrew has it open, and it serves one at a time: \
         stop the other, give this one a file of its own, or let both share a DynamoDB table"
    )]
    InUse {
        /// The ledger file.
        path: PathBuf,
    },
    /// The directory of the file does not exist.
    #[error(
        "ledger file {path}: there is no directory {directory} to hold it: create the \
         directory, or name another file"
    )]
    NoDirectory {
        /// The ledger file.
        path: PathBuf,
        /// The directory that it should be in.
        directory: PathBuf,
    },
    /// It is a symbolic link to a file that can't be created.
    #[error(
        "ledger file {path}: it is a symbolic link to {to}, which is not there and can't be made: \
         create its directory, or remove the link"
    )]
    DanglingLink {
        /// The ledger file.
        path: PathBuf,
        /// The target of the link.
        to: PathBuf,
    },
    /// The file, or its directory, may not be read or written.
    #[error(
        "ledger file {path}: {source}: let the user that runs groundcrew read and write the \
         file, and create files in its directory"
    )]
    Denied {
        /// The ledger file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a ledger.
    #[error(
        "ledger file {path}: expected a ledger that groundcrew made, found {found}: name \
         another file; where there is none, groundcrew makes one"
    )]
    NotALedger {
        /// The ledger file.
        path: PathBuf,
        /// What the file is instead.
        found: String,
    },
    /// A newer groundcrew wrote it.
    #[error(
        "ledger file {path}: its format is {found}, and this groundcrew reads formats up to \
         {expected}: run the groundcrew that wrote it, or a later one"
    )]
    Newer {
        /// The ledger file.
        path: PathBuf,
        /// The format it has.
        found: u64,
        /// The format that this build reads and writes.
        expected: u64,
    },
    /// It is a ledger, and damaged.
    #[error(
        "ledger file {path}: it is damaged ({what}): put back a copy, or move it away to \
         begin with an empty ledger, which knows of no running update and no notification"
    )]
    Damaged {
        /// The ledger file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It was moved or removed, or replaced by another file, while it was open.
    #[error(
        "ledger file {path}: it was moved, removed or replaced while groundcrew runs: put it back, \
         or stop groundcrew before another file takes its place"
    )]
    Gone {
        /// The ledger file.
        path: PathBuf,
    },
    /// The operating system failed to open, read or write it.
    #[error(
        "ledger file {path}: {source}: check the disk; a running groundcrew continues by itself"
    )]
    Io {
        /// The ledger file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl FileError {
    /// The error for a ledger file from an error of the operating system.
    pub fn from_io_error(path: &Path, error: io::Error) -> Self {
        Self::from_database(path, error)
    }

    /// The error for a ledger file from an error of the database.
    pub(crate) fn from_database(path: &Path, error: impl Into<redb::Error>) -> Self {
        let path = path.to_owned();
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path },
            redb::Error::Io(source) => Self::from_io(path, source),
            redb::Error::PreviousIo => {
                Self::Io { path, source: io::Error::other("an earlier write has failed") }
            }
            redb::Error::UpgradeRequired(format) => {
                Self::NotALedger { path, found: format!("a redb database of format {format}") }
            }
            error => Self::Damaged { path, what: error.to_string() },
        }
    }

    fn from_io(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                if let Ok(to) = std::fs::read_link(&path) {
                    return Self::DanglingLink { path, to };
                }
                let directory = parent_directory(&path).to_owned();
                Self::NoDirectory { path, directory }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path, source }
            }
            io::ErrorKind::IsADirectory => {
                Self::NotALedger { path, found: "a directory".to_owned() }
            }
            // The database returns this for a file without its magic number.
            io::ErrorKind::InvalidData => {
                Self::NotALedger { path, found: "something else".to_owned() }
            }
            io::ErrorKind::UnexpectedEof => {
                Self::Damaged { path, what: "it is cut short".to_owned() }
            }
            _ => Self::Io { path, source },
        }
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        Self::File(error.to_string())
    }
}

/// The directory that a file is in.
pub(crate) fn parent_directory(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::no_permission(
        io::ErrorKind::PermissionDenied,
        "ledger file state/l.db: permission denied: let the user that runs groundcrew read and \
         write the file, and create files in its directory"
    )]
    #[case::read_only(
        io::ErrorKind::ReadOnlyFilesystem,
        "ledger file state/l.db: read-only filesystem or storage medium: let the user that runs \
         groundcrew read and write the file, and create files in its directory"
    )]
    #[case::no_directory(
        io::ErrorKind::NotFound,
        "ledger file state/l.db: there is no directory state to hold it: create the directory, \
         or name another file"
    )]
    #[case::something_else(
        io::ErrorKind::InvalidData,
        "ledger file state/l.db: expected a ledger that groundcrew made, found something else: \
         name another file; where there is none, groundcrew makes one"
    )]
    #[case::full(
        io::ErrorKind::StorageFull,
        "ledger file state/l.db: no storage space: check the disk; a running groundcrew continues \
         by itself"
    )]
    fn a_failure_says_what_to_do(#[case] kind: io::ErrorKind, #[case] expected: &str) {
        let error = FileError::from_database(Path::new("state/l.db"), io::Error::from(kind));
        assert_eq!(error.to_string(), expected);
    }

    #[rstest]
    #[case("state/l.db", "state")]
    #[case("l.db", ".")]
    #[case("/l.db", "/")]
    fn a_file_is_in_a_directory(#[case] path: &str, #[case] directory: &str) {
        assert_eq!(parent_directory(Path::new(path)), Path::new(directory));
    }
}
