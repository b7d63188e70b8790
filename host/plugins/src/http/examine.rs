//! What of a grant is in place, found out without a notification: for whoever sets it up.

use std::sync::atomic::{AtomicBool, AtomicU16};
use std::time::Duration;

use bytes::Bytes;
use groundcrew_core::doctor::{GrantFacts, Probe};
use groundcrew_core::http::{self as core, HttpGrant, HttpSecret};
use hyper::{Method, Request};

use super::connection;
use super::direct::DirectHttp;
use super::{HttpCall, HttpTransport as _};

/// Longest body of an answer that is read: HEAD has none.
const ANSWER: u64 = 64 << 10;

impl DirectHttp {
    /// Finds out whether the secrets of a grant can be had and its host be reached. With `probe` a
    /// request is sent as well: HEAD, which changes nothing (RFC 9110, 9.2.1), with the secrets
    /// that a notifier's requests would have. Each of the two takes `patience` at most.
    pub async fn examine(&self, grant: &HttpGrant, probe: bool, patience: Duration) -> GrantFacts {
        let late = || format!("it took longer than {} seconds", patience.as_secs());
        let mut secrets = Vec::new();
        for (what, secret) in secrets_of(grant) {
            let had = tokio::time::timeout(patience, self.can_be_had(secret)).await;
            secrets.push((what, had.unwrap_or_else(|_| Err(late()))));
        }
        let open = connection::open(self.network(), self.tls(), grant, &grant.url);
        let connection = match tokio::time::timeout(patience, open).await {
            Ok(opened) => opened.map(drop).map_err(|failure| failure.to_string()),
            Err(_) => Err(late()),
        };
        let sendable = connection.is_ok() && secrets.iter().all(|(_, had)| had.is_ok());
        let probe = match probe && sendable {
            true => {
                let answer = tokio::time::timeout(patience, self.probe(grant)).await;
                Some(answer.unwrap_or_else(|_| Probe::Unanswered(late())))
            }
            false => None,
        };
        GrantFacts { grant: grant.to_string(), secrets, connection, probe }
    }

    async fn can_be_had(&self, secret: &HttpSecret) -> Result<(), String> {
        self.secrets().read(secret).await.map(drop).map_err(|error| error.to_string())
    }

    async fn probe(&self, grant: &HttpGrant) -> Probe {
        let uri = match grant.query.is_empty() {
            true => grant.url.path().to_owned(),
            false => format!("{}?{}", grant.url.path(), grant.query.join("&")),
        };
        let request = Request::builder().method(Method::HEAD).uri(uri).body(Bytes::new());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Probe::Unanswered(error.to_string()),
        };
        let call = HttpCall {
            grant,
            url: &grant.url,
            request,
            max_response: ANSWER,
            sent: &AtomicBool::default(),
            answered: &AtomicU16::default(),
        };
        match self.send(call).await {
            Ok(answer) => Probe::Answered(answer.status().as_u16()),
            Err(failure) => Probe::Unanswered(failure.to_string()),
        }
    }
}

/// The secrets of a grant, each with what it is for.
fn secrets_of(grant: &HttpGrant) -> impl Iterator<Item = (String, &HttpSecret)> {
    let headers = grant.headers.iter();
    let headers = headers.map(|(name, secret)| (format!("the header field `{name}`"), secret));
    let placeholders = grant.secrets.iter();
    let placeholders =
        placeholders.map(|one| (format!("`{}`", core::placeholder(&one.name)), &one.secret));
    let signature = grant.sign.iter().map(|sign| ("the signature".to_owned(), &sign.key));
    headers.chain(placeholders).chain(signature)
}
