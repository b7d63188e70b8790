//! Errors of a DynamoDB table, and how to fix them.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use groundcrew_core::aws_error::{ErrorClass, classify};
use groundcrew_core::credentials;

use crate::store::StoreError;

/// The codes for which DynamoDB cancels a transaction that may succeed the next time; `None` is the
/// code of the writes in it that did not fail.
const RETRYABLE: &[&str] = &[
    "None",
    "ConditionalCheckFailed",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

/// A table, as errors name it.
#[derive(Clone, Debug)]
pub(crate) struct DynamoTable {
    pub(crate) name: String,
    pub(crate) region: String,
}

impl fmt::Display for DynamoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamoDB table `{}` in {}", self.name, self.region)
    }
}

impl DynamoTable {
    /// A call that failed, after the SDK's own retries. `permissions` are those that the call
    /// needs.
    pub(crate) fn failed<E>(
        &self,
        permissions: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match error.as_service_error() {
            Some(answer) => {
                let code = answer.code().unwrap_or_default();
                let message = answer.message().unwrap_or_default();
                self.refused(permissions, code, message)
            }
            None => self.no_answer_text(error),
        }
    }

    /// A call that DynamoDB refused.
    pub(crate) fn refused(&self, permissions: &str, code: &str, message: &str) -> StoreError {
        let answer = format!("{self}: {code}: {message}");
        if credentials::is_rejection(code) {
            return StoreError::Credentials(format!(
                "{answer}; {}",
                credentials::RENEW_CREDENTIALS
            ));
        }
        let name = &self.name;
        let advice = match classify(code, message) {
            ErrorClass::Denied => format!("; allow {permissions} on the table"),
            ErrorClass::NotFound => format!(
                "; create it there: aws dynamodb create-table --table-name {name} \
                 --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S \
                 --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE \
                 --billing-mode PAY_PER_REQUEST"
            ),
            ErrorClass::Throttled => {
                "; give the table on-demand capacity, or more of its own".to_owned()
            }
            _ if message.contains("key") => {
                "; the table's keys have to be `pk` and `sk`, both strings".to_owned()
            }
            _ => String::new(),
        };
        StoreError::Table(format!("{answer}{advice}"))
    }

    /// A call that DynamoDB did not answer: the cause, and how to fix it.
    fn no_answer_text(&self, error: &(dyn Error + 'static)) -> StoreError {
        let of_credentials = credentials::error_chain(error).find_map(|cause| cause.downcast_ref());
        match of_credentials {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                StoreError::Credentials(format!("{self}: {}", credentials::missing_message()))
            }
            Some(other) => {
                let why = credentials::error_chain_text(other);
                StoreError::Credentials(format!(
                    "{self}: {}",
                    credentials::unavailable_message(&why)
                ))
            }
            None => StoreError::Table(format!("{self}: {}", credentials::error_chain_text(error))),
        }
    }

    /// A transaction that DynamoDB cancelled: an error unless it may succeed the next time.
    pub(crate) fn canceled(
        &self,
        permissions: &str,
        canceled: &TransactionCanceledException,
    ) -> Result<(), StoreError> {
        for reason in canceled.cancellation_reasons() {
            let code = reason.code().unwrap_or("None");
            if !RETRYABLE.contains(&code) {
                let message = reason.message().unwrap_or_default();
                return Err(self.refused(permissions, code, message));
            }
        }
        Ok(())
    }

    /// An item that was not written by groundcrew.
    pub(crate) fn foreign_item(&self) -> StoreError {
        StoreError::ForeignItem(format!(
            "{self}: expected items with the strings `pk`, `sk` and `value` and the number \
             `version`, found another: give groundcrew a table of its own"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::CancellationReason;
    use rstest::rstest;

    fn table() -> DynamoTable {
        DynamoTable { name: "ledger".into(), region: "eu-central-1".into() }
    }

    #[rstest]
    #[case::denied(
        "AccessDeniedException",
        "User is not authorized",
        "; allow dynamodb:Query on the table"
    )]
    #[case::expired(
        "ExpiredTokenException",
        "The security token included in the request is expired",
        &format!("; {}", credentials::RENEW_CREDENTIALS)
    )]
    #[case::throttled(
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded",
        "; give the table on-demand capacity, or more of its own"
    )]
    #[case::other_keys(
        "ValidationException",
        "The provided key element does not match the schema",
        "; the table's keys have to be `pk` and `sk`, both strings"
    )]
    #[case::too_large("ValidationException", "Item size has exceeded the maximum allowed size", "")]
    fn a_refusal_says_what_to_do(#[case] code: &str, #[case] message: &str, #[case] advice: &str) {
        let error = table().refused("dynamodb:Query", code, message);
        assert_eq!(matches!(error, StoreError::Credentials(_)), code == "ExpiredTokenException");
        assert_eq!(
            error.to_string(),
            format!("DynamoDB table `ledger` in eu-central-1: {code}: {message}{advice}")
        );
    }

    #[rstest]
    #[case::condition(&["None", "ConditionalCheckFailed"], None)]
    #[case::conflict(&["TransactionConflict", "None"], None)]
    #[case::throttled(&["ThrottlingError", "ConditionalCheckFailed"], None)]
    #[case::denied(&["ConditionalCheckFailed", "AccessDenied"], Some("AccessDenied"))]
    #[case::too_large(&["ValidationError", "None"], Some("ValidationError"))]
    fn a_cancelled_transaction_may_work_the_next_time(
        #[case] codes: &[&str],
        #[case] for_good: Option<&str>,
    ) {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build());
        let canceled = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.collect()))
            .build();
        let error = table().canceled("dynamodb:PutItem", &canceled).err();
        assert_eq!(error.is_some(), for_good.is_some());
        for (error, code) in error.into_iter().zip(for_good) {
            assert!(error.to_string().contains(code), "{error}");
        }
    }
}
