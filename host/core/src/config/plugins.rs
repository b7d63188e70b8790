//! `[[policies]]` and `[[notifiers]]`: the plugins, and what each may use.

use std::path::PathBuf;

use toml::de::DeTable;

use super::keys::{self, Table};
use super::problem::suggestion;
use super::reader::{self, Reader, Section, Settings};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is skipped.
    Skip,
    /// The policy counts as abstaining.
    Proceed,
    /// The policy is asked again; then an update is skipped, and onboarding has failed.
    Retry,
}

/// Whether a policy's answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// It is asked and its answers are logged, no more.
    Monitor,
}

/// How instances of a plugin are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

pub(super) fn read_policies(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Vec<Policy> {
    let mut policies: Vec<Policy> = Vec::new();
    for section in reader.tables(root, "policies", &keys::POLICIES, &["limits", "settings"]) {
        let actions = section.texts(reader, "actions");
        let on_failure = section.text(reader, "on_failure");
        let instance = section.text(reader, "instance");
        let limits = read_table(reader, &section, "limits", &keys::LIMITS, &[]);
        let component = read_component(reader, &section, &limits);
        let mode = section.text(reader, "mode");
        let (Some(component), Some(actions), Some(mode)) = (component, actions, mode) else {
            continue;
        };
        if component.plugin == Plugin::Bundled(REGO.to_owned()) {
            let message = format!(
                "the plugin `{REGO}` runs policy scripts: name the script instead, as in \
                 `plugin = \"ring-rollout.rego\"`"
            );
            reader.problem(component.line, message);
        }
        let others = policies.iter().map(|policy| &policy.component);
        own_name(reader, &section, "policy", &component, others);
        policies.push(Policy {
            actions: actions
                .iter()
                .map(|action| match action.as_str() {
                    "onboard" => Action::Onboard,
                    "vend" => Action::Vend,
                    _ => Action::Update,
                })
                .collect(),
            on_failure: on_failure.map(|on_failure| match on_failure.as_str() {
                "proceed" => OnFailure::Proceed,
                "retry" => OnFailure::Retry,
                _ => OnFailure::Skip,
            }),
            instance: match (instance.as_deref(), &component.plugin) {
                (Some("kept"), _) | (None, Plugin::Script(_)) => Instance::Kept,
                _ => Instance::Fresh,
            },
            mode: match mode.as_str() {
                "monitor" => Mode::Monitor,
                _ => Mode::Enforce,
            },
            component,
        });
    }
    policies
}

pub(super) fn read_notifiers(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Vec<Notifier> {
    let mut notifiers: Vec<Notifier> = Vec::new();
    let nested = ["limits", "grants", "settings"];
    for section in reader.tables(root, "notifiers", &keys::NOTIFIERS, &nested) {
        let on = section.texts(reader, "on");
        let gate = section.flag(reader, "gate").unwrap_or_default();
        let limits = read_table(reader, &section, "limits", &keys::NOTIFIER_LIMITS, &[]);
        let component = read_component(reader, &section, &limits);
        let http_limits = read_http_limits(reader, &limits);
        let grants = read_table(reader, &section, "grants", &keys::GRANTS, &["http"]);
        let http = read_http_grants(reader, &grants);
        let (Some(component), Some(http_limits)) = (component, http_limits) else {
            continue;
        };
        let support_cases = grants.texts(reader, "support_cases").unwrap_or_else(|| {
            let (plugin, service_code) = AMS_CASE;
            match component.plugin == Plugin::Bundled(plugin.to_owned()) {
                true => vec![service_code.to_owned()],
                false => vec![],
            }
        });
        let others = notifiers.iter().map(|notifier| &notifier.component);
        own_name(reader, &section, "notifier", &component, others);
        if !reader::is_name(&component.name) {
            let line = section.line_of(reader, "plugin");
            let message = format!(
                "the notifier `{}` needs a `name` of its own: {}",
                component.name,
                keys::Form::Name
            );
            reader.problem(line, message);
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
        let grants = Grants { support_cases, http };
        notifiers.push(Notifier { component, on, gate, grants, http_limits });
    }
    notifiers
}

/// `[[notifiers.grants.http]]`
fn read_http_grants(reader: &mut Reader<'_>, grants: &Section<'_, '_>) -> Vec<HttpGrant> {
    let Some(table) = grants.table else {
        return vec![];
    };
    let mut read = Vec::new();
    for section in reader.tables(table, "http", &keys::HTTP_GRANTS, &[]) {
        let url = section.grant_url(reader, "url");
        let secrets = section.url_secrets(reader, "secrets").unwrap_or_default();
        let methods = section.texts(reader, "methods");
        let headers = section.secrets(reader, "headers").unwrap_or_default();
        let key = section.secret(reader, "sign");
        let header = section.text(reader, "sign_header").unwrap_or_default();
        let allow_private = section.flag(reader, "allow_private").unwrap_or_default();
        let ca_file = section.text(reader, "ca_file").map(PathBuf::from);
        let proxy = section.url(reader, "proxy");
        if !reader::is_header(&header) {
            let line = section.line_of(reader, "sign_header");
            reader.problem(line, format!("{header:?} is no header field to add: name another"));
        }
        if let Some(proxy) = &proxy
            && proxy.scheme() != Scheme::Http
        {
            let line = section.line_of(reader, "proxy");
            let message = "a proxy is named by an `http` URL; what goes to an https URL is \
                           encrypted on its way through";
            reader.problem(line, message);
        }
        if let Some((url, query)) = &url {
            check_placeholders(reader, &section, url, query, &secrets);
        }
        if let Some((url, _)) = &url
            && url.scheme() == Scheme::Http
            && !(headers.is_empty() && secrets.is_empty())
            && !allow_private
        {
            let key = if headers.is_empty() { "secrets" } else { "headers" };
            let line = section.line_of(reader, key);
            let message = "secrets are sent by https, or with `allow_private = true` within a \
                           private network: this `url` is neither";
            reader.problem(line, message);
        }
        let (Some((url, query)), Some(methods)) = (url, methods) else {
            continue;
        };
        let header = header.to_ascii_lowercase();
        let sign = key.map(|key| Signing { key, header });
        read.push(HttpGrant {
            url,
            query,
            secrets,
            methods,
            headers,
            sign,
            allow_private,
            ca_file,
            proxy,
        });
    }
    read
}

/// Every placeholder of a grant's URL has a secret, and every secret a placeholder.
fn check_placeholders(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
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
            let line = section.line_of(reader, "url");
            reader.problem(line, message);
        }
    }
    for UrlSecret { name, .. } in secrets {
        if !used.contains(&name.as_str()) {
            let message = format!(
                "the secret `{name}` is used nowhere: write `{}` where it goes in `url`, in path \
                 or query",
                http::placeholder(name)
            );
            let line = section.line_of(reader, "secrets");
            reader.problem(line, message);
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

/// A table within a plugin's; an absent one reads as empty.
fn read_table<'t, 'i>(
    reader: &mut Reader<'_>,
    section: &Section<'t, 'i>,
    name: &str,
    spec: &'static Table,
    nested: &[&str],
) -> Section<'t, 'i> {
    match section.table {
        Some(table) => reader.table(table, name, spec, nested),
        None => Section::absent(spec),
    }
}

/// Each has its own name.
fn own_name<'c>(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    what: &str,
    component: &Component,
    mut others: impl Iterator<Item = &'c Component>,
) {
    let name = &component.name;
    if others.any(|other| other.name == *name) {
        let line = section.line_of(reader, "name");
        reader
            .problem(line, format!("a second {what} is named `{name}`: each needs its own `name`"));
    }
}

fn read_component(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    limits: &Section<'_, '_>,
) -> Option<Component> {
    let name = section.text(reader, "name");
    let plugin = section.text(reader, "plugin");
    let sha256 = section.text(reader, "sha256").map(|digest| digest.to_ascii_lowercase());
    let table = section.table?;
    let limits = read_limits(reader, limits);
    let settings = match table.get_key_value("settings") {
        None => Settings::empty(section.line),
        Some((key, value)) => {
            let line = reader.line(key.span().start);
            match value.get_ref().as_table() {
                Some(table) => Settings::read(reader, table, line),
                None => {
                    reader.problem(line, "`settings` is not a table");
                    Settings::empty(line)
                }
            }
        }
    };
    let plugin = plugin?;
    let plugin = Plugin::named(&plugin);
    Some(Component {
        name: name.unwrap_or_else(|| plugin.name()),
        plugin,
        sha256,
        limits: limits?,
        settings,
        line: section.line_of(reader, "plugin"),
    })
}

fn read_limits(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<Limits> {
    let timeout = section.duration(reader, "timeout");
    let memory = section.bytes(reader, "memory");
    let table_elements = section.integer(reader, "table_elements");
    let log = section.bytes(reader, "log");
    let result = section.bytes(reader, "result");
    Some(Limits {
        timeout: timeout?,
        memory: memory?,
        table_elements: table_elements?.unsigned_abs(),
        log: log?,
        result: result?,
    })
}

fn read_http_limits(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<HttpLimits> {
    let calls = section.integer(reader, "http_calls");
    let timeout = section.duration(reader, "http_timeout");
    let request = section.bytes(reader, "http_request");
    let response = section.bytes(reader, "http_response");
    Some(HttpLimits {
        calls: u32::try_from(calls?).unwrap_or(u32::MAX),
        timeout: timeout?,
        request: request?,
        response: response?,
    })
}
