//! What notifiers need of other systems: their secrets, an address that may be reached, a trusted
//! certificate, a response, and grants that they use.

use std::net::IpAddr;

use super::grants::{unused_cases, unused_http};
use super::{Check, Finding, list};
use crate::config::Config;
use crate::http::{AddressKind, HttpGrant, SecretLocation};

const CHECK: Check = Check::Notifiers;

/// The facts about a notifier, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierFacts {
    /// Whether its component imports HTTP. Otherwise it can send no request.
    pub imports_http: bool,
    /// Whether its component imports support cases. Otherwise it can open none.
    pub imports_support_cases: bool,
    /// The facts about each of its `[[notifiers.grants.http]]`.
    pub grants: Vec<GrantFacts>,
}

/// The facts about one of a notifier's `[[notifiers.grants.http]]`, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// The grant as in the config.
    pub grant: String,
    /// Its secrets.
    pub secrets: Vec<SecretFacts>,
    /// The addresses of its host. Empty if there are none, or if a proxy resolves the name.
    pub addresses: Vec<IpAddr>,
    /// Whether the host has an address that may be reached, accepts connections there, and has a
    /// trusted certificate; or the reason why not.
    pub connection: Result<(), ConnectionFailure>,
    /// The result of a request, if one was sent.
    pub probe: Option<Probe>,
}

/// The facts about a secret of a grant: never the secret itself, or anything about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFacts {
    /// Its purpose.
    pub what: String,
    /// Its location.
    pub location: SecretLocation,
    /// Whether it can be read and used for its purpose, or why not.
    pub readable: Result<(), String>,
}

/// Why there was no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFailure {
    /// The kind of failure.
    pub kind: ConnectionFailureKind,
    /// The reason.
    pub reason: String,
}

/// Kinds of failures, each with a different fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFailureKind {
    /// The host's name has no address.
    Unresolved,
    /// None of the host's addresses may be reached.
    AddressForbidden,
    /// Connections to it fail.
    NoConnection,
    /// The proxy opens no tunnel.
    Proxy,
    /// It took too long.
    TimedOut,
    /// The issuer of the certificate isn't trusted.
    UnknownIssuer,
    /// The certificate is for another name.
    NameMismatch,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate isn't trusted for another reason.
    Untrusted,
    /// The server does not support TLS, or no version that groundcrew supports.
    NoTls,
    /// The grant's `ca_file` can't be used.
    CaFile,
    /// The system has no certificates that could be trusted.
    NoRootCertificates,
}

/// The result of a harmless request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A response came, with this status.
    Answered(u16),
    /// No response came.
    NoAnswer(String),
}

/// The findings about notifiers: `facts` has an entry for each, in the order of the config.
pub(super) fn notifiers(config: &Config, facts: &[NotifierFacts]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (notifier, facts) in config.notifiers.iter().zip(facts) {
        let name = &notifier.plugin_config.name;
        for (granted, facts) in notifier.grants.http.iter().zip(&facts.grants) {
            findings.extend(grant(name, granted, facts));
        }
        findings.extend(unused_http(notifier, facts));
        findings.extend(unused_cases(notifier, facts));
    }
    if config.notifiers.iter().all(|notifier| notifier.grants.http.is_empty()) {
        findings.push(Finding::not_configured(CHECK, "no notifier is granted HTTP"));
    }
    findings
}

/// One grant of a notifier.
fn grant(notifier: &str, granted: &HttpGrant, facts: &GrantFacts) -> Vec<Finding> {
    let GrantFacts { grant, secrets, addresses, connection, probe } = facts;
    let mut findings = Vec::new();
    for SecretFacts { what, location, readable } in secrets {
        if let Err(reason) = readable {
            findings.push(Finding::failed(
                CHECK,
                format!("`{notifier}`: the secret for {what} of {grant} can't be had: {reason}"),
                secret_fix(location),
            ));
        }
    }
    match connection {
        Err(failure) => findings.push(connection_finding(notifier, granted, facts, failure)),
        Ok(()) => findings.extend(some_addresses_forbidden(notifier, granted, facts)),
    }
    let answers = match probe.as_ref().map(|probe| answer(notifier, granted, facts, probe)) {
        None => String::new(),
        Some(good) if good.fix.is_none() => format!("; {}", good.found),
        Some(bad) => {
            findings.push(bad);
            return findings;
        }
    };
    if connection.is_err() || secrets.iter().any(|secret| secret.readable.is_err()) {
        return findings;
    }
    let places: Vec<String> = secrets.iter().map(|secret| secret.location.to_string()).collect();
    let readable = match secrets.len() {
        0 => String::new(),
        1 => format!("its secret is there ({}), ", list(&places)),
        number => format!("its {number} secrets are there ({}), ", list(&places)),
    };
    let at = match (&granted.proxy, reachable_addresses(granted, addresses)) {
        (Some(proxy), _) => format!(" by the proxy {proxy}"),
        (None, addresses) if addresses.is_empty() => String::new(),
        (None, addresses) => format!(" at {}", list(&addresses)),
    };
    let found = format!("`{notifier}`: {grant}: {readable}it can be reached{at}{answers}");
    findings.push(Finding::ok(CHECK, found));
    findings
}

/// What to do if a secret can't be read.
fn secret_fix(location: &SecretLocation) -> String {
    let fix = match location {
        SecretLocation::EnvironmentVariable(name) => {
            return format!(
                "set {name} in groundcrew's environment; the doctor looks in that of its own shell"
            );
        }
        SecretLocation::File(_) => {
            "put the secret there, and let the user read it that groundcrew \
                                 runs as"
        }
        SecretLocation::SecretsManager { .. } => {
            "see to what AWS says; groundcrew's role needs secretsmanager:GetSecretValue on this secret"
        }
    };
    fix.to_owned()
}

/// The kind of a special address, unless the grant allows it.
fn forbidden(granted: &HttpGrant, address: IpAddr) -> Option<AddressKind> {
    AddressKind::classify(address).filter(|kind| !(granted.allow_private && kind.can_be_allowed()))
}

/// The addresses that may be reached.
fn reachable_addresses(granted: &HttpGrant, addresses: &[IpAddr]) -> Vec<String> {
    let allowed = addresses.iter().filter(|address| forbidden(granted, **address).is_none());
    allowed.map(ToString::to_string).collect()
}

/// The addresses that must not be reached, each with the reason, and the setting that would allow
/// them.
fn describe_forbidden(granted: &HttpGrant, addresses: &[IpAddr]) -> Option<(String, &'static str)> {
    let forbidden: Vec<(IpAddr, AddressKind)> = addresses
        .iter()
        .filter_map(|address| Some((*address, forbidden(granted, *address)?)))
        .collect();
    let addresses_text: Vec<String> =
        forbidden.iter().map(|(address, kind)| format!("{address} is {kind}")).collect();
    let fix = match forbidden.iter().any(|(_, kind)| kind.can_be_allowed()) {
        true => {
            "write `allow_private = true` in its [[notifiers.grants.http]], if that is where \
             requests shall go"
        }
        false => "have the name lead elsewhere, or fix the host in `url`: no key opens that",
    };
    (!addresses_text.is_empty()).then(|| (list(&addresses_text), fix))
}

/// Some addresses of a host that can be reached are not allowed.
fn some_addresses_forbidden(
    notifier: &str,
    granted: &HttpGrant,
    facts: &GrantFacts,
) -> Option<Finding> {
    let (addresses_text, fix) = describe_forbidden(granted, &facts.addresses)?;
    let found = format!(
        "`{notifier}`: {}: not all addresses of {} may be reached: {addresses_text}; requests go to the others",
        facts.grant,
        granted.url.host()
    );
    Some(Finding::warning(CHECK, found, fix))
}

/// Why a grant's host can't be reached, and what to do.
fn connection_finding(
    notifier: &str,
    granted: &HttpGrant,
    facts: &GrantFacts,
    failure: &ConnectionFailure,
) -> Finding {
    use ConnectionFailureKind as Kind;
    let ConnectionFailure { kind, reason } = failure;
    let grant = &facts.grant;
    if let (Kind::AddressForbidden, Some((addresses_text, fix))) =
        (kind, describe_forbidden(granted, &facts.addresses))
    {
        let host = granted.url.host();
        let found = format!("`{notifier}`: {grant}: {host} may not be reached: {addresses_text}");
        return Finding::failed(CHECK, found, fix);
    }
    let what = match kind {
        Kind::Unresolved
        | Kind::AddressForbidden
        | Kind::NoConnection
        | Kind::Proxy
        | Kind::TimedOut
        | Kind::CaFile
        | Kind::NoRootCertificates => "can't be reached from here",
        Kind::UnknownIssuer => "has a certificate of an issuer that is not trusted here",
        Kind::NameMismatch => "has a certificate of another name",
        Kind::Expired => "has a certificate that has expired",
        Kind::NotYetValid => "has a certificate that is not valid yet",
        Kind::Untrusted => "has a certificate that is not trusted here",
        Kind::NoTls => "speaks no TLS that groundcrew speaks",
    };
    let fix = match kind {
        Kind::Unresolved => "fix the host in `url`, or have this machine's name server know it",
        Kind::AddressForbidden => "fix the host in `url`, or what its name leads to",
        Kind::NoConnection | Kind::TimedOut => {
            "look whether the other system is up, and let this machine reach it: firewall, security \
             group, route; or name a `proxy` in its [[notifiers.grants.http]]"
        }
        Kind::Proxy => "have the proxy let requests through to this host, or fix `proxy`",
        Kind::UnknownIssuer if granted.ca_file.is_some() => {
            "put the issuer's certificate into the grant's `ca_file`, which is trusted instead of \
             the system's, or take `ca_file` out if the system trusts it"
        }
        Kind::UnknownIssuer => {
            "if the issuer is your own, or that of a proxy which opens TLS, name its certificate \
             (PEM) by `ca_file` in the grant; if not, have the other system send its whole chain"
        }
        Kind::NameMismatch => {
            "name the host in `url` as the certificate does, or have one issued for this name"
        }
        Kind::Expired => {
            "have the other system's certificate renewed; if it is valid, fix this machine's \
             clock"
        }
        Kind::NotYetValid => {
            "fix this machine's clock; if it is right, have the other system use a valid one"
        }
        Kind::Untrusted => "have the other system's certificate fixed",
        Kind::NoTls => "look whether TLS 1.2 or 1.3 is spoken on this port, or fix `url`",
        Kind::CaFile => "fix the file that `ca_file` names: certificates of authorities in PEM",
        Kind::NoRootCertificates => {
            "install the system's certificates (ca-certificates), or name some by `ca_file`"
        }
    };
    Finding::failed(CHECK, format!("`{notifier}`: {grant} {what}: {reason}"), fix)
}

/// The finding about the response to HEAD. If nothing is to be done, it is the end of a sentence.
fn answer(notifier: &str, granted: &HttpGrant, facts: &GrantFacts, probe: &Probe) -> Finding {
    let grant = &facts.grant;
    let named = |what: String| format!("`{notifier}`: {what}");
    let status = match probe {
        Probe::Answered(status) => *status,
        Probe::NoAnswer(reason) => {
            return Finding::failed(
                CHECK,
                named(format!("no answer to HEAD {grant}: {reason}")),
                "ask whoever runs the other system, and whether a firewall or proxy cuts it off",
            );
        }
    };
    let found = |meaning: &str| format!("HEAD is answered {status}: {meaning}");
    let warned = |meaning: &str| named(format!("HEAD {grant} is answered {status}: {meaning}"));
    match status {
        200..=299 => Finding::ok(CHECK, found("it is up, and takes such a request")),
        300..=399 => Finding::warning(
            CHECK,
            warned("it leads elsewhere, and no redirect is followed"),
            "grant and set the URL that it leads to, unless it answers so to HEAD alone",
        ),
        401 => Finding::failed(
            CHECK,
            warned("what proves who asks is refused or missing"),
            "renew the secret of the grant, or grant one by `headers`",
        ),
        403 => Finding::warning(
            CHECK,
            warned("what proves who asks is not enough; some gateways answer so to HEAD alone"),
            "look at what the secret may do in the other system, unless notifications get through",
        ),
        404 | 410 if !granted.secrets.is_empty() => Finding::warning(
            CHECK,
            warned(
                "nothing is at this URL, of which a secret is a part; some webhooks answer so to \
                    HEAD alone",
            ),
            "look whether the webhook was removed or has another secret now, unless notifications get \
             through",
        ),
        404 => Finding::ok(
            CHECK,
            found(
                "it is up, and has nothing at this very URL, which is right where notifications go \
                  below it; it says nothing of secrets",
            ),
        ),
        405 | 501 => Finding::ok(
            CHECK,
            found(
                "it is up, and takes no HEAD, which is right of a webhook; it says nothing of \
                  secrets",
            ),
        ),
        500.. => Finding::failed(
            CHECK,
            warned("the other system, or a proxy before it, has an error"),
            "ask whoever runs it; notifications are tried again",
        ),
        _ => Finding::ok(CHECK, found("it is up; it says nothing of secrets")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use rstest::rstest;

    const URL: &str = "https://hooks.example.com/";

    fn granted(lines: &str) -> HttpGrant {
        let text = format!(
            "[[notifiers]]\nname = \"chat\"\nplugin = \"./own.wasm\"\n[[notifiers.grants.http]]\n\
             methods = [\"POST\"]\n{lines}"
        );
        Config::parse("crew.toml", &text).unwrap().notifiers.remove(0).grants.http.remove(0)
    }

    fn facts(
        connection: Result<(), (ConnectionFailureKind, &str)>,
        probe: Option<Probe>,
    ) -> GrantFacts {
        GrantFacts {
            grant: URL.into(),
            secrets: vec![SecretFacts {
                what: "the header field `authorization`".into(),
                location: SecretLocation::EnvironmentVariable("TOKEN".into()),
                readable: Ok(()),
            }],
            addresses: vec!["93.184.216.34".parse().unwrap()],
            connection: connection
                .map_err(|(kind, reason)| ConnectionFailure { kind, reason: reason.to_owned() }),
            probe,
        }
    }

    fn answered(status: u16) -> GrantFacts {
        facts(Ok(()), Some(Probe::Answered(status)))
    }

    fn lacks(location: SecretLocation) -> GrantFacts {
        let mut facts = facts(Ok(()), None);
        facts.secrets[0].location = location;
        facts.secrets[0].readable = Err("it is not there".into());
        facts
    }

    fn failure(kind: ConnectionFailureKind) -> GrantFacts {
        facts(Err((kind, "why")), None)
    }

    /// There is only this finding, and its text and fix contain these.
    fn assert_only(findings: &[Finding], status: Status, found: &str, fix: &str) {
        let [finding] = findings else { panic!("{findings:?}") };
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.starts_with("`chat`: "), "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
        let told = finding.fix.as_deref().unwrap_or_default();
        assert!(told.contains(fix) && told.is_empty() == fix.is_empty(), "{finding:?}");
    }

    #[rstest]
    #[case::reachable_addresses(
        facts(Ok(()), None), Status::Ok,
        "its secret is there (the environment variable TOKEN), it can be reached at 93.184.216.34", ""
    )]
    #[case::taken(answered(204), Status::Ok, "34; HEAD is answered 204: it is up, and takes", "")]
    #[case::redirect(
        answered(302),
        Status::Warning,
        "answered 302: it leads elsewhere",
        "grant and set"
    )]
    #[case::too_many(answered(429), Status::Ok, "answered 429: it is up; it says nothing of", "")]
    #[case::unknown(answered(401), Status::Failed, "answered 401: what proves", "renew the secret")]
    #[case::forbidden(
        answered(403),
        Status::Warning,
        "answered 403: what proves",
        "may do in the other"
    )]
    #[case::nothing_there(answered(404), Status::Ok, "answered 404: it is up, and has nothing", "")]
    #[case::no_head(answered(405), Status::Ok, "answered 405: it is up, and takes no HEAD", "")]
    #[case::not_implemented(answered(501), Status::Ok, "answered 501: it is up, and takes no", "")]
    #[case::error(
        answered(500),
        Status::Failed,
        "answered 500: the other system",
        "whoever runs it"
    )]
    #[case::down(
        answered(503),
        Status::Failed,
        "answered 503: the other system",
        "whoever runs it"
    )]
    #[case::silent(
        facts(Ok(()), Some(Probe::NoAnswer("it took too long".into()))), Status::Failed,
        "no answer to HEAD https://hooks.example.com/: it took too long", "whoever runs"
    )]
    #[case::no_variable(
        lacks(SecretLocation::EnvironmentVariable("TOKEN".into())), Status::Failed,
        "the secret for the header field `authorization` of https://hooks.example.com/ can't be had: it \
         is not there", "set TOKEN in groundcrew's environment"
    )]
    #[case::no_file(lacks(SecretLocation::File("k".into())), Status::Failed, "had", "let the user read")]
    #[case::not_stored(
        lacks(SecretLocation::SecretsManager { id: "k".into(), field: None }), Status::Failed, "had",
        "needs secretsmanager:GetSecretValue"
    )]
    #[case::name(
        failure(ConnectionFailureKind::Unresolved),
        Status::Failed,
        "reached from here: why",
        "name server"
    )]
    #[case::nobody(
        failure(ConnectionFailureKind::NoConnection),
        Status::Failed,
        "reached from here: why",
        "firewall"
    )]
    #[case::late(
        failure(ConnectionFailureKind::TimedOut),
        Status::Failed,
        "reached from here: why",
        "firewall"
    )]
    #[case::proxy(
        failure(ConnectionFailureKind::Proxy),
        Status::Failed,
        "reached from here: why",
        "fix `proxy`"
    )]
    #[case::issuer(
        failure(ConnectionFailureKind::UnknownIssuer),
        Status::Failed,
        "has a certificate of an issuer that is not trusted here: why",
        "(PEM) by `ca_file`"
    )]
    #[case::other_name(
        failure(ConnectionFailureKind::NameMismatch),
        Status::Failed,
        "of another name: why",
        "host in `url`"
    )]
    #[case::expired(
        failure(ConnectionFailureKind::Expired),
        Status::Failed,
        "has expired: why",
        "renewed"
    )]
    #[case::future(
        failure(ConnectionFailureKind::NotYetValid),
        Status::Failed,
        "not valid yet: why",
        "clock"
    )]
    #[case::untrusted(
        failure(ConnectionFailureKind::Untrusted),
        Status::Failed,
        "not trusted here: why",
        "fixed"
    )]
    #[case::no_tls(
        failure(ConnectionFailureKind::NoTls),
        Status::Failed,
        "speaks no TLS",
        "TLS 1.2 or 1.3"
    )]
    #[case::ca_file(
        failure(ConnectionFailureKind::CaFile),
        Status::Failed,
        "from here: why",
        "`ca_file` names"
    )]
    #[case::no_roots(
        failure(ConnectionFailureKind::NoRootCertificates),
        Status::Failed,
        "from here: why",
        "ca-certificates"
    )]
    fn a_grant(
        #[case] facts: GrantFacts,
        #[case] status: Status,
        #[case] found: &str,
        #[case] fix: &str,
    ) {
        let granted = granted(&format!("url = \"{URL}\""));
        assert_only(&grant("chat", &granted, &facts), status, found, fix);
    }

    #[test]
    fn an_issuer_beside_a_ca_file() {
        let granted = granted(&format!("url = \"{URL}\"\nca_file = \"ours.pem\""));
        let findings = grant("chat", &granted, &failure(ConnectionFailureKind::UnknownIssuer));
        assert_only(&findings, Status::Failed, "not trusted here", "into the grant's `ca_file`");
    }

    /// If the URL has a secret, the response may mean that the secret is wrong.
    #[rstest]
    #[case(404)]
    #[case(410)]
    fn a_url_with_a_secret_that_leads_nowhere(#[case] status: u16) {
        let granted = granted(
            "url = \"https://hooks.example.com/$(s)\"\nsecrets = { s = { env = \"TOKEN\" } }",
        );
        let findings = grant("chat", &granted, &answered(status));
        assert_only(
            &findings,
            Status::Warning,
            "of which a secret is a part",
            "another secret now",
        );
    }

    /// Each problem is reported, and that the host can be reached is not.
    #[test]
    fn each_thing_that_is_wrong() {
        let mut facts = facts(Err((ConnectionFailureKind::NoConnection, "refused")), None);
        facts.secrets[0].readable = Err("no".into());
        let findings = grant("chat", &granted(&format!("url = \"{URL}\"")), &facts);
        let statuses: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!(statuses, [Status::Failed, Status::Failed], "{findings:?}");
    }

    #[rstest]
    #[case::public(&["93.184.216.34", "2600:1f18::1"], "", &["ok: reached at 93.184.216.34 and 2600:1f18::1"])]
    #[case::private_one(&["93.184.216.34", "10.1.2.3"], "", &[
        "warning: not all addresses of hooks.example.com may be reached: 10.1.2.3 is in a private \
         network; requests go to the others / write `allow_private = true`",
        "ok: reached at 93.184.216.34",
    ])]
    #[case::private(&["10.1.2.3"], "allow_private = true", &["ok: reached at 10.1.2.3"])]
    #[case::all_refused(&["10.1.2.3", "127.0.0.1"], "", &[
        "failed: hooks.example.com may not be reached: 10.1.2.3 is in a private network and 127.0.0.1 is \
         this machine / write `allow_private = true`"
    ])]
    #[case::metadata(&["169.254.169.254"], "allow_private = true", &[
        "failed: hooks.example.com may not be reached: 169.254.169.254 is a metadata service, which hands \
         out the host's credentials / have the name lead elsewhere"
    ])]
    fn which_addresses_may_be_reached(
        #[case] addresses: &[&str],
        #[case] lines: &str,
        #[case] expected: &[&str],
    ) {
        let granted = granted(&format!("url = \"{URL}\"\n{lines}"));
        let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
        let none = reachable_addresses(&granted, &addresses).is_empty();
        let connection = if none {
            Err((ConnectionFailureKind::AddressForbidden, "one of them"))
        } else {
            Ok(())
        };
        let facts = GrantFacts { addresses, ..facts(connection, None) };
        let findings = grant("chat", &granted, &facts);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            let (status, told) = expected.split_once(": ").unwrap();
            let (found, fix) = told.split_once(" / ").unwrap_or((told, ""));
            assert_eq!(format!("{:?}", finding.status).to_lowercase(), status, "{finding:?}");
            assert!(finding.found.contains(found), "{finding:?}");
            assert!(finding.fix.as_deref().unwrap_or_default().starts_with(fix), "{finding:?}");
        }
    }

    #[test]
    fn a_proxy_is_named_instead_of_addresses() {
        let granted = granted(&format!("url = \"{URL}\"\nproxy = \"http://proxy.example:3128\""));
        let facts = GrantFacts { addresses: vec![], ..facts(Ok(()), None) };
        let findings = grant("chat", &granted, &facts);
        assert_only(&findings, Status::Ok, "reached by the proxy http://proxy.example:3128/", "");
    }

    #[test]
    fn without_http_there_is_nothing_to_look_at() {
        let config = Config::parse("c", "").unwrap();
        assert_eq!(notifiers(&config, &[])[0].status, Status::NotConfigured);
    }
}
