//! The files that a config names, as they go into a package.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component as PathPart, Path};

use groundcrew_core::config::{Config, NotifierConfig, PluginConfig, PluginSource, Problem};
use groundcrew_core::http::SecretLocation;
use groundcrew_plugins::files;

use crate::commands::Target;

/// The config's own name in a package.
pub const CONFIG: &str = "groundcrew.toml";
/// The folder of compiled plugins.
pub const CACHE: &str = "cache";
/// The program that Lambda runs.
pub const BOOTSTRAP: &str = "bootstrap";

/// Files by their paths relative to the config.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Why a file can't be in a package.
#[derive(Debug, thiserror::Error)]
enum PathError {
    #[error(
        "is outside the config's folder, and a package has only what is in it: copy the file \
         there, and name it relative to the config"
    )]
    Outside,
    #[error(
        "has the name of something else in a package (`{BOOTSTRAP}`, `{CACHE}`, `{CONFIG}`): \
         rename it"
    )]
    NameConflict,
}

/// The files that were found, and the problems.
#[derive(Debug, Default)]
pub struct Contents {
    pub files: Files,
    pub problems: Vec<Problem>,
    /// Notices about what the package can't contain and its user has to provide.
    pub notices: Vec<String>,
}

impl Contents {
    /// Gathers the files that a config in that folder names. A missing file of a plugin is not
    /// reported here: loading the plugin reports it.
    pub fn gather(config: &Config, base: &Path, target: Target) -> Self {
        let mut contents = Self::default();
        for policy in &config.policies {
            contents.plugin("policy", &policy.plugin_config, base);
        }
        for notifier in &config.notifiers {
            contents.plugin("notifier", &notifier.plugin_config, base);
            contents.grants(notifier, base, target);
        }
        contents
    }

    fn plugin(&mut self, what: &str, plugin_config: &PluginConfig, base: &Path) {
        let about = format!("{what} `{}`", plugin_config.name);
        match &plugin_config.plugin {
            PluginSource::Bundled(_) => {}
            PluginSource::File(path) => {
                self.file(&about, plugin_config.line, path, base, MissingFile::ReportedElsewhere)
            }
            PluginSource::Script(path) => {
                self.file(&about, plugin_config.line, path, base, MissingFile::ReportedElsewhere);
                if packaged_path(path).is_ok() {
                    for data in ["data.toml", "data.json"] {
                        let path = path.with_extension(data);
                        self.file(
                            &about,
                            plugin_config.line,
                            &path,
                            base,
                            MissingFile::ReportedElsewhere,
                        );
                    }
                }
            }
        }
    }

    fn grants(&mut self, notifier: &NotifierConfig, base: &Path, target: Target) {
        let PluginConfig { name, line, .. } = &notifier.plugin_config;
        let about = format!("notifier `{name}`");
        for grant in &notifier.grants.http {
            if let Some(path) = &grant.ca_file {
                self.file(&format!("{about}, `ca_file`"), *line, path, base, MissingFile::Problem);
            }
            for secret in grant.secrets() {
                let SecretLocation::File(path) = &secret.location else { continue };
                let shown = path.display();
                match target {
                    Target::Container if path.is_absolute() => self.notices.push(format!(
                        "the secret of {about} in {shown} is not in the package: mount it there"
                    )),
                    Target::Container => self.problem(*line, format!(
                        "{about}: the secret in {shown} does not belong into a package: mount it \
                         when the container is run, and name it by its absolute path, for example \
                         `{{ file = \"/run/secrets/{name}\" }}`"
                    )),
                    Target::Lambda => self.problem(*line, format!(
                        "{about}: the secret in {shown} does not belong into a package: keep it in \
                         Secrets Manager, `{{ secret = \"…\" }}`, or in the environment, `{{ env = \
                         \"…\" }}`"
                    )),
                }
            }
        }
    }

    fn file(&mut self, about: &str, line: usize, path: &Path, base: &Path, missing: MissingFile) {
        let name = match packaged_path(path) {
            Ok(name) => name,
            Err(error) => {
                return self.problem(line, format!("{about}: {} {error}", path.display()));
            }
        };
        match files::read(&base.join(path), files::MAX_COMPONENT_BYTES) {
            Ok(bytes) => {
                self.files.insert(name, bytes);
            }
            Err(_) if missing == MissingFile::ReportedElsewhere => {}
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "is not there".to_owned(),
                    _ => format!("can't be read: {error}"),
                };
                self.problem(line, format!("{about}: {} {why}", path.display()));
            }
        }
    }

    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Problem { line, message });
    }
}

/// What a file that can't be read means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MissingFile {
    Problem,
    ReportedElsewhere,
}

/// The path of a file in a package: the config names it by the same path.
fn packaged_path(path: &Path) -> Result<String, PathError> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            PathPart::CurDir => {}
            PathPart::Normal(part) => parts.push(part.to_string_lossy()),
            // Even if `..` leads back: the folder that it begins in may not be in the package.
            _ => return Err(PathError::Outside),
        }
    }
    match parts.first() {
        None => Err(PathError::Outside),
        Some(first) if [BOOTSTRAP, CACHE, CONFIG].contains(&&**first) => {
            Err(PathError::NameConflict)
        }
        Some(_) => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a.wasm", "a.wasm")]
    #[case("./a.wasm", "a.wasm")]
    #[case("rules/./rings.rego", "rules/rings.rego")]
    #[case("rules/cache/a.rego", "rules/cache/a.rego")]
    fn paths_within(#[case] path: &str, #[case] name: &str) {
        assert_eq!(packaged_path(Path::new(path)).unwrap(), name);
    }

    #[rstest]
    #[case("/etc/a.wasm", "outside")]
    #[case("../a.wasm", "outside")]
    #[case("rules/../a.wasm", "outside")]
    #[case("./cache/a.wasm", "rename")]
    #[case("bootstrap", "rename")]
    #[case("groundcrew.toml", "rename")]
    fn paths_that_a_package_can_not_have(#[case] path: &str, #[case] told: &str) {
        let error = packaged_path(Path::new(path)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
