//! Short ways to say a failure.

use crate::{Failure, FailureKind};

impl Failure {
    /// It may work later: the host tries again.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, code, message)
    }

    /// It will not work however often it is tried.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, code, message)
    }

    /// A grant or a permission is missing.
    pub fn denied(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Denied, code, message)
    }

    /// What the plugin was given makes no sense to it.
    pub fn invalid(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, code, message)
    }

    /// The same, said of the setting that asked for what failed: `success`, for example.
    pub fn for_setting(self, setting: &str) -> Self {
        Self { message: format!("the setting `{setting}`: {}", self.message), ..self }
    }

    fn new(kind: FailureKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            effect_possible: false,
            retry_after: None,
        }
    }
}
