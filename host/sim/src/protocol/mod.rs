//! The wire formats: JSON 1.0 and 1.1 with `X-Amz-Target`, CBOR and REST-JSON by path, and
//! form-encoded queries with XML responses. It uses no service.

mod call;
mod cbor;
mod error;
pub(crate) mod operations;
mod request;
mod service;
mod xml;

pub(crate) use call::{Call, Encoding};
pub(crate) use error::ApiError;
pub use request::{Request, Response};
pub(crate) use service::Service;
