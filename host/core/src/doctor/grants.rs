//! Grants that no request of a notifier uses, and requests that no grant covers.

use super::notifiers::NotifierFacts;
use super::requests::{Requests, requests};
use super::{Check, Finding, list};
use crate::config::{AMS_CASE, NotifierConfig, PluginSource};
use crate::http::{HttpGrant, placeholder, placeholders};

const CHECK: Check = Check::Notifiers;

/// HTTP grants that no request uses. Reported only if it is certain: the component sends no
/// requests, an earlier grant covers them all, or the plugin is a bundled one, whose requests are
/// known.
pub(super) fn unused_http(notifier: &NotifierConfig, facts: &NotifierFacts) -> Vec<Finding> {
    let (name, grants) = (&notifier.plugin_config.name, &notifier.grants.http);
    if grants.is_empty() {
        return vec![];
    }
    if !facts.imports_http {
        let found = format!(
            "`{name}`: it is granted HTTP, and sends no request: its component does not import \
             wasi:http/outgoing-handler"
        );
        return vec![Finding::warning(CHECK, found, "remove its [[notifiers.grants.http]]")];
    }
    let requests = requests(notifier);
    let mut findings = Vec::new();
    for (index, grant) in grants.iter().enumerate() {
        if let Some(requests) = &requests
            && !requests.iter().any(|one| one.may_match(grant))
        {
            findings.push(unused_grant(notifier, grant));
        } else if let Some(first) = grants[..index].iter().find(|first| covers_all(first, grant)) {
            findings.push(Finding::warning(
                CHECK,
                format!(
                    "`{name}`: the grant of {grant} is never used: the one of {first} before it \
                     covers the same requests, and the first counts"
                ),
                "write the narrower one first, or remove it",
            ));
        } else if let Some(requests) = &requests {
            findings.extend(unused_methods(notifier, grant, requests));
        }
    }
    findings.extend(requests.iter().flatten().filter_map(|one| uncovered_requests(notifier, one)));
    findings
}

/// A grant that no setting of a bundled notifier points to.
fn unused_grant(notifier: &NotifierConfig, grant: &HttpGrant) -> Finding {
    let plugin_config = &notifier.plugin_config;
    let named = |secret: &str| {
        let texts = plugin_config.settings.texts();
        texts.iter().any(|(_, text)| placeholders(text).any(|name| name == secret))
    };
    let unnamed = grant.secrets.iter().filter(|one| !named(&one.name));
    let unnamed: Vec<String> = unnamed.map(|one| format!("`{}`", placeholder(&one.name))).collect();
    let secrets = match unnamed.is_empty() {
        true => String::new(),
        false => format!(", and no setting has {}", list(&unnamed)),
    };
    Finding::warning(
        CHECK,
        format!(
            "`{}`: no request of {} with these settings goes to {grant}{secrets}",
            plugin_config.name,
            plugin_config.plugin.name()
        ),
        "remove the grant, or fix the URL in the settings",
    )
}

/// Whether the first grant, which comes before the second, covers all requests of the second.
fn covers_all(first: &HttpGrant, second: &HttpGrant) -> bool {
    first.url.covers(&second.url)
        && first.query.iter().all(|parameter| second.query.contains(parameter))
        && second.methods.iter().all(|method| first.methods.contains(method))
}

/// Methods of a grant that a bundled notifier does not use there.
fn unused_methods(
    notifier: &NotifierConfig,
    grant: &HttpGrant,
    requests: &[Requests<'_>],
) -> Option<Finding> {
    let used = |method: &&str| {
        requests.iter().any(|one| one.methods.contains(method) && one.may_match(grant))
    };
    let methods = grant.methods.iter().map(String::as_str);
    let unused: Vec<&str> = methods.filter(|method| !used(method)).collect();
    let plugin_config = &notifier.plugin_config;
    (!unused.is_empty()).then(|| {
        let found = format!(
            "`{}`: {grant} is granted {}, which no request of {} with these settings uses",
            plugin_config.name,
            list(&unused),
            plugin_config.plugin.name(),
        );
        let fix = format!("take {} out of its `methods`", list(&unused));
        Finding::warning(CHECK, found, fix)
    })
}

/// All of these findings for a notifier.
pub(super) fn ungranted_requests(notifier: &NotifierConfig) -> Vec<Finding> {
    let requests = requests(notifier).into_iter().flatten();
    requests.filter_map(|one| uncovered_requests(notifier, &one)).collect()
}

/// Requests of a bundled notifier that no grant covers.
fn uncovered_requests(notifier: &NotifierConfig, requests: &Requests<'_>) -> Option<Finding> {
    let plugin_config = &notifier.plugin_config;
    let there = || notifier.grants.http.iter().filter(|grant| requests.may_match(grant));
    let granted =
        |method: &&str| there().any(|grant| grant.methods.iter().any(|one| one == method));
    let lacking: Vec<&str> =
        requests.methods.iter().copied().filter(|method| !granted(method)).collect();
    let host = requests.host()?;
    (!lacking.is_empty()).then(|| {
        let found = format!(
            "`{}`: no grant covers {} to the URL that the setting `{}` makes, at {host}",
            plugin_config.name,
            list(&lacking),
            requests.setting
        );
        let fix = match there().next() {
            Some(grant) => format!("add {} to `methods` of {grant}", list(&lacking)),
            None => "grant its URL in [[notifiers.grants.http]], or fix the setting".to_owned(),
        };
        Finding::failed(CHECK, found, fix)
    })
}

/// Grants of support cases that no call uses.
pub(super) fn unused_cases(notifier: &NotifierConfig, facts: &NotifierFacts) -> Option<Finding> {
    let (plugin_config, codes) = (&notifier.plugin_config, &notifier.grants.support_cases);
    if codes.is_empty() {
        return None;
    }
    let name = &plugin_config.name;
    if !facts.imports_support_cases {
        let found = format!(
            "`{name}`: it is granted the support cases {}, and opens none: its component does not \
             import groundcrew:plugin/support-cases",
            list(codes)
        );
        return Some(Finding::warning(CHECK, found, "remove its `support_cases`"));
    }
    let (ams_case, usual) = AMS_CASE;
    if plugin_config.plugin != PluginSource::Bundled(ams_case.to_owned()) {
        return None;
    }
    let opens = plugin_config.settings.json.get("service_code").and_then(serde_json::Value::as_str);
    let opens = opens.unwrap_or(usual);
    let fix = format!("write `support_cases = [{opens:?}]` in [notifiers.grants]");
    let unused: Vec<&String> = codes.iter().filter(|code| *code != opens).collect();
    if unused.len() == codes.len() {
        let found = format!(
            "`{name}`: its setting `service_code` is {opens}, which it is not granted: no case \
             will be opened"
        );
        return Some(Finding::failed(CHECK, found, fix));
    }
    (!unused.is_empty()).then(|| {
        let found =
            format!("`{name}`: it is granted {}, and opens cases of {opens} alone", list(&unused));
        Finding::warning(CHECK, found, fix)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::super::notifiers::notifiers;
    use super::*;
    use crate::config::Config;
    use rstest::rstest;

    /// The findings about a notifier's grants, other than those about the facts of each grant.
    fn unused(config: &str, imports_http: bool, imports_support_cases: bool) -> Vec<String> {
        let config = Config::parse("crew.toml", config).unwrap_or_else(|error| panic!("{error}"));
        let facts = NotifierFacts { imports_http, imports_support_cases, grants: vec![] };
        let findings = notifiers(&config, &[facts]);
        let told = findings.iter().filter(|finding| finding.status != Status::NotConfigured);
        told.map(|finding| format!("{:?} {}", finding.status, finding.found)).collect()
    }

    fn notifier(plugin: &str, settings: &str, grants: &[(&str, &str)]) -> String {
        let mut text = format!(
            "[[notifiers]]\nname = \"chat\"\nplugin = \"{plugin}\"\n[notifiers.settings]\n{settings}\n"
        );
        for (url, methods) in grants {
            text += &format!(
                "[[notifiers.grants.http]]\nurl = \"{url}\"\nmethods = {methods}\n{}",
                if url.contains("$(s)") { "secrets = { s = { env = \"S\" } }\n" } else { "" }
            );
        }
        text
    }

    const A: &str = "url = \"https://a.example/x\"";
    const POST: &str = r#"["POST"]"#;
    const GET: &str = r#"["GET"]"#;

    #[rstest]
    #[case::used("webhook", A, &[("https://a.example/", POST)], &[])]
    #[case::texts_are_no_urls(
        "webhook", "url = \"https://a.example/x\"\nbody = { link = \"https://b.example\" }",
        &[("https://a.example/", POST)], &[]
    )]
    #[case::elsewhere("webhook", A, &[("https://b.example/", POST)], &[
        "Warning `chat`: no request of webhook with these settings goes to https://b.example/",
        "Failed `chat`: no grant covers POST to the URL that the setting `url` makes, at a.example",
    ])]
    #[case::secret_that_no_setting_names("webhook", A, &[
        ("https://a.example/", POST), ("https://a.example/$(s)", POST),
    ], &[
        "Warning `chat`: no request of webhook with these settings goes to https://a.example/$(s), and no \
         setting has `$(s)`",
    ])]
    #[case::secret_that_another_path_names(
        "webhook", "url = \"https://a.example/$(s)\"",
        &[("https://a.example/$(s)", POST), ("https://b.example/$(s)", POST)],
        &["Warning `chat`: no request of webhook with these settings goes to https://b.example/$(s)"]
    )]
    #[case::methods("webhook", A, &[("https://a.example/", r#"["GET", "POST", "PUT"]"#)], &[
        "Warning `chat`: https://a.example/ is granted GET and PUT, which no request of webhook with these \
         settings uses",
    ])]
    #[case::other_method("webhook", A, &[("https://a.example/", GET)], &[
        "Warning `chat`: https://a.example/ is granted GET, which no request of webhook with these settings \
         uses",
        "Failed `chat`: no grant covers POST to the URL that the setting `url` makes, at a.example",
    ])]
    #[case::cmdb(
        "cmdb", "servicenow = { instance = \"https://a.example\" }",
        &[("https://a.example/api/now/table/", r#"["GET", "POST"]"#)],
        &["Failed `chat`: no grant covers PATCH to the URL that the setting `servicenow.instance` makes, at \
           a.example"]
    )]
    #[case::hidden("./own.wasm", "", &[("https://a.example/", POST), ("https://a.example/x", POST)], &[
        "Warning `chat`: the grant of https://a.example/x is never used: the one of https://a.example/ \
         before it covers the same requests, and the first counts",
    ])]
    #[case::not_hidden(
        "./own.wasm", "", &[("https://a.example/x", POST), ("https://a.example/", POST)], &[]
    )]
    #[case::other_methods(
        "./own.wasm", "", &[("https://a.example/", GET), ("https://a.example/x", POST)], &[]
    )]
    #[case::nobody_knows("./own.wasm", A, &[("https://b.example/", GET)], &[])]
    fn grants_meet_settings(
        #[case] plugin: &str,
        #[case] settings: &str,
        #[case] grants: &[(&str, &str)],
        #[case] expected: &[&str],
    ) {
        assert_eq!(unused(&notifier(plugin, settings, grants), true, false), expected);
    }

    #[rstest]
    #[case::imports_them("./own.wasm", "", r#"["a"]"#, true, &[])]
    #[case::does_not("./own.wasm", "", r#"["a", "b"]"#, false, &[
        "Warning `chat`: it is granted the support cases a and b, and opens none: its component does not \
         import groundcrew:plugin/support-cases",
    ])]
    #[case::its_own("ams-case", "service_code = \"a\"", r#"["a"]"#, true, &[])]
    #[case::one_more("ams-case", "service_code = \"a\"", r#"["a", "b"]"#, true, &[
        "Warning `chat`: it is granted b, and opens cases of a alone",
    ])]
    #[case::another("ams-case", "service_code = \"a\"", r#"["b"]"#, true, &[
        "Failed `chat`: its setting `service_code` is a, which it is not granted: no case will be opened",
    ])]
    fn support_cases(
        #[case] plugin: &str,
        #[case] settings: &str,
        #[case] codes: &str,
        #[case] imports: bool,
        #[case] expected: &[&str],
    ) {
        let text = notifier(plugin, settings, &[]);
        let text = format!("{text}[notifiers.grants]\nsupport_cases = {codes}\n");
        assert_eq!(unused(&text, false, imports), expected);
    }

    #[test]
    fn a_component_that_sends_nothing() {
        let text = notifier("./own.wasm", "", &[("https://a.example/", POST)]);
        let told = unused(&text, false, false);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("Warning `chat`: it is granted HTTP, and sends no"),
            "{told:?}"
        );
    }
}
