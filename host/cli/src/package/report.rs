//! The output of `groundcrew package`.

use std::fmt;
use std::path::Path;

use super::compiled::CompiledPlugin;
use super::elf::Elf;
use super::tree::Tree;
use crate::formatting::{thousands, wrap};

/// A package that was written.
pub struct Report<'a> {
    pub output_path: &'a Path,
    pub size: u64,
    pub sha256: String,
    pub elf: &'a Elf,
    pub tree: &'a Tree,
    pub compiled: &'a [CompiledPlugin],
    pub notices: &'a [String],
}

/// Shown digits of a compiled plugin's name.
const DIGEST_DIGITS: usize = 12;

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.output_path.display())?;
        writeln!(f, "  size    {} bytes", thousands(self.size))?;
        writeln!(f, "  sha256  {}", self.sha256)?;
        let architecture = self.elf.architecture;
        match (&self.elf.glibc, &self.elf.loader) {
            (Some(glibc), _) => {
                writeln!(f, "  for     {architecture}, glibc {} or newer", glibc.version)?;
            }
            (None, None) => writeln!(f, "  for     {architecture}, linked statically")?,
            (None, Some(loader)) => writeln!(f, "  for     {architecture}, by {loader}")?,
        }
        writeln!(f, "\n       bytes")?;
        for (path, file) in self.tree.files() {
            let size = thousands(file.bytes.len() as u64);
            let compiled = self.compiled.iter().find(|compiled| path.ends_with(&compiled.name));
            match compiled {
                None => writeln!(f, "{size:>12}  {path}")?,
                Some(CompiledPlugin { plugin, name, .. }) => {
                    let folder = path.strip_suffix(name.as_str()).unwrap_or_default();
                    let short = name.get(..DIGEST_DIGITS).unwrap_or(name);
                    writeln!(f, "{size:>12}  {folder}{short}….cwasm  {plugin}, compiled")?;
                }
            }
        }
        for notice in self.notices {
            writeln!(f)?;
            for (index, line) in wrap(notice, 8).iter().enumerate() {
                writeln!(f, "{}{line}", if index == 0 { "notice: " } else { "        " })?;
            }
        }
        Ok(())
    }
}
