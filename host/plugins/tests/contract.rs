//! The checks of a plugin when it is loaded.

use groundcrew_core::decision::PolicyDecision;
use groundcrew_plugins::{CallError, Instance, LoadError, PolicySpec, Source};
use groundcrew_testkit::components::{self, ABSTAIN, LOG, PolicyComponent, RECEIPT, SUPPORT_CASES};
use groundcrew_testkit::policies::{load_bytes, managed_tag, runtime, spec, tagged};
use rstest::rstest;
use serde_json::json;

#[rstest]
#[case::random(b"\x8f\x03\x91 not wasm at all \xfe\xff")]
#[case::empty(b"")]
#[case::cut_within_the_preamble(b"\0asm\x0d")]
#[case::text(b"(component)")]
#[tokio::test]
async fn bytes_that_are_not_wasm(#[case] bytes: &[u8]) {
    let error = load_bytes(&runtime(), bytes).await.unwrap_err();
    assert!(matches!(&error, LoadError::NotWasm { plugin } if plugin == "hostile"), "{error}");
}

#[tokio::test]
async fn a_core_module() {
    let module = wat::parse_str("(module)").unwrap();
    let error = load_bytes(&runtime(), &module).await.unwrap_err();
    assert!(matches!(&error, LoadError::CoreModule { plugin } if plugin == "hostile"), "{error}");
}

/// Cut off at any byte, a component causes an error and never a panic.
#[tokio::test]
async fn a_truncated_component() {
    let whole = ABSTAIN.build();
    let runtime = runtime();
    for length in (8..whole.len()).step_by(whole.len() / 100) {
        let error = load_bytes(&runtime, &whole[..length]).await.unwrap_err();
        let known = matches!(
            &error,
            LoadError::Invalid { plugin, .. } | LoadError::MissingExport { plugin, .. }
                if plugin == "hostile"
        );
        assert!(known, "cut at {length}: {error}");
    }
}

#[tokio::test]
async fn a_notifier() {
    let error = load_bytes(&runtime(), &RECEIPT.build()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `hostile` is a notifier, not a policy: name it under [[notifiers]]"
    );
}

#[tokio::test]
async fn a_component_of_another_kind() {
    let error =
        load_bytes(&runtime(), &components::component_of_another_world()).await.unwrap_err();
    let LoadError::MissingExport { missing, .. } = &error else { panic!("{error:?}") };
    assert_eq!(missing, "groundcrew:plugin/settings@0.1.0");
}

#[rstest]
#[case::far_ahead("9.9.9")]
#[case::incompatible("0.2.0")]
#[tokio::test]
async fn another_version_of_the_contract(#[case] version: &str) {
    let error = load_bytes(&runtime(), &components::policy_of_contract(version)).await.unwrap_err();
    let LoadError::Version { found, expected, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*found, format!("groundcrew:plugin/settings@{version}"));
    assert_eq!(expected, "groundcrew:plugin/settings@0.1.0");
}

/// The right names with wrong types.
#[tokio::test]
async fn another_contract_of_the_same_version() {
    let error = load_bytes(&runtime(), &components::policy_of_contract("0.1.0")).await.unwrap_err();
    let LoadError::Call(CallError::Contract { plugin, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(plugin, "hostile");
}

#[tokio::test]
async fn imports_that_are_not_granted() {
    let plugin = PolicyComponent {
        imports: r#"
            (import "test:hostile/sockets" "connect" (func $connect))
            (import "test:hostile/secrets" "read" (func $read))"#,
        onboard: "(call $connect) (call $read)",
        ..ABSTAIN
    };
    let error = load_bytes(&runtime(), &plugin.build()).await.unwrap_err();
    let LoadError::ForbiddenImport { imports, .. } = &error else { panic!("{error:?}") };
    let mut imports = imports.clone();
    imports.sort();
    assert_eq!(imports, ["test:hostile/secrets", "test:hostile/sockets"]);
}

#[tokio::test]
async fn support_cases_are_for_notifiers() {
    let plugin = PolicyComponent {
        imports: SUPPORT_CASES,
        // Never called: the import is enough.
        fields: "(func $unused (call $open
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
        ..ABSTAIN
    };
    let error = load_bytes(&runtime(), &plugin.build()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `hostile` imports what a policy is not given: \
         groundcrew:plugin/support-cases@0.1.0; only notifiers are given it"
    );
}

#[tokio::test]
async fn a_log_is_granted() {
    let plugin = PolicyComponent {
        imports: LOG,
        evaluate: "(call $log (i32.const 1) (i32.const 1024) (i32.const 2))",
        ..ABSTAIN
    };
    let policy = load_bytes(&runtime(), &plugin.build()).await.unwrap();
    assert_eq!(policy.evaluate_typed(&tagged(&[])).await, Ok(PolicyDecision::Abstain));
}

/// An instance is fresh for each evaluation, or kept, according to the config.
#[rstest]
#[case(Instance::Fresh, PolicyDecision::Abstain)]
#[case(Instance::Kept, PolicyDecision::Proceed(None))]
#[tokio::test]
async fn what_an_instance_remembers(#[case] instance: Instance, #[case] second: PolicyDecision) {
    let plugin = PolicyComponent {
        fields: "(global $calls (mut i32) (i32.const 0))",
        // The case of the decision: abstain at first, then proceed.
        evaluate: "(i32.store8 (i32.const 72) (global.get $calls)) (global.set $calls (i32.const 1))",
        ..ABSTAIN
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plugin.build()).unwrap();
    let spec = PolicySpec { instance, ..spec("counter", Source::File(file.path().to_owned())) };
    let policy = runtime().load_policy(spec).await.unwrap();
    assert_eq!(policy.evaluate_typed(&tagged(&[])).await, Ok(PolicyDecision::Abstain));
    assert_eq!(policy.evaluate_typed(&tagged(&[])).await, Ok(second));
}

#[tokio::test]
async fn the_digest_must_match() {
    let runtime = runtime();
    let policy = runtime.load_policy(managed_tag(json!({}))).await.unwrap();
    let right = policy.digest().to_uppercase();
    let spec = PolicySpec { sha256: Some(right), ..managed_tag(json!({})) };
    runtime.load_policy(spec).await.unwrap();

    let spec = PolicySpec { sha256: Some("0".repeat(64)), ..managed_tag(json!({})) };
    let error = runtime.load_policy(spec).await.unwrap_err();
    let LoadError::Digest { found, .. } = &error else { panic!("{error:?}") };
    assert_eq!(found, policy.digest());
}

#[tokio::test]
async fn a_bundled_name_that_nobody_has() {
    let source = Source::Bundled("manged-tag".to_owned());
    let error = runtime().load_policy(spec("by-tag", source)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `by-tag`: no policy is called `manged-tag`, did you mean `managed-tag`?; \
         bundled are managed-tag; a path to a .wasm file begins with `./` or `/`"
    );
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let source = Source::File("/nowhere/policy.wasm".into());
    let error = runtime().load_policy(spec("lost", source)).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/policy.wasm"), "{error}");
}
