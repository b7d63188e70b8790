//! What a notifier may reach over HTTP, what the host adds to its requests, and which addresses are
//! refused.
//!
//! Without an [`HttpGrant`] a plugin reaches nothing. The host sends the requests that a grant
//! covers, with secrets that never enter the sandbox.

mod address;
mod grant;
mod placeholder;
mod redact;
mod secret;
mod url;
mod webhook;

pub use address::AddressKind;
pub use grant::{HttpGrant, RequestDenied, Signing, grant_for};
pub use placeholder::{
    UnfitSecret, UrlSecret, fill_placeholders, names as placeholders, written as placeholder,
};
pub use redact::Redactor;
pub use secret::{HttpSecret, Secret, SecretLocation};
pub use url::{Scheme, Url, UrlError};
pub use webhook::webhook_with_plain_secret;

/// The methods that a grant can name.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Whether a request of this method only reads, as defined by RFC 9110 (9.2.1). Such a request has
/// no effect, even if it fails.
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Header fields that only the host sets: they determine where a request goes, or where it ends.
pub fn is_framing(header: &str) -> bool {
    const FRAMING: [&str; 11] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    FRAMING.iter().any(|framing| header.eq_ignore_ascii_case(framing))
}
