//! Why an update was not started.

use crate::aws_error::{AwsError, ErrorClass};
use crate::parameters::MissingParameters;

/// Why an update was not started. Nothing runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// A call to AWS failed: a read that the start depends on, or the start itself.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Parameters of the account are unknown. An update without them would remove them from the
    /// account.
    #[error(transparent)]
    UnknownParameters(#[from] MissingParameters),
}

impl StartFailure {
    /// How to handle it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Aws(error) => error.class,
            Self::UnknownParameters(_) => ErrorClass::Permanent,
        }
    }
}
