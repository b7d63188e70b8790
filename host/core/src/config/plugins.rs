//! `[[policies]]` and `[[notifiers]]`: the plugins, and what each of them may use.

use std::path::PathBuf;

use strum::{Display, EnumString, VariantNames};
use toml::de::DeTable;

use super::forms::{is_header, is_name};
use super::keys;
use super::problem::suggestion;
use super::reader::{FreeformTable, Reader};
use super::settings::PluginSettings;
use crate::decision::Action;
use crate::http::{self, HttpGrant, Scheme, Signing, UrlSecret};
use crate::limits::{HttpLimits, Limits};

/// The configuration that policies and notifiers have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    /// Its name in logs and reports.
    pub name: String,
    /// The plugin.
    pub plugin: PluginSource,
    /// Digest that it must have, in lower case.
    pub sha256: Option<String>,
    /// Limits of one call.
    pub limits: Limits,
    /// Its settings.
    pub settings: PluginSettings,
    /// Line of its name, where problems with it are shown.
    pub line: usize,
}

/// One of `[[policies]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// Its plugin.
    pub plugin_config: PluginConfig,
    /// The actions for which it is evaluated.
    pub actions: Vec<Action>,
    /// What happens if it fails; `None`: the default of the action.
    pub on_failure: Option<OnFailure>,
    /// How instances are used.
    pub instance: InstanceReuse,
    /// Whether its decisions count.
    pub mode: PolicyMode,
}

/// The source of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A bundled plugin, by its name.
    Bundled(String),
    /// A component, relative to the config file.
    File(PathBuf),
    /// A policy script in Rego, relative to the config file.
    Script(PathBuf),
}

impl PluginSource {
    /// The plugin of `plugin = "…"`.
    pub fn from_key(plugin: &str) -> Self {
        match plugin.contains(['/', '\\', '.']) {
            true if plugin.ends_with(".rego") => Self::Script(plugin.into()),
            true => Self::File(plugin.into()),
            false => Self::Bundled(plugin.to_owned()),
        }
    }

    /// Its name if the config has none.
    pub fn name(&self) -> String {
        match self {
            Self::Bundled(name) => name.clone(),
            Self::File(path) | Self::Script(path) => {
                path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
        }
    }
}

/// What happens to an account if a policy fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum OnFailure {
    /// It is skipped.
    Skip,
    /// The policy counts as abstaining.
    Proceed,
    /// The policy is called again. If it fails each time, an update is skipped, and onboarding has
    /// failed.
    Retry,
}

/// Whether the decisions of a policy count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum PolicyMode {
    /// They count.
    Enforce,
    /// The policy is evaluated and its decisions are logged, but ignored.
    Monitor,
}

/// How often an instance of a plugin is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum InstanceReuse {
    /// A new instance for each call.
    Fresh,
    /// One instance is called again and again until it fails.
    Kept,
}

/// One of `[[notifiers]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifierConfig {
    /// Its plugin.
    pub plugin_config: PluginConfig,
    /// The lifecycle events of which it is notified, by its key `on`.
    pub on: Option<Vec<String>>,
    /// Whether it is called before the others, and may hold or stop their notifications.
    pub gate: bool,
    /// What it may reach.
    pub grants: Grants,
    /// Limits of HTTP for one notification.
    pub http_limits: HttpLimits,
}

/// `[notifiers.grants]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Service codes of the AWS Support cases that it may open.
    pub support_cases: Vec<String>,
    /// What it may reach over HTTP, in the order of the config.
    pub http: Vec<HttpGrant>,
}

/// The bundled plugin that runs scripts. The config never names it.
const REGO: &str = "rego";

/// The bundled plugin that opens AMS cases, and the service code that it may use without a grant:
/// the name of the plugin implies it.
pub(crate) const AMS_CASE: (&str, &str) = ("ams-case", "service-ams-operations-service-request");

pub(super) fn read_policies(
    reader: &mut Reader<'_>,
    root: Option<&DeTable<'_>>,
) -> Vec<PolicyConfig> {
    let mut policies: Vec<PolicyConfig> = Vec::new();
    for section in reader.tables::<keys::Policies>(root) {
        let policy = section.keys;
        let limits = reader.table::<keys::Limits>(section.table);
        let settings = reader.freeform_table(section.table, &keys::SETTINGS);
        let settings = read_settings(reader, settings, section.line);
        let (Some(limits), Some(plugin)) = (limits, policy.plugin.value) else { continue };
        let plugin = PluginSource::from_key(&plugin);
        let plugin_config = PluginConfig {
            name: policy.name.value.unwrap_or_else(|| plugin.name()),
            plugin,
            sha256: policy.sha256.value,
            limits: limits.keys.plugin_limits(),
            settings,
            line: policy.plugin.line,
        };
        if plugin_config.plugin == PluginSource::Bundled(REGO.to_owned()) {
            let message = format!(
                "the plugin `{REGO}` runs policy scripts: name the script instead, as in \
                 `plugin = \"ring-rollout.rego\"`"
            );
            reader.problem(plugin_config.line, message);
        }
        let others = policies.iter().map(|policy| &policy.plugin_config);
        check_unique_name(reader, policy.name.line, "policy", &plugin_config, others);
        let default = match plugin_config.plugin {
            PluginSource::Script(_) => InstanceReuse::Kept,
            PluginSource::Bundled(_) | PluginSource::File(_) => InstanceReuse::Fresh,
        };
        policies.push(PolicyConfig {
            plugin_config,
            actions: policy.actions.value,
            on_failure: policy.on_failure.value,
            instance: policy.instance.value.unwrap_or(default),
            mode: policy.mode.value,
        });
    }
    policies
}

pub(super) fn read_notifiers(
    reader: &mut Reader<'_>,
    root: Option<&DeTable<'_>>,
) -> Vec<NotifierConfig> {
    let mut notifiers: Vec<NotifierConfig> = Vec::new();
    for section in reader.tables::<keys::Notifiers>(root) {
        let notifier = section.keys;
        let limits = reader.table::<keys::NotifierLimits>(section.table);
        let settings = reader.freeform_table(section.table, &keys::NOTIFIER_SETTINGS);
        let settings = read_settings(reader, settings, section.line);
        let grants = reader.table::<keys::Grants>(section.table);
        let http = grants.as_ref().and_then(|grants| grants.table);
        let http = read_http_grants(reader, http);
        let (Some(limits), Some(grants), Some(plugin)) = (limits, grants, notifier.plugin.value)
        else {
            continue;
        };
        let (limits, grants) = (limits.keys, grants.keys);
        let plugin = PluginSource::from_key(&plugin);
        let plugin_config = PluginConfig {
            name: notifier.name.value.unwrap_or_else(|| plugin.name()),
            plugin,
            sha256: notifier.sha256.value,
            limits: limits.plugin_limits(),
            settings,
            line: notifier.plugin.line,
        };
        let support_cases = grants.support_cases.value.unwrap_or_else(|| {
            let (plugin, service_code) = AMS_CASE;
            match plugin_config.plugin == PluginSource::Bundled(plugin.to_owned()) {
                true => vec![service_code.to_owned()],
                false => vec![],
            }
        });
        let others = notifiers.iter().map(|notifier| &notifier.plugin_config);
        check_unique_name(reader, notifier.name.line, "notifier", &plugin_config, others);
        if !is_name(&plugin_config.name) {
            let message = format!(
                "the notifier `{}` needs a `name` of its own: {}",
                plugin_config.name,
                keys::Form::Name
            );
            reader.problem(plugin_config.line, message);
        }
        if let PluginSource::Script(script) = &plugin_config.plugin {
            let message = format!(
                "the notifier `{}` is a script, `{}`: only policies can be scripts; name a bundled \
                 notifier or a `.wasm` component",
                plugin_config.name,
                script.display()
            );
            reader.problem(plugin_config.line, message);
        }
        check_settings(reader, &plugin_config, &http);
        notifiers.push(NotifierConfig {
            plugin_config,
            on: notifier.on.value,
            gate: notifier.gate.value,
            grants: Grants { support_cases, http },
            http_limits: HttpLimits {
                calls: limits.http_calls.value,
                timeout: limits.http_timeout.value,
                request: limits.http_request.value,
                response: limits.http_response.value,
            },
        });
    }
    notifiers
}

/// `[[notifiers.grants.http]]`
fn read_http_grants(reader: &mut Reader<'_>, grants: Option<&DeTable<'_>>) -> Vec<HttpGrant> {
    let mut read = Vec::new();
    for section in reader.tables::<keys::HttpGrants>(grants) {
        let grant = section.keys;
        let secrets = grant.secrets.value.unwrap_or_default();
        let headers = grant.headers.value.unwrap_or_default();
        let header = grant.sign_header.value;
        let allow_private = grant.allow_private.value;
        if !is_header(&header) {
            let message = format!("{header:?} is no header field to add: name another");
            reader.problem(grant.sign_header.line, message);
        }
        if let Some(proxy) = &grant.proxy.value
            && proxy.scheme() != Scheme::Http
        {
            let message = "a proxy is named by an `http` URL; what goes to an https URL is \
                           encrypted on its way through";
            reader.problem(grant.proxy.line, message);
        }
        let Some((url, query)) = grant.url.value else { continue };
        let lines = (grant.url.line, grant.secrets.line);
        check_placeholders(reader, lines, &url, &query, &secrets);
        if url.scheme() == Scheme::Http
            && !(headers.is_empty() && secrets.is_empty())
            && !allow_private
        {
            let line = if headers.is_empty() { grant.secrets.line } else { grant.headers.line };
            let message = "secrets are sent by https, or with `allow_private = true` within a \
                           private network: this `url` is neither";
            reader.problem(line, message);
        }
        let Some(methods) = grant.methods.value else { continue };
        let header = header.to_ascii_lowercase();
        read.push(HttpGrant {
            url,
            query,
            secrets,
            methods,
            headers,
            sign: grant.sign.value.map(|key| Signing { key, header }),
            allow_private,
            ca_file: grant.ca_file.value.map(PathBuf::from),
            proxy: grant.proxy.value,
        });
    }
    read
}

/// Every placeholder of a grant's URL must have a secret, and every secret a placeholder. `lines`
/// are the lines of the URL and of the secrets.
fn check_placeholders(
    reader: &mut Reader<'_>,
    (of_url, of_secrets): (usize, usize),
    url: &http::Url,
    query: &[String],
    secrets: &[UrlSecret],
) {
    let parts = || std::iter::once(url.path()).chain(query.iter().map(String::as_str));
    let used: Vec<&str> = parts().flat_map(http::placeholders).collect();
    let known = |name: &str| secrets.iter().any(|secret| secret.name == name);
    for name in &used {
        if !known(name) {
            let hint = suggestion(name, secrets.iter().map(|secret| secret.name.as_str()));
            let message = format!(
                "`{}` in `url` is the placeholder of no secret{hint}: name it in `secrets`, as in \
                 `secrets = {{ {name} = {{ secret = \"NAME or ARN\" }} }}`",
                http::placeholder(name)
            );
            reader.problem(of_url, message);
        }
    }
    for UrlSecret { name, .. } in secrets {
        if !used.contains(&name.as_str()) {
            let message = format!(
                "the secret `{name}` is used nowhere: write `{}` where it goes in `url`, in path \
                 or query",
                http::placeholder(name)
            );
            reader.problem(of_secrets, message);
        }
    }
}

/// Every placeholder in a URL among a notifier's settings must be in one of its grants. A text is a
/// URL by its beginning: in other texts `$(…)` may mean anything.
fn check_settings(reader: &mut Reader<'_>, plugin_config: &PluginConfig, grants: &[HttpGrant]) {
    let secrets: Vec<&UrlSecret> = grants.iter().flat_map(|grant| &grant.secrets).collect();
    for (at, text) in plugin_config.settings.texts() {
        if !(text.starts_with("https://") || text.starts_with("http://")) {
            continue;
        }
        for name in http::placeholders(text) {
            if !secrets.iter().any(|secret| secret.name == name) {
                let hint = suggestion(name, secrets.iter().map(|secret| secret.name.as_str()));
                let message = format!(
                    "notifier `{}`, setting `{}`: `{}` is the placeholder of no secret{hint}: name \
                     it in `secrets` of the [[notifiers.grants.http]] that grants this URL",
                    plugin_config.name,
                    at.trim_start_matches('/').replace('/', "."),
                    http::placeholder(name)
                );
                reader.problem(plugin_config.settings.line(&at), message);
            }
        }
    }
}

/// Names must be unique.
fn check_unique_name<'c>(
    reader: &mut Reader<'_>,
    line: usize,
    what: &str,
    plugin_config: &PluginConfig,
    mut others: impl Iterator<Item = &'c PluginConfig>,
) {
    let name = &plugin_config.name;
    if others.any(|other| other.name == *name) {
        let message = format!("a second {what} is named `{name}`: each needs its own `name`");
        reader.problem(line, message);
    }
}

/// The settings of a plugin, whose own table begins at `line`.
fn read_settings(
    reader: &mut Reader<'_>,
    settings: Option<FreeformTable<'_, '_>>,
    line: usize,
) -> PluginSettings {
    let Some(settings) = settings else { return PluginSettings::empty(line) };
    settings.read(reader).unwrap_or_else(|| PluginSettings::empty(settings.line))
}
