//! Secrets, read when they are needed, so that the next request uses a rotated secret.

use std::io;
use std::sync::Arc;

use groundcrew_core::aws_error::AwsError;
use groundcrew_core::http::{HttpSecret, Secret, SecretLocation, UnfitSecret};
use groundcrew_core::ports::SecretStore;

use crate::files;

/// Looks up an environment variable.
type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment, files, and a store of secrets.
pub struct Secrets {
    variable: Box<Variable>,
    store: Arc<dyn SecretStore>,
}

/// A secret that can't be read. The error names its location and never its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment lacks it.
    #[error("the environment variable {0} is not set")]
    Variable(String),
    /// The file can't be read.
    #[error("{location}: {source}")]
    File {
        /// Where it was to be found.
        location: SecretLocation,
        /// The location.
        source: io::Error,
    },
    /// Secrets Manager doesn't return it.
    #[error("{location}: {source}")]
    Store {
        /// The location.
        location: SecretLocation,
        /// The error of AWS.
        source: Box<AwsError>,
    },
    /// The secret isn't a JSON object with that field.
    #[error("{0}: expected a JSON object in which that field is a text")]
    Field(SecretLocation),
    /// It is empty, or has characters that a header field can't have.
    #[error("{0}: expected one line of visible ASCII characters")]
    InvalidCharacters(SecretLocation),
    /// It can't take the place of a placeholder in a URL.
    #[error("{places}: {source}")]
    NotUrlSafe {
        /// The location, or all locations if it was found in several.
        places: String,
        /// Why it can't be a part of the URL.
        source: UnfitSecret,
    },
}

impl SecretError {
    /// Whether a retry can help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Store { source, .. } if source.class.is_retryable())
    }
}

impl Secrets {
    /// Reads from this process's environment and a store.
    pub fn from_process_env(store: Arc<dyn SecretStore>) -> Self {
        Self::new(|name| std::env::var(name).ok(), store)
    }

    /// Reads from another environment and a store.
    pub fn new(
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        store: Arc<dyn SecretStore>,
    ) -> Self {
        Self { variable: Box::new(variable), store }
    }

    /// The secret as the value of a header field, including its prefix.
    pub(crate) async fn read(&self, secret: &HttpSecret) -> Result<Secret, SecretError> {
        let HttpSecret { prefix, location } = secret;
        let value = self.value(location).await?;
        let text = value.expose().trim_end_matches(['\r', '\n']);
        if text.is_empty() || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(SecretError::InvalidCharacters(location.clone()));
        }
        Ok(Secret::new(format!("{prefix}{text}")))
    }

    /// Drops a stored secret. Answers whether there was one.
    pub(crate) fn forget(&self, secret: &HttpSecret) -> bool {
        match &secret.location {
            SecretLocation::SecretsManager { id, .. } => {
                self.store.forget(id);
                true
            }
            SecretLocation::EnvironmentVariable(_) | SecretLocation::File(_) => false,
        }
    }

    async fn value(&self, location: &SecretLocation) -> Result<Secret, SecretError> {
        match location {
            SecretLocation::EnvironmentVariable(name) => (self.variable)(name)
                .map(Secret::new)
                .ok_or_else(|| SecretError::Variable(name.clone())),
            SecretLocation::File(path) => files::read_text(path, files::MAX_SECRET_BYTES)
                .map(Secret::new)
                .map_err(|source| SecretError::File { location: location.clone(), source }),
            SecretLocation::SecretsManager { id, field } => {
                let secret = self.store.secret(id).await.map_err(|source| SecretError::Store {
                    location: location.clone(),
                    source: Box::new(source),
                })?;
                match field {
                    None => Ok(secret),
                    Some(field) => json_field(&secret, field)
                        .ok_or_else(|| SecretError::Field(location.clone())),
                }
            }
        }
    }
}

/// The field of a secret that is a JSON object.
fn json_field(secret: &Secret, field: &str) -> Option<Secret> {
    let object: serde_json::Value = serde_json::from_str(secret.expose()).ok()?;
    object.get(field)?.as_str().map(Secret::new)
}
