//! AWS credentials that are missing or no good: how that is known, and what to do about it.

use std::error::Error;

/// What to do where there are none.
pub const GIVE_SOME: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                             run where a role gives them";

/// What to do where AWS does not take them, or where they can't be had.
pub const GET_NEW_ONES: &str = "get new credentials, for example by `aws sso login`, and look that \
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
pub fn are_rejected(code: &str) -> bool {
    REJECTED.contains(&code)
}

/// What is said where there are none.
pub fn missing() -> String {
    format!("no AWS credentials were found: {GIVE_SOME}")
}

/// What is said where they can't be had, as when a login is over.
pub fn unavailable(why: &str) -> String {
    format!("the AWS credentials can't be had: {why}; {GET_NEW_ONES}")
}

/// An error and its causes.
pub fn chain<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What an error says, and what it says of its causes.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
