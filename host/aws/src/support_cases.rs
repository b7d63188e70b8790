//! Core's support cases on AWS Support.
//!
//! `CreateCase` has no idempotency token, so groundcrew never repeats it blindly. The SDK does not
//! retry it, every attempt begins with a search for the case, and an attempt whose response was
//! lost ends with a search.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_support::Client;
use aws_sdk_support::config::retry::RetryConfig;
use aws_sdk_support::types::{CaseDetails, Communication};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::ports::SupportCases;
use groundcrew_core::support_case::{self, SupportCase};
use tokio::time::sleep;

use crate::error::{read_error, unexpected, write_error};

/// How far back the search for a case goes. A notification is retried for at most 14 days, the
/// longest time that SQS keeps a message. A notification that an operator redrives is retried for
/// up to 14 days again.
const LOOKBACK: Duration = Duration::from_secs(28 * 24 * 3600);
/// A new case may be listed only after some time, and AWS doesn't say after how long. A search
/// reads this much again of the time that an earlier one has read.
const LISTING_DELAY: Duration = Duration::from_secs(15 * 60);
/// Most cases on a page, from the service model.
const PAGE: i32 = 100;
/// The waits before each search after an attempt whose response was lost. AWS doesn't say how soon
/// a new case is listed.
const SEARCH_DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// AWS Support.
#[derive(Debug)]
pub struct AwsSupport {
    client: Client,
    /// The same client without retries.
    no_retry_client: Client,
    time: SharedTimeSource,
    cache: Mutex<CaseCache>,
}

/// The cases that were read. Their ids and the times of reading, by the reference line at the end
/// of the body.
#[derive(Debug, Default)]
struct CaseCache {
    cases: HashMap<String, (String, SystemTime)>,
    /// The start of the last search that read all cases up to its start.
    last_search: Option<SystemTime>,
}

impl CaseCache {
    /// The id of the case with this reference line, if it was read, and the time from which other
    /// cases must be read.
    fn lookup(&self, line: &str, now: SystemTime) -> (Option<String>, SystemTime) {
        let oldest = now - LOOKBACK;
        // After the clock was set back, `last_search` is in the future. Cases could be opened
        // before it that no search has read.
        let last_search = self.last_search.filter(|last_search| *last_search <= now);
        let since =
            last_search.map_or(oldest, |last_search| oldest.max(last_search - LISTING_DELAY));
        (self.cases.get(line).map(|(id, _)| id.clone()), since)
    }

    fn insert(&mut self, line: String, id: &str, now: SystemTime) {
        self.cases.insert(line, (id.to_owned(), now));
    }

    /// Records that all cases up to this moment were read, and removes the cases before the
    /// lookback.
    fn mark_searched(&mut self, began: SystemTime) {
        self.last_search = Some(began);
        self.cases.retain(|_, (_, seen)| *seen > began - LOOKBACK);
    }
}

impl AwsSupport {
    /// Opens cases through this client.
    pub fn new(client: Client) -> Self {
        let time = client.config().time_source().unwrap_or_default();
        let no_retry_client = client.config().to_builder().retry_config(RetryConfig::disabled());
        let cache = Mutex::default();
        Self { no_retry_client: Client::from_conf(no_retry_client.build()), client, time, cache }
    }

    /// The case whose body ends with the key's reference line, open or resolved. The cases of
    /// earlier searches are cached, so that each search reads only the cases since the last one.
    async fn find_case(&self, key: &NotificationKey) -> Result<Option<String>, AwsError> {
        const OPERATION: &str = "DescribeCases";
        let line = support_case::reference_line(key);
        let began = self.time.now();
        let (known, since) = self.cache().lookup(&line, began);
        if known.is_some() {
            return Ok(known);
        }
        let after = DateTime::from(since)
            .fmt(Format::DateTime)
            .map_err(|error| unexpected(OPERATION, ErrorClass::Permanent, error.to_string()))?;
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
                .map_err(|error| read_error(OPERATION, error))?;
            for case in answer.cases.unwrap_or_default() {
                let lines = self.reference_lines(&case).await?;
                let ours = lines.contains(&line);
                let id = case.case_id.filter(|id| !id.is_empty());
                if let Some(id) = &id {
                    lines.into_iter().for_each(|line| self.cache().insert(line, id, began));
                }
                if ours {
                    // The case exists even without an id, so no second one may be opened.
                    return id.map(Some).ok_or_else(|| {
                        let what =
                            format!("the case with the reference line of {key} has no caseId");
                        unexpected(OPERATION, ErrorClass::Transient, what)
                    });
                }
            }
            next = answer.next_token;
            if next.is_none() {
                self.cache().mark_searched(began);
                return Ok(None);
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, CaseCache> {
        // The cache is consistent after every statement.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reference lines at the end of the communications of a case. Its body is the oldest
    /// communication, and a listing shows the latest five.
    async fn reference_lines(&self, case: &CaseDetails) -> Result<Vec<String>, AwsError> {
        let Some(recent) = &case.recent_communications else { return Ok(vec![]) };
        // A communication that names another case does not count.
        let line = |communication: &Communication| {
            let of = case.case_id().zip(communication.case_id());
            let here = of.is_none_or(|(case, written_on)| case == written_on);
            let line = communication.body().and_then(support_case::find_reference_line);
            line.filter(|_| here).map(str::to_owned)
        };
        let mut lines: Vec<String> = recent.communications().iter().filter_map(line).collect();
        let mut next = recent.next_token.clone();
        while let (Some(token), Some(id)) = (next, &case.case_id) {
            let answer = self
                .client
                .describe_communications()
                .case_id(id)
                .next_token(token)
                .send()
                .await
                .map_err(|error| read_error("DescribeCommunications", error))?;
            lines.extend(answer.communications().iter().filter_map(line));
            next = answer.next_token;
        }
        Ok(lines)
    }

    async fn create(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError> {
        const OPERATION: &str = "CreateCase";
        let answer = self
            .no_retry_client
            .create_case()
            .subject(&case.subject)
            .communication_body(case.full_body(key))
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
            .map_err(|error| write_error(OPERATION, error))?;
        answer.case_id.filter(|id| !id.is_empty()).ok_or_else(|| AwsError {
            effect_possible: true,
            ..unexpected(OPERATION, ErrorClass::Transient, "the answer has no caseId")
        })
    }
}

#[async_trait]
impl SupportCases for AwsSupport {
    async fn open(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError> {
        if let Some(id) = self.find_case(key).await? {
            return Ok(id);
        }
        let error = match self.create(key, case).await {
            Err(error) if error.effect_possible => error,
            answer => return answer,
        };
        for wait in SEARCH_DELAYS {
            sleep(wait).await;
            match self.find_case(key).await {
                Ok(Some(id)) => return Ok(id),
                Ok(None) => {}
                Err(error) => tracing::warn!(%key, %error, "can't look for a case"),
            }
        }
        Err(error)
    }
}
