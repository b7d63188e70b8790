//! The runtime: loads plugins.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use groundcrew_core::decision::SettingProblem;
use serde_json::Value;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::bindings::exports::groundcrew::plugin::settings::Metadata;
use crate::cache::{self, Cache};
use crate::call_error::CallError;
use crate::code::{self, PluginCode, check_digest};
use crate::coverage::Coverage;
use crate::engine::{self, FRESH_INSTANCES, NOTIFIER_INSTANCES};
use crate::exports::{PreInstance, WorldExport};
use crate::imports::Linkers;
use crate::instance_state::Capabilities;
use crate::load_error::LoadError;
use crate::notifier::LoadedNotifier;
use crate::package::PackagedPlugins;
use crate::policy::LoadedPolicy;
use crate::runtime_error::RuntimeError;
use crate::sandbox::{CallContext, InstanceTemplate, Sandbox};
use crate::spec::{NotifierSpec, PluginSpec, PolicySpec, Source};
use crate::support_cases;
use crate::world::World;
use crate::{contract, convert, schema, script};

/// How the runtime works.
#[derive(Clone, Debug, Default)]
pub struct RuntimeOptions {
    /// The directory of the compile cache. Without it, or if it can't be used or trusted, each
    /// start compiles the plugins.
    pub cache_dir: Option<PathBuf>,
}

/// Loads plugins. A process needs only one.
pub struct Runtime {
    engine: Engine,
    linkers: Linkers,
    packaged: Option<PackagedPlugins>,
    cache: Option<Cache>,
    /// Why the configured cache can't be used.
    unusable_cache: Option<String>,
    permits: Arc<Semaphore>,
    /// Separate permits, since a delivery may wait long for another system.
    notifier_permits: Arc<Semaphore>,
    coverage: Option<Arc<Coverage>>,
    deadline_fired: Arc<AtomicBool>,
}

impl Runtime {
    /// Makes a runtime.
    ///
    /// # Errors
    /// When wasmtime can't be started.
    pub fn new(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        Self::with(engine::new().map_err(engine_error)?, options)
    }

    fn with(engine: Engine, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        engine::start_ticker(&engine).map_err(RuntimeError::Ticker)?;
        // The cache only saves time: the runtime works without it.
        let cache = options.cache_dir.as_deref().map(Cache::open).transpose();
        let unusable_cache = cache.as_ref().err().map(ToString::to_string);
        let cache = cache.unwrap_or_else(|error| {
            tracing::warn!(%error, "{}", cache::NO_CACHE_WARNING);
            None
        });
        Ok(Self {
            linkers: Linkers::new(&engine).map_err(engine_error)?,
            packaged: None,
            cache,
            unusable_cache,
            permits: Arc::new(Semaphore::new(FRESH_INSTANCES as usize)),
            notifier_permits: Arc::new(Semaphore::new(NOTIFIER_INSTANCES as usize)),
            coverage: None,
            deadline_fired: Arc::default(),
            engine,
        })
    }

    /// Uses the compiled plugins of a deployment package, before those of the cache. That folder is
    /// never written to. If a plugin in it can't be used, the reason is logged and the plugin is
    /// compiled.
    pub fn with_package(self, directory: &Path) -> Self {
        let packaged = PackagedPlugins::open(directory);
        let packaged = packaged.inspect_err(|error| tracing::warn!(%error, "compiling instead"));
        Self { packaged: packaged.ok(), ..self }
    }

    /// Collects the lines that the evaluations of scripts reach. Evaluations take longer then.
    pub fn with_coverage(self, coverage: Arc<Coverage>) -> Self {
        Self { coverage: Some(coverage), ..self }
    }

    /// Why plugins are compiled at each start if the cache can't be used, and what to do about it.
    /// The same text is logged as a warning of `groundcrew_plugins`.
    pub fn cache_warning(&self) -> Option<String> {
        let full = || self.cache.as_ref().and_then(Cache::write_error);
        let trouble = self.unusable_cache.as_deref().or_else(full);
        trouble.map(|trouble| format!("{}: {trouble}", cache::NO_CACHE_WARNING))
    }

    /// Whether real time has affected any decision so far: a plugin ran so long that it yielded to
    /// other tasks, or was ended. Such a simulation can't be repeated exactly.
    pub fn deadline_fired(&self) -> bool {
        self.deadline_fired.load(Ordering::Relaxed)
    }

    /// Loads a policy and checks everything that can be checked: whether it conforms to the
    /// contract and whether its settings are valid. Compiles on the calling thread if the cache has
    /// no entry. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// What is wrong with the plugin or its settings.
    pub async fn load_policy(&self, spec: PolicySpec) -> Result<LoadedPolicy, LoadError> {
        let (template, digest, metadata) =
            self.load(spec.common(), Capabilities::default()).await?;
        Ok(LoadedPolicy {
            template,
            digest,
            named_lanes: metadata.lanes.into(),
            instance: spec.instance,
            kept: Mutex::new(None),
            permits: self.permits.clone(),
        })
    }

    /// Loads a notifier, as [`load_policy`](Self::load_policy) does a policy. Loading delivers
    /// nothing: a plugin that tries to open a support case or to send a request meanwhile is
    /// refused.
    ///
    /// # Errors
    /// What is wrong with the plugin, its settings or its grants.
    pub async fn load_notifier(&self, spec: NotifierSpec) -> Result<LoadedNotifier, LoadError> {
        let capabilities = Capabilities {
            support: spec.support.clone().map(Arc::new),
            http: spec.http.clone().map(Arc::new),
        };
        let (template, digest, _metadata) = self.load(spec.common(), capabilities).await?;
        Ok(LoadedNotifier { template, digest, permits: self.notifier_permits.clone() })
    }

    /// Loads a plugin of either world: the template of its instances, its digest, and its metadata.
    async fn load<T: WorldExport>(
        &self,
        spec: PluginSpec<'_>,
        capabilities: Capabilities,
    ) -> Result<(InstanceTemplate<T>, String, Metadata), LoadError> {
        let plugin = spec.name;
        let code = code::read(spec, T::WORLD, self.coverage.is_some())?;
        check_digest(spec, &code.digest)?;
        contract::check_preamble(plugin, &code.component)?;
        let component = self.compile(&code).map_err(|error| LoadError::Invalid {
            plugin: plugin.to_owned(),
            reason: format!("{error:#}"),
        })?;
        let PluginCode { digest, settings, .. } = code;
        let is_script = matches!(spec.source, Source::Script { .. });
        contract::check(plugin, T::WORLD, &self.engine, &component)?;
        self.check_grants(plugin, &component, &capabilities)?;
        let mut template = InstanceTemplate {
            plugin: plugin.into(),
            limits: spec.limits,
            pre: self.link(&component).map_err(|error| CallError::contract(plugin, &error))?,
            settings: settings.to_string(),
            lanes: spec.lanes.to_vec(),
            capabilities,
            coverage: self.coverage.clone().filter(|_| is_script),
            // Loading may take its time: no decision depends on it.
            deadline_fired: Arc::default(),
        };
        let metadata = self.configure(&settings, &template).await.map_err(|error| match error {
            LoadError::Settings(problems) if is_script => {
                LoadError::Settings(problems.into_iter().map(script::problem).collect())
            }
            error => error,
        })?;
        template.deadline_fired = self.deadline_fired.clone();
        Ok((template, digest, metadata))
    }

    fn compile(&self, code: &PluginCode<'_>) -> wasmtime::Result<Component> {
        let PluginCode { component, component_digest: digest, .. } = code;
        match self.packaged.as_ref().map(|packaged| packaged.component(&self.engine, digest)) {
            None => {}
            Some(Ok(component)) => {
                tracing::debug!(%digest, from = "package", "plugin loaded");
                return Ok(component);
            }
            Some(Err(error)) => tracing::warn!(%error, "compiling instead"),
        }
        match &self.cache {
            Some(cache) => cache.component(&self.engine, digest, component),
            None => cache::compile(&self.engine, digest, component),
        }
    }

    fn link<T: WorldExport>(&self, component: &Component) -> wasmtime::Result<PreInstance<T>> {
        let linker = match T::WORLD {
            World::Policy => &self.linkers.policy,
            World::Notifier => &self.linkers.notifier,
        };
        PreInstance::new(linker.instantiate_pre(component)?)
    }

    /// Refuses a plugin that imports a capability without a grant, before its first use.
    fn check_grants(
        &self,
        plugin: &str,
        component: &Component,
        capabilities: &Capabilities,
    ) -> Result<(), LoadError> {
        let imports = |import| contract::imports(&self.engine, component, import);
        let cases =
            capabilities.support.as_ref().is_some_and(|grant| !grant.service_codes.is_empty());
        if !cases && imports(contract::SUPPORT_CASES) {
            return Err(LoadError::SupportCasesNotGranted {
                plugin: plugin.to_owned(),
                hint: support_cases::grant_toml(["…"].into_iter()),
            });
        }
        let http = capabilities.http.as_ref().is_some_and(|access| !access.grants.is_empty());
        if !http && imports(contract::HTTP) {
            return Err(LoadError::HttpNotGranted { plugin: plugin.to_owned() });
        }
        Ok(())
    }

    /// Configures an instance to check the settings.
    async fn configure<T: WorldExport>(
        &self,
        settings: &Value,
        template: &InstanceTemplate<T>,
    ) -> Result<Metadata, LoadError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let mut sandbox = Sandbox::start(template, CallContext::default()).await?;
        let schema = sandbox.schema().await?;
        let problems = schema::check(&schema, settings)
            .map_err(|reason| LoadError::Schema { plugin: template.plugin.to_string(), reason })?;
        if !problems.is_empty() {
            return Err(LoadError::Settings(problems));
        }
        let lanes: Vec<_> = template.lanes.iter().map(String::as_str).collect();
        let answer = sandbox.configure(&template.settings, &lanes, CallContext::default()).await?;
        answer.map_err(|problems| {
            let problems: Vec<SettingProblem> =
                problems.into_iter().map(convert::problem).collect();
            LoadError::Settings(problems)
        })
    }
}

fn engine_error(error: wasmtime::Error) -> RuntimeError {
    RuntimeError::Engine { reason: format!("{error:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Allocation;
    use crate::spec::Instance;

    #[tokio::test]
    async fn loads_plugins_where_address_space_is_short() {
        let engine = engine::with_allocation(Allocation::OnDemand).unwrap();
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
