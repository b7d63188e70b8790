//! Core's support cases on AWS Support.
//!
//! `CreateCase` has no idempotency token, so it is never repeated blindly: the SDK doesn't
//! retry it, every attempt begins with a look for the case, and an attempt whose answer was
//! lost ends with one.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_support::Client;
use aws_sdk_support::config::retry::RetryConfig;
use aws_sdk_support::types::{CaseDetails, Communication};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::ports::SupportCases;
use groundcrew_core::support_case::{self, SupportCase};
use tokio::time::sleep;

use crate::error::{of_read, of_write, unexpected};

/// How far back a case is looked for. A notification is tried again for at most 14 days,
/// the longest that SQS keeps a message; and as long again for those redriven by hand.
const LOOK_BACK: Duration = Duration::from_secs(28 * 24 * 3600);
/// Most cases on a page, from the service model.
const PAGE: i32 = 100;
/// After an attempt whose answer was lost: how long to wait before each look for the case
/// that it may have opened. AWS doesn't say how soon a new case is listed.
const LOOKS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// AWS Support.
#[derive(Debug)]
pub struct AwsSupport {
    client: Client,
    /// The same, but it never repeats a call.
    once: Client,
    time: SharedTimeSource,
}

impl AwsSupport {
    /// Opens cases through this client.
    pub fn new(client: Client) -> Self {
        let time = client.config().time_source().unwrap_or_default();
        let once = client.config().to_builder().retry_config(RetryConfig::disabled());
        Self { once: Client::from_conf(once.build()), client, time }
    }

    /// The case whose body is closed by the key's reference line, open or resolved.
    async fn find(&self, key: &NotificationKey) -> Result<Option<String>, AwsError> {
        const OPERATION: &str = "DescribeCases";
        let after = DateTime::from(self.time.now() - LOOK_BACK)
            .fmt(Format::DateTime)
            .map_err(|error| unexpected(OPERATION, Class::Permanent, error.to_string()))?;
        let mut next = None;
        loop {
            let answer = self
                .client
                .describe_cases()
                .after_time(&after)
                .include_resolved_cases(true)
                .include_communications(true)
                .max_results(PAGE)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| of_read(OPERATION, error))?;
            for case in answer.cases.unwrap_or_default() {
                if self.is_of(key, &case).await? {
                    // Without its id it is there all the same: no second one may be opened.
                    return case.case_id.filter(|id| !id.is_empty()).map(Some).ok_or_else(|| {
                        let what =
                            format!("the case with the reference line of {key} has no caseId");
                        unexpected(OPERATION, Class::Transient, what)
                    });
                }
            }
            next = answer.next_token;
            if next.is_none() {
                return Ok(None);
            }
        }
    }

    /// Whether a case is the key's. The body that it was opened with is its oldest
    /// communication; a listing shows the latest five.
    async fn is_of(&self, key: &NotificationKey, case: &CaseDetails) -> Result<bool, AwsError> {
        let Some(recent) = &case.recent_communications else { return Ok(false) };
        // What is written on another case makes this one nobody's.
        let ours = |communication: &Communication| {
            let of = case.case_id().zip(communication.case_id());
            let here = of.is_none_or(|(case, written_on)| case == written_on);
            here && communication.body().is_some_and(|body| support_case::is_of(key, body))
        };
        if recent.communications().iter().any(ours) {
            return Ok(true);
        }
        let mut next = recent.next_token.clone();
        while let (Some(token), Some(id)) = (next, &case.case_id) {
            let answer = self
                .client
                .describe_communications()
                .case_id(id)
                .next_token(token)
                .send()
                .await
                .map_err(|error| of_read("DescribeCommunications", error))?;
            if answer.communications().iter().any(ours) {
                return Ok(true);
            }
            next = answer.next_token;
        }
        Ok(false)
    }

    async fn create(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError> {
        const OPERATION: &str = "CreateCase";
        let answer = self
            .once
            .create_case()
            .subject(&case.subject)
            .communication_body(case.text(key))
            .service_code(&case.service_code)
            .category_code(&case.category_code)
            .severity_code(&case.severity_code)
            .set_cc_email_addresses(
                (!case.cc_email_addresses.is_empty()).then(|| case.cc_email_addresses.clone()),
            )
            .language(&case.language)
            .issue_type(&case.issue_type)
            .send()
            .await
            .map_err(|error| of_write(OPERATION, error))?;
        answer.case_id.filter(|id| !id.is_empty()).ok_or_else(|| AwsError {
            effect_possible: true,
            ..unexpected(OPERATION, Class::Transient, "the answer has no caseId")
        })
    }
}

#[async_trait]
impl SupportCases for AwsSupport {
    async fn open(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError> {
        if let Some(id) = self.find(key).await? {
            return Ok(id);
        }
        let error = match self.create(key, case).await {
            Err(error) if error.effect_possible => error,
            answer => return answer,
        };
        for wait in LOOKS {
            sleep(wait).await;
            match self.find(key).await {
                Ok(Some(id)) => return Ok(id),
                Ok(None) => {}
                Err(look) => tracing::warn!(%key, %look, "can't look for a case"),
            }
        }
        Err(error)
    }
}
