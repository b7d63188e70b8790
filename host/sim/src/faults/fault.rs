//! The faults of single calls and events, in the terms of fault injection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::{ApiError, Service};

/// The round trip of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    /// Time until the request reaches the service.
    pub(crate) request_latency: Duration,
    /// Time until the response reaches the caller.
    pub(crate) response_latency: Duration,
    pub(crate) fault: Option<Fault>,
}

/// A fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The service rejects it, without effect.
    #[serde(rename = "Refused")]
    Rejected(Rejection),
    /// The network is partitioned: no connection is made, and it takes no effect.
    #[serde(rename = "Partitioned")]
    ConnectionFailed,
    /// It takes effect, but its response is lost: the connection breaks.
    #[serde(rename = "ReplyDropped")]
    ResponseLost,
    /// No response comes before the caller's timeout.
    Hung {
        /// Whether it takes effect.
        #[serde(rename = "effect")]
        takes_effect: bool,
    },
    /// Something between the caller and the service responds in place of the service, in HTML: a
    /// proxy, a load balancer, a captive portal.
    #[serde(rename = "Garbled")]
    MalformedResponse {
        /// The status of the response.
        status: u16,
        /// Whether the request still takes effect.
        #[serde(rename = "effect")]
        takes_effect: bool,
    },
}

/// Why a service rejects a call that it would accept at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// There were too many calls.
    Throttled,
    /// The service fails.
    ServerError,
    /// The caller lacks the permission.
    Denied,
}

impl Rejection {
    /// The error of this service for a call of this operation.
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
    /// Delivered this much later.
    Delayed(Duration),
}
