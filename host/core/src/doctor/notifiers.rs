//! What notifiers need of other systems: their secrets, an address that may be reached, a
//! certificate that is trusted, and grants that they use.

use serde_json::Value;

use super::{Check, Finding};
use crate::config::{Config, Notifier, Plugin};
use crate::http::Url;

/// What was found out about one of a notifier's `[[notifiers.grants.http]]`. No secret is part of
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// The grant as it is written.
    pub grant: String,
    /// Its secrets, each by what it is for: whether it can be had, or why not.
    pub secrets: Vec<(String, Result<(), String>)>,
    /// Whether the host has an address that may be reached, answers there, and has a certificate
    /// that is trusted; or what is in the way.
    pub connection: Result<(), String>,
    /// What came of a request, where one was sent.
    pub probe: Option<Probe>,
}

/// What came of a harmless request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A status came.
    Answered(u16),
    /// No answer came.
    Unanswered(String),
}

/// Bundled plugins whose requests all go to URLs that their settings have.
const BY_SETTINGS: [&str; 3] = ["webhook", "cmdb", "billing"];

/// Judges the notifiers: `facts` are those of each one's grants, in the order of the config.
pub(super) fn notifiers(config: &Config, facts: &[Vec<GrantFacts>]) -> Vec<Finding> {
    const CHECK: Check = Check::Notifiers;
    if config.notifiers.iter().all(|notifier| notifier.grants.http.is_empty()) {
        return vec![Finding::not_configured(CHECK, "no notifier is granted HTTP")];
    }
    let mut findings = Vec::new();
    for (notifier, facts) in config.notifiers.iter().zip(facts) {
        for facts in facts {
            findings.extend(grant(&notifier.component.name, facts));
        }
        findings.extend(unused(notifier));
    }
    findings
}

/// One grant of a notifier.
fn grant(notifier: &str, facts: &GrantFacts) -> Vec<Finding> {
    const CHECK: Check = Check::Notifiers;
    let GrantFacts { grant, secrets, connection, probe } = facts;
    let mut findings = Vec::new();
    for (what, had) in secrets {
        if let Err(reason) = had {
            findings.push(Finding::failed(
                CHECK,
                format!("`{notifier}`: the secret for {what} of {grant} can't be had: {reason}"),
                "put the secret there, and let the user or role of groundcrew read it; secrets of \
                 this shell's environment are not those of the host's",
            ));
        }
    }
    if let Err(reason) = connection {
        findings.push(Finding::failed(
            CHECK,
            format!("`{notifier}`: {grant} can't be reached from here: {reason}"),
            "let this machine reach it, or mend `url`, `proxy`, `ca_file` or `allow_private` of the \
             grant",
        ));
    }
    match probe {
        Some(Probe::Unanswered(reason)) if connection.is_ok() => {
            findings.push(Finding::failed(
                CHECK,
                format!("`{notifier}`: no answer to HEAD {grant}: {reason}"),
                "ask whoever runs the other system, or look at the secrets",
            ));
        }
        Some(Probe::Answered(status @ (401 | 403))) => findings.push(Finding::failed(
            CHECK,
            format!(
                "`{notifier}`: HEAD {grant} is answered {status}: what it sends to prove who \
                 it is, is refused or missing"
            ),
            "renew the secret, or grant it what it may do in the other system",
        )),
        Some(Probe::Answered(status @ 500..)) => findings.push(Finding::warning(
            CHECK,
            format!(
                "`{notifier}`: HEAD {grant} is answered {status}: the other system has an error"
            ),
            "ask whoever runs it; notifications are tried again",
        )),
        _ => {}
    }
    if findings.is_empty() {
        let had = match secrets.len() {
            0 => String::new(),
            1 => "its secret is there, ".to_owned(),
            number => format!("its {number} secrets are there, "),
        };
        let answers = match probe {
            Some(Probe::Answered(status @ 400..)) => {
                format!("; HEAD is answered {status}, which says nothing of secrets")
            }
            Some(Probe::Answered(status)) => format!("; HEAD is answered {status}"),
            _ => String::new(),
        };
        let found = format!("`{notifier}`: {grant}: {had}it can be reached{answers}");
        findings.push(Finding::ok(CHECK, found));
    }
    findings
}

/// Where grants and the settings of a bundled plugin don't meet. Of any other plugin nobody knows
/// what it asks for.
fn unused(notifier: &Notifier) -> Vec<Finding> {
    const CHECK: Check = Check::Notifiers;
    let Plugin::Bundled(plugin) = &notifier.component.plugin else { return vec![] };
    if !BY_SETTINGS.contains(&plugin.as_str()) {
        return vec![];
    }
    let (name, settings) = (&notifier.component.name, &notifier.component.settings.json);
    let mut urls = Vec::new();
    texts(settings, &mut urls);
    let mut findings = Vec::new();
    for grant in &notifier.grants.http {
        let written = grant.url.to_string();
        if !urls.iter().any(|url| meet(url, &written)) {
            findings.push(Finding::warning(
                CHECK,
                format!("`{name}`: no request of {plugin} with these settings goes to {written}"),
                "remove the grant, or mend the URL in the settings",
            ));
        }
    }
    let others =
        |url: &&&str| !notifier.grants.http.iter().any(|grant| meet(url, &grant.url.to_string()));
    for url in urls.iter().filter(others) {
        findings.push(Finding::failed(
            CHECK,
            format!("`{name}`: the settings have {url}, which no grant covers"),
            "grant it in [[notifiers.grants.http]], or mend the URL",
        ));
    }
    if plugin == "webhook" {
        let method = settings.get("method").and_then(Value::as_str).unwrap_or("POST");
        for grant in &notifier.grants.http {
            let unused: Vec<&str> =
                grant.methods.iter().map(String::as_str).filter(|one| *one != method).collect();
            if !unused.is_empty() {
                findings.push(Finding::warning(
                    CHECK,
                    format!(
                        "`{name}`: {} is granted {}, and the webhook sends {method} alone",
                        grant.url,
                        unused.join(", ")
                    ),
                    format!("write `methods = [\"{method}\"]`"),
                ));
            }
        }
    }
    findings
}

/// The URLs of settings: what of each is there before a template begins to insert.
fn texts<'s>(settings: &'s Value, urls: &mut Vec<&'s str>) {
    match settings {
        Value::String(text) if text.starts_with("https://") || text.starts_with("http://") => {
            urls.push(text.split("{{").next().unwrap_or_default());
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, urls)),
        // What is sent may have URLs that nobody asks for.
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !["body", "fields", "record", "headers"].contains(&name.as_str()))
            .for_each(|(_, value)| texts(value, urls)),
        _ => {}
    }
}

/// Whether a request to a URL that begins so may be one to a granted URL.
fn meet(url: &str, granted: &str) -> bool {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    // In its usual form, where it has one: the host in lower case, a port only where it is needed.
    let usual = Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.to_string());
    let of = |text: &str| text.trim_end_matches('/').to_owned();
    of(&usual).starts_with(&of(granted)) || of(granted).starts_with(&of(&usual))
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use rstest::rstest;

    fn facts(connection: Result<(), String>, probe: Option<Probe>) -> GrantFacts {
        GrantFacts {
            grant: "https://hooks.example.com/".into(),
            secrets: vec![("the header field `authorization`".into(), Ok(()))],
            connection,
            probe,
        }
    }

    #[rstest]
    #[case::reached(facts(Ok(()), None), Status::Ok, "its secret is there, it can be reached")]
    #[case::answers(
        facts(Ok(()), Some(Probe::Answered(200))),
        Status::Ok,
        "it can be reached; HEAD is answered 200"
    )]
    #[case::answers_something(
        facts(Ok(()), Some(Probe::Answered(405))),
        Status::Ok,
        "HEAD is answered 405, which says nothing of secrets"
    )]
    #[case::refused(facts(Ok(()), Some(Probe::Answered(401))), Status::Failed, "is answered 401")]
    #[case::down(facts(Ok(()), Some(Probe::Answered(503))), Status::Warning, "is answered 503")]
    #[case::silent(
        facts(Ok(()), Some(Probe::Unanswered("it took too long".into()))),
        Status::Failed,
        "no answer to HEAD https://hooks.example.com/: it took too long"
    )]
    #[case::unreachable(
        facts(Err("the name can't be resolved".into()), None),
        Status::Failed,
        "can't be reached from here: the name can't be resolved"
    )]
    #[case::no_secret(
        GrantFacts {
            secrets: vec![("the signature".into(), Err("the file k: not found".into()))],
            ..facts(Ok(()), None)
        },
        Status::Failed,
        "the secret for the signature of https://hooks.example.com/ can't be had: the file k"
    )]
    fn a_grant(#[case] facts: GrantFacts, #[case] status: Status, #[case] found: &str) {
        let findings = grant("chat", &facts);
        assert_eq!((findings.len(), findings[0].status), (1, status), "{findings:?}");
        assert!(findings[0].found.contains(found), "{findings:?}");
    }

    fn config(url: &str, method: &str, granted: &str, methods: &str) -> Config {
        let text = format!(
            "[[notifiers]]\nname = \"chat\"\nplugin = \"webhook\"\n[notifiers.settings]\nurl = \
             \"{url}\"\nmethod = \"{method}\"\nbody = {{ link = \"https://elsewhere.example.com\" \
             }}\n[[notifiers.grants.http]]\nurl = \"{granted}\"\nmethods = {methods}\n"
        );
        Config::parse("crew.toml", &text).unwrap()
    }

    #[rstest]
    #[case::used("https://a.example.com/x", "POST", "https://a.example.com/", r#"["POST"]"#, &[])]
    #[case::template("https://a.example.com/{{ account.id }}", "POST", "https://A.example.com/", r#"["POST"]"#, &[])]
    #[case::longer_grant("https://a.example.com/{{ tag }}", "POST", "https://a.example.com/v1/", r#"["POST"]"#, &[])]
    #[case::elsewhere(
        "https://a.example.com/x", "POST", "https://b.example.com/", r#"["POST"]"#,
        &["goes to https://b.example.com/", "the settings have https://a.example.com/x, which"]
    )]
    #[case::methods(
        "https://a.example.com/x", "PUT", "https://a.example.com/", r#"["POST", "PUT", "GET"]"#,
        &["is granted POST, GET, and the webhook sends PUT alone"]
    )]
    fn grants_meet_settings(
        #[case] url: &str,
        #[case] method: &str,
        #[case] granted: &str,
        #[case] methods: &str,
        #[case] expected: &[&str],
    ) {
        let config = config(url, method, granted, methods);
        let findings = unused(&config.notifiers[0]);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.found.contains(expected), "{finding:?}");
        }
    }

    #[test]
    fn without_http_there_is_nothing_to_look_at() {
        let config = Config::parse("c", "").unwrap();
        assert_eq!(notifiers(&config, &[])[0].status, Status::NotConfigured);
    }
}
