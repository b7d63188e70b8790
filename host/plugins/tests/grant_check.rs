//! The doctor's check of a grant, against a server on loopback: no request is sent without
//! `--probe`, and no secret is shown.

use std::net::IpAddr;
use std::time::Duration;

use groundcrew_core::config::Config;
use groundcrew_core::doctor::{ConnectionFailureKind, GrantFacts, Probe, SecretFacts};
use groundcrew_core::http::{HttpGrant, SecretLocation};
use groundcrew_testkit::http_server::{
    Behavior, HttpServer, KEY, LoopbackNetwork, PUBLIC, SHORT, SLACK, STORED, TOKEN, authority,
    authority_for, direct_http, proxy, response, temp_file, toml_path,
};
use rstest::rstest;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The grant with these lines.
fn grant(lines: &str) -> HttpGrant {
    let text = format!(
        "[[notifiers]]\nname = \"hook\"\nplugin = \"webhook\"\n[notifiers.settings]\nurl = \
         \"https://a.example/api/x\"\n[[notifiers.grants.http]]\nmethods = [\"POST\"]\n{lines}\n"
    );
    Config::parse("test.toml", &text).unwrap().notifiers.remove(0).grants.http.remove(0)
}

/// The facts of a grant in one text, which must not show a secret.
async fn examine(
    grant: &HttpGrant,
    network: std::sync::Arc<LoopbackNetwork>,
    probe: bool,
) -> GrantFacts {
    let facts = direct_http(network).check_grant(grant, probe, TIMEOUT).await;
    let shown = format!("{facts:?}");
    for secret in [TOKEN, KEY, SLACK, STORED] {
        assert!(!shown.contains(secret), "{shown}");
    }
    facts
}

const PLAIN: &str = "url = \"http://a.example/api/\"\nallow_private = true\n";

#[tokio::test]
async fn nothing_is_sent_unless_it_is_asked_for() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let grant = grant(&format!(
        "{PLAIN}headers = {{ Authorization = {{ env = \"TOKEN\" }} }}\nsign = {{ env = \
         \"SIGNING_KEY\" }}"
    ));
    let facts = examine(&grant, LoopbackNetwork::public(&web), false).await;
    let readable = |what: &str, name: &str| SecretFacts {
        what: what.to_owned(),
        location: SecretLocation::EnvironmentVariable(name.to_owned()),
        readable: Ok(()),
    };
    assert_eq!(
        facts.secrets,
        [
            readable("the header field `authorization`", "TOKEN"),
            readable("the signature", "SIGNING_KEY")
        ]
    );
    assert_eq!((facts.connection, facts.probe), (Ok(()), None));
    assert_eq!(facts.addresses, [PUBLIC.parse::<IpAddr>().unwrap()]);
    assert!(web.requests().is_empty(), "{:?}", web.requests());
}

#[tokio::test]
async fn a_probe_is_a_head_with_the_secrets_of_the_grant() {
    let web = HttpServer::new(&[response("405 Method Not Allowed", "", "")]).await;
    let grant = grant(
        "url = \"http://hooks.example/services/$(slack)\"\nallow_private = true\nsecrets = { slack = \
         { env = \"SLACK\" } }\n",
    );
    let facts = examine(&grant, LoopbackNetwork::public(&web), true).await;
    assert_eq!(facts.grant, "http://hooks.example/services/$(slack)");
    assert_eq!(facts.probe, Some(Probe::Answered(405)));
    assert_eq!(web.only_request().line, format!("HEAD /services/{SLACK} HTTP/1.1"));
}

#[rstest]
#[case::unset(r#"{ env = "NOWHERE" }"#, "the environment variable NOWHERE is not set")]
#[case::no_file(r#"{ file = "nowhere" }"#, "the file nowhere: No such file")]
#[case::two_lines(r#"{ env = "BROKEN_TOKEN" }"#, "BROKEN_TOKEN: expected one line of visible")]
#[case::denied(r#"{ secret = "theirs" }"#, "the Secrets Manager secret theirs: ")]
#[case::no_field(
    r#"{ secret = "cmdb", field = "key" }"#,
    "\"key\" of the Secrets Manager secret cmdb: expected"
)]
#[tokio::test]
async fn a_secret_that_cannot_be_had(#[case] location: &str, #[case] expected: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let grant = grant(&format!("{PLAIN}headers = {{ Authorization = {location} }}"));
    let facts = examine(&grant, LoopbackNetwork::public(&web), true).await;
    let [SecretFacts { readable: Err(reason), .. }] = &facts.secrets[..] else {
        panic!("{facts:?}")
    };
    assert!(reason.contains(expected), "{reason}");
    // Without `probe` no request is sent.
    assert_eq!((facts.probe, web.requests().len()), (None, 0));
}

/// A secret that exists may not be valid in its place in the URL.
#[tokio::test]
async fn a_secret_that_does_not_fit_into_a_url() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let grant = grant(
        "url = \"http://a.example/$(good)/$(bad)/x\"\nallow_private = true\n\
         secrets.good = { env = \"TOKEN\" }\nsecrets.bad = { env = \"TEAMS\" }\n",
    );
    let facts = examine(&grant, LoopbackNetwork::public(&web), true).await;
    let wrong: Vec<_> = facts.secrets.iter().filter(|secret| secret.readable.is_err()).collect();
    let [SecretFacts { what, readable: Err(reason), .. }] = &wrong[..] else { panic!("{facts:?}") };
    assert_eq!(what, "`$(bad)`");
    assert!(reason.contains("TEAMS: it has a query"), "{reason}");
    assert_eq!((facts.probe, web.requests().len()), (None, 0));
}

#[rstest]
#[case::private(PLAIN, &["10.1.2.3"], None)]
#[case::not_allowed(
    "url = \"http://a.example/\"", &["10.1.2.3", "127.0.0.1"],
    Some((ConnectionFailureKind::AddressForbidden, "has the address 10.1.2.3, which"))
)]
#[case::one_of_two("url = \"http://a.example/\"", &["10.1.2.3", PUBLIC], None)]
#[case::never(PLAIN, &["169.254.169.254"], Some((ConnectionFailureKind::AddressForbidden, "it is never reached")))]
#[case::without_address(PLAIN, &[], Some((ConnectionFailureKind::Unresolved, "it has no address")))]
#[tokio::test]
async fn where_a_name_leads(
    #[case] lines: &str,
    #[case] addresses: &[&str],
    #[case] expected: Option<(ConnectionFailureKind, &str)>,
) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let facts = examine(&grant(lines), LoopbackNetwork::to(&web, &[addresses]), false).await;
    // All addresses are listed, allowed or not.
    let found: Vec<String> = facts.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(found, addresses);
    assert_obstacle(&facts, expected);
}

/// Checks the kind and the reason of a connection failure.
fn assert_obstacle(facts: &GrantFacts, expected: Option<(ConnectionFailureKind, &str)>) {
    match (&facts.connection, expected) {
        (Ok(()), None) => {}
        (Err(obstacle), Some((kind, reason))) => {
            assert_eq!(obstacle.kind, kind, "{obstacle:?}");
            assert!(obstacle.reason.contains(reason), "{obstacle:?}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

const YEARS: (i32, i32) = (2020, 4096);

#[rstest]
#[case::trusted("a.example", YEARS, true, None)]
#[case::unknown_issuer(
    "a.example", YEARS, false,
    Some((ConnectionFailureKind::UnknownIssuer, "is not trusted: invalid peer certificate"))
)]
#[case::another_name(
    "b.example", YEARS, true,
    Some((ConnectionFailureKind::NameMismatch, "for name \"a.example\"; certificate is only valid for DnsName(\"b"))
)]
#[case::expired(
    "a.example", (2019, 2020), true,
    Some((ConnectionFailureKind::Expired, "it was valid until 2020-01-01T00:00:00Z"))
)]
#[case::not_yet_valid(
    "a.example", (4000, 4096), true,
    Some((ConnectionFailureKind::NotYetValid, "it is valid from 4000-01-01T00:00:00Z"))
)]
#[tokio::test]
async fn whom_a_certificate_is_trusted_from(
    #[case] server: &str,
    #[case] years: (i32, i32),
    #[case] named: bool,
    #[case] expected: Option<(ConnectionFailureKind, &str)>,
) {
    let (pem, tls) = authority_for(server, years);
    let (others, _) = authority("a.example");
    let web = HttpServer::with_tls(&[response("200 OK", "", "")], tls).await;
    let ca = temp_file(if named { &pem } else { &others });
    let grant = grant(&format!("url = \"https://a.example/\"\nca_file = {}", toml_path(&ca)));
    let facts = examine(&grant, LoopbackNetwork::public(&web), false).await;
    assert_obstacle(&facts, expected);
    assert!(web.requests().is_empty(), "{:?}", web.requests());
}

#[tokio::test]
async fn a_server_without_tls() {
    // The server answers anything that it receives as a request.
    let web = HttpServer::new(&[response("400 Bad Request", "", "")]).await;
    let (pem, _) = authority("a.example");
    let ca = temp_file(&pem);
    let grant = grant(&format!("url = \"https://a.example/\"\nca_file = {}", toml_path(&ca)));
    let facts = examine(&grant, LoopbackNetwork::public(&web), false).await;
    assert_obstacle(&facts, Some((ConnectionFailureKind::NoTls, "no TLS with a.example")));
}

#[rstest]
#[case::nowhere("nowhere.pem", "No such file")]
#[case::empty("", "expected at least one certificate")]
#[tokio::test]
async fn a_ca_file_that_cannot_be_used(#[case] path: &str, #[case] expected: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let empty = temp_file("");
    let path = if path.is_empty() { empty.display().to_string() } else { path.to_owned() };
    let grant = grant(&format!("url = \"https://a.example/\"\nca_file = {path:?}"));
    let facts = examine(&grant, LoopbackNetwork::public(&web), false).await;
    assert_obstacle(&facts, Some((ConnectionFailureKind::CaFile, expected)));
}

/// The proxy resolves the name. It receives the target of the tunnel, and nothing else.
#[tokio::test]
async fn by_a_proxy() {
    let (pem, tls) = authority("a.example");
    let web = HttpServer::with_tls(&[response("200 OK", "", "")], tls).await;
    let proxy = proxy(web.address).await;
    let ca = temp_file(&pem);
    let grant = grant(&format!(
        "url = \"https://a.example/\"\nproxy = \"http://proxy.example:3128\"\nca_file = {}",
        toml_path(&ca)
    ));
    let facts = examine(&grant, LoopbackNetwork::public(&proxy), false).await;
    assert_eq!((&facts.connection, facts.addresses.len()), (&Ok(()), 0), "{facts:?}");
    assert_eq!(proxy.only_request().line, "CONNECT a.example:443 HTTP/1.1");
    assert!(web.requests().is_empty(), "{:?}", web.requests());
}

/// A silent server causes a timeout.
#[tokio::test]
async fn a_server_that_says_nothing() {
    let web = HttpServer::new(&[Behavior::Stalls("")]).await;
    let facts =
        direct_http(LoopbackNetwork::public(&web)).check_grant(&grant(PLAIN), true, SHORT).await;
    let Some(Probe::NoAnswer(reason)) = &facts.probe else { panic!("{facts:?}") };
    assert!(reason.starts_with("it took longer than"), "{reason}");
}

#[tokio::test]
async fn a_server_that_hangs_up() {
    let web = HttpServer::new(&[response("200 OK", "", ""), Behavior::Resets]).await;
    // The first connection is the check without a request.
    let facts = examine(&grant(PLAIN), LoopbackNetwork::public(&web), true).await;
    assert!(matches!(facts.probe, Some(Probe::NoAnswer(_))), "{facts:?}");
}
