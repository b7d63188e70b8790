//! Requests that a grant covers, and the trait that sends them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16};

use async_trait::async_trait;
use bytes::Bytes;
use groundcrew_core::http::{HttpGrant, Url};
use groundcrew_core::limits::HttpLimits;
use hyper::{Request, Response};

use super::failure::HttpFailure;

/// The `User-Agent` of requests that have no other. GitHub refuses requests without one.
pub(crate) const USER_AGENT_VALUE: &str = concat!("groundcrew/", env!("CARGO_PKG_VERSION"));

/// What a notifier may do over HTTP.
#[derive(Clone)]
pub struct HttpAccess {
    /// Which requests are sent, and what is added to them.
    pub grants: Vec<HttpGrant>,
    /// What one notification may use.
    pub limits: HttpLimits,
    /// Sends them.
    pub transport: Arc<dyn HttpTransport>,
}

impl fmt::Debug for HttpAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAccess")
            .field("grants", &self.grants)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Sends requests that a grant covers. A simulation has its own implementation.
#[async_trait]
pub trait HttpTransport: Send + Sync {
    /// Sends one request and reads the whole response. The future may be dropped at any moment,
    /// which ends the exchange.
    ///
    /// # Errors
    /// Why there is no response.
    async fn send(&self, call: HttpCall<'_>) -> Result<Response<Bytes>, HttpFailure>;
}

/// A request that a grant covers.
#[derive(Debug)]
pub struct HttpCall<'a> {
    /// The grant.
    pub grant: &'a HttpGrant,
    /// The URL that the request is sent to.
    pub url: &'a Url,
    /// As the plugin made it, with its path and query as URI; without the header fields that
    /// are the host's own.
    pub request: Request<Bytes>,
    /// Longest body of a response, in bytes.
    pub max_response: u64,
    /// To be set before the first byte of the request is sent: from then on the other system may
    /// have received it.
    pub sent: &'a AtomicBool,
    /// To be set to the status once the head of a response was received: 0 before.
    pub answered: &'a AtomicU16,
}

/// For commands that load notifiers and deliver nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoHttp;

#[async_trait]
impl HttpTransport for NoHttp {
    async fn send(&self, _: HttpCall<'_>) -> Result<Response<Bytes>, HttpFailure> {
        Err(HttpFailure::Offline)
    }
}
