//! `groundcrew package`: everything that a Lambda or a container needs, in one piece.

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

use crate::commands::{Package, Target};
use crate::failure::Failure;
use crate::files::{with_ending, write_whole};
use crate::loaded::{Need, read_alone};
use crate::output::screen;
use crate::ports::NoSupport;
use crate::wording::thousands;
use compiled::{Compiled, compile};
use contents::{BOOTSTRAP, CACHE, CONFIG, Contents, Files};
use elf::{Architecture, Elf, ElfError, GlibcVersion};
use report::Report;
use tree::{File, Tree};

/// How an image is made of the package; it is in the package, too.
const CONTAINERFILE: &str = include_str!("../../../../deploy/container/Containerfile");
/// The image's file system, within the package.
const ROOT: &str = "root";
/// Where the image has the config: as the Containerfile's command says.
const CONFIG_FOLDER: &str = "etc/groundcrew";
/// The name of the program in the image: as the Containerfile's entry point says.
const PROGRAM: &str = "groundcrew";

/// The glibc of Amazon Linux 2023, on which `provided.al2023` is built.
const LAMBDA_GLIBC: GlibcVersion = GlibcVersion(2, 34);
/// What `provided.al2023` has, besides the loader.
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

pub fn run(options: &Package) -> Result<(), Failure> {
    let target = options.target;
    let mut problems = Vec::new();
    let binary = Binary::open(options.binary.as_deref(), target).map_err(|found| {
        problems.extend(found.iter().map(ToString::to_string));
    });
    let place = place(options).map_err(|problem| problems.push(problem));

    // Whatever `check` finds is found here too. What this shell lays over the config is not looked
    // at: it is one stack's, and the package has the file alone.
    let base = options.config.parent().unwrap_or(Path::new(""));
    let checked = read_alone(&options.config).and_then(|read| {
        let text = read.text().to_owned();
        let Contents { files, problems, notices } = Contents::gather(&read.config, base, target);
        let loading = read.with_problems(problems).load(Need::All, Arc::new(NoSupport));
        let loaded = crate::runtime::current_thread()?.block_on(loading)?;
        Ok((loaded.config, text, files, notices))
    });
    let (config, text, files, mut notices) = match checked {
        Ok(checked) => checked,
        Err(Failure::Usage(found)) => {
            problems.push(found);
            return Err(Failure::Usage(problems.join("\n")));
        }
        Err(other) => return Err(other),
    };
    let (Ok(binary), Ok(place)) = (binary, place) else {
        return Err(Failure::Usage(problems.join("\n")));
    };
    notices.extend(notice_of_ledger(&config, target));
    notices.extend(binary.notice());

    let compiled = compile(&config, base)?;
    let package = Packing { binary: &binary, text, files, compiled: &compiled };
    let (tree, bytes) = match target {
        Target::Lambda => {
            let tree = package.lambda();
            if tree.size() > LAMBDA_SIZE {
                return Err(Failure::Usage(format!(
                    "the package would have {} bytes, and a Lambda may have {}: package a release \
                     build, or fewer plugins",
                    thousands(tree.size()),
                    thousands(LAMBDA_SIZE)
                )));
            }
            let zip = archive::zip(&tree).map_err(|error| Failure::Other(error.to_string()))?;
            (tree, Some(zip))
        }
        Target::Container => {
            (package.container().map_err(|error| Failure::Usage(error.to_string()))?, None)
        }
    };
    fs::create_dir_all(&options.out)
        .and_then(|()| match &bytes {
            Some(zip) => write_whole(&place, zip),
            None => replace(&place, &tree),
        })
        .map_err(|error| Failure::unwritable(&place, error, "--out"))?;
    let report = Report {
        place: &place,
        size: bytes.as_ref().map_or(tree.size(), |zip| zip.len() as u64),
        sha256: bytes.as_ref().map_or_else(|| tree.sha256(), |zip| tree::sha256(zip)),
        elf: &binary.elf,
        tree: &tree,
        compiled: &compiled,
        notices: &notices,
    };
    screen(&report.to_string())
}

impl Binary {
    /// Reads the program and says everything that keeps it from being packaged.
    fn open(path: Option<&Path>, target: Target) -> Result<Self, Vec<BinaryError>> {
        let path = path.map(Path::to_owned).map_or_else(std::env::current_exe, Ok);
        let path = path.map_err(|error| {
            let reason = format!("{error}; name it by --binary");
            vec![BinaryError::Read { path: PathBuf::from(PROGRAM), reason }]
        })?;
        let bytes = files::read(&path, files::PROGRAM).map_err(|error| {
            vec![BinaryError::Read { path: path.clone(), reason: error.to_string() }]
        })?;
        let elf = Elf::parse(&bytes)
            .map_err(|source| vec![BinaryError::Elf { path: path.clone(), source }])?;
        let binary = Self { path, bytes, elf };
        let wrong = binary.wrong(target);
        if wrong.is_empty() { Ok(binary) } else { Err(wrong) }
    }

    fn wrong(&self, target: Target) -> Vec<BinaryError> {
        let Self { path, bytes, elf } = self;
        let path = || path.clone();
        let mut wrong = Vec::new();
        let (found, own) = (elf.architecture, Architecture::own());
        if own != Some(found) {
            wrong.push(BinaryError::Architecture { path: path(), found, own });
        } else if memchr::memmem::find(bytes, BUILD.as_bytes()).is_none() {
            wrong.push(BinaryError::OtherBuild { path: path() });
        }
        if target == Target::Container {
            return wrong;
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
            wrong.push(BinaryError::Glibc { path: path(), found: glibc.version, symbols });
        }
        let has = |library: &&String| {
            LAMBDA_LIBRARIES.contains(&library.as_str()) || library.starts_with("ld-linux-")
        };
        let libraries: Vec<_> = elf.libraries.iter().filter(|name| !has(name)).cloned().collect();
        if !libraries.is_empty() {
            wrong.push(BinaryError::Libraries { path: path(), libraries });
        }
        wrong
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

/// Where the package is written: what is there is replaced if it is an older package.
fn place(options: &Package) -> Result<PathBuf, String> {
    let place = options.out.join(match options.target {
        Target::Lambda => "groundcrew-lambda.zip",
        Target::Container => "container",
    });
    let is_ours = match options.target {
        Target::Lambda => !place.exists() || place.is_file(),
        Target::Container => {
            !place.exists() || ["Containerfile", ROOT].iter().all(|name| place.join(name).exists())
        }
    };
    match is_ours {
        true => Ok(place),
        false => Err(format!(
            "{} is there and is no package: remove it, or choose another --out",
            place.display()
        )),
    }
}

/// What is not to be expected of a ledger in a file.
fn notice_of_ledger(config: &Config, target: Target) -> Option<String> {
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

/// What is packed.
struct Packing<'a> {
    binary: &'a Binary,
    /// Of the config.
    text: String,
    files: Files,
    compiled: &'a [Compiled],
}

impl Packing<'_> {
    /// As a Lambda finds it under `/var/task`.
    fn lambda(self) -> Tree {
        let mut tree = Tree::default();
        tree.add(BOOTSTRAP, File::program(self.binary.bytes.clone()));
        self.add_cache(&mut tree, CACHE);
        self.add_config(&mut tree, "");
        tree
    }

    /// As the Containerfile takes it.
    fn container(self) -> Result<Tree, libraries::LibraryError> {
        let mut tree = Tree::default();
        tree.add("Containerfile", File::plain(CONTAINERFILE.into()));
        tree.add(format!("{ROOT}/{PROGRAM}"), File::program(self.binary.bytes.clone()));
        for (path, bytes) in libraries::libraries(&self.binary.elf)? {
            tree.add(format!("{ROOT}{path}"), File::program(bytes));
        }
        // Where every TLS library looks first.
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

    /// The compiled plugins, which the program looks for beside itself.
    fn add_cache(&self, tree: &mut Tree, folder: &str) {
        let build = format!("{BUILD}\n");
        tree.add(format!("{folder}/{BUILD_FILE}"), File::plain(build.into()));
        for compiled in self.compiled {
            let path = format!("{folder}/{}", compiled.name);
            tree.add(path, File::plain(compiled.bytes.clone()));
        }
    }

    /// The config, and what it names.
    fn add_config(self, tree: &mut Tree, folder: &str) {
        tree.add(format!("{folder}{CONFIG}"), File::plain(self.text.into()));
        for (path, bytes) in self.files {
            tree.add(format!("{folder}{path}"), File::plain(bytes));
        }
    }
}

/// Puts the files into the place of an older package.
fn replace(place: &Path, tree: &Tree) -> std::io::Result<()> {
    let beside = with_ending(place, &format!(".{}.tmp", std::process::id()));
    let written = tree.write(&beside).and_then(|()| {
        if place.exists() {
            fs::remove_dir_all(place)?;
        }
        fs::rename(&beside, place)
    });
    if written.is_err() {
        // What is left of it is of no use; that it can't be removed is no further news.
        let _ = fs::remove_dir_all(&beside);
    }
    written
}
