//! Reading the files that a config or a command names: regular ones, up to a size.
//!
//! Other files are refused: a named pipe without a writer blocks for ever, a device may never end,
//! and a file of gigabytes takes as much memory.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use groundcrew_core::text::decode;
use rustix::fs::OFlags;

/// Longest config, script, data file, file of cases, event or file of certificates, in bytes: a
/// hundred times what an organization of ten thousand accounts needs.
pub const MAX_TEXT_BYTES: u64 = 16 << 20;

/// Longest component, in bytes. Components in Rust have one or two MiB. The largest known ones,
/// which contain a whole Python, have about forty.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// Longest snapshot, in bytes: one of ten thousand accounts has about ten MiB.
pub const MAX_SNAPSHOT_BYTES: u64 = 256 << 20;

/// Longest secret, in bytes: the limit of AWS Secrets Manager.
pub const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Longest program, library or compiled plugin, in bytes.
pub const MAX_PROGRAM_BYTES: u64 = 1 << 30;

/// Reads a regular file.
///
/// # Errors
/// When the file can't be read, is not a regular file, or has more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_stream(open(path)?, limit)
}

/// Reads a regular file of text.
///
/// # Errors
/// As [`read`], and when the file is not text.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    decode_text(read(path, limit)?)
}

/// Reads a file that a user named on the command line: a regular file, or a descriptor that this
/// process inherited, such as stdin or a pipe that a shell makes of `<(…)`.
///
/// # Errors
/// As [`read`].
pub fn read_argument(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let inherited = ["/dev/stdin", "/dev/fd", "/proc/self/fd", "/dev/null"];
    match inherited.iter().any(|place| path.starts_with(place)) {
        true => read_stream(File::open(path)?, limit),
        false => read(path, limit),
    }
}

/// Reads a text file that a user named on the command line.
///
/// # Errors
/// As [`read_argument`], and when the file is not text.
pub fn read_text_argument(path: &Path, limit: u64) -> io::Result<String> {
    decode_text(read_argument(path, limit)?)
}

/// Reads a stream, such as stdin, to its end.
///
/// # Errors
/// When the stream can't be read, or has more than `limit` bytes.
pub fn read_stream(stream: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        true => Ok(bytes),
        false => Err(too_large(limit)),
    }
}

/// Decodes bytes as text, from any operating system: see [`decode`].
///
/// # Errors
/// When the bytes are not text.
pub fn decode_text(bytes: Vec<u8>) -> io::Result<String> {
    decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Opens a regular file without blocking.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Checked before it is opened, since opening a device may have an effect.
    regular(std::fs::metadata(path)?.file_type())?;
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // Checked again afterwards, in case that the file was replaced meanwhile.
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn regular(kind: FileType) -> io::Result<()> {
    let found = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe (FIFO)",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let message = format!("it is {found}, expected a regular file");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn too_large(limit: u64) -> io::Error {
    let limit = match limit {
        _ if limit >= 1 << 20 => format!("{} MiB", limit >> 20),
        _ => format!("{} KiB", limit >> 10),
    };
    let message = format!("it has more than {limit}, the most that is read of such a file");
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rstest::rstest;

    use super::*;

    /// What can be in the place of a file, and the error for it. No case blocks.
    #[rstest]
    #[case::directory(|path: &Path| std::fs::create_dir(path).unwrap(), "it is a directory, expected")]
    #[case::named_pipe(|path: &Path| fifo(path), "it is a named pipe (FIFO), expected")]
    #[case::socket(|path: &Path| drop(UnixListener::bind(path).unwrap()), "it is a socket, expected")]
    #[case::device(|path: &Path| link("/dev/zero", path), "it is a device, expected")]
    #[case::terminal(|path: &Path| link("/dev/tty", path), "it is a device, expected")]
    #[case::link_to_a_pipe(|path: &Path| { fifo(&path.with_extension("p")); link(path.with_extension("p"), path) }, "it is a named pipe (FIFO), expected")]
    #[case::dangling_link(|path: &Path| link("nowhere", path), "No such file")]
    #[case::loop_of_links(|path: &Path| link(path, path), "symbolic links")]
    #[case::nothing(|_: &Path| (), "No such file")]
    #[case::too_large(|path: &Path| std::fs::write(path, vec![b'x'; 2049]).unwrap(), "it has more than 2 KiB")]
    #[case::no_text(|path: &Path| std::fs::write(path, b"ab\xff").unwrap(), "it is not UTF-8 text (byte 2)")]
    fn what_is_no_file_to_read(#[case] make: fn(&Path), #[case] expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        make(&path);
        for read in [read_text, read_text_argument] {
            let error = read(&path, 2048).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// A sparse file takes no memory: its reported size is not trusted, but its bytes are counted.
    #[test]
    fn what_has_three_gigabytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(3 << 30).unwrap();
        let error = read(file.path(), MAX_COMPONENT_BYTES).unwrap_err().to_string();
        assert_eq!(error, "it has more than 64 MiB, the most that is read of such a file");
    }

    #[test]
    fn what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![b'x'; 2048]).unwrap();
        link("file", &dir.path().join("link"));
        assert_eq!(read(&path, 2048).unwrap().len(), 2048);
        assert_eq!(read_text_argument(&dir.path().join("link"), 2048).unwrap().len(), 2048);
        // The file is as large as its bytes, though its reported size is 0.
        assert!(!read(Path::new("/proc/self/status"), MAX_TEXT_BYTES).unwrap().is_empty());
        assert_eq!(read_argument(Path::new("/dev/null"), 1).unwrap(), b"");
    }

    /// A pipe of a shell, `<(…)`, is a descriptor of this process.
    #[test]
    fn pipes_that_a_process_was_started_with() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"{}").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(read_text_argument(Path::new(&path), MAX_TEXT_BYTES).unwrap(), "{}");
        let (reader, writer) = std::io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let written = std::thread::spawn(move || {
            let mut writer = writer;
            while writer.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let error = read_argument(Path::new(&path), 2048).unwrap_err().to_string();
        assert!(error.contains("it has more than 2 KiB"), "{error}");
        drop(reader);
        written.join().unwrap();
    }

    fn fifo(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }

    fn link(to: impl AsRef<Path>, path: &Path) {
        std::os::unix::fs::symlink(to, path).unwrap();
    }
}
