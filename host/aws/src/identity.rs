//! The identity of the caller.

use crate::clients::Clients;

/// ARN of the caller. For a role: `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`. `None` if AWS
/// can't be reached or rejects the credentials. The call to STS needs no permission
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
pub async fn caller_arn(clients: &Clients) -> Option<String> {
    match clients.sts.get_caller_identity().send().await {
        Ok(caller) => caller.arn,
        Err(error) => {
            tracing::warn!(error = %groundcrew_core::credentials::error_chain_text(&error), "who calls can't be asked of STS");
            None
        }
    }
}
