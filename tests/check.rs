//! `groundcrew check`, as its users run it.

mod common;

use common::{Ran, groundcrew, policy, root};
use rstest::rstest;

fn check(config: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    groundcrew(dir.path(), &["check", "--config", "crew.toml"])
}

#[rstest]
#[case("all-accounts")]
#[case("tagged-only")]
#[case("priority")]
fn the_configs_that_come_with_groundcrew_are_fit(#[case] name: &str) {
    let ran = groundcrew(&root(), &["check", "--config", &policy(name)]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with(&format!("{}: ok\n", policy(name))), "{}", ran.stdout);
}

#[test]
fn every_problem_of_config_and_plugins_is_told_at_once() {
    let ran = check(
        r#"[updates]
max_concurent_operations = 4
wait_seconds = 0
[[lanes]]
name = "first"

[[policies]]
name = "a"
plugin = "managed-tags"

[[policies]]
name = "b"
plugin = "managed-tag"
[policies.settings]
tag_kee = "x"
priority_mode = "yes"

[[policies]]
name = "c"
plugin = "./none.wasm"
"#,
    );
    assert_eq!(ran.code, 2);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let told = |line: usize, parts: &[&str]| {
        let found = lines.iter().any(|text| {
            text.starts_with(&format!("crew.toml:{line}: "))
                && parts.iter().all(|part| text.contains(part))
        });
        assert!(found, "nothing about {parts:?} at line {line} in:\n{}", ran.stdout);
    };
    told(2, &["max_concurent_operations", "did you mean `max_concurrent_operations`?"]);
    told(3, &["wait_seconds", "is 0"]);
    told(9, &["managed-tags", "did you mean `managed-tag`?"]);
    told(15, &["tag_kee", "did you mean `tag_key`?"]);
    told(16, &["priority_mode", "boolean"]);
    told(20, &["none.wasm"]);
}

#[test]
fn priority_mode_without_a_tag_key_is_refused_at_its_line() {
    let ran = check(
        "[[lanes]]\nname = \"a\"\n[[lanes]]\nname = \"b\"\n[[policies]]\nplugin = \"managed-tag\"\n[policies.settings]\npriority_mode = true\n",
    );
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.starts_with("crew.toml:8: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("tag_key"), "{}", ran.stdout);
}

#[test]
fn a_lane_that_nothing_can_reach_is_refused() {
    let ran = check(
        "[[lanes]]\nname = \"a\"\n[[lanes]]\nname = \"b\"\n[[policies]]\nplugin = \"managed-tag\"\n",
    );
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.starts_with("crew.toml:3: nothing can reach the lane `b`"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_digest_that_does_not_match_is_refused() {
    let digest = "0".repeat(64);
    let ran = check(&format!("[[policies]]\nplugin = \"managed-tag\"\nsha256 = \"{digest}\"\n"));
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.starts_with("crew.toml:2: "), "{}", ran.stdout);
    assert!(ran.stdout.contains(&digest), "{}", ran.stdout);
}

#[test]
fn a_config_that_is_not_there_is_a_usage_error() {
    let ran = groundcrew(&root(), &["check", "--config", "nowhere.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("nowhere.toml"), "{}", ran.stdout);
}
