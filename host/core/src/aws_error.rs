//! How to handle a failed AWS call or a failed Service Catalog record.

use std::fmt;

use crate::credentials;

/// How to handle an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Something else runs on the account or in the organization: wait. Does not count as an
    /// attempt.
    Contention,
    /// Too many calls: slow down. Does not count as an attempt.
    Throttled,
    /// A fault of the service or of the connection to it: retry with backoff.
    Transient,
    /// The caller lacks a permission.
    Denied,
    /// The requested resource does not exist.
    NotFound,
    /// It will not work however often it is retried.
    Permanent,
    /// An unknown error: retry, and count an attempt.
    Unknown,
}

impl ErrorClass {
    /// Whether waiting is enough.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Contention | Self::Throttled | Self::Transient)
    }
}

/// A call to AWS that failed, after the SDK's own retries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct AwsError {
    /// For example `UpdateProvisionedProduct`.
    pub operation: &'static str,
    /// The AWS error code, for example `ResourceInUseException`; empty if no response came.
    pub code: String,
    /// The AWS message, or what went wrong on the way.
    pub message: String,
    /// How to handle it.
    pub class: ErrorClass,
    /// Whether the call may have taken effect all the same: true if the response was lost.
    pub effect_possible: bool,
    /// Whether nothing was sent, because there are no AWS credentials. The message says what to do.
    pub without_credentials: bool,
}

impl AwsError {
    /// An error without an AWS code, of a call that had no effect.
    pub fn without_code(
        operation: &'static str,
        class: ErrorClass,
        message: impl Into<String>,
    ) -> Self {
        Self {
            operation,
            code: String::new(),
            message: message.into(),
            class,
            effect_possible: false,
            without_credentials: false,
        }
    }

    /// Whether the AWS credentials are missing or not valid. The text says what to do about them.
    pub fn needs_credentials(&self) -> bool {
        self.without_credentials || credentials::is_rejection(&self.code)
    }

    /// The message of AWS, without advice.
    pub fn summary(&self) -> String {
        let Self { operation, code, message, .. } = self;
        match code.as_str() {
            "" => format!("{operation}: {message}"),
            code => format!("{operation}: {code}: {message}"),
        }
    }

    /// Whether a permission is missing, and not the credentials.
    pub fn lacks_permission(&self) -> bool {
        self.class == ErrorClass::Denied
            && !self.code.is_empty()
            && !credentials::is_rejection(&self.code)
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        match credentials::is_rejection(&self.code) {
            true => write!(f, "; {}", credentials::RENEW_CREDENTIALS),
            false => Ok(()),
        }
    }
}

/// Error codes of throttling. From the SDKs' own retry classification, and the code of AWS Support
/// for too many cases in a short time.
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

/// Texts, in lower case, of failures that no retry fixes. Reported by users of other tools: the OU
/// is not enrolled in Control Tower; a stack of that name already exists.
const PERMANENT_TEXTS: &[&str] =
    &["is not enrolled in aws control tower", "already exists", "exists already"];

/// Endings of the names of exceptions, to recognise a name at the beginning of a text.
const EXCEPTION_SUFFIXES: [&str; 4] = ["Exception", "Error", "Failure", "Fault"];

/// Classifies an error by its code and text, whether a call returned it or a record has it in its
/// `RecordErrors`.
///
/// Control Tower has most of the relevant information only in the text: see [`is_busy`]. A code at
/// the beginning of the text replaces `code`, which then only says that something failed: see
/// [`leading_code`].
pub fn classify(code: &str, message: &str) -> ErrorClass {
    let code = leading_code(message).unwrap_or(code);
    let text = message.to_ascii_lowercase();
    let slow_down = text.contains("rate exceeded") && !text.contains("failure rate");
    if THROTTLING.contains(&code) || slow_down {
        return ErrorClass::Throttled;
    }
    if is_busy(&text) {
        return ErrorClass::Contention;
    }
    match code {
        "ResourceInUseException"
        | "ConcurrentModificationException"
        | "ConflictException"
        | "OperationInProgressException" => ErrorClass::Contention,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedException"
        | "AuthorizationErrorException"
        | "AuthorizationError"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        // AWS Support, without a support plan that includes its API. Documented, but not in its
        // model.
        | "SubscriptionRequiredException" => ErrorClass::Denied,
        "ResourceNotFoundException"
        | "AccountNotFoundException"
        | "TargetNotFoundException"
        | "OrganizationalUnitNotFoundException"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "QueueDoesNotExist"
        | "NotFoundException"
        | "NotFound" => ErrorClass::NotFound,
        "InternalServerError"
        | "InternalServerErrorException"
        | "InternalServerException"
        | "InternalServiceException"
        | "InternalFailure"
        | "InternalError"
        | "ServiceException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException" => ErrorClass::Transient,
        "InvalidParametersException"
        | "ValidationException"
        | "DuplicateResourceException"
        | "LimitExceededException"
        | "InvalidInputException" => ErrorClass::Permanent,
        _ if PERMANENT_TEXTS.iter().any(|known| text.contains(known)) => ErrorClass::Permanent,
        _ => ErrorClass::Unknown,
    }
}

/// The code at the beginning of a text, as in `ValidationException  The account …`,
/// `ResourceInUseException: Account …` or `An error occurred (ThrottlingException) when …`. Users
/// of AWS's samples and of Terraform report it there in Account Factory's records.
pub fn leading_code(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let text = text.strip_prefix("An error occurred (").unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(text.len());
    let (code, rest) = text.split_at(end);
    let named = THROTTLING.contains(&code)
        || EXCEPTION_SUFFIXES.iter().any(|end| {
            code.strip_suffix(end)
                .is_some_and(|kind| kind.starts_with(|c: char| c.is_ascii_uppercase()))
        });
    let parted = rest.is_empty() || rest.starts_with([':', ')', ' ', ',']);
    (named && parted).then_some(code)
}

/// Whether a text, in lower case, says that something else runs, or that the limit of concurrent
/// operations is reached. Its words and their order vary: "another AWS Control Tower operation is
/// in progress", "the allowed maximum of 5 concurrent account operations is exceeded", "the limit
/// is 10 concurrent operations", "UPDATE_IN_PROGRESS state".
fn is_busy(text: &str) -> bool {
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '\'')
        .filter(|word| !word.is_empty())
        .collect();
    let any = |known: &[&str]| words.iter().any(|word| known.contains(word));
    let pair = |first: &[&str], second: &str| {
        words.windows(2).any(|two| first.contains(&two[0]) && two[1] == second)
    };
    // A rollback follows a failure of the account's own operation.
    if words.iter().any(|word| word.starts_with("rollback") || word.contains("_rollback"))
        || pair(&["rolling", "rolled"], "back")
    {
        return false;
    }
    if any(CONCURRENCY_WORDS) && any(LIMIT_WORDS) && any(OPERATION_WORDS) {
        return true;
    }
    let runs = pair(&["in"], "progress")
        || pair(&["is", "are", "still", "already", "currently"], "running")
        || pair(&["already", "currently", "still"], "executing")
        || words.iter().any(|word| word.ends_with("_in_progress"));
    runs && (any(OTHER_WORDS) || any(RUNNING_WORDS))
}

/// Words for a limit of concurrent operations.
const CONCURRENCY_WORDS: &[&str] =
    &["concurrent", "concurrently", "simultaneous", "simultaneously", "parallel"];
const LIMIT_WORDS: &[&str] = &[
    "allowed",
    "cap",
    "exceed",
    "exceeded",
    "exceeding",
    "exceeds",
    "limit",
    "limits",
    "many",
    "max",
    "maximum",
    "quota",
    "reached",
];

/// Words for operations of Control Tower. Other services also have concurrency limits, such as
/// CodeBuild for its builds: an account that exceeds one of those has failed by itself.
const OPERATION_WORDS: &[&str] = &[
    "action",
    "actions",
    "execution",
    "executions",
    "operation",
    "operations",
    "request",
    "requests",
    "update",
    "updates",
];

/// Words that refer to another operation.
const OTHER_WORDS: &[&str] = &["another", "other", "previous", "different"];
const RUNNING_WORDS: &[&str] = &[
    "action",
    "actions",
    "activity",
    "change",
    "changes",
    "enrollment",
    "execution",
    "executions",
    "operation",
    "operations",
    "process",
    "provisioning",
    "request",
    "requests",
    "state",
    "update",
    "updates",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Texts that users of Account Factory have published, each with its class. Add a line for a
    /// text that is misclassified.
    #[rstest]
    // AWS's sample that creates accounts in a batch (issue 9), with its two blanks.
    #[case(
        "",
        "ResourceInUseException  Account Factory cannot create this enrolled account right now, because another execution is in progress. Try again later.",
        ErrorClass::Contention
    )]
    // Account Factory for Terraform (issue 363).
    #[case(
        "InvalidParametersException",
        "Account Factory cannot complete an operation on this account, because another AWS Control Tower operation is in progress. Try again later.",
        ErrorClass::Contention
    )]
    // The documentation of limits of a Terraform module: at the quota.
    #[case(
        "",
        "ResourceInUseException: Account Factory cannot complete an operation on this account, because the allowed maximum of 5 concurrent account operations is exceeded. Try again later.",
        ErrorClass::Contention
    )]
    #[case(
        "ValidationException",
        "Account Factory cannot complete an operation on this account, because the allowed maximum of 10 concurrent account operations is exceeded. Try again later.",
        ErrorClass::Contention
    )]
    // Landing Zone Accelerator's tests.
    #[case(
        "ConflictException",
        "AWS Control Tower cannot begin landing zone setup while another execution is in progress.",
        ErrorClass::Contention
    )]
    #[case(
        "InvalidParametersException",
        "AWS Control Tower could not complete because another AWS Control Tower operation is in progress. Try again later.",
        ErrorClass::Contention
    )]
    #[case(
        "",
        "ResourceInUseException: operation failed because another execution is in progress",
        ErrorClass::Contention
    )]
    // Baselines, by Control Tower's own model.
    #[case(
        "ServiceQuotaExceededException",
        "You have reached the limit. The limit is 10 concurrent operations",
        ErrorClass::Contention
    )]
    // CloudFormation, below Control Tower.
    #[case(
        "OperationInProgressException",
        "Another Operation on StackSet arn:aws:cloudformation:us-east-1:111122223333:stackset/AWSControlTowerBP is in progress",
        ErrorClass::Contention
    )]
    #[case(
        "ValidationError",
        "Stack:arn:aws:cloudformation:us-east-1:111122223333:stack/SC-1/2 is in UPDATE_IN_PROGRESS state and can not be updated.",
        ErrorClass::Contention
    )]
    #[case("ResourceInUseException", "busy", ErrorClass::Contention)]
    #[case("ResourceUpdateFailed", "ResourceInUseException", ErrorClass::Contention)]
    // Account Factory for Terraform (issue 74): the wording of Organizations.
    #[case(
        "TooManyRequestsException",
        "AWS Organizations can't complete your request because another request is already in progress. Try again later.",
        ErrorClass::Throttled
    )]
    #[case("ThrottlingException", "Rate exceeded", ErrorClass::Throttled)]
    #[case("TooManyRequestsException", "", ErrorClass::Throttled)]
    #[case("", "ThrottlingException: slow down", ErrorClass::Throttled)]
    #[case(
        "",
        "An error occurred (ThrottlingException) when calling the DescribeCases operation",
        ErrorClass::Throttled
    )]
    #[case("InternalServerError", "", ErrorClass::Transient)]
    #[case("ResourceUpdateFailed", "InternalFailure  Try again later.", ErrorClass::Transient)]
    #[case("AccessDeniedException", "You don't have permissions", ErrorClass::Denied)]
    #[case("ResourceNotFoundException", "No launch paths found for resource", ErrorClass::NotFound)]
    // Many users, for example of Account Factory for Terraform.
    #[case(
        "InvalidParametersException",
        "The parent organizational unit 'Custom' is not enrolled in AWS Control Tower.",
        ErrorClass::Permanent
    )]
    #[case(
        "",
        "ValidationException  The parent organizational unit 'Custom' could not be found.",
        ErrorClass::Permanent
    )]
    // Account Factory for Terraform (issue 19).
    #[case(
        "InvalidParametersException",
        "A stack named production-aft already exists.",
        ErrorClass::Permanent
    )]
    #[case("", "A stack named StackSet-AWSControlTower already exists", ErrorClass::Permanent)]
    // Tools that read a landing zone that is not set up.
    #[case(
        "",
        "ValidationException: AWS Control Tower could not complete the operation because it could not assume the 'AWSControlTowerAdmin' role. Check the configuration for this role and try again.",
        ErrorClass::Permanent
    )]
    #[case(
        "LimitExceededException",
        "You have exceeded the allowed number of AWS accounts.",
        ErrorClass::Permanent
    )]
    #[case("", "AWS Control Tower failed to set up your landing zone.", ErrorClass::Unknown)]
    #[case(
        "",
        "AWS Control Tower failed to deploy one or more stack set instances: StackSet Id: AWSControlTowerBP-VPC-ACCOUNT-FACTORY-V1",
        ErrorClass::Unknown
    )]
    #[case(
        "",
        "AWS Control Tower could not enroll your account for the following reason: AWS Control Tower requires that you configure an IAM Identity Center directory as an identity source for your management account.",
        ErrorClass::Unknown
    )]
    // Limits of other services, below Control Tower (a response of CodeBuild).
    #[case(
        "",
        "InvalidInputException: Project-level concurrent build limit cannot exceed the account-level concurrent build limit of 1",
        ErrorClass::Permanent
    )]
    #[case(
        "",
        "Resource handler returned message: the concurrent executions limit of functions is exceeded. Rollback requested.",
        ErrorClass::Unknown
    )]
    #[case("", "The stack set's failure rate exceeded its tolerance.", ErrorClass::Unknown)]
    // The account's own failure, which is being rolled back.
    #[case("", "The operation failed and its rollback is in progress.", ErrorClass::Unknown)]
    #[case("", "Stack is in UPDATE_ROLLBACK_IN_PROGRESS state", ErrorClass::Unknown)]
    #[case("", "The account has 5 concurrent sessions.", ErrorClass::Unknown)]
    fn reported_texts_are_told_apart(
        #[case] code: &str,
        #[case] text: &str,
        #[case] class: ErrorClass,
    ) {
        assert_eq!(classify(code, text), class);
    }

    #[rstest]
    #[case("ValidationException  The account", Some("ValidationException"))]
    #[case("  ResourceInUseException: x", Some("ResourceInUseException"))]
    #[case("Throttling: x", Some("Throttling"))]
    #[case(
        "AWS.SimpleQueueService.NonExistentError: x",
        Some("AWS.SimpleQueueService.NonExistentError")
    )]
    #[case("ValidationException", Some("ValidationException"))]
    #[case("An error occurred (SlowDown) when", Some("SlowDown"))]
    #[case("Error: waiting", None)]
    #[case("Exceptions are rare", None)]
    #[case("ValidationException's text", None)]
    #[case("AWS Control Tower failed", None)]
    #[case("", None)]
    fn a_code_may_stand_at_the_beginning(#[case] text: &str, #[case] code: Option<&str>) {
        assert_eq!(leading_code(text), code);
    }

    fn codes() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "",
            "InvalidParametersException",
            "ValidationException",
            "ResourceUpdateFailed",
            "InternalFailure",
        ])
    }

    proptest! {
        /// Whatever the number, the order of the words and the code, a used-up quota is contention.
        #[test]
        fn a_quota_that_is_used_up_is_contention(
            code in codes(),
            leading in prop::sample::select(vec![
                "", "ResourceInUseException  ", "ResourceInUseException: ", "ValidationException  ",
            ]),
            number in 1..100_u32,
            kind in prop::sample::select(vec!["concurrent", "simultaneous", "parallel"]),
            what in prop::sample::select(vec!["account operations", "operations", "account factory actions"]),
            form in 0..4_u8,
        ) {
            let text = match form {
                0 => format!("the allowed maximum of {number} {kind} {what} is exceeded"),
                1 => format!("Maximum number of {kind} {what} ({number}) reached."),
                2 => format!("You can run at most {number} {kind} {what}: quota exceeded"),
                _ => format!("Too many {kind} {what}. The limit is {number}."),
            };
            prop_assert_eq!(classify(code, &format!("{leading}{text}")), ErrorClass::Contention);
        }

        /// Whatever runs, and however the text says so, it is contention.
        #[test]
        fn another_operation_is_contention(
            code in codes(),
            who in prop::sample::select(vec!["another", "Another", "an other", "a different"]),
            what in prop::sample::select(vec![
                "AWS Control Tower operation", "execution", "update", "account factory process",
            ]),
            runs in prop::sample::select(vec![
                "is in progress", "is already running", "is currently in progress", "is still running",
            ]),
        ) {
            let text = format!("Account Factory cannot continue, because {who} {what} {runs}.");
            prop_assert_eq!(classify(code, &text), ErrorClass::Contention);
        }

        /// Every text has a class.
        #[test]
        fn any_text_has_a_class(code in ".*", text in ".*") {
            classify(&code, &text);
            leading_code(&text);
        }
    }
}
