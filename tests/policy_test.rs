//! `groundcrew policy test`, run as a user does.

mod common;

use std::path::Path;

use common::{CommandOutput, groundcrew, root};
use rstest::rstest;

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

fn test(files: &[(&str, &str)]) -> CommandOutput {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    groundcrew(dir.path(), &["policy", "test"])
}

const TAGGED: &str = r#"plugin = "managed-tag"
lanes = ["tagged", "others"]
[settings]
tag_key = "managed"
tag_value = "true"
priority_mode = true
"#;

#[test]
fn every_policy_that_comes_with_groundcrew_passes_its_cases() {
    let ran = groundcrew(&root(), &["policy", "test", "policies"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let last = ran.stdout.lines().last().unwrap();
    let cases: usize = last.split(' ').next().unwrap().parse().unwrap();
    assert!(cases >= 40 && last.ends_with(" 0 failed"), "{last}");
    // Measuring coverage changes no result.
    let measured = groundcrew(&root(), &["policy", "test", "policies", "--coverage"]);
    let without: Vec<&str> =
        measured.stdout.lines().filter(|line| !line.contains(".rego: ")).collect();
    assert_eq!(without, ran.stdout.lines().collect::<Vec<_>>());
    assert!(measured.stdout.contains("policies/exclusions.rego: 29 of 29 lines reached\n"));
}

#[test]
fn what_differs_is_shown_beside_what_was_expected() {
    let cases = format!(
        r#"{TAGGED}
[[cases]]
name = "a tagged account goes first"
candidate.account = {{ tags = {{ managed = "true" }} }}
expect = {{ decision = "proceed", lane = "tagged" }}

[[cases]]
name = "an untagged account is left alone"
expect = {{ decision = "skip", reason = "^untagged$" }}

[[cases]]
name = "unreadable tags"
candidate.account = {{ tags_unreadable = "AccessDenied" }}
expect = {{ decision = "skip", reason = "no-such-reason" }}
"#
    );
    let ran = test(&[("tag.cases.toml", &cases)]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(ran.stderr, "2 cases failed: fix the policy, or what is expected\n");
}

#[test]
fn a_whole_config_is_tested_with_its_policies_one_after_the_other() {
    let config = r#"
[[lanes]]
name = "only"
[[policies]]
plugin = "managed-tag"
[policies.settings]
tag_key = "managed"
tag_value = "true"
"#;
    let cases = r#"
config = "crew.toml"
[[cases]]
name = "tagged"
candidate.account = { tags = { managed = "true" } }
expect = { decision = "proceed", lane = "only" }
[[cases]]
name = "untagged"
expect = { decision = "skip", reason = "untagged" }
[[cases]]
name = "onboarding is not asked about"
candidate.action = "onboard"
expect = { decision = "proceed" }
"#;
    let ran = test(&[("crew.toml", config), ("crew.cases.toml", cases)]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "crew.cases.toml: 3 cases ok\n3 cases: 3 passed, 0 failed\n");
}

#[test]
fn files_that_make_no_sense_are_told_with_their_line_and_the_others_are_tested() {
    let good = format!("{TAGGED}\n[[cases]]\nname = 'c'\nexpect = {{ decision = 'proceed' }}\n");
    let ran = test(&[
        (
            "a.cases.toml",
            "plugin = 'managed-tag'\n[[cases]]\nname = 'x'\nexpect = { decison = 'skip' }\n",
        ),
        ("b.cases.toml", "cases = []\n"),
        ("c.cases.toml", "plugin = 'managed-tag'\ncases = []\n[settings]\ntag_kee = 'x'\n"),
        (
            "d.cases.toml",
            "plugin = 'managed-tag'\n[[cases]]\nname = 'x'\nexpect = { decision = 'skip', reason = '(' }\n",
        ),
        ("e.cases.toml", &good),
    ]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(ran.stderr, "4 files can't be tested: fix what is shown\n");
}

#[rstest]
#[case("cases = []", "no cases")]
#[case("[[cases]]\nname='x'\nexpect={decision='skip', lane='a'}", "case `x`: `lane` is expected")]
#[case(
    "[[cases]]\nname='x'\nexpect={decision='skip', until='2026-01-01T00:00:00Z'}",
    "`until` is expected"
)]
#[case(
    "[[cases]]\nname='x'\ncandidate.account={tags={a='b'},tags_unreadable='no'}\nexpect={decision='skip'}",
    "`tags` and `tags_unreadable`"
)]
#[case(
    "[[cases]]\nname='x'\ncandidate.now='soon'\nexpect={decision='skip'}",
    "`soon` is not a moment"
)]
fn what_can_never_pass_is_refused(#[case] cases: &str, #[case] told: &str) {
    let ran = test(&[("a.cases.toml", &format!("plugin = 'managed-tag'\n{cases}\n"))]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("a.cases.toml:") && ran.stdout.contains(told), "{}", ran.stdout);
    // A file that was not evaluated has not passed.
    assert!(!ran.stdout.contains("passed"), "{}", ran.stdout);
}

#[test]
fn moments_may_be_written_as_toml_has_them() {
    let cases = "plugin = 'managed-tag'\n[[cases]]\nname='x'\ncandidate.now=2026-01-01T00:00:00Z\nexpect={decision='proceed'}\n";
    let ran = test(&[("a.cases.toml", cases)]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn names_steer_no_terminal() {
    let cases =
        "plugin = 'managed-tag'\n[[cases]]\nname=\"\\u001b[2Jx\\ny\"\nexpect={decision='skip'}\n";
    let ran = test(&[("a.cases.toml", cases)]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("  \\u{1b}[2Jx\\ny  (a.cases.toml:2)"), "{}", ran.stdout);
}

#[test]
fn a_script_is_not_its_cases() {
    let ran = groundcrew(&root(), &["policy", "test", "policies/exclusions.rego"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("named like `rings.cases.toml`"), "{}", ran.stdout);
}

#[test]
fn nothing_to_test_is_an_error() {
    let ran = test(&[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no test cases here"), "{}", ran.stderr);
}

/// The script of docs/writing-policies.md: each of its values is a branch to test.
#[test]
fn the_lines_that_no_case_reaches_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"package by_owner

default frozen := {}

frozen := data.frozen

decision := {"skip": "tags-unreadable"} if {
	input.account.tags_unreadable
} else := {"hold": "frozen", "until": end} if {
	end := frozen[input.account.tags.owner]
	input.now_ns < time.parse_rfc3339_ns(end)
} else := {"proceed": "early"} if {
	input.account.tags.owner == "platform"
} else := {"proceed": "late"}

problems contains "none is frozen" if count(frozen) == 0
"#;
    let head = r#"plugin = "by-owner.rego"
lanes = ["early", "late"]
[settings.frozen]
payments = "2026-12-01T00:00:00Z"
"#;
    let case = |owner: &str, expect: &str| {
        format!(
            "[[cases]]\nname = \"{owner}\"\ncandidate = {{ account = {{ tags = {{ owner = \
             \"{owner}\" }} }} }}\nexpect = {{ {expect} }}\n"
        )
    };
    write(dir.path(), "by-owner.rego", script);
    let (held, late) = (
        case("payments", "decision = \"hold\""),
        case("web", "lane = \"late\", decision = \"proceed\""),
    );
    let test = |cases: &str| {
        write(dir.path(), "by-owner.cases.toml", &format!("{head}{cases}"));
        let ran = groundcrew(dir.path(), &["policy", "test", "--coverage"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran.stdout.lines().find(|line| line.contains(".rego: ")).unwrap().to_owned()
    };
    assert_eq!(test(&held), "by-owner.rego: 6 of 10 lines reached; no case reaches 7, 12-14");
    let both = held + &late;
    assert_eq!(test(&both), "by-owner.rego: 8 of 10 lines reached; no case reaches 7, 12");
    // Several files of cases can test one script.
    write(
        dir.path(),
        "early.cases.toml",
        &format!("{head}{}", case("platform", "decision = \"proceed\"")),
    );
    assert_eq!(test(&both), "by-owner.rego: 9 of 10 lines reached; no case reaches 7");
}

#[test]
fn without_a_script_there_is_no_coverage() {
    let cases = format!("{TAGGED}[[cases]]\nname = \"a\"\nexpect = {{ decision = \"skip\" }}\n");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tag.cases.toml", &cases);
    let ran = groundcrew(dir.path(), &["policy", "test", "--coverage"]);
    assert!(ran.stdout.contains("No case asks a script"), "{}", ran.stdout);
}
