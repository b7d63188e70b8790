//! The HTTP of one instance: which requests are sent, how many, and what the operator learns about
//! those that failed.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use groundcrew_core::http::{self as core, HttpGrant, Url};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::{Request, Response};
use wasmtime_wasi_http::{Error as Code, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use super::failure::HttpFailure;
use super::transport::{HttpAccess, HttpCall};
use crate::convert::truncate;
use crate::log::PluginLog;

/// Longest URI of a request, in bytes, and the memory that its header fields may take.
const MAX_URI: usize = 8 << 10;
const MAX_FIELDS: usize = 64 << 10;
/// What is kept for the operator of one call: the number of texts, and the bytes of each. They are
/// shown in alerts and kept in the ledger.
const MAX_REPORTED_ERRORS: usize = 4;
const MAX_TEXT: usize = 4 << 10;

/// The HTTP grants and limits in one instance.
pub(crate) struct OutgoingHttp {
    /// The state of `wasi:http` itself.
    context: WasiHttpCtx,
    hooks: Hooks,
}

/// The hooks that `wasi:http` calls.
struct Hooks {
    access: Option<Arc<HttpAccess>>,
    log: Arc<PluginLog>,
    /// Whether a notification is being delivered: nothing is sent while the plugin is loaded.
    delivering: bool,
    calls: u32,
    outcome: Arc<RequestOutcomes>,
}

/// The results of the requests so far. Shared with the requests in flight.
#[derive(Default)]
struct RequestOutcomes {
    /// Whether a request changed something, or may have.
    had_effect: AtomicBool,
    /// Requests in flight that could change something. A call that ends early leaves them here.
    in_flight: AtomicU32,
    /// What the operator learns about requests that failed.
    errors: Mutex<Vec<String>>,
}

impl OutgoingHttp {
    pub(crate) fn new(access: Option<Arc<HttpAccess>>, log: Arc<PluginLog>) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(MAX_FIELDS);
        let outcome = Arc::default();
        Self { context, hooks: Hooks { access, log, delivering: false, calls: 0, outcome } }
    }

    /// The parts that the implementation of `wasi:http` works on.
    pub(crate) fn parts(&mut self) -> (&mut WasiHttpCtx, &mut dyn WasiHttpHooks) {
        (&mut self.context, &mut self.hooks)
    }

    /// Starts the delivery of a notification.
    pub(crate) fn begin_delivery(&mut self) {
        self.hooks.delivering = true;
    }

    /// Whether a request may have changed something in another system.
    pub(crate) fn effect_possible(&self) -> bool {
        let RequestOutcomes { had_effect, in_flight, .. } = &*self.hooks.outcome;
        had_effect.load(Ordering::Relaxed) || in_flight.load(Ordering::Relaxed) > 0
    }

    /// What the operator should know about requests that were not sent or got no response.
    pub(crate) fn request_errors(&self) -> Vec<String> {
        self.hooks.outcome.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Hooks {
    /// What is needed to send a request, or why it is not sent.
    fn authorize(&mut self, method: &str, uri: &hyper::Uri) -> Result<GrantedRequest, DenyReason> {
        if !self.delivering {
            return Err(DenyReason::NotDelivering);
        }
        let access = self.access.clone().ok_or(DenyReason::NoGrants)?;
        self.calls = self.calls.saturating_add(1);
        if self.calls > access.limits.calls {
            return Err(DenyReason::Calls(access.limits.calls));
        }
        if uri.path().len() + uri.query().map_or(0, str::len) > MAX_URI {
            return Err(DenyReason::TooLong);
        }
        let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let authority = part(uri.authority().map(|authority| authority.as_str()));
        let url = Url::from_parts(&part(uri.scheme_str()), &authority, uri.path())
            .map_err(DenyReason::Url)?;
        if !core::METHODS.contains(&method) {
            return Err(DenyReason::Method);
        }
        let grant = core::grant_for(&access.grants, method, &url, uri.query());
        let grant = grant.map_err(DenyReason::Denied)?.clone();
        Ok(GrantedRequest { access, grant, url })
    }
}

struct GrantedRequest {
    access: Arc<HttpAccess>,
    grant: HttpGrant,
    url: Url,
}

/// Why a request is not sent.
#[derive(Debug, thiserror::Error)]
enum DenyReason {
    #[error("HTTP requests can be sent in `notify` only")]
    NotDelivering,
    #[error("this plugin is granted no HTTP")]
    NoGrants,
    #[error(
        "more than {0} HTTP requests in one notification: raise `limits.http_calls` if it needs \
         them"
    )]
    Calls(u32),
    #[error("a URL is longer than {MAX_URI} bytes")]
    TooLong,
    #[error("a URL that can't be granted: {0}")]
    Url(core::UrlError),
    #[error("a method that can't be granted: those that can are {}", core::METHODS.join(", "))]
    Method,
    #[error(transparent)]
    Denied(core::RequestDenied),
}

type ResponseFuture = dyn Future<Output = Result<(Response<WasiBody>, Box<BodyEnd>), Code>> + Send;
type BodyEnd = dyn Future<Output = Result<(), Code>> + Send;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        // The host decides how long it waits: `limits.http_timeout`.
        _options: Option<RequestOptions>,
        _failed: Box<BodyEnd>,
    ) -> Box<ResponseFuture> {
        let method = request.method().as_str().to_owned();
        let outcome = self.outcome.clone();
        let operator_log = OperatorLog { outcome: outcome.clone(), log: self.log.clone() };
        match self.authorize(&method, request.uri()) {
            Ok(granted) => Box::new(async move {
                let answer = send_granted(&granted, request, &outcome, &operator_log).await?;
                let answer = answer.map(|body| Full::new(body).map_err(Code::from).boxed_unsync());
                Ok((answer, Box::new(async { Ok(()) }) as Box<BodyEnd>))
            }),
            Err(reason) => {
                operator_log.report(reason.to_string());
                Box::new(async { Err(Code::HttpRequestDenied) })
            }
        }
    }
}

/// Logs for the operator, who sees more than the plugin.
struct OperatorLog {
    outcome: Arc<RequestOutcomes>,
    log: Arc<PluginLog>,
}

impl OperatorLog {
    fn report(&self, mut what: String) {
        truncate(&mut what, MAX_TEXT);
        self.log.log_host_message(&what);
        let mut errors = self.outcome.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < MAX_REPORTED_ERRORS && !errors.contains(&what) {
            errors.push(what);
        }
    }
}

/// Sends a request that is granted.
async fn send_granted(
    granted: &GrantedRequest,
    request: Request<WasiBody>,
    outcome: &RequestOutcomes,
    operator_log: &OperatorLog,
) -> Result<Response<Bytes>, Code> {
    let GrantedRequest { access, grant, url } = granted;
    let limits = access.limits;
    let method = request.method().clone();
    let safe = core::is_safe(method.as_str());
    let request = collect_body(request, limits.request).await.map_err(|code| {
        let limit = limits.request;
        operator_log.report(match code {
            Code::HttpRequestBodySize(Some(_)) => format!(
                "{method} {url}: its body has more than {limit} bytes: raise \
                     `limits.http_request` if that is right"
            ),
            _ => format!("{method} {url}: the plugin didn't finish its body"),
        });
        code
    })?;
    if !safe {
        outcome.in_flight.fetch_add(1, Ordering::Relaxed);
    }
    let sent = AtomicBool::new(false);
    let answered = AtomicU16::new(0);
    let max_response = limits.response;
    let call = HttpCall { grant, url, request, max_response, sent: &sent, answered: &answered };
    let answer = tokio::time::timeout(limits.timeout, access.transport.send(call)).await;
    let answer = answer.unwrap_or(Err(HttpFailure::Timeout(limits.timeout)));
    let status = answered.load(Ordering::Relaxed);
    let answer = answer.map_err(|failure| match failure {
        // The request took effect, whatever the rest of the response was.
        HttpFailure::Broken { .. } | HttpFailure::Timeout(_) if (200..300).contains(&status) => {
            HttpFailure::Truncated { status, source: Box::new(failure) }
        }
        failure => failure,
    });
    let had_effect = match &answer {
        // A refused request has no effect; a server may fail after the effect.
        Ok(answer) => !answer.status().is_client_error(),
        Err(_) => sent.load(Ordering::Relaxed),
    };
    if !safe {
        outcome.had_effect.fetch_or(had_effect, Ordering::Relaxed);
        outcome.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
    answer.map_err(|failure| {
        operator_log.report(format!("{method} {url}: {failure}"));
        failure.code()
    })
}

/// The request with its whole body, and without the header fields that the host sets.
async fn collect_body(request: Request<WasiBody>, limit: u64) -> Result<Request<Bytes>, Code> {
    let (mut parts, body) = request.into_parts();
    let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
    let body =
        Limited::new(body, limit_bytes).collect().await.map_err(|error| match error
            .is::<LengthLimitError>()
        {
            true => Code::HttpRequestBodySize(Some(limit)),
            false => Code::HttpRequestBodySize(None),
        })?;
    let framing: Vec<_> =
        parts.headers.keys().filter(|name| core::is_framing(name.as_str())).cloned().collect();
    for name in framing {
        parts.headers.remove(name);
    }
    let body = body.to_bytes();
    set_content_length(&mut parts.headers, parts.method.as_str(), &body);
    Ok(Request::from_parts(parts, body))
}

/// A request without a body says so if its method has a meaning for bodies (RFC 9110, 8.6).
/// Otherwise hyper sets the length.
fn set_content_length(headers: &mut HeaderMap, method: &str, body: &Bytes) {
    if body.is_empty() && matches!(method, "POST" | "PUT" | "PATCH") {
        headers.insert(CONTENT_LENGTH, 0.into());
    }
}
