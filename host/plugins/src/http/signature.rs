//! Signatures, by which a receiver recognizes requests of this host and rejects old ones.
//!
//! The header field has the form `t=<time>,v1=<signature>`: the seconds since 1970 and, in hex,
//! HMAC-SHA256 over `<time>.<body>`. A receiver computes the signature over the received body,
//! compares it in constant time, and refuses times that differ from its own by minutes.

use data_encoding::HEXLOWER;
use groundcrew_core::http::Secret;
use jiff::Timestamp;
use ring::hmac;

/// The value of the header field.
pub(super) fn sign(key: &Secret, now: Timestamp, body: &[u8]) -> String {
    let time = now.as_second();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{time}.").as_bytes());
    context.update(body);
    format!("t={time},v1={}", HEXLOWER.encode(context.sign().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '1767323045.{"a":1}' | openssl dgst -sha256 -hmac key`.
    #[test]
    fn a_known_signature() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(
            sign(&Secret::new("key"), now, b"{\"a\":1}"),
            "t=1767323045,v1=7a74ddb6c5eee22d6198e210cf7a4aae6004fa7dc07f66752779c1d480cc319f"
        );
    }
}
