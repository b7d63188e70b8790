//! A fake of another system: a server on loopback that records its requests and responds as
//! configured, also wrongly. And a network in which every name resolves to it.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::config::Config;
use groundcrew_core::http::Secret;
use groundcrew_core::ports::{Clock, SecretStore};
use groundcrew_plugins::http::{DirectHttp, HttpAccess, Network, Secrets};
use groundcrew_plugins::{LoadError, LoadedNotifier, NotifierSpec, Runtime, Source};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// Sends these bytes and closes the connection.
    Answers(String),
    /// Sends these bytes, then nothing more, and keeps the connection open.
    Stalls(&'static str),
    /// Resets the connection.
    Resets,
    /// Sends bytes without end.
    Floods,
}

/// A response with a status, a body and additional header fields.
pub fn response(status: &str, fields: &str, body: &str) -> Behavior {
    let length = body.len();
    Behavior::Answers(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    ))
}

/// A request that the server received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// `POST /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    /// As text.
    pub body: String,
}

impl ReceivedRequest {
    /// The values of a header field, by its name in lower case.
    pub fn field(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// A server.
pub struct HttpServer {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl HttpServer {
    /// A server that behaves so at its first, second, … request, and as in the last element at all
    /// later ones.
    pub async fn new(behavior: &[Behavior]) -> Self {
        Self::with(behavior, None).await
    }

    /// The same with TLS.
    pub async fn with_tls(behavior: &[Behavior], tls: TlsAcceptor) -> Self {
        Self::with(behavior, Some(tls)).await
    }

    async fn with(behavior: &[Behavior], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = requests.clone();
        let mut behavior: VecDeque<_> = behavior.iter().cloned().collect();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let behavior = if behavior.len() > 1 {
                    behavior.pop_front()
                } else {
                    behavior.front().cloned()
                };
                let (recorded, tls) = (recorded.clone(), tls.clone());
                tokio::spawn(async move {
                    if let Some(Behavior::Resets) = behavior {
                        let mut stream = BufReader::new(stream);
                        let request = read(&mut stream).await;
                        recorded.lock().unwrap().extend(request);
                        // The connection is reset instead of closed.
                        let _ = stream.into_inner().set_zero_linger();
                        return;
                    }
                    match tls {
                        None => serve(stream, behavior.unwrap(), &recorded).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, behavior.unwrap(), &recorded).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only_request(&self) -> ReceivedRequest {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    behavior: Behavior,
    recorded: &Mutex<Vec<ReceivedRequest>>,
) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else { return };
    let tunnel = request.line.strip_prefix("CONNECT ").is_some();
    // GitHub's API rejects a request without a user agent: "Request forbidden by administrative
    // rules".
    let behavior = match request.field("user-agent").is_empty() {
        true => {
            response("403 Forbidden", "", "Please make sure your request has a User-Agent header")
        }
        false => behavior,
    };
    recorded.lock().unwrap().push(request);
    match behavior {
        Behavior::Answers(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Behavior::Stalls(beginning) => {
            let _ = stream.write_all(beginning.as_bytes()).await;
            let _ = stream.flush().await;
            // Until the client closes the connection.
            let _ = stream.read(&mut [0]).await;
        }
        Behavior::Resets => unreachable!("done before TLS"),
        Behavior::Floods => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"4\r\nmore\r\n").await.is_ok() {}
        }
    }
    assert!(!tunnel, "a tunnel leads somewhere");
}

/// Reads one request. `None` if the client closes the connection before its end.
async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<ReceivedRequest> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut fields = Vec::new();
    loop {
        let mut field = String::new();
        stream.read_line(&mut field).await.ok()?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(ReceivedRequest {
        line: line.trim_end().to_owned(),
        fields,
        body: String::from_utf8(body).unwrap(),
    })
}

/// A proxy that opens every tunnel to this server, whatever host the client requests.
pub async fn proxy(to: SocketAddr) -> HttpServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let recorded = requests.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let recorded = recorded.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let request = read(&mut stream).await;
                recorded.lock().unwrap().extend(request);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut beyond = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
            });
        }
    });
    HttpServer { address, requests }
}

/// A certificate authority that only this test trusts: its certificate in PEM, and TLS for a server
/// with a certificate of it.
pub fn authority(server: &str) -> (String, TlsAcceptor) {
    authority_for(server, (2020, 4096))
}

/// The same, with a server certificate that is valid from the start of one year to the start of
/// another.
pub fn authority_for(server: &str, (from, until): (i32, i32)) -> (String, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);

    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([server.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// A network in which every connection ends at one server.
pub struct LoopbackNetwork {
    /// The results of name lookups: first, second, …, and the last for all later ones.
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    /// The server at which every connection ends. Without one, every connection fails.
    server: Option<SocketAddr>,
    resolved: Mutex<Vec<String>>,
    connected: Mutex<Vec<SocketAddr>>,
}

/// An address of a public network.
pub const PUBLIC: &str = "93.184.216.34";

impl LoopbackNetwork {
    /// A network in which every connection ends at this server. Names resolve to the first of
    /// `answers`, then to the second, …, and to the last from then on.
    pub fn to(server: &HttpServer, answers: &[&[&str]]) -> Arc<Self> {
        let addresses =
            |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(addresses).collect()),
            server: Some(server.address),
            resolved: Mutex::default(),
            connected: Mutex::default(),
        })
    }

    /// A network in which every name has a public address.
    pub fn public(server: &HttpServer) -> Arc<Self> {
        Self::to(server, &[&[PUBLIC]])
    }

    /// The names that were resolved, in order.
    pub fn resolved(&self) -> Vec<String> {
        self.resolved.lock().unwrap().clone()
    }

    /// The addresses that were connected to, in order.
    pub fn connected(&self) -> Vec<String> {
        self.connected.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl Network for LoopbackNetwork {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        match answer {
            Some(addresses) => {
                Ok(addresses.into_iter().map(|address| (address, port).into()).collect())
            }
            None => Err(io::Error::other("no such host")),
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connected.lock().unwrap().push(address);
        match self.server {
            Some(server) => TcpStream::connect(server).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// A bearer token. No output may contain it, nor the secrets below.
pub const TOKEN: &str = "token-5b1f7c2e";
/// A signing key.
pub const KEY: &str = "key-93ac4410";
/// The token of another system.
pub const OTHER_TOKEN: &str = "others-0d7a88f1";
/// The secret end of a Slack webhook URL.
pub const SLACK: &str = "T012AB3C4/B056DE7F8/aBcDeFgHiJkLmNoPqRsTuVwX";
/// The same for Teams.
pub const TEAMS: &str = "0a1b2c3d4e5f/triggers/manual/paths/invoke?api-version=2016-06-01\
    &sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=Zx-9_WvQ7rTb8kQ";
/// The prefix of the secrets in Secrets Manager.
pub const STORED: &str = "stored-77e21c9b";

/// The environment variables of the host that have secrets.
fn variable(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some(TOKEN.to_owned()),
        "SIGNING_KEY" => Some(KEY.to_owned()),
        "SLACK" => Some(SLACK.to_owned()),
        "TEAMS" => Some(TEAMS.to_owned()),
        "OTHERS_TOKEN" => Some(OTHER_TOKEN.to_owned()),
        "BROKEN_TOKEN" => Some(format!("{TOKEN}\r\nX-Injected: yes")),
        _ => None,
    }
}

/// Secrets Manager. The value of `cmdb` changes with each call of `forget`.
#[derive(Default)]
pub struct FakeSecrets {
    /// The ids that `forget` was called with.
    pub forgotten: Mutex<Vec<String>>,
}

#[async_trait]
impl SecretStore for FakeSecrets {
    async fn secret(&self, id: &str) -> Result<Secret, AwsError> {
        let turn = self.forgotten.lock().unwrap().len();
        let error = |code: &str, class| AwsError {
            code: code.to_owned(),
            ..AwsError::without_code("GetSecretValue", class, "no")
        };
        match id {
            "cmdb" => Ok(Secret::new(format!(r#"{{"token":"{STORED}-{turn}"}}"#))),
            "throttled" => Err(error("ThrottlingException", ErrorClass::Throttled)),
            _ => Err(error("AccessDeniedException", ErrorClass::Denied)),
        }
    }

    fn forget(&self, id: &str) {
        self.forgotten.lock().unwrap().push(id.to_owned());
    }
}

/// A clock that always shows the same time.
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }
}

/// HTTP over this network, with the secrets of [`variable`].
pub fn direct_http(network: Arc<dyn Network>) -> DirectHttp {
    DirectHttp::with_network(
        network,
        Secrets::new(variable, Arc::new(FakeSecrets::default())),
        Arc::new(FixedClock),
    )
}

/// The spec of the first notifier of this config, on this network.
pub fn spec(config: &str, network: Arc<dyn Network>, store: Arc<FakeSecrets>) -> NotifierSpec {
    let config = Config::parse("test.toml", config).unwrap_or_else(|error| panic!("{error}"));
    let notifier = &config.notifiers[0];
    let secrets = Secrets::new(variable, store);
    NotifierSpec {
        name: notifier.plugin_config.name.clone(),
        source: match &notifier.plugin_config.plugin {
            groundcrew_core::config::PluginSource::File(path) => Source::File(path.clone()),
            plugin => Source::Bundled(plugin.name()),
        },
        sha256: None,
        settings: notifier.plugin_config.settings.json.clone(),
        limits: notifier.plugin_config.limits,
        support: None,
        http: Some(HttpAccess {
            grants: notifier.grants.http.clone(),
            limits: notifier.http_limits,
            transport: Arc::new(DirectHttp::with_network(network, secrets, Arc::new(FixedClock))),
        }),
    }
}

/// Loads the first notifier of a config.
pub async fn load(
    runtime: &Runtime,
    config: &str,
    network: Arc<dyn Network>,
) -> Result<LoadedNotifier, LoadError> {
    runtime.load_notifier(spec(config, network, Arc::default())).await
}

/// Writes a temporary file, which is deleted when the result is dropped.
pub fn temp_file(content: &str) -> tempfile::TempPath {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file.into_temp_path()
}

/// A path as a TOML string.
pub fn toml_path(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// Long enough for anything on loopback, short enough to wait for.
pub const SHORT: Duration = Duration::from_millis(300);
