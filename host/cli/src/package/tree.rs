//! Files of a package in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileTimes, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// 1980-01-01, the earliest time in a ZIP archive: the time of all files.
const MTIME: Duration = Duration::from_secs(315_532_800);

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub bytes: Vec<u8>,
    executable: bool,
}

impl File {
    /// A file that is not executable.
    pub fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, executable: false }
    }

    /// An executable file.
    pub fn program(bytes: Vec<u8>) -> Self {
        Self { bytes, executable: true }
    }

    /// Its permissions: only its owner can change it.
    pub fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// Files by their paths, with slashes between the parts and none at the beginning.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, File>);

impl Tree {
    pub fn add(&mut self, path: impl Into<String>, file: File) {
        self.0.insert(path.into(), file);
    }

    /// The files in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The folders of the files, each after its parent.
    pub fn folders(&self) -> BTreeSet<&str> {
        let ends =
            |path: &'_ str| -> Vec<usize> { path.match_indices('/').map(|at| at.0).collect() };
        self.0.keys().flat_map(|path| ends(path).into_iter().map(|end| &path[..end])).collect()
    }

    /// The size of all files together.
    pub fn size(&self) -> u64 {
        self.0.values().map(|file| file.bytes.len() as u64).sum()
    }

    /// SHA-256 over paths, permissions and contents, in hex.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        for (path, file) in &self.0 {
            let line = format!("{:o} {} {path}\n", file.mode(), sha256(&file.bytes));
            digest.update(line);
        }
        HEXLOWER.encode(&digest.finalize())
    }

    /// Writes the files into a folder, which must not exist yet.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)?;
        for path in self.folders() {
            fs::create_dir(folder.join(path))?;
        }
        for (path, file) in &self.0 {
            let path = folder.join(path);
            let mut written = OpenOptions::new().write(true).create_new(true).open(&path)?;
            written.write_all(&file.bytes)?;
            // Independent of the umask.
            written.set_permissions(Permissions::from_mode(file.mode()))?;
            written.set_times(set_mtimes())?;
        }
        // Last, since writing into a folder changes its time.
        for path in self.folders() {
            finish(&folder.join(path))?;
        }
        finish(folder)
    }
}

fn finish(folder: &Path) -> io::Result<()> {
    let folder = fs::File::open(folder)?;
    folder.set_permissions(Permissions::from_mode(0o755))?;
    folder.set_times(set_mtimes())
}

fn set_mtimes() -> FileTimes {
    let time = SystemTime::UNIX_EPOCH + MTIME;
    FileTimes::new().set_modified(time).set_accessed(time)
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add("a/b/c", File::plain(b"c".to_vec()));
        tree.add("a/d", File::program(b"d".to_vec()));
        tree.add("e", File::plain(vec![]));
        tree
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        assert_eq!(tree().folders().into_iter().collect::<Vec<_>>(), ["a", "a/b"]);
    }

    #[test]
    fn the_digest_is_over_names_modes_and_contents() {
        let digest = tree().sha256();
        assert_eq!(tree().sha256(), digest);
        let others = [("f", File::plain(vec![])), ("a/d", File::plain(b"d".to_vec()))];
        for (path, file) in others {
            let mut other = tree();
            other.add(path, file);
            assert_ne!(other.sha256(), digest, "{path}");
        }
    }

    #[test]
    fn files_are_written_with_fixed_times_and_modes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        tree().write(&folder).unwrap();
        for (path, mode) in [("", 0o755), ("a", 0o755), ("a/b/c", 0o644), ("a/d", 0o755)] {
            let written = fs::metadata(folder.join(path)).unwrap();
            assert_eq!((written.mode() & 0o7777, written.mtime()), (mode, 315_532_800), "{path}");
        }
        assert_eq!(fs::read(folder.join("a/d")).unwrap(), b"d");
        assert!(tree().write(&folder).is_err(), "nothing is written over");
    }
}
