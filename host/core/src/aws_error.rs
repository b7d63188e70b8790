//! What a failed AWS call, or a failed Service Catalog record, means for what to do next.

use std::fmt;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Something else runs on the account or in the organization: wait. Costs no attempt.
    Contention,
    /// Too many calls: slow down. Costs no attempt.
    Throttled,
    /// A fault of the service or of the way to it: try again with backoff.
    Transient,
    /// The caller lacks a permission.
    Denied,
    /// What was asked for does not exist.
    NotFound,
    /// It will not work however often it is tried.
    Permanent,
    /// Nothing that is known: try again, and spend an attempt.
    Unknown,
}

impl Class {
    /// Whether waiting is all it takes.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Contention | Self::Throttled | Self::Transient)
    }
}

/// A call to AWS that failed, after the SDK's own retries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct AwsError {
    /// For example `UpdateProvisionedProduct`.
    pub operation: &'static str,
    /// The AWS error code, for example `ResourceInUseException`; empty when no answer came.
    pub code: String,
    /// The AWS message, or what went wrong on the way.
    pub message: String,
    /// What to do about it.
    pub class: Class,
    /// Whether the call may have taken effect all the same: true when the answer was lost.
    pub effect_possible: bool,
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)
    }
}

/// Codes by which AWS services throttle. From the SDKs' own retry classification; and AWS
/// Support's way of saying that there were too many cases lately.
const THROTTLING: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "ProvisionedThroughputExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "CaseCreationLimitExceeded",
];

/// Texts, in lower case, of failures that no repetition mends. Reported by users of other
/// tools: the OU is not enrolled in Control Tower; a stack of that name is in the way.
const PERMANENT_TEXTS: &[&str] =
    &["is not enrolled in aws control tower", "already exists", "exists already"];

/// Classifies an error by its code and text, whether a call answered it or a record
/// carries it in its `RecordErrors`.
///
/// Control Tower tells most of what matters in the text alone. The texts are those that
/// AWS users have reported: contention says that *another* operation or execution "is in
/// progress".
pub fn classify(code: &str, message: &str) -> Class {
    let text = message.to_ascii_lowercase();
    if THROTTLING.contains(&code) || text.contains("rate exceeded") {
        return Class::Throttled;
    }
    let busy = text.contains("in progress") && text.contains("another");
    if busy || code == "ResourceInUseException" || code == "ConcurrentModificationException" {
        return Class::Contention;
    }
    match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedException"
        | "AuthorizationErrorException"
        | "AuthorizationError"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        // AWS Support, without a plan that has its API. Documented, but not in its model.
        | "SubscriptionRequiredException" => Class::Denied,
        "ResourceNotFoundException"
        | "AccountNotFoundException"
        | "TargetNotFoundException"
        | "OrganizationalUnitNotFoundException"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "QueueDoesNotExist"
        | "NotFoundException"
        | "NotFound" => Class::NotFound,
        "InternalServerError"
        | "InternalServerErrorException"
        | "InternalServerException"
        | "InternalFailure"
        | "InternalError"
        | "ServiceException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException" => Class::Transient,
        "InvalidParametersException"
        | "ValidationException"
        | "DuplicateResourceException"
        | "LimitExceededException"
        | "InvalidInputException" => Class::Permanent,
        _ if PERMANENT_TEXTS.iter().any(|known| text.contains(known)) => Class::Permanent,
        _ => Class::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "InvalidParametersException",
        "AWS Control Tower could not complete because another AWS Control Tower operation is in progress. Try again later.",
        Class::Contention
    )]
    #[case(
        "",
        "ResourceInUseException: operation failed because another execution is in progress",
        Class::Contention
    )]
    #[case("ResourceInUseException", "busy", Class::Contention)]
    #[case("ThrottlingException", "Rate exceeded", Class::Throttled)]
    #[case("TooManyRequestsException", "", Class::Throttled)]
    #[case("InternalServerError", "", Class::Transient)]
    #[case("AccessDeniedException", "You don't have permissions", Class::Denied)]
    #[case("ResourceNotFoundException", "No launch paths found for resource", Class::NotFound)]
    #[case(
        "InvalidParametersException",
        "The parent organizational unit 'Custom' is not enrolled in AWS Control Tower.",
        Class::Permanent
    )]
    #[case("", "A stack named StackSet-AWSControlTower already exists", Class::Permanent)]
    #[case("", "AWS Control Tower failed to set up your landing zone.", Class::Unknown)]
    fn reported_texts_are_told_apart(#[case] code: &str, #[case] text: &str, #[case] class: Class) {
        assert_eq!(classify(code, text), class);
    }
}
