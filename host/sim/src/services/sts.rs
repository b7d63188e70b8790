//! AWS STS: the identity of the caller.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::names::{MANAGEMENT_ACCOUNT, SESSION, caller_arn};
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};

/// The service, which has no state.
#[derive(Debug)]
pub(crate) struct Sts;

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<Sts>)] =
    &[("GetCallerIdentity", |_, _, _| Ok(caller_identity()))];

impl Sts {
    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }
}

fn caller_identity() -> Value {
    json!({
        "Arn": caller_arn(),
        "UserId": format!("AROAIOSFODNN7EXAMPLE1:{SESSION}"),
        "Account": MANAGEMENT_ACCOUNT,
    })
}
