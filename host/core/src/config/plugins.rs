//! `[[policies]]` and `[[notifiers]]`: the plugins, and what each may use.

use std::path::PathBuf;

use strum::{Display, EnumString, VariantNames};
use toml::de::DeTable;

use super::forms::{is_header, is_name};
use super::keys;
use super::problem::suggestion;
use super::reader::{Reader, Unknown};
use super::settings::Settings;
use crate::decision::Action;
use crate::http::{self, HttpGrant, Scheme, Signing, UrlSecret};
use crate::limits::{HttpLimits, Limits};

/// A plugin as the user wrote it: what policies and notifiers have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its name in logs and reports.
    pub name: String,
    /// Where it comes from.
    pub plugin: Plugin,
    /// Digest that it must have, in lower case.
    pub sha256: Option<String>,
    /// What one call may use.
    pub limits: Limits,
    /// What it is configured with.
    pub settings: Settings,
    /// Where it is named: problems with it are shown there.
    pub line: usize,
}

/// One of `[[policies]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its plugin.
    pub component: Component,
    /// What it is asked about.
    pub actions: Vec<Action>,
    /// What happens when it fails; `None` leaves it to what it is asked about.
    pub on_failure: Option<OnFailure>,
    /// How instances are used.
    pub instance: Instance,
    /// Whether its answers count.
    pub mode: Mode,
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// One that comes with groundcrew, by its name.
    Bundled(String),
    /// A component, relative to the config file.
    File(PathBuf),
    /// A policy script in Rego, relative to the config file.
    Script(PathBuf),
}

impl Plugin {
    /// The plugin that `plugin = "…"` means.
    pub fn named(plugin: &str) -> Self {
        match plugin.contains(['/', '\\', '.']) {
            true if plugin.ends_with(".rego") => Self::Script(plugin.into()),
            true => Self::File(plugin.into()),
            false => Self::Bundled(plugin.to_owned()),
        }
    }

    /// Its name where the user gives it none.
    pub fn name(&self) -> String {
        match self {
            Self::Bundled(name) => name.clone(),
            Self::File(path) | Self::Script(path) => {
                path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
        }
    }
}

/// What happens to an account when a policy fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum OnFailure {
    /// It is skipped.
    Skip,
    /// The policy counts as abstaining.
    Proceed,
    /// The policy is asked again; then an update is skipped, and onboarding has failed.
    Retry,
}

/// Whether a policy's answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Mode {
    /// They do.
    Enforce,
    /// It is asked and its answers are logged, no more.
    Monitor,
}

/// How instances of a plugin are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Instance {
    /// A fresh one for each question.
    Fresh,
    /// One is asked again and again until it fails.
    Kept,
}

/// One of `[[notifiers]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Notifier {
    /// Its plugin.
    pub component: Component,
    /// The lifecycle events that it says it listens to.
    pub on: Option<Vec<String>>,
    /// Whether it is asked before the others, and may keep them from being told.
    pub gate: bool,
    /// What it may reach.
    pub grants: Grants,
    /// What one notification may use of HTTP.
    pub http_limits: HttpLimits,
}

/// `[notifiers.grants]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Service codes of the AWS Support cases that it may open.
    pub support_cases: Vec<String>,
    /// What it may reach over HTTP, in the order in which it is written.
    pub http: Vec<HttpGrant>,
}

/// The bundled plugin that runs scripts. It is never named itself.
const REGO: &str = "rego";

/// The bundled plugin that opens AMS cases, and the service code it may use without a
/// grant: naming it says as much.
pub(crate) const AMS_CASE: (&str, &str) = ("ams-case", "service-ams-operations-service-request");

pub(super) fn read_policies(reader: &mut Reader<'_>, root: Option<&DeTable<'_>>) -> Vec<Policy> {
    let mut policies: Vec<Policy> = Vec::new();
    for section in reader.tables::<keys::Policies>(root) {
        let policy = section.keys;
        let limits = reader.table::<keys::Limits>(section.table);
        let settings = reader.unknown(section.table, &keys::SETTINGS);
        let settings = read_settings(reader, settings, section.line);
        let (Some(limits), Some(plugin)) = (limits, policy.plugin.value) else { continue };
        let plugin = Plugin::named(&plugin);
        let component = Component {
            name: policy.name.value.unwrap_or_else(|| plugin.name()),
            plugin,
            sha256: policy.sha256.value,
            limits: limits.keys.of_plugin(),
            settings,
            line: policy.plugin.line,
        };
        if component.plugin == Plugin::Bundled(REGO.to_owned()) {
            let message = format!(
                "the plugin `{REGO}` runs policy scripts: name the script instead, as in \
                 `plugin = \"ring-rollout.rego\"`"
            );
            reader.problem(component.line, message);
        }
        let others = policies.iter().map(|policy| &policy.component);
        own_name(reader, policy.name.line, "policy", &component, others);
        let unless_told = match component.plugin {
            Plugin::Script(_) => Instance::Kept,
            Plugin::Bundled(_) | Plugin::File(_) => Instance::Fresh,
        };
        policies.push(Policy {
            component,
            actions: policy.actions.value,
            on_failure: policy.on_failure.value,
            instance: policy.instance.value.unwrap_or(unless_told),
            mode: policy.mode.value,
        });
    }
    policies
}

pub(super) fn read_notifiers(reader: &mut Reader<'_>, root: Option<&DeTable<'_>>) -> Vec<Notifier> {
    let mut notifiers: Vec<Notifier> = Vec::new();
    for section in reader.tables::<keys::Notifiers>(root) {
        let notifier = section.keys;
        let limits = reader.table::<keys::NotifierLimits>(section.table);
        let settings = reader.unknown(section.table, &keys::NOTIFIER_SETTINGS);
        let settings = read_settings(reader, settings, section.line);
        let grants = reader.table::<keys::Grants>(section.table);
        let http = grants.as_ref().and_then(|grants| grants.table);
        let http = read_http_grants(reader, http);
        let (Some(limits), Some(grants), Some(plugin)) = (limits, grants, notifier.plugin.value)
        else {
            continue;
        };
        let (limits, grants) = (limits.keys, grants.keys);
        let plugin = Plugin::named(&plugin);
        let component = Component {
            name: notifier.name.value.unwrap_or_else(|| plugin.name()),
            plugin,
            sha256: notifier.sha256.value,
            limits: limits.of_plugin(),
            settings,
            line: notifier.plugin.line,
        };
        let support_cases = grants.support_cases.value.unwrap_or_else(|| {
            let (plugin, service_code) = AMS_CASE;
            match component.plugin == Plugin::Bundled(plugin.to_owned()) {
                true => vec![service_code.to_owned()],
                false => vec![],
            }
        });
        let others = notifiers.iter().map(|notifier| &notifier.component);
        own_name(reader, notifier.name.line, "notifier", &component, others);
        if !is_name(&component.name) {
            let message = format!(
                "the notifier `{}` needs a `name` of its own: {}",
                component.name,
                keys::Form::Name
            );
            reader.problem(component.line, message);
        }
        if let Plugin::Script(script) = &component.plugin {
            let message = format!(
                "the notifier `{}` is a script, `{}`: only policies can be scripts; name a bundled \
                 notifier or a `.wasm` component",
                component.name,
                script.display()
            );
            reader.problem(component.line, message);
        }
        check_settings(reader, &component, &http);
        notifiers.push(Notifier {
            component,
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

/// Every placeholder of a grant's URL has a secret, and every secret a placeholder. `lines` are those
/// of URL and secrets.
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

/// Every placeholder in a URL among a notifier's settings is one of its grants. A URL is known by
/// its beginning: in other texts `$(…)` may be anything.
fn check_settings(reader: &mut Reader<'_>, component: &Component, grants: &[HttpGrant]) {
    let secrets: Vec<&UrlSecret> = grants.iter().flat_map(|grant| &grant.secrets).collect();
    for (at, text) in component.settings.texts() {
        if !(text.starts_with("https://") || text.starts_with("http://")) {
            continue;
        }
        for name in http::placeholders(text) {
            if !secrets.iter().any(|secret| secret.name == name) {
                let hint = suggestion(name, secrets.iter().map(|secret| secret.name.as_str()));
                let message = format!(
                    "notifier `{}`, setting `{}`: `{}` is the placeholder of no secret{hint}: name \
                     it in `secrets` of the [[notifiers.grants.http]] that grants this URL",
                    component.name,
                    at.trim_start_matches('/').replace('/', "."),
                    http::placeholder(name)
                );
                reader.problem(component.settings.line(&at), message);
            }
        }
    }
}

/// Each has its own name.
fn own_name<'c>(
    reader: &mut Reader<'_>,
    line: usize,
    what: &str,
    component: &Component,
    mut others: impl Iterator<Item = &'c Component>,
) {
    let name = &component.name;
    if others.any(|other| other.name == *name) {
        let message = format!("a second {what} is named `{name}`: each needs its own `name`");
        reader.problem(line, message);
    }
}

/// The settings of a plugin, whose own table begins at `line`.
fn read_settings(
    reader: &mut Reader<'_>,
    settings: Option<Unknown<'_, '_>>,
    line: usize,
) -> Settings {
    let Some(settings) = settings else { return Settings::empty(line) };
    settings.read(reader).unwrap_or_else(|| Settings::empty(settings.line))
}
