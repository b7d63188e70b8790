//! Sends requests over the network.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use groundcrew_core::http::{HttpGrant, HttpSecret, Scheme, Secret, Url};
use groundcrew_core::ports::Clock;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use wasmtime_wasi::runtime;

use super::connection::{self, Stream};
use super::failure::HttpFailure;
use super::network::{Network, SystemNetwork};
use super::secrets::{SecretError, Secrets};
use super::tls::Tls;
use super::{HttpCall, HttpTransport, signature};

/// Longest head of an answer, in bytes. What plugins get is bounded as well.
const MAX_HEAD: usize = 64 << 10;

/// Sends requests over the network: one connection for each, HTTP/1.1, no redirect followed.
/// A notification makes two or three requests, minutes apart from the next one.
pub struct DirectHttp {
    network: Arc<dyn Network>,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    tls: Tls,
}

impl DirectHttp {
    /// Over this system's network. The clock's time goes into signatures.
    pub fn new(secrets: Secrets, clock: Arc<dyn Clock>) -> Self {
        Self::over(Arc::new(SystemNetwork), secrets, clock)
    }

    /// Over another network.
    pub fn over(network: Arc<dyn Network>, secrets: Secrets, clock: Arc<dyn Clock>) -> Self {
        Self { network, secrets, clock, tls: Tls::default() }
    }

    /// The request as it is sent.
    async fn dress(
        &self,
        grant: &HttpGrant,
        url: &Url,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>, HttpFailure> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri(grant, url, &parts.uri);
        let headers = request.headers_mut();
        *headers = parts.headers.clone();
        for (name, secret) in &grant.headers {
            let what = format!("the header field `{name}`");
            let value = self.secret(&what, secret).await?;
            let (name, value) = field(name, &value, &what, secret)?;
            headers.insert(name, value);
        }
        if let Some(sign) = &grant.sign {
            let what = "the signature";
            let key = self.secret(what, &sign.key).await?;
            let signature = Secret::new(signature::sign(&key, self.clock.now(), body));
            let (name, value) = field(&sign.header, &signature, what, &sign.key)?;
            headers.insert(name, value);
        }
        // After all others: where a request goes is not the plugin's to say.
        if let Ok(host) = HeaderValue::try_from(url.authority()) {
            headers.insert(HOST, host);
        }
        Ok(request)
    }

    async fn secret(&self, what: &str, secret: &HttpSecret) -> Result<Secret, HttpFailure> {
        let read = self.secrets.read(secret).await;
        read.map_err(|source| HttpFailure::Secret { what: what.to_owned(), source })
    }
}

#[async_trait]
impl HttpTransport for DirectHttp {
    async fn send(&self, call: HttpCall<'_>) -> Result<Response<Bytes>, HttpFailure> {
        let HttpCall { grant, url, request, max_response, sent } = call;
        let (parts, body) = request.into_parts();
        let mut read_anew = false;
        loop {
            let request = self.dress(grant, url, &parts, &body).await?;
            let stream = connection::open(&*self.network, &self.tls, grant, url).await?;
            sent.store(true, Ordering::Relaxed);
            let answer = exchange(stream, request, url, max_response).await?;
            let refused =
                matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            // Perhaps for a secret that was rotated a minute ago.
            if !refused || read_anew || !self.forget(grant) {
                return Ok(answer);
            }
            read_anew = true;
        }
    }
}

impl DirectHttp {
    /// Has stored secrets of a grant read anew. Answers whether it has any.
    fn forget(&self, grant: &HttpGrant) -> bool {
        let mut any = false;
        for secret in grant.secrets() {
            any |= self.secrets.forget(secret);
        }
        any
    }
}

/// A header field, its value kept out of every log.
fn field(
    name: &str,
    value: &Secret,
    what: &str,
    secret: &HttpSecret,
) -> Result<(HeaderName, HeaderValue), HttpFailure> {
    let unfit = || HttpFailure::Secret {
        what: what.to_owned(),
        source: SecretError::Unfit(secret.place.clone()),
    };
    let name = HeaderName::try_from(name).map_err(|_| unfit())?;
    let mut value = HeaderValue::try_from(value.expose()).map_err(|_| unfit())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// What stands in the request line: path and query, and for a proxy that is asked for a
/// resource the whole URL (RFC 9112, 3.2).
fn uri(grant: &HttpGrant, url: &Url, uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    let whole = grant.proxy.is_some() && url.scheme() == Scheme::Http;
    let authority = url.authority().parse().ok().filter(|_| whole);
    parts.scheme = authority.is_some().then_some(hyper::http::uri::Scheme::HTTP);
    parts.authority = authority;
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// Sends the request and reads the whole answer.
async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    url: &Url,
    max_response: u64,
) -> Result<Response<Bytes>, HttpFailure> {
    let host = || url.host().to_owned();
    let broken = |source: hyper::Error| HttpFailure::Broken { host: host(), source: source.into() };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends when it is dropped, and the connection with it.
    let _driving = runtime::spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let (parts, body) = answer.into_parts();
    let limit = usize::try_from(max_response).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(HttpFailure::TooLarge { host: host(), limit: max_response })
        }
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(source) => Err(broken(*source)),
            // `Limited` fails by its limit or by what the body fails with: nothing else.
            Err(_) => Err(HttpFailure::TooLarge { host: host(), limit: max_response }),
        },
    }
}
