//! Failed reads, and what they mean.

use std::time::Duration;

use super::{Check, Finding};
use crate::aws_error::{AwsError, ErrorClass};
use crate::credentials;

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadFailure {
    /// The required permission, for example `sqs:GetQueueAttributes`.
    pub action: String,
    /// The kind of failure.
    pub reason: ReadFailureReason,
    /// The error message.
    pub message: String,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFailureReason {
    /// There are no credentials.
    NoCredentials,
    /// AWS does not accept the credentials.
    Rejected,
    /// The caller lacks the permission.
    Denied,
    /// The requested resource does not exist.
    Absent,
    /// The account has no support plan with the API.
    NoSupportPlan,
    /// Too many calls, on every retry.
    Throttled,
    /// No response came.
    Unreachable,
    /// There was more to read than there was time for.
    TooSlow,
    /// Something else.
    Other,
}

impl ReadFailure {
    /// From the error of a call. `service` is the prefix of the permissions of the service.
    pub fn from_aws_error(service: &str, error: &AwsError) -> Self {
        let reason = match error.class {
            _ if credentials::is_rejection(&error.code) => ReadFailureReason::Rejected,
            _ if error.code == "SubscriptionRequiredException" => ReadFailureReason::NoSupportPlan,
            ErrorClass::Denied => ReadFailureReason::Denied,
            ErrorClass::NotFound => ReadFailureReason::Absent,
            ErrorClass::Throttled => ReadFailureReason::Throttled,
            ErrorClass::Transient if error.code.is_empty() => ReadFailureReason::Unreachable,
            _ => ReadFailureReason::Other,
        };
        Self { action: format!("{service}:{}", error.operation), reason, message: error.summary() }
    }

    /// There are no credentials.
    pub fn no_credentials(action: &str, message: impl Into<String>) -> Self {
        Self {
            action: action.to_owned(),
            reason: ReadFailureReason::NoCredentials,
            message: message.into(),
        }
    }

    /// Reading was stopped after this time.
    pub fn too_slow(action: String, patience: Duration) -> Self {
        let message = format!("{action} has not ended within {} s", patience.as_secs());
        Self { action, reason: ReadFailureReason::TooSlow, message }
    }

    /// A finding about something that groundcrew can't work without.
    pub(super) fn required_finding(&self, check: Check) -> Finding {
        match self.reason {
            ReadFailureReason::Throttled | ReadFailureReason::TooSlow => {
                self.optional_finding(check)
            }
            _ => Finding::failed(check, self.found(), self.fix()),
        }
    }

    /// A finding about something that only the doctor reads.
    pub(super) fn optional_finding(&self, check: Check) -> Finding {
        match self.reason {
            ReadFailureReason::NoCredentials | ReadFailureReason::Rejected => {
                Finding::failed(check, self.found(), self.fix())
            }
            _ => Finding::unknown(check, self.found(), self.fix()),
        }
    }

    fn found(&self) -> String {
        match self.reason {
            ReadFailureReason::NoCredentials => format!("there are none: {}", self.message),
            ReadFailureReason::Rejected => format!("AWS rejects the credentials: {}", self.message),
            ReadFailureReason::Unreachable => format!("no answer from AWS: {}", self.message),
            // The caller, and the text that the fix repeats, are left out.
            ReadFailureReason::Denied => match self.denial() {
                Some((_, why)) => format!("denied {why}"),
                None => self.message.clone(),
            },
            _ => self.message.clone(),
        }
    }

    /// What AWS denied, and why, if the message has its usual form: `User: … is not authorized to
    /// perform: ACTION on resource: … because …`.
    fn denial(&self) -> Option<(&str, &str)> {
        let (_, rest) = self.message.split_once("is not authorized to perform: ")?;
        let action = rest.split_whitespace().next()?;
        let why = rest.find(" because ").or_else(|| rest.find(" with an explicit deny"))?;
        Some((action, rest[why..].trim()))
    }

    fn fix(&self) -> String {
        let text = self.message.to_ascii_lowercase();
        // It may be another one, for example for a key.
        let action = match self.denial() {
            Some((denied, _)) if !denied.eq_ignore_ascii_case(&self.action) => denied,
            _ => &self.action,
        };
        match self.reason {
            ReadFailureReason::NoCredentials => credentials::PROVIDE_CREDENTIALS.to_owned(),
            ReadFailureReason::Rejected => credentials::RENEW_CREDENTIALS.to_owned(),
            ReadFailureReason::Denied if text.contains("service control policy") => {
                format!(
                    "a service control policy of the organization denies {action}: exempt the role there"
                )
            }
            ReadFailureReason::Denied if text.contains("permissions boundary") => {
                format!("allow {action} in the permissions boundary of the role")
            }
            ReadFailureReason::Denied if text.contains("explicit deny") => {
                format!("take the explicit deny of {action} out of the role's policies")
            }
            ReadFailureReason::Denied => {
                format!("allow {action} to the role that groundcrew runs as")
            }
            ReadFailureReason::Throttled => {
                "AWS throttled every try: run this again in a minute".to_owned()
            }
            ReadFailureReason::Unreachable => {
                let service = action.split(':').next().unwrap_or_default();
                format!(
                    "let this machine reach the endpoint of {service}: its network, HTTPS_PROXY, \
                     a VPC endpoint, or AWS_ENDPOINT_URL"
                )
            }
            ReadFailureReason::NoSupportPlan => {
                "the AWS Support API comes with the support plans Business, Enterprise On-Ramp \
                 and Enterprise: subscribe the account to one, or take away the notifiers that \
                 open cases"
                    .to_owned()
            }
            ReadFailureReason::TooSlow => {
                "run this again when less is going on: AWS answers slowly, or there is much to list"
                    .to_owned()
            }
            ReadFailureReason::Absent | ReadFailureReason::Other => {
                format!(
                    "run this again; if it stays, AWS's documentation of {action} has the error"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use crate::aws_error::classify;
    use rstest::rstest;

    fn read_failure(code: &str, message: &str, class: ErrorClass) -> ReadFailure {
        let error = AwsError {
            code: code.to_owned(),
            ..AwsError::without_code("GetThing", class, message)
        };
        ReadFailure::from_aws_error("service", &error)
    }

    #[rstest]
    #[case(
        "AccessDeniedException",
        "no",
        ReadFailureReason::Denied,
        "allow service:GetThing to the role"
    )]
    #[case(
        "AuthorizationError",
        "no",
        ReadFailureReason::Denied,
        "allow service:GetThing to the role"
    )]
    #[case(
        "AccessDeniedException",
        "with an explicit deny in a service control policy",
        ReadFailureReason::Denied,
        "a service control policy of the organization denies service:GetThing"
    )]
    #[case(
        "AccessDenied",
        "because no permissions boundary allows the action",
        ReadFailureReason::Denied,
        "in the permissions boundary"
    )]
    #[case(
        "AccessDenied",
        "with an explicit deny",
        ReadFailureReason::Denied,
        "take the explicit deny"
    )]
    #[case("ExpiredTokenException", "", ReadFailureReason::Rejected, "get new credentials")]
    #[case("UnrecognizedClientException", "", ReadFailureReason::Rejected, "the Region enabled")]
    #[case(
        "ThrottlingException",
        "Rate exceeded",
        ReadFailureReason::Throttled,
        "again in a minute"
    )]
    #[case(
        "SubscriptionRequiredException",
        "",
        ReadFailureReason::NoSupportPlan,
        "support plans Business"
    )]
    #[case(
        "ValidationException",
        "",
        ReadFailureReason::Other,
        "AWS's documentation of service:GetThing"
    )]
    fn each_error_has_its_fix(
        #[case] code: &str,
        #[case] message: &str,
        #[case] reason: ReadFailureReason,
        #[case] fix: &str,
    ) {
        let read_failure = read_failure(code, message, classify(code, message));
        assert_eq!(read_failure.reason, reason);
        let finding = read_failure.required_finding(Check::Topic);
        assert!(finding.fix.as_ref().unwrap().contains(fix), "{finding:?}");
        let throttled = reason == ReadFailureReason::Throttled;
        let status = if throttled { Status::Unknown } else { Status::Failed };
        assert_eq!(finding.status, status);
    }

    #[rstest]
    #[case("service:getthing", "allow service:GetThing to")]
    #[case("kms:Decrypt", "allow kms:Decrypt to")]
    fn a_denial_is_told_in_short(#[case] action: &str, #[case] fix: &str) {
        let message = format!(
            "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: {action} on \
             resource: arn:aws:x because no identity-based policy allows it"
        );
        let finding = read_failure("AccessDenied", &message, ErrorClass::Denied)
            .required_finding(Check::Topic);
        assert_eq!(finding.found, "denied because no identity-based policy allows it");
        assert!(finding.fix.as_ref().unwrap().contains(fix), "{finding:?}");
    }

    #[test]
    fn what_never_answers_names_the_service() {
        let read_failure = read_failure("", "connection refused", ErrorClass::Transient);
        assert_eq!(read_failure.reason, ReadFailureReason::Unreachable);
        let finding = read_failure.required_finding(Check::Topic);
        assert_eq!(finding.found, "no answer from AWS: GetThing: connection refused");
        assert!(finding.fix.unwrap().contains("the endpoint of service"));
    }

    #[test]
    fn what_only_a_doctor_asks_fails_nothing() {
        let denied = read_failure("AccessDeniedException", "no", ErrorClass::Denied);
        assert_eq!(denied.optional_finding(Check::Topic).status, Status::Unknown);
        let expired = read_failure("ExpiredToken", "", ErrorClass::Unknown);
        assert_eq!(expired.optional_finding(Check::Topic).status, Status::Failed);
    }
}
