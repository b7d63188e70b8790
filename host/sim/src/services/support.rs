//! AWS Support: cases and their communications.
//!
//! Members, limits and errors are from the service model of the API version 2013-04-15.
//! `CreateCase` has no idempotency: called twice, it opens two cases.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::names::MANAGEMENT_ACCOUNT;
use crate::names::{ROLE, SESSION};
use crate::protocol::operations::{self, Operation};
use crate::protocol::{ApiError, Call};
use crate::time::saturating_later;

/// The codes and names of the severities.
const SEVERITIES: [(&str, &str); 5] = [
    ("low", "Low"),
    ("normal", "Normal"),
    ("high", "High"),
    ("urgent", "Urgent"),
    ("critical", "Critical"),
];

/// The languages in the documentation of `CreateCase`.
const LANGUAGES: [&str; 8] = ["en", "zh", "ja", "es", "pt", "fr", "ko", "tr"];

/// The types of issue in the documentation of `CreateCase`. The second is the default.
const ISSUE_TYPES: [&str; 2] = ["customer-service", "technical"];

/// A code and its name.
type CodeAndName = (&'static str, &'static str);

/// Some of the services of AWS Support with their categories. The services of a real account depend
/// on its plan, so `CreateCase` accepts other codes too.
const SERVICES: [(CodeAndName, &[CodeAndName]); 3] = [
    (
        ("service-ams-operations-service-request", "AMS Operations - Service Request"),
        &[("onboarding-or-offboarding", "Onboarding or Offboarding"), ("other", "Other")],
    ),
    (("account-management", "Account"), &[("billing", "Billing"), ("other", "Other")]),
    (("service-control-tower", "Control Tower"), &[("account-factory", "Account Factory")]),
];

/// Most characters of a body.
const MAX_BODY_CHARS: usize = 8000;

/// Most addresses in copy of a case.
const MAX_CC_ADDRESSES: usize = 10;

/// Fewest and most items of a page.
const PAGE: std::ops::RangeInclusive<usize> = 10..=100;

/// How many communications `DescribeCases` returns with a case.
const RECENT_COMMUNICATIONS: usize = 5;

/// Case data is kept for 24 months.
const RETENTION: SignedDuration = SignedDuration::from_hours(730 * 24);

/// A case that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedCase {
    /// For example `case-123456789012-muen-2026-0123456789abcdef`.
    pub id: String,
    /// The number that people see.
    pub display_id: String,
    /// Its subject.
    pub subject: String,
    /// The body with which it was opened.
    pub body: String,
    /// Code of the service, if it was given.
    pub service_code: Option<String>,
    /// Code of the category, if it was given.
    pub category_code: Option<String>,
    /// Code of the severity.
    pub severity_code: String,
    /// Addresses in copy.
    pub cc_email_addresses: Vec<String>,
    /// Language code.
    pub language: String,
    /// `customer-service` or `technical`.
    pub issue_type: String,
    /// `unassigned` at first, `resolved` in the end.
    pub status: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// Every communication with its time, oldest first: the first is the body of the case.
    pub communications: Vec<(Timestamp, String)>,
}

/// The service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Support {
    /// Oldest first.
    pub(crate) cases: Vec<OpenedCase>,
    /// Whether the account has a plan that includes the API.
    pub(crate) plan: bool,
    /// How long after its opening `DescribeCases` shows a case.
    pub(crate) delay: Duration,
    #[serde(with = "crate::state_serde::rng")]
    rng: Rng,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateCase {
    subject: Option<String>,
    service_code: Option<String>,
    severity_code: Option<String>,
    category_code: Option<String>,
    communication_body: Option<String>,
    #[serde(default)]
    cc_email_addresses: Vec<String>,
    language: Option<String>,
    issue_type: Option<String>,
    #[serde(flatten)]
    attachments: Attachments,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachments {
    attachment_set_id: Option<String>,
    #[serde(default)]
    upload_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddCommunication {
    case_id: Option<String>,
    communication_body: Option<String>,
    #[serde(default)]
    cc_email_addresses: Vec<String>,
    #[serde(flatten)]
    attachments: Attachments,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeCases {
    #[serde(default)]
    case_id_list: Vec<String>,
    display_id: Option<String>,
    #[serde(flatten)]
    listing: Listing,
    #[serde(default)]
    include_resolved_cases: bool,
    language: Option<String>,
    include_communications: Option<bool>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeCommunications {
    case_id: Option<String>,
    #[serde(flatten)]
    listing: Listing,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    after_time: Option<String>,
    before_time: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResolveCase {
    case_id: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeServices {
    #[serde(default)]
    service_code_list: Vec<String>,
    language: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeSeverities {
    language: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// The operations of the service.
pub(crate) const OPERATIONS: &[(&str, Operation<Support>)] = &[
    ("AddCommunicationToCase", |support, now, call| support.add_communication(now, call.json()?)),
    ("CreateCase", |support, now, call| support.create(now, call.json()?)),
    ("DescribeCases", |support, now, call| support.describe(now, &call.json()?)),
    ("DescribeCommunications", |support, now, call| support.communications(now, &call.json()?)),
    ("DescribeServices", |_, _, call| services(&call.json()?)),
    ("DescribeSeverityLevels", |_, _, call| severities(&call.json()?)),
    ("ResolveCase", |support, _, call| support.resolve(&call.json()?)),
];

impl Support {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { cases: Vec::new(), plan: true, delay: Duration::ZERO, rng }
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: &Call<'_>) -> Result<Value, ApiError> {
        let operation = operations::find(OPERATIONS, call)?;
        if !self.plan {
            return Err(ApiError::new(
                "SubscriptionRequiredException",
                "Amazon Web Services Premium Support Subscription is required to use this service.",
            ));
        }
        operation(self, now, call)
    }

    fn create(&mut self, now: Timestamp, request: CreateCase) -> Result<Value, ApiError> {
        let subject = request
            .subject
            .filter(|subject| !subject.trim().is_empty())
            .ok_or_else(|| constraint("subject", "Member must not be null"))?;
        let body = check_body(request.communication_body)?;
        check_cc_addresses(&request.cc_email_addresses)?;
        let language = check_language(request.language)?.unwrap_or_else(|| "en".to_owned());
        let severity_code = request.severity_code.unwrap_or_else(|| "low".to_owned());
        if !SEVERITIES.iter().any(|(code, _)| *code == severity_code) {
            return Err(one_of("severityCode", &SEVERITIES.map(|(code, _)| code)));
        }
        let issue_type = request.issue_type.unwrap_or_else(|| ISSUE_TYPES[1].to_owned());
        if !ISSUE_TYPES.contains(&issue_type.as_str()) {
            return Err(one_of("issueType", &ISSUE_TYPES));
        }
        check_codes(request.service_code.as_deref(), request.category_code.as_deref())?;
        request.attachments.check()?;
        check_dry_run(request.dry_run)?;

        let year = now.to_zoned(TimeZone::UTC).year();
        let id = format!("case-{MANAGEMENT_ACCOUNT}-muen-{year}-{:016x}", self.rng.u64(..));
        self.cases.push(OpenedCase {
            id: id.clone(),
            display_id: format!("17{:013}", self.rng.u64(..10_u64.pow(13))),
            subject,
            communications: vec![(now, body.clone())],
            body,
            service_code: request.service_code,
            category_code: request.category_code,
            severity_code,
            cc_email_addresses: request.cc_email_addresses,
            language,
            issue_type,
            status: "unassigned".to_owned(),
            opened: now,
        });
        Ok(json!({ "caseId": id }))
    }

    fn add_communication(
        &mut self,
        now: Timestamp,
        request: AddCommunication,
    ) -> Result<Value, ApiError> {
        let body = check_body(request.communication_body)?;
        check_cc_addresses(&request.cc_email_addresses)?;
        request.attachments.check()?;
        let case = self.case(request.case_id.as_deref())?;
        check_dry_run(request.dry_run)?;
        case.communications.push((now, body));
        if case.status == "resolved" {
            case.status = "reopened".to_owned();
        }
        Ok(json!({ "result": true }))
    }

    fn resolve(&mut self, request: &ResolveCase) -> Result<Value, ApiError> {
        let case = self.case(request.case_id.as_deref())?;
        check_dry_run(request.dry_run)?;
        let initial = std::mem::replace(&mut case.status, "resolved".to_owned());
        Ok(json!({ "initialCaseStatus": initial, "finalCaseStatus": case.status }))
    }

    fn case(&mut self, id: Option<&str>) -> Result<&mut OpenedCase, ApiError> {
        let id = id.ok_or_else(|| constraint("caseId", "Member must not be null"))?;
        self.cases.iter_mut().find(|case| case.id == id).ok_or_else(|| not_found(id))
    }

    fn describe(&self, now: Timestamp, request: &DescribeCases) -> Result<Value, ApiError> {
        check_language(request.language.clone())?;
        if request.case_id_list.len() > 100 {
            return Err(constraint(
                "caseIdList",
                "Member must have length less than or equal to 100",
            ));
        }
        let period = request.listing.period(now)?;
        let visible = |case: &OpenedCase| {
            saturating_later(case.opened, self.delay) <= now
                && now.duration_since(case.opened) <= RETENTION
        };
        for id in &request.case_id_list {
            if !self.cases.iter().any(|case| case.id == *id && visible(case)) {
                return Err(not_found(id));
            }
        }
        let wanted = |case: &&OpenedCase| {
            visible(case)
                && period.contains(&case.opened)
                && (request.include_resolved_cases || case.status != "resolved")
                && (request.case_id_list.is_empty() || request.case_id_list.contains(&case.id))
                && request.display_id.as_ref().is_none_or(|id| *id == case.display_id)
                && request.language.as_ref().is_none_or(|code| *code == case.language)
        };
        // Newest first.
        let found: Vec<&OpenedCase> = self.cases.iter().rev().filter(wanted).collect();
        let (range, next) = request.listing.page(found.len())?;
        check_dry_run(request.dry_run)?;
        let communications = request.include_communications.unwrap_or(true);
        let cases: Vec<Value> =
            found[range].iter().map(|case| details(case, communications)).collect();
        Ok(with_token(json!({ "cases": cases }), next))
    }

    fn communications(
        &mut self,
        now: Timestamp,
        request: &DescribeCommunications,
    ) -> Result<Value, ApiError> {
        let period = request.listing.period(now)?;
        let case = self.case(request.case_id.as_deref())?;
        let found: Vec<Value> = case
            .communications
            .iter()
            .rev()
            .filter(|(time, _)| period.contains(time))
            .map(|(time, body)| communication(case, *time, body))
            .collect();
        let (range, next) = request.listing.page(found.len())?;
        check_dry_run(request.dry_run)?;
        Ok(with_token(json!({ "communications": found[range] }), next))
    }
}

impl Attachments {
    /// No attachment set and no upload can exist here.
    fn check(&self) -> Result<(), ApiError> {
        if self.attachment_set_id.is_some() {
            return Err(ApiError::new(
                "AttachmentSetIdNotFound",
                "An attachment set with the specified ID could not be found.",
            ));
        }
        if !self.upload_ids.is_empty() {
            return Err(invalid("The simulated AWS has no uploads."));
        }
        Ok(())
    }
}

impl Listing {
    fn period(&self, now: Timestamp) -> Result<std::ops::RangeInclusive<Timestamp>, ApiError> {
        let after = self.after_time.as_deref().map(|text| read_time("afterTime", text));
        let before = self.before_time.as_deref().map(|text| read_time("beforeTime", text));
        Ok(after.transpose()?.unwrap_or(Timestamp::MIN)..=before.transpose()?.unwrap_or(now))
    }

    fn page(&self, total: usize) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
        let size = self.max_results.unwrap_or(*PAGE.start());
        if !PAGE.contains(&size) {
            return Err(constraint(
                "maxResults",
                "Member must have value between 10 and 100, inclusive",
            ));
        }
        let cursor = Cursor::read(self.next_token.as_deref())
            .ok_or_else(|| invalid("The nextToken is invalid."))?;
        Ok(cursor.page(size, total))
    }
}

fn details(case: &OpenedCase, communications: bool) -> Value {
    let mut answer = json!({
        "caseId": case.id,
        "displayId": case.display_id,
        "subject": case.subject,
        "status": case.status,
        "serviceCode": case.service_code.as_deref().unwrap_or("general-info"),
        "categoryCode": case.category_code.as_deref().unwrap_or("other"),
        "severityCode": case.severity_code,
        "submittedBy": format!("{ROLE}/{SESSION}"),
        "timeCreated": write_time(case.opened),
        "ccEmailAddresses": case.cc_email_addresses,
        "language": case.language,
    });
    if communications {
        let recent: Vec<Value> = case
            .communications
            .iter()
            .rev()
            .take(RECENT_COMMUNICATIONS)
            .map(|(time, body)| communication(case, *time, body))
            .collect();
        let next = (case.communications.len() > RECENT_COMMUNICATIONS)
            .then(|| Cursor::token(RECENT_COMMUNICATIONS));
        answer["recentCommunications"] = with_token(json!({ "communications": recent }), next);
    }
    answer
}

fn communication(case: &OpenedCase, time: Timestamp, body: &str) -> Value {
    json!({
        "caseId": case.id,
        "body": body,
        "submittedBy": format!("{ROLE}/{SESSION}"),
        "timeCreated": write_time(time),
        "attachmentSet": [],
    })
}

fn services(request: &DescribeServices) -> Result<Value, ApiError> {
    check_language(request.language.clone())?;
    check_dry_run(request.dry_run)?;
    let wanted = &request.service_code_list;
    let named = |codes: &[CodeAndName]| -> Vec<Value> {
        codes.iter().map(|(code, name)| json!({ "code": code, "name": name })).collect()
    };
    let services: Vec<Value> = SERVICES
        .iter()
        .filter(|((code, _), _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == code))
        .map(|((code, name), categories)| {
            json!({ "code": code, "name": name, "categories": named(categories) })
        })
        .collect();
    Ok(json!({ "services": services }))
}

fn severities(request: &DescribeSeverities) -> Result<Value, ApiError> {
    check_language(request.language.clone())?;
    check_dry_run(request.dry_run)?;
    let levels = SEVERITIES.map(|(code, name)| json!({ "code": code, "name": name }));
    Ok(json!({ "severityLevels": levels }))
}

fn check_body(body: Option<String>) -> Result<String, ApiError> {
    let body = body.ok_or_else(|| constraint("communicationBody", "Member must not be null"))?;
    match body.chars().count() {
        0 => Err(constraint(
            "communicationBody",
            "Member must have length greater than or equal to 1",
        )),
        1..=MAX_BODY_CHARS => Ok(body),
        _ => Err(constraint(
            "communicationBody",
            "Member must have length less than or equal to 8000",
        )),
    }
}

fn check_cc_addresses(addresses: &[String]) -> Result<(), ApiError> {
    if addresses.len() > MAX_CC_ADDRESSES {
        return Err(constraint(
            "ccEmailAddresses",
            "Member must have length less than or equal to 10",
        ));
    }
    match addresses.iter().find(|address| !address.contains('@')) {
        Some(address) => Err(invalid(&format!("Invalid email address: {address}"))),
        None => Ok(()),
    }
}

fn check_language(code: Option<String>) -> Result<Option<String>, ApiError> {
    match code {
        Some(code) if !LANGUAGES.contains(&code.as_str()) => Err(one_of("language", &LANGUAGES)),
        code => Ok(code),
    }
}

/// A category must belong to its service, if the service is known here.
fn check_codes(service: Option<&str>, category: Option<&str>) -> Result<(), ApiError> {
    let categories = SERVICES
        .iter()
        .find(|((code, _), _)| Some(*code) == service)
        .map(|(_, categories)| *categories);
    match (categories, category) {
        (Some(known), Some(category)) if !known.iter().any(|(code, _)| *code == category) => {
            let codes: Vec<&str> = known.iter().map(|(code, _)| *code).collect();
            Err(one_of("categoryCode", &codes))
        }
        _ => Ok(()),
    }
}

/// A valid dry run ends here.
fn check_dry_run(dry_run: bool) -> Result<(), ApiError> {
    if dry_run {
        return Err(ApiError::new(
            "DryRunOperationException",
            "The request would have succeeded, but the dryRun parameter was set.",
        ));
    }
    Ok(())
}

fn one_of(member: &str, values: &[&str]) -> ApiError {
    constraint(member, &format!("Member must satisfy enum value set: [{}]", values.join(", ")))
}

fn constraint(member: &str, text: &str) -> ApiError {
    invalid(&format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: {text}"
    ))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationException", message)
}

fn not_found(id: &str) -> ApiError {
    ApiError::new("CaseIdNotFound", format!("No case found with ID: {id}"))
}

/// A time or a date.
fn read_time(member: &str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse::<Timestamp>()
        .or_else(|_| {
            text.parse::<civil::DateTime>()?.to_zoned(TimeZone::UTC).map(|t| t.timestamp())
        })
        .map_err(|_| invalid(&format!("Invalid date for {member}: {text}")))
}

/// `2026-09-01T06:00:00.000Z`.
fn write_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = next.into();
    }
    answer
}
