//! Reading the text files that people write, and writing files so that they are there whole or not
//! at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use groundcrew_core::text::decode;

/// Writes a file beside it, and renames it when it is complete.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = with_ending(path, &format!(".{}.tmp", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        // What is left of it is of no use; that it can't be removed is no further news.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// The text of a file that somebody has written, on whichever system: see [`decode`].
pub fn read_text(path: &Path) -> io::Result<String> {
    text(&std::fs::read(path)?)
}

/// The same of what somebody pipes into this process.
pub fn read_stdin() -> io::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    text(&bytes)
}

fn text(bytes: &[u8]) -> io::Result<String> {
    decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The path with something after its name.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        for text in ["one", "two"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(write_whole(&dir.path().join("nowhere/a.json"), b"").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
