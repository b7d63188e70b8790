//! The requirements of a program, read from its ELF headers.

use std::collections::BTreeSet;
use std::fmt;

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, Sym as _};

/// A program or a shared library for Linux.
#[derive(Debug, PartialEq, Eq)]
pub struct Elf {
    pub architecture: Architecture,
    /// The newest version of glibc that it needs, if any.
    pub glibc: Option<Glibc>,
    /// The shared libraries that it names, without those that they name in turn.
    pub libraries: Vec<String>,
    /// The path of the loader that starts it; `None` when it is linked statically.
    pub loader: Option<String>,
    /// Whether it has debug information.
    pub debug: bool,
}

/// The architectures of Lambda and Fargate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Arm64,
}

/// A version of glibc, and what needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Glibc {
    pub version: GlibcVersion,
    /// The symbols of this version.
    pub symbols: BTreeSet<String>,
}

/// As in `2.34`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion(pub u32, pub u32);

/// A file that is not a program that can be packaged.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    #[error("is no ELF file: expected a program for Linux")]
    NotElf,
    #[error("is a 32-bit or big-endian program: expected one for x86-64 or arm64")]
    OtherClass,
    #[error("is for another architecture (ELF machine {0}): expected x86-64 or arm64")]
    OtherMachine(u16),
    #[error("is an ELF file of type {0}: expected a program or a shared library")]
    OtherType(u16),
    #[error(
        "has no section headers, so that its needs are unknown: strip it of its symbols only, as \
         `strip` does"
    )]
    NoSections,
    #[error("is a damaged ELF file: {0}")]
    Damaged(#[from] object::Error),
}

impl Architecture {
    /// The architecture of this program, which is the one that it can compile for.
    pub fn own() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86-64",
            Self::Arm64 => "arm64",
        })
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl GlibcVersion {
    /// The version of glibc in a symbol version such as `GLIBC_2.34`.
    fn of(name: &str) -> Option<Self> {
        let version = name.strip_prefix("GLIBC_")?;
        // Relative relocations in a packed form are a feature of the loader.
        if version == "ABI_DT_RELR" {
            return Some(Self(2, 36));
        }
        let mut parts = version.split('.').map(str::parse);
        Some(Self(parts.next()?.ok()?, parts.next()?.ok()?))
    }
}

impl Elf {
    /// Reads the headers.
    pub fn parse(bytes: &[u8]) -> Result<Self, ElfError> {
        if !bytes.starts_with(&elf::ELFMAG) {
            return Err(ElfError::NotElf);
        }
        if !matches!(bytes.get(4..6), Some([elf::ELFCLASS64, elf::ELFDATA2LSB])) {
            return Err(ElfError::OtherClass);
        }
        let header = elf::FileHeader64::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let architecture = match header.e_machine(endian) {
            elf::EM_X86_64 => Architecture::X86_64,
            elf::EM_AARCH64 => Architecture::Arm64,
            other => return Err(ElfError::OtherMachine(other)),
        };
        match header.e_type(endian) {
            elf::ET_EXEC | elf::ET_DYN => {}
            other => return Err(ElfError::OtherType(other)),
        }
        let mut loader = None;
        for segment in header.program_headers(endian, bytes)? {
            if let Some(path) = segment.interpreter(endian, bytes)? {
                loader = Some(text(path));
            }
        }
        let sections = header.sections(endian, bytes)?;
        if sections.is_empty() {
            return Err(ElfError::NoSections);
        }
        let mut libraries = Vec::new();
        if let Some((entries, strings)) = sections.dynamic(endian, bytes)? {
            let strings = sections.strings(endian, bytes, strings)?;
            for entry in entries.iter().take_while(|entry| entry.d_tag(endian) != elf::DT_NULL) {
                if entry.d_tag(endian) == elf::DT_NEEDED {
                    libraries.push(text(entry.string(endian, strings)?));
                }
            }
        }
        let glibc = glibc(header, endian, bytes)?;
        let debug = sections.section_by_name(endian, b".debug_info").is_some();
        Ok(Self { architecture, glibc, libraries, loader, debug })
    }
}

/// The newest version of glibc that the loader requires, and its symbols.
fn glibc(
    header: &elf::FileHeader64<Endianness>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Option<Glibc>, object::Error> {
    let sections = header.sections(endian, bytes)?;
    let Some((mut needs, strings)) = sections.gnu_verneed(endian, bytes)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, bytes, strings)?;
    let mut newest = None;
    let mut indices = Vec::new();
    while let Some((_library, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            // A version may be missing if only weak symbols need it.
            if version.vna_flags.get(endian) & elf::VER_FLG_WEAK != 0 {
                continue;
            }
            let name = text(version.name(endian, strings)?);
            let Some(found) = GlibcVersion::of(&name) else { continue };
            if newest.is_none_or(|newest| found > newest) {
                newest = Some(found);
                indices.clear();
            }
            // Several libraries have the same version.
            if newest == Some(found) {
                indices.push(version.vna_other.get(endian) & elf::VERSYM_VERSION);
            }
        }
    }
    let Some(version) = newest else { return Ok(None) };
    let mut symbols = BTreeSet::new();
    if let Some((of_symbols, _)) = sections.gnu_versym(endian, bytes)? {
        let dynamic = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
        for (symbol, of) in dynamic.symbols().iter().zip(of_symbols) {
            if indices.contains(&(of.0.get(endian) & elf::VERSYM_VERSION)) {
                symbols.insert(text(symbol.name(endian, dynamic.strings())?));
            }
        }
    }
    Ok(Some(Glibc { version, symbols }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[rstest]
    #[case("GLIBC_2.34", Some(GlibcVersion(2, 34)))]
    #[case("GLIBC_2.2.5", Some(GlibcVersion(2, 2)))]
    #[case("GLIBC_ABI_DT_RELR", Some(GlibcVersion(2, 36)))]
    #[case("GLIBC_PRIVATE", None)]
    #[case("GCC_3.0", None)]
    fn symbol_versions(#[case] name: &str, #[case] version: Option<GlibcVersion>) {
        assert_eq!(GlibcVersion::of(name), version);
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(GlibcVersion(2, 4) < GlibcVersion(2, 34));
    }

    #[test]
    fn a_program_is_read() {
        let elf = Elf::parse(&own()).unwrap();
        assert_eq!(Some(elf.architecture), Architecture::own());
        if let Some(glibc) = elf.glibc {
            assert!(glibc.version >= GlibcVersion(2, 17));
            assert!(!glibc.symbols.is_empty());
            assert!(elf.libraries.iter().any(|library| library == "libc.so.6"));
            assert!(elf.loader.unwrap().contains("ld-linux"));
        }
    }

    #[rstest]
    #[case::script(|_| b"#!/bin/sh\n".to_vec(), "is no ELF file")]
    #[case::empty(|_| vec![], "is no ELF file")]
    #[case::header_alone(|bytes: Vec<u8>| bytes[..20].to_vec(), "damaged")]
    #[case::cut_off(|bytes: Vec<u8>| bytes[..4096].to_vec(), "damaged")]
    #[case::no_sections(|mut bytes: Vec<u8>| {
        // e_shoff, and e_shnum with e_shstrndx.
        bytes[40..48].fill(0);
        bytes[60..64].fill(0);
        bytes
    }, "no section headers")]
    #[case::class(|mut bytes: Vec<u8>| { bytes[4] = 1; bytes }, "32-bit")]
    #[case::machine(|mut bytes: Vec<u8>| { bytes[18] = 243; bytes }, "ELF machine 243")]
    #[case::kind(|mut bytes: Vec<u8>| { bytes[16] = 1; bytes }, "of type 1")]
    fn what_is_no_program(#[case] change: fn(Vec<u8>) -> Vec<u8>, #[case] told: &str) {
        let error = Elf::parse(&change(own())).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }

    /// Any damage is reported or changes the result, and never causes a panic.
    #[test]
    fn a_damaged_program_is_read_or_refused() {
        let whole = std::fs::read("/bin/true").unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.usize(1..8) {
                let at = match rng.bool() {
                    // The headers, in which each byte matters most.
                    true => rng.usize(..1024),
                    false => rng.usize(..bytes.len()),
                };
                bytes[at] = rng.u8(..);
            }
            if rng.u8(..) < 16 {
                bytes.truncate(rng.usize(..bytes.len()));
            }
            refused += usize::from(Elf::parse(&bytes).is_err());
        }
        assert!((1..20_000).contains(&refused), "{refused}");
    }
}
