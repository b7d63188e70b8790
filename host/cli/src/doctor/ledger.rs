//! Checks a ledger file without creating one.

use std::fs::OpenOptions;
use std::path::Path;

use groundcrew_core::doctor::{LedgerFacts, LedgerFile};
use groundcrew_ledger::{FileError, FileLedger};

pub fn inspect(path: &Path) -> LedgerFacts {
    // Opening a file that doesn't exist would create it.
    let state = match path.exists() {
        true => match FileLedger::open(path) {
            Ok(_) => LedgerFile::Usable,
            Err(FileError::InUse { .. }) => LedgerFile::InUse,
            Err(error) => LedgerFile::Unusable(error.to_string()),
        },
        false => check_creatable(path),
    };
    LedgerFacts::File { path: path.display().to_string(), state }
}

/// Whether a file can be created in the directory. The only way to find out is to create one, which
/// is removed again.
fn check_creatable(path: &Path) -> LedgerFile {
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!(".{}-{:08x}", std::process::id(), fastrand::u32(..)));
    match OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(_) => {
            let _ = std::fs::remove_file(&probe);
            LedgerFile::Absent
        }
        Err(error) => LedgerFile::Unusable(FileError::from_io_error(path, error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(path: &Path) -> LedgerFile {
        match inspect(path) {
            LedgerFacts::File { state, .. } => state,
            LedgerFacts::Table { .. } => panic!("a file is no table"),
        }
    }

    #[test]
    fn a_file_is_looked_at_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crew.db");
        assert_eq!(state(&path), LedgerFile::Absent);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let held = FileLedger::open(&path).unwrap();
        assert_eq!(state(&path), LedgerFile::InUse);
        drop(held);
        assert_eq!(state(&path), LedgerFile::Usable);

        std::fs::write(&path, "something else, and long enough").unwrap();
        assert!(matches!(state(&path), LedgerFile::Unusable(_)));
        let nowhere = dir.path().join("none/crew.db");
        let LedgerFile::Unusable(error) = state(&nowhere) else { panic!("there is no directory") };
        assert!(error.contains("there is no directory"), "{error}");
    }
}
