//! A config with its plugins, loaded and checked as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundcrew_core::config::{self, Config, Problem, Problems};
use groundcrew_core::decision::{Action, NamedLanes};
use groundcrew_engine::{AskedPolicy, OnFailure, Settings};
use groundcrew_plugins::{
    Instance, LoadError, LoadedPolicy, PolicySpec, Runtime, RuntimeOptions, Source,
};

use crate::Failure;

/// A config and its policies, ready to be asked.
pub struct Loaded {
    pub config: Config,
    pub policies: Vec<Arc<LoadedPolicy>>,
    /// Runs the policies.
    pub runtime: Runtime,
}

/// Reads a config file, loads every plugin and has it check its settings. Everything that
/// is wrong is told at once. No file at all is the empty config.
pub async fn load(file: Option<&Path>) -> Result<Loaded, Failure> {
    let (name, text) = match file {
        None => ("(no config)".to_owned(), String::new()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::Usage(format!("{}: the config can't be read: {error}", path.display()))
            })?;
            (path.display().to_string(), text)
        }
    };
    let (config, mut problems) = Config::read(&text);
    let Some(config) = config else {
        return Err(Failure::Usage(Problems::new(name, problems).to_string()));
    };
    let runtime = Runtime::new(RuntimeOptions { cache_dir: cache_dir() })
        .map_err(|error| Failure::Other(error.to_string()))?;
    let base = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let mut policies = Vec::new();
    let mut named = Vec::new();
    for policy in &config.policies {
        match runtime.load_policy(spec(&config, policy, base)).await {
            Ok(loaded) => {
                named.push(loaded.lanes().clone());
                policies.push(Arc::new(loaded));
            }
            Err(error) => {
                // What it would name can't be told: its lanes are given the benefit of doubt.
                named.push(NamedLanes::Any);
                problems.extend(describe(policy, error));
            }
        }
    }
    problems.extend(config.check_lanes(&named));
    match problems.is_empty() {
        true => Ok(Loaded { config, policies, runtime }),
        false => Err(Failure::Usage(Problems::new(name, problems).to_string())),
    }
}

impl Loaded {
    /// What the update engine goes by.
    pub fn engine_settings(&self) -> Settings {
        let asked = self.config.policies.iter().zip(&self.policies);
        Settings {
            rules: self.config.rules(),
            account_quota: self.config.updates.account_quota,
            fallback: self.config.updates.default,
            policies: asked
                .filter(|(config, _)| config.actions.contains(&Action::Update))
                .map(|(config, policy)| AskedPolicy {
                    name: config.name.clone(),
                    digest: policy.digest().to_owned(),
                    on_failure: match config.on_failure {
                        config::OnFailure::Skip => OnFailure::Skip,
                        config::OnFailure::Proceed => OnFailure::Abstain,
                        config::OnFailure::Retry => OnFailure::Retry,
                    },
                    policy: policy.clone(),
                })
                .collect(),
        }
    }
}

fn spec(config: &Config, policy: &config::Policy, base: &Path) -> PolicySpec {
    PolicySpec {
        name: policy.name.clone(),
        source: match &policy.plugin {
            config::Plugin::Bundled(name) => Source::Bundled(name.clone()),
            config::Plugin::File(path) => Source::File(base.join(path)),
        },
        sha256: policy.sha256.clone(),
        settings: policy.settings.json.clone(),
        lanes: config.lane_names(),
        limits: policy.limits,
        instance: match policy.instance {
            config::Instance::Fresh => Instance::Fresh,
            config::Instance::Kept => Instance::Kept,
        },
    }
}

/// Problems of a plugin, each at its line: rejected settings where they are written,
/// everything else where the plugin is named.
fn describe(policy: &config::Policy, error: LoadError) -> Vec<Problem> {
    match error {
        LoadError::Settings(problems) => problems
            .into_iter()
            .map(|problem| Problem {
                line: policy.settings.line(&problem.at),
                message: match problem.at.strip_prefix('/') {
                    Some(at) => {
                        let key = at.replace('/', ".").replace("~1", "/").replace("~0", "~");
                        format!("policy `{}`, setting `{key}`: {}", policy.name, problem.message)
                    }
                    None => format!("policy `{}`, settings: {}", policy.name, problem.message),
                },
            })
            .collect(),
        error => vec![Problem { line: policy.line, message: one_line(&error.to_string()) }],
    }
}

/// Problems have a line each, whatever a compiler says.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where compiled plugins are kept: `GROUNDCREW_CACHE`, or the user's cache directory. An
/// empty `GROUNDCREW_CACHE` means nowhere.
fn cache_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("GROUNDCREW_CACHE") {
        return (!dir.is_empty()).then(|| dir.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or(home).filter(|dir| dir.is_absolute()).map(|dir| dir.join("groundcrew"))
}
