//! HTTP requests, which the host sends for a notifier: to URLs that the config grants, with secret
//! header fields that the host adds and the plugin never sees.
//!
//! ```
//! use groundcrew_sdk::http::Request;
//! use groundcrew_sdk::{Failure, Notification, Receipt};
//!
//! fn notify(notification: &Notification) -> Result<Receipt, Failure> {
//!     let record = serde_json::json!({ "account": notification.account.id });
//!     let response = Request::put("https://billing.example.com/accounts/1")
//!         .header("Accept", "application/json")
//!         .json(&record)?
//!         .send()?
//!         .success()?;
//!     Ok(Receipt::new(response.header("Location").unwrap_or("1")))
//! }
//! ```
//!
//! A missing response and a response without success are errors. `?` turns either into a
//! [`Failure`](crate::Failure), whose kind says whether a retry can help.
//!
//! # What is never sent again
//!
//! If the other system has responded with 2xx to a request that does more than read, it has
//! accepted the request. Sending it again would have the effect twice: two messages, two builds,
//! two records. So an error about the content of such a response ([`Response::json`],
//! [`Response::value_at`], [`Response::reject_html`], [`Response::unexpected`]) is permanent, with
//! the effect possible. That holds for `PUT` as well: not every endpoint is as idempotent as HTTP
//! requires, and a repeat hours later would overwrite a change that somebody has made since.

mod error;
mod excerpt;
mod request;
mod response;
mod retry_after;
#[cfg(target_arch = "wasm32")]
mod wasi;

pub use error::HttpError;
pub use request::Request;
pub use response::Response;

#[cfg(not(target_arch = "wasm32"))]
pub use mock::mock_with;

/// Whether a request of this method only reads (RFC 9110, 9.2.1).
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Sends a request.
fn send(request: &Request) -> Result<Response, HttpError> {
    #[cfg(target_arch = "wasm32")]
    return wasi::send(request);
    #[cfg(not(target_arch = "wasm32"))]
    mock::answer(request)
}

#[cfg(not(target_arch = "wasm32"))]
mod mock {
    use std::cell::RefCell;

    use super::{HttpError, Request, Response};
    use crate::FailureKind;

    type Mock = Box<dyn FnMut(&Request) -> Result<Response, HttpError>>;

    thread_local! {
        static MOCK: RefCell<Option<Mock>> = const { RefCell::new(None) };
    }

    /// In native tests: the responses to requests on this thread from now on.
    pub fn mock_with(answer: impl FnMut(&Request) -> Result<Response, HttpError> + 'static) {
        MOCK.with(|slot| *slot.borrow_mut() = Some(Box::new(answer)));
    }

    pub(super) fn answer(request: &Request) -> Result<Response, HttpError> {
        let answer = MOCK.with(|slot| slot.borrow_mut().as_mut().map(|answer| answer(request)));
        answer.unwrap_or_else(|| {
            let what = "there is no host here: a test says with `http::mock_with` what is \
                        answered";
            Err(HttpError::new(request, FailureKind::Denied, "no-host", what, false))
        })
    }
}
