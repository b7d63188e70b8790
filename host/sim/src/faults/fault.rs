//! What goes wrong with single calls and events, in the terms of fault injection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::{ApiError, Service};

/// The round trip of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    /// Time until the service sees the request.
    pub(crate) request_latency: Duration,
    /// Time until the caller sees the reply.
    pub(crate) response_latency: Duration,
    pub(crate) fault: Option<Fault>,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The service refuses it, without effect.
    #[serde(rename = "Refused")]
    Rejected(Rejection),
    /// The network is partitioned: no connection is made, and it takes no effect.
    #[serde(rename = "Partitioned")]
    ConnectionFailed,
    /// It takes effect, but its reply is dropped: the connection breaks.
    #[serde(rename = "ReplyDropped")]
    ResponseLost,
    /// No reply comes in any time that a caller waits.
    Hung {
        /// Whether it takes effect.
        #[serde(rename = "effect")]
        takes_effect: bool,
    },
    /// Something between here and the service answers in its place, in HTML: a proxy, a load
    /// balancer, a captive portal.
    #[serde(rename = "Garbled")]
    MalformedResponse {
        /// The status that it gives.
        status: u16,
        /// Whether it takes effect all the same.
        #[serde(rename = "effect")]
        takes_effect: bool,
    },
}

/// Why a service refuses what it would take at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// It was called too often.
    Throttled,
    /// It fails.
    ServerError,
    /// The caller lacks the permission.
    Denied,
}

impl Rejection {
    /// The answer of this service, of which an operation was called.
    pub(crate) fn error(self, service: Service, operation: &str) -> ApiError {
        match (self, service) {
            (Self::Throttled, _) => ApiError::throttled(service),
            (Self::Denied, _) => ApiError::denied(service, operation),
            (Self::ServerError, Service::Organizations) => ApiError::new(
                "ServiceException",
                "AWS Organizations can't complete your request because of an internal service error. Try again later.",
            )
            .with_status(500),
            (Self::ServerError, Service::Tagging) => ApiError::new(
                "InternalServiceException",
                "The request processing failed because of an unknown error.",
            )
            .with_status(500),
            (Self::ServerError, _) => {
                ApiError::new("ServiceUnavailable", "Service Unavailable").with_status(503)
            }
        }
    }
}

/// How one event is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventDelivery {
    OnTime,
    Dropped,
    /// Delivered, and again after this time.
    Duplicated(Duration),
    /// Delivered so much later.
    Delayed(Duration),
}
