//! A ZIP archive whose bytes depend only on its content.

use std::io::{Cursor, Write as _};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::tree::Tree;

/// Packs files in the order of their names, all with the same time.
pub fn zip(tree: &Tree) -> Result<Vec<u8>, ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::DEFAULT)
        .system(System::Unix);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for folder in tree.folders() {
        archive.add_directory(folder, options.unix_permissions(0o755))?;
    }
    for (path, file) in tree.files() {
        archive.start_file(path, options.unix_permissions(file.mode()))?;
        archive.write_all(&file.bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::tree::File;

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let mut tree = Tree::default();
        tree.add("b/two", File::plain(b"2".to_vec()));
        tree.add("bootstrap", File::program(vec![7; 1000]));
        let first = zip(&tree).unwrap();
        let mut again = Tree::default();
        again.add("bootstrap", File::program(vec![7; 1000]));
        again.add("b/two", File::plain(b"2".to_vec()));
        assert_eq!(zip(&again).unwrap(), first);

        let mut archive = zip::ZipArchive::new(Cursor::new(first)).unwrap();
        let mut entries = Vec::new();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).unwrap();
            let time = entry.last_modified().unwrap().to_string();
            entries.push((
                entry.name().unwrap().into_owned(),
                entry.unix_mode().unwrap() & 0o777,
                time,
            ));
        }
        let time = "1980-01-01 00:00:00".to_owned();
        assert_eq!(
            entries,
            [
                ("b/".to_owned(), 0o755, time.clone()),
                ("b/two".to_owned(), 0o644, time.clone()),
                ("bootstrap".to_owned(), 0o755, time),
            ]
        );
    }
}
