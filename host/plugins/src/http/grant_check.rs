//! Checks a grant without a notification, for somebody who sets it up.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use groundcrew_core::doctor::{
    ConnectionFailure, ConnectionFailureKind, GrantFacts, Probe, SecretFacts,
};
use groundcrew_core::http::{self as core, HttpGrant, HttpSecret, Redactor};
use hyper::{Method, Request};

use super::connection;
use super::direct::DirectHttp;
use super::failure::{HttpFailure, UntrustedReason};
use super::secrets::SecretError;
use super::transport::{HttpCall, HttpTransport as _};

/// Longest body of a response that is read: HEAD has none.
const MAX_RESPONSE_BYTES: u64 = 64 << 10;

impl DirectHttp {
    /// Checks whether the secrets of a grant can be read and whether its host can be reached. With
    /// `probe` it also sends a request: HEAD, which changes nothing (RFC 9110, 9.2.1), with the
    /// secrets of a notifier's requests. Each secret, the connection and the request take at most
    /// the time limit.
    pub async fn check_grant(
        &self,
        grant: &HttpGrant,
        probe: bool,
        time_limit: Duration,
    ) -> GrantFacts {
        let (mut secrets, (addresses, connection)) =
            join(self.secrets_of(grant, time_limit), self.check_connection(grant, time_limit))
                .await;
        if secrets.iter().all(|secret| secret.readable.is_ok()) {
            self.check_placeholders(grant, time_limit, &mut secrets).await;
        }
        let sendable = connection.is_ok() && secrets.iter().all(|secret| secret.readable.is_ok());
        let probe = match probe && sendable {
            true => {
                let answer = tokio::time::timeout(time_limit, self.probe(grant)).await;
                Some(answer.unwrap_or_else(|_| Probe::NoAnswer(timeout_message(time_limit))))
            }
            false => None,
        };
        GrantFacts { grant: grant.to_string(), secrets, addresses, connection, probe }
    }

    /// The secrets of a grant, each read as for a request.
    async fn secrets_of(&self, grant: &HttpGrant, time_limit: Duration) -> Vec<SecretFacts> {
        let each = secrets_of(grant).map(|(what, secret)| async move {
            let read = tokio::time::timeout(time_limit, self.secrets().read(secret)).await;
            let readable = match read {
                Ok(read) => read.map(drop).map_err(|error| error.to_string()),
                Err(_) => Err(format!("{}: {}", secret.location, timeout_message(time_limit))),
            };
            SecretFacts { what, location: secret.location.clone(), readable }
        });
        join_all(each).await
    }

    /// Records which secrets are not valid in the place of their placeholders.
    async fn check_placeholders(
        &self,
        grant: &HttpGrant,
        time_limit: Duration,
        secrets: &mut [SecretFacts],
    ) {
        let Ok(request) = head_request(grant) else { return };
        let (parts, _) = request.into_parts();
        let mut redactor = Redactor::default();
        let filled = self.fill_placeholders(grant, &grant.url, &parts, &mut redactor);
        let filled = tokio::time::timeout(time_limit, filled).await;
        let Ok(Err(HttpFailure::Secret { source, .. })) = filled else { return };
        // If none is invalid by itself, all of them are named.
        let name = match &source {
            SecretError::NotUrlSafe { source, .. } => source.name.as_deref(),
            _ => None,
        };
        for one in &grant.secrets {
            if name.is_none_or(|name| name == one.name) {
                let what = placeholder_purpose(&one.name);
                let noted = secrets.iter_mut().filter(|secret| secret.what == what);
                noted.for_each(|secret| secret.readable = Err(source.to_string()));
            }
        }
    }

    /// The addresses of a grant's host, and whether it can be reached. Nothing is sent.
    async fn check_connection(
        &self,
        grant: &HttpGrant,
        time_limit: Duration,
    ) -> (Vec<IpAddr>, Result<(), ConnectionFailure>) {
        let mut found = Vec::new();
        let open =
            connection::open_recording(self.network(), self.tls(), grant, &grant.url, &mut found);
        let connection = match tokio::time::timeout(time_limit, open).await {
            Ok(opened) => opened.map(drop).map_err(|failure| obstacle(&failure)),
            Err(_) => Err(ConnectionFailure {
                kind: ConnectionFailureKind::TimedOut,
                reason: timeout_message(time_limit),
            }),
        };
        let mut addresses: Vec<_> = found.iter().map(|address| address.ip()).collect();
        addresses.dedup();
        (addresses, connection)
    }

    async fn probe(&self, grant: &HttpGrant) -> Probe {
        let request = match head_request(grant) {
            Ok(request) => request,
            Err(error) => return Probe::NoAnswer(error.to_string()),
        };
        let call = HttpCall {
            grant,
            url: &grant.url,
            request,
            max_response: MAX_RESPONSE_BYTES,
            sent: &AtomicBool::default(),
            answered: &AtomicU16::default(),
        };
        match self.send(call).await {
            Ok(answer) => Probe::Answered(answer.status().as_u16()),
            Err(failure) => Probe::NoAnswer(failure.to_string()),
        }
    }
}

fn timeout_message(time_limit: Duration) -> String {
    format!("it took longer than {} seconds", time_limit.as_secs())
}

/// A request that the grant covers, as a plugin would make it.
fn head_request(grant: &HttpGrant) -> Result<Request<Bytes>, hyper::http::Error> {
    let uri = match grant.query.is_empty() {
        true => grant.url.path().to_owned(),
        false => format!("{}?{}", grant.url.path(), grant.query.join("&")),
    };
    Request::builder().method(Method::HEAD).uri(uri).body(Bytes::new())
}

/// The kind of a connection failure. Any other failure counts as `NoConnection`.
fn obstacle(failure: &HttpFailure) -> ConnectionFailure {
    use ConnectionFailureKind as Kind;
    let kind = match failure {
        HttpFailure::Unresolved { .. } => Kind::Unresolved,
        HttpFailure::Address { .. } => Kind::AddressForbidden,
        HttpFailure::Proxy { .. } => Kind::Proxy,
        HttpFailure::Certificates { .. } => Kind::CaFile,
        HttpFailure::NoCertificates(_) => Kind::NoRootCertificates,
        HttpFailure::Tls { .. } => Kind::NoTls,
        HttpFailure::Certificate { untrusted_reason, .. } => match untrusted_reason {
            UntrustedReason::UnknownIssuer => Kind::UnknownIssuer,
            UntrustedReason::NameMismatch => Kind::NameMismatch,
            UntrustedReason::Expired => Kind::Expired,
            UntrustedReason::NotYetValid => Kind::NotYetValid,
            UntrustedReason::Other => Kind::Untrusted,
        },
        _ => Kind::NoConnection,
    };
    ConnectionFailure { kind, reason: failure.to_string() }
}

/// The secrets of a grant, each with what it is for.
fn secrets_of(grant: &HttpGrant) -> impl Iterator<Item = (String, &HttpSecret)> {
    let headers = grant.headers.iter();
    let headers = headers.map(|(name, secret)| (format!("the header field `{name}`"), secret));
    let placeholders = grant.secrets.iter();
    let placeholders = placeholders.map(|one| (placeholder_purpose(&one.name), &one.secret));
    let signature = grant.sign.iter().map(|sign| ("the signature".to_owned(), &sign.key));
    headers.chain(placeholders).chain(signature)
}

/// The purpose of a placeholder's secret.
fn placeholder_purpose(name: &str) -> String {
    format!("`{}`", core::placeholder(name))
}
