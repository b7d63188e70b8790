//! Plugins that misbehave on purpose. Each gets its own typed error, which names the
//! plugin and the limit, and the next decision works: by the same plugin and by another.

use std::sync::Arc;

use groundcrew_core::decision::{Action, Candidate, PolicyDecision};
use groundcrew_core::ports::Policy;
use groundcrew_plugins::{
    CallError, Instance, LoadError, LoadedPolicy, PolicySpec, Runtime, Source,
};
use groundcrew_testkit::components::{ABSTAIN, LOG, PolicyComponent};
use groundcrew_testkit::policies::{limits, load_bytes, runtime, spec, tagged};
use rstest::rstest;

const MONOTONIC_NOW: &str =
    r#"(import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $now (result i64)))"#;

async fn load(runtime: &Runtime, plugin: PolicyComponent, instance: Instance) -> LoadedPolicy {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plugin.build()).unwrap();
    let spec = PolicySpec { instance, ..spec("hostile", Source::File(file.path().to_owned())) };
    runtime.load_policy(spec).await.unwrap()
}

/// The candidate that makes the plugin misbehave.
fn onboard() -> Candidate {
    Candidate { action: Action::Onboard, ..tagged(&[("owner", "payments")]) }
}

/// The candidate that doesn't.
fn update() -> Candidate {
    tagged(&[("owner", "payments")])
}

fn name() -> String {
    "hostile".to_owned()
}

fn timeout() -> CallError {
    CallError::Timeout { plugin: name(), limit: limits().timeout }
}

fn memory() -> CallError {
    CallError::Memory { plugin: name(), limit: limits().memory }
}

fn table_elements() -> CallError {
    CallError::TableElements { plugin: name(), limit: limits().table_elements }
}

fn stack() -> CallError {
    CallError::Stack { plugin: name(), limit: 512 << 10 }
}

fn log_flood() -> CallError {
    CallError::LogFlood { plugin: name(), limit: limits().log }
}

fn result_too_large() -> CallError {
    CallError::ResultTooLarge { plugin: name(), limit: limits().result }
}

fn unreachable() -> CallError {
    let reason = "wasm trap: wasm `unreachable` instruction executed".to_owned();
    CallError::Trap { plugin: name(), reason }
}

#[rstest]
#[case::infinite_loop(PolicyComponent { onboard: "(loop (br 0))", ..ABSTAIN }, timeout())]
#[case::loop_inside_host_calls(
    PolicyComponent { imports: MONOTONIC_NOW, onboard: "(loop (drop (call $now)) (br 0))", ..ABSTAIN },
    timeout()
)]
#[case::endless_empty_lines(
    PolicyComponent {
        imports: LOG,
        onboard: "(loop (call $log (i32.const 0) (i32.const 0) (i32.const 0)) (br 0))",
        ..ABSTAIN
    },
    log_flood()
)]
#[case::one_long_line(
    PolicyComponent {
        imports: LOG,
        onboard: "(call $log (i32.const 3) (i32.const 0) (i32.const 5000))",
        ..ABSTAIN
    },
    log_flood()
)]
#[case::line_past_what_may_be_handed_over(
    PolicyComponent {
        imports: LOG,
        onboard: "(call $log (i32.const 3) (i32.const 0) (i32.const 100000))",
        ..ABSTAIN
    },
    result_too_large()
)]
#[case::memory_bomb(
    PolicyComponent {
        onboard: "(loop
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
            (br 0))",
        ..ABSTAIN
    },
    memory()
)]
#[case::two_memories_are_summed(
    PolicyComponent {
        fields: "(memory $second 1)",
        onboard: "(loop
            (if (i32.eq (memory.grow $second (i32.const 1)) (i32.const -1)) (then (unreachable)))
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
            (br 0))",
        ..ABSTAIN
    },
    memory()
)]
#[case::table_bomb(
    PolicyComponent {
        fields: "(table $bomb 1 funcref)",
        onboard: "(loop
            (if (i32.eq (table.grow $bomb (ref.null func) (i32.const 10)) (i32.const -1))
                (then (unreachable)))
            (br 0))",
        ..ABSTAIN
    },
    table_elements()
)]
#[case::deep_recursion(
    PolicyComponent {
        fields: "(func $deep (param i32) (result i32)
            (i32.add (call $deep (local.get 0)) (i32.const 1)))",
        onboard: "(drop (call $deep (i32.const 0)))",
        ..ABSTAIN
    },
    stack()
)]
#[case::trap(PolicyComponent { onboard: "(unreachable)", ..ABSTAIN }, unreachable())]
#[case::huge_string(
    PolicyComponent {
        onboard: "(i32.store8 (i32.const 72) (i32.const 2)) (i32.store (i32.const 84) (i32.const 100000))",
        ..ABSTAIN
    },
    result_too_large()
)]
#[tokio::test]
async fn ends_with_its_own_error(
    #[case] plugin: PolicyComponent,
    #[case] expected: CallError,
    #[values(Instance::Fresh, Instance::Kept)] instance: Instance,
) {
    let runtime = runtime();
    let hostile = load(&runtime, plugin, instance).await;
    let other = load(&runtime, ABSTAIN, Instance::Kept).await;
    for _ in 0..2 {
        assert_eq!(hostile.evaluate_typed(&onboard()).await, Err(expected.clone()));
        assert_eq!(other.evaluate_typed(&onboard()).await, Ok(PolicyDecision::Abstain));
        assert_eq!(hostile.evaluate_typed(&update()).await, Ok(PolicyDecision::Abstain));
    }
    let failure = hostile.evaluate(&onboard()).await.unwrap_err();
    assert_eq!(failure.code, expected.code());
    assert!(failure.message.contains("hostile"), "{}", failure.message);
}

#[rstest]
#[case::invalid_utf8(
    "(i32.store8 (i32.const 72) (i32.const 2))
     (i32.store (i32.const 80) (i32.const 2048)) (i32.store (i32.const 84) (i32.const 1))
     (i32.store8 (i32.const 2048) (i32.const 0xff))",
    "utf-8"
)]
#[case::string_out_of_bounds(
    "(i32.store8 (i32.const 72) (i32.const 2)) (i32.store (i32.const 84) (i32.const 0x7fffffff))",
    "out of bounds"
)]
#[case::no_such_decision("(i32.store8 (i32.const 72) (i32.const 9))", "discriminant")]
#[case::neither_result_nor_failure("(i32.store8 (i32.const 64) (i32.const 2))", "discriminant")]
#[case::empty_reason("(i32.store8 (i32.const 72) (i32.const 2))", "a reason is empty")]
#[case::long_reason(
    "(i32.store8 (i32.const 72) (i32.const 2))
     (i32.store (i32.const 80) (i32.const 4096)) (i32.store (i32.const 84) (i32.const 2000))",
    "a reason has 2000 bytes: expected at most 1024"
)]
#[case::no_such_lane(
    "(i32.store8 (i32.const 72) (i32.const 1)) (i32.store8 (i32.const 80) (i32.const 1))
     (i32.store (i32.const 84) (i32.const 1024)) (i32.store (i32.const 88) (i32.const 2))",
    "no lane is called \"{}\", expected one of: first, second"
)]
#[case::hold_out_of_time(
    "(i32.store8 (i32.const 72) (i32.const 3)) (i64.store (i32.const 80) (i64.const -1000000000000000))
     (i32.store (i32.const 88) (i32.const 1024)) (i32.store (i32.const 92) (i32.const 2))",
    "it holds until -1000000000000000"
)]
#[case::hold_in_no_such_lane(
    "(i32.store8 (i32.const 72) (i32.const 3)) (i64.store (i32.const 80) (i64.const 1000))
     (i32.store (i32.const 88) (i32.const 1024)) (i32.store (i32.const 92) (i32.const 2))
     (i32.store8 (i32.const 96) (i32.const 1))
     (i32.store (i32.const 100) (i32.const 1024)) (i32.store (i32.const 104) (i32.const 2))",
    "no lane is called \"{}\", expected one of: first, second"
)]
#[tokio::test]
async fn nonsense_is_an_invalid_result(#[case] onboards: &'static str, #[case] expected: &str) {
    let hostile =
        load(&runtime(), PolicyComponent { onboard: onboards, ..ABSTAIN }, Instance::Kept).await;
    let error = hostile.evaluate_typed(&onboard()).await.unwrap_err();
    let CallError::InvalidResult { plugin, reason } = &error else { panic!("{error:?}") };
    assert_eq!(plugin, "hostile");
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(hostile.evaluate_typed(&update()).await, Ok(PolicyDecision::Abstain));
}

#[tokio::test]
async fn its_own_failure_is_no_failure_of_the_sandbox() {
    let plugin = PolicyComponent {
        // A failure: transient, with the code `{}` and no message.
        onboard: "(i32.store8 (i32.const 64) (i32.const 1))
            (i32.store (i32.const 76) (i32.const 1024)) (i32.store (i32.const 80) (i32.const 2))",
        ..ABSTAIN
    };
    let failing = load(&runtime(), plugin, Instance::Fresh).await;
    let failure = failing.evaluate(&onboard()).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.transient), ("{}", true));
    assert_eq!(failing.evaluate_typed(&update()).await, Ok(PolicyDecision::Abstain));
}

#[rstest]
#[case::trap(PolicyComponent { configure: "(unreachable)", ..ABSTAIN }, unreachable())]
#[case::infinite_loop(PolicyComponent { configure: "(loop (br 0))", ..ABSTAIN }, timeout())]
#[case::memory_from_the_start(
    PolicyComponent { memory: r#"(memory (export "memory") 1000)"#, ..ABSTAIN },
    memory()
)]
#[case::table_from_the_start(
    PolicyComponent { fields: "(table 5000 funcref)", ..ABSTAIN },
    table_elements()
)]
#[case::loop_at_the_start(
    PolicyComponent { fields: "(func $start (loop (br 0))) (start $start)", ..ABSTAIN },
    timeout()
)]
#[tokio::test]
async fn is_found_when_it_is_loaded(#[case] plugin: PolicyComponent, #[case] expected: CallError) {
    let runtime = runtime();
    let error = load_bytes(&runtime, &plugin.build()).await.unwrap_err();
    let LoadError::Call(error) = error else { panic!("{error:?}") };
    assert_eq!(error, expected);
    assert!(!runtime.deadline_fired(), "loading has no part in a simulation");
    let other = load(&runtime, ABSTAIN, Instance::Fresh).await;
    assert_eq!(other.evaluate_typed(&onboard()).await, Ok(PolicyDecision::Abstain));
}

#[rstest]
#[case::memories("(memory 1) (memory 1) (memory 1) (memory 1)", ("memories", 5, 4))]
#[case::tables(
    "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
     (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
     (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
     (table 1 funcref) (table 1 funcref)",
    ("tables", 17, 16)
)]
#[tokio::test]
async fn has_too_many(#[case] fields: &'static str, #[case] expected: (&str, u32, u32)) {
    let bytes = PolicyComponent { fields, ..ABSTAIN }.build();
    let error = load_bytes(&runtime(), &bytes).await.unwrap_err();
    let LoadError::TooMany { plugin, what, count, limit } = error else { panic!("{error:?}") };
    assert_eq!((plugin.as_str(), (what, count, limit)), ("hostile", expected));
}

/// As in a simulation: on one thread, with a clock that jumps when all tasks are idle.
#[tokio::test(start_paused = true)]
async fn a_loop_ends_and_a_paused_clock_stands_still() {
    let runtime = runtime();
    let plugin = PolicyComponent { onboard: "(loop (br 0))", ..ABSTAIN };
    let hostile = load(&runtime, plugin, Instance::Fresh).await;
    let start = tokio::time::Instant::now();
    assert_eq!(hostile.evaluate_typed(&update()).await, Ok(PolicyDecision::Abstain));
    assert!(!runtime.deadline_fired());
    assert_eq!(hostile.evaluate_typed(&onboard()).await, Err(timeout()));
    assert!(runtime.deadline_fired());
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
}

/// Other tasks of the same thread continue meanwhile.
#[tokio::test]
async fn a_loop_lets_others_run() {
    let plugin = PolicyComponent { onboard: "(loop (br 0))", ..ABSTAIN };
    let hostile = Arc::new(load(&runtime(), plugin, Instance::Fresh).await);
    let looping = tokio::spawn({
        let hostile = hostile.clone();
        async move { hostile.evaluate_typed(&onboard()).await }
    });
    tokio::task::yield_now().await;
    assert!(!looping.is_finished());
    assert_eq!(looping.await.unwrap(), Err(timeout()));
}

/// A call that is cancelled leaves a working plugin behind.
#[tokio::test]
async fn a_cancelled_call_harms_nobody() {
    let plugin = PolicyComponent { onboard: "(loop (br 0))", ..ABSTAIN };
    let hostile = load(&runtime(), plugin, Instance::Kept).await;
    let candidate = onboard();
    tokio::select! {
        biased;
        _ = hostile.evaluate_typed(&candidate) => panic!("it loops"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(hostile.evaluate_typed(&update()).await, Ok(PolicyDecision::Abstain));
}

/// Waiting takes no time, so that a simulation's clock doesn't jump.
#[tokio::test(start_paused = true)]
async fn waiting_is_over_at_once() {
    let plugin = PolicyComponent {
        imports: r#"
            (import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $now (result i64)))
            (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration"
                (func $subscribe (param i64) (result i32)))
            (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))"#,
        // Waits an hour and traps unless the clock says that it has passed.
        fields: "(global $then (mut i64) (i64.const 0))",
        onboard: "
            (global.set $then (i64.add (call $now) (i64.const 3600000000000)))
            (call $block (call $subscribe (i64.const 3600000000000)))
            (if (i64.lt_u (call $now) (global.get $then)) (then (unreachable)))",
        ..ABSTAIN
    };
    let waiting = load(&runtime(), plugin, Instance::Fresh).await;
    let start = tokio::time::Instant::now();
    assert_eq!(waiting.evaluate_typed(&onboard()).await, Ok(PolicyDecision::Abstain));
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
}
