//! `groundcrew init`, and the default config.

mod common;

use common::{CommandOutput, command, groundcrew, run_command};
use rstest::rstest;
use std::path::Path;

const TABLE: &[&str] = &["--table", "crew"];
const QUEUES: &[&str] = &[
    "--updates-url",
    "https://sqs.eu-west-1.amazonaws.com/111122223333/updates.fifo",
    "--events-url",
    "https://sqs.eu-west-1.amazonaws.com/111122223333/events",
    "--topic-arn",
    "arn:aws:sns:eu-west-1:111122223333:alerts",
];

fn init(dir: &Path, options: &[&str]) -> CommandOutput {
    groundcrew(dir, &[&["init"], options].concat())
}

/// The text with every example as a value.
fn uncommented(text: &str) -> String {
    let is_key = |line: &str| {
        let name = line.split(" = ").next().unwrap_or_default();
        line.starts_with('[') || name.len() < line.len() && !name.contains(' ')
    };
    text.lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// With any options, `check` accepts the config unchanged, and with its examples.
#[rstest]
#[case::nothing(&[], "lane 1 `all`: at most 4 at once")]
#[case::tagged(&["--update", "tagged", "--tag", "team=it's \"ours\""], "policy `managed`")]
#[case::tagged_first(&["--update", "tagged-first", "--at-once", "3"], "lane 2 `others`: at most 1 at once")]
#[case::many(&["--at-once", "10"], "at most 10 updates at once of the quota of 10")]
#[case::one(&["--at-once", "1", "--approval"], "at most 1 update at once of the quota of 5")]
#[case::ams(&["--ams"], "notifier `ams` on")]
#[case::a_table(TABLE, "ok")]
#[case::queues(QUEUES, "ok")]
fn what_it_writes_is_fit_for_use(#[case] options: &[&str], #[case] expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let wrote = init(dir.path(), options);
    assert_eq!((wrote.code, wrote.stderr.as_str()), (0, ""), "{}", wrote.stdout);
    let file = dir.path().join("groundcrew.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().all(|line| line.contains("://") || line.chars().count() <= 100), "{text}");
    for (option, value) in options.iter().zip(options.iter().skip(1)) {
        if option.starts_with("--") && value.contains("://") {
            assert!(text.contains(&format!("\n{} =", option[2..].replace('-', "_"))), "{text}");
        }
    }
    for text in [text.clone(), uncommented(&text)] {
        std::fs::write(&file, &text).unwrap();
        let checked = groundcrew(dir.path(), &["check"]);
        assert_eq!(checked.code, 0, "{}{}\n{text}", checked.stdout, checked.stderr);
        assert!(checked.stdout.starts_with("groundcrew.toml: ok\n"), "{}", checked.stdout);
        assert!(checked.stdout.contains(expected), "{}", checked.stdout);
    }
    assert_ne!(uncommented(&text), text);
}

/// The commands that it prints work unchanged.
#[rstest]
#[case::the_default(&[], "groundcrew check ")]
#[case::another(&["--out", "my crew.toml"], "groundcrew check --config 'my crew.toml' ")]
fn it_says_what_comes_next(#[case] options: &[&str], #[case] expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let wrote = init(dir.path(), options);
    assert!(wrote.stdout.contains(expected), "{}", wrote.stdout);
    let commands: Vec<&str> =
        wrote.stdout.lines().filter_map(|line| line.trim().strip_prefix("groundcrew ")).collect();
    assert_eq!(commands.len(), 4, "{}", wrote.stdout);
    for pasted in commands.iter().take(2) {
        let script = format!("\"$GROUNDCREW\" {pasted}");
        let mut shell = std::process::Command::new("sh");
        let ran = run_command(
            shell
                .current_dir(dir.path())
                .args(["-c", &script])
                .env("GROUNDCREW", env!("CARGO_BIN_EXE_groundcrew")),
        );
        assert_eq!(ran.code, 0, "{pasted}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn nothing_is_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groundcrew.toml");
    std::fs::write(&file, "mine").unwrap();
    let refused = init(dir.path(), &[]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--force") && refused.stderr.contains("--out"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(init(dir.path(), &["--force"]).code, 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("[[lanes]]"));
    let shown = init(dir.path(), &["--out", "-"]);
    assert_eq!(shown.stdout, std::fs::read_to_string(&file).unwrap());
}

#[rstest]
#[case::a_url(&["--updates-url", "http://queue"], "updates_url")]
#[case::a_tag(&["--tag", "team"], "team=payments")]
#[case::a_number(&["--at-once", "11"], "1..=10")]
#[case::a_place(&["--out", "no/where.toml"], "no/where.toml: can't be written")]
fn what_would_be_no_config_is_not_written(#[case] options: &[&str], #[case] told: &str) {
    let dir = tempfile::tempdir().unwrap();
    let refused = init(dir.path(), options);
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The option has priority over the variable, and the variable over the default file.
#[test]
fn a_config_is_found_in_three_ways() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["groundcrew", "variable", "option"] {
        let lane = format!("[[lanes]]\nname = \"of-{name}\"\n");
        std::fs::write(dir.path().join(format!("{name}.toml")), lane).unwrap();
    }
    let check = |variable: Option<&str>, options: &[&str]| {
        let mut command = command(dir.path());
        command.envs(variable.map(|file| ("GROUNDCREW_CONFIG", file)));
        run_command(command.arg("check").args(options)).stdout
    };
    assert!(check(None, &[]).contains("of-groundcrew"));
    assert!(check(Some("variable.toml"), &[]).contains("of-variable"));
    assert!(check(Some("variable.toml"), &["--config", "option.toml"]).contains("of-option"));
}

/// Every command with a config reports the same if there is none.
#[rstest]
#[case(&["check"])]
#[case(&["doctor"])]
#[case(&["plan"])]
#[case(&["explain", "--account", "111122223333"])]
#[case(&["snapshot"])]
#[case(&["run"])]
#[case(&["status"])]
#[case(&["redrive", "--all"])]
#[case(&["pause"])]
#[case(&["resume"])]
#[case(&["approve", "plan-010203040506"])]
#[case(&["sweep"])]
#[case(&["sweep", "--dry-run"])]
#[case(&["handle", "event.json"])]
#[case(&["notify", "--event", "event.json", "--notifier", "ams"])]
#[case(&["package", "--target", "lambda", "--out", "out"])]
fn without_a_config_three_ways_are_told(#[case] args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("event.json"), common::event("update-landing-zone-succeeded"))
        .unwrap();
    let ran = groundcrew(dir.path(), args);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    for way in ["--config FILE", "GROUNDCREW_CONFIG", "`groundcrew init`"] {
        assert!(told.contains(way), "no {way} in {told}");
    }
}

/// A simulation works without a config, and uses the default one if it exists.
#[test]
fn a_simulation_takes_the_config_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let simulate = || groundcrew(dir.path(), &["simulate", "--accounts", "2"]).stdout;
    assert!(simulate().contains("\nall "), "{}", simulate());
    std::fs::write(dir.path().join("groundcrew.toml"), "[[lanes]]\nname = \"mine\"\n").unwrap();
    assert!(simulate().contains("\nmine "), "{}", simulate());
}

/// A bare `redrive` names nothing to redrive: that is a usage error.
#[rstest]
#[case(&["redrive"])]
#[case(&["redrive", "--config", "groundcrew.toml"])]
fn redrive_wants_to_be_told_what(#[case] args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("groundcrew.toml"), "").unwrap();
    let refused = groundcrew(dir.path(), args);
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    let which = "<--account <ID>|--lane <LANE>|--all|--notifier <NOTIFIER>>";
    assert!(refused.stderr.contains(which), "{}", refused.stderr);
    let help = groundcrew(dir.path(), &["redrive", "--help"]);
    assert!(help.stdout.contains(&format!("redrive [OPTIONS] {which}")), "{}", help.stdout);
}
