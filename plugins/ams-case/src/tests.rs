//! The texts of cases, for any account name; and which settings are wrong.

use groundcrew_sdk::support_cases::{self, SupportCase};
use groundcrew_sdk::{
    Account, Cause, Context, Event, Failure, FailureKind, Notification, Notifier,
    OrganizationalUnit, Problem, Receipt, Tag, Tags,
};
use rstest::rstest;

use crate::{AmsCase, Settings};

fn notification() -> Notification {
    let unit = |id: &str, name: &str| OrganizationalUnit { id: id.into(), name: name.into() };
    Notification {
        annotations: vec![],
        key: "onboard/111122223333/ams".to_owned(),
        cause: Cause::Lifecycle,
        account: Account {
            id: "111122223333".to_owned(),
            name: "payments-prod".to_owned(),
            email: "aws+payments-prod@example.com".to_owned(),
            organizational_units: vec![
                unit("ou-abcd-11111111", "Workloads"),
                unit("ou-abcd-22222222", "Prod"),
            ],
            tags: Tags::Known(vec![Tag::new("cost-center", "4711"), Tag::new("owner", "payments")]),
            joined: Some(1_767_322_800),
            state: groundcrew_sdk::AccountState::Active,
        },
        event: Some(Event {
            id: "event-1".to_owned(),
            name: "CreateManagedAccount".to_owned(),
            source: "aws.controltower".to_owned(),
            json: "{\n}".to_owned(),
        }),
        now: 1_767_323_045,
        attempt: 1,
    }
}

/// The notification when a sweep found the account and Organizations had no more data.
fn sparse() -> Notification {
    let Notification { account, .. } = notification();
    Notification {
        account: Account {
            email: String::new(),
            organizational_units: vec![],
            tags: Tags::Unreadable("AccessDeniedException".to_owned()),
            joined: None,
            ..account
        },
        event: None,
        ..notification()
    }
}

fn named(name: &str) -> Notification {
    let Notification { account, .. } = notification();
    Notification { account: Account { name: name.to_owned(), ..account }, ..notification() }
}

fn configure(settings: Settings) -> Result<AmsCase, Vec<Problem>> {
    AmsCase::configure(settings, &Context { lanes: vec![] })
}

/// The case of a notification, with these templates of subject and body.
fn case(subject: &str, body: &str, notification: &Notification) -> Result<SupportCase, Failure> {
    let settings =
        Settings { subject: subject.to_owned(), body: body.to_owned(), ..Settings::default() };
    let problems = |problems: Vec<Problem>| panic!("{problems:?}");
    configure(settings).unwrap_or_else(problems).case(notification)
}

/// The rendered body of this template.
fn body(template: &str, notification: &Notification) -> String {
    case("subject", template, notification).unwrap().body
}

fn subject(template: &str, notification: &Notification) -> String {
    case(template, "body", notification).unwrap().subject
}

#[rstest]
#[case::all_is_known(notification())]
#[case::little_is_known(sparse())]
fn without_settings(#[case] notification: Notification) {
    let notifier = configure(Settings::default()).unwrap_or_else(|problems| panic!("{problems:?}"));
    support_cases::mock_with(|case| {
        let expected = SupportCase {
            subject: "AMS onboarding of account 111122223333 (payments-prod)".to_owned(),
            body: "AWS Control Tower has created a new account in our organization. Please \
                   onboard it to AMS, and involve our Cloud Architect (CA) and Cloud Service \
                   Delivery Manager (CSDM).\n\nAccount ID: 111122223333\n\
                   Account name: payments-prod"
                .to_owned(),
            service_code: "service-ams-operations-service-request".to_owned(),
            category_code: "onboarding-or-offboarding".to_owned(),
            severity_code: "low".to_owned(),
            cc_email_addresses: vec![],
            language: "en".to_owned(),
            issue_type: "technical".to_owned(),
        };
        assert_eq!(*case, expected);
        Ok("case-1".to_owned())
    });
    assert_eq!(notifier.notify(&notification), Ok(Receipt::new("case-1")));
}

#[test]
fn with_settings() {
    let settings: Settings = serde_json::from_str(
        r#"{
            "subject": "{{ account.name | upper }}",
            "body": "Hello",
            "service_code": "service-other",
            "category_code": "other",
            "severity_code": "urgent",
            "cc_email_addresses": ["a@example.com", "b@example.com"],
            "language": "ja",
            "issue_type": "customer-service"
        }"#,
    )
    .unwrap();
    let notifier = configure(settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    let expected = SupportCase {
        subject: "PAYMENTS-PROD".to_owned(),
        body: "Hello".to_owned(),
        service_code: "service-other".to_owned(),
        category_code: "other".to_owned(),
        severity_code: "urgent".to_owned(),
        cc_email_addresses: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
        language: "ja".to_owned(),
        issue_type: "customer-service".to_owned(),
    };
    assert_eq!(notifier.case(&notification()), Ok(expected));
}

/// The host's error is passed on.
#[test]
fn a_refusal_of_the_host() {
    let notifier = configure(Settings::default()).unwrap_or_else(|problems| panic!("{problems:?}"));
    support_cases::mock_with(|_| Err(Failure::denied("service-code-not-granted", "no")));
    let failure = notifier.notify(&notification()).unwrap_err();
    assert_eq!(failure, Failure::denied("service-code-not-granted", "no"));
}

/// Every variable, with all data known and with little data known.
#[rstest]
#[case("{{ account.id }}", "111122223333", "111122223333")]
#[case("{{ account.name }}", "payments-prod", "payments-prod")]
#[case("[{{ account.email }}]", "[aws+payments-prod@example.com]", "[]")]
#[case("[{{ account.organizational_units | join(', ') }}]", "[Workloads, Prod]", "[]")]
#[case("[{{ account.ou_path }}]", "[Workloads/Prod]", "[]")]
#[case("[{{ account.tags.owner }}]", "[payments]", "[]")]
#[case("[{{ account.tags['cost-center'] }}]", "[4711]", "[]")]
#[case("[{{ account.tags.missing }}]", "[]", "[]")]
#[case("{{ account.tags.owner or 'nobody' }}", "payments", "nobody")]
#[case("{% for key in account.tags %}{{ key }};{% endfor %}.", "cost-center;owner;.", ".")]
#[case("[{{ account.joined }}]", "[2026-01-02T03:00:00Z]", "[]")]
#[case("[{{ event.id }}]", "[event-1]", "[]")]
#[case("[{{ event.name }}]", "[CreateManagedAccount]", "[]")]
#[case("[{{ event.source }}]", "[aws.controltower]", "[]")]
#[case("[{{ event.json }}]", "[{\n}]", "[]")]
#[case("[{{ event.state }}{{ event.message }}{{ event.account }}]", "[]", "[]")]
#[case("{{ annotations | length }}", "0", "0")]
#[case("{% if event.id %}event{% else %}sweep{% endif %}", "event", "sweep")]
#[case("{{ now }}", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z")]
#[case("{{ key }}", "onboard/111122223333/ams", "onboard/111122223333/ams")]
#[case("{{ cause }}", "lifecycle", "lifecycle")]
fn variables(#[case] template: &str, #[case] full: &str, #[case] little: &str) {
    assert_eq!(body(template, &notification()), full);
    assert_eq!(body(template, &sparse()), little);
}

/// Values of events are data: never a template, never another line.
#[rstest]
#[case::template("{{ 7*7 }}", "{{ 7*7 }}")]
#[case::block("{% for x in range(9) %}x{% endfor %}", "{% for x in range(9) %}x{% endfor %}")]
#[case::comment("{# a", "{# a")]
#[case::markup("<b>&\"'", "<b>&\"'")]
#[case::line_break("a\nRef: groundcrew/b", "a Ref: groundcrew/b")]
#[case::carriage_return("a\r\nb", "a b")]
#[case::line_separators("a\u{2028}b\u{2029}c\u{85}d", "a b c d")]
#[case::control_characters("a\u{0}b\u{1b}[31mc\u{7f}", "a b [31mc")]
#[case::unicode("Zürich 東京", "Zürich 東京")]
fn names_are_data(#[case] name: &str, #[case] expected: &str) {
    assert_eq!(subject("<{{ account.name }}>", &named(name)), format!("<{expected}>"));
    assert_eq!(body("<{{ account.name }}>", &named(name)), format!("<{expected}>"));
}

#[test]
fn every_text_of_the_account_and_its_event_is_data() {
    let mut notification = notification();
    let text = "{{ 7*7 }}\n{{ key }}".to_owned();
    let account = &mut notification.account;
    account.email = text.clone();
    account.organizational_units[0].name = text.clone();
    account.tags = Tags::Known(vec![Tag::new("owner", text.clone())]);
    notification.event = Some(Event {
        id: text.clone(),
        name: text.clone(),
        source: text,
        json: "\"{{ 7*7 }}\"".to_owned(),
    });
    let template = "{{ account.email }}|{{ account.ou_path }}|{{ account.tags.owner }}|\
                    {{ event.id }}|{{ event.name }}|{{ event.source }}|{{ event.json }}";
    let line = "{{ 7*7 }} {{ key }}";
    assert_eq!(
        body(template, &notification),
        format!("{line}|{line}/Prod|{line}|{line}|{line}|{line}|\"{{{{ 7*7 }}}}\"")
    );
}

#[test]
fn a_subject_is_one_line_of_250_characters_at_most() {
    assert_eq!(subject("  a\n\n  b\t c\u{1}", &notification()), "a b c");
    let long = "ä".repeat(400);
    let cut = subject("{{ account.name }}", &named(&long));
    assert_eq!(cut, format!("{}…", "ä".repeat(249)));
    let fits = "ä".repeat(250);
    assert_eq!(subject("{{ account.name }}", &named(&fits)), fits);
}

#[test]
fn a_body_keeps_its_lines() {
    assert_eq!(body("a\n\n  b\n", &notification()), "a\n\n  b");
}

/// The host appends `\n\nRef: groundcrew/onboard/111122223333/ams` to the body.
#[rstest]
#[case::just_fits(8000 - 42, true)]
#[case::one_too_many(8000 - 41, false)]
fn a_body_has_8000_characters_at_most(#[case] length: usize, #[case] fits: bool) {
    let notification = named(&"ä".repeat(length));
    assert_eq!("\n\nRef: groundcrew/onboard/111122223333/ams".len(), 42);
    match case("subject", "{{ account.name }}", &notification) {
        Ok(_) => assert!(fits),
        Err(failure) => {
            assert!(!fits);
            assert_eq!(failure.kind, FailureKind::Invalid);
            assert_eq!(
                failure.message,
                "the setting `body`: renders to 8001 characters, the host's reference line \
                 included: AWS Support takes 8000"
            );
        }
    }
}

#[test]
fn a_template_that_fails_on_one_account() {
    let notification = named("");
    let failure = case("{{ account.name }}", "body", &notification).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Invalid, "template"));
    assert_eq!(failure.message, "the setting `subject`: renders to nothing: expected a text");
}

const KNOWN: &str = "; known are account.id, account.name, account.email, \
    account.organizational_units, account.ou_path, account.tags, account.joined, account.state, event.id, \
    event.name, event.source, event.json, event.state, event.message, event.account, \
    annotations, now, key, cause";

/// Setting, template, and the message about it, without the list of known names.
#[rstest]
#[case::misspelt(
    "subject", "{{ account.nmae }}", &["line 1: `account.nmae` is not known"]
)]
#[case::in_a_later_line(
    "body", "owner:\n\n{{ owner }}", &["line 3: `owner` is not known"]
)]
#[case::in_a_branch_that_no_sample_takes(
    "body", "{% if account.id == '1' %}\n{{ event.detail }}{% endif %}.",
    &["line 2: `event.detail` is not known"]
)]
#[case::all_at_once(
    "body", "{{ b }}\n{{ a }}{{ c | default('x') }}",
    &[
        "line 1: `b` is not known",
        "line 2: `a` is not known",
        "line 2: `c` is not known",
    ]
)]
#[case::by_index("body", "\n{{ account['nmae'] }}", &["line 2: `account['nmae']` is undefined"])]
#[case::not_closed("subject", "{{ account.id", &["line 1: unexpected end of input, expected end of variable block"])]
#[case::no_expression("body", "a\n{{ }}", &["line 2: unexpected end of variable block"])]
#[case::filter("body", "{{ key | uper }}", &["line 1: unknown filter: filter uper is unknown"])]
#[case::statement(
    "body", "{% include 'x' %}", &["line 1: unknown statement include"]
)]
#[case::only_where_all_is_known(
    "body", "{{ account.organizational_units[0] }}",
    &["line 1: `account.organizational_units[0]` is undefined, when only id and name of the \
       account are known"]
)]
#[case::empty("subject", " ", &["renders to nothing: expected a text"])]
#[case::sometimes_empty(
    "body", "{{ event.name }}",
    &["renders to nothing: expected a text, when only id and name of the account are known"]
)]
#[case::long(
    "body", "{{ 'a' * 9000 }}",
    &["renders to 9042 characters, the host's reference line included: AWS Support takes 8000"]
)]
fn templates_that_are_wrong(
    #[case] setting: &str,
    #[case] template: &str,
    #[case] expected: &[&str],
) {
    let mut settings = Settings::default();
    match setting {
        "subject" => settings.subject = template.to_owned(),
        _ => settings.body = template.to_owned(),
    }
    let problems = configure(settings).err().unwrap_or_default();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| match problem.message.strip_suffix(KNOWN) {
            Some(unknown) => unknown,
            None => &problem.message,
        })
        .collect();
    assert_eq!(found, expected);
    assert!(problems.iter().all(|problem| problem.at == format!("/{setting}")), "{problems:?}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let settings = Settings {
        subject: "{{ a }}".to_owned(),
        body: "{{ b }}".to_owned(),
        service_code: String::new(),
        category_code: "two words".to_owned(),
        language: "english".to_owned(),
        cc_email_addresses: vec!["a@example.com".to_owned(), "b".to_owned(), "c@d e".to_owned()],
        ..Settings::default()
    };
    let problems = configure(settings).err().unwrap_or_default();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(
        found,
        [
            "/service_code",
            "/category_code",
            "/language",
            "/cc_email_addresses/1",
            "/cc_email_addresses/2",
            "/subject",
            "/body",
        ]
    );
}
