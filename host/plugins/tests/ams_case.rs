//! The bundled notifier, through the runtime: the cases that AWS Support receives.

use std::sync::Arc;

use groundcrew_core::account::Tags;
use groundcrew_core::aws_error::ErrorClass;
use groundcrew_core::notification::{GateDecision, Notification, NotifyFailureKind, Receipt};
use groundcrew_core::ports::Notifier as _;
use groundcrew_core::support_case::{self, SupportCase};
use groundcrew_plugins::{LoadError, NotifierSpec};
use groundcrew_testkit::notifiers::{
    EVENT, GRANTED_SERVICE, RecordingSupport, ams_case, minimal_notification, notification,
    notification_for_name,
};
use groundcrew_testkit::policies;
use groundcrew_testkit::policies::runtime;
use rstest::rstest;
use serde_json::{Value, json};

/// Delivers with `ams-case` and these settings, and returns the one case that it opened.
async fn case(settings: Value, notification: &Notification) -> SupportCase {
    let cases = Arc::new(RecordingSupport::default());
    let notifier = runtime().load_notifier(ams_case(settings, cases.clone())).await.unwrap();
    let receipt = Receipt { reference: "case-1".to_owned(), decision: GateDecision::Go };
    assert_eq!(notifier.notify(notification).await, Ok(receipt));
    let [(key, case)] = &cases.opened()[..] else { panic!("{:?}", cases.opened()) };
    assert_eq!(*key, notification.key);
    assert_eq!(case.check(key), Ok(()));
    case.clone()
}

fn default_case() -> SupportCase {
    SupportCase {
        subject: "AMS onboarding of account 111122223333 (payments-prod)".to_owned(),
        body: "AWS Control Tower has created a new account in our organization. Please onboard \
               it to AMS, and involve our Cloud Architect (CA) and Cloud Service Delivery \
               Manager (CSDM).\n\nAccount ID: 111122223333\nAccount name: payments-prod"
            .to_owned(),
        service_code: GRANTED_SERVICE.to_owned(),
        category_code: "onboarding-or-offboarding".to_owned(),
        severity_code: "low".to_owned(),
        cc_email_addresses: vec![],
        language: "en".to_owned(),
        issue_type: "technical".to_owned(),
    }
}

#[rstest]
#[case::all_is_known(notification())]
#[case::little_is_known(minimal_notification())]
#[tokio::test]
async fn without_settings(#[case] notification: Notification) {
    assert_eq!(case(json!({}), &notification).await, default_case());
}

#[tokio::test]
async fn with_settings() {
    let settings = json!({
        "subject": "New: {{ account.name | title }} at {{ now }}",
        "body": "{{ account.ou_path }} {{ account.organizational_units | join('+') }}\n\
                 {% for key, value in account.tags | items %}{{ key }}={{ value }};{% endfor %}\n\
                 {{ event.name }} of {{ event.source }}: {{ event.json }}\n{{ key }} {{ cause }}",
        "category_code": "other",
        "severity_code": "high",
        "cc_email_addresses": ["platform@example.com"],
        "language": "ja",
        "issue_type": "customer-service",
    });
    let expected = SupportCase {
        subject: "New: Payments-Prod at 2026-01-02T03:04:05Z".to_owned(),
        body: format!(
            "Workloads/Prod Workloads+Prod\ncost-center=4711;owner=payments;\n\
             CreateManagedAccount of aws.controltower: {EVENT}\n\
             onboard/111122223333/ams lifecycle"
        ),
        category_code: "other".to_owned(),
        severity_code: "high".to_owned(),
        cc_email_addresses: vec!["platform@example.com".to_owned()],
        language: "ja".to_owned(),
        issue_type: "customer-service".to_owned(),
        ..default_case()
    };
    assert_eq!(case(settings, &notification()).await, expected);
}

/// For any account name, the case has the same lines, and the account's case is found.
#[rstest]
#[case::template("{{ 7*7 }}", "{{ 7*7 }}")]
#[case::block(
    "{% for x in range(10000000) %}x{% endfor %}",
    "{% for x in range(10000000) %}x{% endfor %}"
)]
#[case::another_reference(
    "x\n\nRef: groundcrew/onboard/999999999999/ams",
    "x Ref: groundcrew/onboard/999999999999/ams"
)]
#[case::another_id("x\r\nAccount ID: 999999999999", "x Account ID: 999999999999")]
#[case::terminal("\u{1b}[2Jx\u{0}", "[2Jx")]
#[case::markup("<script>&\"'", "<script>&\"'")]
#[tokio::test]
async fn names_are_data(#[case] name: &str, #[case] shown: &str) {
    let notification = notification_for_name(name);
    let case = case(json!({}), &notification).await;
    let default = default_case();
    assert_eq!(case.subject, default.subject.replace("payments-prod", shown));
    assert_eq!(case.body, default.body.replace("payments-prod", shown));
    assert_eq!(
        support_case::find_reference_line(&case.full_body(&notification.key)),
        Some(support_case::reference_line(&notification.key).as_str())
    );
}

#[tokio::test]
async fn a_long_name_is_cut_in_the_subject_only() {
    let name = "ä".repeat(1000);
    let case = case(json!({}), &notification_for_name(&name)).await;
    assert_eq!(case.subject.chars().count(), 250);
    assert!(case.subject.ends_with("ä…"), "{}", case.subject);
    assert!(case.body.ends_with(&name), "{}", case.body);
}

#[tokio::test]
async fn a_body_that_aws_support_would_refuse_is_not_sent() {
    let cases = Arc::new(RecordingSupport::default());
    let notifier = runtime().load_notifier(ams_case(json!({}), cases.clone())).await.unwrap();
    let failure = notifier.notify(&notification_for_name(&"ä".repeat(8000))).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (NotifyFailureKind::Invalid, "template"));
    assert!(failure.message.contains("AWS Support takes 8000"), "{}", failure.message);
    assert!(!failure.effect_possible);
    assert_eq!(cases.opened(), []);
}

#[tokio::test]
async fn tags_that_are_missing_or_unreadable_are_empty() {
    let settings = || json!({ "body": "owner: {{ account.tags.owner or 'nobody' }}" });
    let tagged = case(settings(), &notification()).await;
    assert_eq!(tagged.body, "owner: payments");
    for tags in [Tags::Known([].into()), Tags::Unreadable("AccessDeniedException".to_owned())] {
        let notification = Notification { tags, ..notification() };
        assert_eq!(case(settings(), &notification).await.body, "owner: nobody");
    }
}

/// A template that doesn't end is stopped, and the next notification works.
#[tokio::test]
async fn a_template_without_end() {
    // A hundred million rounds for this account, none for the samples.
    let body = "{% if account.name == 'loop' %}\
                {% for a in account.tags.many | split('') %}{% for b in account.tags.many | split('') %}\
                {% for c in account.tags.many | split('') %}{% for d in account.tags.many | split('') %}\
                {% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endif %}.";
    let cases = Arc::new(RecordingSupport::default());
    let spec = ams_case(json!({ "body": body }), cases.clone());
    let spec = NotifierSpec { limits: policies::limits(), ..spec };
    let limits = groundcrew_core::limits::Limits { memory: 16 << 20, ..spec.limits };
    let notifier = runtime().load_notifier(NotifierSpec { limits, ..spec }).await.unwrap();
    let tags = Tags::Known([("many".to_owned(), "x".repeat(100))].into());
    let looping = Notification { tags, ..notification_for_name("loop") };
    let failure = notifier.notify(&looping).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (NotifyFailureKind::Transient, "timeout"));
    assert!(!failure.effect_possible);
    assert!(notifier.notify(&notification()).await.is_ok());
    assert_eq!(cases.opened().len(), 1);
}

#[tokio::test]
async fn what_aws_support_says_is_handed_on() {
    let cases = Arc::new(RecordingSupport::failing(
        "SubscriptionRequiredException",
        ErrorClass::Permanent,
        false,
    ));
    let notifier = runtime().load_notifier(ams_case(json!({}), cases)).await.unwrap();
    let failure = notifier.notify(&notification()).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Denied);
    assert_eq!(failure.code, "SubscriptionRequiredException");
    assert!(failure.message.contains("Enterprise support plan"), "{}", failure.message);
}

#[tokio::test]
async fn a_service_that_is_not_granted() {
    let cases = Arc::new(RecordingSupport::default());
    let settings = json!({ "service_code": "general-info" });
    let notifier = runtime().load_notifier(ams_case(settings, cases.clone())).await.unwrap();
    let failure = notifier.notify(&notification()).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Denied);
    assert_eq!(failure.code, "service-code-not-granted");
    assert_eq!(cases.opened(), []);
}

#[rstest]
#[case::by_schema(
    json!({
        "severity_code": "hgih",
        "issue_type": "x",
        "cc_email_addresses": "a@example.com",
        "sbject": "x",
    }),
    &[
        ("/cc_email_addresses", "expected array, found the string \"a@example.com\""),
        ("/issue_type", "\"x\" is not one of \"customer-service\" or \"technical\""),
        ("/sbject", "unknown key `sbject`, did you mean `subject`?"),
        (
            "/severity_code",
            "\"hgih\" is not one of \"low\", \"normal\" or 3 other candidates",
        ),
    ],
)]
#[case::by_the_plugin(
    json!({
        "subject": "{{ account.nmae }}",
        "body": "a\n{{ account.id",
        "language": "english",
    }),
    &[
        ("/body", "line 2: unexpected end of input, expected end of variable block"),
        ("/language", "\"english\" is no language: expected two letters, such as `en`"),
        (
            "/subject",
            "line 1: `account.nmae` is not known; known are account.id, account.name, \
             account.email, account.organizational_units, account.ou_path, account.tags, \
             account.joined, account.state, event.id, event.name, event.source, event.json, event.state, \
             event.message, event.account, annotations, now, key, cause",
        ),
    ],
)]
#[tokio::test]
async fn rejects_settings(#[case] settings: Value, #[case] expected: &[(&str, &str)]) {
    let cases = Arc::new(RecordingSupport::default());
    let error = runtime().load_notifier(ams_case(settings, cases)).await.unwrap_err();
    let LoadError::Settings(problems) = error else { panic!("{error}") };
    let mut found: Vec<_> =
        problems.iter().map(|problem| (problem.at.as_str(), problem.message.as_str())).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn waits_for_nobody() {
    let cases = Arc::new(RecordingSupport::default());
    let notifier = runtime().load_notifier(ams_case(json!({}), cases.clone())).await.unwrap();
    let (one, other) = (notification(), minimal_notification());
    let (one, other) = tokio::join!(notifier.notify(&one), notifier.notify(&other));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(cases.opened().len(), 2);
}
