//! Without credentials every command reports the same: that there are none, and the fix.

mod common;

use common::groundcrew;
use rstest::rstest;

const CONFIG: &str = r#"[ledger]
table = "crew"
[queues]
updates_url = "https://sqs.us-east-1.amazonaws.com/111122223333/updates.fifo"
events_url = "https://sqs.us-east-1.amazonaws.com/111122223333/events"
notifications_url = "https://sqs.us-east-1.amazonaws.com/111122223333/notifications.fifo"
[[notifiers]]
plugin = "ams-case"
on = ["CreateManagedAccount"]
[notifiers.settings]
subject = "x"
"#;

#[rstest]
#[case::plan(&["plan"])]
#[case::explain(&["explain", "--account", "111122223333"])]
#[case::snapshot(&["snapshot"])]
#[case::status(&["status"])]
#[case::pause(&["pause"])]
#[case::resume(&["resume"])]
#[case::redrive(&["redrive", "--all"])]
#[case::redrive_of_a_notifier(&["redrive", "--notifier", "ams-case"])]
#[case::approve(&["approve", "plan-010203040506"])]
#[case::sweep(&["sweep"])]
#[case::survey(&["sweep", "--dry-run"])]
#[case::handle(&["handle", "event.json"])]
#[case::notify(&["notify", "--event", "event.json", "--notifier", "ams-case"])]
fn every_command_gives_the_fix(#[case] args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("groundcrew.toml"), CONFIG).unwrap();
    let created = common::event("create-managed-account-succeeded");
    std::fs::write(dir.path().join("event.json"), created).unwrap();
    let ran = groundcrew(dir.path(), args);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let fix = "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
               AWS_SECRET_ACCESS_KEY, or run where a role gives them";
    assert!(ran.stderr.contains(fix), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}
