//! The code of a plugin, from any source: a bundled plugin, a file, or the interpreter that runs a
//! script.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use groundcrew_core::config::nearest;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bundled::{self, Bundled};
use crate::load_error::LoadError;
use crate::spec::{PluginSpec, Source};
use crate::world::World;
use crate::{files, script};

/// What a plugin is made of.
pub(crate) struct PluginCode<'a> {
    /// The component.
    pub(crate) component: Cow<'static, [u8]>,
    /// SHA-256 of the component, in hex.
    pub(crate) component_digest: Cow<'static, str>,
    /// SHA-256 of what the user chose, in hex: the component, or the script that it runs.
    pub(crate) digest: String,
    /// The settings that the component is configured with.
    pub(crate) settings: Cow<'a, Value>,
}

impl<'a> PluginCode<'a> {
    fn bundled(bundled: &'static Bundled, digest: String, settings: Cow<'a, Value>) -> Self {
        Self {
            component: bundled.component.into(),
            component_digest: bundled.digest.into(),
            digest,
            settings,
        }
    }
}

/// Reads a plugin. If coverage is measured, the settings of a script's interpreter enable it.
pub(crate) fn read(
    spec: PluginSpec<'_>,
    world: World,
    coverage: bool,
) -> Result<PluginCode<'_>, LoadError> {
    let plugin = || spec.name.to_owned();
    let settings = Cow::Borrowed(spec.settings);
    match spec.source {
        Source::Bundled(name) => {
            let bundled = bundled::find(name).ok_or_else(|| LoadError::UnknownBundled {
                plugin: plugin(),
                world,
                name: name.clone(),
                known: bundled::names(world).collect(),
                nearest: nearest(name, bundled::names(world)),
            })?;
            Ok(PluginCode::bundled(bundled, bundled.digest.to_owned(), settings))
        }
        Source::File(path) => {
            let read = files::read(path, files::MAX_COMPONENT_BYTES);
            let component = read.map_err(|source| LoadError::Read {
                plugin: plugin(),
                path: path.clone(),
                source,
            })?;
            let digest = HEXLOWER.encode(&Sha256::digest(&component));
            Ok(PluginCode {
                component: component.into(),
                component_digest: digest.clone().into(),
                digest,
                settings,
            })
        }
        Source::Script { path, name } => {
            let (script, settings) = script::read(spec, path, name, coverage)?;
            let digest = HEXLOWER.encode(&Sha256::digest(&script));
            Ok(PluginCode::bundled(&bundled::INTERPRETER, digest, Cow::Owned(settings)))
        }
    }
}

pub(crate) fn check_digest(spec: PluginSpec<'_>, found: &str) -> Result<(), LoadError> {
    match spec.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(LoadError::Digest {
            plugin: spec.name.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}
