//! Opens support cases of AMS, without a plugin.

use groundcrew_aws::AwsSupport;
use groundcrew_core::aws_error::ErrorClass;
use groundcrew_core::notification::{
    GateDecision, NotificationKey, NotifyFailure, NotifyFailureKind, Receipt,
};
use groundcrew_core::ports::SupportCases as _;
use groundcrew_core::support_case::SupportCase;

/// Opens a case, unless a case with this key is open already.
///
/// # Errors
/// The failure as a plugin would return it.
pub async fn open(
    support: &AwsSupport,
    key: &NotificationKey,
    subject: String,
    body: String,
) -> Result<Receipt, NotifyFailure> {
    let case = SupportCase {
        subject,
        body,
        service_code: "service-ams-operations-service-request".into(),
        category_code: "onboarding-or-offboarding".into(),
        severity_code: "low".into(),
        cc_email_addresses: vec![],
        language: "en".into(),
        issue_type: "technical".into(),
    };
    match support.open(key, &case).await {
        Ok(reference) => Ok(Receipt { reference, decision: GateDecision::Go }),
        Err(error) => Err(NotifyFailure {
            kind: match error.class {
                ErrorClass::Denied => NotifyFailureKind::Denied,
                ErrorClass::NotFound | ErrorClass::Permanent => NotifyFailureKind::Permanent,
                _ => NotifyFailureKind::Transient,
            },
            code: error.code.clone(),
            message: error.to_string(),
            effect_possible: error.effect_possible,
            retry_after: None,
        }),
    }
}
