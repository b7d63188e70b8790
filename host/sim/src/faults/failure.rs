//! The failure of an update.

use std::borrow::Cow;

use groundcrew_core::account::AccountState;
use serde::{Deserialize, Serialize};

/// The failure with which an update will end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OperationFailure {
    pub(crate) code: Cow<'static, str>,
    pub(crate) description: String,
    /// The fraction of the normal duration after which it fails.
    #[serde(with = "crate::state_serde::f64_bits")]
    pub(crate) after: f64,
}

impl OperationFailure {
    /// The failure for a closed account. AWS's text for it is not known. The host can't recognize
    /// this text.
    pub(crate) fn for_closed_account(state: AccountState) -> Self {
        let description = format!("The account is in the state {state}.");
        Self { code: "ResourceUpdateFailed".into(), description, after: 0.02 }
    }
}
