//! HTTP for notifiers: which requests are sent or refused, how other systems misbehave, and that
//! each secret reaches only its own system. With the bundled `webhook`, against a server on
//! loopback.

use std::path::Path;
use std::sync::Arc;

use groundcrew_core::notification::{GateDecision, NotifyFailure, NotifyFailureKind, Receipt};
use groundcrew_core::ports::Notifier as _;
use groundcrew_plugins::http::NoHttp;
use groundcrew_plugins::{LoadError, NotifierSpec, Runtime, RuntimeOptions};
use groundcrew_testkit::components::{NotifierComponent, RECEIPT};
use groundcrew_testkit::http_server::{
    Behavior, FakeSecrets, HttpServer, KEY, LoopbackNetwork, OTHER_TOKEN, PUBLIC, ReceivedRequest,
    SHORT, STORED, TOKEN, authority, load, proxy, response, spec, temp_file, toml_path,
};
use groundcrew_testkit::log::capture_logs;
use groundcrew_testkit::notifiers::notification;
use ring::hmac;
use rstest::rstest;

/// A webhook that posts to this URL, with these lines in its grant for `https://a.example/api/`
/// or whatever URL they name.
fn hook(url: &str, grant: &str) -> String {
    let granted = match grant.contains("url =") {
        true => "",
        false => "url = \"http://a.example/api/\"\n",
    };
    format!(
        "[[notifiers]]\nname = \"hook\"\nplugin = \"webhook\"\n\
         [notifiers.limits]\nhttp_timeout = \"{}ms\"\nhttp_response = \"4KiB\"\n\
         http_request = \"4KiB\"\n\
         [notifiers.settings]\nurl = {url:?}\nbody = {{ id = \"{{{{ account.id }}}}\" }}\n\
         headers = {{ X-Mine = \"mine\", Authorization = \"mine\" }}\n\
         [[notifiers.grants.http]]\n{granted}methods = [\"POST\"]\n{grant}\n",
        SHORT.as_millis()
    )
}

/// A runtime that compiles a plugin once for all tests of this file.
fn runtime() -> Runtime {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http-plugin-cache");
    Runtime::new(RuntimeOptions { cache_dir: Some(cache) }).unwrap()
}

const URL: &str = "http://a.example/api/hooks";
const SECRETS: &str = "allow_private = true\n\
    headers = { Authorization = { env = \"TOKEN\", prefix = \"Bearer \" } }\n\
    sign = { env = \"SIGNING_KEY\" }\n";

async fn deliver(config: &str, network: &Arc<LoopbackNetwork>) -> Result<Receipt, NotifyFailure> {
    load(&runtime(), config, network.clone()).await.unwrap().notify(&notification()).await
}

/// Whether a signature matches a body, verified as a receiver does.
fn verify(seen: &ReceivedRequest, field: &str) {
    let [signature] = seen.field(field)[..] else { panic!("{seen:?}") };
    let (time, signature) = signature.split_once(',').unwrap();
    assert_eq!(time, "t=1767323045");
    let signature = signature.strip_prefix("v1=").unwrap();
    let bytes = |at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap();
    let signature: Vec<u8> = (0..signature.len()).step_by(2).map(bytes).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let signed = format!("1767323045.{}", seen.body);
    hmac::verify(&key, signed.as_bytes(), &signature).expect("the signature of the body");
}

#[tokio::test]
async fn what_is_sent() {
    let web = HttpServer::new(&[response("201 Created", "Location: /hooks/1\r\n", "")]).await;
    let network = LoopbackNetwork::public(&web);
    let told = deliver(&hook(URL, SECRETS), &network).await;
    assert_eq!(told, Ok(Receipt { reference: "/hooks/1".to_owned(), decision: GateDecision::Go }));
    let seen = web.only_request();
    assert_eq!(seen.line, "POST /api/hooks HTTP/1.1");
    assert_eq!(seen.body, r#"{"id":"111122223333"}"#);
    assert_eq!(seen.field("host"), ["a.example"]);
    assert_eq!(seen.field("content-type"), ["application/json"]);
    assert_eq!(seen.field("idempotency-key"), ["onboard/111122223333/ams"]);
    assert_eq!(seen.field("x-mine"), ["mine"]);
    // Set by the host, not by the plugin.
    assert_eq!(seen.field("authorization"), [format!("Bearer {TOKEN}")]);
    verify(&seen, "x-groundcrew-signature");
    assert_eq!(network.resolved(), ["a.example"]);
    assert_eq!(network.connected(), [format!("{PUBLIC}:80")]);
}

#[tokio::test]
async fn secrets_of_files_and_of_secrets_manager() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let token = temp_file("of-a-file\n");
    let grant = format!(
        "allow_private = true\nsign = {{ env = \"SIGNING_KEY\" }}\nsign_header = \"X-Sign\"\n\
         headers = {{ X-File = {{ file = {} }}, X-Stored = {{ secret = \"cmdb\", field = \"token\" }} }}",
        toml_path(&token)
    );
    deliver(&hook(URL, &grant), &LoopbackNetwork::public(&web)).await.unwrap();
    let seen = web.only_request();
    assert_eq!(seen.field("x-file"), ["of-a-file"]);
    assert_eq!(seen.field("x-stored"), [format!("{STORED}-0")]);
    verify(&seen, "x-sign");
}

/// The `User-Agent` that is sent: the grant's, or else the plugin's, or else the host's.
#[rstest]
#[case::of_the_host("", "", concat!("groundcrew/", env!("CARGO_PKG_VERSION")))]
#[case::of_the_plugin("user-agent = \"acme/1\", ", "", "acme/1")]
#[case::of_the_grant("", "headers = { User-Agent = { env = \"TOKEN\" } }", TOKEN)]
#[case::of_plugin_and_grant(
    "User-Agent = \"acme/1\", ",
    "headers = { User-Agent = { env = \"TOKEN\" } }",
    TOKEN
)]
#[tokio::test]
async fn who_says_user_agent(#[case] setting: &str, #[case] grant: &str, #[case] sent: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let config = hook(URL, &format!("allow_private = true\n{grant}"));
    let config = config.replace("headers = { X-Mine", &format!("headers = {{ {setting}X-Mine"));
    deliver(&config, &LoopbackNetwork::public(&web)).await.unwrap();
    assert_eq!(web.only_request().field("user-agent"), [sent]);
}

/// A secret that was rotated a minute ago is read anew, once.
#[rstest]
#[case::rotated("200 OK", true)]
#[case::refused("401 Unauthorized", false)]
#[tokio::test]
async fn a_stored_secret_that_is_refused(#[case] second: &str, #[case] told: bool) {
    let web =
        HttpServer::new(&[response("401 Unauthorized", "", ""), response(second, "", "")]).await;
    let grant = "allow_private = true\n\
        headers = { Authorization = { secret = \"cmdb\", field = \"token\" } }\n";
    let store = Arc::new(FakeSecrets::default());
    let spec = spec(&hook(URL, grant), LoopbackNetwork::public(&web), store.clone());
    let notifier = runtime().load_notifier(spec).await.unwrap();
    let outcome = notifier.notify(&notification()).await;
    let fields: Vec<_> =
        web.requests().iter().map(|seen| seen.field("authorization")[0].to_owned()).collect();
    assert_eq!(fields, [format!("{STORED}-0"), format!("{STORED}-1")]);
    assert_eq!(*store.forgotten.lock().unwrap(), ["cmdb"]);
    match told {
        true => assert!(outcome.is_ok(), "{outcome:?}"),
        false => assert_eq!(outcome.unwrap_err().kind, NotifyFailureKind::Denied),
    }
}

#[tokio::test]
async fn by_tls() {
    let (certificate, tls) = authority("a.example");
    let trusted = temp_file(&certificate);
    let web = HttpServer::with_tls(&[response("200 OK", "", "")], tls).await;
    let grant = format!("url = \"https://a.example/\"\nca_file = {}\n", toml_path(&trusted));
    deliver(&hook("https://a.example/x?y=1", &grant), &LoopbackNetwork::public(&web))
        .await
        .unwrap();
    assert_eq!(web.only_request().line, "POST /x?y=1 HTTP/1.1");
}

#[tokio::test]
async fn by_a_proxy() {
    let (certificate, tls) = authority("a.example");
    let trusted = temp_file(&certificate);
    let web = HttpServer::with_tls(&[response("200 OK", "", "")], tls).await;
    let proxy = proxy(web.address).await;
    let grant = format!(
        "url = \"https://a.example/\"\nca_file = {}\nproxy = \"http://proxy.example:3128\"\n\
         headers = {{ Authorization = {{ env = \"TOKEN\" }} }}",
        toml_path(&trusted)
    );
    let network = LoopbackNetwork::to(&proxy, &[&["10.0.0.1"]]);
    deliver(&hook("https://a.example/x", &grant), &network).await.unwrap();
    let tunnel = proxy.only_request();
    assert_eq!(tunnel.line, "CONNECT a.example:443 HTTP/1.1");
    assert_eq!(tunnel.field("user-agent"), [concat!("groundcrew/", env!("CARGO_PKG_VERSION"))]);
    // The proxy receives no secret.
    assert_eq!(tunnel.field("authorization"), [""; 0]);
    assert_eq!(web.only_request().field("authorization"), [TOKEN]);
    assert_eq!(network.resolved(), ["proxy.example"]);
    assert_eq!(network.connected(), ["10.0.0.1:3128"]);
}

#[tokio::test]
async fn by_a_proxy_in_the_clear() {
    let proxy = HttpServer::new(&[response("200 OK", "", "")]).await;
    let grant = "proxy = \"http://proxy.example:3128\"";
    deliver(&hook(URL, grant), &LoopbackNetwork::to(&proxy, &[&["10.0.0.1"]])).await.unwrap();
    let seen = proxy.only_request();
    assert_eq!(seen.line, "POST http://a.example/api/hooks HTTP/1.1");
    assert_eq!(seen.field("host"), ["a.example"]);
}

/// A certificate of another issuer, and one for another name.
#[rstest]
#[case::of_another_authority("a.example", true)]
#[case::of_another_name("b.example", false)]
#[tokio::test]
async fn a_wrong_certificate(#[case] name: &str, #[case] of_another: bool) {
    let (certificate, tls) = authority(name);
    let trusted = match of_another {
        true => temp_file(&authority("a.example").0),
        false => temp_file(&certificate),
    };
    let web = HttpServer::with_tls(&[response("200 OK", "", "")], tls).await;
    let grant = format!("url = \"https://a.example/\"\nca_file = {}\n", toml_path(&trusted));
    let failure =
        deliver(&hook("https://a.example/", &grant), &LoopbackNetwork::public(&web)).await;
    let failure = failure.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (NotifyFailureKind::Transient, "http-tls"));
    assert!(!failure.effect_possible);
    let expected = "the certificate of a.example is not trusted";
    assert!(failure.message.contains(expected), "{}", failure.message);
    assert_eq!(web.requests(), []);
}

/// Faults of another system, and the result: kind, code, whether the request may have had an
/// effect, and a part of the message.
#[rstest]
#[case::busy(
    response("429 Too Many Requests", "Retry-After: 120\r\n", "slow down"),
    NotifyFailureKind::Transient,
    "http-429",
    false,
    "answers 429: slow down"
)]
#[case::down(
    response("500 Internal Server Error", "", ""),
    NotifyFailureKind::Transient,
    "http-500",
    true,
    "answers 500"
)]
#[case::refuses(
    response("403 Forbidden", "", ""),
    NotifyFailureKind::Denied,
    "http-403",
    false,
    "answers 403"
)]
#[case::redirects(
    response("302 Found", "Location: http://169.254.169.254/latest/meta-data/\r\n", ""),
    NotifyFailureKind::Permanent,
    "http-302",
    true,
    "a redirect to http://169.254.169.254/latest/meta-data/, which is not followed"
)]
#[case::never_answers(
    Behavior::Stalls(""),
    NotifyFailureKind::Transient,
    "http-timeout",
    true,
    "no complete answer within 300 ms: raise `limits.http_timeout`"
)]
#[case::is_slow(
    Behavior::Stalls("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    NotifyFailureKind::Permanent,
    "http-answer-broken",
    true,
    "no complete answer within 300 ms"
)]
#[case::gives_half_an_answer(
    Behavior::Answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned()),
    NotifyFailureKind::Permanent, "http-answer-broken", true, "no complete answer from a.example"
)]
#[case::gives_half_a_refusal(
    Behavior::Answers("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf".to_owned()),
    NotifyFailureKind::Transient, "http-lost", true, "no complete answer from a.example"
)]
#[case::has_a_large_head(
    Behavior::Answers(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(300))),
    NotifyFailureKind::Permanent, "http-answer-broken", true, "too many header fields"
)]
#[case::gives_half_a_head(
    Behavior::Answers("HTTP/1.1 200 OK\r\nContent-".to_owned()),
    NotifyFailureKind::Transient, "http-lost", true, "no complete answer from a.example"
)]
#[case::talks_nonsense(
    Behavior::Answers("220 mail.example ESMTP\r\n".to_owned()),
    NotifyFailureKind::Transient, "http-lost", true, "no complete answer from a.example"
)]
#[case::resets(
    Behavior::Resets,
    NotifyFailureKind::Transient,
    "http-lost",
    true,
    "no complete answer from a.example"
)]
#[case::floods(
    Behavior::Floods,
    NotifyFailureKind::Permanent,
    "http-answer-too-large",
    true,
    "has more than 4096 bytes: raise `limits.http_response`"
)]
#[tokio::test]
async fn another_system_misbehaves(
    #[case] does: Behavior,
    #[case] kind: NotifyFailureKind,
    #[case] code: &str,
    #[case] effect_possible: bool,
    #[case] message: &str,
) {
    let web = HttpServer::new(&[does, response("200 OK", "", "")]).await;
    let network = LoopbackNetwork::public(&web);
    let runtime = runtime();
    let notifier = load(&runtime, &hook(URL, SECRETS), network.clone()).await.unwrap();
    let failure = notifier.notify(&notification()).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{}", failure.message);
    assert_eq!(failure.effect_possible, effect_possible, "{}", failure.message);
    assert!(failure.message.contains(message), "{}", failure.message);
    let waits = failure.retry_after.map(|wait| wait.as_secs());
    assert_eq!(waits, (code == "http-429").then_some(120));
    // One request to one address, and no state is left for the next notification.
    assert_eq!((web.requests().len(), network.connected().len()), (1, 1));
    assert!(notifier.notify(&notification()).await.is_ok());
}

/// A URL, the lines of a grant, and a part of the operator's message.
#[rstest]
#[case::another_host(
    "http://b.example/api/x?token=1",
    "",
    "POST http://b.example/api/x is not granted; to grant it, write below the notifier:\n\n\
     [[notifiers.grants.http]]\nurl = \"http://b.example/api/x\"\nmethods = [\"POST\"]\n"
)]
#[case::another_path("http://a.example/apis", "", "url = \"http://a.example/apis\"")]
#[case::another_scheme("https://a.example/api/", "", "url = \"https://a.example/api/\"")]
#[case::another_port("http://a.example:8080/api/", "", "url = \"http://a.example:8080/api/\"")]
#[case::another_method(
    URL,
    "url = \"http://a.example/\"\nmethods = [\"GET\"]",
    "POST is not granted for http://a.example/api/hooks; to grant it, write in the \
     [[notifiers.grants.http]] of http://a.example/:\n\nmethods = [\"GET\", \"POST\"]\n"
)]
#[case::up("http://a.example/api/../x", "", "its path has a segment `.` or `..`")]
#[case::up_encoded("http://a.example/api/%2e%2e/x", "", "its path has a segment `.` or `..`")]
#[case::a_hidden_slash("http://a.example/api/..%2fx", "", "has an encoded `/`")]
#[case::a_user("http://a.example@b.example/api/", "", "it has a user or password")]
#[case::the_metadata_service(
    "http://169.254.169.254/latest/meta-data/",
    "",
    "POST http://169.254.169.254/latest/meta-data/ is not granted"
)]
#[case::the_metadata_service_though_granted(
    "http://169.254.169.254/latest/",
    "url = \"http://169.254.169.254/\"\nallow_private = true",
    "169.254.169.254 has the address 169.254.169.254, which is a metadata service, which hands \
     out the host's credentials: it is never reached"
)]
#[case::that_of_ecs(
    "http://169.254.170.2/v2",
    "url = \"http://169.254.170.2/\"\nallow_private = true",
    "it is never reached"
)]
#[case::that_of_ec2_by_ipv6(
    "http://[fd00:ec2::254]/x",
    "url = \"http://[fd00:ec2::254]/\"\nallow_private = true",
    "it is never reached"
)]
#[case::in_ipv6_clothes(
    "http://[::ffff:169.254.169.254]/x",
    "url = \"http://[::ffff:169.254.169.254]/\"\nallow_private = true",
    "it is never reached"
)]
#[case::this_machine(
    "http://127.0.0.1/x",
    "url = \"http://127.0.0.1/\"",
    "which is this machine; if it shall be reached, write `allow_private = true`"
)]
#[case::this_machine_by_ipv6("http://[::1]/x", "url = \"http://[::1]/\"", "which is this machine")]
#[case::a_private_network(
    "http://10.0.0.1/x",
    "url = \"http://10.0.0.1/\"",
    "which is in a private network"
)]
#[case::by_a_proxy(
    "http://10.0.0.1/x",
    "url = \"http://10.0.0.1/\"\nproxy = \"http://proxy.example\"",
    "which is in a private network"
)]
#[tokio::test]
async fn what_is_refused(#[case] url: &str, #[case] grant: &str, #[case] told: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let network = LoopbackNetwork::public(&web);
    let config = hook(url, grant);
    let config = match grant.contains("methods") {
        true => config.replacen("methods = [\"POST\"]\n", "", 1),
        false => config,
    };
    let failure = deliver(&config, &network).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Denied, "{}", failure.message);
    assert_eq!(failure.code, "http-denied");
    assert!(!failure.effect_possible);
    assert!(failure.message.contains(told), "{}", failure.message);
    // The message must not contain what follows the path.
    assert!(!failure.message.contains("token=1"), "{}", failure.message);
    assert_eq!(web.requests(), []);
    assert_eq!(network.connected().len(), 0);
}

/// The addresses of a name, whether private ones are allowed, and where the connection goes, or why
/// there is none.
#[rstest]
#[case::private(&["10.0.0.1"], false, Err("in a private network"))]
#[case::private_allowed(&["10.0.0.1"], true, Ok("10.0.0.1:80"))]
#[case::metadata(&["169.254.169.254"], true, Err("never reached"))]
#[case::nobody(&["0.0.0.0"], true, Err("never reached"))]
#[case::some_of_several(&["127.0.0.1", "10.0.0.1", PUBLIC], false, Ok("93.184.216.34:80"))]
#[case::no_address(&[], false, Err("it has no address"))]
#[tokio::test]
async fn where_a_name_leads(
    #[case] addresses: &[&str],
    #[case] allow_private: bool,
    #[case] expected: Result<&str, &str>,
) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let network = LoopbackNetwork::to(&web, &[addresses]);
    let outcome = deliver(&hook(URL, &format!("allow_private = {allow_private}")), &network).await;
    match (outcome, expected) {
        (Ok(_), Ok(address)) => assert_eq!(network.connected(), [address]),
        (Err(failure), Err(why)) => {
            assert!(failure.message.contains(why), "{}", failure.message);
            assert_eq!(network.connected().len(), 0);
        }
        (outcome, _) => panic!("{outcome:?}"),
    }
}

/// A name that resolves to another address the second time: each request resolves it once, and
/// connects only to an address that it has checked.
#[tokio::test]
async fn a_name_that_is_bound_anew() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let network = LoopbackNetwork::to(&web, &[&[PUBLIC], &["127.0.0.1"], &["169.254.169.254"]]);
    let runtime = runtime();
    let notifier = load(&runtime, &hook(URL, ""), network.clone()).await.unwrap();
    assert!(notifier.notify(&notification()).await.is_ok());
    assert_eq!(network.resolved().len(), 1);
    for _ in 0..2 {
        let failure = notifier.notify(&notification()).await.unwrap_err();
        assert_eq!(failure.kind, NotifyFailureKind::Denied);
    }
    assert_eq!(network.resolved().len(), 3);
    assert_eq!(network.connected(), [format!("{PUBLIC}:80")]);
    assert_eq!(web.requests().len(), 1);
}

/// A notifier has no access to the grants of another one: neither URLs nor secrets.
#[tokio::test]
async fn another_plugins_secret() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let network = LoopbackNetwork::public(&web);
    let runtime = runtime();
    let mine = hook("http://a.example/api/", SECRETS);
    let theirs = "allow_private = true\nurl = \"http://a.example/theirs\"\n\
        headers = { Authorization = { env = \"OTHERS_TOKEN\" } }";
    let theirs = hook("http://a.example/theirs", theirs);
    let (mine, theirs) = (
        load(&runtime, &mine, network.clone()).await.unwrap(),
        load(&runtime, &theirs, network.clone()).await.unwrap(),
    );
    mine.notify(&notification()).await.unwrap();
    theirs.notify(&notification()).await.unwrap();
    let seen = web.requests();
    assert_eq!(seen[0].field("authorization"), [format!("Bearer {TOKEN}")]);
    assert_eq!(seen[1].field("authorization"), [OTHER_TOKEN]);
    assert_eq!(seen[1].field("x-groundcrew-signature"), [""; 0]);

    let reaching = hook("http://a.example/theirs", SECRETS);
    let failure = deliver(&reaching, &network).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Denied);
    assert_eq!(web.requests().len(), 2);
}

/// What a sandbox shows of the host: no variable, and no folder. The lists are at 128.
#[rstest]
#[case::environment(
    r#"(import "wasi:cli/environment@0.2.12" "get-environment" (func $list (param i32)))"#
)]
#[case::files(
    r#"(import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $list (param i32)))"#
)]
#[tokio::test]
async fn the_hosts_environment_and_files(#[case] imports: &'static str) {
    let plugin = NotifierComponent {
        imports,
        lifecycle: "(call $list (i32.const 128))
            (if (i32.load (i32.const 132)) (then (unreachable)))",
        ..RECEIPT
    };
    let component = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    std::fs::write(component.path(), plugin.build()).unwrap();
    let config = format!("[[notifiers]]\nname = \"x\"\nplugin = {}\n", toml_path(component.path()));
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let told = deliver(&config, &LoopbackNetwork::public(&web)).await;
    assert_eq!(told, Ok(Receipt { reference: "r-1".to_owned(), decision: GateDecision::Go }));
}

#[rstest]
#[case::no_variable("env = \"NONE\"", "the environment variable NONE is not set", "Denied")]
#[case::no_file("file = \"/none/such\"", "the file /none/such: ", "Denied")]
#[case::not_stored("secret = \"x\"", "the Secrets Manager secret x: GetSecretValue: Acc", "Denied")]
#[case::no_field("secret = \"cmdb\", field = \"x\"", "expected a JSON object", "Denied")]
#[case::busy("secret = \"throttled\"", "GetSecretValue: ThrottlingException", "Transient")]
#[case::two_lines("env = \"BROKEN_TOKEN\"", "expected one line of visible ASCII", "Denied")]
#[tokio::test]
async fn secrets_that_are_not_there(#[case] place: &str, #[case] told: &str, #[case] kind: &str) {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let grant = format!("allow_private = true\nheaders = {{ Authorization = {{ {place} }} }}");
    let failure = deliver(&hook(URL, &grant), &LoopbackNetwork::public(&web)).await.unwrap_err();
    assert_eq!(format!("{:?}", failure.kind), kind, "{}", failure.message);
    let expected = "the secret for the header field `authorization` can't be had: ";
    let (_, why) = failure.message.split_once(expected).expect(&failure.message);
    assert!(why.contains(told), "{why}");
    assert!(!failure.effect_possible && !failure.message.contains(TOKEN), "{}", failure.message);
    assert_eq!(web.requests(), []);
}

#[tokio::test]
async fn limits() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let network = LoopbackNetwork::public(&web);
    let calls = hook(URL, "").replace("[notifiers.limits]", "[notifiers.limits]\nhttp_calls = 0");
    let failure = deliver(&calls, &network).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Denied);
    let expected = "more than 0 HTTP requests in one notification: raise `limits.http_calls`";
    assert!(failure.message.contains(expected), "{}", failure.message);

    let large = hook(URL, "").replace("{{ account.id }}", &"x".repeat(5000));
    let failure = deliver(&large, &network).await.unwrap_err();
    let (kind, code) = (NotifyFailureKind::Permanent, "http-too-large");
    assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{}", failure.message);
    let expected = "its body has more than 4096 bytes: raise `limits.http_request`";
    assert!(failure.message.contains(expected), "{}", failure.message);
    assert_eq!(web.requests(), []);
}

#[tokio::test]
async fn http_that_nobody_granted() {
    let web = HttpServer::new(&[response("200 OK", "", "")]).await;
    let granted = spec(&hook(URL, ""), LoopbackNetwork::public(&web), Arc::default());
    let nothing = NotifierSpec { http: None, ..granted.clone() };
    let mut none = granted.clone();
    none.http.as_mut().unwrap().grants.clear();
    for spec in [nothing, none] {
        let error = runtime().load_notifier(spec).await.unwrap_err();
        assert!(matches!(error, LoadError::HttpNotGranted { .. }), "{error}");
        let expected = "plugin `hook` speaks HTTP, and no URL is granted: to grant one, write \
                        `[[notifiers.grants.http]]`";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    // A command that delivers nothing.
    let mut offline = granted;
    offline.http.as_mut().unwrap().transport = Arc::new(NoHttp);
    let notifier = runtime().load_notifier(offline).await.unwrap();
    let failure = notifier.notify(&notification()).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (NotifyFailureKind::Denied, false));
    assert!(failure.message.contains("this command sends no HTTP requests"), "{failure}");
}

/// However a call fails, no log line of any level contains a secret.
#[tokio::test]
async fn no_secret_is_shown() {
    let (log, guard) = capture_logs();
    let runtime = runtime();
    let mut shown = String::new();
    for does in [
        response("401 Unauthorized", "", "who are you?"),
        response("500 Internal Server Error", "", ""),
        Behavior::Stalls("HTTP/1.1 200 OK\r\n"),
        Behavior::Answers("nonsense".to_owned()),
        Behavior::Resets,
        Behavior::Floods,
    ] {
        let web = HttpServer::new(&[does]).await;
        for config in [
            hook(URL, SECRETS),
            hook("http://b.example/", SECRETS),
            hook(URL, &SECRETS.replace("TOKEN", "BROKEN_TOKEN")),
            hook(URL, &SECRETS.replace("env = \"TOKEN\"", "secret = \"cmdb\"")),
            hook(URL, &SECRETS.replace("env = \"TOKEN\"", "secret = \"cmdb\", field = \"token\"")),
        ] {
            let spec = spec(&config, LoopbackNetwork::public(&web), Arc::default());
            shown += &format!("{spec:?}");
            let notifier = runtime.load_notifier(spec).await.unwrap();
            shown += &format!("{:?}", notifier.notify(&notification()).await.unwrap_err());
        }
    }
    drop(guard);
    let log = log.text();
    // The operator's message is in the log as well.
    assert!(log.contains("[[notifiers.grants.http]]"), "{log}");
    assert!(log.contains("plugin=\"hook\" account=\"111122223333\""), "{log}");
    for text in [log, shown] {
        for secret in [TOKEN, KEY, STORED, OTHER_TOKEN] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
