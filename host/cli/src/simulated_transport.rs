//! Simulates the other systems that notifiers call: opens no socket and reads no secret.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use groundcrew_plugins::http::{HttpCall, HttpFailure, HttpTransport};
use groundcrew_sim::{SimAws, WebRequest};
use hyper::{Response, StatusCode};

/// Responds to the requests of notifiers as systems that begin empty would.
pub struct SimulatedTransport {
    sim: SimAws,
    requests: Mutex<Vec<RecordedRequest>>,
}

/// A request that a notifier made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `GET`, `POST`, ….
    pub method: String,
    /// The URL with its query.
    pub url: String,
    /// The header fields of the notifier. For those that the host adds: the source of the value.
    pub headers: Vec<(String, String)>,
    /// As text, even if the bytes are not UTF-8.
    pub body: String,
    /// The status of the simulated response; `None` if there is never one.
    pub status: Option<u16>,
}

impl SimulatedTransport {
    /// The other systems of the simulated AWS.
    pub fn new(sim: SimAws) -> Self {
        Self { sim, requests: Mutex::default() }
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl HttpTransport for SimulatedTransport {
    async fn send(&self, call: HttpCall<'_>) -> Result<Response<Bytes>, HttpFailure> {
        call.sent.store(true, Ordering::Release);
        let headers = call.request.headers();
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let (scheme, authority) = (call.url.scheme(), call.url.authority());
        let path = call.request.uri().path_and_query().map_or("/", |path| path.as_str());
        let request = WebRequest {
            method: call.request.method().to_string(),
            url: format!("{scheme}://{authority}{path}"),
            idempotency_key: text("idempotency-key"),
            body: call.request.body().to_vec(),
        };
        let answer = self.sim.web(&request).await;
        let shown = headers.iter().map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let added = call.grant.headers.iter().map(|(name, secret)| {
            (name.to_string(), format!("({}, added by the host)", secret.location))
        });
        let signed = call.grant.sign.iter().map(|sign| {
            (sign.header.clone(), format!("(signed with {}, by the host)", sign.key.location))
        });
        let seen = RecordedRequest {
            method: request.method,
            url: request.url,
            headers: shown.chain(added).chain(signed).collect(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            status: answer.as_ref().map(|answer| answer.status),
        };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        let Some(answer) = answer else {
            // Until the timeout of the caller.
            return pending().await;
        };
        let mut response = Response::new(Bytes::from(answer.body));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
        for (name, value) in answer.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }
}
