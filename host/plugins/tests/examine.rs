//! What a doctor finds out about a grant, against a server on loopback: nothing is sent unless it
//! is asked for, and no secret is told.

mod support;

use std::time::Duration;

use groundcrew_core::config::Config;
use groundcrew_core::doctor::{GrantFacts, Probe};
use groundcrew_core::http::HttpGrant;
use rstest::rstest;
use support::web::{Does, KEY, SLACK, TOKEN, Web, Wired, authority, direct, file, says, toml};

const PATIENCE: Duration = Duration::from_secs(20);

/// The grant with these lines.
fn grant(lines: &str) -> HttpGrant {
    let text = format!(
        "[[notifiers]]\nname = \"hook\"\nplugin = \"webhook\"\n[notifiers.settings]\nurl = \
         \"https://a.example/api/x\"\n[[notifiers.grants.http]]\nmethods = [\"POST\"]\n{lines}\n"
    );
    Config::parse("test.toml", &text).unwrap().notifiers.remove(0).grants.http.remove(0)
}

/// What the facts say of a grant, in one text that must not show a secret.
async fn examine(grant: &HttpGrant, network: std::sync::Arc<Wired>, probe: bool) -> GrantFacts {
    let facts = direct(network).examine(grant, probe, PATIENCE).await;
    let shown = format!("{facts:?}");
    for secret in [TOKEN, KEY, SLACK] {
        assert!(!shown.contains(secret), "{shown}");
    }
    facts
}

const PLAIN: &str = "url = \"http://a.example/api/\"\nallow_private = true\n";

#[tokio::test]
async fn nothing_is_sent_unless_it_is_asked_for() {
    let web = Web::new(&[says("200 OK", "", "")]).await;
    let grant = grant(&format!(
        "{PLAIN}headers = {{ Authorization = {{ env = \"TOKEN\" }} }}\nsign = {{ env = \
         \"SIGNING_KEY\" }}"
    ));
    let facts = examine(&grant, Wired::public(&web), false).await;
    let had = |what: &str| (what.to_owned(), Ok(()));
    assert_eq!(facts.secrets, [had("the header field `authorization`"), had("the signature")]);
    assert_eq!((facts.connection, facts.probe), (Ok(()), None));
    assert!(web.seen().is_empty(), "{:?}", web.seen());
}

#[tokio::test]
async fn a_probe_is_a_head_with_the_secrets_of_the_grant() {
    let web = Web::new(&[says("405 Method Not Allowed", "", "")]).await;
    let grant = grant(
        "url = \"http://hooks.example/services/$(slack)\"\nallow_private = true\nsecrets = { slack = \
         { env = \"SLACK\" } }\n",
    );
    let facts = examine(&grant, Wired::public(&web), true).await;
    assert_eq!(facts.grant, "http://hooks.example/services/$(slack)");
    assert_eq!(facts.probe, Some(Probe::Answered(405)));
    assert_eq!(web.only().line, format!("HEAD /services/{SLACK} HTTP/1.1"));
}

#[rstest]
#[case::unset(r#"{ env = "NOWHERE" }"#, "the environment variable NOWHERE is not set")]
#[case::no_file(r#"{ file = "nowhere" }"#, "the file nowhere: No such file")]
#[case::two_lines(r#"{ env = "BROKEN_TOKEN" }"#, "BROKEN_TOKEN: expected one line of visible")]
#[tokio::test]
async fn a_secret_that_cannot_be_had(#[case] place: &str, #[case] expected: &str) {
    let web = Web::new(&[says("200 OK", "", "")]).await;
    let grant = grant(&format!("{PLAIN}headers = {{ Authorization = {place} }}"));
    let facts = examine(&grant, Wired::public(&web), true).await;
    let [(_, Err(reason))] = &facts.secrets[..] else { panic!("{facts:?}") };
    assert!(reason.contains(expected), "{reason}");
    // Without it nothing is asked.
    assert_eq!((facts.probe, web.seen().len()), (None, 0));
}

#[rstest]
#[case::private(PLAIN, &["10.1.2.3"], Ok(()))]
#[case::not_allowed("url = \"http://a.example/\"", &["10.1.2.3"], Err("has the address 10.1.2.3, which"))]
#[case::never(PLAIN, &["169.254.169.254"], Err("it is never reached"))]
#[case::without_address(PLAIN, &[], Err("it has no address"))]
#[tokio::test]
async fn where_a_name_leads(
    #[case] lines: &str,
    #[case] addresses: &[&str],
    #[case] expected: Result<(), &str>,
) {
    let web = Web::new(&[says("200 OK", "", "")]).await;
    let facts = examine(&grant(lines), Wired::to(&web, &[addresses]), false).await;
    match (&facts.connection, expected) {
        (Ok(()), Ok(())) => {}
        (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[rstest]
#[case::trusted("a.example", true, None)]
#[case::unknown_issuer("a.example", false, Some("is not trusted: invalid peer certificate"))]
#[case::another_name("b.example", true, Some("is not trusted: invalid peer certificate"))]
#[tokio::test]
async fn whom_a_certificate_is_trusted_from(
    #[case] server: &str,
    #[case] named: bool,
    #[case] expected: Option<&str>,
) {
    let (pem, tls) = authority(server);
    let (others, _) = authority("a.example");
    let web = Web::with_tls(&[says("200 OK", "", "")], tls).await;
    let ca = file(if named { &pem } else { &others });
    let grant = grant(&format!("url = \"https://a.example/\"\nca_file = {}", toml(&ca)));
    let facts = examine(&grant, Wired::public(&web), false).await;
    match expected {
        None => assert_eq!(facts.connection, Ok(())),
        Some(expected) => {
            let reason = facts.connection.unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_up() {
    let web = Web::new(&[says("200 OK", "", ""), Does::Resets]).await;
    // The first connection is the look without a request.
    let facts = examine(&grant(PLAIN), Wired::public(&web), true).await;
    assert!(matches!(facts.probe, Some(Probe::Unanswered(_))), "{facts:?}");
}
