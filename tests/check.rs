//! `groundcrew check`, run as a user does.

mod common;

use common::{CommandOutput, groundcrew, policy, root};
use rstest::rstest;

fn check(config: &str) -> CommandOutput {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    groundcrew(dir.path(), &["check", "--config", "crew.toml"])
}

#[rstest]
#[case("all-accounts")]
#[case("tagged-only")]
#[case("priority")]
#[case("rings")]
#[case("ams-onboarding")]
#[case("notify-all")]
#[case("guarded-onboarding")]
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
poll_interval = 0
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
    told(3, &["poll_interval", "is 0"]);
    told(9, &["managed-tags", "did you mean `managed-tag`?"]);
    told(15, &["tag_kee", "did you mean `tag_key`?"]);
    told(16, &["priority_mode", "boolean"]);
    told(20, &["none.wasm"]);
}

#[test]
fn an_older_name_of_a_key_is_read_with_a_warning() {
    let ran = check("[updates]\nwait_seconds = 20\nmax_receive_count = 3\n");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for warning in [
        "  warning: crew.toml:2: `wait_seconds` in [updates] is now called `poll_interval`",
        "  warning: crew.toml:3: `max_receive_count` in [updates] is now called `max_attempts`",
    ] {
        assert!(ran.stdout.lines().any(|line| line == warning), "{}", ran.stdout);
    }
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

/// Without a queue nothing can be sent, so that nothing is updated.
#[rstest]
#[case::without_a_queue("", "no account is updated; `plan` and `simulate` take every outdated one")]
#[case::with_one(
    "[queues]\nupdates_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/u.fifo\"\n",
    "  no policies: every outdated account is updated in lane `all`"
)]
fn what_a_config_without_policies_does(#[case] config: &str, #[case] told: &str) {
    let ran = check(config);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    let updates = ran.stdout.contains("every outdated account is updated");
    assert_eq!(updates, !config.is_empty(), "{}", ran.stdout);
}

/// A config with one script, and the files around it.
fn check_script(config: &str, files: &[(&str, &str)]) -> CommandOutput {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("crew.toml", config)]) {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    groundcrew(dir.path(), &["check", "--config", "crew.toml"])
}

const SCRIPT: &str = "[[policies]]\nplugin = \"rings.rego\"\n";

#[test]
fn a_script_is_all_that_a_policy_needs() {
    let script = "package rings\n\ndefault decision := \"abstain\"\n";
    let ran = check_script(SCRIPT, &[("rings.rego", script)]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // The digest is the script's own: `sha256sum rings.rego`.
    let digest = "96ae476768b247dc5f1bbcddb4334c6cc678244d6ce2b0969a6734a9a2ba4290";
    assert!(ran.stdout.contains(&format!("policy `rings`: sha256 {digest}")), "{}", ran.stdout);
}

#[rstest]
#[case::parsing("package rings\n\ndecision := {\n", &["crew.toml:2: policy `rings`: rings.rego:", "rings.rego:"])]
#[case::unknown_function("package rings\n\ndecision := \"skip\" if no_such(1)\n", &["rings.rego:3:30: there is no function `no_such`"])]
#[case::no_decision("package rings\n\nx := 1\n", &["rings.rego: no rule `decision`"])]
#[case::lanes("package rings\ndefault decision := \"abstain\"\nlanes := [\"fast\"]\n", &["policy `rings`", "fast"])]
fn what_is_wrong_with_a_script_is_told_with_file_line_and_column(
    #[case] script: &str,
    #[case] told: &[&str],
) {
    let ran = check_script(SCRIPT, &[("rings.rego", script)]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    for part in told {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
}

#[test]
fn a_syntax_error_has_its_line_and_column() {
    let script = "package rings\n\ndecision := \"skip\" if {\n\tinput.x ==\n}\n";
    let ran = check_script(SCRIPT, &[("rings.rego", script)]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.starts_with("crew.toml:2: policy `rings`: rings.rego:5:1: "),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
}

const PICKY: &str = r#"package rings

default decision := "abstain"

problems contains {"at": "/size", "message": "too large"} if data.size > 3
"#;

#[rstest]
#[case::in_the_config(
    "[policies.settings]\nsize = 4\n",
    None,
    "crew.toml:4: policy `rings`, setting `size`: too large"
)]
#[case::in_toml_beside("", Some(("rings.data.toml", "# a comment\nsize = 4\n")), "crew.toml:2: policy `rings`: rings.data.toml:2: `size`: too large")]
#[case::in_json_beside("", Some(("rings.data.json", "{\"size\": 4}")), "crew.toml:2: policy `rings`: rings.data.json: `size`: too large")]
#[case::broken_toml("", Some(("rings.data.toml", "size = \n")), "crew.toml:2: policy `rings`: rings.data.toml:1: not TOML")]
#[case::broken_json("", Some(("rings.data.json", "[]")), "crew.toml:2: policy `rings`: rings.data.json:1: expected a JSON object")]
fn what_is_wrong_with_a_scripts_data_is_told_where_it_is_written(
    #[case] settings: &str,
    #[case] beside: Option<(&str, &str)>,
    #[case] told: &str,
) {
    let mut files = vec![("rings.rego", PICKY)];
    files.extend(beside);
    let ran = check_script(&format!("{SCRIPT}{settings}"), &files);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with(told), "{}", ran.stdout);
}

#[test]
fn the_config_goes_before_the_data_beside_the_script() {
    let files = [("rings.rego", PICKY), ("rings.data.toml", "size = 4\n")];
    let ran = check_script(&format!("{SCRIPT}[policies.settings]\nsize = 3\n"), &files);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let both = [files[0], files[1], ("rings.data.json", "{}")];
    let ran = check_script(SCRIPT, &both);
    assert!(ran.stdout.contains("are both there"), "{}", ran.stdout);
}

#[test]
fn scripts_are_policies_and_their_interpreter_is_no_plugin_of_its_own() {
    let ran = check("[[notifiers]]\nplugin = \"tell.rego\"\n");
    assert!(ran.stdout.contains("only policies can be scripts"), "{}", ran.stdout);
    let ran = check("[[policies]]\nplugin = \"rego\"\n");
    assert!(ran.stdout.contains("name the script instead"), "{}", ran.stdout);
}

/// Such a URL is a secret in a config; the warning has its place and not its value.
#[test]
fn a_webhook_that_is_written_plainly_is_warned_of() {
    let config = |path: &str, secrets: &str| {
        format!(
            "[[notifiers]]\nname = \"slack\"\nplugin = \"webhook\"\non = [\"CreateManagedAccount\"]\n\
             [notifiers.settings]\nurl = \"https://hooks.slack.com/services/{path}\"\n\
             [[notifiers.grants.http]]\nurl = \"https://hooks.slack.com/services/{path}\"\n\
             methods = [\"POST\"]\n{secrets}\n"
        )
    };
    let ran = check(&config("T000/B000/hunter2", ""));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let warning: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("warning:")).collect();
    let [warning] = warning[..] else { panic!("{}", ran.stdout) };
    let begins =
        "  warning: line 6: notifier `slack`, setting `url`: this URL of Slack is a secret";
    assert!(warning.starts_with(begins), "{warning}");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"), "{}", ran.stdout);

    let ran = check(&config("$(slack)", "secrets = { slack = { env = \"SLACK\" } }"));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("warning"), "{}", ran.stdout);
}

/// A script that can be parsed but doesn't do what it seems to: each fault would make it silently
/// abstain, or fail when it first matters.
const TIERS: &str = r#"package rings

schema := {"properties": {"min_age_days": {"type": "integer"}}, "additionalProperties": false}

lanes := ["rest"]

default decision := "abstain"

"#;

#[rstest]
#[case::a_path_of_the_candidate(
    "path_of_the_candidate",
    "decision := {\"skip\": \"tier\"} if input.account.tag.tier == \"1\"\n"
)]
#[case::a_path_of_the_data(
    "path_of_the_data",
    "decision := {\"skip\": \"young\"} if data.min_age_dyas > 1\n"
)]
#[case::a_lane("lane", "decision := {\"proceed\": \"rets\"} if input.account.id\n")]
#[case::a_held_lane(
    "held_lane",
    "decision := {\"hold\": \"x\", \"until\": input.now, \"lane\": \"rets\"} if input.account.id\n"
)]
#[case::no_until("hold_without_until", "decision := {\"hold\": \"frozen\"} if input.account.id\n")]
#[case::until_soon(
    "hold_until_soon",
    "decision := {\"hold\": \"frozen\", \"until\": \"soon\"} if input.account.id\n"
)]
#[case::two_rules(
    "two_rules_that_conflict",
    "decision := {\"skip\": \"a\"} if input.account.id\n\ndecision := \"proceed\" if input.account.id\n"
)]
#[case::all_at_once(
    "all_at_once",
    "decision := {\"hold\": \"frozen\"} if input.account.tag.tier == \"1\"\nelse := {\"proceed\": \"rets\"} if data.min_age_dyas\n"
)]
fn a_script_that_is_wrong_is_told_with_its_line(#[case] name: &str, #[case] rules: &str) {
    let script = format!("{TIERS}{rules}");
    let config = format!("[[lanes]]\nname = \"rest\"\n\n{SCRIPT}");
    let ran = check_script(&config, &[("rings.rego", &script)]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    insta::assert_snapshot!(format!("a_wrong_script__{name}"), ran.stdout);
}
