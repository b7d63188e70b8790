//! AWS STS: who calls.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::MANAGEMENT_ACCOUNT;
use crate::operations::{self, Operation};
use crate::protocol::{ApiError, Call};

/// The role that all calls are made by, and the session of it.
pub(crate) const ROLE: &str = "groundcrew";
pub(crate) const SESSION: &str = "session";

/// The service, which has no state.
#[derive(Debug)]
pub(crate) struct Sts;

/// What the service offers.
pub(crate) const OPERATIONS: &[(&str, Operation<Sts>)] =
    &[("GetCallerIdentity", |_, _, _| Ok(caller_identity()))];

impl Sts {
    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        operations::find(OPERATIONS, call)?(self, now, call)
    }
}

/// ARN of the session that all calls are made in.
pub(crate) fn caller_arn() -> String {
    format!("arn:aws:sts::{MANAGEMENT_ACCOUNT}:assumed-role/{ROLE}/{SESSION}")
}

fn caller_identity() -> Value {
    json!({
        "Arn": caller_arn(),
        "UserId": format!("AROAIOSFODNN7EXAMPLE1:{SESSION}"),
        "Account": MANAGEMENT_ACCOUNT,
    })
}
