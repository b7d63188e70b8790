//! What a program needs in an otherwise empty image: the loader, the shared libraries and the root
//! certificates, from this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use groundcrew_plugins::files;

use super::elf::{Architecture, Elf, ElfError};

/// A part that this machine lacks.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(
        "the image needs {name}, which is in none of {}: install it, or build the binary for musl",
        folders.join(", ")
    )]
    Missing { name: String, folders: Vec<String> },
    #[error("the image needs {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} {source}", path.display())]
    Elf { path: PathBuf, source: ElfError },
    #[error(
        "the image needs certificates of authorities to reach AWS, and none of {} is there: \
         install the package ca-certificates",
        CERTIFICATES.join(", ")
    )]
    NoCertificates,
}

/// The paths of the root certificates, in one file, in various distributions.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The libraries that glibc before 2.34 loads by itself to resolve names; a newer glibc has them
/// built in.
const NSS_LIBRARIES: [&str; 2] = ["libnss_dns.so.2", "libnss_files.so.2"];

/// The loader and the shared libraries of a program, by the absolute paths at which it finds them.
pub fn libraries(program: &Elf) -> Result<BTreeMap<String, Vec<u8>>, LibraryError> {
    let mut found = BTreeMap::new();
    let Some(loader) = &program.loader else { return Ok(found) };
    let folders = library_folders(program.architecture);
    let find = |name: &str| {
        folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
    };
    found.insert(loader.clone(), read(Path::new(loader))?);
    let mut wanted = program.libraries.clone();
    if program.glibc.is_some() {
        let opened = NSS_LIBRARIES.into_iter().filter(|name| find(name).is_some());
        wanted.extend(opened.map(str::to_owned));
    }
    // The program names the path of the loader, and libraries may name the loader too.
    let loader_name = Path::new(loader).file_name();
    let mut seen: BTreeSet<_> = loader_name.map(OsStr::to_owned).into_iter().collect();
    while let Some(name) = wanted.pop() {
        if !seen.insert(name.clone().into()) {
            continue;
        }
        let path = find(&name).ok_or_else(|| LibraryError::Missing {
            name: name.clone(),
            folders: folders.clone(),
        })?;
        let bytes = read(&path)?;
        let elf = Elf::parse(&bytes)
            .map_err(|source| LibraryError::Elf { path: path.clone(), source })?;
        wanted.extend(elf.libraries);
        found.insert(path.display().to_string(), bytes);
    }
    Ok(found)
}

/// The root certificates that this machine trusts.
pub fn certificates() -> Result<Vec<u8>, LibraryError> {
    let path = CERTIFICATES.iter().map(Path::new).find(|path| path.is_file());
    read(path.ok_or(LibraryError::NoCertificates)?)
}

/// The folders that the loader searches without any configuration.
fn library_folders(architecture: Architecture) -> Vec<String> {
    let multiarch = match architecture {
        Architecture::X86_64 => "x86_64-linux-gnu",
        Architecture::Arm64 => "aarch64-linux-gnu",
    };
    let folders = [format!("/lib/{multiarch}"), format!("/usr/lib/{multiarch}")];
    let plain = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(str::to_owned);
    folders.into_iter().chain(plain).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, LibraryError> {
    files::read(path, files::MAX_PROGRAM_BYTES)
        .map_err(|source| LibraryError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In any distribution, the test's own libraries are found, with the loader.
    #[test]
    fn the_libraries_of_a_program_are_found() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::parse(&own).unwrap();
        let found = libraries(&elf).unwrap();
        let Some(loader) = &elf.loader else { return };
        assert!(found.contains_key(loader));
        for name in &elf.libraries {
            let found = found.keys().any(|path| path.ends_with(&format!("/{name}")));
            assert!(found, "{name}");
        }
        for name in NSS_LIBRARIES.into_iter().filter(|_| elf.glibc.is_some()) {
            let here = library_folders(elf.architecture)
                .iter()
                .any(|one| Path::new(one).join(name).exists());
            assert_eq!(found.keys().any(|path| path.ends_with(name)), here, "{name}");
        }
    }

    /// Libraries may be named by absolute paths, too.
    #[test]
    fn a_library_that_names_itself_comes_to_an_end() {
        const OLD: &[u8] = b"libc.so.6\0";
        let short = tempfile::Builder::new().prefix("").rand_bytes(4).tempfile_in("/tmp").unwrap();
        let name = short.path().to_str().unwrap().to_owned();
        let mut library = std::fs::read("/bin/true").unwrap();
        let mut elf = Elf::parse(&library).unwrap();
        let at = library.windows(OLD.len()).position(|bytes| bytes == OLD).unwrap();
        library[at..at + name.len()].copy_from_slice(name.as_bytes());
        assert!(Elf::parse(&library).unwrap().libraries.iter().eq([&name]));
        std::fs::write(short.path(), library).unwrap();
        elf.libraries = vec![name.clone()];
        assert!(libraries(&elf).unwrap().contains_key(&name));
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut elf = Elf::parse(&own).unwrap();
        if elf.loader.is_some() {
            elf.libraries.push("libnowhere.so.7".to_owned());
            let error = libraries(&elf).unwrap_err().to_string();
            assert!(error.contains("libnowhere.so.7") && error.contains("/lib"), "{error}");
        }
    }
}
