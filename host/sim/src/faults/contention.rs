//! The errors by which Control Tower reports contention: many texts, in two ways.
//!
//! An update over the quota is rejected by the call, or it is accepted and its record fails after
//! seconds, which taints the product. Users of AWS's samples, of Account Factory for Terraform and
//! of Terraform modules have reported the texts. Some texts begin with the name of the exception.
//! The code of the record is then another one, or empty.

use std::time::Duration;

use fastrand::Rng;

use super::failure::OperationFailure;
use crate::protocol::ApiError;

/// One of the texts.
pub(crate) const CONTENTION_MESSAGE: &str = "AWS Control Tower could not update the account because another AWS Control Tower operation is in progress. Try again later.";

/// Code and description of contention with other operations.
const CONTENTION_ERRORS: [(&str, &str); 6] = [
    ("ResourceInUseException", CONTENTION_MESSAGE),
    (
        "",
        "ResourceInUseException  Account Factory cannot create this enrolled account right now, because another execution is in progress. Try again later.",
    ),
    (
        "ResourceUpdateFailed",
        "ResourceInUseException: Account Factory cannot complete an operation on this account, because another AWS Control Tower operation is in progress. Try again later.",
    ),
    (
        "ValidationException",
        "Account Factory cannot complete an operation on this account, because another AWS Control Tower operation is in progress. Try again later.",
    ),
    // Another operation has used up the quota between the host's check and its start.
    (
        "",
        "ResourceInUseException: Account Factory cannot complete an operation on this account, because the allowed maximum of 5 concurrent account operations is exceeded. Try again later.",
    ),
    (
        "ValidationException",
        "Account Factory cannot complete an operation on this account, because the allowed maximum of 10 concurrent account operations is exceeded. Try again later.",
    ),
];

/// A random one of [`CONTENTION_ERRORS`].
pub(crate) fn contention_error(rng: &mut Rng) -> (&'static str, &'static str) {
    rng.choice(CONTENTION_ERRORS).unwrap_or(CONTENTION_ERRORS[0])
}

/// How an update over the quota is rejected.
#[derive(Debug)]
pub(crate) enum QuotaExceeded {
    /// The call is rejected.
    Call(ApiError),
    /// The call is accepted, and the record fails after this time.
    Record {
        /// The error in the record.
        failure: OperationFailure,
        /// The duration of the record.
        after: Duration,
    },
}

impl QuotaExceeded {
    /// A rejection by the call.
    pub(crate) fn call(rng: &mut Rng, quota: usize) -> Self {
        let text =
            if rng.bool() { CONTENTION_MESSAGE.to_owned() } else { quota_exceeded_message(quota) };
        Self::Call(ApiError::new("InvalidParametersException", text))
    }

    /// A rejection by the record.
    pub(crate) fn record(rng: &mut Rng, quota: usize) -> Self {
        let (code, separator) = match rng.u8(..3) {
            0 => ("", ": "),
            1 => ("", "  "),
            _ => ("ResourceUpdateFailed", ": "),
        };
        let description =
            format!("ResourceInUseException{separator}{}", quota_exceeded_message(quota));
        let after = Duration::from_secs(rng.u64(3..=30));
        Self::Record {
            failure: OperationFailure { code: code.into(), description, after: 0.0 },
            after,
        }
    }
}

/// The text as reported when a sixth account was updated while five were under change.
fn quota_exceeded_message(quota: usize) -> String {
    format!(
        "Account Factory cannot complete an operation on this account, because the allowed maximum of {quota} concurrent account operations is exceeded. Try again later."
    )
}
