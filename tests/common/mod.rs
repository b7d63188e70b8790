//! Running the binary.

#![allow(dead_code)] // each test file uses what it needs

pub mod function;
pub mod inbox;
pub mod interop;
pub mod json;
pub mod server;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The result of a run of the binary.
pub struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    /// The JSON document on stdout of a command that has reported problems, or none.
    pub fn findings(&self) -> serde_json::Value {
        assert!((0..=1).contains(&self.code), "{}: {}", self.code, self.stderr);
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The JSON document on stdout.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A config from the checkout's folder of policies.
pub fn policy(name: &str) -> String {
    format!("policies/{name}.toml")
}

/// The binary, with a compile cache for the tests alone, and no variable in its environment that
/// leads to a real AWS.
pub fn command(dir: &Path) -> Command {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    let cache = CACHE.get_or_init(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundcrew"));
    command
        .current_dir(dir)
        .env("GROUNDCREW_CACHE", cache)
        .env_remove("GROUNDCREW_LOG")
        .env_remove("GROUNDCREW_CONFIG");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Makes a named pipe without a writer.
pub fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// One of the events that tests deliver.
pub fn event(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("tests/events/{name}.json"))).unwrap()
}

/// Waits at most two minutes for a condition that another process fulfils.
pub fn eventually(what: &str, done: impl FnMut() -> bool) {
    wait_for(Duration::from_secs(120), what, done);
}

/// Waits for a condition that another process fulfils.
pub fn wait_for(timeout: Duration, what: &str, mut done: impl FnMut() -> bool) {
    // Polling without a pause would take the processor from the other process.
    const PAUSES: Range<Duration> = Duration::from_millis(10)..Duration::from_secs(1);
    let begun = Instant::now();
    let mut pause = PAUSES.start;
    while !done() {
        assert!(begun.elapsed() < timeout, "not in {timeout:?}: {what}");
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(PAUSES.end);
    }
}

/// Runs the binary in a directory.
pub fn groundcrew(dir: &Path, args: &[&str]) -> CommandOutput {
    run_command(command(dir).args(args))
}

/// Runs a command to its end.
pub fn run_command(command: &mut Command) -> CommandOutput {
    let output = command.output().unwrap();
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
