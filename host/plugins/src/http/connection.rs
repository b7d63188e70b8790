//! From a URL to a connection. The name is resolved once, its addresses are checked, and the
//! connection goes to one of the checked addresses. So a second DNS response can't redirect it.

use std::net::SocketAddr;

use bytes::Bytes;
use groundcrew_core::http::{AddressKind, HttpGrant, Scheme, Url};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wasmtime_wasi::runtime;

use super::failure::{HttpFailure, UntrustedReason};
use super::network::Network;
use super::tls::Tls;
use super::transport::USER_AGENT_VALUE;

/// How many addresses of a name are tried, so that unreachable ones don't use up the time.
const MAX_ADDRESSES: usize = 3;

/// A stream to which requests are written and from which responses are read.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to the host of a URL, as its grant says.
pub(super) async fn open(
    network: &dyn Network,
    tls: &Tls,
    grant: &HttpGrant,
    url: &Url,
) -> Result<Box<dyn Stream>, HttpFailure> {
    open_recording(network, tls, grant, url, &mut Vec::new()).await
}

/// The same. Records the addresses of the host, including those that are refused.
pub(super) async fn open_recording(
    network: &dyn Network,
    tls: &Tls,
    grant: &HttpGrant,
    url: &Url,
    addresses: &mut Vec<SocketAddr>,
) -> Result<Box<dyn Stream>, HttpFailure> {
    let stream: Box<dyn Stream> = match &grant.proxy {
        None => {
            *addresses = resolve(network, url).await?;
            let allowed = allowed(url, addresses, grant.allow_private)?;
            Box::new(connect(network, url, &allowed).await?)
        }
        Some(proxy) => {
            // The proxy resolves names; but an address needs no resolving.
            if let Some(address) = url.address() {
                *addresses = vec![SocketAddr::new(address, url.port())];
                allowed(url, addresses, grant.allow_private)?;
            }
            // The operator named the proxy: it may have any address, usually a private one.
            let stream = connect(network, proxy, &resolve(network, proxy).await?).await?;
            match url.scheme() {
                Scheme::Http => Box::new(stream),
                Scheme::Https => Box::new(tunnel(stream, proxy, url).await?),
            }
        }
    };
    match url.scheme() {
        Scheme::Http => Ok(stream),
        Scheme::Https => encrypt(tls, grant, url, stream).await,
    }
}

async fn resolve(network: &dyn Network, url: &Url) -> Result<Vec<SocketAddr>, HttpFailure> {
    if let Some(address) = url.address() {
        return Ok(vec![SocketAddr::new(address, url.port())]);
    }
    let unresolved =
        |reason: String| HttpFailure::Unresolved { host: url.host().to_owned(), reason };
    let found = network.resolve(url.host(), url.port()).await;
    let found = found.map_err(|error| unresolved(error.to_string()))?;
    match found.is_empty() {
        true => Err(unresolved("it has no address".to_owned())),
        false => Ok(found),
    }
}

/// The addresses that the grant allows; an error when there are none.
fn allowed(
    url: &Url,
    addresses: &[SocketAddr],
    allow_private: bool,
) -> Result<Vec<SocketAddr>, HttpFailure> {
    let refused = |address: &SocketAddr| {
        AddressKind::classify(address.ip()).filter(|kind| !(allow_private && kind.can_be_allowed()))
    };
    let allowed: Vec<_> =
        addresses.iter().copied().filter(|address| refused(address).is_none()).collect();
    match addresses.iter().find_map(|address| Some((address.ip(), refused(address)?))) {
        Some((address, kind)) if allowed.is_empty() => {
            Err(HttpFailure::Address { host: url.host().to_owned(), address, kind })
        }
        _ => Ok(allowed),
    }
}

async fn connect(
    network: &dyn Network,
    url: &Url,
    addresses: &[SocketAddr],
) -> Result<TcpStream, HttpFailure> {
    let mut last = None;
    for address in addresses.iter().take(MAX_ADDRESSES) {
        match network.connect(*address).await {
            Ok(stream) => return Ok(stream),
            Err(source) => {
                let to = format!("{} ({address})", url.host());
                last = Some(HttpFailure::Connect { to, source });
            }
        }
    }
    Err(last.unwrap_or_else(|| HttpFailure::Unresolved {
        host: url.host().to_owned(),
        reason: "it has no address".to_owned(),
    }))
}

/// Opens a tunnel to the host through a proxy (RFC 9110, 9.3.6).
async fn tunnel(
    stream: TcpStream,
    proxy: &Url,
    url: &Url,
) -> Result<impl Stream + use<>, HttpFailure> {
    let refused = |reason: String| HttpFailure::Proxy {
        proxy: proxy.to_string(),
        host: url.host().to_owned(),
        reason,
    };
    let host = match url.host().contains(':') {
        true => format!("[{}]:{}", url.host(), url.port()),
        false => format!("{}:{}", url.host(), url.port()),
    };
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(&host)
        .header(hyper::header::HOST, &host)
        .header(hyper::header::USER_AGENT, USER_AGENT_VALUE)
        .body(Empty::<Bytes>::new())
        .map_err(|error| refused(error.to_string()))?;
    let broken = |error: hyper::Error| refused(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Dropped when the tunnel is open: the connection has been handed over by then.
    let _driving = runtime::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await.map_err(broken)?;
    if answer.status() != StatusCode::OK {
        return Err(refused(format!("it answers {}", answer.status())));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(broken)?;
    Ok(TokioIo::new(upgraded))
}

/// Starts TLS. The certificate is checked against the URL's host.
async fn encrypt(
    tls: &Tls,
    grant: &HttpGrant,
    url: &Url,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, HttpFailure> {
    let host = || url.host().to_owned();
    let config = tls.config(grant.ca_file.as_deref())?;
    let untrusted = |untrusted_reason, reason| HttpFailure::Certificate {
        host: host(),
        untrusted_reason,
        reason,
    };
    let name = ServerName::try_from(host())
        .map_err(|error| untrusted(UntrustedReason::NameMismatch, error.to_string()))?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|source| {
        let rejected = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match rejected {
            Some(rustls::Error::InvalidCertificate(error)) => {
                let (untrusted_reason, reason) = untrusted_reason(error);
                untrusted(untrusted_reason, format!("invalid peer certificate: {reason}"))
            }
            _ => HttpFailure::Tls { host: host(), source },
        }
    })?;
    Ok(Box::new(stream))
}

/// Why a certificate is not trusted, with dates in a readable form.
fn untrusted_reason(error: &CertificateError) -> (UntrustedReason, String) {
    use CertificateError as Error;
    let date = |time: &UnixTime| {
        let time = i64::try_from(time.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok());
        time.map_or_else(|| "a time out of range".to_owned(), |time| time.to_string())
    };
    match error {
        // The signature is not that of the trusted issuer of the same name.
        Error::UnknownIssuer | Error::BadSignature => {
            (UntrustedReason::UnknownIssuer, error.to_string())
        }
        Error::NotValidForName | Error::NotValidForNameContext { .. } => {
            (UntrustedReason::NameMismatch, error.to_string())
        }
        Error::ExpiredContext { not_after, .. } => {
            (UntrustedReason::Expired, format!("it was valid until {}", date(not_after)))
        }
        Error::Expired => (UntrustedReason::Expired, error.to_string()),
        Error::NotValidYetContext { not_before, .. } => {
            (UntrustedReason::NotYetValid, format!("it is valid from {}", date(not_before)))
        }
        Error::NotValidYet => (UntrustedReason::NotYetValid, error.to_string()),
        _ => (UntrustedReason::Other, error.to_string()),
    }
}
