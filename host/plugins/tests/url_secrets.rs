//! Secrets in the URL of a grant: they reach the other system, and nothing else shows them, in
//! whatever form that system repeats them. With the bundled `webhook`, against a server on
//! loopback.

use std::path::Path;
use std::sync::Arc;

use groundcrew_core::notification::{GateDecision, NotifyFailure, NotifyFailureKind, Receipt};
use groundcrew_core::ports::Notifier as _;
use groundcrew_plugins::{Runtime, RuntimeOptions};
use groundcrew_testkit::http_server::{
    Behavior, FakeSecrets, HttpServer, LoopbackNetwork, SHORT, SLACK, STORED, TEAMS, TOKEN,
    authority, load, proxy, response, spec, temp_file, toml_path,
};
use groundcrew_testkit::log::capture_logs;
use groundcrew_testkit::notifiers::notification;
use rstest::rstest;

/// A webhook that posts to the URL, with these lines in its grant.
fn hook(url: &str, grant: &str) -> String {
    format!(
        "[[notifiers]]\nname = \"hook\"\nplugin = \"webhook\"\n\
         [notifiers.limits]\nhttp_timeout = \"{}ms\"\n\
         [notifiers.settings]\nurl = {url:?}\nbody = {{ text = \"{{{{ account.id }}}}\" }}\n\
         [[notifiers.grants.http]]\nmethods = [\"POST\"]\nallow_private = true\n{grant}\n",
        SHORT.as_millis()
    )
}

/// A webhook of Slack.
fn slack(place: &str) -> String {
    let url = "http://a.example/services/$(slack)";
    hook(url, &format!("url = {url:?}\nsecrets = {{ slack = {{ {place} }} }}"))
}

fn runtime() -> Runtime {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http-plugin-cache");
    Runtime::new(RuntimeOptions { cache_dir: Some(cache) }).unwrap()
}

async fn deliver(config: &str, network: &Arc<LoopbackNetwork>) -> Result<Receipt, NotifyFailure> {
    load(&runtime(), config, network.clone()).await.unwrap().notify(&notification()).await
}

/// URL of the plugin, lines of the grant, and the requested path.
#[rstest]
#[case::slack(
    "http://a.example/services/$(s)",
    "url = \"http://a.example/services/$(s)\"\nsecrets.s.env = \"SLACK\"",
    format!("/services/{SLACK}")
)]
#[case::teams(
    "http://a.example:443/workflows/$(s)",
    "url = \"http://a.example:443/workflows/$(s)\"\nsecrets.s.env = \"TEAMS\"",
    format!("/workflows/{TEAMS}")
)]
#[case::in_the_query(
    "http://a.example/invoke?v=1&id={{ account.id }}&sig=$(s)",
    "url = \"http://a.example/invoke?sig=$(s)\"\nsecrets.s.env = \"TOKEN\"",
    format!("/invoke?v=1&id=111122223333&sig={TOKEN}")
)]
#[case::two_and_more_after_them(
    "http://a.example/$(one)/hooks/$(two)/{{ account.id }}?wait=true",
    "url = \"http://a.example/$(one)/hooks/$(two)\"\nsecrets.one.env = \"TOKEN\"\n\
     secrets.two.env = \"SLACK\"",
    format!("/{TOKEN}/hooks/{SLACK}/111122223333?wait=true")
)]
#[tokio::test]
async fn what_is_sent(#[case] url: &str, #[case] grant: &str, #[case] path: String) {
    let web = HttpServer::new(&[response("200 OK", "", "ok")]).await;
    let told = deliver(&hook(url, grant), &LoopbackNetwork::public(&web)).await;
    let reference = "onboard/111122223333/ams".to_owned();
    assert_eq!(told, Ok(Receipt { reference, decision: GateDecision::Go }));
    let seen = web.only_request();
    assert_eq!(seen.line, format!("POST {path} HTTP/1.1"));
    assert_eq!(seen.body, r#"{"text":"111122223333"}"#);
    assert!(seen.field("host")[0].starts_with("a.example"), "{seen:?}");
}

/// A proxy for `https` sees the host and no path.
#[tokio::test]
async fn by_tls_and_a_proxy() {
    let (certificate, tls) = authority("a.example");
    let trusted = temp_file(&certificate);
    let web = HttpServer::with_tls(&[response("200 OK", "", "")], tls).await;
    let proxy = proxy(web.address).await;
    let url = "https://a.example/services/$(s)";
    let grant = format!(
        "url = {url:?}\nca_file = {}\nproxy = \"http://proxy.example:3128\"\nsecrets.s.env = \"SLACK\"",
        toml_path(&trusted)
    );
    deliver(&hook(url, &grant), &LoopbackNetwork::to(&proxy, &[&["10.0.0.1"]])).await.unwrap();
    assert_eq!(web.only_request().line, format!("POST /services/{SLACK} HTTP/1.1"));
    assert!(!format!("{:?}", proxy.only_request()).contains(SLACK));
}

/// A webhook that was replaced: the old URL finds nothing.
#[rstest]
#[case("404 Not Found")]
#[case("410 Gone")]
#[case("403 Forbidden")]
#[tokio::test]
async fn a_rotated_url_is_read_anew(#[case] status: &str) {
    let web =
        HttpServer::new(&[response(status, "", "no_service"), response("200 OK", "", "")]).await;
    let store = Arc::new(FakeSecrets::default());
    let config = slack("secret = \"cmdb\", field = \"token\"");
    let spec = spec(&config, LoopbackNetwork::public(&web), store.clone());
    runtime().load_notifier(spec).await.unwrap().notify(&notification()).await.unwrap();
    let lines: Vec<_> = web.requests().into_iter().map(|seen| seen.line).collect();
    let expected = [0, 1].map(|turn| format!("POST /services/{STORED}-{turn} HTTP/1.1"));
    assert_eq!(lines, expected);
}

/// A secret that can't be a part of the URL is not sent. The error names secret and grant.
#[rstest]
#[case::a_whole_url("https://hooks.slack.com/services/hush", "it is a whole URL")]
#[case::another_host("/evil.example/hush", "begins with `/`")]
#[case::up("../hush", "has a segment `.` or `..`")]
#[case::up_encoded("hush/%2e%2e/x", "has a segment `.` or `..`")]
#[case::a_space("hush hush", "must be percent-encoded")]
#[case::a_fragment("hush#x", "must be percent-encoded")]
#[case::braces("hush{x}", "must be percent-encoded")]
#[case::a_control_character("hush%0d%0aX:%20y", "control character")]
#[case::its_querys_fragment("hush?sig=x#y", "must be percent-encoded")]
#[tokio::test]
async fn secrets_that_are_no_part_of_a_url(#[case] value: &str, #[case] why: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let secret = temp_file(value);
    let config = slack(&format!("file = {}", toml_path(&secret)));
    let failure = deliver(&config, &LoopbackNetwork::public(&web)).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (NotifyFailureKind::Denied, false));
    let named = format!(
        "the host says: the secret for `$(slack)` can't be had: the file {}: ",
        secret.display()
    );
    for part in [named.as_str(), why] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert!(!failure.message.contains("hush"), "{}", failure.message);
    assert_eq!(failure.message.matches("http://a.example/").count(), 1, "{}", failure.message);
    assert_eq!(web.requests(), []);
}

#[rstest]
#[case::not_there("env = \"NONE\"", "the environment variable NONE is not set")]
#[case::two_lines("env = \"BROKEN_TOKEN\"", "expected one line of visible ASCII")]
#[case::refused("secret = \"x\"", "GetSecretValue: AccessDenied")]
#[tokio::test]
async fn secrets_that_are_not_there(#[case] place: &str, #[case] why: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let failure = deliver(&slack(place), &LoopbackNetwork::public(&web)).await.unwrap_err();
    for part in ["the secret for `$(slack)` can't be had: ", why] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!(web.requests(), []);
}

/// Named pipes without a writer in the place of a secret and of certificates don't block.
#[rstest]
#[case::secret("secrets.slack.file", "the secret for `$(slack)` can't be had")]
#[case::certificates("secrets.slack.env = \"SLACK\"\nca_file", "the certificates of ")]
#[tokio::test]
async fn named_pipes(#[case] key: &str, #[case] what: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let url = "https://a.example/services/$(slack)";
    let config = hook(url, &format!("url = {url:?}\n{key} = {}", toml_path(&pipe)));
    let failure = deliver(&config, &LoopbackNetwork::public(&web)).await.unwrap_err();
    for part in [what, "it is a named pipe (FIFO), expected a regular file"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!(failure.kind, NotifyFailureKind::Denied);
    assert_eq!(web.requests(), []);
}

/// The secret is only where the grant has it, not in what the other system may show to others.
#[rstest]
#[case::in_a_parameter("http://a.example/services/$(slack)?text=$(slack)")]
#[case::behind_it("http://a.example/services/$(slack)/$(slack)")]
#[tokio::test]
async fn a_placeholder_elsewhere(#[case] url: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let grant = "url = \"http://a.example/services/$(slack)\"\nsecrets.slack.env = \"SLACK\"";
    let failure = deliver(&hook(url, grant), &LoopbackNetwork::public(&web)).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Denied);
    let expected = "it has `$(slack)` in another place than the [[notifiers.grants.http]] of";
    assert!(failure.message.contains(expected), "{}", failure.message);
    assert_eq!(web.requests(), []);
}

/// Forms in which another system repeats the request's URL: in a success, from which the plugin
/// takes its reference, and in a failure, whose beginning is shown. Reported cases are added here.
#[rstest]
#[case::a_redirect("302 Found", format!("Location: https://b.example/services/{SLACK}\r\n"), String::new())]
#[case::a_place("201 Created", format!("Location: /services/{SLACK}/1\r\n"), String::new())]
#[case::a_place_encoded(
    "201 Created", format!("Location: /login?to=%2Fservices%2F{}\r\n", SLACK.replace('/', "%2F")), String::new()
)]
#[case::a_text("404 Not Found", String::new(), format!("no route for POST /services/{SLACK}"))]
#[case::a_text_cut_off("404 Not Found", String::new(), format!("no route for /services/{}…", &SLACK[..30]))]
#[case::json("400 Bad Request", String::new(), format!(r#"{{"path":"\/services\/{}"}}"#, SLACK.replace('/', "\\/")))]
#[case::html("400 Bad Request", String::new(), format!("<a href='/services/{}'>", SLACK.replace('/', "&#x2F;")))]
#[case::encoded("500 Internal Server Error", String::new(), format!("u={}", SLACK.replace('/', "%2f")))]
#[case::encoded_twice("503 Service Unavailable", String::new(), format!("u={}", SLACK.replace('/', "%252F")))]
#[case::its_last_part("403 Forbidden", String::new(), "invalid token aBcDeFgHiJkLmNoPqRsTuVwX".to_owned())]
#[case::in_another_case("403 Forbidden", String::new(), SLACK.to_lowercase())]
#[tokio::test]
async fn a_system_that_repeats_the_url(
    #[case] status: &str,
    #[case] fields: String,
    #[case] body: String,
) {
    let web = HttpServer::new(&[response(status, &fields, &body)]).await;
    let told =
        format!("{:?}", deliver(&slack("env = \"SLACK\""), &LoopbackNetwork::public(&web)).await);
    assert!(told.contains("$(slack)"), "{told}");
    let told = told.to_lowercase();
    for part in SLACK.split('/').skip(2).chain([SLACK]) {
        assert!(!told.contains(&part.to_lowercase()), "{told}");
    }
    // A part of the secret in a text that was cut off.
    assert!(!told.contains("abcdefgh"), "{told}");
}

/// A secret of a header field that is repeated in the response is removed as well.
#[tokio::test]
async fn a_system_that_repeats_a_header_field() {
    let body = format!("bad credentials: Bearer {TOKEN}");
    let web = HttpServer::new(&[response("401 Unauthorized", "", &body)]).await;
    let grant = "url = \"http://a.example/\"\n\
        headers = { Authorization = { env = \"TOKEN\", prefix = \"Bearer \" } }";
    let failure = deliver(&hook("http://a.example/", grant), &LoopbackNetwork::public(&web))
        .await
        .unwrap_err();
    let expected = "answers 401: bad credentials: Bearer (secret of `authorization`)";
    assert!(failure.message.contains(expected), "{}", failure.message);
}

/// However a call fails, no log line of any level contains a secret.
#[tokio::test]
async fn no_secret_is_shown() {
    let (log, guard) = capture_logs();
    let runtime = runtime();
    let mut shown = String::new();
    let (certificate, tls) = authority("b.example");
    let trusted = temp_file(&certificate);
    let tls_url = "https://a.example/services/$(slack)";
    let by_tls = |more: &str| {
        let ca_file = toml_path(&trusted);
        hook(
            tls_url,
            &format!(
                "url = {tls_url:?}\nsecrets.slack.env = \"SLACK\"\nca_file = {ca_file}\n{more}"
            ),
        )
    };
    let plain = slack("env = \"SLACK\"");
    let by_proxy = "proxy = \"http://proxy.example:3128\"";
    let webs = [
        (HttpServer::with_tls(&[response("200 OK", "", "")], tls).await, by_tls("")),
        (HttpServer::new(&[response("200 OK", "", "no TLS here")]).await, by_tls("")),
        (
            HttpServer::new(&[response("407 Proxy Authentication Required", "", "")]).await,
            by_tls(by_proxy),
        ),
        (HttpServer::new(&[Behavior::Resets]).await, by_tls(by_proxy)),
        (HttpServer::new(&[Behavior::Resets]).await, plain.clone()),
        (HttpServer::new(&[Behavior::Floods]).await, plain.clone()),
        (HttpServer::new(&[Behavior::Stalls("HTTP/1.1 200 OK\r\n")]).await, plain.clone()),
        (
            HttpServer::new(&[Behavior::Answers(format!(
                "/services/{SLACK} HTTP/1.1 nonsense\r\n\r\n"
            ))])
            .await,
            plain.clone(),
        ),
        (
            HttpServer::new(&[Behavior::Answers(format!("HTTP/1.1 200 OK\r\n{SLACK}\r\n\r\n"))])
                .await,
            plain.clone(),
        ),
        (HttpServer::new(&[response("500 Internal Server Error", "", SLACK)]).await, plain.clone()),
        (HttpServer::new(&[response("200 OK", "", "")]).await, slack("env = \"BROKEN_TOKEN\"")),
    ];
    for (web, config) in webs {
        let spec = spec(&config, LoopbackNetwork::public(&web), Arc::default());
        shown += &format!("{spec:?}");
        let notifier = runtime.load_notifier(spec).await.unwrap();
        shown += &format!("{:?}", notifier.notify(&notification()).await.unwrap_err());
    }
    // No server listens there.
    let nowhere = LoopbackNetwork::to(&HttpServer::new(&[]).await, &[&[]]);
    shown += &format!("{:?}", deliver(&plain, &nowhere).await.unwrap_err());
    drop(guard);
    let log = log.text();
    assert!(log.contains("http://a.example/services/$(slack)"), "{log}");
    for text in [log, shown] {
        for secret in [SLACK, TOKEN, &SLACK[20..]] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
