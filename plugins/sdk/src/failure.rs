//! Constructors of failures.

use crate::{Failure, FailureKind};

impl Failure {
    /// It may work later: the host retries.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, code, message)
    }

    /// A retry can't help.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, code, message)
    }

    /// A grant or a permission is missing.
    pub fn denied(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Denied, code, message)
    }

    /// The plugin can't use its input.
    pub fn invalid(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, code, message)
    }

    /// The same, with the name of the setting that caused the failure: `success`, for example.
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
