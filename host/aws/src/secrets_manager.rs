//! Core's store of secrets on AWS Secrets Manager.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::http::Secret;
use groundcrew_core::ports::SecretStore;
use tokio::time::Instant;

use crate::error::{check_echo, read_error, unexpected};

/// How long a secret is cached. A rotated secret is read after that, or when the other system
/// rejects the cached one. Every read costs money and counts against the quota of the account.
const CACHE_TTL: Duration = Duration::from_secs(5 * 60);

/// Secrets of AWS Secrets Manager, cached for five minutes.
#[derive(Debug)]
pub struct SecretsManager {
    client: Client,
    cache: Mutex<HashMap<String, (Instant, Secret)>>,
}

impl SecretsManager {
    /// Reads through this client.
    pub fn new(client: Client) -> Self {
        Self { client, cache: Mutex::default() }
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<String, (Instant, Secret)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SecretStore for SecretsManager {
    async fn secret(&self, id: &str) -> Result<Secret, AwsError> {
        const OPERATION: &str = "GetSecretValue";
        if let Some((since, secret)) = self.cache().get(id)
            && since.elapsed() < CACHE_TTL
        {
            return Ok(secret.clone());
        }
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| read_error(OPERATION, error))?;
        if !matches_id(answer.name(), answer.arn(), id) {
            check_echo(OPERATION, "Name", answer.name(), id)?;
        }
        let secret = answer.secret_string.map(Secret::new).ok_or_else(|| {
            unexpected(OPERATION, ErrorClass::Permanent, "the secret is binary: expected a text")
        })?;
        self.cache().insert(id.to_owned(), (Instant::now(), secret.clone()));
        Ok(secret)
    }

    fn forget(&self, id: &str) {
        self.cache().remove(id);
    }
}

/// Whether this is the requested secret, by its name or its ARN. The ARN may lack the hyphen and
/// the six characters that AWS adds to the name.
fn matches_id(name: Option<&str>, arn: Option<&str>, id: &str) -> bool {
    let added = |rest: &str| rest.is_empty() || rest.len() == 7 && rest.starts_with('-');
    match id.starts_with("arn:") {
        true => arn.and_then(|arn| arn.strip_prefix(id)).is_some_and(added),
        false => name == Some(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:groundcrew/cmdb-a1B2c3";

    #[rstest]
    #[case("groundcrew/cmdb", true)]
    #[case(ARN, true)]
    #[case("arn:aws:secretsmanager:us-east-1:123456789012:secret:groundcrew/cmdb", true)]
    #[case("arn:aws:secretsmanager:us-east-1:123456789012:secret:groundcrew/cm", false)]
    #[case("arn:aws:secretsmanager:eu-west-1:123456789012:secret:groundcrew/cmdb", false)]
    #[case("groundcrew/cmd", false)]
    #[case("groundcrew/slack", false)]
    fn secrets_by_name_and_arn(#[case] id: &str, #[case] is_it: bool) {
        assert_eq!(matches_id(Some("groundcrew/cmdb"), Some(ARN), id), is_it);
    }
}
