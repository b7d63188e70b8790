//! Secrets: where they are stored, and a value that can't be shown by accident.

use std::fmt;
use std::path::PathBuf;

/// The value of a secret. It has no `Display`, and its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the host finds a secret, as configured. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLocation {
    /// An environment variable of the host.
    EnvironmentVariable(String),
    /// A file. Line breaks at its end are ignored.
    File(PathBuf),
    /// A secret in AWS Secrets Manager.
    SecretsManager {
        /// Its name or ARN.
        id: String,
        /// The field to use, if the secret is a JSON object.
        field: Option<String>,
    },
}

impl fmt::Display for SecretLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnvironmentVariable(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::SecretsManager { id, field: None } => {
                write!(f, "the Secrets Manager secret {id}")
            }
            Self::SecretsManager { id, field: Some(field) } => {
                write!(f, "the field {field:?} of the Secrets Manager secret {id}")
            }
        }
    }
}

/// A secret that the host puts into a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSecret {
    /// Text before the secret, for example `Bearer `. Not secret.
    pub prefix: String,
    /// Where the secret is.
    pub location: SecretLocation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(…) Some(Secret(…))");
        assert_eq!(secret.expose(), "hunter2");
    }
}
