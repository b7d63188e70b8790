//! The capability `wasi:http`: requests that the host sends for a notifier.
//!
//! A plugin makes a request. [`outgoing`] finds the grant that covers it and enforces the limits.
//! An [`HttpTransport`] sends it. [`DirectHttp`] is the transport that uses the network: it puts
//! the secrets into URL and header fields ([`secrets`]), signs the request ([`signature`]),
//! resolves the host's name once, checks the addresses and connects to one of them
//! ([`connection`]).

mod connection;
mod direct;
mod failure;
mod grant_check;
mod network;
mod outgoing;
mod secrets;
mod signature;
mod tls;
mod transport;

pub use direct::DirectHttp;
pub use failure::{HttpFailure, UntrustedReason};
pub use network::{Network, SystemNetwork};
pub(crate) use outgoing::OutgoingHttp;
pub use secrets::{SecretError, Secrets};
pub use transport::{HttpAccess, HttpCall, HttpTransport, NoHttp};
