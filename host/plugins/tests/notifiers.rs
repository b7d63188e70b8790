//! The world `notifier`: the checks when a notifier is loaded, its grants, and which of its
//! failures are retried. After any failure the next notification works.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::aws_error::ErrorClass;
use groundcrew_core::decision::Cause;
use groundcrew_core::limits::Limits;
use groundcrew_core::notification::{
    GateDecision, Notification, NotifyFailure, NotifyFailureKind, Receipt,
};
use groundcrew_core::ports::Notifier as _;
use groundcrew_core::support_case::SupportCase;
use groundcrew_plugins::{
    CallError, LoadError, LoadedNotifier, NotifierSpec, Runtime, Source, SupportGrant, World,
    bundled,
};
use groundcrew_testkit::components::{
    self, ABSTAIN, CASE, LOG, NotifierComponent, RECEIPT, SUPPORT_CASES,
};
use groundcrew_testkit::notifiers::{
    GRANTED_SERVICE, RecordingSupport, load_bytes, notification, spec,
};
use groundcrew_testkit::policies;
use groundcrew_testkit::policies::{limits, runtime};
use rstest::rstest;
use serde_json::json;

/// The notification that makes the plugin misbehave.
fn lifecycle() -> Notification {
    notification()
}

/// The notification that doesn't.
fn artifact() -> Notification {
    Notification { cause: Cause::Artifact, ..notification() }
}

fn receipt(reference: &str) -> Result<Receipt, NotifyFailure> {
    Ok(Receipt { reference: reference.to_owned(), decision: GateDecision::Go })
}

async fn load(
    runtime: &Runtime,
    plugin: NotifierComponent,
    cases: &Arc<RecordingSupport>,
) -> LoadedNotifier {
    load_bytes(runtime, &plugin.build(), cases.clone()).await.unwrap()
}

/// Opens a case, then runs this code.
fn opens(then: &'static str) -> NotifierComponent {
    NotifierComponent { imports: SUPPORT_CASES, fields: CASE, lifecycle: then, ..RECEIPT }
}

fn case() -> SupportCase {
    SupportCase {
        subject: "New account".to_owned(),
        body: "It has landed.".to_owned(),
        service_code: GRANTED_SERVICE.to_owned(),
        category_code: "onboarding-or-offboarding".to_owned(),
        severity_code: "low".to_owned(),
        cc_email_addresses: vec![],
        language: "en".to_owned(),
        issue_type: "technical".to_owned(),
    }
}

#[tokio::test]
async fn tells() {
    let cases = Arc::new(RecordingSupport::default());
    let notifier = load(&runtime(), opens("(call $case)"), &cases).await;
    assert_eq!(notifier.name(), "hostile");
    assert_eq!(notifier.digest().len(), 64);
    assert_eq!(notifier.notify(&artifact()).await, receipt("r-1"));
    assert_eq!(cases.opened(), []);
    assert_eq!(notifier.notify(&lifecycle()).await, receipt("case-1"));
    // The key is the notification's: the plugin can't choose it.
    assert_eq!(cases.opened(), [(lifecycle().key, case())]);
}

/// No state is carried over from one notification to the next.
#[tokio::test]
async fn every_notification_gets_an_instance_of_its_own() {
    let plugin = NotifierComponent {
        fields: "(global $calls (mut i32) (i32.const 0))",
        lifecycle: "(if (global.get $calls) (then (unreachable)))
            (global.set $calls (i32.const 1))",
        ..RECEIPT
    };
    let notifier = load(&runtime(), plugin, &Arc::default()).await;
    for _ in 0..3 {
        assert_eq!(notifier.notify(&lifecycle()).await, receipt("r-1"));
    }
}

/// The clock shows the notification's time.
#[tokio::test]
async fn a_notifier_sees_the_hosts_time() {
    let plugin = NotifierComponent {
        imports: r#"(import "wasi:clocks/wall-clock@0.2.12" "now" (func $now (param i32)))"#,
        // 2026-01-02T03:04:05Z
        lifecycle: "(call $now (i32.const 128))
            (if (i64.ne (i64.load (i32.const 128)) (i64.const 1767323045)) (then (unreachable)))",
        ..RECEIPT
    };
    let notifier = load(&runtime(), plugin, &Arc::default()).await;
    assert_eq!(notifier.notify(&lifecycle()).await, receipt("r-1"));
}

/// A sandbox's failure: code, a part of the message, whether a case was opened.
#[rstest]
#[case::trap(NotifierComponent { lifecycle: "(unreachable)", ..RECEIPT }, "trap", "unreachable", 0)]
#[case::loops(
    NotifierComponent { lifecycle: "(loop (br 0))", ..RECEIPT },
    "timeout", "limit of 100 ms: raise `limits.timeout`", 0
)]
#[case::memory_bomb(
    NotifierComponent {
        lifecycle: "(loop
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
            (br 0))",
        ..RECEIPT
    },
    "memory", "4194304 bytes of memory", 0
)]
#[case::log_flood(
    NotifierComponent {
        imports: LOG,
        lifecycle: "(call $log (i32.const 3) (i32.const 0) (i32.const 5000))",
        ..RECEIPT
    },
    "log-flood", "4096 bytes to the log", 0
)]
#[case::huge_reference(
    NotifierComponent { lifecycle: "(i32.store (i32.const 76) (i32.const 100000))", ..RECEIPT },
    "result-too-large", "16384 bytes", 0
)]
#[case::empty_reference(
    NotifierComponent { lifecycle: "(i32.store (i32.const 76) (i32.const 0))", ..RECEIPT },
    "invalid-result", "its receipt's reference is empty", 0
)]
#[case::long_reference(
    NotifierComponent { lifecycle: "(i32.store (i32.const 76) (i32.const 1025))", ..RECEIPT },
    "invalid-result", "its receipt's reference has 1025 bytes: expected at most 1024", 0
)]
#[case::lines_in_the_reference(
    NotifierComponent { lifecycle: "(i32.store8 (i32.const 1041) (i32.const 10))", ..RECEIPT },
    "invalid-result", "its receipt's reference has a line break", 0
)]
#[case::no_such_kind_of_failure(
    NotifierComponent {
        lifecycle: "(i32.store8 (i32.const 64) (i32.const 1))
            (i32.store8 (i32.const 72) (i32.const 7))",
        ..RECEIPT
    },
    "invalid-result", "discriminant", 0
)]
#[case::trap_after_a_case(opens("(call $case) (unreachable)"), "trap", "may be open", 1)]
#[case::loops_after_a_case(opens("(call $case) (loop (br 0))"), "timeout", "may be open", 1)]
#[case::nonsense_after_a_case(
    opens("(call $case) (i32.store (i32.const 76) (i32.const 0))"),
    "invalid-result",
    "may be open",
    1
)]
#[case::settings_it_rejects_later(
    // The clock is at zero while it is loaded, so it can detect that it is used.
    NotifierComponent {
        imports: r#"(import "wasi:clocks/wall-clock@0.2.12" "now" (func $now (param i32)))"#,
        configure: "(call $now (i32.const 128))
            (if (i32.wrap_i64 (i64.load (i32.const 128)))
                (then (i32.store8 (i32.const 32) (i32.const 1))))",
        ..RECEIPT
    },
    "settings", "rejected settings that it accepted", 0
)]
#[tokio::test]
async fn a_failure_of_the_sandbox_is_worth_another_try(
    #[case] plugin: NotifierComponent,
    #[case] code: &str,
    #[case] message: &str,
    #[case] cases_opened: usize,
) {
    let runtime = runtime();
    let cases = Arc::new(RecordingSupport::default());
    let hostile = load(&runtime, plugin, &cases).await;
    let other = load(&runtime, RECEIPT, &cases).await;
    let failure = hostile.notify(&lifecycle()).await.unwrap_err();
    assert_eq!(failure.kind, NotifyFailureKind::Transient);
    assert_eq!(failure.code, code);
    assert!(failure.message.contains("`hostile`"), "{}", failure.message);
    assert!(failure.message.contains(message), "{}", failure.message);
    assert_eq!(failure.effect_possible, cases_opened > 0);
    assert_eq!(failure.retry_after, None);
    assert_eq!(cases.opened().len(), cases_opened);
    assert_eq!(other.notify(&lifecycle()).await, receipt("r-1"));
    if code != "settings" {
        assert_eq!(hostile.notify(&artifact()).await, receipt("r-1"));
    }
}

/// As in a simulation: the clock jumps when all tasks are idle.
#[tokio::test(start_paused = true)]
async fn aws_support_that_never_answers() {
    let runtime = runtime();
    let cases = Arc::new(RecordingSupport::silent());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), opens("(call $case)").build()).unwrap();
    let limits = Limits { timeout: Duration::from_secs(30), ..limits() };
    let spec = spec("hostile", Source::File(file.path().to_owned()), cases);
    let notifier = runtime.load_notifier(NotifierSpec { limits, ..spec }).await.unwrap();

    let start = tokio::time::Instant::now();
    let failure = notifier.notify(&lifecycle()).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert_eq!((failure.kind, failure.code.as_str()), (NotifyFailureKind::Transient, "timeout"));
    assert!(failure.effect_possible);
    assert!(failure.message.contains("may be open"), "{}", failure.message);
    // It waited and didn't compute: the same seed would do the same again.
    assert!(!runtime.deadline_fired());
    assert_eq!(notifier.notify(&artifact()).await, receipt("r-1"));
}

/// A call that is cancelled leaves a working notifier behind, and frees its permit.
#[tokio::test]
async fn a_cancelled_call_harms_nobody() {
    let notifier =
        load(&runtime(), opens("(call $case)"), &Arc::new(RecordingSupport::silent())).await;
    let notification = lifecycle();
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = notifier.notify(&notification) => panic!("it waits"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(notifier.notify(&artifact()).await, receipt("r-1"));
}

/// Policies are evaluated while any number of notifications wait.
#[tokio::test]
async fn notifications_that_wait_hold_up_no_policy() {
    use groundcrew_core::decision::PolicyDecision;

    let runtime = runtime();
    let cases = Arc::new(RecordingSupport::silent());
    let notifier = Arc::new(load(&runtime, opens("(call $case)"), &cases).await);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let notifier = notifier.clone();
            tokio::spawn(async move { notifier.notify(&lifecycle()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let policy = policies::load_bytes(&runtime, &ABSTAIN.build()).await.unwrap();
    assert_eq!(policy.evaluate_typed(&policies::tagged(&[])).await, Ok(PolicyDecision::Abstain));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A plugin's own failure is passed on unchanged.
#[rstest]
#[case::transient(0, NotifyFailureKind::Transient)]
#[case::permanent(1, NotifyFailureKind::Permanent)]
#[case::denied(2, NotifyFailureKind::Denied)]
#[case::invalid(3, NotifyFailureKind::Invalid)]
#[tokio::test]
async fn its_own_failure(#[case] number: u8, #[case] kind: NotifyFailureKind) {
    let lifecycle_code: &'static str = Box::leak(
        format!(
            "(i32.store8 (i32.const 64) (i32.const 1))
             (i32.store8 (i32.const 72) (i32.const {number}))
             (i32.store (i32.const 76) (i32.const 1024)) (i32.store (i32.const 80) (i32.const 2))
             (i32.store (i32.const 84) (i32.const 1040)) (i32.store (i32.const 88) (i32.const 3))
             (i32.store8 (i32.const 92) (i32.const 1))
             (i32.store8 (i32.const 96) (i32.const 1)) (i32.store (i32.const 100) (i32.const 90))"
        )
        .into_boxed_str(),
    );
    let plugin = NotifierComponent { lifecycle: lifecycle_code, ..RECEIPT };
    let notifier = load(&runtime(), plugin, &Arc::default()).await;
    assert_eq!(
        notifier.notify(&lifecycle()).await,
        Err(NotifyFailure {
            kind,
            code: "{}".to_owned(),
            message: "plugin `hostile` failed with `{}`: r-1".to_owned(),
            effect_possible: true,
            retry_after: Some(Duration::from_secs(90)),
        })
    );
}

/// A plugin that fails after it opened a case can't claim that nothing happened.
#[tokio::test]
async fn the_host_knows_what_may_have_happened() {
    let plugin = opens(
        "(call $case)
         (i32.store8 (i32.const 64) (i32.const 1)) (i32.store8 (i32.const 72) (i32.const 1))
         (i32.store (i32.const 76) (i32.const 1024)) (i32.store (i32.const 80) (i32.const 2))
         (i32.store (i32.const 84) (i32.const 1040)) (i32.store (i32.const 88) (i32.const 3))
         (i32.store8 (i32.const 92) (i32.const 0)) (i32.store8 (i32.const 96) (i32.const 0))",
    );
    let notifier = load(&runtime(), plugin, &Arc::default()).await;
    let failure = notifier.notify(&lifecycle()).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (NotifyFailureKind::Permanent, true));
}

/// The message of AWS Support reaches the plugin, which passes it on.
#[rstest]
#[case::throttled(
    "ThrottlingException",
    ErrorClass::Throttled,
    false,
    NotifyFailureKind::Transient,
    ""
)]
#[case::lost("", ErrorClass::Transient, true, NotifyFailureKind::Transient, "CreateCase: no")]
#[case::unknown(
    "Odd",
    ErrorClass::Unknown,
    false,
    NotifyFailureKind::Transient,
    "CreateCase: Odd: no"
)]
#[case::busy("ConflictException", ErrorClass::Contention, false, NotifyFailureKind::Transient, "")]
#[case::denied("AccessDeniedException", ErrorClass::Denied, false, NotifyFailureKind::Denied, "")]
#[case::missing("CaseIdNotFound", ErrorClass::NotFound, false, NotifyFailureKind::Permanent, "")]
#[case::refused(
    "ValidationException",
    ErrorClass::Permanent,
    false,
    NotifyFailureKind::Permanent,
    ""
)]
#[case::no_plan(
    "SubscriptionRequiredException",
    ErrorClass::Unknown,
    false,
    NotifyFailureKind::Denied,
    "needs a Business, Enterprise On-Ramp or Enterprise support plan"
)]
#[case::too_many(
    "CaseCreationLimitExceeded",
    ErrorClass::Permanent,
    false,
    NotifyFailureKind::Transient,
    "as many cases as AWS Support allows"
)]
#[tokio::test]
async fn what_aws_support_refuses(
    #[case] code: &str,
    #[case] class: ErrorClass,
    #[case] effect_possible: bool,
    #[case] kind: NotifyFailureKind,
    #[case] message: &str,
) {
    let cases = Arc::new(RecordingSupport::failing(code, class, effect_possible));
    let notifier = load(&runtime(), opens("(call $case)"), &cases).await;
    let failure = notifier.notify(&lifecycle()).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect_possible), (kind, effect_possible));
    assert_eq!(failure.code, if code.is_empty() { "no-answer" } else { code });
    assert!(failure.message.contains(message), "{}", failure.message);
}

/// A case that is not granted, or would be refused, is never requested.
#[rstest]
#[case::not_granted(
    "(call $case_of (i32.const 3232) (i32.const 3))",
    NotifyFailureKind::Denied,
    "service-code-not-granted",
    "support cases of the service \"low\" are not granted: to grant them, write `support_cases = \
     [\"service-ams-operations-service-request\", \"low\"]` under `[notifiers.grants]`"
)]
#[case::of_a_huge_service(
    "(call $case_of (i32.const 3232) (i32.const 5000))",
    NotifyFailureKind::Denied,
    "service-code-not-granted",
    "…"
)]
#[case::no_subject(
    "(memory.fill (i32.const 3072) (i32.const 32) (i32.const 11)) (call $case)",
    NotifyFailureKind::Invalid,
    "invalid-support-case",
    "subject is empty: expected one line"
)]
#[tokio::test]
async fn what_the_host_refuses(
    #[case] lifecycle_code: &'static str,
    #[case] kind: NotifyFailureKind,
    #[case] code: &str,
    #[case] message: &str,
) {
    let cases = Arc::new(RecordingSupport::default());
    let notifier = load(&runtime(), opens(lifecycle_code), &cases).await;
    let failure = notifier.notify(&lifecycle()).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (kind, code));
    assert!(failure.message.contains(message), "{}", failure.message);
    assert!(failure.message.len() < 1000, "{}", failure.message);
    assert!(!failure.effect_possible);
    assert_eq!(cases.opened(), []);
}

#[tokio::test]
async fn cases_without_end() {
    let cases = Arc::new(RecordingSupport::default());
    // Until the host refuses.
    let plugin = opens("(loop (call $case) (br_if 0 (i32.eqz (i32.load8_u (i32.const 64)))))");
    let notifier = load(&runtime(), plugin, &cases).await;
    for told in [4, 8] {
        let failure = notifier.notify(&lifecycle()).await.unwrap_err();
        assert_eq!(failure.code, "too-many-support-cases");
        assert!(failure.effect_possible);
        assert_eq!(cases.opened().len(), told);
    }
}

/// Loading delivers nothing: opening a case meanwhile is refused.
#[tokio::test]
async fn no_case_is_opened_by_loading() {
    let cases = Arc::new(RecordingSupport::default());
    let plugin = NotifierComponent {
        // It expects the refusal, and traps otherwise.
        configure: "(call $case)
            (if (i32.ne (i32.load8_u (i32.const 64)) (i32.const 1)) (then (unreachable)))",
        ..opens("")
    };
    load(&runtime(), plugin, &cases).await;
    assert_eq!(cases.opened(), []);
}

#[rstest]
#[case::nothing(None)]
#[case::no_service(Some(vec![]))]
#[tokio::test]
async fn support_cases_that_nobody_granted(#[case] service_codes: Option<Vec<String>>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), opens("(call $case)").build()).unwrap();
    let cases = Arc::new(RecordingSupport::default());
    let support =
        service_codes.map(|service_codes| SupportGrant { cases: cases.clone(), service_codes });
    let spec = NotifierSpec {
        support: support.clone(),
        ..spec("desk", Source::File(file.path().to_owned()), cases.clone())
    };
    let error = runtime().load_notifier(spec.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `desk` opens support cases, and none are granted: to grant them, write \
         `support_cases = [\"…\"]` under `[notifiers.grants]` of this notifier"
    );

    // A plugin that doesn't import them needs no grant.
    std::fs::write(file.path(), RECEIPT.build()).unwrap();
    let notifier = runtime().load_notifier(spec).await.unwrap();
    assert_eq!(notifier.notify(&lifecycle()).await, receipt("r-1"));
}

/// A notifier sends granted requests; it can't serve requests.
#[tokio::test]
async fn http_for_servers_is_not_offered() {
    let plugin = NotifierComponent {
        imports: r#"(import "wasi:http/incoming-handler@0.2.12" "handle"
            (func $handle (param i32 i32)))"#,
        lifecycle: "(call $handle (i32.const 0) (i32.const 0))",
        ..RECEIPT
    };
    let error = load_bytes(&runtime(), &plugin.build(), Arc::<RecordingSupport>::default()).await;
    let error = error.unwrap_err();
    let LoadError::ForbiddenImport { world: World::Notifier, imports, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*imports, ["wasi:http/incoming-handler@0.2.12"]);
    assert!(error.to_string().contains("a notifier sends requests"), "{error}");
}

#[tokio::test]
async fn a_policy() {
    let error = load_bytes(&runtime(), &ABSTAIN.build(), Arc::<RecordingSupport>::default()).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "plugin `hostile` is a policy, not a notifier: name it under [[policies]]"
    );
}

#[tokio::test]
async fn a_component_of_another_kind() {
    let error = load_bytes(
        &runtime(),
        &components::component_of_another_world(),
        Arc::<RecordingSupport>::default(),
    )
    .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "plugin `hostile` is not a notifier: it lacks the export \
         groundcrew:plugin/settings@0.1.0; build it for the world `notifier` of groundcrew:plugin"
    );
}

/// `notify` has the right name and another type.
#[tokio::test]
async fn another_contract_of_the_same_version() {
    let error = load_bytes(
        &runtime(),
        &components::notifier_without_parameters(),
        Arc::<RecordingSupport>::default(),
    )
    .await;
    let error = error.unwrap_err();
    let LoadError::Call(CallError::Contract { plugin, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(plugin, "hostile");
    assert!(error.to_string().contains("doesn't fit the contract"), "{error}");
}

#[rstest]
#[case::trap("(unreachable)", "trap")]
#[case::infinite_loop("(loop (br 0))", "timeout")]
#[tokio::test]
async fn is_found_when_it_is_loaded(#[case] configure: &'static str, #[case] code: &str) {
    let plugin = NotifierComponent { configure, ..RECEIPT };
    let error = load_bytes(&runtime(), &plugin.build(), Arc::<RecordingSupport>::default()).await;
    let error = error.unwrap_err();
    let LoadError::Call(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), code);
}

#[tokio::test]
async fn a_bundled_name_of_the_other_world() {
    let source = |name: &str| Source::Bundled(name.to_owned());
    let cases = Arc::new(RecordingSupport::default());
    let notifier = spec("by-tag", source("managed-tag"), cases.clone());
    assert_eq!(
        runtime().load_notifier(notifier).await.unwrap_err().to_string(),
        "plugin `by-tag` is a policy, not a notifier: name it under [[policies]]"
    );
    let policy = policies::spec("ams", source("ams-case"));
    assert_eq!(
        runtime().load_policy(policy).await.unwrap_err().to_string(),
        "plugin `ams` is a notifier, not a policy: name it under [[notifiers]]"
    );
    let unknown = spec("ams", source("ams-cases"), cases);
    assert_eq!(
        runtime().load_notifier(unknown).await.unwrap_err().to_string(),
        "plugin `ams`: no notifier is called `ams-cases`, did you mean `ams-case`?; bundled are \
         ams-case, baseline-check, billing, cmdb, webhook; a path to a .wasm file begins with \
         `./` or `/`"
    );
    let names: Vec<_> = bundled::names(World::Notifier).collect();
    assert_eq!(names, ["ams-case", "baseline-check", "billing", "cmdb", "webhook"]);
}

#[tokio::test]
async fn the_digest_must_match() {
    let source = Source::Bundled("ams-case".to_owned());
    let spec = spec("ams", source, Arc::new(RecordingSupport::default()));
    let spec = NotifierSpec { sha256: Some("0".repeat(64)), settings: json!({}), ..spec };
    let error = runtime().load_notifier(spec).await.unwrap_err();
    assert!(matches!(error, LoadError::Digest { .. }), "{error}");
}
