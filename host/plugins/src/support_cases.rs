//! The capability `support-cases`: AWS Support cases that the host opens for a notifier.

use std::fmt;
use std::sync::Arc;

use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::ports::SupportCases;
use groundcrew_core::support_case::SupportCase;

use crate::bindings::groundcrew::plugin::types::{Failure, FailureKind};
use crate::convert::truncate;

/// Calls of `support-cases` that a plugin may make during one delivery. At most one of them opens a
/// case. The others are for plugins that try another severity, for example.
const MAX_CALLS: u32 = 4;
/// Bytes that are repeated of a service code that isn't granted: AWS's own codes are shorter.
const MAX_CODE: usize = 100;

/// What a notifier is granted of AWS Support.
#[derive(Clone)]
pub struct SupportGrant {
    /// Opens the cases.
    pub cases: Arc<dyn SupportCases>,
    /// The service codes that the cases may have.
    pub service_codes: Vec<String>,
}

impl fmt::Debug for SupportGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupportGrant")
            .field("service_codes", &self.service_codes)
            .finish_non_exhaustive()
    }
}

/// The state of the grant in one instance.
pub(crate) struct SupportCapability {
    grant: Arc<SupportGrant>,
    /// The notification that is being delivered; `None` while the plugin is loaded.
    notification_key: Option<NotificationKey>,
    calls: u32,
    /// Whether there may be a case that the plugin's result doesn't mention.
    effect_possible: bool,
}

impl SupportCapability {
    pub(crate) fn new(grant: Arc<SupportGrant>) -> Self {
        Self { grant, notification_key: None, calls: 0, effect_possible: false }
    }

    /// Starts the delivery of a notification.
    pub(crate) fn begin_delivery(&mut self, key: &NotificationKey) {
        self.notification_key = Some(key.clone());
    }

    /// Whether a case was opened, or may have been.
    pub(crate) fn effect_possible(&self) -> bool {
        self.effect_possible
    }

    /// Opens a case for the notification that is being delivered, or finds the one that was opened
    /// for it.
    pub(crate) async fn open(&mut self, case: SupportCase) -> Result<String, Failure> {
        let Some(key) = &self.notification_key else {
            return Err(failure(
                FailureKind::Denied,
                "not-telling",
                "support cases can be opened in `notify` only",
            ));
        };
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(failure(
                FailureKind::Denied,
                "too-many-support-cases",
                format!("at most {MAX_CALLS} support cases can be asked for in one notification"),
            ));
        }
        if !self.grant.service_codes.contains(&case.service_code) {
            return Err(not_granted(&self.grant.service_codes, case.service_code));
        }
        if let Err(problem) = case.check(key) {
            return Err(failure(FailureKind::Invalid, "invalid-support-case", problem.to_string()));
        }
        // Set until the outcome is known: the call may end here.
        let before = std::mem::replace(&mut self.effect_possible, true);
        self.grant.cases.open(key, &case).await.map_err(|error| {
            self.effect_possible = before || error.effect_possible;
            aws_failure(error)
        })
    }
}

fn failure(kind: FailureKind, code: &str, message: impl Into<String>) -> Failure {
    Failure {
        kind,
        code: code.to_owned(),
        message: message.into(),
        effect_possible: false,
        retry_after: None,
    }
}

/// The failure for a case of a service that isn't granted.
pub(crate) fn not_granted(granted: &[String], mut wanted: String) -> Failure {
    truncate(&mut wanted, MAX_CODE);
    let message = format!(
        "support cases of the service {wanted:?} are not granted: {}",
        grant_toml(granted.iter().map(String::as_str).chain([wanted.as_str()]))
    );
    failure(FailureKind::Denied, "service-code-not-granted", message)
}

/// The config lines that grant these service codes.
pub(crate) fn grant_toml<'a>(service_codes: impl Iterator<Item = &'a str>) -> String {
    let codes: Vec<_> = service_codes.map(|code| format!("{code:?}")).collect();
    format!(
        "to grant them, write `support_cases = [{}]` under `[notifiers.grants]` of this notifier",
        codes.join(", ")
    )
}

/// An error of AWS Support as the plugin sees it.
fn aws_failure(error: AwsError) -> Failure {
    let (kind, explanation) = match error.code.as_str() {
        "SubscriptionRequiredException" => (
            FailureKind::Denied,
            "; the AWS Support API needs a Business, Enterprise On-Ramp or Enterprise support \
             plan on the account whose credentials this host uses (accounts under AMS have one): \
             subscribe it to one, or run with a role in an account that has one",
        ),
        "CaseCreationLimitExceeded" => (
            FailureKind::Transient,
            "; the account has created as many cases as AWS Support allows for now: AWS Support \
             can raise that limit",
        ),
        _ => (kind(error.class), ""),
    };
    let code = if error.code.is_empty() { "no-answer" } else { &error.code };
    Failure {
        effect_possible: error.effect_possible,
        ..failure(kind, code, format!("{error}{explanation}"))
    }
}

fn kind(class: ErrorClass) -> FailureKind {
    match class {
        ErrorClass::Contention
        | ErrorClass::Throttled
        | ErrorClass::Transient
        | ErrorClass::Unknown => FailureKind::Transient,
        ErrorClass::Denied => FailureKind::Denied,
        ErrorClass::NotFound | ErrorClass::Permanent => FailureKind::Permanent,
    }
}
