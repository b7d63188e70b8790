//! A config with its plugins, loaded and checked as a whole.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundcrew_core::config::{self, ApprovalMode, Config, PluginConfig, Problem, Problems};
use groundcrew_core::decision::{Action, NamedLanes, SettingProblem};
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::lane::LaneNames;
use groundcrew_core::plan_id::PlanRules;
use groundcrew_core::ports::SupportCases;
use groundcrew_core::suggestions::{CommandFormatter, DEFAULT_CONFIG};
use groundcrew_engine::notifications::{ConfiguredNotifier, ConfiguredRoute, NotificationSettings};
use groundcrew_engine::{ConfiguredPolicy, FailureHandling, PolicyPipeline, UpdateSettings};
use groundcrew_plugins::files;
use groundcrew_plugins::http::{HttpAccess, HttpTransport, NoHttp};
use groundcrew_plugins::{
    Coverage, Instance, LoadError, LoadedNotifier, LoadedPolicy, NotifierSpec, PolicySpec, Runtime,
    RuntimeOptions, Source, SupportGrant,
};

use serde_json::json;

use crate::command_error::CommandError;
use crate::output::print_stderr;
use crate::plan_rules::{self, PolicyRules};
use crate::script_data::ScriptData;

/// A parsed config; its plugins are not loaded yet.
pub struct ParsedConfig {
    /// As far as it could be read: a wrong value is replaced by its default.
    pub config: Config,
    problems: Vec<Problem>,
    name: String,
    text: String,
    base: PathBuf,
    /// Sends the HTTP requests of notifiers.
    http: Arc<dyn HttpTransport>,
    /// Collects the lines that evaluations of scripts reach, if coverage is measured.
    coverage: Option<Arc<Coverage>>,
}

/// Which plugins are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginSelection {
    All,
    /// The plugins of onboarding. A cold start pays for every plugin that it loads.
    Notifications,
}

/// A config and its plugins, ready for use.
pub struct LoadedConfig {
    pub config: Config,
    pub policies: Vec<Arc<LoadedPolicy>>,
    pub notifiers: Vec<Arc<LoadedNotifier>>,
    /// Runs the plugins.
    pub runtime: Runtime,
    /// What is not wrong yet, each with its file and line: older names of keys.
    pub warnings: Vec<String>,
    /// The settings of each policy, a script's data included, as JSON.
    settings: Vec<String>,
}

/// Reads a config file and the overlay of the environment. Without a file the config is empty.
pub fn read_config(file: Option<&Path>) -> Result<ParsedConfig, CommandError> {
    let overlay = match std::env::var(config::OVERLAY_VARIABLE) {
        Ok(overlay) => overlay,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(_)) => {
            return Err(CommandError::Usage(format!(
                "{}: it is no UTF-8",
                config::OVERLAY_VARIABLE
            )));
        }
    };
    read_with(file, &overlay)
}

/// Reads a config file without the overlay, for use on another machine.
pub fn read_without_overlay(file: &Path) -> Result<ParsedConfig, CommandError> {
    read_with(Some(file), "")
}

/// What to do without a config.
const NO_CONFIG: &str = "there is no config: name one with --config FILE or in the environment \
                         variable GROUNDCREW_CONFIG, or have `groundcrew init` write \
                         ./groundcrew.toml";

/// Whether the file is the default config and doesn't exist.
fn is_missing_default(file: &Path) -> bool {
    file == Path::new(DEFAULT_CONFIG) && matches!(file.try_exists(), Ok(false))
}

/// The default config, if it exists.
pub fn find_default_config() -> Option<PathBuf> {
    let file = Path::new(DEFAULT_CONFIG);
    (!is_missing_default(file)).then(|| file.to_owned())
}

fn read_with(file: Option<&Path>, overlay: &str) -> Result<ParsedConfig, CommandError> {
    let (name, text) = match file {
        None => ("(no config)".to_owned(), String::new()),
        Some(path) if is_missing_default(path) => {
            return Err(CommandError::Usage(NO_CONFIG.to_owned()));
        }
        Some(path) => {
            let text = files::read_text_argument(path, files::MAX_TEXT_BYTES)
                .map_err(|error| CommandError::unreadable(path, "the config", error))?;
            (path.display().to_string(), text)
        }
    };
    let (config, problems) = Config::read_with_overlay(&text, overlay);
    let base = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let config = config.map(|config| match file.and_then(Path::to_str) {
        Some(path) => Config { suggestions: CommandFormatter::with_config(path), ..config },
        None => config,
    });
    match config {
        Some(config) => Ok(ParsedConfig {
            config,
            problems,
            name,
            text,
            base,
            http: Arc::new(NoHttp),
            coverage: None,
        }),
        None => Err(config_error(&name, &text, problems)),
    }
}

impl ParsedConfig {
    /// The file as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Resolves a path of the config, which is relative to the file.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// The config, for commands that use no plugin. Its problems are an error all the same.
    pub fn into_config(self) -> Result<Config, CommandError> {
        match self.problems.is_empty() {
            true => Ok(self.config),
            false => Err(config_error(&self.name, &self.text, self.problems)),
        }
    }

    /// Adds the problems of the config for a certain use.
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems.extend(problems);
        self
    }

    /// Sends the HTTP requests of notifiers with this transport. Without it none are sent.
    pub fn with_http(self, http: Arc<dyn HttpTransport>) -> Self {
        Self { http, ..self }
    }

    /// Collects the lines that the evaluations of scripts reach.
    pub fn with_coverage(self, coverage: Option<Arc<Coverage>>) -> Self {
        Self { coverage, ..self }
    }

    /// Loads the plugins, which check their settings. All problems are reported at once. Notifiers
    /// with a grant open support cases through `support`.
    pub async fn load(
        self,
        selection: PluginSelection,
        support: Arc<dyn SupportCases>,
    ) -> Result<LoadedConfig, CommandError> {
        let Self { mut config, mut problems, name, text, base, http, coverage } = self;
        let mut runtime = Runtime::new(RuntimeOptions { cache_dir: cache_dir() })
            .map_err(|error| CommandError::Other(error.to_string()))?;
        if let Some(dir) = packaged_dir() {
            runtime = runtime.with_package(&dir);
        }
        if let Some(coverage) = coverage {
            runtime = runtime.with_coverage(coverage);
        }
        if selection == PluginSelection::Notifications {
            config.policies.retain(|policy| policy.actions.contains(&Action::Onboard));
        }
        let mut policies = Vec::new();
        let (mut named, mut settings) = (Vec::new(), Vec::new());
        for policy in &config.policies {
            let plugin_config = &policy.plugin_config;
            let data = ScriptData::of(&plugin_config.plugin, &base).unwrap_or_else(|message| {
                let message = format!("policy `{}`: {message}", plugin_config.name);
                problems.push(Problem { line: plugin_config.line, message });
                None
            });
            let spec = policy_spec(&config, policy, data.as_ref(), &base);
            settings.push(spec.settings.to_string());
            match runtime.load_policy(spec).await {
                Ok(loaded) => {
                    named.push(loaded.lanes().clone());
                    policies.push(Arc::new(loaded));
                }
                Err(error) => {
                    // Its lanes are unknown: assume that it may name any.
                    named.push(NamedLanes::Any);
                    problems.extend(describe_load_error(
                        "policy",
                        plugin_config,
                        data.as_ref(),
                        error,
                    ));
                }
            }
        }
        let mut notifiers = Vec::new();
        for notifier in &config.notifiers {
            let spec = notifier_spec(notifier, &base, &support, &http);
            match runtime.load_notifier(spec).await {
                Ok(loaded) => notifiers.push(Arc::new(loaded)),
                Err(error) => problems.extend(describe_load_error(
                    "notifier",
                    &notifier.plugin_config,
                    None,
                    error,
                )),
            }
        }
        if selection == PluginSelection::All {
            problems.extend(config.check_lanes(&named));
        }
        // If the log doesn't show it, stderr does.
        if let Some(trouble) = runtime.cache_warning()
            && !tracing::enabled!(target: "groundcrew_plugins", tracing::Level::WARN)
        {
            print_stderr(&trouble.to_string());
        }
        let warnings: Vec<String> = config
            .warnings
            .iter()
            .map(|warning| {
                Problems::new(name.as_str(), vec![warning.clone()]).within(&text).to_string()
            })
            .collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        match problems.is_empty() {
            true => Ok(LoadedConfig { config, policies, notifiers, runtime, warnings, settings }),
            false => Err(config_error(&name, &text, problems)),
        }
    }
}

impl LoadedConfig {
    /// The settings of the update engine. `host` is the name of this host in the ledger.
    pub fn update_settings(&self, host: String) -> UpdateSettings {
        let updates = &self.config.updates;
        UpdateSettings {
            rules: self.config.rules(),
            account_quota: updates.account_quota,
            reserve: updates.reserve,
            causes: updates.causes,
            approval: self.plan_rules(),
            host,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            parameters: self.config.account_factory.parameters,
            fallback: self.config.updates.default,
            policies: self.configured_policies(Action::Update, FailureHandling::Skip),
        }
    }

    /// The rules of a plan, if plans need approval.
    pub fn plan_rules(&self) -> Option<PlanRules> {
        let policies = self.config.policies.iter().zip(&self.policies).zip(&self.settings);
        let policies: Vec<PolicyRules<'_>> = policies
            .filter(|((config, _), _)| config.actions.contains(&Action::Update))
            .map(|((config, policy), settings)| PolicyRules {
                config,
                digest: policy.digest(),
                settings,
            })
            .collect();
        match self.config.updates.approval {
            ApprovalMode::None => None,
            ApprovalMode::Required => Some(PlanRules {
                canonical: self.canonical_plan_rules(),
                summary: plan_rules::describe_rules(&self.config, &policies),
            }),
        }
    }

    /// The rules of a plan in a canonical form. Other lanes, other policies or other settings of
    /// theirs make another plan. Comments and intervals don't.
    fn canonical_plan_rules(&self) -> String {
        let updates = &self.config.updates;
        let lanes = self.config.lanes.iter().map(|lane| {
            let start_when = format!("{:?}", lane.start_when);
            let held = format!("{:?}", lane.held);
            json!([
                lane.name,
                lane.concurrency,
                start_when,
                held,
                lane.soak,
                lane.failure_threshold
            ])
        });
        let policies = self.config.policies.iter().zip(&self.policies).zip(&self.settings);
        let policies = policies
            .filter(|((config, _), _)| config.actions.contains(&Action::Update))
            .map(|((config, policy), settings)| {
                let rules = format!("{:?} {:?}", config.mode, config.on_failure);
                json!([config.plugin_config.name, policy.digest(), rules, settings])
            });
        json!({
            "lanes": lanes.collect::<Vec<_>>(),
            "policies": policies.collect::<Vec<_>>(),
            "default": format!("{:?}", updates.default),
            "causes": format!("{:?}", updates.causes),
            "at_once": [updates.max_concurrent_operations, updates.account_quota, updates.reserve],
            "per_ou_limit": updates.per_ou_limit,
        })
        .to_string()
    }

    /// The settings of onboarding. `host` is the name of this host in the ledger.
    pub fn notification_settings(&self, host: String) -> NotificationSettings {
        let notifiers = self.config.notifiers.iter().zip(&self.notifiers);
        let policies = self.configured_policies(Action::Onboard, FailureHandling::Retry);
        let routes = self.config.routes.iter().map(|route| {
            let is_selected = |policy: &&ConfiguredPolicy| {
                route.policies.as_ref().is_none_or(|names| names.contains(&policy.name))
            };
            let policies = policies.iter().filter(is_selected).cloned().collect();
            ConfiguredRoute { route: route.clone(), policies }
        });
        NotificationSettings {
            routes: routes.collect(),
            notifiers: notifiers
                .map(|(config, notifier)| ConfiguredNotifier {
                    name: config.plugin_config.name.clone(),
                    digest: notifier.digest().to_owned(),
                    gate: config.gate,
                    timeout: config.plugin_config.limits.timeout,
                    notifier: notifier.clone(),
                })
                .collect(),
            lookback: self.config.ledger.onboarding_lookback,
            host,
            suggestions: self.config.suggestions.clone(),
        }
    }

    /// The pipeline of the policies for an action.
    pub fn pipeline(&self, action: Action) -> PolicyPipeline {
        match action {
            // As in `Notifications`: without lanes, and delivered unless a policy decides against
            // it.
            Action::Onboard => {
                let policies = self.configured_policies(action, FailureHandling::Retry);
                PolicyPipeline::new(policies, LaneNames::default(), Fallback::Proceed)
            }
            Action::Update | Action::Vend => {
                let policies = self.configured_policies(action, FailureHandling::Skip);
                let lanes = self.config.lane_names().into_iter().collect();
                PolicyPipeline::new(policies, lanes, self.config.updates.default)
            }
        }
    }

    /// The policies that are evaluated for an action.
    fn configured_policies(
        &self,
        action: Action,
        default_on_failure: FailureHandling,
    ) -> Vec<ConfiguredPolicy> {
        let policies = self.config.policies.iter().zip(&self.policies);
        policies
            .filter(|(config, _)| config.actions.contains(&action))
            .map(|(config, policy)| ConfiguredPolicy {
                name: config.plugin_config.name.clone(),
                digest: policy.digest().to_owned(),
                on_failure: match config.on_failure {
                    None => default_on_failure,
                    Some(config::OnFailure::Skip) => FailureHandling::Skip,
                    Some(config::OnFailure::Proceed) => FailureHandling::Abstain,
                    Some(config::OnFailure::Retry) => FailureHandling::Retry,
                },
                monitored: config.mode == config::PolicyMode::Monitor,
                policy: policy.clone(),
            })
            .collect()
    }
}

fn config_error(name: &str, text: &str, problems: Vec<Problem>) -> CommandError {
    CommandError::Usage(Problems::new(name, problems).within(text).to_string())
}

fn policy_spec(
    config: &Config,
    policy: &config::PolicyConfig,
    data: Option<&ScriptData>,
    base: &Path,
) -> PolicySpec {
    let plugin_config = &policy.plugin_config;
    let settings = &plugin_config.settings;
    PolicySpec {
        name: plugin_config.name.clone(),
        source: plugin_source(&plugin_config.plugin, base),
        sha256: plugin_config.sha256.clone(),
        settings: data.map_or_else(|| settings.json.clone(), |data| data.merge_into(settings).json),
        lanes: config.lane_names(),
        limits: plugin_config.limits,
        instance: match policy.instance {
            config::InstanceReuse::Fresh => Instance::Fresh,
            config::InstanceReuse::Kept => Instance::Kept,
        },
    }
}

fn notifier_spec(
    notifier: &config::NotifierConfig,
    base: &Path,
    support: &Arc<dyn SupportCases>,
    http: &Arc<dyn HttpTransport>,
) -> NotifierSpec {
    let plugin_config = &notifier.plugin_config;
    NotifierSpec {
        name: plugin_config.name.clone(),
        source: plugin_source(&plugin_config.plugin, base),
        sha256: plugin_config.sha256.clone(),
        settings: plugin_config.settings.json.clone(),
        limits: plugin_config.limits,
        // A plugin without the grant is refused when it calls it.
        support: Some(SupportGrant {
            cases: support.clone(),
            service_codes: notifier.grants.support_cases.clone(),
        }),
        http: Some(HttpAccess {
            grants: notifier
                .grants
                .http
                .iter()
                .map(|grant| grant.clone().relative_to(base))
                .collect(),
            limits: notifier.http_limits,
            transport: http.clone(),
        }),
    }
}

/// The source of a plugin's code.
pub fn plugin_source(plugin: &config::PluginSource, base: &Path) -> Source {
    match plugin {
        config::PluginSource::Bundled(name) => Source::Bundled(name.clone()),
        config::PluginSource::File(path) => Source::File(base.join(path)),
        config::PluginSource::Script(path) => {
            Source::Script { path: base.join(path), name: path.display().to_string() }
        }
    }
}

/// Problems of a plugin, each at its line: rejected settings where they are written, all others
/// where the plugin is named.
fn describe_load_error(
    what: &str,
    plugin_config: &PluginConfig,
    data: Option<&ScriptData>,
    error: LoadError,
) -> Vec<Problem> {
    let (name, settings) = (&plugin_config.name, &plugin_config.settings);
    let is_script = matches!(plugin_config.plugin, config::PluginSource::Script(_));
    match error {
        LoadError::Settings(problems) => problems
            .into_iter()
            .map(|SettingProblem { at, message }| {
                let Some(key) = at.strip_prefix('/') else {
                    return match is_script {
                        // The message begins with file, line and column.
                        true => Problem {
                            line: plugin_config.line,
                            message: format!("{what} `{name}`: {message}"),
                        },
                        false => Problem {
                            line: settings.line(""),
                            message: format!("{what} `{name}`, settings: {message}"),
                        },
                    };
                };
                let key = key.replace('/', ".").replace("~1", "/").replace("~0", "~");
                match data.and_then(|data| data.source_line(settings, &at)) {
                    Some(place) => Problem {
                        line: plugin_config.line,
                        message: format!("{what} `{name}`: {place}: `{key}`: {message}"),
                    },
                    None => Problem {
                        line: settings.line(&at),
                        message: format!("{what} `{name}`, setting `{key}`: {message}"),
                    },
                }
            })
            .collect(),
        error => vec![Problem { line: plugin_config.line, message: one_line(&error.to_string()) }],
    }
}

/// A problem in one line, also when a compiler's message has several.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The folder of a package's compiled plugins: `cache` beside this binary. It is not beside the
/// config, which may come from anywhere: compiled code has all rights of the binary, and so it has
/// to come with it.
fn packaged_dir() -> Option<PathBuf> {
    let dir = std::env::current_exe().ok()?.parent()?.join("cache");
    // A file of that name is reported, and ignored.
    dir.symlink_metadata().is_ok().then_some(dir)
}

/// The directory of compiled plugins: `GROUNDCREW_CACHE`, or the user's cache directory, or the
/// directory that a Lambda may write to. An empty `GROUNDCREW_CACHE` disables the cache.
pub fn cache_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("GROUNDCREW_CACHE") {
        return (!dir.is_empty()).then(|| dir.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let lambda = crate::runtime::is_lambda().then(|| PathBuf::from("/tmp"));
    let dir = lambda.or(cache).or(home).filter(|dir| dir.is_absolute());
    dir.map(|dir| dir.join("groundcrew"))
}

#[cfg(test)]
mod tests {
    use groundcrew_core::config::{OnFailure, PolicyMode};
    use groundcrew_core::decision_combiner::Fallback;
    use groundcrew_core::scheduler::{StartWhen, WhenHeld};
    use groundcrew_core::update_need::Causes;

    /// The id of a plan is a hash over these names. A variant or a field that is renamed gives
    /// every plan another id, and voids the approvals that operators have given.
    #[test]
    fn a_plan_names_its_rules_as_it_always_did() {
        let names = [
            format!("{:?} {:?}", StartWhen::Drained, StartWhen::Succeeded),
            format!("{:?} {:?}", WhenHeld::Wait, WhenHeld::Pass),
            format!("{:?} {:?}", PolicyMode::Enforce, PolicyMode::Monitor),
            format!("{:?} {:?} {:?}", OnFailure::Skip, OnFailure::Proceed, OnFailure::Retry),
            format!("{:?} {:?}", Fallback::Proceed, Fallback::Skip),
            format!(
                "{:?}",
                Causes { moved: true, landing_zone: true, tainted: true, error: false }
            ),
        ];
        assert_eq!(
            names,
            [
                "Drained Succeeded",
                "Wait Pass",
                "Enforce Monitor",
                "Skip Proceed Retry",
                "Proceed Skip",
                "Causes { moved: true, landing_zone: true, tainted: true, error: false }",
            ]
        );
    }
}
