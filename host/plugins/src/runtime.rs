//! The runtime: loads plugins.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use groundcrew_core::decision::SettingProblem;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::bindings::PolicyPre;
use crate::bindings::exports::groundcrew::plugin::settings::Outline;
use crate::cache::{Cache, CacheError, hex};
use crate::engine::{self, FRESH_INSTANCES};
use crate::load_error::LoadError;
use crate::policy::LoadedPolicy;
use crate::sandbox::{self, About, Blueprint, Sandbox, State};
use crate::spec::{PolicySpec, Source};
use crate::{bundled, contract, convert, schema};

/// How the runtime works.
#[derive(Clone, Debug, Default)]
pub struct RuntimeOptions {
    /// Where compiled plugins are kept. Without it each start compiles them.
    pub cache_dir: Option<PathBuf>,
}

/// A runtime that can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// wasmtime doesn't work on this machine.
    #[error("the WebAssembly runtime can't be started: {reason}")]
    Engine {
        /// What wasmtime says.
        reason: String,
    },
    /// The thread that keeps time limits can't be started.
    #[error("the thread that keeps plugins' time limits can't be started: {0}")]
    Ticker(io::Error),
    /// The compile cache can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Loads plugins. One is enough for a process.
pub struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
    permits: Arc<Semaphore>,
    deadline_fired: Arc<AtomicBool>,
}

impl Runtime {
    /// Makes a runtime.
    ///
    /// # Errors
    /// When wasmtime can't be started, or the cache directory can't be trusted.
    pub fn new(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        Self::with(engine::new().map_err(unusable)?, options)
    }

    fn with(engine: Engine, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        engine::start_ticker(&engine).map_err(RuntimeError::Ticker)?;
        Ok(Self {
            linker: sandbox::linker(&engine).map_err(unusable)?,
            cache: options.cache_dir.as_deref().map(Cache::open).transpose()?,
            permits: Arc::new(Semaphore::new(FRESH_INSTANCES as usize)),
            deadline_fired: Arc::default(),
            engine,
        })
    }

    /// Whether real time has had a say in any decision so far: a plugin ran so long that
    /// it had to let others run, or was ended. Such a simulation can't be repeated exactly.
    pub fn deadline_fired(&self) -> bool {
        self.deadline_fired.load(Ordering::Relaxed)
    }

    /// Loads a policy and checks all there is to check: that it keeps to the contract and
    /// that its settings are right. Compiles on the calling thread where the cache has
    /// nothing. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// What is wrong with the plugin or its settings.
    pub async fn load_policy(&self, spec: PolicySpec) -> Result<LoadedPolicy, LoadError> {
        let plugin = &spec.name;
        let bytes = read(&spec)?;
        let digest = hex(&Sha256::digest(&bytes));
        check_digest(&spec, &digest)?;
        contract::check_preamble(plugin, &bytes)?;
        let component = self.compile(&digest, &bytes).map_err(|error| LoadError::Invalid {
            plugin: plugin.clone(),
            reason: format!("{error:#}"),
        })?;
        contract::check(plugin, &self.engine, &component)?;
        let pre = self.link(&component).map_err(|error| LoadError::Contract {
            plugin: plugin.clone(),
            reason: format!("{error:#}"),
        })?;
        let blueprint = Blueprint {
            plugin: plugin.as_str().into(),
            limits: spec.limits,
            pre,
            deadline_fired: self.deadline_fired.clone(),
        };
        let settings = spec.settings.to_string();
        let outline = self.configure(&spec, &settings, &blueprint).await?;
        Ok(LoadedPolicy {
            blueprint,
            digest,
            named_lanes: outline.lanes.into(),
            settings,
            lanes: spec.lanes,
            instance: spec.instance,
            kept: Mutex::new(None),
            permits: self.permits.clone(),
        })
    }

    fn compile(&self, digest: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
        match &self.cache {
            Some(cache) => cache.component(&self.engine, digest, bytes),
            None => Component::from_binary(&self.engine, bytes),
        }
    }

    fn link(&self, component: &Component) -> wasmtime::Result<PolicyPre<State>> {
        PolicyPre::new(self.linker.instantiate_pre(component)?)
    }

    /// Tries the settings on an instance.
    async fn configure(
        &self,
        spec: &PolicySpec,
        settings: &str,
        blueprint: &Blueprint,
    ) -> Result<Outline, LoadError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        // Loading may take its time: no decision depends on it.
        let blueprint = Blueprint { deadline_fired: Arc::default(), ..blueprint.clone() };
        let mut sandbox = Sandbox::start(&blueprint, About::default()).await?;
        let schema = sandbox.schema().await?;
        let problems = schema::check(&schema, &spec.settings)
            .map_err(|reason| LoadError::Schema { plugin: spec.name.clone(), reason })?;
        if !problems.is_empty() {
            return Err(LoadError::Settings(problems));
        }
        let lanes: Vec<_> = spec.lanes.iter().map(String::as_str).collect();
        let answer = sandbox.configure(settings, &lanes, About::default()).await?;
        answer.map_err(|problems| {
            let problems: Vec<SettingProblem> =
                problems.into_iter().map(convert::problem).collect();
            LoadError::Settings(problems)
        })
    }
}

fn unusable(error: wasmtime::Error) -> RuntimeError {
    RuntimeError::Engine { reason: format!("{error:#}") }
}

/// The bytes of the component.
fn read(spec: &PolicySpec) -> Result<Cow<'static, [u8]>, LoadError> {
    match &spec.source {
        Source::Bundled(name) => {
            bundled::component(name).map(Cow::Borrowed).ok_or_else(|| LoadError::UnknownBundled {
                plugin: spec.name.clone(),
                name: name.clone(),
                known: bundled::names().collect(),
                nearest: schema::nearest(name, bundled::names()),
            })
        }
        Source::File(path) => std::fs::read(path).map(Cow::Owned).map_err(|source| {
            LoadError::Read { plugin: spec.name.clone(), path: path.clone(), source }
        }),
    }
}

fn check_digest(spec: &PolicySpec, found: &str) -> Result<(), LoadError> {
    match &spec.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(LoadError::Digest {
            plugin: spec.name.clone(),
            expected: expected.clone(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Allocation;
    use crate::spec::Instance;

    #[tokio::test]
    async fn loads_plugins_where_address_space_is_short() {
        let engine = engine::with(Allocation::OnDemand).unwrap();
        let runtime = Runtime::with(engine, RuntimeOptions::default()).unwrap();
        let spec = PolicySpec {
            name: "on-demand".to_owned(),
            source: Source::Bundled("managed-tag".to_owned()),
            sha256: None,
            settings: serde_json::json!({}),
            lanes: vec![],
            limits: groundcrew_core::limits::Limits::default(),
            instance: Instance::Fresh,
        };
        runtime.load_policy(spec).await.unwrap();
    }
}
