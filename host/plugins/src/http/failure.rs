//! Why a request got no response.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use groundcrew_core::http::AddressKind;
use wasmtime_wasi_http::Error as Code;

use super::secrets::SecretError;

/// A request that got no response. The text is for the operator; the plugin gets a code. It never
/// contains header fields or bodies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpFailure {
    /// This process sends no requests.
    #[error("this command sends no HTTP requests")]
    Offline,
    /// A secret that the grant names can't be read.
    #[error("the secret for {what} can't be had: {source}")]
    Secret {
        /// What it is for.
        what: String,
        /// Why.
        source: SecretError,
    },
    /// The grant's `ca_file` can't be used.
    #[error("the certificates of {} can't be used: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system has no trusted certificates.
    #[error("no trusted certificates were found on this system: {0}; name some by `ca_file`")]
    NoCertificates(String),
    /// The host's name has no address.
    #[error("the name {host} can't be resolved: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// Why.
        reason: String,
    },
    /// The host's name has no address that is allowed.
    #[error(
        "{host} has the address {address}, which is {kind}{}",
        match kind.can_be_allowed() {
            true => "; if it shall be reached, write `allow_private = true` in its \
                     [[notifiers.grants.http]]",
            false => ": it is never reached",
        }
    )]
    Address {
        /// The name.
        host: String,
        /// The address; the first of several.
        address: IpAddr,
        /// Why it is not allowed.
        kind: AddressKind,
    },
    /// No connection.
    #[error("no connection to {to}: {source}")]
    Connect {
        /// The host or proxy.
        to: String,
        /// Why.
        source: io::Error,
    },
    /// The proxy opens no tunnel.
    #[error("the proxy {proxy} opens no tunnel to {host}: {reason}")]
    Proxy {
        /// The proxy.
        proxy: String,
        /// The host at the end of the tunnel.
        host: String,
        /// The message of the proxy.
        reason: String,
    },
    /// The other side's certificate is not trusted.
    #[error("the certificate of {host} is not trusted: {reason}")]
    Certificate {
        /// The name.
        host: String,
        /// What kind of reason it is.
        untrusted_reason: UntrustedReason,
        /// Why.
        reason: String,
    },
    /// No TLS with the other side.
    #[error("no TLS with {host}: {source}")]
    Tls {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke, or the bytes received were not a response.
    #[error("no complete answer from {host}: {source}")]
    Broken {
        /// The name.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The head of the response is too large.
    #[error("the answer of {host} has too many header fields, or too long ones: {source}")]
    HeadTooLarge {
        /// The name.
        host: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The status was a success, and the rest of the response was not received.
    #[error("the answer {status} is cut off: {source}")]
    Truncated {
        /// The status.
        status: u16,
        /// Why.
        source: Box<HttpFailure>,
    },
    /// The response has more bytes than `limits.http_response`.
    #[error(
        "the answer of {host} has more than {limit} bytes: raise `limits.http_response` if that \
         is right"
    )]
    TooLarge {
        /// The name.
        host: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It took longer than `limits.http_timeout`.
    #[error(
        "no complete answer within {} ms: raise `limits.http_timeout` if the other system needs \
         longer",
        .0.as_millis()
    )]
    Timeout(Duration),
}

/// Why a certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntrustedReason {
    /// No trusted authority has issued it.
    UnknownIssuer,
    /// It is for another name.
    NameMismatch,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Anything else.
    Other,
}

impl HttpFailure {
    /// The error code that the plugin gets.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Offline | Self::Address { .. } => Code::HttpRequestDenied,
            Self::Secret { source, .. } if source.is_transient() => Code::InternalError(None),
            Self::Secret { .. } | Self::Certificates { .. } | Self::NoCertificates(_) => {
                Code::ConfigurationError
            }
            Self::Unresolved { .. } => Code::DnsError { rcode: None, info_code: None },
            Self::Connect { .. } => Code::ConnectionRefused,
            Self::Proxy { .. } => Code::DestinationUnavailable,
            Self::Certificate { .. } => Code::TlsCertificateError,
            Self::Tls { .. } => Code::TlsProtocolError,
            Self::Broken { .. } => Code::HttpResponseIncomplete,
            Self::HeadTooLarge { .. } => Code::HttpResponseHeaderSectionSize(None),
            Self::Truncated { .. } => Code::HttpResponseTransferCoding(None),
            Self::TooLarge { limit, .. } => Code::HttpResponseBodySize(Some(*limit)),
            Self::Timeout(_) => Code::HttpResponseTimeout,
        }
    }
}
