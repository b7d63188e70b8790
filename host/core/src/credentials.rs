//! Missing or invalid AWS credentials: how they are recognised, and what to do about them.

use std::error::Error;

/// What to do if there are none.
pub const PROVIDE_CREDENTIALS: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                             run where a role gives them";

/// What to do if AWS rejects them, or if they can't be loaded.
pub const RENEW_CREDENTIALS: &str = "get new credentials, for example by `aws sso login`, and \
                                check that this machine's clock is right and the Region enabled \
                                in the account";

/// Codes with which AWS rejects the credentials themselves.
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

/// Whether this code means that AWS rejects the credentials themselves.
pub fn is_rejection(code: &str) -> bool {
    REJECTED.contains(&code)
}

/// The message if there are none.
pub fn missing_message() -> String {
    format!("no AWS credentials were found: {PROVIDE_CREDENTIALS}")
}

/// The message if they can't be loaded, for example after the end of a login.
pub fn unavailable_message(why: &str) -> String {
    format!("the AWS credentials can't be had: {why}; {RENEW_CREDENTIALS}")
}

/// An error and its causes.
pub fn error_chain<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The message of an error, and those of its causes.
pub fn error_chain_text(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = error_chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
