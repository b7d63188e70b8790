//! Compiled plugins in a deployment package, so that a cold start doesn't compile.
//!
//! The package's folder is beside the program, and is only read. Its code runs with the host's own
//! rights, like the program. So it is trusted exactly as much as the program is. It is compiled for
//! every CPU of its architecture, on any machine.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use groundcrew_core::limits::Limits;
use serde_json::Value;
use wasmtime::Engine;
use wasmtime::component::Component;

pub use crate::build::BUILD;
use crate::cache::{self, CacheError};
use crate::code;
use crate::engine;
use crate::files;
use crate::load_error::LoadError;
use crate::runtime_error::RuntimeError;
use crate::spec::{PluginSpec, Source};
use crate::world::World;

/// The file that names the build that made the folder.
pub const BUILD_FILE: &str = "build";

/// A package's compiled plugins that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The folder doesn't name its build.
    #[error("packaged plugins: {}: {source}; make the package anew", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another build made it.
    #[error(
        "packaged plugins: {} were compiled by another build of groundcrew ({found}, this one is \
         {BUILD}): make the package anew with this one", directory.display()
    )]
    OtherBuild {
        /// The folder.
        directory: PathBuf,
        /// The build that made it.
        found: String,
    },
    /// A plugin isn't there.
    #[error(
        "packaged plugins: {} is missing: make the package anew from the config that is used",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The plugin is damaged, or another user could have written it.
    #[error(transparent)]
    Untrusted(#[from] CacheError),
    /// wasmtime rejects the plugin.
    #[error("packaged plugins: {} can't be loaded: {reason}", path.display())]
    Unloadable {
        /// The file.
        path: PathBuf,
        /// The message of wasmtime.
        reason: String,
    },
}

/// The folder of a package, when the program runs from one.
pub(crate) struct PackagedPlugins {
    directory: PathBuf,
    owners: Vec<u32>,
    /// Names the files. The code is loaded into the engine that runs plugins. That engine is made
    /// for this very CPU, which has all features that the portable code needs.
    portable: Engine,
}

impl PackagedPlugins {
    pub(crate) fn open(directory: &Path) -> Result<Self, PackageError> {
        let io = |source| PackageError::Io { path: directory.to_owned(), source };
        let owners = owners();
        cache::require_owned(directory, &fs::metadata(directory).map_err(io)?, &owners)?;
        let path = directory.join(BUILD_FILE);
        let found = files::read_text(&path, files::MAX_TEXT_BYTES)
            .map_err(|source| PackageError::Io { path: path.clone(), source })?;
        if found.trim_end() != BUILD {
            let found = found.trim_end().chars().filter(|letter| !letter.is_control());
            return Err(PackageError::OtherBuild {
                directory: directory.to_owned(),
                found: found.take(200).collect(),
            });
        }
        let portable = engine::portable()
            .map_err(|error| PackageError::Unloadable { path, reason: format!("{error:#}") })?;
        Ok(Self { directory: directory.to_owned(), owners, portable })
    }

    /// The compiled component.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        digest: &str,
    ) -> Result<Component, PackageError> {
        let path = self.directory.join(cache::file_name(&self.portable, digest));
        if !cache::is_intact(&path, &self.owners)? {
            return Err(PackageError::Missing { path });
        }
        cache::map_file(engine, &path)
            .map_err(|error| PackageError::Unloadable { path, reason: format!("{error:#}") })
    }
}

/// The users who may have written the folder: this user, root, and the owner of the program, since
/// they could replace the program as well.
fn owners() -> Vec<u32> {
    let program = std::env::current_exe().and_then(fs::metadata).map(|program| program.uid());
    [cache::current_uid(), 0].into_iter().chain(program.ok()).collect()
}

/// Compiles plugins for packages.
pub struct Compiler {
    engine: Engine,
}

/// A compiled plugin: a file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledPlugin {
    /// Its name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Compiler {
    /// A compiler for the architecture that this program is for.
    ///
    /// # Errors
    /// When wasmtime can't be started.
    pub fn new() -> Result<Self, RuntimeError> {
        let engine = engine::portable()
            .map_err(|error| RuntimeError::Engine { reason: format!("{error:#}") })?;
        Ok(Self { engine })
    }

    /// Compiles a plugin; for a script, its interpreter. The same plugin gives the same bytes.
    ///
    /// # Errors
    /// When there is no such plugin, or when it is not a component.
    pub fn compile(&self, plugin: &str, source: &Source) -> Result<CompiledPlugin, LoadError> {
        let spec = PluginSpec {
            name: plugin,
            source,
            sha256: None,
            settings: &Value::Null,
            lanes: &[],
            limits: Limits::default(),
        };
        let code = code::read(spec, World::Policy, false)?;
        let mut bytes = self.engine.precompile_component(&code.component).map_err(|error| {
            LoadError::Invalid { plugin: plugin.to_owned(), reason: format!("{error:#}") }
        })?;
        bytes.extend(cache::checksum(&bytes));
        Ok(CompiledPlugin { name: cache::file_name(&self.engine, &code.component_digest), bytes })
    }
}
