//! AWS credentials that are missing or no good: how that is known, and what to do about it.

use std::error::Error;

/// What to do where there are none.
pub const PROVIDE_CREDENTIALS: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                             run where a role gives them";

/// What to do where AWS does not take them, or where they can't be had.
pub const RENEW_CREDENTIALS: &str = "get new credentials, for example by `aws sso login`, and look that \
                                this machine's clock is right and the Region enabled in the account";

/// Codes by which AWS rejects the credentials themselves.
const REJECTED: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Whether AWS rejects the credentials themselves by this code.
pub fn is_rejection(code: &str) -> bool {
    REJECTED.contains(&code)
}

/// What is said where there are none.
pub fn missing_message() -> String {
    format!("no AWS credentials were found: {PROVIDE_CREDENTIALS}")
}

/// What is said where they can't be had, as when a login is over.
pub fn unavailable_message(why: &str) -> String {
    format!("the AWS credentials can't be had: {why}; {RENEW_CREDENTIALS}")
}

/// An error and its causes.
pub fn error_chain<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What an error says, and what it says of its causes.
pub fn error_chain_text(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = error_chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
