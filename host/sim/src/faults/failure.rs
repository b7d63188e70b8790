//! How an update fails.

use std::borrow::Cow;

use groundcrew_core::account::AccountState;
use serde::{Deserialize, Serialize};

/// How an update will end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OperationFailure {
    pub(crate) code: Cow<'static, str>,
    pub(crate) description: String,
    /// The part of the normal duration after which it is seen to fail.
    #[serde(with = "crate::state_serde::f64_bits")]
    pub(crate) after: f64,
}

impl OperationFailure {
    /// Of an account that is closed. What AWS says then was not found: this is nothing that the host
    /// could know.
    pub(crate) fn for_closed_account(state: AccountState) -> Self {
        let description = format!("The account is in the state {state}.");
        Self { code: "ResourceUpdateFailed".into(), description, after: 0.02 }
    }
}
