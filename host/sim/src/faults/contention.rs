//! How Control Tower says that it is busy: by many texts, and in two ways.
//!
//! An update that there is no room for is refused when it is asked for, or it is taken and its
//! record fails after seconds, which taints the product. The texts were reported by users of
//! AWS's samples, of Account Factory for Terraform and of Terraform modules. The exception's name
//! stands at the beginning of some, and the record's code is then another one, or empty.

use std::time::Duration;

use fastrand::Rng;

use super::failure::OperationFailure;
use crate::protocol::ApiError;

/// One of the texts.
pub(crate) const CONTENTION_MESSAGE: &str = "AWS Control Tower could not update the account because another AWS Control Tower operation is in progress. Try again later.";

/// Code and description where other operations are in the way.
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
    // Somebody was faster, between the host's look and its start.
    (
        "",
        "ResourceInUseException: Account Factory cannot complete an operation on this account, because the allowed maximum of 5 concurrent account operations is exceeded. Try again later.",
    ),
    (
        "ValidationException",
        "Account Factory cannot complete an operation on this account, because the allowed maximum of 10 concurrent account operations is exceeded. Try again later.",
    ),
];

/// Code and description where other operations are in the way.
pub(crate) fn contention_error(rng: &mut Rng) -> (&'static str, &'static str) {
    rng.choice(CONTENTION_ERRORS).unwrap_or(CONTENTION_ERRORS[0])
}

/// How an update is refused that the quota has no room for.
#[derive(Debug)]
pub(crate) enum QuotaExceeded {
    /// The call is.
    Call(ApiError),
    /// The call is taken, and the record fails after this time.
    Record {
        /// What the record says.
        failure: OperationFailure,
        /// How long it takes.
        after: Duration,
    },
}

impl QuotaExceeded {
    /// By the call.
    pub(crate) fn call(rng: &mut Rng, quota: usize) -> Self {
        let text =
            if rng.bool() { CONTENTION_MESSAGE.to_owned() } else { quota_exceeded_message(quota) };
        Self::Call(ApiError::new("InvalidParametersException", text))
    }

    /// By the record.
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

/// As reported where five accounts were under change and a sixth was asked for.
fn quota_exceeded_message(quota: usize) -> String {
    format!(
        "Account Factory cannot complete an operation on this account, because the allowed maximum of {quota} concurrent account operations is exceeded. Try again later."
    )
}
