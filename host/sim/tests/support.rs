//! AWS Support: what it accepts, shows and rejects.

mod model_calls;

use std::time::Duration;

use model_calls::ModelCalls;
use rstest::rstest;
use serde_json::{Value, json};

fn support() -> ModelCalls {
    ModelCalls::to("AWSSupport_20130415")
}

fn case() -> Value {
    json!({
        "subject": "Onboard 111122223333",
        "communicationBody": "Please onboard.",
        "serviceCode": "service-ams-operations-service-request",
        "categoryCode": "onboarding-or-offboarding",
        "severityCode": "low",
        "ccEmailAddresses": ["ops@example.com"],
        "language": "en",
        "issueType": "customer-service",
    })
}

/// Opens a case and returns its id.
fn open(calls: &mut ModelCalls) -> String {
    calls.ok("CreateCase", &case())["caseId"].as_str().unwrap().to_owned()
}

#[test]
fn a_case_is_kept_as_it_was_given() {
    let mut calls = support();
    let id = open(&mut calls);
    let digits = id.strip_prefix("case-123456789012-muen-2026-").unwrap();
    assert!(digits.len() == 16 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    let [kept] = calls.model.cases() else { panic!("not one case") };
    assert_eq!(kept.id, id);
    assert_eq!(
        (kept.subject.as_str(), kept.body.as_str()),
        ("Onboard 111122223333", "Please onboard.")
    );
    assert_eq!(kept.service_code.as_deref(), Some("service-ams-operations-service-request"));
    assert_eq!(kept.category_code.as_deref(), Some("onboarding-or-offboarding"));
    assert_eq!(
        (kept.severity_code.as_str(), kept.issue_type.as_str()),
        ("low", "customer-service")
    );
    assert_eq!(kept.cc_email_addresses, ["ops@example.com"]);
    assert_eq!((kept.language.as_str(), kept.status.as_str()), ("en", "unassigned"));
    assert_eq!(kept.opened, calls.now);

    let shown = calls.ok("DescribeCases", &json!({ "caseIdList": [id] }))["cases"][0].clone();
    assert_eq!(shown["subject"], "Onboard 111122223333");
    assert_eq!(shown["timeCreated"], "2026-09-01T06:00:00.000Z");
    assert_eq!(shown["recentCommunications"]["communications"][0]["body"], "Please onboard.");
}

#[test]
fn the_same_case_twice_is_two_cases() {
    let mut calls = support();
    assert_ne!(open(&mut calls), open(&mut calls));
    assert_eq!(calls.model.cases().len(), 2);
}

#[rstest]
#[case("subject", json!(null))]
#[case("subject", json!(""))]
#[case("communicationBody", json!(null))]
#[case("communicationBody", json!(""))]
#[case("communicationBody", json!("ä".repeat(8001)))]
#[case("severityCode", json!("worst"))]
#[case("issueType", json!("billing"))]
#[case("language", json!("de"))]
#[case("categoryCode", json!("onboarding"))]
#[case("ccEmailAddresses", json!(vec!["a@example.com"; 11]))]
#[case("ccEmailAddresses", json!(["nobody"]))]
fn what_is_not_valid_opens_no_case(#[case] member: &str, #[case] value: Value) {
    let mut calls = support();
    let mut request = case();
    request[member] = value;
    assert_eq!(calls.code("CreateCase", &request), "ValidationException");
    assert!(calls.model.cases().is_empty());
}

#[rstest]
#[case("communicationBody", json!("ä".repeat(8000)))]
#[case("ccEmailAddresses", json!(vec!["a@example.com"; 10]))]
#[case("severityCode", json!(null))]
#[case("issueType", json!(null))]
#[case("serviceCode", json!("amazon-dynamodb"))]
fn what_is_just_valid_opens_one(#[case] member: &str, #[case] value: Value) {
    let mut calls = support();
    let mut request = case();
    request[member] = value;
    calls.ok("CreateCase", &request);
    assert_eq!(calls.model.cases().len(), 1);
}

#[test]
fn a_dry_run_tells_whether_it_would_succeed() {
    let mut calls = support();
    let mut request = case();
    request["dryRun"] = true.into();
    assert_eq!(calls.code("CreateCase", &request), "DryRunOperationException");
    request["subject"] = "".into();
    assert_eq!(calls.code("CreateCase", &request), "ValidationException");
    assert!(calls.model.cases().is_empty());
}

#[test]
fn cases_are_listed_page_by_page_newest_first() {
    let mut calls = support();
    let ids: Vec<String> = (0..25)
        .map(|_| {
            calls.wait(Duration::from_secs(60));
            open(&mut calls)
        })
        .collect();
    let (mut seen, mut request) = (Vec::new(), json!({ "includeCommunications": false }));
    loop {
        let page = calls.ok("DescribeCases", &request);
        for case in page["cases"].as_array().unwrap() {
            assert!(case.get("recentCommunications").is_none());
            seen.push(case["caseId"].as_str().unwrap().to_owned());
        }
        match page.get("nextToken") {
            Some(token) => request["nextToken"] = token.clone(),
            None => break,
        }
    }
    seen.reverse();
    assert_eq!(seen, ids);
    assert_eq!(calls.code("DescribeCases", &json!({ "maxResults": 9 })), "ValidationException");
    assert_eq!(calls.code("DescribeCases", &json!({ "nextToken": "?" })), "ValidationException");
}

#[rstest]
#[case(json!({}), 2)]
#[case(json!({ "afterTime": "2026-09-01T06:00:00Z" }), 2)]
#[case(json!({ "afterTime": "2026-09-01T06:30:00.000Z" }), 1)]
#[case(json!({ "beforeTime": "2026-09-01T06:30:00Z" }), 1)]
#[case(json!({ "afterTime": "2026-09-02" }), 0)]
#[case(json!({ "language": "ja" }), 0)]
#[case(json!({ "displayId": "0" }), 0)]
fn cases_are_found_by_time_and_more(#[case] request: Value, #[case] count: usize) {
    let mut calls = support();
    open(&mut calls);
    calls.wait(Duration::from_secs(3600));
    open(&mut calls);
    let found = calls.ok("DescribeCases", &request);
    assert_eq!(found["cases"].as_array().unwrap().len(), count);
}

#[test]
fn resolved_cases_are_shown_only_when_asked_for() {
    let mut calls = support();
    let id = open(&mut calls);
    let resolved = calls.ok("ResolveCase", &json!({ "caseId": id }));
    assert_eq!(
        resolved,
        json!({ "initialCaseStatus": "unassigned", "finalCaseStatus": "resolved" })
    );
    assert_eq!(calls.ok("DescribeCases", &json!({}))["cases"], json!([]));
    let all = json!({ "includeResolvedCases": true });
    assert_eq!(calls.ok("DescribeCases", &all)["cases"][0]["status"], "resolved");
    calls.ok("AddCommunicationToCase", &json!({ "caseId": id, "communicationBody": "Again" }));
    assert_eq!(calls.ok("DescribeCases", &json!({}))["cases"][0]["status"], "reopened");
}

#[test]
fn five_communications_come_with_a_case_and_the_others_by_token() {
    let mut calls = support();
    let id = open(&mut calls);
    for number in 1..=6 {
        let body = format!("number {number}");
        calls.ok("AddCommunicationToCase", &json!({ "caseId": id, "communicationBody": body }));
    }
    let recent = calls.ok("DescribeCases", &json!({}))["cases"][0]["recentCommunications"].clone();
    let bodies = |answer: &Value| -> Vec<String> {
        let all = answer["communications"].as_array().unwrap();
        all.iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies(&recent), ["number 6", "number 5", "number 4", "number 3", "number 2"]);
    let rest = json!({ "caseId": id, "nextToken": recent["nextToken"] });
    let rest = calls.ok("DescribeCommunications", &rest);
    assert_eq!(bodies(&rest), ["number 1", "Please onboard."]);
    let all = calls.ok("DescribeCommunications", &json!({ "caseId": id }));
    assert_eq!(bodies(&all).len(), 7);
}

#[test]
fn a_case_may_be_seen_only_later() {
    let mut calls = support();
    calls.model.set_case_delay(Duration::from_secs(60));
    let id = open(&mut calls);
    let by_id = json!({ "caseIdList": [id] });
    assert_eq!(calls.ok("DescribeCases", &json!({}))["cases"], json!([]));
    assert_eq!(calls.code("DescribeCases", &by_id), "CaseIdNotFound");
    calls.wait(Duration::from_secs(60));
    assert_eq!(calls.ok("DescribeCases", &by_id)["cases"][0]["caseId"], *id);
}

#[rstest]
#[case("DescribeCases", json!({ "caseIdList": ["case-1"] }))]
#[case("DescribeCommunications", json!({ "caseId": "case-1" }))]
#[case("AddCommunicationToCase", json!({ "caseId": "case-1", "communicationBody": "a" }))]
#[case("ResolveCase", json!({ "caseId": "case-1" }))]
fn an_unknown_case_is_not_found(#[case] operation: &str, #[case] request: Value) {
    assert_eq!(support().code(operation, &request), "CaseIdNotFound");
}

#[rstest]
#[case("CreateCase", case())]
#[case("DescribeCases", json!({}))]
#[case("DescribeServices", json!({}))]
#[case("DescribeSeverityLevels", json!({}))]
fn without_a_plan_every_call_is_refused(#[case] operation: &str, #[case] request: Value) {
    let mut calls = support();
    calls.model.set_support_plan(false);
    assert_eq!(calls.code(operation, &request), "SubscriptionRequiredException");
}

#[test]
fn services_and_severities_are_listed() {
    let mut calls = support();
    let wanted = json!({ "serviceCodeList": ["service-ams-operations-service-request"] });
    let services = calls.ok("DescribeServices", &wanted)["services"].clone();
    assert_eq!(services.as_array().unwrap().len(), 1);
    assert_eq!(services[0]["categories"][0]["code"], "onboarding-or-offboarding");
    let levels = calls.ok("DescribeSeverityLevels", &json!({}))["severityLevels"].clone();
    let codes: Vec<&str> =
        levels.as_array().unwrap().iter().map(|level| level["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["low", "normal", "high", "urgent", "critical"]);
}
