//! Sends requests over the network.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use groundcrew_core::http::{
    self as core, HttpGrant, HttpSecret, Redactor, Scheme, Secret, Url, UrlSecret,
};
use groundcrew_core::ports::Clock;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use wasmtime_wasi::runtime;

use super::connection::{self, Stream};
use super::failure::HttpFailure;
use super::network::{Network, SystemNetwork};
use super::secrets::{SecretError, Secrets};
use super::signature;
use super::tls::Tls;
use super::transport::{HttpCall, HttpTransport, USER_AGENT_VALUE};

/// Longest head of a response, in bytes. What plugins receive has a limit of its own.
const MAX_HEAD: usize = 64 << 10;

/// Sends requests over the network: one connection for each, HTTP/1.1, no redirects followed. A
/// delivery makes two or three requests, minutes apart from the next delivery.
pub struct DirectHttp {
    network: Arc<dyn Network>,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    tls: Tls,
}

impl DirectHttp {
    /// Uses this system's network. Signatures contain the clock's time.
    pub fn new(secrets: Secrets, clock: Arc<dyn Clock>) -> Self {
        Self::with_network(Arc::new(SystemNetwork), secrets, clock)
    }

    /// Uses another network.
    pub fn with_network(
        network: Arc<dyn Network>,
        secrets: Secrets,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { network, secrets, clock, tls: Tls::default() }
    }

    pub(super) fn network(&self) -> &dyn Network {
        &*self.network
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The request as it is sent, and the redactor that removes its secrets from the response.
    async fn add_headers(
        &self,
        grant: &HttpGrant,
        url: &Url,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<(Request<Full<Bytes>>, Redactor), HttpFailure> {
        let mut redactor = Redactor::default();
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = request_target(
            grant,
            url,
            self.fill_placeholders(grant, url, parts, &mut redactor).await?,
        );
        let headers = request.headers_mut();
        *headers = parts.headers.clone();
        for (name, secret) in &grant.headers {
            let what = format!("the header field `{name}`");
            let value = self.secret(&what, secret).await?;
            let own = value.expose().strip_prefix(&secret.prefix).unwrap_or_default();
            redactor.add(&format!("(secret of `{name}`)"), &Secret::new(own));
            let (name, value) = header_field(name, &value, &what, secret)?;
            headers.insert(name, value);
        }
        if !headers.contains_key(USER_AGENT) {
            headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        }
        // A compressed response can't be searched for repeated secrets.
        if grant.secrets().next().is_some() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(sign) = &grant.sign {
            let what = "the signature";
            let key = self.secret(what, &sign.key).await?;
            let signature = Secret::new(signature::sign(&key, self.clock.now(), body));
            let (name, value) = header_field(&sign.header, &signature, what, &sign.key)?;
            headers.insert(name, value);
        }
        // Set after all others: a plugin can't decide where a request goes.
        if let Ok(host) = HeaderValue::try_from(url.authority()) {
            headers.insert(HOST, host);
        }
        Ok((request, redactor))
    }

    /// Path and query, with the secrets of the grant in place of their placeholders.
    pub(super) async fn fill_placeholders(
        &self,
        grant: &HttpGrant,
        url: &Url,
        parts: &Parts,
        redactor: &mut Redactor,
    ) -> Result<Uri, HttpFailure> {
        if grant.secrets.is_empty() {
            return Ok(parts.uri.clone());
        }
        let what = |name: &str| format!("`{}`", core::placeholder(name));
        let mut values = Vec::with_capacity(grant.secrets.len());
        for UrlSecret { name, secret } in &grant.secrets {
            let value = self.secret(&what(name), secret).await?;
            redactor.add(&core::placeholder(name), &value);
            values.push((name.clone(), value));
        }
        let unfit = |problem: core::UnfitSecret| {
            let blamed = |one: &&UrlSecret| problem.name.as_ref().is_none_or(|n| *n == one.name);
            let blamed: Vec<_> = grant.secrets.iter().filter(blamed).collect();
            let names: Vec<_> = blamed.iter().map(|one| one.name.as_str()).collect();
            let places: Vec<_> = blamed.iter().map(|one| one.secret.location.to_string()).collect();
            let (what, places) = (what(&names.join(") and $(")), places.join(" and "));
            HttpFailure::Secret {
                what,
                source: SecretError::NotUrlSafe { places, source: problem },
            }
        };
        let filled =
            core::fill_placeholders(url.path(), parts.uri.query(), &values).map_err(unfit)?;
        let too_long =
            || core::UnfitSecret::for_request("with the secrets in it, the URL is too long");
        Uri::try_from(filled.expose()).map_err(|_| unfit(too_long()))
    }

    async fn secret(&self, what: &str, secret: &HttpSecret) -> Result<Secret, HttpFailure> {
        let read = self.secrets.read(secret).await;
        read.map_err(|source| HttpFailure::Secret { what: what.to_owned(), source })
    }
}

#[async_trait]
impl HttpTransport for DirectHttp {
    async fn send(&self, call: HttpCall<'_>) -> Result<Response<Bytes>, HttpFailure> {
        let HttpCall { grant, url, request, max_response, sent, answered } = call;
        let (parts, body) = request.into_parts();
        let mut read_anew = false;
        loop {
            let (request, redactor) = self.add_headers(grant, url, &parts, &body).await?;
            let stream = connection::open(&*self.network, &self.tls, grant, url).await?;
            sent.store(true, Ordering::Relaxed);
            answered.store(0, Ordering::Relaxed);
            let answer = send_and_read(stream, request, url, max_response, answered).await?;
            // The secret may have been rotated a minute ago.
            if !may_reject_secret(grant, answer.status())
                || read_anew
                || !self.invalidate_secrets(grant)
            {
                return Ok(redacted(answer, &redactor));
            }
            read_anew = true;
        }
    }
}

impl DirectHttp {
    /// Drops the stored secrets of a grant, so that they are read again. Answers whether there were
    /// any.
    fn invalidate_secrets(&self, grant: &HttpGrant) -> bool {
        let mut any = false;
        for secret in grant.secrets() {
            any |= self.secrets.forget(secret);
        }
        any
    }
}

/// Whether a response may mean that a secret is wrong. If the URL contains the secret, a wrong one
/// finds nothing: Slack and Discord respond with 404, or 410.
fn may_reject_secret(grant: &HttpGrant, status: StatusCode) -> bool {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
        StatusCode::NOT_FOUND | StatusCode::GONE => !grant.secrets.is_empty(),
        _ => false,
    }
}

/// The response without the secrets of the request that it repeats.
fn redacted(answer: Response<Bytes>, redactor: &Redactor) -> Response<Bytes> {
    let (mut parts, body) = answer.into_parts();
    for value in parts.headers.values_mut() {
        if let Cow::Owned(redacted) = redactor.redact(value.as_bytes())
            && let Ok(redacted) = HeaderValue::from_bytes(&redacted)
        {
            *value = redacted;
        }
    }
    let body = match redactor.redact(&body) {
        Cow::Borrowed(_) => body,
        Cow::Owned(redacted) => {
            if parts.headers.contains_key(CONTENT_LENGTH) {
                parts.headers.insert(CONTENT_LENGTH, redacted.len().into());
            }
            redacted.into()
        }
    };
    Response::from_parts(parts, body)
}

/// A header field whose value is kept out of every log.
fn header_field(
    name: &str,
    value: &Secret,
    what: &str,
    secret: &HttpSecret,
) -> Result<(HeaderName, HeaderValue), HttpFailure> {
    let unfit = || HttpFailure::Secret {
        what: what.to_owned(),
        source: SecretError::InvalidCharacters(secret.location.clone()),
    };
    let name = HeaderName::try_from(name).map_err(|_| unfit())?;
    let mut value = HeaderValue::try_from(value.expose()).map_err(|_| unfit())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The target in the request line: path and query, or the whole URL when a proxy gets the request
/// (RFC 9112, 3.2).
fn request_target(grant: &HttpGrant, url: &Url, uri: Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    let whole = grant.proxy.is_some() && url.scheme() == Scheme::Http;
    let authority = url.authority().parse().ok().filter(|_| whole);
    parts.scheme = authority.is_some().then_some(hyper::http::uri::Scheme::HTTP);
    parts.authority = authority;
    Uri::from_parts(parts).unwrap_or(uri)
}

/// Sends the request and reads the whole response.
async fn send_and_read(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    url: &Url,
    max_response: u64,
    answered: &AtomicU16,
) -> Result<Response<Bytes>, HttpFailure> {
    let host = || url.host().to_owned();
    let broken = |source: hyper::Error| match source.is_parse_too_large() {
        true => HttpFailure::HeadTooLarge { host: host(), source: source.into() },
        false => HttpFailure::Broken { host: host(), source: source.into() },
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // The task and the connection end when it is dropped.
    let _driving = runtime::spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    answered.store(answer.status().as_u16(), Ordering::Relaxed);
    let (parts, body) = answer.into_parts();
    let limit = usize::try_from(max_response).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(HttpFailure::TooLarge { host: host(), limit: max_response })
        }
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(source) => Err(broken(*source)),
            // `Limited` fails only because of its limit or with the error of the body.
            Err(_) => Err(HttpFailure::TooLarge { host: host(), limit: max_response }),
        },
    }
}
