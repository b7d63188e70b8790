//! Special files that a config or a command names are refused at once: they are neither waited for
//! nor read whole. Pipes of a shell still work.

mod common;

use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{CommandOutput, command, event, fifo, run_command};
use rstest::rstest;
use tempfile::TempDir;

/// The time limit of a run that must not block: afterwards it is killed, without an exit code.
const TIMEOUT: Duration = Duration::from_secs(60);

const CONFIG: &str = "[[policies]]\nplugin = \"./rules.rego\"\n";
const REGO: &str = "package groundcrew\n\nimport rego.v1\n\ndecision := {\"skip\": \"x\"}\n";
const CASES: &str = "plugin = \"managed-tag\"\n\n[[cases]]\nname = \"a\"\n\
    candidate = { event = \"event.json\" }\nexpect = { decision = \"proceed\" }\n";

/// A folder with one good file of each kind.
fn prepare_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("crew.toml", CONFIG);
    write("wasm.toml", "[[policies]]\nplugin = \"./plugin.wasm\"\n");
    write("rules.rego", REGO);
    write("tag.cases.toml", CASES);
    write("event.json", &event("create-managed-account-succeeded"));
    dir
}

/// Runs the program with a time limit.
fn groundcrew(dir: &Path, args: &[&str]) -> CommandOutput {
    let own = command(dir);
    let mut timeout = Command::new("timeout");
    timeout.current_dir(dir).arg(TIMEOUT.as_secs().to_string());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => timeout.env(name, value),
            None => timeout.env_remove(name),
        };
    }
    run_command(timeout.arg(env!("CARGO_BIN_EXE_groundcrew")).args(args).stdin(Stdio::null()))
}

/// The named file, the command that reads it, and the size limit.
#[rstest]
#[case::config("crew.toml", &["check", "--config", "crew.toml"], "16 MiB")]
#[case::config_of_a_simulation("crew.toml", &["simulate", "--config", "crew.toml", "--accounts", "3"], "16 MiB")]
#[case::script("rules.rego", &["check", "--config", "crew.toml"], "16 MiB")]
#[case::data("rules.data.toml", &["check", "--config", "crew.toml"], "16 MiB")]
#[case::data_in_json("rules.data.json", &["check", "--config", "crew.toml"], "16 MiB")]
#[case::component("plugin.wasm", &["check", "--config", "wasm.toml"], "64 MiB")]
#[case::event("event.json", &["handle", "--config", "crew.toml", "event.json"], "16 MiB")]
#[case::event_of_a_dry_run("event.json", &["notify", "--config", "crew.toml", "--event", "event.json", "--notifier", "hook", "--dry-run"], "16 MiB")]
#[case::event_of_a_simulation("event.json", &["simulate", "--accounts", "3", "--event", "event.json"], "16 MiB")]
#[case::snapshot_of_a_plan("s.json", &["plan", "--config", "crew.toml", "--snapshot", "s.json"], "256 MiB")]
#[case::snapshot_of_a_simulation("s.json", &["simulate", "--snapshot", "s.json"], "256 MiB")]
#[case::snapshot_to_explain("s.json", &["explain", "--config", "crew.toml", "--account", "111122223333", "--snapshot", "s.json"], "256 MiB")]
#[case::simulated_aws("s.json", &["sim-aws", "--snapshot", "s.json", "--listen", "127.0.0.1:0"], "256 MiB")]
#[case::cases("tag.cases.toml", &["policy", "test", "tag.cases.toml"], "16 MiB")]
#[case::event_of_a_case("event.json", &["policy", "test", "tag.cases.toml"], "16 MiB")]
#[case::binary("program", &["package", "--config", "crew.toml", "--target", "lambda", "--out", "out", "--binary", "program"], "1024 MiB")]
fn what_is_no_file(#[case] name: &str, #[case] args: &[&str], #[case] limit: &str) {
    type Make = fn(&Path);
    let kinds: [(Make, &str); 5] = [
        (|at| fifo(at), "it is a named pipe (FIFO), expected a regular file"),
        (|at| std::fs::create_dir(at).unwrap(), "it is a directory, expected a regular file"),
        (|at| symlink("/dev/zero", at).unwrap(), "it is a device, expected a regular file"),
        (|at| drop(UnixListener::bind(at).unwrap()), "it is a socket, expected a regular file"),
        (|at| File::create(at).unwrap().set_len(3 << 30).unwrap(), "it has more than "),
    ];
    for (make, told) in kinds {
        if name.ends_with("cases.toml") && told.contains("a directory") {
            continue; // which is searched for them
        }
        let dir = prepare_dir();
        let at = dir.path().join(name);
        let _ = std::fs::remove_file(&at);
        make(&at);
        let ran = groundcrew(dir.path(), args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!([1, 2].contains(&ran.code), "{name}, {told}: code {}\n{said}", ran.code);
        assert!(said.contains(told) && said.contains(name), "{name}, {told}:\n{said}");
        assert!(!told.ends_with("than ") || said.contains(&format!("{told}{limit}")), "{said}");
    }
}

/// Pipes of a shell, in each form in which they can be named.
#[rstest]
#[case::stdin(r#"cat event.json | "$0" handle --config none.toml -"#)]
#[case::dev_stdin(r#"cat event.json | "$0" handle --config none.toml /dev/stdin"#)]
#[case::descriptor(r#"cat event.json | "$0" handle --config none.toml /dev/fd/0"#)]
#[case::of_proc(r#"cat event.json | "$0" handle --config none.toml /proc/self/fd/0"#)]
#[case::redirected(r#""$0" handle --config none.toml /dev/stdin < event.json"#)]
#[case::substituted(r#""$0" handle --config none.toml <(cat event.json)"#)]
#[case::config_too(r#""$0" check --config <(cat none.toml)"#)]
#[case::nothing_as_config(r#""$0" check --config /dev/null"#)]
fn pipes_of_a_shell(#[case] line: &str) {
    let dir = prepare_dir();
    // An event without a meaning for a config without notifiers: no AWS call is made.
    std::fs::write(dir.path().join("none.toml"), "").unwrap();
    std::fs::write(
        dir.path().join("event.json"),
        r#"{"source":"mine","detail-type":"x","detail":{}}"#,
    )
    .unwrap();
    let mut shell = command(dir.path());
    let program = shell.get_program().to_owned();
    let mut bash = Command::new("bash");
    bash.current_dir(dir.path());
    for (name, value) in shell.stdin(Stdio::null()).get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let ran = run_command(bash.args(["-c", line]).arg(program).stdin(Stdio::null()));
    assert!(!ran.stderr.contains("can't be read"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("expected a regular file"), "{}", ran.stderr);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A cache that can't be used: `check` reports it once, and completes.
#[rstest]
#[case::a_file(|at: &Path| std::fs::write(at, "").unwrap())]
#[case::a_dangling_link(|at: &Path| symlink("nowhere", at).unwrap())]
#[case::read_only(|at: &Path| symlink("/proc/self", at).unwrap())]
#[case::others_can_write_to_it(|at: &Path| {
    std::fs::create_dir(at).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(at, mode).unwrap();
})]
fn a_cache_that_can_not_be_used(#[case] make: fn(&Path)) {
    let dir = prepare_dir();
    let config =
        "[[policies]]\nplugin = \"managed-tag\"\n[[policies]]\nplugin = \"./rules.rego\"\n";
    std::fs::write(dir.path().join("crew.toml"), config).unwrap();
    let cache = dir.path().join("cache");
    make(&cache);
    let mut check = command(dir.path());
    let ran =
        run_command(check.env("GROUNDCREW_CACHE", &cache).args(["check", "--config", "crew.toml"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("GROUNDCREW_CACHE").count(), 1, "{}", ran.stderr);
    // As a line for people, or in the log if there is one.
    assert!(ran.stderr.starts_with("compile cache: not used"), "{}", ran.stderr);
    let mut check = command(dir.path());
    check.env("GROUNDCREW_LOG", "warn").env("GROUNDCREW_CACHE", &cache);
    let logged = common::run_command(check.args(["check", "--config", "crew.toml"]));
    assert_eq!(logged.stderr.matches("GROUNDCREW_CACHE").count(), 1, "{}", logged.stderr);
    assert!(logged.stderr.starts_with('{'), "{}", logged.stderr);
}
