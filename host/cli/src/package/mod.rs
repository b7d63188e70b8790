//! `groundcrew package`: writes everything that a Lambda function or a container needs.

mod archive;
mod compiled;
mod contents;
mod elf;
mod libraries;
mod report;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundcrew_core::config::{Config, LedgerLocation};
use groundcrew_plugins::files;
use groundcrew_plugins::package::{BUILD, BUILD_FILE};

use crate::command_error::CommandError;
use crate::commands::{Package, Target};
use crate::files::{with_suffix, write_atomic};
use crate::formatting::thousands;
use crate::loaded_config::{PluginSelection, read_without_overlay};
use crate::output::print_sanitized;
use crate::ports::NoSupportCases;
use compiled::{CompiledPlugin, compile};
use contents::{BOOTSTRAP, CACHE, CONFIG, Contents, Files};
use elf::{Architecture, Elf, ElfError, GlibcVersion};
use report::Report;
use tree::{File, Tree};

/// The file that builds the image from the package; the package contains it.
const CONTAINERFILE: &str = include_str!("../../../../deploy/container/Containerfile");
/// The image's file system, within the package.
const ROOT: &str = "root";
/// The folder of the config in the image: as the Containerfile's command names it.
const CONFIG_FOLDER: &str = "etc/groundcrew";
/// The name of the program in the image: as the Containerfile's entry point says.
const PROGRAM: &str = "groundcrew";

/// The glibc of Amazon Linux 2023, on which `provided.al2023` is built.
const LAMBDA_GLIBC: GlibcVersion = GlibcVersion(2, 34);
/// The libraries of `provided.al2023`, besides the loader.
const LAMBDA_LIBRARIES: [&str; 6] =
    ["libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"];
/// AWS's quota for a function's code, unpacked.
const LAMBDA_SIZE: u64 = 250 << 20;

/// A binary that can't be packaged.
#[derive(Debug, thiserror::Error)]
enum BinaryError {
    #[error("{}: the binary can't be read: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    #[error("{} {source}", path.display())]
    Elf { path: PathBuf, source: ElfError },
    #[error(
        "{} is for {found}, but this groundcrew compiles plugins for {}: make the package with a \
         groundcrew for {found}",
        path.display(),
        own.map_or("no platform of Lambda or Fargate".to_owned(), |own| own.to_string())
    )]
    Architecture { path: PathBuf, found: Architecture, own: Option<Architecture> },
    #[error(
        "{} is not this build of groundcrew, so it would use no plugin that this one compiled: run \
         its own `package` command, or build both from the same sources", path.display()
    )]
    OtherBuild { path: PathBuf },
    #[error(
        "{} needs glibc {found} for {symbols}, but Lambda's provided.al2023 has \
         {LAMBDA_GLIBC}: build it on a system with glibc {LAMBDA_GLIBC} or older, such as Amazon \
         Linux 2023", path.display()
    )]
    Glibc { path: PathBuf, found: GlibcVersion, symbols: String },
    #[error(
        "{} needs {}, which Lambda's provided.al2023 does not have: link it statically",
        path.display(), libraries.join(", ")
    )]
    Libraries { path: PathBuf, libraries: Vec<String> },
}

/// The program that is packaged.
struct Binary {
    path: PathBuf,
    bytes: Vec<u8>,
    elf: Elf,
}

pub fn run(options: &Package) -> Result<(), CommandError> {
    let target = options.target;
    let mut problems = Vec::new();
    let binary = Binary::open(options.binary.as_deref(), target).map_err(|found| {
        problems.extend(found.iter().map(ToString::to_string));
    });
    let output_path = output_path(options).map_err(|problem| problems.push(problem));

    // The problems that `check` finds are errors here too. The overlay of this shell is ignored: it
    // belongs to one stack, and the package contains only the file.
    let base = options.config.parent().unwrap_or(Path::new(""));
    let checked = read_without_overlay(&options.config).and_then(|read| {
        let text = read.text().to_owned();
        let Contents { files, problems, notices } = Contents::gather(&read.config, base, target);
        let loading =
            read.with_problems(problems).load(PluginSelection::All, Arc::new(NoSupportCases));
        let loaded = crate::runtime::current_thread()?.block_on(loading)?;
        Ok((loaded.config, text, files, notices))
    });
    let (config, text, files, mut notices) = match checked {
        Ok(checked) => checked,
        Err(CommandError::Usage(found)) => {
            problems.push(found);
            return Err(CommandError::Usage(problems.join("\n")));
        }
        Err(other) => return Err(other),
    };
    let (Ok(binary), Ok(output_path)) = (binary, output_path) else {
        return Err(CommandError::Usage(problems.join("\n")));
    };
    notices.extend(ledger_notice(&config, target));
    notices.extend(binary.notice());

    let compiled = compile(&config, base)?;
    let package = PackageContents { binary: &binary, text, files, compiled: &compiled };
    let (tree, bytes) = match target {
        Target::Lambda => {
            let tree = package.lambda();
            if tree.size() > LAMBDA_SIZE {
                return Err(CommandError::Usage(format!(
                    "the package would have {} bytes, and a Lambda may have {}: package a release \
                     build, or fewer plugins",
                    thousands(tree.size()),
                    thousands(LAMBDA_SIZE)
                )));
            }
            let zip =
                archive::zip(&tree).map_err(|error| CommandError::Other(error.to_string()))?;
            (tree, Some(zip))
        }
        Target::Container => {
            (package.container().map_err(|error| CommandError::Usage(error.to_string()))?, None)
        }
    };
    fs::create_dir_all(&options.out)
        .and_then(|()| match &bytes {
            Some(zip) => write_atomic(&output_path, zip),
            None => replace(&output_path, &tree),
        })
        .map_err(|error| CommandError::unwritable(&output_path, error, "--out"))?;
    let report = Report {
        output_path: &output_path,
        size: bytes.as_ref().map_or(tree.size(), |zip| zip.len() as u64),
        sha256: bytes.as_ref().map_or_else(|| tree.sha256(), |zip| tree::sha256(zip)),
        elf: &binary.elf,
        tree: &tree,
        compiled: &compiled,
        notices: &notices,
    };
    print_sanitized(&report.to_string())
}

impl Binary {
    /// Reads the program and reports everything that prevents packaging it.
    fn open(path: Option<&Path>, target: Target) -> Result<Self, Vec<BinaryError>> {
        let path = path.map(Path::to_owned).map_or_else(std::env::current_exe, Ok);
        let path = path.map_err(|error| {
            let reason = format!("{error}; name it by --binary");
            vec![BinaryError::Read { path: PathBuf::from(PROGRAM), reason }]
        })?;
        let bytes = files::read(&path, files::MAX_PROGRAM_BYTES).map_err(|error| {
            vec![BinaryError::Read { path: path.clone(), reason: error.to_string() }]
        })?;
        let elf = Elf::parse(&bytes)
            .map_err(|source| vec![BinaryError::Elf { path: path.clone(), source }])?;
        let binary = Self { path, bytes, elf };
        let problems = binary.problems(target);
        if problems.is_empty() { Ok(binary) } else { Err(problems) }
    }

    fn problems(&self, target: Target) -> Vec<BinaryError> {
        let Self { path, bytes, elf } = self;
        let path = || path.clone();
        let mut problems = Vec::new();
        let (found, own) = (elf.architecture, Architecture::own());
        if own != Some(found) {
            problems.push(BinaryError::Architecture { path: path(), found, own });
        } else if memchr::memmem::find(bytes, BUILD.as_bytes()).is_none() {
            problems.push(BinaryError::OtherBuild { path: path() });
        }
        if target == Target::Container {
            return problems;
        }
        if let Some(glibc) = &elf.glibc
            && glibc.version > LAMBDA_GLIBC
        {
            let symbols: Vec<_> =
                glibc.symbols.iter().map(|symbol| format!("`{symbol}`")).collect();
            let symbols = match symbols.as_slice() {
                [] => "its loader".to_owned(),
                symbols => symbols.join(", "),
            };
            problems.push(BinaryError::Glibc { path: path(), found: glibc.version, symbols });
        }
        let has = |library: &&String| {
            LAMBDA_LIBRARIES.contains(&library.as_str()) || library.starts_with("ld-linux-")
        };
        let libraries: Vec<_> = elf.libraries.iter().filter(|name| !has(name)).cloned().collect();
        if !libraries.is_empty() {
            problems.push(BinaryError::Libraries { path: path(), libraries });
        }
        problems
    }

    fn notice(&self) -> Option<String> {
        self.elf.debug.then(|| {
            format!(
                "the binary is a debug build of {} bytes: a release build is a fraction of that, \
                 and starts faster",
                thousands(self.bytes.len() as u64)
            )
        })
    }
}

/// The path of the package: an existing file or folder is replaced if it is an older package.
fn output_path(options: &Package) -> Result<PathBuf, String> {
    let output_path = options.out.join(match options.target {
        Target::Lambda => "groundcrew-lambda.zip",
        Target::Container => "container",
    });
    let is_ours = match options.target {
        Target::Lambda => !output_path.exists() || output_path.is_file(),
        Target::Container => {
            !output_path.exists()
                || ["Containerfile", ROOT].iter().all(|name| output_path.join(name).exists())
        }
    };
    match is_ours {
        true => Ok(output_path),
        false => Err(format!(
            "{} is there and is no package: remove it, or choose another --out",
            output_path.display()
        )),
    }
}

/// The limits of a ledger in a file.
fn ledger_notice(config: &Config, target: Target) -> Option<String> {
    let LedgerLocation::File(file) = &config.ledger.location else { return None };
    Some(match target {
        Target::Lambda => {
            "the config keeps the ledger in a file, and a Lambda keeps no files: the \
                           stack names its table; without the stack write `[ledger]` with \
                           `table = \"…\"`"
                .to_owned()
        }
        Target::Container => format!(
            "the config keeps the ledger in a file: the stack names its table; without the stack \
             mount a volume that user 65532 can write to, and have `[ledger]` `file` lead there \
             (now {})",
            Path::new("/").join(CONFIG_FOLDER).join(file).display()
        ),
    })
}

/// The content of a package.
struct PackageContents<'a> {
    binary: &'a Binary,
    /// The text of the config.
    text: String,
    files: Files,
    compiled: &'a [CompiledPlugin],
}

impl PackageContents<'_> {
    /// The files as a Lambda function has them under `/var/task`.
    fn lambda(self) -> Tree {
        let mut tree = Tree::default();
        tree.add(BOOTSTRAP, File::program(self.binary.bytes.clone()));
        self.add_cache(&mut tree, CACHE);
        self.add_config(&mut tree, "");
        tree
    }

    /// The files as the Containerfile copies them.
    fn container(self) -> Result<Tree, libraries::LibraryError> {
        let mut tree = Tree::default();
        tree.add("Containerfile", File::plain(CONTAINERFILE.into()));
        tree.add(format!("{ROOT}/{PROGRAM}"), File::program(self.binary.bytes.clone()));
        for (path, bytes) in libraries::libraries(&self.binary.elf)? {
            tree.add(format!("{ROOT}{path}"), File::program(bytes));
        }
        // The first path that every TLS library tries.
        let certificates = format!("{ROOT}/etc/ssl/certs/ca-certificates.crt");
        tree.add(certificates, File::plain(libraries::certificates()?));
        let user = "groundcrew:x:65532:65532::/:/\n";
        tree.add(format!("{ROOT}/etc/passwd"), File::plain(user.into()));
        let group = "groundcrew:x:65532:\n";
        tree.add(format!("{ROOT}/etc/group"), File::plain(group.into()));
        self.add_cache(&mut tree, &format!("{ROOT}/{CACHE}"));
        self.add_config(&mut tree, &format!("{ROOT}/{CONFIG_FOLDER}/"));
        Ok(tree)
    }

    /// The compiled plugins. The program expects them beside itself.
    fn add_cache(&self, tree: &mut Tree, folder: &str) {
        let build = format!("{BUILD}\n");
        tree.add(format!("{folder}/{BUILD_FILE}"), File::plain(build.into()));
        for compiled in self.compiled {
            let path = format!("{folder}/{}", compiled.name);
            tree.add(path, File::plain(compiled.bytes.clone()));
        }
    }

    /// The config, and the files that it names.
    fn add_config(self, tree: &mut Tree, folder: &str) {
        tree.add(format!("{folder}{CONFIG}"), File::plain(self.text.into()));
        for (path, bytes) in self.files {
            tree.add(format!("{folder}{path}"), File::plain(bytes));
        }
    }
}

/// Replaces an older package by the files.
fn replace(output_path: &Path, tree: &Tree) -> std::io::Result<()> {
    let temporary = with_suffix(output_path, &format!(".{}.tmp", std::process::id()));
    let written = tree.write(&temporary).and_then(|()| {
        if output_path.exists() {
            fs::remove_dir_all(output_path)?;
        }
        fs::rename(&temporary, output_path)
    });
    if written.is_err() {
        // The temporary folder is of no use. The write error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}
